//! How long people waited, against what they were told.
//!
//! *`eta_error`*: for each answer with a place and a p50 to somebody who kept his place and whose turn came, more than 5 s later: how far the told p50 lay from the time until
//! he knew of his turn (he was told so, or his request began at the service), as a share of that time. *`eta_coverage`*: of the same, how many waits ended within
//! the told p90. Below 5 s the pause between two visits is most of what is measured. *`turn_noticed_p99`*: from the instant at which somebody who came later had begun at the service
//! (at the latest then it was his turn) to the instant at which he knew; 0 if he knew before. *answer*: from the intended instant to any whole answer of people who
//! do not attack; visits that ask to be held do not count. *`lag_p99`*: from the intended instant to the sending.

use crate::ledger::{Ending, Kind, NONE, Word};
use crate::oracle::evidence::Evidence;
use crate::oracle::facts::micros;
use crate::oracle::journey::{Journey, NEVER};
use crate::oracle::measure::{Values, apart, quantile};
use crate::scenario::persona::{self, Persona};

/// Shorter waits are not judged.
const LONG: u64 = 5_000_000;

/// Promises and what became of them.
pub(super) struct Waits {
    errors: Vec<f32>,
    within: u64,
    ranges: u64,
}

impl Waits {
    pub(super) fn of(evidence: &Evidence<'_>) -> Self {
        let (mut errors, mut within, mut ranges) = (Vec::new(), 0, 0);
        let entrance = evidence.run.entrance();
        for (records, journey) in evidence.people().zip(&evidence.journeys) {
            if !journey.has_place() || journey.knew == NEVER {
                continue;
            }
            for told in records.told.iter().filter(|told| told.word == Word::Place && told.stage == entrance) {
                if told.ended.saturating_add(LONG) >= journey.knew || told.eta_p50 == NONE {
                    continue;
                }
                let wait = apart(told.ended, journey.knew);
                errors.push((apart(0, u64::from(told.eta_p50) * 1_000) - wait).abs() / wait);
                if told.eta_p90 != NONE {
                    ranges += 1;
                    within += u64::from(wait <= apart(0, u64::from(told.eta_p90) * 1_000));
                }
            }
        }
        Self { errors, within, ranges }
    }

    pub(super) fn error(&mut self, share: f64) -> f64 {
        quantile(&mut self.errors, share)
    }

    pub(super) fn coverage(&self) -> f64 {
        self.within as f64 / self.ranges as f64
    }
}

/// Whether anybody with a place waited long enough for what he was told of it to be judged.
pub(super) fn long(evidence: &Evidence<'_>) -> bool {
    let waited = |journey: &Journey| journey.joined.saturating_add(LONG) < journey.knew && journey.knew != NEVER;
    evidence.journeys.iter().any(|journey| journey.has_place() && waited(journey))
}

/// From a turn to the instant its holder knew, at the 99th percentile, in seconds.
pub(super) fn noticed(evidence: &Evidence<'_>) -> f64 {
    let resolution = micros(evidence.run.declared.resolution);
    let mut starts: Vec<(u64, u64)> = evidence
        .journeys
        .iter()
        .filter(|journey| journey.started != NEVER && !journey.standing.attacks)
        .map(|journey| (journey.came, journey.started))
        .collect();
    starts.sort_unstable();
    let mut earliest = NEVER;
    for (_, started) in starts.iter_mut().rev() {
        earliest = earliest.min(*started);
        *started = earliest;
    }
    let mut late = Vec::new();
    for journey in evidence.journeys.iter().filter(|journey| journey.has_place() && journey.knew != NEVER) {
        let later = starts.partition_point(|(came, _)| *came <= journey.joined.saturating_add(resolution));
        let turn = starts.get(later).map_or(NEVER, |(_, started)| *started);
        late.push(apart(turn, journey.knew));
    }
    quantile(&mut late, 0.99)
}

/// How long answers took, and how late the harness was.
pub(super) struct Answers {
    answers: Values,
    lags: Values,
}

impl Answers {
    pub(super) fn of(evidence: &Evidence<'_>) -> Self {
        let holds = |persona: &Persona| matches!(persona.waits, persona::Waits::Hold(_));
        let (mut answers, mut lags) = (Values::default(), Values::default());
        for told in evidence.told.iter() {
            lags.push(apart(told.intended, told.sent));
            let judged = evidence
                .persona(told.id.person)
                .is_none_or(|persona| persona.attack.is_none() && !(told.kind == Kind::Poll && holds(persona)));
            if told.ending == Ending::Answered && judged {
                answers.push(apart(told.intended, told.ended));
            }
        }
        Self { answers, lags }
    }

    pub(super) fn answer(&mut self, share: f64) -> f64 {
        self.answers.quantile(share)
    }

    pub(super) fn lag(&mut self, share: f64) -> f64 {
        self.lags.quantile(share)
    }
}
