//! A scenario as built: what stands there, who comes, how they are, what befalls whom when, and what must hold.
//!
//! The file is read ([`read`](fn@read)) and checked as a whole; what is here needs no second check.
//!
//! **Invariants**: nothing here depends on a machine or a gateway; the same value and seed are the same experiment. Times count from the
//! start of the run; rates are a second. Stages are in the order in which a person goes through them; indexes (`service`, `stage`,
//! `persona`) point into the lists of the same scenario.
//! **Not here**: who exactly comes (`population`), what a person does next (`visitor`), what is measured (`figure`).

pub mod fault;
pub mod persona;
pub mod promised;
mod read;
mod scale;
pub mod service;
pub mod template;

use std::path::PathBuf;
use std::time::Duration;

pub use self::fault::{Fault, FaultKind};
pub use self::persona::Persona;
pub use self::read::{read, read_copy, read_text};
pub use self::scale::scaled;
pub use self::service::Service;
use crate::figure::Threshold;
pub use weir::config::Report;

/// Index of a stage: position in [`Scenario::stages`].
pub type StageIndex = u8;
/// Index of a service: position in [`Scenario::services`].
pub type ServiceIndex = u8;
/// Index of a persona: position in [`Scenario::personas`].
pub type PersonaIndex = u8;

/// One experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// How it is called: the file's name without its end.
    pub name: String,
    /// What it shows, in a line.
    pub shows: String,
    /// Of every draw, unless the command line says another.
    pub seed: u64,
    /// People arrive, and faults happen, from 0 until here.
    pub duration: Duration,
    /// Afterwards those who are there have this long; then the run ends, whoever still waits.
    pub drain: Duration,
    /// What is judged by a share of the capacity is judged from here until the end of the arrivals: a cold start is over.
    pub measured_from: Duration,
    /// What stands in front of the services.
    pub gateway: Gateway,
    /// The services behind it; one at least.
    pub services: Vec<Service>,
    /// The steps of a registration; one at least.
    pub stages: Vec<Stage>,
    /// Successes of the last stage that there are places for.
    pub quota: Option<u64>,
    /// When people come.
    pub arrivals: Vec<Arrivals>,
    /// Kinds of people; their shares sum to 1.
    pub personas: Vec<Persona>,
    /// What befalls whom, in order of time.
    pub faults: Vec<Fault>,
    /// What must hold beside the invariants.
    pub thresholds: Vec<Threshold>,
}

/// The gateway under test.
#[derive(Clone, Debug, PartialEq)]
pub struct Gateway {
    /// Its configuration with placeholders ([`template`]). Resolved beside the scenario file.
    pub config: PathBuf,
    /// Whether people come under TLS (the run makes a certificate), all of them.
    pub tls: bool,
}

/// One step of a registration.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// How reports call it: `sign-up`, `nik-check`.
    pub name: String,
    /// Path and query it is sent to.
    pub path: String,
    /// The service that does it.
    pub service: ServiceIndex,
    /// Length of the request's body.
    pub body: u64,
    /// Whether people enter here by the waiting room: a place is won here and kept for the later stages.
    pub entrance: bool,
    /// Share of those who passed it who go on to the next stage, above 0; the others have done what they came for and leave. 1 in the last.
    pub goes_on: f64,
}

/// A source of people.
#[derive(Clone, Debug, PartialEq)]
pub struct Arrivals {
    /// Rate over time.
    pub curve: Curve,
    /// How instants are drawn from it.
    pub process: Process,
    /// Only these kinds of people come by it; empty: all, by their shares.
    pub personas: Vec<PersonaIndex>,
}

/// People a second over time.
#[derive(Clone, Debug, PartialEq)]
pub enum Curve {
    /// Straight lines between points of (time, rate); two points at one time are a step. Nobody comes before the first or after the last.
    Points(Vec<(Duration, f64)>),
    /// So many at each instant: a recorded trace of counts, spread evenly until the next row.
    Trace(Vec<(Duration, u64)>),
    /// All of them at once.
    AtOnce {
        /// When.
        at: Duration,
        /// How many.
        people: u64,
    },
}

/// How instants are drawn from a curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Process {
    /// A Poisson process of that rate: as people come who do not know of each other.
    Poisson,
    /// As even as the rate allows.
    Uniform,
}

impl Curve {
    /// Mean number of people it brings until `end`, where the last row of a trace ends.
    #[must_use]
    pub fn people(&self, end: Duration) -> f64 {
        match self {
            Self::Points(points) => points.windows(2).map(area).sum(),
            Self::Trace(rows) => rows.iter().filter(|(at, _)| *at < end).map(|(_, people)| *people as f64).sum(),
            Self::AtOnce { people, .. } => *people as f64,
        }
    }
}

/// People between two points.
fn area(pair: &[(Duration, f64)]) -> f64 {
    let [(from, first), (until, last)] = pair else { return 0.0 };
    until.saturating_sub(*from).as_secs_f64() * first.midpoint(*last)
}

impl Scenario {
    /// Mean number of people who come.
    #[must_use]
    pub fn people(&self) -> f64 {
        self.arrivals.iter().map(|source| source.curve.people(self.duration)).sum()
    }

    /// When the run ends at the latest.
    #[must_use]
    pub fn end(&self) -> Duration {
        self.duration + self.drain
    }
}
