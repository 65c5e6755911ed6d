//! What ended requests tell the law: how many, how well, and how much of their time fell into the present leg.
//!
//! Every request is stamped with the moment of its dispatch, so at its end it is known how long it was in service before
//! the law last changed the level and how long after: a request that saw two levels is charged to both, and none is thrown
//! away. By Little's law the mean hold gives throughput with two to three times less noise than counting ends does.
//!
//! Requests differ in cost: throughput is cost a second, and the holds that are summed are holds per cost.
//!
//! **Invariants**: sums only grow, and wrap; readers take differences.
//! **Cost**: a load and at most six relaxed additions an end; no lock, no allocation. Sums read while others write may be
//! apart by a request, which is noise.
//! **Not here**: what is in flight (the gate knows), what it all means (`leg`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::clock::{Tick, saturating_nanos};
use crate::telemetry::costs::{COST_MAX, COST_MIN};

/// Longest hold that is told apart: a quarter of an hour.
const HOLD_MAX: Duration = Duration::from_mins(15);

/// Longest hold that counts in the squares: five thousand of them fit into the word, more than end between two looks.
const SQUARE_MAX: Duration = Duration::from_mins(1);

/// Costs are summed in whole thousandths: the least of them is ten.
const THOUSANDTHS: f64 = 1e3;

/// Longest `Retry-After` of an upstream that is believed: it knows of its overload, not of its end, and a year is a mistake.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(10);

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

/// Sums over everything that ended. Holds are per cost: a request that costs ten counts with a tenth of its hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readings {
    /// Requests that were answered.
    pub successes: u64,
    /// Requests that the upstream could not answer.
    pub drops: u64,
    /// Costs of those that were answered, in thousandths.
    pub costs: u64,
    /// The squares of these costs, in millionths.
    pub cost_squares: u64,
    /// Time that successes and drops held their permits, per cost, in nanoseconds.
    pub held: u64,
    /// The part of it that lay before the leg in which they ended, in nanoseconds.
    pub before: u64,
    /// The squares of the holds per cost, in square microseconds.
    pub squares: u64,
    /// Until when the upstream itself asked to be left alone; not a sum.
    pub retry_at: Tick,
}

impl Readings {
    /// What came since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            successes: self.successes.wrapping_sub(earlier.successes),
            drops: self.drops.wrapping_sub(earlier.drops),
            costs: self.costs.wrapping_sub(earlier.costs),
            cost_squares: self.cost_squares.wrapping_sub(earlier.cost_squares),
            held: self.held.wrapping_sub(earlier.held),
            before: self.before.wrapping_sub(earlier.before),
            squares: self.squares.wrapping_sub(earlier.squares),
            retry_at: self.retry_at,
        }
    }

    /// Requests that ended, well or not.
    #[must_use]
    pub fn ended(&self) -> u64 {
        self.successes.saturating_add(self.drops)
    }

    /// Cost of what was answered; if all kinds of requests cost the same, their number.
    #[must_use]
    pub fn goods(&self) -> f64 {
        self.costs as f64 / THOUSANDTHS
    }

    /// Requests of equal cost that vary as much in number as these do in cost; not more than were answered.
    #[must_use]
    pub fn effective(&self) -> f64 {
        let successes = self.successes as f64;
        let costs = self.costs as f64;
        (costs * costs / (self.cost_squares as f64).max(1.0)).min(successes)
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
    costs: AtomicU64,
    cost_squares: AtomicU64,
    held: AtomicU64,
    before: AtomicU64,
    squares: AtomicU64,
    retry_at: AtomicU64,
}

impl Meter {
    /// A request of this `cost` (see [`Costs`](super::costs::Costs); 1 if all are alike) that was dispatched at `dispatched`
    /// ended `now`.
    pub fn ended(&self, dispatched: Tick, now: Tick, cost: f64, outcome: Outcome) {
        let count = match outcome {
            Outcome::Success => &self.sums.successes,
            Outcome::Drop => &self.sums.drops,
            Outcome::Abandoned => return,
        };
        let cost = if cost.is_nan() { 1.0 } else { cost.clamp(COST_MIN, COST_MAX) };
        let leg = Tick::from_nanos(self.leg.load(Ordering::Relaxed));
        let hold = now.since(dispatched).min(HOLD_MAX).div_f64(cost).min(HOLD_MAX);
        let before = leg.since(dispatched).min(HOLD_MAX).div_f64(cost).min(hold);
        let micros = saturating_nanos(hold.min(SQUARE_MAX)) / 1_000;
        count.fetch_add(1, Ordering::Relaxed);
        if outcome == Outcome::Success {
            let cost = thousandths(cost);
            self.sums.costs.fetch_add(cost, Ordering::Relaxed);
            self.sums.cost_squares.fetch_add(cost * cost, Ordering::Relaxed);
        }
        self.sums.held.fetch_add(saturating_nanos(hold), Ordering::Relaxed);
        self.sums.before.fetch_add(saturating_nanos(before), Ordering::Relaxed);
        self.sums.squares.fetch_add(micros * micros, Ordering::Relaxed);
    }

