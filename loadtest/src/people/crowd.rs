//! The people of one worker: who is there, who sleeps until when, and whose request is on its way.
//!
//! **Invariants**: every request that was sent is written into the ledger once, when it has ended, or as open when the run has. A person who
//! sleeps has no task and no connection: only an entry in the queue of timers.
//! **Cost**: somebody who sleeps 150 bytes and what he was given.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::JoinSet;

use super::progress::Counts;
use super::route::{Lanes, Route, Sheets};
use super::slice::{Member, together};
use crate::ledger::{Ending, NONE, RequestId, Told, Word, Writer};
use crate::scenario::Scenario;
use crate::scenario::persona::{Attack, Persona, Protocol, Source};
use crate::visitor::answer::Answer;
use crate::visitor::draw::micros;
use crate::visitor::{self, Action, Event, Jar, Micros, Scene, Slot, Spent, Visitor};
use crate::wire::http1::Kept;
use crate::wire::{Call, Landed, Way, Wire, source};

/// A connection of one's own is kept for whoever comes again within this: as long as servers usually wait.
const SOON: Micros = 5_000_000;

/// Of this share of the sockets none is kept for later: somebody needs it now.
const SPARE: usize = 10;

/// Somebody who is there.
#[derive(Debug)]
struct Present {
    visitor: Visitor,
    lanes: Lanes,
    kept: Option<Box<Kept>>,
}

/// A request that has ended.
pub(super) struct Flight {
    member: u32,
    slot: Slot,
    landed: Landed,
}

/// The people of one worker.
pub(super) struct Crowd {
    pub(super) counts: Counts,
    scenario: Arc<Scenario>,
    members: Vec<Member>,
    present: Vec<Option<Box<Present>>>,
    arrived: usize,
    timers: BinaryHeap<Reverse<(Micros, u32, Slot)>>,
    open: HashMap<(u32, Slot), Told>,
    offices: HashMap<u32, Jar>,
    spent: Spent,
    route: Route,
    sheets: Sheets,
    seed: u64,
    wire: Arc<Wire>,
    sockets: usize,
    ledger: Writer<Told>,
    actions: Vec<Action>,
}

/// What a crowd is made of.
pub(super) struct Parts {
    pub(super) scenario: Arc<Scenario>,
    pub(super) members: Vec<Member>,
    pub(super) route: Route,
    pub(super) sheets: Sheets,
    pub(super) seed: u64,
    pub(super) wire: Arc<Wire>,
    pub(super) ledger: Writer<Told>,
    pub(super) counts: Counts,
}

impl Crowd {
    /// Nobody has come yet.
    pub(super) fn new(parts: Parts) -> Self {
        let Parts { scenario, members, route, sheets, seed, wire, ledger, counts } = parts;
        let present = members.iter().map(|_| None).collect();
        Self {
            counts,
            scenario,
            present,
            members,
            arrived: 0,
            timers: BinaryHeap::new(),
            open: HashMap::new(),
            offices: HashMap::new(),
            spent: Spent::default(),
            route,
            sheets,
            seed,
            sockets: wire.free(),
            wire,
            ledger,
            actions: Vec::new(),
        }
    }

    /// When something is due next.
    pub(super) fn next(&self) -> Option<Micros> {
        let arrival = self.members.get(self.arrived).map(|member| micros(member.person.arrives));
        let timer = self.timers.peek().map(|Reverse((at, ..))| *at);
        arrival.into_iter().chain(timer).min()
    }

    /// Whether everybody has come and gone.
    pub(super) fn is_over(&self) -> bool {
        self.arrived == self.members.len() && self.open.is_empty() && self.counts.present() == 0
    }

    /// Requests on their way.
    pub(super) fn in_flight(&self) -> usize {
        self.open.len()
    }

    /// Does what is due first, if it is due at `now`; whether it was.
    pub(super) fn act(&mut self, now: Micros, flights: &mut Flights) -> bool {
        let Some(due) = self.next().filter(|due| *due <= now) else { return false };
        let arrives = self.members.get(self.arrived).filter(|member| micros(member.person.arrives) == due);
        match (arrives.copied(), u32::try_from(self.arrived)) {
            (Some(member), Ok(index)) => {
                self.arrived += 1;
                self.counts.arrived();
                if let Some(persona) = self.scenario.personas.get(usize::from(member.person.persona)) {
                    let visitor = Visitor::new(persona, member.person.seed, due);
                    if let Some(place) = self.present.get_mut(index as usize) {
                        *place = Some(Box::new(Present { visitor, lanes: Lanes::default(), kept: None }));
                    }
                }
                self.step(index, Event::Started, due, now, flights);
            }
            _ => {
                if let Some(Reverse((at, member, slot))) = self.timers.pop() {
                    self.step(member, Event::Timer(slot), at, now, flights);
                }
            }
        }
        true
    }

    /// A request has ended.
    pub(super) fn land(&mut self, flight: Flight, now: Micros, flights: &mut Flights) -> io::Result<()> {
        let Flight { member, slot, landed } = flight;
        let Some(mut told) = self.open.remove(&(member, slot)) else { return Ok(()) };
        (told.sent, told.ended) = (micros(landed.sent), micros(landed.ended));
        let answer = match &landed.reply {
            Ok(reply) => {
                let wall = SystemTime::now();
                let answer = Answer::read(told.kind, reply.status, &reply.fields, &reply.body, wall);
                tell(&mut told, &answer);
                Some(answer)
            }
            Err(ending) => {
                told.ending = *ending;
                None
            }
        };
        self.ledger.append(&told)?;
        self.counts.ended(told.sent.saturating_sub(told.intended), told.ending == Ending::Harness);
        self.counts.heard(told.word);
        if let Some(present) = self.at(member) {
            present.kept = landed.kept.map(Box::new);
        }
        let event = answer.as_ref().map_or(Event::Ended(slot, told.ending), |answer| Event::Answer(slot, answer));
        let comes = self.step(member, event, told.ended, now, flights);
        // A connection that is not used soon, or that somebody else needs, is closed.
        let scarce = self.wire.free() < self.sockets / SPARE;
        if (scarce || comes.is_none_or(|comes| comes > told.ended.saturating_add(SOON)))
            && let Some(present) = self.at(member)
        {
            present.kept = None;
        }
        Ok(())
    }

