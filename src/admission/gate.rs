//! The permit gate: the lock-free heart.
//!
//! One packed word holds the limit and the permits in use, so "in use ≤ limit" is decided by one compare-and-swap and is
//! exact at every instant. Whoever finds no permit joins the line (`queue`); whoever gives one back hands it on.
//!
//! ```text
//! enter:    nobody in line and acquire → go          otherwise: join; fence; dispatch
//! give back: in use − 1; fence; somebody in line → dispatch
//! dispatch: while somebody in line and acquire:      grant to the first living waiter, the permit travels with the grant
//!                                                    none found → un-acquire; fence; look again
//! ```
//!
//! **Invariants** (proved by loom in `model`): in use ≤ limit; no permit is lost or doubled over grant, expiry, departure;
//! no wake-up is lost — at rest, nobody lives in the line while a permit is free; nobody overtakes: an arrival takes a
//! permit directly only when nobody stands in line.
//!
//! The two fences are a Dekker pair. The one who joins writes the line and then reads the word; the one who gives back writes
//! the word and then reads the line; sequentially consistent fences between make it impossible that both miss the other.
//!
//! **Cost**: two atomic operations to enter and two to leave an uncontended gate; no allocation, no lock, no system call
//! but the wake-up of a waiter on another worker.
//! **Not here**: who may wait (`route`), timers (the caller's), what a permit is spent on.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::admission::permit::{Permit, Waiting};
use crate::admission::predictor::Predictor;
use crate::admission::queue::Line;
use crate::admission::rate::Bucket;
use crate::admission::sync::{Alarm, AtomicU64, Ordering, fence};
use crate::clock::{Clock, Tick};

/// In use: the low half of the word. The limit: the high half.
const LIMIT_SHIFT: u32 = 32;

/// No token is awaited.
const NOT_DUE: u64 = u64::MAX;

/// Permits of one upstream, and the line of those who wait for one.
#[derive(Debug)]
pub struct Gate {
    word: CachePadded<AtomicU64>,
    line: Arc<Line>,
    bucket: Option<Bucket>,
    predictor: Predictor,
    clock: Clock,
    /// When the next token comes that somebody in line waits for; [`NOT_DUE`] if nobody does.
    due: AtomicU64,
    pacer: Alarm,
}

/// What the gate says to an arrival.
#[derive(Debug)]
#[must_use]
pub enum Entry {
    /// No slot is free in the line.
    Full,
    /// A permit, at once.
    Granted(Permit),
    /// A place in the line.
    Waiting(Waiting),
}

/// What the gate knows of itself at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupancy {
    /// Permits there are.
    pub limit: u32,
    /// Permits in use.
    pub in_flight: u32,
}

impl Gate {
    /// A gate of `limit` permits with a line of at most `capacity` waiters, driven no faster than `bucket` allows.
    #[must_use]
    pub fn new(limit: u32, capacity: usize, bucket: Option<Bucket>, clock: Clock) -> Arc<Self> {
        let ceiling = bucket.as_ref().map_or(f64::INFINITY, Bucket::rate);
        Arc::new(Self {
            word: CachePadded::new(AtomicU64::new(u64::from(limit) << LIMIT_SHIFT)),
            line: Arc::new(Line::new(capacity)),
            bucket,
            predictor: Predictor::new(ceiling),
            clock,
            due: AtomicU64::new(NOT_DUE),
            pacer: Alarm::default(),
        })
    }

    /// Asks for a permit, or else for a place in line that is worth nothing after `deadline`.
    pub fn enter(self: &Arc<Self>, now: Tick, deadline: Tick) -> Entry {
        if let Some(permit) = self.try_enter(now) {
            return Entry::Granted(permit);
        }
        let Some(place) = self.line.join(deadline) else { return Entry::Full };
        fence(Ordering::SeqCst);
        self.dispatch(now);
        Entry::Waiting(Waiting::new(Arc::clone(self), place))
    }

    /// Asks for a permit; [`None`] if there is none or somebody waits for one.
    pub fn try_enter(self: &Arc<Self>, now: Tick) -> Option<Permit> {
        if !self.line.is_empty() || !self.acquire(now) {
            return None;
        }
        if self.token(now).is_err() {
            self.release(now);
            return None;
        }
        Some(Permit::new(Arc::clone(self), now))
    }

