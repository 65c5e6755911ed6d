//! All servers of all services of a scenario, as a state machine: who is in flight where, what becomes of whom, and when.
//!
//! A request is a *call*: it comes from a socket or from a call of a service that needs this one, takes a place in flight at a server, calls
//! what it needs in turn, and then works under processor sharing ([`Model`](crate::origin::model::Model)).
//!
//! **Invariants**: everything happens at its exact instant and in order of time however late [`Fleet::advance`] is called, across servers too;
//! a place is free before the answer is out. Work goes on when the caller has gone. Every request that arrived is recorded once, when it has
//! ended. Each [`TICK`] every server is sampled. The same scenario, seed and arrivals give the same records and samples.
//! **Cost**: O(servers + log n) an event; about 300 bytes a request in flight.
//! **Not here**: clocks, sockets, files: time is an argument, callers are a type of the caller's.

mod call;
mod server;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use self::call::Call;
use self::server::Server;
use super::draw::Draws;
use super::keys::Keys;
use crate::ledger::{Effect, RequestId, Sample, Served};
use crate::origin::model::Done;
use crate::scenario::{Scenario, Service, ServiceIndex};

/// Grain of the samples, and of a warm-up, unless another is set.
pub const TICK: Duration = Duration::from_millis(50);

/// The stage of a request for none of the scenario's.
pub const NO_STAGE: u8 = u8::MAX;

/// Who waits for an answer.
pub trait Caller {
    /// Hands the answer over; answers whether the caller was still there.
    fn hear(self, answer: Answer) -> bool;

    /// Whether the caller is still there.
    fn is_there(&self) -> bool;
}

/// What a caller is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 201 with this registration number.
    Registered(u32),
    /// 200 with the number of the first time.
    Known(u32),
    /// 201 that breaks off in the middle.
    Cut(u32),
    /// This status, and nothing was done that it tells of.
    Failed(u16),
    /// 503, with a pause that is asked for.
    Later(Option<Duration>),
    /// Nothing: the connection breaks.
    Lost,
}

impl Answer {
    /// Its status; 0: it has none.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Registered(_) | Self::Cut(_) => 201,
            Self::Known(_) => 200,
            Self::Failed(status) => status,
            Self::Later(_) => 503,
            Self::Lost => 0,
        }
    }

    /// Whether who is there gets all of it.
    const fn is_whole(self) -> bool {
        !matches!(self, Self::Cut(_) | Self::Lost)
    }
}

/// What a request says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit {
    /// Its number, if it has one.
    pub id: Option<RequestId>,
    /// Its stage, or [`NO_STAGE`].
    pub stage: u8,
    /// Hash of its key; 0: none.
    pub key: u64,
}

/// All servers of all services; `C` is who waits for an answer.
#[derive(Debug)]
pub struct Fleet<C> {
    services: Vec<State>,
    servers: Vec<Server>,
    calls: HashMap<u64, Call<C>>,
    next_call: u64,
    draws: Draws,
    /// How often a request has failed by a draw: its repetition is drawn anew.
    failed: HashMap<(ServiceIndex, RequestId), u32>,
    strangers: u32,
    now: Duration,
    tick: Duration,
    next_tick: Duration,
    last_step: Duration,
    /// Those to come, the next one last.
    edges: Vec<Duration>,
    finished: VecDeque<(usize, Done<u64>)>,
    served: Vec<Served>,
    samples: Vec<Sample>,
}

#[derive(Debug)]
struct State {
    definition: Service,
    keys: Keys,
    servers: Range<usize>,
}

impl<C: Caller> Fleet<C> {
    /// The services of `scenario` at the start of a run, idle.
    #[must_use]
    pub fn new(scenario: &Scenario, seed: u64) -> Self {
        let (mut services, mut servers) = (Vec::new(), Vec::new());
        for (index, definition) in (0..).zip(&scenario.services) {
            let first = servers.len();
            let numbers = 0..definition.servers.saturating_add(definition.reserve);
            servers.extend(numbers.filter_map(|number| Server::new(scenario, index, number)));
            let keys = Keys::new(definition.idempotent);
            services.push(State { definition: definition.clone(), keys, servers: first..servers.len() });
        }
        let mut edges: Vec<_> = servers.iter().flat_map(|server| server.timeline.edges()).collect();
        edges.sort_by(|a, b| b.cmp(a));
        edges.dedup();
        Self {
            services,
            servers,
            calls: HashMap::new(),
            next_call: 0,
            draws: Draws::new(seed),
            failed: HashMap::new(),
            strangers: 0,
            now: Duration::ZERO,
            tick: TICK,
            next_tick: Duration::ZERO,
            last_step: Duration::ZERO,
            edges,
            finished: VecDeque::new(),
            served: Vec::new(),
            samples: Vec::new(),
        }
    }

