//! What happens to the service and to the load, and when.

use super::service::{Shape, Work};

/// Cost of the expensive route, in ordinary requests.
pub(crate) const COSTLY: f64 = 10.0;

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Change {
    /// So many of the servers are left.
    Parallelism(f64),
    /// Each is this fast.
    Speed(f64),
    /// It accepts and does not answer, or does again.
    Stalled(bool),
    /// It fails everything at once, or does not any more.
    Failing(bool),
    /// It starts again, cold.
    ColdStart,
    /// This share of requests takes the expensive route.
    Costly(f64),
    /// This multiple of the service's peak comes.
    Load(f64),
}

/// A service, a crowd, and what happens to them.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    /// The service.
    pub(crate) shape: Shape,
    /// The works of requests.
    pub(crate) work: Work,
    /// Arrivals, as a multiple of the service's peak.
    pub(crate) load: f64,
    /// Length.
    pub(crate) seconds: f64,
    /// What happens, by time.
    pub(crate) changes: Vec<(f64, Change)>,
}

/// The service of the reference table: a peak of 485/s at 64 in flight.
pub(crate) const REFERENCE: Shape = Shape::Usl { sigma: 0.01, peak_at: 64.0, alone: 0.05 };

/// 400/s at 40 in flight, and a throughput that falls by a third at twice that.
pub(crate) const KINK: Shape = Shape::Kink { knee: 40.0, capacity: 400.0, slope: 0.5 };

/// 400/s at 40 in flight, and a throughput that falls to a quarter at twice that.
pub(crate) const CLIFF: Shape = Shape::Kink { knee: 40.0, capacity: 400.0, slope: 3.0 };

/// 20/s at 8 in flight: what takes other services seconds takes this one a minute.
pub(crate) const SLOW: Shape = Shape::Usl { sigma: 0.01, peak_at: 8.0, alone: 0.2 };

/// Every other shape the law must find its way on.
pub(crate) const VARIANTS: [(&str, Shape); 6] = [
    ("sigma .05", Shape::Usl { sigma: 0.05, peak_at: 64.0, alone: 0.05 }),
    ("N* 16", Shape::Usl { sigma: 0.01, peak_at: 16.0, alone: 0.05 }),
    ("R0 200 ms", Shape::Usl { sigma: 0.01, peak_at: 64.0, alone: 0.2 }),
    ("R0 10 ms", Shape::Usl { sigma: 0.01, peak_at: 64.0, alone: 0.01 }),
    ("N* 256", Shape::Usl { sigma: 0.01, peak_at: 256.0, alone: 0.05 }),
    ("pool 40", Shape::Kink { knee: 40.0, capacity: 400.0, slope: 0.0 }),
];

/// When the change comes and when it is undone, in the scenarios of the table.
pub(crate) const CHANGE: (f64, f64) = (45.0, 75.0);

/// Ten times what the service can do, and nothing else.
pub(crate) fn steady(shape: Shape) -> Scenario {
    Scenario { shape, work: Work::Gamma, load: 10.0, seconds: 60.0, changes: Vec::new() }
}

/// [`steady`] for 105 s with a change at 45 s that is undone at 75 s.
pub(crate) fn changing(shape: Shape, change: Change, undone: Change) -> Scenario {
    Scenario { seconds: 105.0, changes: vec![(CHANGE.0, change), (CHANGE.1, undone)], ..steady(shape) }
}

/// Half of the servers are lost and come back.
pub(crate) fn parallelism_halves(shape: Shape) -> Scenario {
    changing(shape, Change::Parallelism(0.5), Change::Parallelism(1.0))
}

/// Every server is half as fast for a while.
pub(crate) fn speed_halves(shape: Shape) -> Scenario {
    changing(shape, Change::Speed(0.5), Change::Speed(1.0))
}

/// Five seconds without an answer.
pub(crate) fn stall(shape: Shape) -> Scenario {
    let changes = vec![(CHANGE.0, Change::Stalled(true)), (CHANGE.0 + 5.0, Change::Stalled(false))];
    Scenario { seconds: 80.0, changes, ..steady(shape) }
}

/// Ten seconds of refusals, then a cold start.
pub(crate) fn refusal(shape: Shape) -> Scenario {
    let changes = vec![(CHANGE.0, Change::Failing(true)), (CHANGE.0 + 10.0, Change::ColdStart)];
    Scenario { seconds: 100.0, changes, ..steady(shape) }
}

/// Everything fails within a millisecond for ten seconds.
pub(crate) fn fast_failure(shape: Shape) -> Scenario {
    let changes = vec![(CHANGE.0, Change::Failing(true)), (CHANGE.0 + 10.0, Change::Failing(false))];
    Scenario { seconds: 80.0, changes, ..steady(shape) }
}

/// Three minutes at ten times what the service can do.
pub(crate) fn minutes(shape: Shape) -> Scenario {
    Scenario { seconds: 180.0, ..steady(shape) }
}

/// A quarter of the requests takes a route ten times as expensive that nobody took before.
pub(crate) fn mix_shift(shape: Shape) -> Scenario {
    changing(shape, Change::Costly(0.25), Change::Costly(0.0))
}

/// The same, but a fiftieth of the requests took that route before, and do after.
pub(crate) fn known_mix_shift(shape: Shape) -> Scenario {
    let mut scenario = changing(shape, Change::Costly(0.25), Change::Costly(0.02));
    scenario.changes.insert(0, (0.0, Change::Costly(0.02)));
    scenario
}

/// Half of what the service can do, then ten times, then half again.
pub(crate) fn step(shape: Shape) -> Scenario {
    let changes = vec![(CHANGE.0, Change::Load(10.0)), (CHANGE.1, Change::Load(0.5))];
    Scenario { load: 0.5, seconds: 105.0, changes, ..steady(shape) }
}

/// Twenty minutes at three times what the service can do.
pub(crate) fn long(shape: Shape) -> Scenario {
    Scenario { load: 3.0, seconds: 1200.0, ..steady(shape) }
}