    /// The upstream answered 429 or 503 `now` and asked to be left alone for `retry_after`, of which at most
    /// [`RETRY_AFTER_MAX`] is believed. The request's end is reported as [`Outcome::Drop`] besides.
    ///
    /// It prolongs the guard's cut and never makes one: whether the upstream fails is told by the share of drops.
    pub fn pushed_back(&self, now: Tick, retry_after: Option<Duration>) {
        if let Some(span) = retry_after {
            let until = now.after(span.min(RETRY_AFTER_MAX));
            self.sums.retry_at.fetch_max(until.as_nanos(), Ordering::Relaxed);
        }
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
            costs: self.sums.costs.load(Ordering::Relaxed),
            cost_squares: self.sums.cost_squares.load(Ordering::Relaxed),
            held: self.sums.held.load(Ordering::Relaxed),
            before: self.sums.before.load(Ordering::Relaxed),
            squares: self.sums.squares.load(Ordering::Relaxed),
            retry_at: Tick::from_nanos(self.sums.retry_at.load(Ordering::Relaxed)),
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded by the largest cost")]
fn thousandths(cost: f64) -> u64 {
    (cost * THOUSANDTHS).round() as u64
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
        meter.ended(at(60), at(110), 1.0, Outcome::Success);
        meter.ended(at(105), at(115), 1.0, Outcome::Drop);
        meter.ended(at(0), at(120), 1.0, Outcome::Abandoned);
        let read = meter.read();
        assert_eq!((read.successes, read.drops, read.ended()), (1, 1, 2));
        assert_eq!((read.held, read.before), (60_000_000, 40_000_000));
        assert_eq!(read.squares, 50_000 * 50_000 + 10_000 * 10_000);
    }

    #[test]
    fn a_request_that_costs_ten_counts_with_a_tenth_of_its_hold() {
        let meter = Meter::default();
        meter.begin(at(50));
        meter.ended(at(0), at(100), 10.0, Outcome::Success);
        meter.ended(at(90), at(100), 1.0, Outcome::Success);
        let read = meter.read();
        assert_eq!((read.successes, read.held, read.before), (2, 20_000_000, 5_000_000));
        assert!((read.goods() - 11.0).abs() < 1e-9 && (read.effective() - 121.0 / 101.0).abs() < 1e-9, "{read:?}");
    }

    #[test]
    fn the_latest_retry_after_stands_and_a_year_is_ten_seconds() {
        let meter = Meter::default();
        meter.pushed_back(at(100), None);
        assert_eq!(meter.read().retry_at, Tick::ZERO);
        meter.pushed_back(at(100), Some(Duration::from_hours(8_760)));
        meter.pushed_back(at(200), Some(Duration::from_secs(1)));
        assert_eq!(meter.read().retry_at, at(10_100));
    }

    #[test]
    fn costs_that_are_none_are_bounded() {
        for (cost, costs) in [(f64::NAN, 1_000), (f64::INFINITY, 100_000), (-1.0, 10), (0.0, 10)] {
            let meter = Meter::default();
            meter.ended(Tick::ZERO, Tick::from_nanos(u64::MAX), cost, Outcome::Success);
            assert_eq!(meter.read().costs, costs, "{cost}");
        }
    }

    #[test]
    fn a_clock_that_jumps_back_counts_as_no_time() {
        let meter = Meter::default();
        meter.begin(at(500));
        meter.ended(at(400), at(300), 1.0, Outcome::Success);
        assert_eq!(
            meter.read(),
            Readings { successes: 1, costs: 1_000, cost_squares: 1_000_000, ..Readings::default() }
        );
    }

    #[test]
    fn differences_survive_the_wrap() {
        let early = Readings { held: u64::MAX - 1, ..Readings::default() };
        let late = Readings { held: 3, ..Readings::default() };
        assert_eq!(late.since(&early).held, 5);
    }
}
