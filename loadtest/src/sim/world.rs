//! The day: whatever happens next happens, until everybody has gone or the day is over.
//!
//! **Invariants**: at one instant first what is due of people and requests in the order in which it was planned, then services, then chores; and
//! after each everything that follows from it at once.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use weir::proxy::upload::LARGE_MAX;

use super::acquaintance::Who;
use super::chores::{self, Chores};
use super::flight::{Flight, State, Woken};
use super::gateway::{Gateway, Said as Request};
use super::key::Key;
use super::present::Present;
use super::queue::{Event, Queue};
use super::recorder::Recorder;
use super::said::Inquiry;
use super::service::{self, Services};
use super::setup::{self, Configured, Unbuilt};
use super::spread::Spread;
use crate::ledger::{Ending, Kind, RequestId, Told};
use crate::oracle::Ledgers;
use crate::people::progress::{Counts, Progress};
use crate::people::tell;
use crate::population::Person;
use crate::scenario::Scenario;
use crate::scenario::fault::{FaultKind, GatewayFault, ServiceFault};
use crate::scenario::persona::Attack;
use crate::services::fleet::Answer as Served;
use crate::visitor::draw::micros;
use crate::visitor::{self, Action, Answer, Micros, Slot};
use crate::wire::source;

/// A gateway that was stopped is back after this, beyond what the fault says.
const BACK: Duration = Duration::from_millis(200);

/// What was simulated.
#[derive(Debug)]
pub struct Simulated {
    /// As those of a run.
    pub ledgers: Ledgers,
    /// How it ended.
    pub progress: Progress,
    /// Instants at which something was done: what a simulation takes, whatever the machine.
    pub turns: u64,
}

/// What somebody hears.
type Hears = (u32, Slot, Result<Answer, Ending>);

/// Everything there is.
#[derive(Debug)]
pub(super) struct World<'a> {
    scenario: &'a Scenario,
    seed: u64,
    configured: Configured,
    pub(super) gateway: Gateway,
    pub(super) services: Services,
    pub(super) queue: Queue,
    present: Present<'a>,
    pub(super) flights: HashMap<u64, Box<Flight>, Spread>,
    flown: u64,
    pub(super) woken: Woken,
    /// Visits that are held, by room and number, since.
    pub(super) holding: BTreeMap<(u32, u64), (u64, Micros)>,
    /// Exchanges under way.
    pub(super) working: usize,
    hears: VecDeque<Hears>,
    /// What somebody wants, between two of his steps: kept for its memory.
    actions: Vec<Action>,
    /// Who acts in a moment, as far as he was not looked at: kept for its memory.
    soon: Vec<u32>,
    inquiry: Inquiry,
    turns: u64,
    chores: Chores,
    servers: Vec<u8>,
    /// The gateway is away until then.
    away: Duration,
    /// A token comes then for which somebody in line waits; of several looks the earliest, as weir's own timer has it.
    token: Micros,
    /// Something may have changed at a gate since it was last asked when a token comes.
    pub(super) is_stirred: bool,
    counts: Counts,
    ledgers: Ledgers,
    told: Recorder,
}

impl<'a> World<'a> {
    pub(super) fn new(
        scenario: &'a Scenario,
        people: &'a [Person],
        seed: u64,
        configured: Configured,
    ) -> Result<Self, Unbuilt> {
        // weir's own draws: this thread is all there is.
        fastrand::seed(seed);
        let servers = setup::initial(scenario);
        let plan = configured.plan(scenario, &servers)?;
        let mut queue = Queue::default();
        for (index, fault) in (0..).zip(&scenario.faults) {
            queue.push(micros(fault.at), Event::Fault(index));
        }
        Ok(Self {
            scenario,
            seed,
            configured,
            gateway: Gateway::new(plan, scenario, people.len(), seed)?,
            services: Services::new(scenario, seed),
            queue,
            present: Present::new(scenario, people),
            flights: HashMap::default(),
            flown: 0,
            woken: Woken::default(),
            holding: BTreeMap::new(),
            working: 0,
            hears: VecDeque::new(),
            actions: Vec::new(),
            soon: Vec::new(),
            inquiry: Inquiry::new(service::is_long(scenario)),
            turns: 0,
            chores: Chores::default(),
            servers,
            away: Duration::ZERO,
            token: Micros::MAX,
            is_stirred: false,
            counts: Counts::new()?,
            ledgers: Ledgers::default(),
            told: Recorder::new(people.len()),
        })
    }

