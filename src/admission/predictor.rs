//! How long the line will take: from what permits were held, never from a guess of capacity.
//!
//! By Little's law a gate whose permits are all in use completes `X = L / R` requests a second, `L` the limit and `R` the mean
//! time a permit is held, both as they were when requests ended: a limit that has just moved has not changed the pace yet. `R` needs two to three times fewer completions than counting them (notes of first trials), and is
//! not fooled by a gate that is short of people.
//!
//! **Invariants**: `X` is finite and positive; a stall shows although no new sample arrives; bookings are handed out in order, one at a time.
//! **Cost**: four relaxed atomics, no lock, no allocation.
//! **Not here**: who may wait how long (`route`).

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
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

/// People refused are called back as fast as the service can take them, and up to so many times as fast when the line runs
/// dry because some do not return (notes of first trials: 2.5 is two to three visits a person).
const OVERBOOKING_MOST: f64 = 2.5;

/// A look at a dry line raises the overbooking by this factor, ...
const OVERBOOKING_RISE: f64 = 1.1;

/// ... and a look at a well-filled one lowers it by this: it takes some ten seconds of five looks each to forget a dry line.
const OVERBOOKING_FALL: f64 = 0.98;

/// A line is dry below this share of the longest wait that is promised, ...
const DRY: f64 = 0.4;

/// ... and well filled above this.
const FILLED: f64 = 0.8;

/// Nobody is told to come later than this without a place to come back to: what is true then is not known now, and whoever
/// was told too much keeps away while the service idles.
const LATEST_BOOKING: Duration = Duration::from_mins(5);

/// One sample counts for at most so many means: an abandoned exchange that lasted minutes says nothing about the
/// pace of the others, while a service that has slowed down tenfold is still followed within some fifty completions.
const OUTLIER: u64 = 4;

/// Slowest rate ever assumed, one a minute; keeps predictions finite while a service hangs.
const SLOWEST: f64 = 1.0 / 60.0;

/// What is known of one upstream's pace.
#[derive(Debug)]
pub(in crate::admission) struct Predictor {
    /// Mean hold in nanoseconds.
    hold: AtomicU64,
    /// Mean limit under which those holds ended: the bits of an `f64`.
    level: AtomicU64,
    completions: AtomicU64,
    /// Tunnels: they hold permits for as long as people like.
    quiet: AtomicU32,
    /// Permits held where nobody is sent to any more.
    stranded: AtomicU32,
    /// Last completion, or the first acquisition after idleness.
    progress: AtomicU64,
    /// Next free moment for somebody who was refused.
    booked: AtomicU64,
    /// How many times as fast as the service is people are called back: the bits of an `f64`.
    overbooking: AtomicU64,
    /// A contract rate above which the upstream is never driven, in requests a second.
    ceiling: f64,
}

impl Predictor {
    /// Knows nothing yet. `ceiling` is the contract rate in requests a second, infinite if there is none.
    pub(in crate::admission) fn new(ceiling: f64) -> Self {
        Self {
            hold: AtomicU64::new(saturating_nanos(FIRST_HOLD)),
            level: AtomicU64::new(0),
            completions: AtomicU64::new(0),
            quiet: AtomicU32::new(0),
            stranded: AtomicU32::new(0),
            progress: AtomicU64::new(0),
            booked: AtomicU64::new(0),
            overbooking: AtomicU64::new(1.0_f64.to_bits()),
            ceiling,
        }
    }

    /// A permit was taken while `in_flight` were in use. With nobody in service until then, silence begins now.
    pub(in crate::admission) fn entered(&self, now: Tick, in_flight: u32) {
        if in_flight <= self.resting() {
            self.progress.store(now.as_nanos(), Ordering::Relaxed);
        }
    }

    /// One more permit is a tunnel's.
    pub(in crate::admission) fn fell_quiet(&self) {
        self.quiet.fetch_add(1, Ordering::Relaxed);
    }

    /// A tunnel's permit has come back.
    pub(in crate::admission) fn quiet_ended(&self) {
        self.quiet.fetch_sub(1, Ordering::Relaxed);
    }

    /// So many permits are held where nobody is sent to any more.
    pub(in crate::admission) fn set_stranded(&self, permits: u32) {
        self.stranded.store(permits, Ordering::Relaxed);
    }

    /// Permits in use that no request of those in line will get soon.
    fn resting(&self) -> u32 {
        self.quiet.load(Ordering::Relaxed).saturating_add(self.stranded.load(Ordering::Relaxed))
    }

