//! The judge of a run: what was promised, what was measured, and whether the run says anything at all.
//!
//! Pure over the three ledgers: what people were told, what the services did, what the gateway said of itself. The same folder is judged
//! the same today and next year. What each invariant means exactly stands in the table below, and in the header of its module.
//!
//! **Invariants**: nothing of the gateway's own account is believed where people or services know better; it is asked for two things only,
//! its limit in force and what it says of a quota. An invariant that cannot be judged says so and is not green. Every broken one names its first
//! offenders, the earliest first, and `loadtest trace` tells their story.
//! **Cost**: what people were told is kept by person, some ten bytes a request, what the services did as it is, 56 bytes a record, sorted by the
//! number of the request; everything else is a pass over them or a sort, as many at once as the machine has processors.
//! **Not here**: how a run is made, and how a judgement looks (`report`; `oracle::table` for a terminal).
//!
#![doc = include_str!("INVARIANTS.md")]

mod abreast;
pub mod evidence;
pub mod facts;
pub mod finding;
mod invariant;
mod journey;
mod measure;
pub mod table;
pub mod trace;
mod validity;

pub use self::evidence::Ledgers;
pub use self::facts::{Declared, Limit, Person, Run};
pub use self::finding::{Finding, Invariant, Offender, State, Who};
pub use self::validity::Doubt;

pub(crate) use self::measure::reached_nobody;

use serde::Serialize;

use self::evidence::Evidence;
use crate::figure::{Figure, Threshold};

/// What is to be said of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judgement {
    /// Each of [`Invariant::ALL`], in that order.
    pub invariants: Vec<Finding>,
    /// Each of [`Figure::ALL`], in that order; not a number where it has no meaning in this run.
    #[serde(serialize_with = "finding::by_name")]
    pub figures: Vec<(Figure, f64)>,
    /// The scenario's thresholds.
    #[serde(serialize_with = "finding::thresholds")]
    pub thresholds: Vec<Checked>,
    /// Why the run says nothing of the gateway; empty: it does.
    pub doubts: Vec<Doubt>,
    /// All of it in a word.
    pub verdict: Verdict,
}

/// A threshold and what became of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Checked {
    /// Which.
    pub threshold: Threshold,
    /// The figure.
    pub value: f64,
    /// Whether it keeps to the bound.
    pub state: State,
}

impl Checked {
    /// Whether the run fails by it.
    #[must_use]
    pub fn is_missed(&self) -> bool {
        self.state == State::Broken
    }

    /// Why there is no value to hold against it; none: there is one.
    #[must_use]
    pub const fn why(&self) -> Option<&'static str> {
        match self.state {
            State::NotJudged => Some("nobody had to wait"),
            State::Broken if self.value.is_nan() => Some("no case"),
            State::Holds | State::Broken => None,
        }
    }
}

/// How a run ended. The worst that applies: an invalid run proves nothing, and a broken invariant outweighs any threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Everything holds.
    Pass,
    /// A threshold was missed.
    Threshold,
    /// An invariant is broken.
    Invariant,
    /// The harness was not good enough to say.
    Invalid,
}

impl Verdict {
    /// The exit status of a program that ends with it.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Threshold => 1,
            Self::Invariant => 2,
            Self::Invalid => 3,
        }
    }
}

impl Judgement {
    /// The invariants that are broken.
    pub fn broken(&self) -> impl Iterator<Item = &Finding> {
        self.invariants.iter().filter(|finding| finding.state == State::Broken)
    }

    /// The value of `figure`; not a number if it has none.
    #[must_use]
    pub fn value(&self, figure: Figure) -> f64 {
        self.figures.iter().find(|(other, _)| *other == figure).map_or(f64::NAN, |(_, value)| *value)
    }
}

/// How much those who came later were preferred, whatever the gateway promised (`INVARIANTS.md`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Coming {
    /// Share of those who came who were overtaken by somebody who came more than a second later.
    pub overtaken: f64,
    /// How much later the last of those came who were through before a person, 99th percentile, in seconds.
    pub later_p99: f64,
}

/// Compares the order of coming in `run` with that of being through.
#[must_use]
pub fn coming(run: &Run<'_>, ledgers: Ledgers) -> Coming {
    measure::coming(&Evidence::new(run, ledgers))
}

/// Judges `run` by its `ledgers`.
#[must_use]
pub fn judge(run: &Run<'_>, ledgers: Ledgers) -> Judgement {
    let evidence = Evidence::new(run, ledgers);
    let invariants = invariant::all(&evidence);
    let figures = measure::all(&evidence, &invariants);
    let value =
        |figure: Figure| figures.iter().find(|(other, _)| *other == figure).map_or(f64::NAN, |(_, value)| *value);
    let check = |threshold: &Threshold| {
        let value = value(threshold.figure);
        let state = if threshold.bound.holds(value) {
            State::Holds
        } else if value.is_nan() && !measure::has_case(&evidence, threshold.figure) {
            State::NotJudged
        } else {
            State::Broken
        };
        Checked { threshold: *threshold, value, state }
    };
    let thresholds: Vec<_> = run.scenario.thresholds.iter().map(check).collect();
    let doubts = validity::doubts(&evidence, value(Figure::LagP99));
    let verdict = if !doubts.is_empty() {
        Verdict::Invalid
    } else if invariants.iter().any(|finding| finding.state == State::Broken) {
        Verdict::Invariant
    } else if thresholds.iter().any(Checked::is_missed) {
        Verdict::Threshold
    } else {
        Verdict::Pass
    };
    Judgement { invariants, figures, thresholds, doubts, verdict }
}

#[cfg(test)]
mod tests;
