//! What was found of each invariant.
//!
//! **Invariants**: at most [`MOST`] offenders are kept, the earliest; all are counted.

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use super::Checked;
use crate::figure::{Bound, Figure};
use crate::ledger::RequestId;

/// So many offenders are named.
pub const MOST: usize = 20;

/// What an admission controller promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Invariant {
    /// I1: who was told that it is done has it done.
    Lost,
    /// I2: nobody is registered twice by the gateway.
    Duplicate,
    /// I3: nothing is done that nobody asked for.
    Phantom,
    /// I4: never more at a service than the limit in force, nor faster than its rate.
    OverAdmission,
    /// I5: the quota, neither more nor, if people wanted it, less.
    Quota,
    /// I6: nobody who is there is overtaken.
    Order,
    /// I7: a place once told is kept.
    PlaceKept,
    /// I8: the bottleneck works while people wait.
    WorkConservation,
    /// I9: everybody gets an answer.
    Silence,
    /// I10: a ticket that is not yours opens nothing.
    Forged,
    /// I11: over is over.
    Closing,
}

impl Invariant {
    /// All of them, in order.
    pub const ALL: [Self; 11] = [
        Self::Lost,
        Self::Duplicate,
        Self::Phantom,
        Self::OverAdmission,
        Self::Quota,
        Self::Order,
        Self::PlaceKept,
        Self::WorkConservation,
        Self::Silence,
        Self::Forged,
        Self::Closing,
    ];

    /// `I1` to `I11`.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::Lost => "I1",
            Self::Duplicate => "I2",
            Self::Phantom => "I3",
            Self::OverAdmission => "I4",
            Self::Quota => "I5",
            Self::Order => "I6",
            Self::PlaceKept => "I7",
            Self::WorkConservation => "I8",
            Self::Silence => "I9",
            Self::Forged => "I10",
            Self::Closing => "I11",
        }
    }

    /// Its name in files and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Duplicate => "duplicate",
            Self::Phantom => "phantom",
            Self::OverAdmission => "over_admission",
            Self::Quota => "quota",
            Self::Order => "order",
            Self::PlaceKept => "place_kept",
            Self::WorkConservation => "work_conservation",
            Self::Silence => "silence",
            Self::Forged => "forged",
            Self::Closing => "closing",
        }
    }

    /// What is promised, in a line.
    #[must_use]
    pub const fn promise(self) -> &'static str {
        match self {
            Self::Lost => "whoever was told that it is done has it done",
            Self::Duplicate => "no request is done twice, and nobody is made to repeat one that was done",
            Self::Phantom => "nothing is done that nobody asked for",
            Self::OverAdmission => "never more at a service than the limit in force, nor faster than its rate",
            Self::Quota => "of a quota never one more, and none kept back",
            Self::Order => "nobody who is there is overtaken by somebody who came later",
            Self::PlaceKept => "the place that a person is told never grows",
            Self::WorkConservation => "the bottleneck is used while people wait",
            Self::Silence => "everybody gets a definite answer in time",
            Self::Forged => "a forged, foreign or old ticket opens nothing",
            Self::Closing => "what was said to be over stays over",
        }
    }
}

impl Serialize for Invariant {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Whether an invariant or a threshold held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It did, as far as was looked.
    Holds,
    /// It did not.
    Broken,
    /// There was nothing to judge it by.
    NotJudged,
}

/// What was found of one invariant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Which.
    pub invariant: Invariant,
    /// Whether it held.
    pub state: State,
    /// How often it was broken.
    pub count: u64,
    /// How many could have broken it.
    pub judged: u64,
    /// What there is to say of it beside that, in a sentence; empty if nothing.
    pub note: String,
    /// The first who broke it.
    pub offenders: Vec<Offender>,
}

/// Who broke an invariant, and how.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Offender {
    /// Who.
    pub who: Who,
    /// When, in microseconds from the start.
    pub at: u64,
    /// How, in a sentence.
    pub what: String,
}

/// Who.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// This request.
    Request(RequestId),
    /// This person.
    Person(u32),
    /// This service.
    Service(u8),
}

impl std::fmt::Display for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Request(id) => write!(f, "request {id}"),
            Self::Person(person) => write!(f, "person {person}"),
            Self::Service(service) => write!(f, "service {service}"),
        }
    }
}

impl Serialize for Who {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Gathers what is found of one invariant.
#[derive(Debug)]
pub(super) struct Search {
    finding: Finding,
}

impl Search {
    pub(super) fn of(invariant: Invariant) -> Self {
        let finding = Finding {
            invariant,
            state: State::NotJudged,
            count: 0,
            judged: 0,
            note: String::new(),
            offenders: Vec::new(),
        };
        Self { finding }
    }

    /// So many more were looked at.
    pub(super) fn looked_at(&mut self, count: u64) {
        self.finding.judged += count;
    }

    /// `who` broke it at `at`; `what` is only said of those who are kept.
    pub(super) fn broken(&mut self, who: Who, at: u64, what: impl FnOnce() -> String) {
        self.finding.count += 1;
        let offenders = &mut self.finding.offenders;
        let position = offenders.partition_point(|other| other.at <= at);
        if position < MOST {
            offenders.insert(position, Offender { who, at, what: what() });
            offenders.truncate(MOST);
        }
    }

    pub(super) fn note(&mut self, note: String) {
        self.finding.note = note;
    }

    /// Nobody was looked at: not judged. Otherwise it holds if nobody broke it.
    pub(super) fn end(mut self) -> Finding {
        self.finding.state = match (self.finding.count, self.finding.judged) {
            (0, 0) => State::NotJudged,
            (0, _) => State::Holds,
            _ => State::Broken,
        };
        self.finding
    }

    /// It cannot be judged, for this reason.
    pub(super) fn impossible(mut self, why: &str) -> Finding {
        self.finding.state = State::NotJudged;
        why.clone_into(&mut self.finding.note);
        self.finding
    }
}

pub(super) fn by_name<S: Serializer>(figures: &[(Figure, f64)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(figures.len()))?;
    for (figure, value) in figures {
        map.serialize_entry(figure.name(), value)?;
    }
    map.end()
}

pub(super) fn thresholds<S: Serializer>(thresholds: &[Checked], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Row {
        figure: &'static str,
        bound: &'static str,
        limit: f64,
        value: f64,
        holds: Option<bool>,
        why: Option<&'static str>,
    }
    let mut rows = serializer.serialize_seq(Some(thresholds.len()))?;
    for checked in thresholds {
        let Checked { threshold, value, state } = checked;
        let (bound, limit) = match threshold.bound {
            Bound::AtLeast(least) => (">=", least),
            Bound::AtMost(most) => ("<=", most),
        };
        let holds = (*state != State::NotJudged).then_some(*state == State::Holds);
        let (figure, why) = (threshold.figure.name(), checked.why());
        rows.serialize_element(&Row { figure, bound, limit, value: *value, holds, why })?;
    }
    rows.end()
}
