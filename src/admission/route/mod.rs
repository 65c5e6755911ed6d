//! Admission of one route: its client limits, the bounds of its line, and the gate of its upstream.
//!
//! ```text
//! decide:  rates of all client limits → resume
//! resume:  slots of all client limits, in order → permit, or predicted wait → line      one slot lacks → Park, and resume later
//! ```
//!
//! **Invariants**: at most `queue.length` requests of the route are held at once, in line or parked outside it; nobody is held
//! who is predicted to wait longer than what is left of `queue.wait`, nor for longer than that in all; a refusal says when to
//! come back, and not everybody at once. Slots are taken in the order of the plan, so that two requests never wait for
//! each other; whoever is refused or leaves gives back all he has.
//! **Order**: rates are charged first, also for requests that are refused afterwards; a refusal of the rate itself charges
//! nothing, so a client that hammers gets its rate and no more.
//! **Cost**: see the parts; nothing of its own but one counter.
//! **Not here**: who the client is, HTTP, timers.

#[cfg(all(test, not(feature = "loom")))]
mod tests;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::admission::client::concurrency::{self, Claim, Slots};
use crate::admission::client::{ClientHash, ClientLimit};
use crate::admission::dispatch::{Dispatcher, Entry};
use crate::admission::permit::{Expired, Permit, Waiting};
use crate::admission::queue::Line;
use crate::admission::verdict::{Exceeded, Reason, Refusal};
use crate::clock::Tick;
use crate::config::plan::{Class, Queue};

/// What refused clients are told is stretched by up to this share, so that those refused together do not return together.
/// Never shortened: whoever keeps to it is not early.
const JITTER: f64 = 0.2;

/// A line shorter than this share of what the route allows has room for those who were booked for later.
const ROOMY: u32 = 2;

/// Nobody is told to come back sooner; `Retry-After` counts whole seconds.
const SOONEST_RETURN: Duration = Duration::from_secs(1);

/// Admission of one route.
#[derive(Debug)]
pub struct RouteAdmission {
    dispatcher: Arc<Dispatcher>,
    line: Arc<Line>,
    client_limits: Vec<Arc<ClientLimit>>,
    queue: Queue,
    held: Arc<AtomicUsize>,
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

/// A request held in line; resolves when the turn has come, and dropping it leaves the line.
#[derive(Debug)]
pub struct Held {
    /// The wait ends here, with or without a turn.
    pub deadline: Tick,
    waiting: Waiting,
    slots: Slots,
    _count: Count,
}

/// A request held outside the line; resolves when it may go on, and dropping it gives its place up.
#[derive(Debug)]
pub struct Parked {
    /// The wait ends here.
    pub deadline: Tick,
    /// Position of the limit that holds it in the route's list.
    pub limit: usize,
    waiting: concurrency::Parked,
    /// [`None`] once it has gone on.
    walk: Option<Walk>,
}

/// How far a request has come through its client's limits.
#[derive(Debug)]
pub struct Walk {
    deadline: Tick,
    /// The limits before this position have been passed.
    next: usize,
    slots: Slots,
    count: Option<Count>,
}

/// One of those who are held; counted until dropped.
#[derive(Debug)]
struct Count(Arc<AtomicUsize>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Future for Held {
    type Output = Result<Permit, Expired>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut turn = ready!(Pin::new(&mut self.waiting).poll(context));
        if let Ok(permit) = &mut turn {
            permit.carry(std::mem::take(&mut self.slots));
        }
        Poll::Ready(turn)
    }
}

impl Future for Parked {
    type Output = Walk;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Walk> {
        let slot = ready!(Pin::new(&mut self.waiting).poll(context));
        let Some(mut walk) = self.walk.take() else { return Poll::Pending };
        walk.slots.keep(slot);
        Poll::Ready(walk)
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
        Self { dispatcher, line, client_limits, queue, held: Arc::default() }
    }

    /// Decides about a request of `class`. `client` tells clients apart as a limit wants it, or says that it does not apply;
    /// `chance` in `0..1` is the jitter of this request.
    pub fn decide(
        &self,
        class: Class,
        now: Tick,
        client: impl Fn(&ClientLimit) -> Option<ClientHash>,
        chance: f64,
    ) -> Verdict {
        for (position, limit) in self.client_limits.iter().enumerate().filter(|(_, limit)| limit.buckets().is_some()) {
            if let Some(Err(over)) = client(limit).map(|client| limit.charge(now, client)) {
                let retry_after = jittered(over.retry_after, chance);
                let limit = Some(Exceeded { position, reset: Some(over.retry_after) });
                return Verdict::Refuse(Refusal { reason: Reason::ClientLimit, retry_after, limit });
            }
        }
        let walk = Walk { deadline: now.after(self.queue.wait), next: 0, slots: Slots::default(), count: None };
        self.resume(walk, class, now, client, chance)
    }