    pub(super) fn run(mut self) -> Result<Simulated, Unbuilt> {
        let end = self.scenario.end();
        while let Some(now) = self.next().filter(|now| *now <= end) {
            self.turns += 1;
            self.foresee();
            self.gateway.turn(now);
            if self.present.next().is_some_and(|at| Duration::from_micros(at) <= now) {
                self.arrive();
            } else if Duration::from_micros(self.token) <= now {
                (self.token, self.is_stirred) = (Micros::MAX, true);
                self.gateway.core.gates().dispatcher.look();
            } else if self.queue.next().is_some_and(|at| Duration::from_micros(at) <= now) {
                self.happen()?;
            } else if self.services.due() <= now {
                self.services.advance(now);
            } else {
                self.is_stirred = true;
                if self.chores.act(&self.gateway, self.working > 0) {
                    self.notice();
                    let is_idle = self.flights.is_empty();
                    self.inquiry.ask(&self.gateway, is_idle, &mut self.ledgers.said);
                }
            }
            self.settle();
        }
        Ok(self.close(end))
    }

    /// Has what is remembered of those who act in a moment brought near: a day's people do not fit into a processor's caches, and to wait for
    /// the memory of one after the other would be most of the time that a day takes.
    fn foresee(&mut self) {
        self.queue.opened(&mut self.soon);
        if !self.soon.is_empty() {
            self.present.foresee(&self.soon);
            self.gateway.acquaintances.foresee(&self.soon);
            self.soon.clear();
        }
    }

    /// When something happens next; none: nobody is left.
    fn next(&self) -> Option<Duration> {
        if self.present.is_over() && self.flights.is_empty() {
            return None;
        }
        let planned = self.present.next().into_iter().chain(self.queue.next()).fold(self.token, Micros::min);
        let service = self.services.due();
        let chore = self.chores.next(self.working > 0);
        Some(Duration::from_micros(planned).min(service).min(chore).max(self.gateway.now))
    }

    /// Whole microseconds since the start.
    pub(super) fn now(&self) -> Micros {
        micros(self.gateway.now)
    }

    fn arrive(&mut self) {
        if let Some((number, at)) = self.present.arrive() {
            self.counts.arrived();
            self.step(number, visitor::Event::Started, at);
        }
    }

    fn happen(&mut self) -> Result<(), Unbuilt> {
        let Some((at, event)) = self.queue.pop() else { return Ok(()) };
        match event {
            Event::Timer(number, slot) => self.step(number, visitor::Event::Timer(slot), at),
            Event::Fault(index) => self.fault(index as usize)?,
            Event::BreakOff(id)
            | Event::Uploaded(id)
            | Event::Expire(id)
            | Event::Look(id)
            | Event::Silence(id)
            | Event::Abandon(id) => self.due(id, event),
        }
        Ok(())
    }

    /// Everything that follows at this instant.
    fn settle(&mut self) {
        let mut answers: Vec<(u64, Served)> = Vec::new();
        loop {
            self.services.take(&mut answers);
            let woken = self.woken.take();
            if answers.is_empty() && woken.is_empty() && self.hears.is_empty() {
                break;
            }
            for (id, answer) in answers.drain(..) {
                self.served(id, answer);
            }
            for id in woken {
                self.woken(id);
            }
            while let Some((number, slot, heard)) = self.hears.pop_front() {
                let event = match &heard {
                    Ok(answer) => visitor::Event::Answer(slot, answer),
                    Err(ending) => visitor::Event::Ended(slot, *ending),
                };
                self.step(number, event, self.now());
            }
        }
        if std::mem::take(&mut self.is_stirred)
            && let Some(tick) = chores::token(&self.gateway)
        {
            self.token = self.token.min(tick.as_nanos().div_ceil(1_000));
        }
    }

    /// `event` happened to somebody.
    fn step(&mut self, number: u32, event: visitor::Event<'_>, at: Micros) {
        let mut actions = std::mem::take(&mut self.actions);
        self.present.step(number, event, at, &mut actions);
        for action in actions.drain(..) {
            match action {
                Action::Send(request) => self.send(number, request),
                Action::Sleep(slot, until) => self.queue.push(until.max(self.now()), Event::Timer(number, slot)),
                Action::Flood { .. } => {}
                Action::Leave(outcome) => {
                    self.gateway.acquaintances.forget(number);
                    self.counts.left(outcome);
                }
            }
        }
        self.actions = actions;
    }

