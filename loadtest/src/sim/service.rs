//! The services in virtual time: who listens, and what they have answered.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::key::Key;
use super::setup;
use crate::ledger::{Sample, Served, key_hash};
use crate::scenario::Scenario;
use crate::services::fleet::{Answer, Caller, Fleet, TICK, Visit};
use crate::services::timeline::Timeline;

/// A day that is longer than this is sampled less often …
const LONG: Duration = Duration::from_hours(2);
/// … only this often: figures and invariants look at seconds.
const COARSE: Duration = Duration::from_secs(1);

/// Answers that were given and have not been heard.
type Heard = Rc<RefCell<Vec<(u64, Answer)>>>;

/// The gateway's end of an exchange.
#[derive(Debug)]
pub(super) struct Ear {
    flight: u64,
    heard: Heard,
}

impl Caller for Ear {
    fn hear(self, answer: Answer) -> bool {
        self.heard.borrow_mut().push((self.flight, answer));
        true
    }

    fn is_there(&self) -> bool {
        true
    }
}

/// All services.
#[derive(Debug)]
pub(super) struct Services {
    fleet: Fleet<Ear>,
    heard: Heard,
    /// Of each service, each of its servers.
    timelines: Vec<Vec<Timeline>>,
    /// When something happens there, if nobody comes.
    due: Duration,
}

impl Services {
    pub(super) fn new(scenario: &Scenario, seed: u64) -> Self {
        let of = |(index, service): (u8, &crate::scenario::Service)| {
            let servers = 0..service.servers.saturating_add(service.reserve);
            servers.map(|server| Timeline::of(scenario, index, server)).collect()
        };
        let timelines = (0..).zip(&scenario.services).map(of).collect();
        let fleet = Fleet::new(scenario, seed).sampled_every(grain(scenario));
        let due = fleet.next_due();
        Self { fleet, heard: Heard::default(), timelines, due }
    }

    /// When something happens there, if nobody comes.
    pub(super) const fn due(&self) -> Duration {
        self.due
    }

    /// It is `now`.
    pub(super) fn advance(&mut self, now: Duration) {
        self.fleet.advance(now);
        self.due = self.fleet.next_due();
    }

    /// Whoever waited for `call` has gone.
    pub(super) fn gone(&mut self, now: Duration, call: u64) {
        self.fleet.gone(now, call);
        self.due = self.fleet.next_due();
    }

    /// The day is over; everything that was written down.
    pub(super) fn end(&mut self, now: Duration) -> (Vec<Served>, Vec<Sample>) {
        self.fleet.end(now);
        self.fleet.take()
    }

    /// Whether the server with this `authority` of `service` takes connections.
    pub(super) fn is_open(&self, service: u8, authority: &str, now: Duration) -> bool {
        let timeline = self.timelines.get(usize::from(service)).and_then(|all| all.get(usize::from(server(authority))));
        timeline.is_some_and(|timeline| timeline.is_open(now))
    }

    /// `flight` arrives there, whole. Answers the number of the call.
    pub(super) fn arrive(
        &mut self,
        now: Duration,
        (service, authority): (u8, &str),
        visit: Visit,
        flight: u64,
    ) -> Option<u64> {
        let position = self.fleet.position(service, server(authority))?;
        let call = self.fleet.arrive(now, position, visit, Ear { flight, heard: Rc::clone(&self.heard) });
        self.due = self.fleet.next_due();
        Some(call)
    }

    /// Answers since the last time, into `out`.
    pub(super) fn take(&mut self, out: &mut Vec<(u64, Answer)>) {
        out.append(&mut self.heard.borrow_mut());
    }
}

/// Whether what is written down each tick of `scenario` would be more than all it consists of.
pub(super) fn is_long(scenario: &Scenario) -> bool {
    scenario.end() > LONG
}

/// Grain of the samples.
fn grain(scenario: &Scenario) -> Duration {
    if is_long(scenario) { COARSE } else { TICK }
}

/// Hash of a person's key, as services log it.
pub(super) fn key_of(key: &Key) -> u64 {
    key_hash(key.as_bytes())
}

fn server(authority: &str) -> u8 {
    authority.rsplit(':').next().and_then(|port| port.parse().ok()).map_or(0, setup::server)
}
