//! Requests on their way: from their person through the gateway to a service, and back.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};
use std::time::Duration;

use weir::admission::verdict::Reason;
use weir::clock::Tick;
use weir::proxy::upload::LARGE_MAX;
use weir::proxy::visit::InService;
use weir::upstream::InFlight;

use super::gateway::{Admission, Call, Gateway, Waits};
use super::queue::Event;
use super::room::Visit;
use super::service::key_of;
use super::told;
use super::world::World;
use crate::ledger::{Ending, Told};
use crate::services::fleet;
use crate::visitor::draw::micros;
use crate::visitor::{Answer, Micros, Slot};

/// Turns are noticed within this (`weir::proxy::room::wicket`).
const LOOK: Micros = 250_000;

/// A request on its way.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) person: u32,
    pub(super) slot: Slot,
    pub(super) told: Told,
    pub(super) call: Call,
    /// So long its body takes.
    pub(super) upload: Duration,
    pub(super) body: u64,
    /// Its person waits for the answer.
    pub(super) is_there: bool,
    pub(super) state: State,
}

/// Where a request is.
#[derive(Debug)]
pub(super) enum State {
    /// Its body is read before it is asked about.
    Reads,
    /// It is held.
    Waits(Waits),
    /// It has a permit, and its body is on its way.
    Sends(InFlight<InService>, Tick),
    /// A service works on it.
    Works { exchange: InFlight<InService>, began: Tick, call: u64, silent: bool },
    /// A visit that is held, since.
    Held(Visit, Micros),
    /// It is being moved.
    Moves,
}

/// Wakes a request that is held.
#[derive(Debug)]
struct Bell {
    flight: u64,
    woken: Woken,
}

/// Requests whose turn may have come.
#[derive(Clone, Debug, Default)]
pub(super) struct Woken(Arc<Rung>);

#[derive(Debug, Default)]
struct Rung {
    /// Whether there may be any: asked after each of millions of visits that wake nobody.
    any: AtomicBool,
    flights: Mutex<Vec<u64>>,
}

impl Woken {
    fn push(&self, flight: u64) {
        self.flights().push(flight);
        self.0.any.store(true, Ordering::Release);
    }

    /// Those since the last time.
    pub(super) fn take(&self) -> Vec<u64> {
        if !self.0.any.load(Ordering::Acquire) {
            return Vec::new();
        }
        self.0.any.store(false, Ordering::Release);
        std::mem::take(&mut *self.flights())
    }

    fn flights(&self) -> MutexGuard<'_, Vec<u64>> {
        self.0.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.woken.push(self.flight);
    }
}

/// What wakes `flight`.
pub(super) fn waker(flight: u64, woken: &Woken) -> Waker {
    Waker::from(Arc::new(Bell { flight, woken: woken.clone() }))
}

