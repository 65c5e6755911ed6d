//! The room in a process of its own, as `proxy::room` stands before it: who is found, who is let in, and what must be in the journal
//! before something is said.

use std::collections::HashMap;
use std::env;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::super::super::operator::Outcome;
use super::super::super::{Lot, NotEntered, Stand};
use super::super::{BEGAN, PASSAGE, PATIENCE};
use super::wire::{Ask, Found, Say, Scenario, Visit, Wants, Where, Whole, Word};
use super::*;
use crate::clock::Clock;
use crate::waiting_room::quota::Quota;
use crate::waiting_room::wave::{End, Phase};

/// Bytes written at once: many answers to a crowd, and no more than a pipe holds.
const CHUNK: usize = 32 * 1024;

/// The journal answers within this, however busy the machine is.
const CLOSING: Duration = Duration::from_secs(30);

/// A request at the service.
struct Held {
    turn: Turn,
    place: Place,
    who: usize,
    counts: bool,
}

struct Server {
    room: Arc<Room>,
    clock: Clock,
    rate: f64,
    /// Milliseconds after [`BEGAN`].
    at: AtomicU64,
    turns: Mutex<HashMap<u64, Held>>,
    next: AtomicU64,
    says: Sender<Say>,
}

/// Serves those at the other end of its pipes until it is killed; the parent's own run of it does nothing.
#[test]
fn child_that_is_a_room() {
    let Ok(scenario) = env::var(SCENARIO) else { return };
    let scenario: Scenario = serde_json::from_str(&scenario).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (says, said) = mpsc::channel();
    let speaker = thread::spawn(move || speak(&said));
    let server = Arc::new(Server::open(&scenario, says));
    server.say(Say::Ready(server.whole()));
    for line in io::stdin().lines() {
        let Ok(line) = line else { break };
        match serde_json::from_str(&line).unwrap() {
            Ask::Close => break,
            ask => drop(runtime.spawn(Arc::clone(&server).hear(ask))),
        }
    }
    runtime.shutdown_timeout(CLOSING);
    server.turns.lock().unwrap().clear();
    server.say(Say::Closed(server.room.close(CLOSING)));
    drop(server);
    speaker.join().unwrap();
}

/// Writes what is said; what is in the pipe is heard also if this process is killed.
fn speak(said: &Receiver<Say>) {
    let mut out = io::stdout();
    // The test harness has begun a line.
    let mut bytes = vec![b'\n'];
    while let Ok(say) = said.recv() {
        let mut next = Some(say);
        while let Some(say) = next {
            serde_json::to_writer(&mut bytes, &say).unwrap();
            bytes.push(b'\n');
            next = if bytes.len() < CHUNK { said.try_recv().ok() } else { None };
        }
        // A parent that has ended hears nothing.
        if out.write_all(&bytes).and_then(|()| out.flush()).is_err() {
            return;
        }
        bytes.clear();
    }
}

async fn written(record: Option<Appended>) {
    if let Some(record) = record {
        record.await.unwrap();
    }
}

impl Server {
    fn open(scenario: &Scenario, says: Sender<Say>) -> Self {
        let plan = plan_of(scenario);
        let clock = Clock::manual();
        clock.advance(Duration::from_millis(scenario.at));
        let unix = BEGAN + Duration::from_millis(scenario.at);
        let room = Room::open(&plan, PASSAGE, PATIENCE, &clock, unix).unwrap();
        Self {
            room,
            clock,
            rate: scenario.rate,
            at: AtomicU64::new(scenario.at),
            turns: Mutex::default(),
            next: AtomicU64::new(0),
            says,
        }
    }

    fn say(&self, say: Say) {
        // Nobody hears it when the parent has ended.
        self.says.send(say).ok();
    }

    fn now(&self) -> Now {
        (self.clock.now(), BEGAN + Duration::from_millis(self.at.load(Ordering::Acquire)))
    }

