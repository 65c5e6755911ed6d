//! Admission of one route: its client limits, the bounds of its line, and the gate of its upstream.
//!
//! Whoever has a pass stands in a line of his own with slots of its own, so that a crowd of newcomers cannot take his place,
//! and is held for longer: he shall finish. Newcomers who would be given a pass need the funnel's pace as well.
//!
//! **Invariants**: at most `queue.length` requests of the route are held at once, and as many (at least [`LEAST_INSIDE`])
//! with a pass; nobody is held who is
//! predicted to wait longer than `queue.wait` (with a pass: `pass.wait`, if that is longer), nor for longer than that; a
//! refusal says when to come back, and not everybody at once.
//! **Order**: client limits are charged first, also for requests that are refused afterwards; a refusal of the limit itself
//! charges nothing, so a client that hammers gets its rate and no more.
//! **Cost**: see the parts; nothing of its own but one counter.
//! **Not here**: who the client is, HTTP, timers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::admission::dispatch::{Dispatcher, Entry};
use crate::admission::funnel::Funnel;
use crate::admission::gate::Gate;
use crate::admission::permit::{Permit, Waiting};
use crate::admission::queue::Line;
use crate::admission::rate::client::{ClientHash, ClientLimit};
use crate::admission::verdict::{Reason, Refusal};
use crate::clock::Tick;
use crate::config::plan::{Class, ClientKey, Queue};

/// What refused clients are told is stretched by up to this share, so that those refused together do not return together.
/// Never shortened: whoever keeps to it is not early.
const JITTER: f64 = 0.2;

/// A line shorter than this share of what the route allows has room for those who were booked for later.
const ROOMY: u32 = 2;

/// Nobody is told to come back sooner; `Retry-After` counts whole seconds.
const SOONEST_RETURN: Duration = Duration::from_secs(1);

/// Those with a pass have so many places at least, also on routes that hold nobody else: they shall not be refused.
pub const LEAST_INSIDE: usize = 1_000;

/// Admission of one route.
#[derive(Debug)]
pub struct RouteAdmission {
    dispatcher: Arc<Dispatcher>,
    line: Arc<Line>,
    client_limits: Vec<Arc<ClientLimit>>,
    queue: Queue,
    held: Arc<AtomicUsize>,
    inside: Option<Inside>,
}

/// What those who have a pass have on a route.
#[derive(Debug)]
pub struct Inside {
    /// Their line: it needs the same gates as the newcomers', but for the funnel's.
    line: Arc<Line>,
    wait: Duration,
    funnel: Arc<Funnel>,
    /// So many of them are held.
    held: Arc<AtomicUsize>,
}

/// Who asks, as far as admission needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    /// What his request is.
    pub class: Class,
    /// How long ago he was given the pass he has; [`None`] without.
    pub inside: Option<Duration>,
}

/// Where somebody stands.
#[derive(Debug)]
struct Way<'a> {
    line: &'a Arc<Line>,
    wait: Duration,
    length: usize,
    held: &'a Arc<AtomicUsize>,
}

impl Inside {
    /// Those who have a pass wait in `line`, at most for `wait`, and `funnel` hears of them.
    #[must_use]
    pub fn new(line: Arc<Line>, wait: Duration, funnel: Arc<Funnel>) -> Self {
        Self { line, wait, funnel, held: Arc::default() }
    }
}

impl Person {
    /// Somebody without a pass.
    #[must_use]
    pub const fn of(class: Class) -> Self {
        Self { class, inside: None }
    }
}

/// What admission says to a request.
#[derive(Debug)]
pub enum Verdict {
    /// Forward it now.
    Admit(Permit),
    /// Hold it until its turn, at most until the deadline.
    Queue(Held),
    /// Answer it now.
    Refuse(Refusal),
}

