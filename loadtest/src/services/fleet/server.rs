//! One server: its model, what it holds beside it, and how well it is.

use std::time::Duration;

use crate::ledger::Sample;
use crate::origin::model::{Done, Model};
use crate::scenario::{Scenario, ServiceIndex};
use crate::services::timeline::Timeline;

/// The instant of a completion is rounded to a nanosecond; a model that is moved this much further has certainly passed it.
const ROUNDING: Duration = Duration::from_nanos(1);

#[derive(Debug)]
pub(super) struct Server {
    pub(super) service: ServiceIndex,
    pub(super) number: u8,
    pub(super) timeline: Timeline,
    /// Listens, as of the last step.
    pub(super) open: bool,
    /// Only fails, as of the last step.
    pub(super) sinkhole: bool,
    /// In flight and not in the model: it waits for a service that it needs, or hangs.
    pub(super) held: usize,
    model: Model<u64>,
    /// Of the model, as of its last change.
    due: Option<Duration>,
    bound: usize,
    /// Of one healthy server, a second.
    healthy: f64,
    /// What is left of it since the last step.
    share: f64,
    capacity: f64,
}

impl Server {
    pub(super) fn new(scenario: &Scenario, service: ServiceIndex, number: u8) -> Option<Self> {
        let definition = scenario.services.get(usize::from(service))?;
        let mut server = Self {
            service,
            number,
            timeline: Timeline::of(scenario, service, number),
            open: false,
            sinkhole: false,
            held: 0,
            model: Model::new(definition.curve, usize::MAX),
            due: None,
            bound: usize::try_from(definition.in_flight).unwrap_or(usize::MAX),
            healthy: definition.curve.capacity(),
            share: 0.0,
            capacity: 0.0,
        };
        server.look(Duration::ZERO);
        Some(server)
    }

    /// Requests in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.model.in_flight() + self.held
    }

    pub(super) fn is_full(&self) -> bool {
        self.in_flight() >= self.bound
    }

    /// An instant at which the next completion has happened.
    pub(super) const fn due(&self) -> Option<Duration> {
        self.due
    }

    fn changed(&mut self) {
        self.due = self.model.next_due().and_then(|due| due.checked_add(ROUNDING));
    }

    /// Moves the model to `now`.
    pub(super) fn advance(&mut self, now: Duration, done: impl FnMut(Done<u64>)) {
        self.model.advance(now, done);
        self.changed();
    }

    /// Starts what was held until now.
    pub(super) fn start(&mut self, work: f64, call: u64) {
        self.held = self.held.saturating_sub(1);
        // The model has no bound of its own: this server's counts what is held as well.
        self.model.start(work, call).ok();
        self.changed();
    }

    /// Everything it holds is lost.
    pub(super) fn break_off(&mut self) {
        self.model.break_off();
        self.held = 0;
        self.changed();
    }

    /// Counts the capacity there was for `span` until now; before [`Server::look`].
    pub(super) fn count(&mut self, span: Duration) {
        self.capacity += self.healthy * self.share * span.as_secs_f64();
    }

    /// Takes on what the timeline says of this instant.
    pub(super) fn look(&mut self, at: Duration) {
        self.open = self.timeline.is_open(at);
        self.sinkhole = self.timeline.is_sinkhole(at);
        self.share = self.timeline.capacity(at);
        self.model.set_conditions(self.timeline.conditions(at));
        self.changed();
    }

    pub(super) fn sample(&self, at: Duration) -> Sample {
        Sample {
            at: super::micros(at),
            service: self.service,
            server: self.number,
            in_flight: super::narrow(self.in_flight()),
            work: self.model.work(),
            capacity: self.capacity,
        }
    }
}
