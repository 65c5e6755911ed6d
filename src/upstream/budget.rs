//! How many requests may be sent a second time.
//!
//! A service that breaks connections is in trouble; sending everything twice doubles it. So retries are a tenth of what went
//! well lately, and a few a second so that a quiet upstream has any.
//!
//! **Invariants** (I14): at every retry, the retries of the ten seconds up to it are at most [`RETRY_RATIO`] of the successes in the
//! same ten seconds and [`FLOOR_A_SECOND`] a second. Both are exact counts, rounded to whole seconds against the retry.
//! **Cost**: nothing for a request that goes well: its success is counted anyway (`window`). A lock for a retry.
//! **Not here**: whether a request may be sent again at all (`repeat`).
//!
//! A tenth: Google SRE book, ch. 21; a floor and a memory of ten seconds: Finagle's `RetryBudget`.

use super::window::{SECONDS, second};
use crate::clock::Tick;

/// Retries for each success.
const RETRY_RATIO: f64 = 0.1;
/// Retries that need no success.
const FLOOR_A_SECOND: u64 = 3;
/// One more than the successes have: the oldest second may lie within the ten in part.
const BUCKETS: usize = SECONDS + 1;

/// The retries of one upstream.
#[derive(Debug, Default)]
pub(super) struct RetryBudget([(u64, u64); BUCKETS]);

impl RetryBudget {
    /// Takes one retry at `now`, after `successes` in the ten seconds up to it; `false` if the budget is spent.
    pub(super) fn try_spend(&mut self, now: Tick, successes: u64) -> bool {
        let second = second(now);
        let oldest = second.saturating_sub(BUCKETS as u64 - 1);
        let spent: u64 = self.0.iter().filter(|(at, _)| *at >= oldest).map(|(_, count)| count).sum();
        let earned = successes as f64 * RETRY_RATIO + (FLOOR_A_SECOND * SECONDS as u64) as f64;
        if (spent + 1) as f64 > earned {
            return false;
        }
        let index = usize::try_from(second).unwrap_or_default() % BUCKETS;
        if let Some((at, count)) = self.0.get_mut(index) {
            (*at, *count) = if *at == second { (second, *count + 1) } else { (second, 1) };
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::window::Window;
    use super::*;

    const SPAN: Duration = Duration::from_secs(SECONDS as u64);

    proptest! {
        /// I14 in continuous time, in every window that ends with a retry, over any course of events.
        #[test]
        fn retries_keep_to_their_part(steps in proptest::collection::vec((0_u64..120, 0_u8..4), 1..1500)) {
            let (mut budget, window, mut now) = (RetryBudget::default(), Window::default(), Tick::ZERO);
            let (mut successes, mut retries) = (Vec::new(), Vec::new());
            for (millis, step) in steps {
                now = now.after(Duration::from_millis(millis));
                let recent = |ticks: &[Tick]| ticks.iter().filter(|at| now.since(**at) < SPAN).count();
                if step == 0 {
                    successes.push(now);
                    window.add(now, true);
                } else if budget.try_spend(now, window.sum(now).successes) {
                    retries.push(now);
                    let earned = recent(&successes) as f64 * RETRY_RATIO + 30.0;
                    prop_assert!(recent(&retries) as f64 <= earned);
                }
            }
        }
    }

    #[test]
    fn a_floor_for_the_quiet_and_a_tenth_for_the_busy() {
        let spend = |successes| {
            let mut budget = RetryBudget::default();
            (0..10_000).filter(|_| budget.try_spend(Tick::ZERO, successes)).count()
        };
        assert_eq!((spend(0), spend(1000)), (30, 130));
        let mut budget = RetryBudget::default();
        assert_eq!((0..100).filter(|_| budget.try_spend(Tick::ZERO, 0)).count(), 30);
        assert!(!budget.try_spend(Tick::ZERO.after(SPAN), 0));
        assert!(budget.try_spend(Tick::ZERO.after(SPAN + Duration::from_secs(1)), 0), "forgotten");
    }
}
