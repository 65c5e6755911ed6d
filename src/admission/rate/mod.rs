//! Token buckets: how often, in the exact sense of GCRA — in every window `w`, admitted ≤ rate·w + burst.
//!
//! `governor` does the arithmetic: one atomic word a bucket, and a refusal writes nothing. It asks a clock for the time; ours
//! is a hand that is set to the caller's tick just before, so that time stays an argument.
//!
//! **Invariants**: only `check` is used; nobody ever waits inside a bucket (`until_ready` has neither order nor bound).
//! **Cost**: ~20 ns; per client also one lookup in a sharded map (`client`).
//! **Not here**: who waits for a token (the gate's line), in flight.

pub mod client;

use std::cell::Cell;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock as GovernorClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{NotUntil, Quota, RateLimiter};

use crate::clock::{Tick, saturating_nanos};
use crate::config::plan::{Rate, RateLimit};

/// A hundred years; the nanoseconds of all years of a process fit beside it into 64 bits.
const LONGEST_FILL: Duration = Duration::from_hours(24 * 36_525);

/// A bucket for one upstream, shared by everybody.
#[derive(Debug)]
pub struct Bucket {
    state: Arc<InMemoryState>,
    limiter: RateLimiter<NotKeyed, Shared, Hand, NoOpMiddleware<Instant>>,
    /// What one token weighs: the time in which it comes.
    weight: Nanos,
    /// How far ahead of its time the bucket may be charged: all tokens but one.
    tolerance: Nanos,
    rate: f64,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn new(limit: RateLimit) -> Self {
        let quota = quota(limit.rate, limit.burst);
        let state = Arc::new(InMemoryState::default());
        Self {
            limiter: RateLimiter::new(quota, Shared(Arc::clone(&state)), Hand),
            state,
            weight: quota.replenish_interval().into(),
            tolerance: quota.replenish_interval().saturating_mul(quota.burst_size().get() - 1).into(),
            rate: f64::from(limit.rate.count.get()) / limit.rate.per.as_secs_f64(),
        }
    }

    /// Takes a token, or says when the next one comes.
    pub fn take(&self, now: Tick) -> Result<(), Tick> {
        Hand::set(now);
        self.limiter.check().map_err(|refusal| refusal.earliest_possible().0)
    }

    /// Undoes a [`Bucket::take`] that was not used: the theoretical arrival time moves back by one token, to where it was or
    /// to a full bucket, never further.
    pub fn give_back(&self) {
        let undo = |arrival: Option<Nanos>| {
            let arrival = arrival.map_or(0, Nanos::as_u64);
            Ok::<_, std::convert::Infallible>(((), Nanos::new(arrival.saturating_sub(self.weight.as_u64()))))
        };
        self.state.measure_and_replace(&NotKeyed::NonKey, undo).ok();
    }

    /// Until the next token can be taken; takes nothing.
    #[must_use]
    pub fn next(&self, now: Tick) -> Duration {
        let arrival = theoretical_arrival(&self.state).unwrap_or(Tick::ZERO);
        Tick::from_nanos(arrival.as_nanos().saturating_sub(self.tolerance.as_u64())).since(now)
    }

    /// Tokens a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.rate
    }
}

/// The state as the limiter owns it; governor gives no way back to what it was handed.
#[derive(Debug)]
struct Shared(Arc<InMemoryState>);

impl StateStore for Shared {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, key: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        self.0.measure_and_replace(key, decide)
    }
}

/// governor's quota for `rate` with `burst`.
///
/// The period of a token is rounded up to whole nanoseconds: never more than the rate. A burst that takes longer than
/// [`LONGEST_FILL`] to fill is one that never fills; governor's arithmetic would overflow on it.
fn quota(rate: Rate, burst: NonZeroU32) -> Quota {
    let nanos = saturating_nanos(rate.per).div_ceil(u64::from(rate.count.get())).max(1);
    let longest = u32::try_from(saturating_nanos(LONGEST_FILL) / nanos).unwrap_or(u32::MAX);
    let burst = burst.min(NonZeroU32::new(longest).unwrap_or(NonZeroU32::MIN));
    let period = Duration::from_nanos(nanos);
    Quota::with_period(period).unwrap_or_else(|| Quota::per_second(rate.count)).allow_burst(burst)
}

/// When the bucket is full again; [`None`] for one that was never charged. Read through the only door governor leaves open:
/// a decision that refuses changes nothing.
fn theoretical_arrival(bucket: &InMemoryState) -> Option<Tick> {
    bucket
        .measure_and_replace(&NotKeyed::NonKey, Err::<((), Nanos), _>)
        .err()
        .flatten()
        .map(|arrival| Tick::from_nanos(arrival.as_u64()))
}