/// A request held in line; dropping it leaves the line.
#[derive(Debug)]
pub struct Held {
    /// Resolves when the turn has come.
    pub waiting: Waiting,
    /// The wait ends here, with or without a turn.
    pub deadline: Tick,
    count: Arc<AtomicUsize>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl RouteAdmission {
    /// Joins the parts; several routes may share a line.
    #[must_use]
    pub fn new(
        dispatcher: Arc<Dispatcher>,
        line: Arc<Line>,
        client_limits: Vec<Arc<ClientLimit>>,
        queue: Queue,
    ) -> Self {
        Self { dispatcher, line, client_limits, queue, held: Arc::default(), inside: None }
    }

    /// The same where passes are known.
    #[must_use]
    pub fn with_passes(self, inside: Inside) -> Self {
        Self { inside: Some(inside), ..self }
    }

    /// Decides about a request of `person`. `client` tells clients apart by a key; `chance` in `0..1` is the jitter of this
    /// request.
    pub fn decide(&self, person: Person, now: Tick, client: impl Fn(&ClientKey) -> ClientHash, chance: f64) -> Verdict {
        for (position, limit) in self.client_limits.iter().enumerate() {
            if let Err(over) = limit.charge(now, client(limit.key())) {
                let retry_after = jittered(over.retry_after, chance);
                let limit = Some((position, over.retry_after));
                return Verdict::Refuse(Refusal { reason: Reason::ClientLimit, retry_after, limit });
            }
        }
        let way = self.way(person);
        if let Some(permit) = self.dispatcher.try_enter(way.line, person.class, now) {
            way.line.gates().iter().for_each(|gate| gate.unbook(now));
            self.reckon(person);
            return Verdict::Admit(permit);
        }
        let predicted = self.predicted_wait(person, now);
        if predicted > way.wait && person.class != Class::Exempt {
            return self.refuse(Reason::WaitTooLong, person, now, predicted, chance);
        }
        if predicted < way.wait / ROOMY {
            way.line.gates().iter().for_each(|gate| gate.unbook(now));
        }
        self.enqueue(person, now, predicted, chance)
    }

    /// A refusal for somebody who was held and whose turn did not come in time.
    #[must_use]
    pub fn expired(&self, person: Person, now: Tick, chance: f64) -> Refusal {
        self.refusal(Reason::Expired, person, now, self.predicted_wait(person, now), chance)
    }

    /// Predicted wait of a request of `person` that came now: that of the slowest of the gates.
    #[must_use]
    pub fn predicted_wait(&self, person: Person, now: Tick) -> Duration {
        let line = self.way(person).line;
        // Newcomers who wait for the funnel stand in a line for the same upstream, and are in nobody's way.
        let paced = |funnel: &&Arc<Funnel>| !line.gates().iter().any(|gate| Arc::ptr_eq(gate, funnel.entrance()));
        let elsewhere = self.inside.as_ref().map(|inside| &inside.funnel).filter(paced);
        let elsewhere = elsewhere.map_or(0, |funnel| funnel.holds(now));
        let wait = |gate: &Arc<Gate>| gate.predicted_wait_past(person.class, now, elsewhere);
        line.gates().iter().map(wait).max().unwrap_or_default()
    }

    /// A newcomer who was let in was answered, and `passed` says whether he was given a pass.
    pub fn answered(&self, passed: bool) {
        if let Some(inside) = &self.inside {
            inside.funnel.answered(inside.line.gates(), passed);
        }
    }

    /// Requests of this route held in line.
    #[must_use]
    pub fn held(&self) -> usize {
        let inside = self.inside.as_ref().map_or(0, |inside| inside.held.load(Ordering::Relaxed));
        self.held.load(Ordering::Relaxed) + inside
    }

    /// The client limit at `position` of the route's list.
    #[must_use]
    pub fn client_limit(&self, position: usize) -> Option<&ClientLimit> {
        self.client_limits.get(position).map(Arc::as_ref)
    }

    /// Those inside and those nobody bounds in one line, all others in the other.
    fn way(&self, person: Person) -> Way<'_> {
        match &self.inside {
            Some(inside) if person.class <= Class::InProgress => {
                let wait = if person.inside.is_some() { self.queue.wait.max(inside.wait) } else { self.queue.wait };
                Way { line: &inside.line, wait, length: self.queue.length.max(LEAST_INSIDE), held: &inside.held }
            }
            _ => Way { line: &self.line, wait: self.queue.wait, length: self.queue.length, held: &self.held },
        }
    }

    /// Somebody with a pass was let in or into the line: that is a visit.
    fn reckon(&self, person: Person) {
        if let (Some(inside), Some(age)) = (&self.inside, person.inside) {
            inside.funnel.visits(inside.line.gates(), age);
        }
    }

    fn enqueue(&self, person: Person, now: Tick, predicted: Duration, chance: f64) -> Verdict {
        let way = self.way(person);
        let reserve = |held| (held < way.length).then_some(held + 1);
        if way.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, reserve).is_err() {
            return self.refuse(Reason::QueueFull, person, now, predicted, chance);
        }
        let deadline = now.after(way.wait);
        match self.dispatcher.enter(way.line, person.class, now, deadline) {
            Entry::Waiting(waiting) => {
                self.reckon(person);
                Verdict::Queue(Held { waiting, deadline, count: Arc::clone(way.held) })
            }
            Entry::Granted(permit) => {
                way.held.fetch_sub(1, Ordering::Relaxed);
                self.reckon(person);
                Verdict::Admit(permit)
            }
            Entry::Full => {
                way.held.fetch_sub(1, Ordering::Relaxed);
                self.refuse(Reason::QueueFull, person, now, predicted, chance)
            }
        }
    }

    fn refuse(&self, reason: Reason, person: Person, now: Tick, predicted: Duration, chance: f64) -> Verdict {
        Verdict::Refuse(self.refusal(reason, person, now, predicted, chance))
    }

    fn refusal(&self, reason: Reason, person: Person, now: Tick, predicted: Duration, chance: f64) -> Refusal {
        let way = self.way(person);
        let excess = predicted.saturating_sub(way.wait).max(SOONEST_RETURN);
        // Booked with the gate that makes people wait; the others have room.
        let slowest = way.line.gates().iter().max_by_key(|gate| gate.predicted_wait(Class::Bulk, now));
        let back = slowest.map_or(excess, |gate| gate.book(now, excess));
        Refusal { reason, retry_after: jittered(back, chance), limit: None }
    }
}

/// `span` and up to a fifth more, and never sooner than [`SOONEST_RETURN`].
fn jittered(span: Duration, chance: f64) -> Duration {
    span.mul_f64(1.0 + JITTER * chance.clamp(0.0, 1.0)).max(SOONEST_RETURN)
}
