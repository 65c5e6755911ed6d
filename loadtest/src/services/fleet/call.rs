//! The way of a request: in, through what it needs, its own work, out.

use std::time::Duration;

use super::{Answer, Caller, Fleet, Visit, micros, narrow, unheard};
use crate::ledger::{Effect, RequestId, Served};
use crate::origin::model::Done;
use crate::scenario::ServiceIndex;
use crate::services::draw::Fate;

/// A service failed by itself.
pub(super) const BROKEN: u16 = 500;

/// A service that is needed failed.
const NEED_FAILED: u16 = 502;

#[derive(Debug)]
pub(super) struct Call<C> {
    server: usize,
    from: From<C>,
    visit: Visit,
    fate: Fate,
    work: f64,
    started: Duration,
    in_flight: usize,
    /// How many of the needed services have been called.
    called: usize,
    place: Place,
}

/// Who wants it.
#[derive(Debug)]
pub(super) enum From<C> {
    Socket(C),
    Call(u64),
}

/// Where a call is, once it is in flight.
#[derive(Clone, Copy, Debug)]
enum Place {
    Calls(u64),
    Works,
    Hangs,
}

impl<C: Caller> Fleet<C> {
    /// A request comes to a server, from outside or from a service that needs this one.
    pub(super) fn enter(&mut self, server: usize, from: From<C>, visit: Visit) {
        let id = self.next_call;
        self.next_call += 1;
        let Some(state) = self.servers.get(server) else { return };
        let (service, full, in_flight) = (state.service, state.is_full(), state.in_flight() + 1);
        let at_once = match () {
            () if !state.open => Some(Answer::Lost),
            () if state.sinkhole => Some(Answer::Failed(BROKEN)),
            () if full => Some(Answer::Later(None)),
            () => None,
        };
        if let Some(answer) = at_once {
            return self.refuse(server, from, visit, answer);
        }
        let Some(definition) = self.services.get(usize::from(service)).map(|state| &state.definition) else { return };
        let (failures, shape) = (definition.failures, definition.work_shape);
        let request = visit.id.unwrap_or(RequestId { person: u32::MAX, request: self.strangers });
        let occurrence = self.failed.get(&(service, request)).copied().unwrap_or(0);
        let fate = self.draws.fate(service, request, occurrence, &failures);
        let work = self.draws.work(service, request, shape);
        if visit.id.is_none() {
            self.strangers = self.strangers.wrapping_add(1);
        } else if fate != Fate::Success {
            self.failed.insert((service, request), occurrence.saturating_add(1));
        }
        if fate == Fate::Pushback {
            return self.refuse(server, from, visit, Answer::Later(Some(failures.pushback_for)));
        }
        if let Some(state) = self.servers.get_mut(server) {
            state.held += 1;
        }
        let started = self.now;
        let call = Call { server, from, visit, fate, work, started, in_flight, called: 0, place: Place::Hangs };
        self.calls.insert(id, call);
        if fate != Fate::Hang {
            self.proceed(id);
        } else if !self.is_awaited(id) {
            self.finish(id, Answer::Lost, Effect::Nothing, started);
        }
    }

    /// The next service it needs, or its own work.
    fn proceed(&mut self, id: u64) {
        let Some(call) = self.calls.get_mut(&id) else { return };
        let Some(state) = self.servers.get_mut(call.server) else { return };
        let needs = self.services.get(usize::from(state.service)).map_or(&[][..], |state| &state.definition.needs);
        let Some(need) = needs.get(call.called).copied() else {
            call.place = Place::Works;
            // What is due at the very instant is out first.
            state.advance(self.now, |done| self.finished.push_back((call.server, done)));
            return state.start(call.work, id);
        };
        call.called += 1;
        call.place = Place::Calls(self.next_call);
        let visit = call.visit;
        match self.least_busy(need) {
            Some(server) => self.enter(server, From::Call(id), visit),
            None => self.finish(id, Answer::Failed(NEED_FAILED), Effect::Nothing, self.now),
        }
    }

    /// The open server of a service with the fewest in flight, as a good client side balancer chooses.
    fn least_busy(&self, service: ServiceIndex) -> Option<usize> {
        let servers = self.services.get(usize::from(service))?.servers.clone();
        let open = servers.filter_map(|index| Some((index, self.servers.get(index).filter(|server| server.open)?)));
        open.min_by_key(|(_, server)| server.in_flight()).map(|(index, _)| index)
    }

