//! How long the line will take: from what permits were held, never from a guess of capacity.
//!
//! By Little's law a gate whose permits are all in use completes `X = L / R` requests a second, `L` the limit and `R` the mean
//! time a permit is held. `R` needs two to three times fewer completions than counting them (notes of first trials), and is
//! not fooled by a gate that is short of people.
//!
//! **Invariants**: `X` is finite and positive; a stall shows although no new sample arrives; bookings are handed out in order, one at a time.
//! **Cost**: four relaxed atomics, no lock, no allocation.
//! **Not here**: who may wait how long (`route`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{Tick, saturating_nanos};

/// Weight of one completion in the mean is never less than this: the mean follows a change within some 64 completions.
const WINDOW: u64 = 64;

/// Until the first completion a permit is taken to be held this long, an ordinary form submission; the first few
/// completions replace it.
const FIRST_HOLD: Duration = Duration::from_millis(250);

/// A busy gate that completed nothing for so many mean holds has stalled: people in flight started at different times, so
/// silence of twice the mean is not chance.
const SILENT_HOLDS: u32 = 2;

/// And no silence is a stall that is shorter than this: a fast service, the kernel, or a worker of ours that is busy with a
/// burst pauses for so long now and then, and the line must not be judged by the rate of such a moment.
const SHORTEST_STALL: Duration = Duration::from_millis(250);

/// People refused are called back faster than the service can take them, so that the line does not run dry when some do
/// not return; two to three visits a person (notes of first trials: 2.5).
const OVERBOOKING: f64 = 2.5;

/// Nobody is told to come later than this without a place to come back to: what is true then is not known now, and whoever
/// was told too much keeps away while the service idles.
const LATEST_BOOKING: Duration = Duration::from_mins(1);

/// One sample counts for at most so many means: a tunnel or an abandoned exchange that lasted minutes says nothing about the
/// pace of the others, while a service that has slowed down tenfold is still followed within some fifty completions.
const OUTLIER: u64 = 4;

/// Slowest rate ever assumed, one a minute; keeps predictions finite while a service hangs.
const SLOWEST: f64 = 1.0 / 60.0;

/// What is known of one upstream's pace.
#[derive(Debug)]
pub(in crate::admission) struct Predictor {
    /// Mean hold in nanoseconds.
    hold: AtomicU64,
    completions: AtomicU64,
    /// Last completion, or the first acquisition after idleness.
    progress: AtomicU64,
    /// Next free moment for somebody who was refused.
    booked: AtomicU64,
    /// A contract rate above which the upstream is never driven, in requests a second.
    ceiling: f64,
}

impl Predictor {
    /// Knows nothing yet. `ceiling` is the contract rate in requests a second, infinite if there is none.
    pub(in crate::admission) fn new(ceiling: f64) -> Self {
        Self {
            hold: AtomicU64::new(saturating_nanos(FIRST_HOLD)),
            completions: AtomicU64::new(0),
            progress: AtomicU64::new(0),
            booked: AtomicU64::new(0),
            ceiling,
        }
    }

    /// The gate went from idle to busy.
    pub(in crate::admission) fn busy(&self, now: Tick) {
        self.progress.store(now.as_nanos(), Ordering::Relaxed);
    }

    /// A permit was given back after `held`. Updates that race may lose one sample, never corrupt the mean.
    pub(in crate::admission) fn completed(&self, now: Tick, held: Duration) {
        self.progress.store(now.as_nanos(), Ordering::Relaxed);
        let seen = self.completions.fetch_add(1, Ordering::Relaxed);
        let weight = seen.saturating_add(1).min(WINDOW);
        let mean = self.hold.load(Ordering::Relaxed);
        let held = saturating_nanos(held);
        let held = if seen == 0 { held } else { held.min(mean.saturating_mul(OUTLIER)) };
        let next = if held >= mean { mean + (held - mean) / weight } else { mean - (mean - held) / weight };
        self.hold.store(next.max(1), Ordering::Relaxed);
    }

    /// Mean time a permit is held.
    pub(in crate::admission) fn mean_hold(&self) -> Duration {
        Duration::from_nanos(self.hold.load(Ordering::Relaxed))
    }

    /// Requests a second the upstream completes while every permit of `limit` is in use.
    pub(in crate::admission) fn rate(&self, limit: u32) -> f64 {
        let by_hold = f64::from(limit) / self.mean_hold().as_secs_f64().max(f64::EPSILON);
        by_hold.min(self.ceiling).max(SLOWEST)
    }

    /// How long a busy gate has completed nothing although it should have.
    ///
    /// A stall that has lasted so long is taken to last as long again: the median of what is left of a thing met at a random
    /// moment of its life (Gott, Nature 363, 1993).
    pub(in crate::admission) fn stalled(&self, now: Tick, in_flight: u32) -> Duration {
        if in_flight == 0 {
            return Duration::ZERO;
        }
        let silence = now.since(Tick::from_nanos(self.progress.load(Ordering::Relaxed)));
        silence.saturating_sub(self.mean_hold().saturating_mul(SILENT_HOLDS).max(SHORTEST_STALL))
    }