    /// Samples every `tick` instead of every [`TICK`].
    #[must_use]
    pub fn sampled_every(self, tick: Duration) -> Self {
        Self { tick, ..self }
    }

    /// Position of a server among all: what the other functions call `server`.
    #[must_use]
    pub fn position(&self, service: ServiceIndex, number: u8) -> Option<usize> {
        let mut servers = self.services.get(usize::from(service))?.servers.clone();
        servers.nth(usize::from(number))
    }

    /// A whole request for a stage of this service has come. Answers the number of the call, for [`Fleet::gone`].
    pub fn arrive(&mut self, now: Duration, server: usize, visit: Visit, caller: C) -> u64 {
        self.advance(now);
        let call = self.next_call;
        self.enter(server, call::From::Socket(caller), visit);
        self.drain();
        call
    }

    /// A request that is no work has come: a probe, or for something that is not here. It is recorded, and answered at once with what this
    /// gives.
    #[must_use]
    pub fn glance(&mut self, now: Duration, server: usize, visit: Visit, answer: Answer) -> Answer {
        self.advance(now);
        let Some(state) = self.servers.get(server) else { return Answer::Lost };
        let answer = if state.sinkhole { Answer::Failed(call::BROKEN) } else { answer };
        let in_flight = state.in_flight();
        self.record(server, visit, answer.status(), in_flight);
        answer
    }

    /// Whoever waited for this call has gone. What works goes on; what hangs ends.
    pub fn gone(&mut self, now: Duration, call: u64) {
        self.advance(now);
        self.release(call);
        self.drain();
    }

    /// Moves time to `now`: everything due by then happens.
    pub fn advance(&mut self, now: Duration) {
        loop {
            let step = self.next_step();
            let next = self.servers.iter().filter_map(Server::due).min().map_or(step, |due| due.min(step));
            if next > now {
                break;
            }
            self.now = self.now.max(next);
            if next == step {
                self.run(|_| true);
                self.step(step);
            } else {
                self.run(|server| server.due().is_some_and(|due| due <= next));
            }
        }
        // Models that have nothing to give until then stay behind: they are moved when somebody comes to them.
        self.now = self.now.max(now);
    }

    /// When the next thing happens if nobody comes.
    #[must_use]
    pub fn next_due(&self) -> Duration {
        let step = self.next_step();
        self.servers.iter().filter_map(Server::due).min().map_or(step, |due| due.min(step))
    }

    /// Everything in flight is lost, as at the end of the run.
    pub fn end(&mut self, now: Duration) {
        self.advance(now);
        for server in 0..self.servers.len() {
            self.break_off(server);
        }
        self.drain();
    }

    /// Gives away what was recorded since the last time: requests that ended, and samples.
    #[must_use]
    pub fn take(&mut self) -> (Vec<Served>, Vec<Sample>) {
        (std::mem::take(&mut self.served), std::mem::take(&mut self.samples))
    }

    fn next_step(&self) -> Duration {
        self.edges.last().map_or(self.next_tick, |edge| self.next_tick.min(*edge))
    }

    /// Moves the models of these servers to now.
    fn run(&mut self, which: impl Fn(&Server) -> bool) {
        for (index, server) in self.servers.iter_mut().enumerate().filter(|(_, server)| which(server)) {
            server.advance(self.now, |done| self.finished.push_back((index, done)));
        }
        self.drain();
    }

    fn drain(&mut self) {
        while let Some((server, done)) = self.finished.pop_front() {
            self.complete(server, &done);
        }
    }

    /// What changes at this instant changes; before, the models are where they belong.
    fn step(&mut self, at: Duration) {
        let span = at.saturating_sub(self.last_step);
        self.last_step = at;
        let is_edge = self.edges.pop_if(|edge| *edge == at).is_some();
        for server in &mut self.servers {
            server.count(span);
            if at == self.next_tick {
                self.samples.push(server.sample(at));
            }
            server.look(at);
        }
        if at == self.next_tick {
            self.next_tick = at + self.tick;
        }
        if is_edge {
            for server in 0..self.servers.len() {
                if self.servers.get(server).is_some_and(|server| server.timeline.breaks(at)) {
                    self.break_off(server);
                }
            }
            self.drain();
        }
    }
}

pub(super) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Nothing was changed, and nobody heard of it.
const fn unheard(visit: Visit, service: ServiceIndex, server: u8) -> Served {
    Served {
        id: visit.id,
        service,
        server,
        effect: Effect::Nothing,
        status: 0,
        heard: false,
        stage: visit.stage,
        in_flight: 0,
        started: 0,
        done: 0,
        work: 0.0,
        key: visit.key,
    }
}
