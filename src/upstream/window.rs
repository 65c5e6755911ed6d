//! What a server did in the last ten seconds, counted exactly.
//!
//! **Invariants**: nothing is estimated or decayed: every event stands in the bucket of its second and is forgotten with it. A
//! count saturates at [`COUNT_MAX`] a second.
//! **Cost**: one compare-and-swap an event; no lock, no allocation.
//! **Not here**: what follows from the counts (`ejection`, `budget`).

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Tick;

/// Seconds looked back at. The present one is under way, so a sum covers between nine and ten.
pub(super) const SECONDS: usize = 10;
/// A bucket is one word: 28 bits of second (eight years), 18 of successes, 18 of failures.
const COUNT_BITS: u32 = 18;
const COUNT_MAX: u64 = (1 << COUNT_BITS) - 1;
const NANOS_A_SECOND: u64 = 1_000_000_000;

/// How often it went well and how often not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) successes: u64,
    pub(super) failures: u64,
}

/// Ten buckets of a second each.
#[derive(Debug, Default)]
pub(super) struct Window([AtomicU64; SECONDS]);

/// The second of `tick`, from 1, so that a word of zero is a bucket of no second.
pub(super) const fn second(tick: Tick) -> u64 {
    tick.as_nanos() / NANOS_A_SECOND + 1
}

impl Window {
    /// Counts one event at `now`.
    pub(super) fn add(&self, now: Tick, success: bool) {
        let second = second(now);
        let Some(bucket) = usize::try_from(second).ok().and_then(|second| self.0.get(second % SECONDS)) else {
            return;
        };
        let added = |word: u64| {
            let (at, mut counts) = unpack(word);
            // Another worker's clock may already have begun the next round: then this event is its.
            if at < second {
                counts = Counts::default();
            }
            let count = if success { &mut counts.successes } else { &mut counts.failures };
            *count = (*count + 1).min(COUNT_MAX);
            Some(pack(at.max(second), counts))
        };
        // There is always a next word, so this cannot fail.
        bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, added).ok();
    }

    /// What happened in the ten seconds up to `now`.
    pub(super) fn sum(&self, now: Tick) -> Counts {
        let oldest = second(now).saturating_sub(SECONDS as u64 - 1);
        let words = self.0.iter().map(|bucket| unpack(bucket.load(Ordering::Relaxed)));
        words.filter(|(at, _)| *at >= oldest).fold(Counts::default(), |sum, (_, counts)| Counts {
            successes: sum.successes + counts.successes,
            failures: sum.failures + counts.failures,
        })
    }

    /// Forgets everything.
    pub(super) fn clear(&self) {
        for bucket in &self.0 {
            bucket.store(0, Ordering::Relaxed);
        }
    }
}

const fn pack(second: u64, counts: Counts) -> u64 {
    second << (2 * COUNT_BITS) | counts.successes << COUNT_BITS | counts.failures
}

const fn unpack(word: u64) -> (u64, Counts) {
    let counts = Counts { successes: (word >> COUNT_BITS) & COUNT_MAX, failures: word & COUNT_MAX };
    (word >> (2 * COUNT_BITS), counts)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a list of all events.
        #[test]
        fn sums_are_exact(steps in proptest::collection::vec((0_u64..2_500, any::<bool>()), 1..200)) {
            let (window, mut now, mut events) = (Window::default(), Tick::ZERO, Vec::new());
            for (millis, success) in steps {
                now = now.after(Duration::from_millis(millis));
                window.add(now, success);
                events.push((second(now), success));
                let recent = |wanted: bool| {
                    let seen = events.iter().filter(|(at, was)| *was == wanted && at + SECONDS as u64 > second(now));
                    seen.count() as u64
                };
                prop_assert_eq!(window.sum(now), Counts { successes: recent(true), failures: recent(false) });
            }
            window.clear();
            prop_assert_eq!(window.sum(now), Counts::default());
        }
    }

    #[test]
    fn workers_lose_no_event() {
        let window = Window::default();
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let window = &window;
                scope.spawn(move || (0..10_000).for_each(|_| window.add(Tick::ZERO, worker % 2 == 0)));
            }
        });
        assert_eq!(window.sum(Tick::ZERO), Counts { successes: 20_000, failures: 20_000 });
    }
}
