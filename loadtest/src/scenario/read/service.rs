//! `[[service]]` as written.

use weir::config::explain::Span;
use weir::config::names::name;
use weir::config::reader::{Table, Written};
use weir::config::scalar::{number, text, truth, word};
use weir::config::units::duration;

use super::value::{millis, rate, real, secs, share};
use crate::origin::curve::Curve;
use crate::scenario::service::Failures;

/// Where a service has its knee unless written: as many requests as it finishes in this part of a second, the response time of a
/// service that writes to a database.
const KNEE_PART: f64 = 0.1;
/// As measured of services with a database behind them: a hundredth of the work is done one after the other.
const CONTENTION: f64 = 0.01;
/// Eleven times the knee costs a third of the throughput.
const SLOPE: f64 = 0.05;
/// Half of the descriptors that one process has at most where the limit is low (20,000).
const IN_FLIGHT: u32 = 10_000;
/// The work of a request varies by half of its mean.
const WORK_SHAPE: u32 = 4;
/// What a service asks for that pushes back.
const PUSHBACK: u64 = 1;

const LAWS: [(&str, Law); 2] = [("usl", Law::Usl), ("kink", Law::Kink)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Law {
    Usl,
    Kink,
}

/// One service, its needs still names.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) span: Span,
    pub(super) name: Option<Written<String>>,
    pub(super) curve: Curve,
    pub(super) in_flight: u32,
    pub(super) servers: u8,
    pub(super) reserve: u8,
    pub(super) needs: Vec<Written<String>>,
    pub(super) idempotent: bool,
    pub(super) failures: Failures,
    pub(super) work_shape: u32,
}

impl Service {
    pub(super) fn read(table: &mut Table<'_, '_, '_>) -> Self {
        Self {
            span: table.span(),
            name: table.required("name", text("a name", name)),
            curve: curve(table),
            in_flight: table.or("in_flight", IN_FLIGHT, number(1..=1_000_000)),
            servers: table.or("servers", 1, number(1..=64)),
            reserve: table.or("reserve", 0, number(0..=64)),
            needs: table
                .list("needs", "names of [[service]]s", text("the name of a [[service]]", |name| Ok(name.to_owned())))
                .map_or_else(Vec::new, |list| list.value),
            idempotent: table.or("idempotent", true, truth),
            failures: table.table("failures", "[service.failures]", failures).unwrap_or(NONE),
            work_shape: table.or("work_shape", WORK_SHAPE, number(0..=1_000)),
        }
    }
}

/// Where a value is missing or wrong, which is recorded, some curve takes the place.
fn curve(table: &mut Table<'_, '_, '_>) -> Curve {
    let law = table.optional("law", text("\"usl\" or \"kink\"", |found| word(found, &LAWS))).map(|law| law.value);
    // A law that could not be read may be either: what belongs to one of them is no further fault.
    let either = law.is_none() && table.has("law");
    let usl = either || law.unwrap_or(Law::Usl) == Law::Usl;
    let of_base_time = usl && table.has("base_time");
    let base_time = if of_base_time { table.optional("base_time", duration(millis(1)..=secs(60))) } else { None };
    let capacity = match of_base_time {
        true => None,
        false if either => table.optional("capacity", rate),
        false => table.required("capacity", rate),
    };
    let capacity = capacity.map_or(1.0, |capacity| capacity.value);
    let knee = number(1..=100_000);
    let knee = if of_base_time { table.required("knee", knee) } else { table.optional("knee", knee) };
    let knee = knee.map_or_else(|| usual_knee(capacity), |knee| knee.value);
    let contention = if usl { table.or("contention", CONTENTION, real(0.0..=0.9)) } else { CONTENTION };
    let slope = if either || !usl { table.or("slope", SLOPE, real(0.0..=100.0)) } else { SLOPE };
    match base_time {
        Some(alone) => Curve::usl_of_base_time(alone.value.as_secs_f64(), knee, contention),
        None if usl => Curve::usl(capacity, knee, contention),
        None => Curve::kink(capacity, knee, slope),
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is positive, and clamped")]
fn usual_knee(capacity: f64) -> u32 {
    (capacity * KNEE_PART).ceil().clamp(1.0, 100_000.0) as u32
}

const NONE: Failures = Failures {
    before_effect: 0.0,
    after_effect: 0.0,
    lost_reply: 0.0,
    cut_reply: 0.0,
    hang: 0.0,
    pushback: 0.0,
    pushback_for: secs(PUSHBACK),
};

fn failures(table: &mut Table<'_, '_, '_>) -> Failures {
    Failures {
        before_effect: table.or("before_effect", 0.0, share),
        after_effect: table.or("after_effect", 0.0, share),
        lost_reply: table.or("lost_reply", 0.0, share),
        cut_reply: table.or("cut_reply", 0.0, share),
        hang: table.or("hang", 0.0, share),
        pushback: table.or("pushback", 0.0, share),
        pushback_for: table.or("pushback_for", NONE.pushback_for, duration(secs(1)..=secs(3_600))),
    }
}

/// Share of the requests of `failures` that fail.
pub(super) fn failing(failures: &Failures) -> f64 {
    let Failures { before_effect, after_effect, lost_reply, cut_reply, hang, pushback, pushback_for: _ } = failures;
    before_effect + after_effect + lost_reply + cut_reply + hang + pushback
}
