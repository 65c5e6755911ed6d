//! Admission of one route: its client limits, the bounds of its line, and the gate of its upstream.
//!
//! ```text
//! decide:  charge, rates of all client limits → resume
//! resume:  slots of the session and of all client limits, in order → permit, or predicted wait → line
//!                                                                   one slot lacks → Park, and resume later
//! ```
//!
//! Whoever has a pass stands in a line of his own with slots of its own, so that a crowd of newcomers cannot take his place,
//! and is held for longer: he shall finish. But a pass can be shared: each session has a few slots over all routes, and only who
//! has one of them stands in that line or is a visit to the funnel. Newcomers who would be given a pass need the funnel's
//! pace as well.
//!
//! **Invariants**: at most `queue.length` requests of the route are held at once, in line or parked outside it, and as many (at
//! least [`LEAST_INSIDE`]) with a pass; nobody is held who is predicted to wait longer than what is left of `queue.wait` (with
//! a pass: of `pass.wait`, if that is longer), nor for longer than that in all; a refusal says when to come back, and not
//! everybody at once. Slots are taken in one order, the session's first and then those of the plan, so that two requests never
//! wait for each other; whoever is refused or leaves gives back all he has.
//! **Order**: rates are charged first, also for requests that are refused afterwards; a refusal of the rate itself charges
//! nothing, so a client that hammers gets its rate and no more.
//! **Cost**: see the parts; nothing of its own but one counter.
//! **Not here**: who the client is, HTTP, timers.

mod held;
mod load;
mod rates;
#[cfg(all(test, not(feature = "loom")))]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use self::held::Count;
pub use self::held::{Held, Parked, Walk};
pub use self::load::Load;

use crate::admission::client::concurrency::{Claim, Concurrency, Slots};
use crate::admission::client::{ClientHash, ClientLimit};
use crate::admission::dispatch::{Dispatcher, Entry};
use crate::admission::funnel::Funnel;
use crate::admission::gate::Gate;
use crate::admission::permit::Permit;
use crate::admission::queue::Line;
use crate::admission::verdict::{Account, Exceeded, Reason, Refusal};
use crate::clock::Tick;
use crate::config::plan::{Class, Queue};

/// What refused clients are told is stretched by up to this share, so that those refused together do not return together
/// (each has a moment of his own, but they are told in whole seconds). Never shortened: whoever keeps to it is not early.
const JITTER: f64 = 0.1;

/// But by no more than this: the last of a crowd shall not come long after their turn, when nobody is left to take it.
const LONGEST_JITTER: Duration = Duration::from_secs(1);

/// A line shorter than this share of what the route allows has room for those who were booked for later.
const ROOMY: u32 = 2;

/// Nobody is told to come back sooner; `Retry-After` counts whole seconds.
const SOONEST_RETURN: Duration = Duration::from_secs(1);

/// Somebody who was called from a waiting room is held for so long, where the route's own wait is not longer: several times the line
/// that the room keeps, so that chance sends nobody away.
pub const CALLED_WAIT: Duration = Duration::from_secs(10);

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
    /// What each session has in the system, on this route and all others.
    sessions: Arc<Concurrency>,
    /// So many of them are held.
    held: Arc<AtomicUsize>,
    /// Of those lately who are not in progress, those with a pass less those without, within bounds.
    familiar: AtomicUsize,
}

/// Who asks, as far as admission needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    /// What his request is.
    pub class: Class,
    /// The pass he has, be it that of another waiting room, by which he is in progress nowhere else than before the funnel; [`None`] without.
    pub inside: Option<Session>,
}