    async fn hear(self: Arc<Self>, ask: Ask) {
        match ask {
            Ask::Visit(visit) => self.visit(visit).await,
            Ask::Answer { turn, word } => self.answer(turn, word).await,
            Ask::Tick(at) => self.tick(at).await,
            Ask::Pause(paused) => {
                written(Some(self.room.pause(paused))).await;
                self.say(Say::Paused(paused));
            }
            Ask::Resolve { number, done } => {
                let outcome = if done { Outcome::Done } else { Outcome::Failed };
                let mut kept = false;
                if let Ok((resolution, record)) = self.room.resolve(number, outcome, self.now().1) {
                    written(Some(record)).await;
                    kept = resolution.apply().is_ok();
                }
                self.say(Say::Resolved { number, done, kept });
            }
            Ask::Unclear(from) => {
                let (found, next) = self.room.unclear(from);
                self.say(Say::Unclear { numbers: found.iter().map(|unclear| unclear.number).collect(), next });
            }
            Ask::Find(visit) => self.say(Say::Found(self.found(&visit))),
            Ask::Survey => self.say(Say::Whole(self.whole())),
            Ask::Ballast(records) => {
                let position = self.room.order.serving();
                for record in 0..records {
                    // The journal's ring has room for all others.
                    if record.is_multiple_of(512) {
                        written(Some(self.room.journal.append(Record::Serving { position }))).await;
                    }
                    self.room.journal.post(Record::Serving { position });
                }
                self.say(Say::Ballast(records));
            }
            Ask::Close => {}
        }
    }

    async fn tick(&self, at: u64) {
        let before = self.at.swap(at, Ordering::AcqRel);
        self.clock.advance(Duration::from_millis(at.saturating_sub(before)));
        let load = Load { rate: self.rate, held: 0, wait: Duration::ZERO, free: 0 };
        for record in self.room.tick(self.now(), &load) {
            written(Some(record)).await;
        }
        self.room.announce();
        let whole = self.whole();
        if self.room.is_draw_due() {
            let room = Arc::clone(&self.room);
            tokio::task::spawn_blocking(move || room.hold_draws().unwrap()).await.unwrap();
        }
        self.say(Say::Ticked(whole));
    }

    /// The place that the request proves.
    fn find(&self, visit: &Visit) -> Option<Place> {
        let tickets = visit.ticket.iter().map(String::as_bytes);
        self.room.find(tickets, visit.identity.as_deref().map(str::as_bytes), self.now().1)
    }

    fn told(&self, who: usize, place: Option<&Place>, stand: impl Into<Where>) {
        let stand = stand.into();
        let counted = place.and_then(|place| self.room.order.standing(place.number()));
        self.say(Say::Told {
            who,
            number: place.map(Place::number),
            ticket: place.map(|place| self.room.sign(place).to_string()),
            stand,
            counted: counted.is_some_and(|standing| standing.counted),
        });
    }

    /// As `proxy::room` meets a request.
    async fn visit(&self, visit: Visit) {
        let (now, tick) = (self.now().1, self.now().0);
        let mut place = self.find(&visit);
        if visit.wants == Wants::Leave {
            if let Some(place) = &place {
                self.room.leave(place, now);
            }
            return self.say(Say::Left { who: visit.who });
        }
        if let Some(found) = place {
            let look = self.room.look(&found, now, fastrand::f64());
            written(look.recorded).await;
            let enters = match look.stand {
                _ if visit.wants == Wants::Look => false,
                Stand::Called => self.room.approach(&found, tick).is_ok(),
                Stand::Inside | Stand::Sending | Stand::Unclear | Stand::Done => true,
                Stand::Unknown => {
                    self.room.forget(visit.identity.as_deref().map(str::as_bytes), &found);
                    place = None;
                    true
                }
                _ => false,
            };
            if !enters {
                return self.told(visit.who, Some(&found), look.stand);
            }
        } else if visit.wants == Wants::Look {
            return self.told(visit.who, None, Where::Nowhere);
        }
        let identity = visit.identity.as_deref().map(str::as_bytes);
        if place.is_none() && !self.room.lets_straight_in() {
            if !self.room.takes() {
                return self.told(visit.who, None, self.room.closed());
            }
            let Some(joined) = self.room.join(identity, Class::New, now) else {
                return self.told(visit.who, None, Where::Nowhere);
            };
            written(joined.recorded).await;
            return self.told(visit.who, Some(&joined.place), self.room.standing(&joined.place));
        }
        self.enter(&visit, place).await;
    }