    fn send(&mut self, number: u32, request: visitor::Request) {
        let Some((person, persona)) = self.present.who(number) else { return };
        let id = RequestId { person: number, request: request.number };
        let told = Told::sent(id, request.stage, request.kind, request.intended, self.now());
        let told = Told { tab: request.slot, shown: request.shown.is_something(), ..told };
        let alone = (!request.same_key).then_some(request.number);
        let who = Who::new(number, persona, request.same_key);
        let said = Request {
            kind: request.kind,
            who,
            stage: request.stage,
            key: Key::new(self.seed, number, alone),
            anew: request.anew,
            shown: request.shown,
            address: source::address(person.address).into(),
        };
        let rate = match persona.attack {
            Some(Attack::SlowBody { rate }) => Some(rate),
            _ => persona.upload,
        };
        let body = self.scenario.stages.get(usize::from(request.stage)).map_or(0, |stage| stage.body);
        let upload = rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(body as f64 / rate.max(1) as f64));
        let Some(mut call) = self.gateway.begin(said) else { return };
        let slot = request.slot;
        if self.gateway.now < self.away {
            return self.hear(number, slot, told, Err(Ending::Unreachable));
        }
        self.flown += 1;
        let id = self.flown;
        let flight = |call| {
            let state = State::Moves;
            Box::new(Flight { person: number, slot, told, call, upload, body, is_there: true, state })
        };
        // Most requests are answered at once.
        match request.kind {
            Kind::Submit | Kind::Forged if body <= LARGE_MAX && !upload.is_zero() => self.read(id, flight(call)),
            Kind::Submit | Kind::Forged => match self.gateway.knock(&mut call) {
                Ok(()) => self.knocked(id, flight(call)),
                Err(answer) => return self.hear(number, slot, told, Ok(answer)),
            },
            Kind::Poll => match self.gateway.visit(&call, request.hold.unwrap_or_default()) {
                Ok(visit) if self.is_held(&visit) => self.hold(id, flight(call), visit),
                Ok(visit) => return self.hear(number, slot, told, Ok(Gateway::seen(&call, &visit))),
                Err(answer) => return self.hear(number, slot, told, Ok(answer)),
            },
            Kind::Leave => {
                let answer = self.gateway.leave(&call);
                return self.hear(number, slot, told, Ok(answer));
            }
        }
        if self.flights.contains_key(&id) {
            self.queue.push(request.deadline.max(self.now()), Event::BreakOff(id));
        }
    }

    /// The person of `flight`, if he is still there, hears this.
    pub(super) fn tell(&mut self, flight: &mut Flight, heard: Result<Answer, Ending>) {
        if !std::mem::replace(&mut flight.is_there, false) {
            return;
        }
        self.hear(flight.person, flight.slot, flight.told, heard);
    }

    /// `number` hears this.
    fn hear(&mut self, number: u32, slot: Slot, mut told: Told, heard: Result<Answer, Ending>) {
        told.ended = micros(self.gateway.now);
        match &heard {
            Ok(answer) => tell(&mut told, answer),
            Err(ending) => told.ending = *ending,
        }
        self.told.push(told);
        self.counts.ended(0, false);
        self.hears.push_back((number, slot, heard));
    }

    fn fault(&mut self, index: usize) -> Result<(), Unbuilt> {
        let Some(fault) = self.scenario.faults.get(index) else { return Ok(()) };
        match fault.kind {
            FaultKind::Service { service, kind: ServiceFault::AddServers(count), .. } => self.add(service, count)?,
            FaultKind::Gateway(GatewayFault::Reload) | FaultKind::Service { .. } | FaultKind::Network { .. } => {}
            FaultKind::Gateway(kind) => {
                self.away = self.away.max(self.gateway.now + fault.lasts + BACK);
                if kind == GatewayFault::Kill {
                    self.cut();
                }
            }
        }
        Ok(())
    }

    /// The gateway is told of further servers.
    fn add(&mut self, service: u8, count: u8) -> Result<(), Unbuilt> {
        if let Some(servers) = self.servers.get_mut(usize::from(service)) {
            *servers = servers.saturating_add(count);
        }
        let plan = self.configured.plan(self.scenario, &self.servers)?;
        self.gateway.core.replace_servers(&plan.upstreams)?;
        Ok(())
    }

    /// Everything that is at the gateway breaks.
    fn cut(&mut self) {
        let mut ids: Vec<u64> = self.flights.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let Some(mut flight) = self.flights.remove(&id) else { continue };
            if let State::Works { call, .. } = flight.state {
                self.services.gone(self.gateway.now, call);
            }
            if matches!(flight.state, State::Works { .. } | State::Sends(..)) {
                self.working -= 1;
            }
            self.tell(&mut flight, Err(Ending::Cut));
        }
        self.holding.clear();
    }

    /// The day is over: whoever waits, waits for ever.
    fn close(mut self, end: Duration) -> Simulated {
        let over = self.present.is_over();
        let at = if over { self.gateway.now } else { end };
        let mut open: Vec<_> = self.flights.drain().filter(|(_, flight)| flight.is_there).collect();
        open.sort_unstable_by_key(|(id, _)| *id);
        let in_flight = open.len();
        for (_, flight) in &open {
            self.told.push(Told { ended: micros(at), ..flight.told });
        }
        drop(open);
        self.ledgers.told = self.told.end();
        (self.ledgers.served, self.ledgers.samples) = self.services.end(at);
        let progress = self.counts.line(micros(at), in_flight, over);
        Simulated { ledgers: self.ledgers, progress, turns: self.turns }
    }
}