    /// Its work is done: the effect first, then the answer; nobody is told what has not happened.
    pub(super) fn complete(&mut self, server: usize, done: &Done<u64>) {
        let Some(call) = self.calls.get(&done.token) else { return };
        let Some(state) = self.servers.get(server) else { return };
        let (fate, visit) = (call.fate, call.visit);
        let (effect, number) = match (&call.from, self.services.get_mut(usize::from(state.service))) {
            // A question from service to service changes nothing.
            (From::Socket(_), Some(service)) if fate != Fate::BeforeEffect => {
                service.keys.register(visit.stage, visit.key)
            }
            _ => (Effect::Nothing, 0),
        };
        let answer = match fate {
            Fate::Success if matches!(effect, Effect::First | Effect::Duplicate) => Answer::Registered(number),
            Fate::Success => Answer::Known(number),
            Fate::CutReply => Answer::Cut(number),
            Fate::LostReply | Fate::Hang => Answer::Lost,
            Fate::BeforeEffect | Fate::AfterEffect | Fate::Pushback => Answer::Failed(BROKEN),
        };
        self.finish(done.token, answer, effect, done.at);
    }

    /// It is out: its place is free, it is told, and recorded.
    fn finish(&mut self, id: u64, answer: Answer, effect: Effect, at: Duration) {
        let Some(call) = self.calls.remove(&id) else { return };
        let Call { server, from, visit, work, started, in_flight, place, .. } = call;
        let Some(state) = self.servers.get_mut(server) else { return };
        let worked = matches!(place, Place::Works);
        if !worked {
            state.held = state.held.saturating_sub(1);
        }
        let unheard = unheard(visit, state.service, state.number);
        let (index, whole) = (self.served.len(), answer.is_whole());
        self.served.push(Served {
            effect,
            status: answer.status(),
            in_flight: narrow(in_flight),
            started: micros(started),
            done: micros(at),
            work: if worked { shorter(work) } else { 0.0 },
            ..unheard
        });
        // Who needed it is recorded after it.
        let there = self.tell(from, answer);
        self.note_heard(index, there && whole);
    }

    fn note_heard(&mut self, index: usize, heard: bool) {
        if let Some(record) = self.served.get_mut(index) {
            record.heard = heard;
        }
    }

    /// Answers whether anybody was there.
    fn tell(&mut self, from: From<C>, answer: Answer) -> bool {
        let parent = match from {
            From::Socket(caller) => return caller.hear(answer),
            From::Call(parent) => parent,
        };
        if !self.calls.contains_key(&parent) {
            return false;
        }
        match answer {
            Answer::Registered(_) | Answer::Known(_) => self.proceed(parent),
            Answer::Later(_) => self.finish(parent, answer, Effect::Nothing, self.now),
            Answer::Cut(_) | Answer::Failed(_) | Answer::Lost => {
                self.finish(parent, Answer::Failed(NEED_FAILED), Effect::Nothing, self.now);
            }
        }
        true
    }

    /// It never is in flight.
    fn refuse(&mut self, server: usize, from: From<C>, visit: Visit, answer: Answer) {
        let in_flight = self.servers.get(server).map_or(0, |state| state.in_flight() + 1);
        let index = self.served.len();
        self.record(server, visit, answer.status(), in_flight);
        let there = self.tell(from, answer);
        self.note_heard(index, there && answer.is_whole());
    }

    /// Records what was over at once.
    pub(super) fn record(&mut self, server: usize, visit: Visit, status: u16, in_flight: usize) {
        let Some(state) = self.servers.get(server) else { return };
        let (now, in_flight) = (micros(self.now), narrow(in_flight));
        let unheard = unheard(visit, state.service, state.number);
        self.served.push(Served { status, heard: status != 0, in_flight, started: now, done: now, ..unheard });
    }

    /// Whether somebody outside still waits for it.
    fn is_awaited(&self, mut id: u64) -> bool {
        loop {
            match self.calls.get(&id).map(|call| &call.from) {
                Some(From::Call(parent)) => id = *parent,
                Some(From::Socket(caller)) => return caller.is_there(),
                None => return false,
            }
        }
    }

    /// Ends what hangs below this call: nobody waits for it any more.
    pub(super) fn release(&mut self, mut id: u64) {
        loop {
            match self.calls.get(&id).map(|call| call.place) {
                Some(Place::Calls(below)) => id = below,
                Some(Place::Hangs) => return self.finish(id, Answer::Lost, Effect::Nothing, self.now),
                Some(Place::Works) | None => return,
            }
        }
    }

    /// Everything at this server is lost.
    pub(super) fn break_off(&mut self, server: usize) {
        let Some(state) = self.servers.get_mut(server) else { return };
        state.break_off();
        let (service, number) = (state.service, state.number);
        let mut lost: Vec<_> = self.calls.iter().filter(|(_, call)| call.server == server).map(|(id, _)| *id).collect();
        lost.sort_unstable();
        for id in lost {
            let Some(Call { from, visit, in_flight, started, .. }) = self.calls.remove(&id) else { continue };
            self.served.push(Served {
                in_flight: narrow(in_flight),
                started: micros(started),
                done: micros(self.now),
                ..unheard(visit, service, number)
            });
            match from {
                // The connection breaks with it.
                From::Socket(caller) => drop(caller),
                From::Call(_) => drop(self.tell(from, Answer::Lost)),
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "seven digits of a work are enough")]
fn shorter(work: f64) -> f32 {
    work as f32
}
