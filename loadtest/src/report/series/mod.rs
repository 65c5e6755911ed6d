//! What is plotted: the ledgers of a run, each second and each person, in little.
//!
//! **Invariants**: everything here follows from the ledgers alone, as the judgement does; reports and comparisons draw it and compute nothing.
//! Times are seconds from the start.
//! **Cost**: some passes over the ledgers; 60 bytes a person and 12 an ETA told while it is made.
//! **Not here**: what it means (`oracle`).

mod bins;
mod crowd;
mod spectrum;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ledger::{Ending, Told, Word};
use crate::oracle::{Ledgers, Run};
use crate::services::calibrate::Calibration;

/// What came of requests, in the order in which they are stacked.
pub const OUTCOMES: [&str; 9] = ["done", "place", "turn", "later", "not_yet", "over", "failed", "wrong", "no_answer"];

/// What is plotted of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// The service that decides how many people can be served.
    pub bottleneck: String,
    /// Its measured over its declared capacity, by which [`Second::capacity`] is multiplied; none: nobody measured it.
    pub calibrated: Option<f64>,
    /// When the last person comes at the latest.
    pub duration: f64,
    /// What befell whom.
    pub faults: Vec<Disturbance>,
    /// Each second from the start.
    pub seconds: Vec<Second>,
    /// Waits that were told, and that followed.
    pub waits: Vec<Wait>,
    /// Told and true wait of people, one a cell of the plot.
    pub promises: Vec<(f64, f64)>,
    /// How many-eth somebody came, and when the request began at the service of the entrance; one a cell.
    pub order: Vec<(f64, f64)>,
    /// Those of them who entered after somebody who came when they had been told their place.
    pub slips: Vec<(f64, f64)>,
    /// Quantiles of times.
    pub spectra: Vec<Spectrum>,
    /// Requests a person, of each kind of people.
    pub personas: Vec<Kind>,
    /// What people were told against what services did.
    pub stages: Vec<Reconciled>,
    /// What processes used.
    pub processes: BTreeMap<String, Vec<Used>>,
    /// What the gateway said of each upstream, by name.
    pub gateway: BTreeMap<String, Vec<Looked>>,
    /// When it was asked, and how many people were in all its waiting rooms.
    pub rooms: Vec<(f64, u64)>,
}

/// A fault.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Disturbance {
    /// When it began.
    pub from: f64,
    /// When it ended.
    pub until: f64,
    /// What.
    pub what: String,
}

/// One second of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// People who were to come.
    #[serde(default)]
    pub planned: u32,
    /// People who came: their first request was sent.
    pub arrived: u32,
    /// People whom the bottleneck could have served.
    pub capacity: f64,
    /// People's worth of requests that began there.
    pub admitted: f64,
    /// People's worth of work that ended there and of which its person was told, or may still be.
    pub goodput: f64,
    /// People told for the first time that the last stage is done.
    pub registered: u32,
    /// Requests that ended, by [`OUTCOMES`].
    pub outcomes: [u32; 9],
    /// Requests that were sent.
    pub sent: u32,
    /// How late the latest of them was sent, in seconds.
    pub lag_max: f64,
    /// How late they were in the mean.
    pub lag_mean: f64,
}

/// What was told of waits at an instant: medians over those who were told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Wait {
    /// When.
    pub at: f64,
    /// The median told.
    pub told: f64,
    /// The 90th percentile told.
    pub told_p90: f64,
    /// The wait that followed.
    pub truth: f64,
}

/// Quantiles of one time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spectrum {
    /// Of what.
    pub name: String,
    /// How many values there are.
    pub count: u64,
    /// 1 / (1 − quantile), and the value there in seconds.
    pub points: Vec<(f64, f64)>,
}

/// Requests a person.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Kind {
    /// The kind's name.
    pub name: String,
    /// People of it who sent anything.
    pub people: u64,
    /// Requests they sent, in the mean.
    pub mean: f64,
    /// Median.
    pub p50: u32,
    /// 99th percentile.
    pub p99: u32,
    /// Most.
    pub max: u32,
    /// How many of them were told that the last stage is done.
    pub registered: u64,
}

/// One stage in the ledgers of people and of services.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reconciled {
    /// The stage.
    pub stage: String,
    /// People who were told that it is done, and have it done;
    pub both: u64,
    /// who were told so and have not;
    pub told_only: u64,
    /// who have it done and were told nothing or otherwise.
    pub done_only: u64,
    /// Times that it was done once more for the same person.
    pub again: u64,
    /// Requests that began there, of whomever.
    pub began: u64,
    /// Times that it was done for a request that nobody of the population sent.
    pub strangers: u64,
}

/// What a process used in the time before an instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Used {
    /// When.
    pub at: f64,
    /// Processors' worth.
    pub cpu: f64,
    /// Bytes.
    pub memory: u64,
    /// Open.
    pub descriptors: u32,
}

