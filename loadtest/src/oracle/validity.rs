//! Whether a run says anything: a harness that was late, short of sockets or out of breath has measured itself.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

use super::abreast;
use super::evidence::Evidence;
use super::facts::{micros, seconds};
use super::measure::{Values, apart};
use crate::figure::LAG_LIMIT;
use crate::ledger::{Ending, RequestId};

/// A run that is late only for a while is late, too: each span of so many microseconds is judged …
const SPAN: u64 = 10_000_000;

/// … in which so many requests were to be sent.
const ENOUGH: usize = 1_000;

/// A process of the harness that uses more of a processor than this …
const BUSY: f64 = 0.85;

/// … for longer than this, in seconds, may have sent late without knowing it.
const BUSY_FOR: f64 = 5.0;

/// Why a run is invalid.
#[derive(Clone, Debug, PartialEq)]
pub enum Doubt {
    /// Nobody sent anything.
    Nothing,
    /// The harness sent late: 99th percentile, in seconds.
    Late(f64),
    /// The harness sent late for a while.
    LateFor {
        /// 99th percentile, in seconds, of those that were to be sent within 10 s.
        lag: f64,
        /// When these began, in seconds from the start.
        from: f64,
    },
    /// The harness could not send: no descriptor or port, so many times.
    Short(u64),
    /// A process of the harness, each of which has one thread, was busier than it may be, for so many seconds.
    Busy {
        /// Which.
        worker: String,
        /// For how long.
        seconds: f64,
    },
    /// Records of so many requests are missing; this is one of them.
    Missing(u64, RequestId),
    /// So many people who were to come sent nothing; this is one of them.
    Absent(u64, u32),
    /// So many records are of nobody of the population: another plan than this run's.
    Strangers(u64),
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => write!(f, "nobody sent anything"),
            Self::Late(lag) => {
                let limit = LAG_LIMIT.as_millis();
                write!(f, "the harness sent {:.1} ms late at the 99th percentile, of {limit} ms", lag * 1e3)
            }
            Self::LateFor { lag, from } => {
                let (limit, span) = (LAG_LIMIT.as_millis(), SPAN / 1_000_000);
                write!(
                    f,
                    "the harness sent {:.1} ms late at the 99th percentile, of {limit} ms, in the {span} s from {from:.0} s",
                    lag * 1e3
                )
            }
            Self::Short(times) => write!(f, "the harness ran out of descriptors or ports {times} times"),
            Self::Busy { worker, seconds } => {
                let busy = BUSY * 100.0;
                write!(f, "{worker} used more than {busy:.0} % of a processor for {seconds:.0} s")
            }
            Self::Missing(count, one) => write!(f, "records of {count} requests are missing, such as {one}"),
            Self::Absent(count, one) => write!(f, "{count} people who were to come never did, such as person {one}"),
            Self::Strangers(count) => write!(f, "{count} records are of nobody of the population"),
        }
    }
}

impl Serialize for Doubt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Everything that makes the run say nothing; `lag` is the 99th percentile in seconds.
pub(super) fn doubts(evidence: &Evidence<'_>, lag: f64) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    let ((worst, short), missing) = abreast::both(|| sending(evidence), || missing(evidence));
    if evidence.told.is_empty() {
        doubts.push(Doubt::Nothing);
    }
    if lag > LAG_LIMIT.as_secs_f64() {
        doubts.push(Doubt::Late(lag));
    } else if let Some((lag, from)) = worst.filter(|(lag, _)| *lag > LAG_LIMIT.as_secs_f64()) {
        doubts.push(Doubt::LateFor { lag, from });
    }
    if short > 0 {
        doubts.push(Doubt::Short(short));
    }
    doubts.extend(busy(evidence));
    doubts.extend(missing);
    doubts.extend(absent(evidence));
    let strangers = evidence.told_by_strangers();
    if strangers > 0 {
        doubts.push(Doubt::Strangers(strangers as u64));
    }
    doubts
}

/// The worst lag of a span, and when it began, both in seconds; and how often the harness could not send.
fn sending(evidence: &Evidence<'_>) -> (Option<(f64, f64)>, u64) {
    let (mut spans, mut short): (BTreeMap<u64, Values>, u64) = (BTreeMap::new(), 0);
    for told in evidence.told.iter() {
        spans.entry(told.intended / SPAN).or_default().push(apart(told.intended, told.sent));
        short += u64::from(told.ending == Ending::Harness);
    }
    let enough = spans.into_iter().filter(|(_, lags)| lags.len() >= ENOUGH);
    let lags = enough.map(|(span, mut lags)| (lags.quantile(0.99), seconds(span * SPAN)));
    (lags.max_by(|one, other| one.0.total_cmp(&other.0)), short)
}

/// Whose breath counts: who sends, who answers, and who stands between them.
fn is_harness(process: &str) -> bool {
    process.starts_with("people") || matches!(process, "services" | "faults")
}

fn busy(evidence: &Evidence<'_>) -> Vec<Doubt> {
    struct Worker {
        at: u64,
        cpu: u64,
        now: f64,
        most: f64,
    }
    let mut workers: BTreeMap<&str, Worker> = BTreeMap::new();
    for used in evidence.resources.iter().filter(|used| is_harness(&used.process)) {
        let first = Worker { at: used.at, cpu: used.cpu, now: 0.0, most: 0.0 };
        let worker = workers.entry(&used.process).or_insert(first);
        let (passed, spent) = (used.at.saturating_sub(worker.at), used.cpu.saturating_sub(worker.cpu));
        let busy = spent as f64 > BUSY * passed as f64;
        worker.now = if busy { worker.now + passed as f64 / 1e6 } else { 0.0 };
        (worker.at, worker.cpu, worker.most) = (used.at, used.cpu, worker.most.max(worker.now));
    }
    let over = workers.into_iter().filter(|(_, worker)| worker.most > BUSY_FOR);
    over.map(|(name, worker)| Doubt::Busy { worker: name.to_owned(), seconds: worker.most }).collect()
}

/// Whoever does not attack and comes before the end sends something; whoever floods, or has nothing to replay, may not.
fn absent(evidence: &Evidence<'_>) -> Option<Doubt> {
    let end = micros(evidence.run.scenario.end().saturating_sub(LAG_LIMIT));
    let came = evidence.briefly().zip(evidence.run.people).filter(|(records, person)| {
        let honest = evidence.persona(records.person).is_some_and(|persona| persona.attack.is_none());
        honest && person.arrives < end && records.told.is_empty()
    });
    let mut absent = came.map(|(records, _)| records.person);
    let one = absent.next()?;
    Some(Doubt::Absent(1 + absent.count() as u64, one))
}

/// A person's requests are numbered without a gap, and whatever a service saw was sent.
fn missing(evidence: &Evidence<'_>) -> Option<Doubt> {
    let (mut count, mut one) = (0_u64, None);
    for records in evidence.people() {
        let mut note = |request: u32| {
            count += 1;
            one = one.or(Some(RequestId { person: records.person, request }));
        };
        let mut expected = 0;
        for told in records.told.iter() {
            if told.id.request != expected {
                note(expected);
            }
            expected = told.id.request.saturating_add(1);
        }
        let mut before = None;
        for id in records.served.iter().filter_map(|served| served.id) {
            if before != Some(id) && records.told_of(id).is_none() {
                note(id.request);
            }
            before = Some(id);
        }
    }
    one.map(|one| Doubt::Missing(count, one))
}