impl World<'_> {
    /// The body of `flight`, which is not too large, is read first; then it is asked about.
    pub(super) fn read(&mut self, id: u64, mut flight: Box<Flight>) {
        flight.state = State::Reads;
        self.queue.push(flight.told.sent + micros(flight.upload), Event::Uploaded(id));
        self.keep(id, flight);
    }

    fn ask(&mut self, id: u64, mut flight: Box<Flight>) {
        match self.gateway.knock(&mut flight.call) {
            Ok(()) => self.knocked(id, flight),
            Err(answer) => self.finish(flight, Ok(answer)),
        }
    }

    /// `flight` may try to come in.
    pub(super) fn knocked(&mut self, id: u64, mut flight: Box<Flight>) {
        self.is_stirred = true;
        let waker = waker(id, &self.woken);
        let admission = self.gateway.ask(&mut flight.call, &waker);
        self.admitted(id, flight, admission);
    }

    fn admitted(&mut self, id: u64, mut flight: Box<Flight>, admission: Admission) {
        match admission {
            Admission::No(answer) => self.finish(flight, Ok(answer)),
            Admission::Wait(waits) => {
                self.queue.push(ceil(waits.deadline()), Event::Expire(id));
                flight.state = State::Waits(waits);
                self.keep(id, flight);
            }
            Admission::Go(permit) => {
                let (services, now) = (&self.services, self.gateway.now);
                let service = self.gateway.service(&flight.call);
                let is_open = |server: &weir::upstream::ServerState| services.is_open(service, server.authority(), now);
                match self.gateway.enter(&mut flight.call, permit, is_open) {
                    Ok(exchange) => self.forward(id, flight, exchange),
                    Err(answer) => self.finish(flight, Ok(answer)),
                }
            }
        }
    }

    fn forward(&mut self, id: u64, mut flight: Box<Flight>, exchange: InFlight<InService>) {
        self.working += 1;
        let began = self.gateway.tick();
        if flight.body > LARGE_MAX && !flight.upload.is_zero() {
            self.queue.push(self.now() + micros(flight.upload), Event::Uploaded(id));
            flight.state = State::Sends(exchange, began);
            return self.keep(id, flight);
        }
        self.work(id, flight, exchange, began);
    }

    fn work(&mut self, id: u64, mut flight: Box<Flight>, exchange: InFlight<InService>, began: Tick) {
        let service = self.gateway.service(&flight.call);
        let visit = fleet::Visit { id: Some(flight.told.id), stage: flight.told.stage, key: key_of(&flight.call.key) };
        let to = (service, &**exchange.server().authority());
        let call = self.services.arrive(self.gateway.now, to, visit, id).unwrap_or_default();
        let timeout = self.upstream(&flight.call).map_or(Duration::MAX, |upstream| upstream.response_timeout);
        self.queue.push(self.now().saturating_add(micros(timeout)), Event::Silence(id));
        flight.state = State::Works { exchange, began, call, silent: false };
        self.keep(id, flight);
    }

    /// A service has answered.
    pub(super) fn served(&mut self, id: u64, answer: fleet::Answer) {
        self.is_stirred = true;
        let Some(mut flight) = self.flights.remove(&id) else { return };
        let State::Works { exchange, began, silent, .. } = std::mem::replace(&mut flight.state, State::Moves) else {
            return;
        };
        let now = self.gateway.tick();
        let head = told::response(answer);
        if let (false, fleet::Answer::Lost) = (silent, answer) {
            return self.lost(id, flight, exchange, began);
        }
        self.working -= 1;
        match head {
            Some(mut response) if !matches!(answer, fleet::Answer::Cut(_)) => {
                exchange.heard(&response, began, now);
                let answer = self.gateway.answered(&flight.call, &mut response);
                self.finish(flight, Ok(answer));
            }
            _ => {
                exchange.broken(began, now);
                self.finish(flight, Err(Ending::Cut));
            }
        }
    }

    fn lost(&mut self, id: u64, mut flight: Box<Flight>, exchange: InFlight<InService>, began: Tick) {
        let (services, now) = (&self.services, self.gateway.now);
        let service = self.gateway.service(&flight.call);
        let is_open = |server: &weir::upstream::ServerState| services.is_open(service, server.authority(), now);
        match self.gateway.again(&mut flight.call, exchange, began, is_open) {
            Ok(exchange) => {
                let began = self.gateway.tick();
                self.work(id, flight, exchange, began);
            }
            Err(answer) => {
                self.working -= 1;
                self.finish(flight, Ok(answer));
            }
        }
    }

    /// Something was due of `id`.
    pub(super) fn due(&mut self, id: u64, event: Event) {
        self.is_stirred = true;
        let Some(mut flight) = self.flights.remove(&id) else { return };
        let state = std::mem::replace(&mut flight.state, State::Moves);
        match (event, state) {
            (Event::Uploaded(_), State::Reads) => self.ask(id, flight),
            (Event::Uploaded(_), State::Sends(exchange, began)) => self.work(id, flight, exchange, began),
            (Event::Expire(_), State::Waits(waits)) if ceil(waits.deadline()) <= self.now() => {
                let answer = self.gateway.expire(&mut flight.call, waits);
                self.finish(flight, Ok(answer));
            }
            (Event::Look(_), State::Held(visit, since)) => {
                let held = Duration::from_micros(self.now().saturating_sub(since));
                let answer = self.gateway.seen_after(&flight.call, &visit, held);
                self.holding.remove(&(visit.doorway.tag(), visit.place.number()));
                self.finish(flight, Ok(answer));
            }
            (Event::Silence(_), State::Works { exchange, began, call, silent: false }) => {
                self.silence(id, flight, (exchange, began, call));
            }
            (Event::Abandon(_), State::Works { exchange, call, .. }) => {
                self.working -= 1;
                drop(exchange);
                self.services.gone(self.gateway.now, call);
            }
            (Event::BreakOff(_), state) if flight.is_there => self.break_off(id, flight, state),
            (_, state) => {
                flight.state = state;
                self.flights.insert(id, flight);
            }
        }
    }

    fn silence(
        &mut self,
        id: u64,
        mut flight: Box<Flight>,
        (mut exchange, began, call): (InFlight<InService>, Tick, u64),
    ) {
        let upstream = self.upstream(&flight.call);
        let (timeout, abandon) = upstream
            .map_or((Duration::MAX, Duration::MAX), |upstream| (upstream.response_timeout, upstream.abandon_timeout));
        let silent = began.after(timeout) <= self.gateway.tick();
        if silent {
            exchange.silent(began, self.gateway.tick());
            let answer = Gateway::failed(&flight.call, Reason::UpstreamTimeout);
            self.tell(&mut flight, Ok(answer));
            self.queue.push(self.now().saturating_add(micros(abandon)), Event::Abandon(id));
        }
        flight.state = State::Works { exchange, began, call, silent };
        self.flights.insert(id, flight);
    }

    /// The person of `flight` has gone; what a service works on goes on.
    fn break_off(&mut self, id: u64, mut flight: Box<Flight>, state: State) {
        self.tell(&mut flight, Err(Ending::BrokenOff));
        match state {
            State::Works { .. } => {
                let abandon = self.upstream(&flight.call).map_or(Duration::MAX, |upstream| upstream.abandon_timeout);
                self.queue.push(self.now().saturating_add(micros(abandon)), Event::Abandon(id));
                flight.state = state;
                self.flights.insert(id, flight);
            }
            State::Sends(..) => self.working -= 1,
            State::Held(visit, _) => drop(self.holding.remove(&(visit.doorway.tag(), visit.place.number()))),
            State::Reads | State::Waits(_) | State::Moves => {}
        }
    }

    /// The turn of a request that is held may have come.
    pub(super) fn woken(&mut self, id: u64) {
        self.is_stirred = true;
        let Some(mut flight) = self.flights.remove(&id) else { return };
        match std::mem::replace(&mut flight.state, State::Moves) {
            State::Waits(waits) => {
                let waker = waker(id, &self.woken);
                let admission = self.gateway.woken(&mut flight.call, waits, &waker);
                self.admitted(id, flight, admission);
            }
            state => {
                flight.state = state;
                self.flights.insert(id, flight);
            }
        }
    }

    /// Whether `visit` is held: nobody is twice.
    pub(super) fn is_held(&self, visit: &Visit) -> bool {
        !visit.held.is_zero() && !self.holding.contains_key(&(visit.doorway.tag(), visit.place.number()))
    }

    /// Somebody asked for his place, and is held.
    pub(super) fn hold(&mut self, id: u64, mut flight: Box<Flight>, visit: Visit) {
        self.holding.insert((visit.doorway.tag(), visit.place.number()), (id, self.now()));
        self.queue.push(self.now() + micros(visit.held), Event::Look(id));
        flight.state = State::Held(visit, self.now());
        self.keep(id, flight);
    }

    /// People were called: whoever is held and among them notices at his next look.
    pub(super) fn notice(&mut self) {
        for doorway in self.gateway.doorways() {
            let (tag, serving) = (doorway.tag(), doorway.room().order().serving());
            while let Some((place, (id, since))) = self.holding.range((tag, 0)..(tag, serving)).next() {
                let (place, id, since) = (*place, *id, *since);
                self.holding.remove(&place);
                let looks = (micros(self.gateway.now).saturating_sub(since)) / LOOK + 1;
                self.queue.push(since + looks * LOOK, Event::Look(id));
            }
        }
    }

    fn keep(&mut self, id: u64, flight: Box<Flight>) {
        self.flights.insert(id, flight);
    }

    fn finish(&mut self, mut flight: Box<Flight>, heard: Result<Answer, Ending>) {
        self.tell(&mut flight, heard);
    }

    fn upstream(&self, call: &Call) -> Option<&weir::config::plan::Upstream> {
        self.gateway.core.plan().upstreams.get(call.route.upstream().0)
    }
}

/// The first whole microsecond at which `tick` has come.
fn ceil(tick: Tick) -> Micros {
    tick.as_nanos().div_ceil(1_000)
}