    /// Permits that go from one request to the next, of `limit`.
    fn working(&self, limit: u32) -> f64 {
        f64::from(limit.saturating_sub(self.resting()).max(1))
    }

    /// A permit of `limit` was given back after `held`. Updates that race may lose one sample, never corrupt the mean.
    pub(in crate::admission) fn completed(&self, now: Tick, held: Duration, limit: u32) {
        self.progress.store(now.as_nanos(), Ordering::Relaxed);
        let seen = self.completions.fetch_add(1, Ordering::Relaxed);
        let weight = seen.saturating_add(1).min(WINDOW);
        let mean = self.hold.load(Ordering::Relaxed);
        let held = saturating_nanos(held);
        let held = if seen == 0 { held } else { held.min(mean.saturating_mul(OUTLIER)) };
        let next = if held >= mean { mean + (held - mean) / weight } else { mean - (mean - held) / weight };
        self.hold.store(next.max(1), Ordering::Relaxed);
        let level = f64::from_bits(self.level.load(Ordering::Relaxed));
        let level = level + (self.working(limit) - level) / weight as f64;
        self.level.store(level.to_bits(), Ordering::Relaxed);
    }

    /// Mean time a permit is held.
    pub(in crate::admission) fn mean_hold(&self) -> Duration {
        Duration::from_nanos(self.hold.load(Ordering::Relaxed))
    }

    /// Requests a second the upstream completes while every permit of `limit` is in use.
    pub(in crate::admission) fn rate(&self, limit: u32) -> f64 {
        let level = f64::from_bits(self.level.load(Ordering::Relaxed));
        let level = if level > 0.0 { level } else { self.working(limit) };
        let by_hold = level / self.mean_hold().as_secs_f64().max(f64::EPSILON);
        by_hold.min(self.ceiling).max(SLOWEST)
    }

