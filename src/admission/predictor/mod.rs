//! How long the line will take: from what permits were held, never from a guess of capacity.
//!
//! By Little's law a gate whose permits are all in use completes `X = L / R` requests a second, `L` the limit and `R` the mean
//! time a permit is held, both as they were when requests ended: a limit that has just moved has not changed the pace yet. `R` needs two to three times fewer completions than counting them (notes of first trials), and is
//! not fooled by a gate that is short of people.
//!
//! **Invariants**: `X` is finite and positive; a stall shows although no new sample arrives; bookings are handed out in order, one at a time.
//! **Cost**: four relaxed atomics, no lock, no allocation.
//! **Not here**: who may wait how long (`route`).

#[cfg(test)]
mod tests;

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

/// Nor fewer than so many times as fast: of any crowd some do not return, and the last seconds of a crowd would not be full; the line
/// evens it out. It is not more because, if all return, as large a share finds the line full again and comes later than promised: one
/// in twenty leaves the 90th percentile of what was promised exact.
const OVERBOOKING_LEAST: f64 = 1.05;

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
    /// The last moment that anybody was told: until then, people are awaited.
    awaited: AtomicU64,
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
            awaited: AtomicU64::new(0),
            overbooking: AtomicU64::new(OVERBOOKING_LEAST.to_bits()),
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
        let awaited = self.awaited.load(Ordering::Relaxed) > now.as_nanos();
        let next = if awaited && wait < longest.mul_f64(DRY) {
            overbooking * OVERBOOKING_RISE
        } else if wait > longest.mul_f64(FILLED) {
            overbooking * OVERBOOKING_FALL
        } else {
            overbooking
        };
        self.overbooking.store(next.clamp(OVERBOOKING_LEAST, OVERBOOKING_MOST).to_bits(), Ordering::Relaxed);
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
                Ok(_) => {
                    self.awaited.fetch_max(next(booked), Ordering::Relaxed);
                    return Tick::from_nanos(next(booked)).since(now);
                }
                Err(current) => booked = current,
            }
        }
    }
}
