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

/// A bucket for one upstream, shared by everybody.
#[derive(Debug)]
pub struct Bucket {
    state: Arc<InMemoryState>,
    limiter: RateLimiter<NotKeyed, Shared, Hand, NoOpMiddleware<Instant>>,
    /// What one token weighs: the time in which it comes.
    weight: Nanos,
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
fn quota(rate: Rate, burst: NonZeroU32) -> Quota {
    // A rate has a count of at least one and a period of at least a second, so the period of one token is never zero...
    let period = rate.per.checked_div(rate.count.get()).filter(|period| !period.is_zero());
    // ...except for counts above 10⁹ a second, where one nanosecond is the finest there is.
    let period = period.unwrap_or(Duration::from_nanos(1));
    Quota::with_period(period).unwrap_or_else(|| Quota::per_second(rate.count)).allow_burst(burst)
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
