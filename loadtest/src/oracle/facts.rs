//! What is known of a run beside its ledgers: the scenario as run, who came, and what the gateway was configured to promise.
//!
//! **Not here**: where it is read from (the command line), the ledgers (`evidence`).

use std::time::Duration;

use crate::scenario::{PersonaIndex, Scenario, ServiceIndex, StageIndex};

/// Order is judged between people who came at least so far apart: the way from the sending to the gateway's line leads through two threads,
/// each of which a busy machine interrupts for as long as the harness may be late.
pub const RESOLUTION: Duration = Duration::from_millis(100);

/// weir's default of `queue.wait`.
pub const HELD: Duration = Duration::from_secs(4);

/// So long weir holds a request of somebody who was called (`admission::route`), where `queue.wait` is not longer.
pub const HELD_CALLED: Duration = Duration::from_secs(10);

/// weir's default of `pass.wait`.
pub const HELD_INSIDE: Duration = Duration::from_secs(30);

/// What was run.
#[derive(Clone, Copy, Debug)]
pub struct Run<'a> {
    /// As it was run: times, counts and quota already divided by the time scale.
    pub scenario: &'a Scenario,
    /// Everybody who was to come, by the number in [`crate::ledger::RequestId`].
    pub people: &'a [Person],
    /// What the gateway promises.
    pub declared: &'a Declared,
}

/// Somebody who was to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    /// How he is.
    pub persona: PersonaIndex,
    /// When he comes, in microseconds from the start.
    pub arrives: u64,
    /// When he gives up for good.
    pub leaves: u64,
}

/// What the gateway's configuration promises, as far as the ledgers can prove it.
#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    /// Limits that are written down, not found.
    pub limits: Vec<Limit>,
    /// Whether a waiting room knows people by their `Idempotency-Key`; else a place is known by ticket or cookie alone.
    pub identity: bool,
    /// When newcomers are no longer taken, from the start.
    pub closes: Option<Duration>,
    /// A newcomer's request is held in line at most so long.
    pub held: Duration,
    /// The same for those who were called from a waiting room.
    pub held_called: Duration,
    /// The same for those who are in.
    pub held_inside: Duration,
    /// Whoever came no further apart than this may have come together.
    pub resolution: Duration,
}

/// A limit of the gateway in front of a service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// Which.
    pub service: ServiceIndex,
    /// Requests in flight at most.
    pub concurrency: Option<u32>,
    /// Requests a second, and how many at once after a pause.
    pub rate: Option<(f64, f64)>,
}

impl Default for Declared {
    fn default() -> Self {
        Self {
            limits: Vec::new(),
            identity: true,
            closes: None,
            held: HELD,
            held_called: HELD_CALLED,
            held_inside: HELD_INSIDE,
            resolution: RESOLUTION,
        }
    }
}

impl Run<'_> {
    /// The stage by which people come in: the first entrance, or else the first stage.
    #[must_use]
    pub fn entrance(&self) -> StageIndex {
        let first = self.scenario.stages.iter().position(|stage| stage.entrance).unwrap_or(0);
        StageIndex::try_from(first).unwrap_or(0)
    }

    /// The last stage.
    #[must_use]
    pub fn last(&self) -> StageIndex {
        StageIndex::try_from(self.scenario.stages.len().saturating_sub(1)).unwrap_or(StageIndex::MAX)
    }

    /// The service of `stage`.
    #[must_use]
    pub fn service_of(&self, stage: StageIndex) -> Option<ServiceIndex> {
        self.scenario.stages.get(usize::from(stage)).map(|stage| stage.service)
    }

    /// How often one person who comes in calls on each service on the whole way, in the mean: needed services included, and of a stage to
    /// which not everybody goes on only the share that does.
    #[must_use]
    pub fn visits(&self) -> Vec<f64> {
        let mut visits = vec![0.0; self.scenario.services.len()];
        let mut left: Vec<(ServiceIndex, usize, f64)> = Vec::new();
        let mut come = 1.0;
        for stage in &self.scenario.stages {
            left.push((stage.service, 0, come));
            come *= stage.goes_on;
        }
        // Who needs whom has no cycle; a bound all the same, because this walks what a file says.
        while let Some((service, depth, share)) = left.pop() {
            let Some(count) = visits.get_mut(usize::from(service)) else { continue };
            *count += share;
            if depth < self.scenario.services.len() {
                let needs = self.scenario.services.get(usize::from(service)).map_or(&[][..], |service| &service.needs);
                left.extend(needs.iter().map(|need| (*need, depth + 1, share)));
            }
        }
        visits
    }

    /// The service that can take the fewest people a second from the start.
    #[must_use]
    pub fn bottleneck(&self) -> ServiceIndex {
        let people = |(service, visits): (&crate::scenario::Service, &f64)| {
            service.curve.capacity() * f64::from(service.servers) / visits
        };
        let visits = self.visits();
        let rates = self.scenario.services.iter().zip(&visits).map(people).enumerate();
        let least = rates.min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(index, _)| index);
        ServiceIndex::try_from(least).unwrap_or(0)
    }
}

/// Microseconds from the start.
#[must_use]
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Seconds of `micros`.
#[must_use]
pub fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}