    /// The line has room: whoever was booked for later has not come, or is not needed. Bookings begin anew.
    pub(in crate::admission) fn unbook(&self, now: Tick) {
        // Read first: in the usual case there is nothing to write.
        if self.booked.load(Ordering::Relaxed) > now.as_nanos() {
            self.booked.store(now.as_nanos(), Ordering::Relaxed);
        }
    }

    /// The moment at which somebody refused now should come back: not before `excess` has passed (by then the line has
    /// shrunk enough), and one booking after another at the pace of the service, so that the refused do not return at once.
    pub(in crate::admission) fn book(&self, now: Tick, rate: f64, excess: Duration) -> Duration {
        let step = saturating_nanos(Duration::try_from_secs_f64(1.0 / (rate * OVERBOOKING)).unwrap_or(LATEST_BOOKING));
        let earliest = now.after(excess.min(LATEST_BOOKING)).as_nanos();
        let latest = now.after(LATEST_BOOKING).as_nanos();
        let next = |booked: u64| booked.max(earliest).saturating_add(step).min(latest);
        let mut booked = self.booked.load(Ordering::Relaxed);
        loop {
            match self.booked.compare_exchange_weak(booked, next(booked), Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Tick::from_nanos(next(booked)).since(now),
                Err(current) => booked = current,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn after(millis: u64) -> Tick {
        Tick::ZERO.after(Duration::from_millis(millis))
    }

    /// 40 permits of 100 ms each: 400 a second.
    fn steady() -> Predictor {
        let predictor = Predictor::new(f64::INFINITY);
        for at in 0..200 {
            predictor.completed(after(at), Duration::from_millis(100));
        }
        predictor
    }

    #[test]
    fn learns_the_rate_from_held_permits() {
        let rate = steady().rate(40);
        assert!((rate - 400.0).abs() < 1.0, "{rate}");
    }

    #[test]
    fn contract_rate_caps_the_pace() {
        let predictor = Predictor::new(50.0);
        predictor.completed(after(1), Duration::from_millis(1));
        assert!((predictor.rate(40) - 50.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_stall_is_as_long_as_its_age_and_needs_no_samples() {
        let predictor = steady();
        assert_eq!(predictor.stalled(after(300), 40), Duration::ZERO);
        assert!(predictor.stalled(after(5_200), 40) > 4 * SECOND);
        assert_eq!(predictor.stalled(after(5_200), 0), Duration::ZERO, "an idle gate is not a stalled one");
    }

    #[test]
    fn a_short_pause_of_a_fast_service_is_no_stall() {
        let predictor = Predictor::new(f64::INFINITY);
        for at in 0..200 {
            predictor.completed(after(at), Duration::from_millis(6));
        }
        assert_eq!(predictor.stalled(after(400), 64), Duration::ZERO);
    }

    #[test]
    fn follows_a_service_that_slows_down() {
        let predictor = steady();
        for at in 200..500 {
            predictor.completed(after(at), Duration::from_millis(400));
        }
        let rate = predictor.rate(40);
        assert!((rate - 100.0).abs() < 5.0, "{rate}");
    }

    #[test]
    fn bookings_are_spaced_and_bounded() {
        let predictor = Predictor::new(f64::INFINITY);
        let first = predictor.book(Tick::ZERO, 100.0, SECOND);
        assert_eq!(first, SECOND + Duration::from_millis(4));
        let mut last = first;
        for _ in 0..250 {
            let next = predictor.book(Tick::ZERO, 100.0, SECOND);
            assert!(next > last);
            last = next;
        }
        assert_eq!(last, SECOND * 2 + Duration::from_millis(4));
        for _ in 0..100_000 {
            last = predictor.book(Tick::ZERO, 1.0, SECOND);
        }
        assert_eq!(last, LATEST_BOOKING);
    }

    #[test]
    fn bookings_of_a_crowd_that_has_gone_do_not_last() {
        let predictor = Predictor::new(f64::INFINITY);
        for _ in 0..100_000 {
            predictor.book(Tick::ZERO, 100.0, SECOND);
        }
        predictor.unbook(after(3_000));
        let next = predictor.book(after(3_000), 100.0, SECOND);
        assert!(next < 2 * SECOND, "{next:?}");
    }

    #[test]
    fn one_outlier_says_nothing_about_the_others() {
        let predictor = steady();
        predictor.completed(after(201), Duration::from_mins(10));
        let rate = predictor.rate(40);
        assert!(rate > 350.0, "{rate}");
    }

    #[test]
    fn hostile_samples_keep_it_finite() {
        let predictor = Predictor::new(f64::INFINITY);
        for held in [Duration::ZERO, Duration::MAX, Duration::ZERO, Duration::MAX] {
            predictor.completed(Tick::from_nanos(u64::MAX), held);
            let rate = predictor.rate(u32::MAX);
            assert!(rate.is_finite() && rate >= SLOWEST, "{rate}");
        }
    }
}