/// How long from `now` until `refusal` ends.
fn until(refusal: &NotUntil<Instant>, now: Tick) -> Duration {
    refusal.earliest_possible().0.since(now)
}

/// A [`Tick`] as governor wants to see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Instant(Tick);

impl std::ops::Add<Nanos> for Instant {
    type Output = Self;

    fn add(self, span: Nanos) -> Self {
        Self(self.0.after(span.into()))
    }
}

impl Reference for Instant {
    fn duration_since(&self, earlier: Self) -> Nanos {
        Nanos::new(saturating_nanos(self.0.since(earlier.0)))
    }

    fn saturating_sub(&self, span: Nanos) -> Self {
        Self(Tick::from_nanos(self.0.as_nanos().saturating_sub(span.as_u64())))
    }
}

thread_local! {
    static NOW: Cell<Tick> = const { Cell::new(Tick::ZERO) };
}

/// The clock given to governor: shows what the calling thread set last.
///
/// During construction it shows [`Tick::ZERO`], so that all buckets count from the start of our clock.
#[derive(Clone, Copy, Debug)]
struct Hand;

impl Hand {
    fn set(now: Tick) {
        NOW.set(now);
    }
}

impl GovernorClock for Hand {
    type Instant = Instant;

    fn now(&self) -> Instant {
        Instant(NOW.replace(Tick::ZERO))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limit(count: u32, per: Duration, burst: u32) -> RateLimit {
        let number = |n| NonZeroU32::new(n).unwrap();
        RateLimit { rate: Rate { count: number(count), per }, burst: number(burst) }
    }

    #[test]
    fn says_when_the_next_token_comes() {
        let bucket = Bucket::new(limit(10, Duration::from_secs(1), 1));
        let start = Tick::ZERO.after(Duration::from_secs(5));
        assert_eq!(bucket.take(start), Ok(()));
        let due = bucket.take(start).unwrap_err();
        assert_eq!(due.since(start), Duration::from_millis(100));
        assert_eq!(bucket.take(due), Ok(()));
    }

    #[test]
    fn the_next_token_is_foreseen_without_taking_one() {
        let bucket = Bucket::new(limit(10, Duration::from_secs(1), 2));
        let now = Tick::ZERO.after(Duration::from_secs(5));
        assert_eq!(bucket.next(now), Duration::ZERO);
        assert!(bucket.take(now).is_ok() && bucket.take(now).is_ok());
        assert_eq!(bucket.next(now), Duration::from_millis(100));
        assert_eq!(bucket.next(now.after(Duration::from_millis(100))), Duration::ZERO);
    }

    #[test]
    fn no_burst_overflows() {
        let bucket = Bucket::new(limit(5, Duration::from_hours(1), u32::MAX));
        let now = Tick::ZERO.after(Duration::from_hours(24));
        assert!((0..1_000).all(|_| bucket.take(now).is_ok()));
    }

    #[test]
    fn a_token_given_back_is_there_again_and_not_twice() {
        let bucket = Bucket::new(limit(10, Duration::from_secs(1), 2));
        let now = Tick::ZERO.after(Duration::from_secs(5));
        assert!(bucket.take(now).is_ok() && bucket.take(now).is_ok() && bucket.take(now).is_err());
        bucket.give_back();
        assert!(bucket.take(now).is_ok());
        assert!(bucket.take(now).is_err(), "one was given back, one may be taken");
    }

    proptest! {
        /// Rule 5 of the design: in every window, admitted ≤ rate·w + burst.
        #[test]
        fn exact_in_every_window(
            count in 1_u32..2_000,
            burst in 1_u32..50,
            gaps in prop::collection::vec(0_u64..20_000_000, 1..400),
        ) {
            let bucket = Bucket::new(limit(count, Duration::from_secs(1), burst));
            let mut now = Tick::ZERO;
            let mut admitted = Vec::new();
            for gap in gaps {
                now = now.after(Duration::from_nanos(gap));
                if bucket.take(now).is_ok() {
                    admitted.push(now);
                }
            }
            for (first, from) in admitted.iter().enumerate() {
                for (last, to) in admitted.iter().enumerate().skip(first) {
                    let allowed = f64::from(count) * to.since(*from).as_secs_f64() + f64::from(burst);
                    // One token of rounding: governor counts whole nanoseconds a token.
                    prop_assert!((last - first + 1) as f64 <= allowed + 1e-3 * allowed, "{first}..{last}");
                }
            }
        }
    }
}