/// What the gateway said of an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Looked {
    /// When.
    pub at: f64,
    /// Permits for it.
    pub limit: f64,
    /// Of which are held.
    pub in_flight: u64,
    /// Requests held in line for it.
    pub waiting: u64,
}

impl Series {
    /// Of `run` by its `ledgers`, and what was measured of its services.
    #[must_use]
    pub fn of(run: &Run<'_>, ledgers: &Ledgers, calibrations: &[Calibration]) -> Self {
        let service = run.scenario.services.get(usize::from(run.bottleneck()));
        let bottleneck = service.map_or_else(String::new, |service| service.name.clone());
        let measured = calibrations.iter().find(|calibration| calibration.service == bottleneck);
        let calibrated = measured.and_then(best).filter(|share| share.is_finite() && *share > 0.0);
        let crowd = crowd::Crowd::of(run, ledgers);
        let (order, slips) = crowd.order(run);
        let (waits, promises) = crowd.waits(run, ledgers);
        Self {
            calibrated,
            duration: run.scenario.duration.as_secs_f64(),
            faults: run.scenario.faults.iter().map(|fault| disturbance(run, fault)).collect(),
            seconds: bins::seconds(run, ledgers, calibrated.unwrap_or(1.0)),
            waits,
            promises,
            order,
            slips,
            spectra: spectrum::all(run, ledgers),
            personas: crowd.personas(run),
            stages: crowd.stages(run, ledgers),
            processes: bins::processes(ledgers),
            gateway: bins::gateway(ledgers),
            rooms: bins::rooms(ledgers),
            bottleneck,
        }
    }
}

/// The most that was measured over the most that was declared.
fn best(calibration: &Calibration) -> Option<f64> {
    let most = calibration.levels.iter().map(|level| level.throughput).reduce(f64::max)?;
    Some(most / calibration.capacity)
}

/// The place of what came of a request in [`OUTCOMES`].
fn outcome(told: &Told) -> usize {
    match (told.ending, told.word) {
        (Ending::Answered, Word::Done) => 0,
        (Ending::Answered, Word::Place) => 1,
        (Ending::Answered, Word::Turn) => 2,
        (Ending::Answered, Word::Later) => 3,
        (Ending::Answered, Word::NotYet) => 4,
        (Ending::Answered, Word::Over) => 5,
        (Ending::Answered, Word::Failed) => 6,
        (Ending::Answered, Word::Wrong | Word::Nonsense) => 7,
        _ => 8,
    }
}

fn disturbance(run: &Run<'_>, fault: &crate::scenario::Fault) -> Disturbance {
    use crate::scenario::FaultKind::{Gateway, Network, Service};
    use crate::scenario::fault::{NetworkFault, ServiceFault, Side};
    let what = match fault.kind {
        Service { service, kind, .. } => {
            let name = run.scenario.services.get(usize::from(service)).map_or("?", |service| &service.name);
            let what = match kind {
                ServiceFault::Parallelism(share) => format!("{:.0} % parallelism", share * 100.0),
                ServiceFault::Speed(share) => format!("{:.0} % speed", share * 100.0),
                ServiceFault::Stall => "stall".to_owned(),
                ServiceFault::Refuse { .. } => "refuses".to_owned(),
                ServiceFault::Restart => "restart".to_owned(),
                ServiceFault::AddServers(count) => format!("+{count} servers"),
                ServiceFault::Sinkhole => "sink-hole".to_owned(),
            };
            format!("{name}: {what}")
        }
        Gateway(kind) => format!("gateway: {}", format!("{kind:?}").to_lowercase()),
        Network { side, kind } => {
            let side = if side == Side::Clients { "network of people" } else { "network of services" };
            let what = match kind {
                NetworkFault::Delay { .. } => "delay",
                NetworkFault::Slow(_) => "slow",
                NetworkFault::Reset(_) => "resets",
                NetworkFault::HalfClose(_) => "half-closed",
                NetworkFault::BlackHole => "black hole",
            };
            format!("{side}: {what}")
        }
    };
    let (from, until) = (fault.at.as_secs_f64(), (fault.at + fault.lasts).as_secs_f64());
    Disturbance { from, until, what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Kind as Asked, RequestId};

    #[test]
    fn whoever_heard_no_answer_is_counted_so_whatever_was_said() {
        let told = Told::sent(RequestId { person: 0, request: 0 }, 0, Asked::Submit, 0, 0);
        assert_eq!(OUTCOMES[outcome(&told)], "no_answer");
        let cut = Told { ending: Ending::Cut, word: Word::Done, ..told };
        assert_eq!(OUTCOMES[outcome(&cut)], "no_answer");
        let done = Told { ending: Ending::Answered, word: Word::Done, ..told };
        assert_eq!(OUTCOMES[outcome(&done)], "done");
        let names =
            [Word::Done, Word::Place, Word::Turn, Word::Later, Word::NotYet, Word::Over, Word::Failed, Word::Wrong]
                .map(|word| OUTCOMES[outcome(&Told { word, ..done })]);
        assert_eq!(names, OUTCOMES[..8]);
    }
}
