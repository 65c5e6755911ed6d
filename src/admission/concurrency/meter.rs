//! What ended requests tell the law: how many, how well, and how much of their time fell into the present leg.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

use crate::clock::Tick;

/// How a request ended, seen from the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered; a refusal of the business (409, 422) is an answer.
    Success,
    /// The upstream could not: timeout, reset, 429, 503, any other error of the upstream.
    Drop,
    /// It ended for a reason that says nothing of the upstream.
    Abandoned,
}

/// Sums over everything that ended; they only grow, and wrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readings {
    /// Requests that were answered.
    pub successes: u64,
    /// Requests the upstream could not answer.
    pub drops: u64,
    /// Time that these held their permits, in nanoseconds.
    pub held: u64,
    /// The part of it before the leg began in which they ended, in nanoseconds.
    pub before: u64,
}

/// The sums as requests write them, from any worker.
#[derive(Debug, Default)]
pub struct Meter {
    successes: CachePadded<AtomicU64>,
    drops: AtomicU64,
    held: CachePadded<AtomicU64>,
    before: AtomicU64,
    leg: AtomicU64,
}

impl Meter {
    /// A request dispatched at `dispatched` ended.
    pub fn ended(&self, dispatched: Tick, now: Tick, outcome: Outcome) {
        match outcome {
            Outcome::Success => self.successes.fetch_add(1, Ordering::Relaxed),
            Outcome::Drop => self.drops.fetch_add(1, Ordering::Relaxed),
            Outcome::Abandoned => return,
        };
        let held = now.since(dispatched).as_nanos() as u64;
        let leg = Tick::from_nanos(self.leg.load(Ordering::Relaxed));
        let before = leg.since(dispatched).as_nanos() as u64;
        self.held.fetch_add(held, Ordering::Relaxed);
        self.before.fetch_add(before.min(held), Ordering::Relaxed);
    }

    /// A leg began.
    pub fn begin(&self, leg: Tick) {
        self.leg.store(leg.as_nanos(), Ordering::Relaxed);
    }

    /// The sums now.
    #[must_use]
    pub fn read(&self) -> Readings {
        Readings {
            successes: self.successes.load(Ordering::Relaxed),
            drops: self.drops.load(Ordering::Relaxed),
            held: self.held.load(Ordering::Relaxed),
            before: self.before.load(Ordering::Relaxed),
        }
    }
}

impl Readings {
    /// What came since `earlier`.
    #[must_use]
    pub(super) fn since(&self, earlier: &Self) -> Self {
        Self {
            successes: self.successes.wrapping_sub(earlier.successes),
            drops: self.drops.wrapping_sub(earlier.drops),
            held: self.held.wrapping_sub(earlier.held),
            before: self.before.wrapping_sub(earlier.before),
        }
    }

    pub(super) fn ended(&self) -> u64 {
        self.successes.saturating_add(self.drops)
    }
}