/// What admission knows of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose it is, whoever shares it. The number is ours, by chance: nobody can choose it.
    pub client: ClientHash,
    /// How long ago he was let in.
    pub age: Duration,
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
    /// Those who have a pass wait in `line`, at most for `wait`, and `funnel` hears of them; `sessions` has what they may have at
    /// once, and is shared by all routes.
    #[must_use]
    pub fn new(line: Arc<Line>, wait: Duration, funnel: Arc<Funnel>, sessions: Arc<Concurrency>) -> Self {
        Self { line, wait, funnel, sessions, held: Arc::default(), familiar: AtomicUsize::new(0) }
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
    /// Hold it outside the line until an earlier request of its client has left the system, then
    /// [`RouteAdmission::resume`]; at most until the deadline.
    Park(Parked),
    /// Hold it until its turn, at most until the deadline.
    Queue(Held),
    /// Answer it now.
    Refuse(Refusal),
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
        line.gates().iter().for_each(|gate| gate.promise(queue.wait));
        Self { dispatcher, line, client_limits, queue, held: Arc::default(), inside: None }
    }

    /// The same where passes are known.
    #[must_use]
    pub fn with_passes(self, inside: Inside) -> Self {
        Self { inside: Some(inside), ..self }
    }

    /// Decides about a request of `person`. `client` tells clients apart as a limit wants it, or says that it does not apply;
    /// `chance` in `0..1` is the jitter of this request.
    pub fn decide(
        &self,
        person: Person,
        now: Tick,
        client: impl Fn(&ClientLimit) -> Option<ClientHash>,
        chance: f64,
    ) -> Verdict {
        if let Err(refusal) = self.charge(now, &client, chance) {
            return Verdict::Refuse(refusal);
        }
        if let Some(inside) = self.inside.as_ref().filter(|_| person.class > Class::InProgress) {
            inside.note(person.inside.is_some());
        }
        let deadline = now.after(self.way(person).wait);
        self.resume(Walk { deadline, passed: 0, slots: Slots::default(), count: None }, person, now, client, chance)
    }

    /// Goes on with a request that was parked, the arguments as for [`RouteAdmission::decide`]. The time it was parked counts.
    pub fn resume(
        &self,
        mut walk: Walk,
        person: Person,
        now: Tick,
        client: impl Fn(&ClientLimit) -> Option<ClientHash>,
        chance: f64,
    ) -> Verdict {
        for step in walk.passed..=self.client_limits.len() {
            walk.passed = step + 1;
            match self.claim(step, person, &client) {
                None => {}
                Some((_, Claim::Slot(slot))) => walk.slots.keep(slot),
                Some((account, Claim::Full)) => return Verdict::Refuse(self.crowded_out(account, person, now, chance)),
                Some((account, Claim::Parked(waiting))) => {
                    walk.count = walk.count.take().or_else(|| self.count(person));
                    if walk.count.is_none() {
                        return self.refuse(Reason::QueueFull, person, now, self.predicted_wait(person, now), chance);
                    }
                    return Verdict::Park(Parked { deadline: walk.deadline, account, waiting, walk: Some(walk) });
                }
            }
        }
        self.enter(walk, person, now, chance)
    }

    /// A refusal for somebody who was parked by `account` until it was too late, or cannot be: the client's own earlier
    /// requests are in the way.
    #[must_use]
    pub fn crowded_out(&self, account: Account, person: Person, now: Tick, chance: f64) -> Refusal {
        // By then one of them has come through: nobody is in line for longer than the promised wait.
        let way = self.way(person);
        let in_line = self.predicted_wait(person, now).min(way.wait);
        let in_flight = way.line.gates().iter().map(|gate| gate.mean_hold()).max().unwrap_or_default();
        let retry_after = jittered(in_line.saturating_add(in_flight), chance);
        let limit = Some(Exceeded { account, reset: None });
        Refusal { reason: Reason::ClientConcurrency, retry_after, limit }
    }

    /// A refusal for somebody who was held and whose turn did not come in time.
    #[must_use]
    pub fn expired(&self, person: Person, now: Tick, chance: f64) -> Refusal {
        self.refusal(Reason::Expired, person, now, self.predicted_wait(person, now), chance)
    }

    /// Predicted wait of a request of `person` that came now: that of the slowest of the gates.
    #[must_use]
    pub fn predicted_wait(&self, person: Person, now: Tick) -> Duration {
        self.predicted_wait_in(self.way(person).line, person.class, now)
    }

    fn predicted_wait_in(&self, line: &Line, class: Class, now: Tick) -> Duration {
        let elsewhere = self.elsewhere(line, now);
        let wait = |gate: &Arc<Gate>| gate.predicted_wait_past(class, now, elsewhere);
        line.gates().iter().map(wait).max().unwrap_or_default()
    }

    /// Newcomers who wait for the funnel stand in a line for the same upstream, and are in nobody's way on another `line`.
    fn elsewhere(&self, line: &Line, now: Tick) -> usize {
        let paced = |funnel: &&Arc<Funnel>| !line.gates().iter().any(|gate| Arc::ptr_eq(gate, funnel.entrance()));
        self.inside.as_ref().map(|inside| &inside.funnel).filter(paced).map_or(0, |funnel| funnel.holds(now))
    }

    /// A newcomer who was let in was answered, and `passed` says whether he was given a pass.
    pub fn answered(&self, passed: bool) {
        if let Some(inside) = &self.inside {
            inside.funnel.answered(inside.line.gates(), passed);
        }
    }

    /// Requests of this route held in line or parked outside it.
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

    /// What each session may have at once, where there are passes.
    #[must_use]
    pub fn sessions(&self) -> Option<&Concurrency> {
        self.inside.as_ref().map(|inside| &*inside.sessions)
    }

    /// A slot of the account at `step`, if it counts this request: that of the session, and then those of the client limits.
    fn claim(
        &self,
        step: usize,
        person: Person,
        client: impl Fn(&ClientLimit) -> Option<ClientHash>,
    ) -> Option<(Account, Claim)> {
        let (account, slots, client) = match step.checked_sub(1) {
            None => (Account::Session, &self.inside.as_ref()?.sessions, person.inside?.client),
            Some(position) => {
                let limit = self.client_limits.get(position)?;
                (Account::Limit(position), limit.concurrency()?, client(limit)?)
            }
        };
        Some((account, slots.claim(client)))
    }

    /// Those inside and those nobody bounds in one line, all others in the other; who has the pass of another waiting room stands among the others,
    /// but the funnel has let him in.
    fn way(&self, person: Person) -> Way<'_> {
        match &self.inside {
            Some(inside) if person.class <= Class::InProgress => {
                let wait = if person.inside.is_some() { self.queue.wait.max(inside.wait) } else { self.queue.wait };
                Way { line: &inside.line, wait, length: self.queue.length.max(LEAST_INSIDE), held: &inside.held }
            }
            _ => {
                // Whoever was called came because he was told to: he is not sent away for a line that is a little longer.
                let called = person.class == Class::Returning;
                let wait = if called { self.queue.wait.max(CALLED_WAIT) } else { self.queue.wait };
                let line =
                    self.inside.as_ref().filter(|_| person.inside.is_some()).map_or(&self.line, |inside| &inside.line);
                Way { line, wait, length: self.queue.length, held: &self.held }
            }
        }
    }

    /// Somebody with a pass was let in or into the line: that is a visit.
    fn reckon(&self, person: Person, now: Tick) {
        if let (Some(inside), Some(session)) = (&self.inside, person.inside) {
            inside.funnel.visits(inside.line.gates(), session, now);
        }
    }

    /// To the gate, or into the line.
    fn enter(&self, walk: Walk, person: Person, now: Tick, chance: f64) -> Verdict {
        let way = self.way(person);
        if let Some(mut permit) = self.dispatcher.try_enter(way.line, person.class, now) {
            unbook(way.line, now);
            self.reckon(person, now);
            permit.carry(walk.slots);
            return Verdict::Admit(permit);
        }
        let predicted = self.predicted_wait(person, now);
        if predicted > walk.deadline.since(now) && person.class != Class::Exempt {
            return self.refuse(Reason::WaitTooLong, person, now, predicted, chance);
        }
        if predicted < way.wait / ROOMY {
            unbook(way.line, now);
        }
        self.enqueue(walk, person, now, predicted, chance)
    }

    fn enqueue(&self, walk: Walk, person: Person, now: Tick, predicted: Duration, chance: f64) -> Verdict {
        let Walk { deadline, slots, count, .. } = walk;
        let Some(count) = count.or_else(|| self.count(person)) else {
            return self.refuse(Reason::QueueFull, person, now, predicted, chance);
        };
        match self.dispatcher.enter(self.way(person).line, person.class, now, deadline) {
            Entry::Waiting(waiting) => {
                self.reckon(person, now);
                Verdict::Queue(Held { deadline, waiting, slots, _count: count })
            }
            Entry::Granted(mut permit) => {
                self.reckon(person, now);
                permit.carry(slots);
                Verdict::Admit(permit)
            }
            Entry::Full => self.refuse(Reason::QueueFull, person, now, predicted, chance),
        }
    }

    /// Counts one more who is held; [`None`] if that would be too many.
    fn count(&self, person: Person) -> Option<Count> {
        let way = self.way(person);
        let reserve = |held| (held < way.length).then_some(held + 1);
        let reserved = way.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, reserve);
        reserved.ok().map(|_| Count(Arc::clone(way.held)))
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

/// Whoever was booked for later has room.
fn unbook(line: &Line, now: Tick) {
    line.gates().iter().for_each(|gate| gate.unbook(now));
}

/// `span` and up to a tenth or a second more, and never sooner than [`SOONEST_RETURN`].
fn jittered(span: Duration, chance: f64) -> Duration {
    let jitter = span.mul_f64(JITTER).min(LONGEST_JITTER).mul_f64(chance.clamp(0.0, 1.0));
    span.saturating_add(jitter).max(SOONEST_RETURN)
}