    async fn enter(&self, visit: &Visit, place: Option<Place>) {
        let now = self.now();
        let identity = visit.identity.as_deref().map(str::as_bytes);
        let mut given = None;
        let place = place.or_else(|| {
            let joined = self.room.welcome(identity, Class::New, now)?;
            given = joined.recorded;
            Some(joined.place)
        });
        let Some(place) = place else { return self.told(visit.who, None, Where::Nowhere) };
        let counts = visit.wants == Wants::Send;
        match self.room.enter(&place, counts, visit.key.as_deref().map(str::as_bytes), now) {
            Ok(mut entered) => {
                let waited = entered.recorded.is_some();
                written(entered.recorded).await;
                entered.turn.handed(true);
                let held = Held { turn: entered.turn, place, who: visit.who, counts };
                self.forward(held, waited);
            }
            Err(not) => {
                written(given).await;
                let stand = match not {
                    NotEntered::NotCalled => self.room.standing(&place).into(),
                    NotEntered::NoneLeft => Where::Taken,
                    NotEntered::Sending => Where::Sending,
                    NotEntered::Unclear => Where::Unclear,
                    NotEntered::Done => {
                        written(self.room.success(&place, now.1)).await;
                        Where::Done
                    }
                };
                self.told(visit.who, Some(&place), stand);
            }
        }
    }

    fn forward(&self, held: Held, written: bool) {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let (who, place, counts) = (held.who, held.place, held.counts);
        let number = place.number();
        let state = self.room.order.state(number).unwrap() as u8;
        let ticket = self.room.sign(&place).to_string();
        self.turns.lock().unwrap().insert(turn, held);
        self.say(Say::Forward { turn, who, number, ticket, counts, state, written });
    }

    async fn answer(&self, turn: u64, word: Word) {
        let mut held = self.turns.lock().unwrap().remove(&turn).unwrap();
        match word {
            Word::Status(status) => held.turn.answered(status),
            Word::Unsent => held.turn.unsent(),
            Word::Nothing => {}
            Word::Repeat => {
                held.turn.repeated();
                return self.forward(held, false);
            }
        }
        let Held { turn, place, who, counts } = held;
        drop(turn);
        if counts {
            written(self.room.success(&place, self.now().1)).await;
        }
        self.say(Say::Ended { who, counts, word, stand: self.room.standing(&place).into() });
    }

    fn found(&self, visit: &Visit) -> Found {
        let place = self.find(visit);
        let named = Visit { ticket: None, ..visit.clone() };
        let number = place.map(|place| place.number());
        let standing = number.and_then(|number| self.room.order.standing(number));
        Found {
            who: visit.who,
            number,
            named: self.find(&named).map(|place| place.number()),
            state: standing.map_or(State::Gone, |standing| standing.state) as u8,
            counted: standing.is_some_and(|standing| standing.counted),
            position: number.and_then(|number| self.room.order.position(number)).unwrap_or(u64::MAX),
            stand: place.map_or(Where::Nowhere, |place| self.room.standing(&place).into()),
            drawn: place.is_some_and(|place| matches!(self.room.lot(&place), Some(Lot::Drawn { .. }))),
        }
    }

    fn whole(&self) -> Whole {
        let survey = self.room.survey();
        let inside = survey.inside;
        let count = self.room.quota_of(0).map(Quota::count).unwrap_or_default();
        Whole {
            issued: survey.issued,
            serving: survey.serving,
            paused: survey.pace.paused,
            inside: inside.admitted + inside.sending + inside.ambiguous,
            unclear: inside.ambiguous,
            count: (count.taken, count.done),
            spent: survey.standing.ended.is_some_and(|(_, end)| end == End::Quota),
            ordered: matches!(survey.standing.phase, Phase::Open { .. }) && self.room.lottery.undrawn() == (0, 0),
            published: !self.room.is_draw_due(),
        }
    }
}
