//! The lane of those who are late: called long ago, and come only now.
//!
//! Paid by whoever comes in, and not by asking: else one who asks and goes away again could keep all others out. So more of them may stand at
//! the gate than come in; whoever finds nothing left there asks again. After a restart nobody is late for as long as a call holds: nobody could
//! come while no process ran.
//!
//! **Invariants**: of those who are let in, at most [`LATE_SHARE`] are late, [`LATE_RATE`] a second in any case, and [`LATE_BURST`] at once.
//! **Cost**: a few floating-point operations.

use crate::clock::Tick;

/// Of those who are let in, so many may be late: called long ago, and come now. Whoever slept loses nothing, and those whose turn it is
/// are not kept waiting by a crowd that wakes.
const LATE_SHARE: f64 = 0.2;

/// … and one a second in any case.
const LATE_RATE: f64 = 1.0;

/// Late ones at once after a pause.
const LATE_BURST: f64 = 10.0;

/// The lane of those who are late.
#[derive(Debug)]
pub(super) struct Lane {
    credit: f64,
    at: Tick,
}

impl Lane {
    pub(super) const fn new() -> Self {
        Self { credit: LATE_BURST, at: Tick::ZERO }
    }

    /// Whether one may come in at `now`.
    pub(super) fn is_free(&mut self, now: Tick) -> bool {
        self.credit = (self.credit + now.since(self.at).as_secs_f64() * LATE_RATE).min(LATE_BURST);
        self.at = now;
        self.credit >= 1.0
    }

    /// One comes in at `now`, if he may.
    pub(super) fn take(&mut self, now: Tick) -> bool {
        let free = self.is_free(now);
        self.credit -= if free { 1.0 } else { 0.0 };
        free
    }

    /// Somebody came in, late or not.
    pub(super) fn entered(&mut self) {
        self.credit = (self.credit + LATE_SHARE).min(LATE_BURST);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn tick(millis: u64) -> Tick {
        Tick::ZERO.after(Duration::from_millis(millis))
    }

    #[test]
    fn of_a_crowd_that_wakes_a_fifth_comes_in_and_a_few_more() {
        let mut lane = Lane::new();
        let (mut sleepers, mut others) = (0, 0);
        for step in 0..60_000 {
            let now = tick(step);
            if lane.take(now) {
                sleepers += 1;
                lane.entered();
            }
            if step % 10 == 0 {
                others += 1;
                lane.entered();
            }
        }
        let most = f64::from(sleepers + others) * LATE_SHARE + 60.0 * LATE_RATE + LATE_BURST;
        assert!(
            f64::from(sleepers) <= most && f64::from(sleepers) > 0.9 * most,
            "{sleepers} beside {others}, at most {most}"
        );
    }

    #[test]
    fn asking_costs_nothing() {
        let mut lane = Lane::new();
        assert!((0..1_000).all(|_| lane.is_free(tick(1))));
        assert_eq!((0..1_000).filter(|_| lane.take(tick(1))).count(), 10);
        assert!(!lane.is_free(tick(1)) && !lane.is_free(tick(900)) && lane.is_free(tick(1_001)));
    }
}
