//! From ledgers to figures: each of [`Figure::ALL`], defined exactly.
//!
//! **Invariants**: of what there is nothing there is no number. Where `overload::figures` has the same figure, it is the same.

mod capacity;
mod cost;
mod people;
mod wait;

pub(crate) use self::capacity::reached_nobody;
pub(super) use self::people::coming;
use super::abreast;
use super::evidence::Evidence;
use super::finding::{Finding, Invariant};
use super::invariant::over_limit;
use crate::figure::Figure;

/// All figures, in order. Two of them are counts of broken `invariants`.
pub(super) fn all(evidence: &Evidence<'_>, invariants: &[Finding]) -> Vec<(Figure, f64)> {
    let bottleneck = capacity::Bottleneck::of(evidence);
    let waits = || {
        let mut waits = wait::Waits::of(evidence);
        [waits.error(0.5), waits.error(0.95), waits.coverage()]
    };
    let answers = || {
        let mut answers = wait::Answers::of(evidence);
        [answers.answer(0.5), answers.answer(0.99), answers.lag(0.99)]
    };
    let ([error_p50, error_p95, coverage], [answer_p50, answer_p99, lag_p99]) = abreast::both(waits, answers);
    let memory = cost::memory(evidence);
    let broken = |which: Invariant| invariants.iter().find(|finding| finding.invariant == which);
    let value = |figure: &Figure| match figure {
        Figure::Goodput => bottleneck.goodput(evidence),
        Figure::Registered => bottleneck.registered(evidence),
        Figure::ColdStart => bottleneck.cold_start(evidence),
        Figure::Recovery => bottleneck.recovery(evidence),
        Figure::WastedWork => bottleneck.wasted_work(evidence),
        Figure::FunnelFinished => people::funnel_finished(evidence),
        Figure::FunnelRefusals => people::funnel_refusals(evidence),
        Figure::OverLimit => over_limit(evidence),
        Figure::Overtaken => count(broken(Invariant::Order)),
        Figure::SlipP99 => people::slip(evidence),
        Figure::PlaceKept => {
            broken(Invariant::PlaceKept).map_or(f64::NAN, |it| (it.judged - it.count) as f64 / it.judged as f64)
        }
        Figure::EtaErrorP50 => error_p50,
        Figure::EtaErrorP95 => error_p95,
        Figure::EtaCoverage => coverage,
        Figure::TurnNoticedP99 => wait::noticed(evidence),
        Figure::RequestsPerPerson => people::requests(evidence),
        Figure::Amplification => people::amplification(evidence),
        Figure::JainDeciles => people::deciles(evidence),
        Figure::AnswerP50 => answer_p50,
        Figure::AnswerP99 => answer_p99,
        Figure::Silence => broken(Invariant::Silence).map_or(f64::NAN, |it| it.count as f64 / it.judged as f64),
        Figure::LagP99 => lag_p99,
        Figure::GatewayMemory => memory.gateway,
        Figure::GatewayCpu => cost::processor(evidence),
        Figure::HarnessMemory => memory.harness,
    };
    let values = abreast::each(&Figure::ALL, value);
    Figure::ALL.into_iter().zip(values).collect()
}

/// Whether there was anything in the run by which `figure` could be told. It is no fault of a gateway that nobody had to wait.
pub(super) fn has_case(evidence: &Evidence<'_>, figure: Figure) -> bool {
    match figure {
        Figure::PlaceKept | Figure::SlipP99 | Figure::TurnNoticedP99 => people::sent_away(evidence),
        Figure::EtaErrorP50 | Figure::EtaErrorP95 | Figure::EtaCoverage => {
            people::sent_away(evidence) || wait::long(evidence)
        }
        _ => true,
    }
}

fn count(finding: Option<&Finding>) -> f64 {
    finding.filter(|finding| finding.judged > 0).map_or(f64::NAN, |finding| finding.count as f64)
}

/// The smallest value that `share` of all do not exceed, in a time linear in them; not a number if there are none.
pub(super) fn quantile(values: &mut [f32], share: f64) -> f64 {
    nth(values, rank(share, values.len()))
}

/// The position of the smallest of `count` values that `share` of them do not exceed.
fn rank(share: f64, count: usize) -> usize {
    let rank = (share * count as f64).ceil().max(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to the length")]
    let position = rank as usize - 1;
    position
}

fn nth(values: &mut [f32], position: usize) -> f64 {
    if position >= values.len() {
        return f64::NAN;
    }
    f64::from(*values.select_nth_unstable_by(position, f32::total_cmp).1)
}

/// Numbers of which none is below nought, and most may be nought: an answer at once, a request that was sent in time.
#[derive(Debug, Default)]
pub(super) struct Values {
    noughts: usize,
    others: Vec<f32>,
}

impl Values {
    pub(super) fn push(&mut self, value: f32) {
        if value == 0.0 {
            self.noughts += 1;
        } else {
            self.others.push(value);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.noughts + self.others.len()
    }

    /// As [`quantile`] of all.
    pub(super) fn quantile(&mut self, share: f64) -> f64 {
        match rank(share, self.len()).checked_sub(self.noughts) {
            None if self.noughts > 0 => 0.0,
            behind => nth(&mut self.others, behind.unwrap_or_default()),
        }
    }
}

/// Seconds between two instants, in half the memory.
#[expect(clippy::cast_possible_truncation, reason = "a microsecond of a day is more than enough")]
pub(super) fn apart(from: u64, until: u64) -> f32 {
    (until.saturating_sub(from) as f64 / 1e6) as f32
}
