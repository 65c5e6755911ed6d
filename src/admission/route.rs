//! Admission of one route: its client limits, the bounds of its line, and the gate of its upstream.
//!
//! **Invariants**: at most `queue.length` requests of the route are held at once; nobody is held who is predicted to wait
//! longer than `queue.wait`, nor for longer than that; a refusal says when to come back, and not everybody at once.
//! **Order**: client limits are charged first, also for requests that are refused afterwards; a refusal of the limit itself
//! charges nothing, so a client that hammers gets its rate and no more.
//! **Cost**: see the parts; nothing of its own but one counter.
//! **Not here**: who the client is, HTTP, timers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::admission::dispatch::{Dispatcher, Entry};
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
        Self { dispatcher, line, client_limits, queue, held: Arc::default() }
    }

    /// Decides about a request of `class`. `client` tells clients apart by a key; `chance` in `0..1` is the jitter of this
    /// request.
    pub fn decide(&self, class: Class, now: Tick, client: impl Fn(&ClientKey) -> ClientHash, chance: f64) -> Verdict {
        for (position, limit) in self.client_limits.iter().enumerate() {
            if let Err(over) = limit.charge(now, client(limit.key())) {
                let retry_after = jittered(over.retry_after, chance);
                let limit = Some((position, over.retry_after));
                return Verdict::Refuse(Refusal { reason: Reason::ClientLimit, retry_after, limit });
            }
        }
        if let Some(permit) = self.dispatcher.try_enter(&self.line, class, now) {
            self.line.gates().iter().for_each(|gate| gate.unbook(now));
            return Verdict::Admit(permit);
        }
        let predicted = self.predicted_wait(class, now);
        if predicted > self.queue.wait && class != Class::Exempt {
            return self.refuse(Reason::WaitTooLong, now, predicted, chance);
        }
        if predicted < self.queue.wait / ROOMY {
            self.line.gates().iter().for_each(|gate| gate.unbook(now));
        }
        self.enqueue(class, now, predicted, chance)
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

    /// Requests of this route held in line.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// The client limit at `position` of the route's list.
    #[must_use]
    pub fn client_limit(&self, position: usize) -> Option<&ClientLimit> {
        self.client_limits.get(position).map(Arc::as_ref)
    }

    fn enqueue(&self, class: Class, now: Tick, predicted: Duration, chance: f64) -> Verdict {
        let reserve = |held| (held < self.queue.length).then_some(held + 1);
        if self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, reserve).is_err() {
            return self.refuse(Reason::QueueFull, now, predicted, chance);
        }
        let deadline = now.after(self.queue.wait);
        match self.dispatcher.enter(&self.line, class, now, deadline) {
            Entry::Waiting(waiting) => Verdict::Queue(Held { waiting, deadline, count: Arc::clone(&self.held) }),
            Entry::Granted(permit) => {
                self.held.fetch_sub(1, Ordering::Relaxed);
                Verdict::Admit(permit)
            }
            Entry::Full => {
                self.held.fetch_sub(1, Ordering::Relaxed);
                self.refuse(Reason::QueueFull, now, predicted, chance)
            }
        }
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
