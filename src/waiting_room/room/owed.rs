//! Those who were called and waited at the gate in vain: how many, and when they come again.
//!
//! They are neither in line nor through, and there may be hundreds: when a service turns out to take half as many as was believed, those whose
//! patience ends leave the line all at once.
//!
//! **Invariants**: nobody is expected for longer than [`SECONDS`], nor after the second in which he was to come.
//! **Cost**: one compare-and-swap a person; a look [`SECONDS`] loads. 4 KiB a room.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Tick;
use crate::waiting_room::pace::Cohort;

/// More than anybody is told to stay away from a gate: five minutes.
const SECONDS: u64 = 512;

/// Below the number of the second: how many.
const COUNT_BITS: u32 = 32;

/// By the second in which they come: its number, and how many they are.
#[derive(Debug)]
pub(super) struct Owed(Box<[AtomicU64]>);

impl Owed {
    pub(super) fn new() -> Self {
        Self((0..SECONDS).map(|_| AtomicU64::new(0)).collect())
    }

    /// One more is back by `by`.
    pub(super) fn expect(&self, by: Tick) {
        let second = second(by);
        let slot = usize::try_from(second % SECONDS).ok().and_then(|slot| self.0.get(slot));
        let more = |word: u64| if word >> COUNT_BITS == second { word + 1 } else { second << COUNT_BITS | 1 };
        if let Some(slot) = slot {
            let _before = slot.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| Some(more(word)));
        }
    }

    /// Those who are not back at `now`, by when they can be, appended to `cohorts`.
    pub(super) fn awaited(&self, now: Tick, cohorts: &mut Vec<Cohort>) {
        let now = second(now);
        let words = self.0.iter().map(|slot| slot.load(Ordering::Acquire));
        let later = words.filter(|word| (now + 1..now + SECONDS).contains(&(word >> COUNT_BITS)));
        cohorts.extend(later.map(|word| Cohort {
            called: Tick::ZERO.after(Duration::from_secs(word >> COUNT_BITS)),
            people: word & ((1 << COUNT_BITS) - 1),
            come: 0,
        }));
    }
}

fn second(tick: Tick) -> u64 {
    tick.since(Tick::ZERO).as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(millis: u64) -> Tick {
        Tick::ZERO.after(Duration::from_millis(millis))
    }

    #[test]
    fn whoever_is_to_come_is_awaited_until_then() {
        let owed = Owed::new();
        let awaited = |now| {
            let mut cohorts = Vec::new();
            owed.awaited(tick(now), &mut cohorts);
            cohorts.sort_by_key(|cohort| cohort.called);
            cohorts.iter().map(|cohort| (cohort.called, cohort.people)).collect::<Vec<_>>()
        };
        assert_eq!(awaited(0), []);
        for by in [4_100, 4_900, 300_000] {
            owed.expect(tick(by));
        }
        assert_eq!(awaited(1_000), [(tick(4_000), 2), (tick(300_000), 1)]);
        assert_eq!(awaited(4_000), [(tick(300_000), 1)], "back, or not coming");
        // A later second in the same slot.
        owed.expect(tick(4_000 + 1_000 * SECONDS));
        assert_eq!(awaited(1_000 * SECONDS), [(tick(4_000 + 1_000 * SECONDS), 1)]);
    }
}