    /// The run has ended: whoever waits, waits for ever.
    pub(super) fn close(&mut self, now: Micros) -> io::Result<()> {
        for (_, told) in self.open.drain() {
            self.ledger.append(&Told { ended: now, ..told })?;
        }
        self.ledger.flush()
    }

    /// What was written survives this process.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.ledger.flush()
    }

    fn at(&mut self, member: u32) -> Option<&mut Present> {
        self.present.get_mut(member as usize)?.as_deref_mut()
    }

    /// `event` happened to `member` at `at`, and it is `now`. When he comes again, if he does.
    fn step(
        &mut self,
        member: u32,
        event: Event<'_>,
        at: Micros,
        now: Micros,
        flights: &mut Flights,
    ) -> Option<Micros> {
        let who = *self.members.get(member as usize)?;
        let scenario = Arc::clone(&self.scenario);
        let persona = scenario.personas.get(usize::from(who.person.persona))?;
        let mut actions = std::mem::take(&mut self.actions);
        let office = matches!(persona.source, Source::Office(_)).then_some(who.person.address);
        let present = self.present.get_mut(member as usize)?.as_deref_mut()?;
        let mut scene = Scene {
            persona,
            stages: &scenario.stages,
            tickets: self.route.is_gateway(),
            office: office.map(|office| self.offices.entry(office).or_default()),
            spent: &mut self.spent,
        };
        present.visitor.step(event, at, &mut scene, &mut actions);
        let mut comes = None;
        for action in actions.drain(..) {
            match action {
                Action::Send(request) => {
                    comes = Some(at);
                    self.send(member, persona, &who, &request, now, flights);
                }
                Action::Sleep(slot, until) => {
                    comes = Some(comes.map_or(until, |comes: Micros| comes.min(until)));
                    self.timers.push(Reverse((until, member, slot)));
                }
                Action::Flood { connections, until } => self.flood(&who, connections, until, flights),
                Action::Leave(outcome) => self.counts.left(outcome),
            }
        }
        self.actions = actions;
        let place = self.present.get_mut(member as usize)?;
        if place.as_ref().is_some_and(|present| present.visitor.is_over()) {
            *place = None;
        }
        comes
    }

    fn send(
        &mut self,
        member: u32,
        persona: &Persona,
        who: &Member,
        request: &visitor::Request,
        now: Micros,
        flights: &mut Flights,
    ) {
        let slot = request.slot;
        let id = RequestId { person: who.number, request: request.number };
        let told = Told::sent(id, request.stage, request.kind, request.intended, now);
        let told = Told { tab: slot, shown: request.shown.is_something(), ..told };
        let Some(call) = self.call(member, persona, who, request) else { return };
        self.open.insert((member, slot), told);
        let wire = Arc::clone(&self.wire);
        flights.requests.spawn(async move { Flight { member, slot, landed: wire.carry(call).await } });
    }

    fn call(&mut self, member: u32, persona: &Persona, who: &Member, request: &visitor::Request) -> Option<Call> {
        let rate = match persona.attack {
            Some(Attack::SlowBody { rate }) => Some(rate),
            _ => persona.upload,
        };
        let to = self.route.address(request.stage, who.number)?;
        let from = source::address(who.person.address);
        let http = self.sheets.request(request, who.number, self.seed, rate)?;
        let present = self.present.get_mut(member as usize)?.as_deref_mut()?;
        let way = match (persona.attack, persona.protocol) {
            (Some(Attack::SlowHead { rate }), _) => Way::SlowHead(rate),
            (_, Protocol::Http1) => Way::Http1(present.kept.take().map(|kept| *kept)),
            (_, Protocol::Http2 { .. }) => {
                Way::Http2(self.route.lane(&mut present.lanes, to, from, together(persona, who)))
            }
        };
        let deadline = Duration::from_micros(request.deadline);
        Some(Call { to, from, way, request: http, deadline })
    }

    fn flood(&self, who: &Member, connections: u32, until: Micros, flights: &mut Flights) {
        let Some(to) = self.route.address(0, who.number) else { return };
        let from = source::address(who.person.address);
        let until = Duration::from_micros(until);
        for _ in 0..connections {
            let wire = Arc::clone(&self.wire);
            flights.silent.spawn(async move { wire.keep_silent(from, to, until).await });
        }
    }
}

/// Tasks of a crowd.
#[derive(Default)]
pub(super) struct Flights {
    /// One for each request on its way.
    pub(super) requests: JoinSet<Flight>,
    /// One for each silent connection.
    pub(super) silent: JoinSet<()>,
}

/// Writes what `answer` said into `told`.
pub(crate) fn tell(told: &mut Told, answer: &Answer) {
    told.ending = Ending::Answered;
    told.word = answer.word;
    told.status = answer.status;
    told.retry_after = answer.retry_after.unwrap_or(NONE);
    told.place = answer.place.unwrap_or(NONE);
    told.ahead = answer.ahead.unwrap_or(NONE);
    (told.eta_p50, told.eta_p90) = answer.eta.unwrap_or((NONE, NONE));
    debug_assert_ne!(told.word, Word::Nothing, "an answer says something");
}