    /// The limit and what is in use.
    #[must_use]
    pub fn occupancy(&self) -> Occupancy {
        unpack(self.word.load(Ordering::Acquire))
    }

    /// People alive in the line.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.line.live()
    }

    /// Predicted wait of somebody who came now.
    #[must_use]
    pub fn predicted_wait(&self, now: Tick) -> Duration {
        let Occupancy { limit, in_flight } = self.occupancy();
        let waiting = self.waiting();
        if waiting == 0 && in_flight < limit {
            return Duration::ZERO;
        }
        self.predictor.wait(now, limit, in_flight, waiting)
    }

    /// When somebody who is refused now, because the wait would exceed the bound by `excess`, should come back.
    #[must_use]
    pub fn book(&self, now: Tick, excess: Duration) -> Duration {
        self.predictor.book(now, self.predictor.rate(self.occupancy().limit), excess)
    }

    /// Mean time a permit is held.
    #[must_use]
    pub fn mean_hold(&self) -> Duration {
        self.predictor.mean_hold()
    }

    /// Resolves when somebody in line waits for a token, with the moment it comes. Whoever drives it sleeps until then
    /// and calls [`Gate::pace`]. One driver a gate.
    pub async fn due(&self) -> Tick {
        std::future::poll_fn(|context| {
            self.pacer.set(context.waker());
            match self.due.swap(NOT_DUE, Ordering::AcqRel) {
                NOT_DUE => std::task::Poll::Pending,
                due => std::task::Poll::Ready(Tick::from_nanos(due)),
            }
        })
        .await
    }

    /// Serves the line with the tokens that have come.
    pub fn pace(&self) {
        self.dispatch(self.clock.now());
    }

    /// Whether requests to this upstream are bounded by a rate, so that [`Gate::due`] needs a driver.
    #[must_use]
    pub fn is_paced(&self) -> bool {
        self.bucket.is_some()
    }

    /// A permit comes back. What it was spent on began at `spent_since`; [`None`] if it was not spent, and teaches nothing.
    pub(in crate::admission) fn give_back(&self, spent_since: Option<Tick>) {
        let now = self.clock.now();
        if let Some(since) = spent_since {
            self.predictor.completed(now, now.since(since));
        }
        self.release(now);
    }

    /// The clock it goes by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    fn release(&self, now: Tick) {
        self.word.fetch_sub(1, Ordering::AcqRel);
        fence(Ordering::SeqCst);
        if !self.line.is_empty() {
            self.dispatch(now);
        }
    }

    fn dispatch(&self, now: Tick) {
        while !self.line.is_empty() && self.acquire(now) {
            if let Err(due) = self.token(now) {
                self.word.fetch_sub(1, Ordering::AcqRel);
                self.await_token(due);
                return;
            }
            if !self.line.grant(now) {
                self.word.fetch_sub(1, Ordering::AcqRel);
                // Whoever joined meanwhile may have found this permit taken: look again.
                fence(Ordering::SeqCst);
            }
        }
    }

    fn acquire(&self, now: Tick) -> bool {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let Occupancy { limit, in_flight } = unpack(word);
            if in_flight >= limit {
                return false;
            }
            match self.word.compare_exchange_weak(word, word + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    if in_flight == 0 {
                        self.predictor.busy(now);
                    }
                    return true;
                }
                Err(current) => word = current,
            }
        }
    }

    fn token(&self, now: Tick) -> Result<(), Tick> {
        self.bucket.as_ref().map_or(Ok(()), |bucket| bucket.take(now))
    }

    fn await_token(&self, due: Tick) {
        self.due.fetch_min(due.as_nanos(), Ordering::AcqRel);
        self.pacer.ring();
    }
}

fn unpack(word: u64) -> Occupancy {
    #[expect(clippy::cast_possible_truncation, reason = "the halves of the word are 32 bits each")]
    Occupancy { limit: (word >> LIMIT_SHIFT) as u32, in_flight: word as u32 }
}