    /// How long a busy gate has completed nothing although it should have.
    ///
    /// A stall that has lasted so long is taken to last as long again: the median of what is left of a thing met at a random
    /// moment of its life (Gott, Nature 363, 1993).
    pub(in crate::admission) fn stalled(&self, now: Tick, in_flight: u32) -> Duration {
        if in_flight <= self.resting() {
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

    /// Looks how well those who were called back fill a line in which one waits for `wait` now and nobody shall for longer
    /// than `longest`. To be called five times a second, by one caller.
    pub(in crate::admission) fn look(&self, now: Tick, wait: Duration, longest: Duration) {
        let overbooking = f64::from_bits(self.overbooking.load(Ordering::Relaxed));
        let awaited = self.booked.load(Ordering::Relaxed) > now.as_nanos();
        let next = if awaited && wait < longest.mul_f64(DRY) {
            overbooking * OVERBOOKING_RISE
        } else if wait > longest.mul_f64(FILLED) {
            overbooking * OVERBOOKING_FALL
        } else {
            overbooking
        };
        self.overbooking.store(next.clamp(1.0, OVERBOOKING_MOST).to_bits(), Ordering::Relaxed);
    }

    /// The moment at which somebody refused now should come back: not before `excess` has passed (by then the line has
    /// shrunk enough), and one booking after another at the pace of the service, so that the refused do not return at once.
    pub(in crate::admission) fn book(&self, now: Tick, rate: f64, excess: Duration) -> Duration {
        let rate = rate * f64::from_bits(self.overbooking.load(Ordering::Relaxed));
        let step = saturating_nanos(Duration::try_from_secs_f64(1.0 / rate).unwrap_or(LATEST_BOOKING));
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
            predictor.completed(after(at), Duration::from_millis(100), 40);
        }
        predictor
    }

    #[test]
    fn learns_the_rate_from_held_permits() {
        let rate = steady().rate(40);
        assert!((rate - 400.0).abs() < 1.0, "{rate}");
    }

    #[test]
    fn a_limit_that_has_just_moved_has_not_changed_the_pace_yet() {
        let predictor = steady();
        assert!((predictor.rate(80) - 400.0).abs() < 1.0, "{}", predictor.rate(80));
        for at in 200..600 {
            predictor.completed(after(at), Duration::from_millis(100), 80);
        }
        assert!((predictor.rate(80) - 800.0).abs() < 5.0, "{}", predictor.rate(80));
    }

    #[test]
    fn contract_rate_caps_the_pace() {
        let predictor = Predictor::new(50.0);
        predictor.completed(after(1), Duration::from_millis(1), 40);
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
    fn tunnels_and_what_is_stranded_do_not_pace_the_others() {
        let predictor = steady();
        (0..20).for_each(|_| predictor.fell_quiet());
        predictor.set_stranded(10);
        for at in 200..600 {
            predictor.completed(after(at), Duration::from_millis(100), 40);
        }
        assert!((predictor.rate(40) - 100.0).abs() < 1.0, "{}", predictor.rate(40));
        assert_eq!(predictor.stalled(after(9_000), 30), Duration::ZERO, "nobody is in service");
        assert!(predictor.stalled(after(9_000), 31) > SECOND);
        predictor.entered(after(9_000), 30);
        assert_eq!(predictor.stalled(after(9_100), 31), Duration::ZERO, "the first since then has just begun");
        predictor.entered(after(20_000), 31);
        assert!(predictor.stalled(after(20_000), 32) > SECOND, "one more tells nothing of the first");
        (0..20).for_each(|_| predictor.quiet_ended());
        predictor.set_stranded(0);
        for at in 600..1_000 {
            predictor.completed(after(at), Duration::from_millis(100), 40);
        }
        assert!((predictor.rate(40) - 400.0).abs() < 1.0, "{}", predictor.rate(40));
        let untried = Predictor::new(f64::INFINITY);
        (0..50).for_each(|_| untried.fell_quiet());
        assert!((untried.rate(40) - 4.0).abs() < 0.1, "at least one works: {}", untried.rate(40));
    }

    #[test]
    fn a_short_pause_of_a_fast_service_is_no_stall() {
        let predictor = Predictor::new(f64::INFINITY);
        for at in 0..200 {
            predictor.completed(after(at), Duration::from_millis(6), 64);
        }
        assert_eq!(predictor.stalled(after(400), 64), Duration::ZERO);
    }

    #[test]
    fn follows_a_service_that_slows_down() {
        let predictor = steady();
        for at in 200..500 {
            predictor.completed(after(at), Duration::from_millis(400), 40);
        }
        let rate = predictor.rate(40);
        assert!((rate - 100.0).abs() < 5.0, "{rate}");
    }

    #[test]
    fn bookings_are_spaced_and_bounded() {
        let predictor = Predictor::new(f64::INFINITY);
        let first = predictor.book(Tick::ZERO, 100.0, SECOND);
        assert_eq!(first, SECOND + Duration::from_millis(10));
        let mut last = first;
        for _ in 0..100 {
            let next = predictor.book(Tick::ZERO, 100.0, SECOND);
            assert!(next > last);
            last = next;
        }
        assert_eq!(last, SECOND * 2 + Duration::from_millis(10));
        for _ in 0..100_000 {
            last = predictor.book(Tick::ZERO, 1.0, SECOND);
        }
        assert_eq!(last, LATEST_BOOKING);
    }

    #[test]
    fn more_are_called_back_while_those_called_do_not_fill_the_line() {
        let predictor = Predictor::new(f64::INFINITY);
        let step = |predictor: &Predictor| {
            let first = predictor.book(Tick::ZERO, 1.0, Duration::ZERO);
            predictor.book(Tick::ZERO, 1.0, Duration::ZERO).saturating_sub(first)
        };
        assert_eq!(step(&predictor), SECOND);
        for _ in 0..100 {
            predictor.look(Tick::ZERO, SECOND, 4 * SECOND);
        }
        assert_eq!(step(&predictor), SECOND.mul_f64(1.0 / OVERBOOKING_MOST), "never faster than that");
        for _ in 0..100 {
            predictor.look(Tick::ZERO, 4 * SECOND, 4 * SECOND);
        }
        assert_eq!(step(&predictor), SECOND, "the line is full: as fast as the service");
        predictor.look(after(1_000_000), Duration::ZERO, 4 * SECOND);
        assert_eq!(step(&predictor), SECOND, "nobody is awaited: an empty line says nothing");
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
        predictor.completed(after(201), Duration::from_mins(10), 40);
        let rate = predictor.rate(40);
        assert!(rate > 350.0, "{rate}");
    }

    #[test]
    fn hostile_samples_keep_it_finite() {
        let predictor = Predictor::new(f64::INFINITY);
        for held in [Duration::ZERO, Duration::MAX, Duration::ZERO, Duration::MAX] {
            predictor.completed(Tick::from_nanos(u64::MAX), held, u32::MAX);
            let rate = predictor.rate(u32::MAX);
            assert!(rate.is_finite() && rate >= SLOWEST, "{rate}");
        }
    }
}