    /// Goes on with a request that was parked, the arguments as for [`RouteAdmission::decide`]. The time it was parked counts.
    pub fn resume(
        &self,
        mut walk: Walk,
        class: Class,
        now: Tick,
        client: impl Fn(&ClientLimit) -> Option<ClientHash>,
        chance: f64,
    ) -> Verdict {
        for (position, limit) in self.client_limits.iter().enumerate().skip(walk.next) {
            walk.next = position + 1;
            let claim = limit.concurrency().and_then(|concurrency| Some(concurrency.claim(client(limit)?)));
            match claim {
                None => {}
                Some(Claim::Slot(slot)) => walk.slots.keep(slot),
                Some(Claim::Full) => return Verdict::Refuse(self.crowded_out(position, class, now, chance)),
                Some(Claim::Parked(waiting)) => {
                    walk.count = walk.count.take().or_else(|| self.count());
                    if walk.count.is_none() {
                        return Verdict::Refuse(self.crowded_out(position, class, now, chance));
                    }
                    return Verdict::Park(Parked {
                        deadline: walk.deadline,
                        limit: position,
                        waiting,
                        walk: Some(walk),
                    });
                }
            }
        }
        self.enter(walk, class, now, chance)
    }

    /// A refusal for somebody who was parked by the limit at `position` until it was too late, or cannot be: the client's
    /// own earlier requests are in the way.
    #[must_use]
    pub fn crowded_out(&self, position: usize, class: Class, now: Tick, chance: f64) -> Refusal {
        // By then one of them has come through: nobody is in line for longer than the promised wait.
        let in_line = self.predicted_wait(class, now).min(self.queue.wait);
        let in_flight = self.line.gates().iter().map(|gate| gate.mean_hold()).max().unwrap_or_default();
        let retry_after = jittered(in_line.saturating_add(in_flight), chance);
        let limit = Some(Exceeded { position, reset: None });
        Refusal { reason: Reason::ClientConcurrency, retry_after, limit }
    }

    /// A refusal for somebody who was held and whose turn did not come in time.
    #[must_use]
    pub fn expired(&self, class: Class, now: Tick, chance: f64) -> Refusal {
        self.refusal(Reason::Expired, now, self.predicted_wait(class, now), chance)
    }

    /// Predicted wait of a request of `class` that came now: that of the slowest of its gates.
    #[must_use]
    pub fn predicted_wait(&self, class: Class, now: Tick) -> Duration {
        self.line.gates().iter().map(|gate| gate.predicted_wait(class, now)).max().unwrap_or_default()
    }

    /// Requests of this route held in line or parked outside it.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// The client limit at `position` of the route's list.
    #[must_use]
    pub fn client_limit(&self, position: usize) -> Option<&ClientLimit> {
        self.client_limits.get(position).map(Arc::as_ref)
    }

    /// To the gate, or into the line.
    fn enter(&self, walk: Walk, class: Class, now: Tick, chance: f64) -> Verdict {
        if let Some(mut permit) = self.dispatcher.try_enter(&self.line, class, now) {
            self.unbook(now);
            permit.carry(walk.slots);
            return Verdict::Admit(permit);
        }
        let predicted = self.predicted_wait(class, now);
        if predicted > walk.deadline.since(now) && class != Class::Exempt {
            return self.refuse(Reason::WaitTooLong, now, predicted, chance);
        }
        if predicted < self.queue.wait / ROOMY {
            self.unbook(now);
        }
        self.enqueue(walk, class, now, predicted, chance)
    }

    fn enqueue(&self, walk: Walk, class: Class, now: Tick, predicted: Duration, chance: f64) -> Verdict {
        let Walk { deadline, slots, count, .. } = walk;
        let Some(count) = count.or_else(|| self.count()) else {
            return self.refuse(Reason::QueueFull, now, predicted, chance);
        };
        match self.dispatcher.enter(&self.line, class, now, deadline) {
            Entry::Waiting(waiting) => Verdict::Queue(Held { deadline, waiting, slots, _count: count }),
            Entry::Granted(mut permit) => {
                permit.carry(slots);
                Verdict::Admit(permit)
            }
            Entry::Full => self.refuse(Reason::QueueFull, now, predicted, chance),
        }
    }

    /// Counts one more who is held; [`None`] if that would be too many.
    fn count(&self) -> Option<Count> {
        let reserve = |held| (held < self.queue.length).then_some(held + 1);
        let reserved = self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, reserve);
        reserved.ok().map(|_| Count(Arc::clone(&self.held)))
    }

    fn unbook(&self, now: Tick) {
        self.line.gates().iter().for_each(|gate| gate.unbook(now));
    }

    fn refuse(&self, reason: Reason, now: Tick, predicted: Duration, chance: f64) -> Verdict {
        Verdict::Refuse(self.refusal(reason, now, predicted, chance))
    }

    fn refusal(&self, reason: Reason, now: Tick, predicted: Duration, chance: f64) -> Refusal {
        let excess = predicted.saturating_sub(self.queue.wait).max(SOONEST_RETURN);
        // Booked with the gate that makes people wait; the others have room.
        let slowest = self.line.gates().iter().max_by_key(|gate| gate.predicted_wait(Class::Bulk, now));
        let back = slowest.map_or(excess, |gate| gate.book(now, excess));
        Refusal { reason, retry_after: jittered(back, chance), limit: None }
    }
}

/// `span` and up to a fifth more, and never sooner than [`SOONEST_RETURN`].
fn jittered(span: Duration, chance: f64) -> Duration {
    span.mul_f64(1.0 + JITTER * chance.clamp(0.0, 1.0)).max(SOONEST_RETURN)
}
