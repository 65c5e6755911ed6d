//! What ended requests tell the law: how many, how well, and how much of their time fell into the present leg.
//!
//! Every request is stamped with the moment of its dispatch, so at its end it is known how long it was in service before
//! the law last changed the level and how long after: a request that saw two levels is charged to both, and none is thrown
//! away. By Little's law the mean hold gives throughput with two to three times less noise than counting ends does.
//!
//! **Invariants**: sums only grow, and wrap; readers take differences.
//! **Cost**: a load and at most four relaxed additions an end; no lock, no allocation. Sums read while others write may be
//! apart by a request, which is noise.
//! **Not here**: what is in flight (the gate knows), what it all means (`leg`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::clock::{Tick, saturating_nanos};

/// Longest hold that is told apart, so that a sum of squares in square microseconds wraps in centuries: a quarter of an hour.
const HOLD_MAX: Duration = Duration::from_mins(15);

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

/// Sums over everything that ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readings {
    /// Requests that were answered.
    pub successes: u64,
    /// Requests that the upstream could not answer.
    pub drops: u64,
    /// Time that these two held their permits, in nanoseconds.
    pub held: u64,
    /// The part of it that lay before the leg in which they ended, in nanoseconds.
    pub before: u64,
    /// The squares of the holds, in square microseconds.
    pub squares: u64,
}

impl Readings {
    /// What came since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            successes: self.successes.wrapping_sub(earlier.successes),
            drops: self.drops.wrapping_sub(earlier.drops),
            held: self.held.wrapping_sub(earlier.held),
            before: self.before.wrapping_sub(earlier.before),
            squares: self.squares.wrapping_sub(earlier.squares),
        }
    }

    /// Requests that ended, well or not.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.successes.saturating_add(self.drops)
    }
}

/// The sums as requests write them, from any worker.
#[derive(Debug, Default)]
pub struct Meter {
    leg: CachePadded<AtomicU64>,
    sums: CachePadded<Sums>,
}

#[derive(Debug, Default)]
struct Sums {
    successes: AtomicU64,
    drops: AtomicU64,
    held: AtomicU64,
    before: AtomicU64,
    squares: AtomicU64,
}

impl Meter {
    /// A request that was dispatched at `dispatched` ended `now`.
    pub fn ended(&self, dispatched: Tick, now: Tick, outcome: Outcome) {
        let count = match outcome {
            Outcome::Success => &self.sums.successes,
            Outcome::Drop => &self.sums.drops,
            Outcome::Abandoned => return,
        };
        let hold = now.since(dispatched).min(HOLD_MAX);
        let leg = Tick::from_nanos(self.leg.load(Ordering::Relaxed));
        let before = leg.since(dispatched).min(hold);
        let micros = saturating_nanos(hold) / 1_000;
        count.fetch_add(1, Ordering::Relaxed);
        self.sums.held.fetch_add(saturating_nanos(hold), Ordering::Relaxed);
        self.sums.before.fetch_add(saturating_nanos(before), Ordering::Relaxed);
        self.sums.squares.fetch_add(micros * micros, Ordering::Relaxed);
    }

    /// A leg began at `leg`.
    pub fn begin(&self, leg: Tick) {
        self.leg.store(leg.as_nanos(), Ordering::Relaxed);
    }

    /// The sums now.
    #[must_use]
    pub fn read(&self) -> Readings {
        Readings {
            successes: self.sums.successes.load(Ordering::Relaxed),
            drops: self.sums.drops.load(Ordering::Relaxed),
            held: self.sums.held.load(Ordering::Relaxed),
            before: self.sums.before.load(Ordering::Relaxed),
            squares: self.sums.squares.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Tick {
        Tick::ZERO.after(Duration::from_millis(millis))
    }

    #[test]
    fn time_is_split_where_the_leg_began() {
        let meter = Meter::default();
        meter.begin(at(100));
        meter.ended(at(60), at(110), Outcome::Success);
        meter.ended(at(105), at(115), Outcome::Drop);
        meter.ended(at(0), at(120), Outcome::Abandoned);
        let read = meter.read();
        assert_eq!((read.successes, read.drops, read.ended()), (1, 1, 2));
        assert_eq!((read.held, read.before), (60_000_000, 40_000_000));
        assert_eq!(read.squares, 50_000 * 50_000 + 10_000 * 10_000);
    }

    #[test]
    fn a_clock_that_jumps_back_counts_as_no_time() {
        let meter = Meter::default();
        meter.begin(at(500));
        meter.ended(at(400), at(300), Outcome::Success);
        assert_eq!(meter.read(), Readings { successes: 1, ..Readings::default() });
    }

    #[test]
    fn differences_survive_the_wrap() {
        let early = Readings { held: u64::MAX - 1, ..Readings::default() };
        let late = Readings { held: 3, ..Readings::default() };
        assert_eq!(late.since(&early).held, 5);
    }
}
