//! The one place that reads the machine's clock.
//!
//! **Invariants**: time is a [`Duration`] since the clock's start and never goes backwards; before a start that lies in the future it is zero. Clocks of
//! several processes with one start ([`Clock::since`]) agree: all follow `CLOCK_MONOTONIC`.
//! **Not here**: timers (tokio's, and the origin's driver thread).

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// A monotonic clock that starts at zero.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// A clock that starts when `CLOCK_MONOTONIC` is at `start` nanoseconds, which may lie ahead.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    pub fn since(start: u64) -> Self {
        let (machine, now) = (monotonic(), Instant::now());
        let ahead = Duration::from_nanos(start.saturating_sub(machine));
        let ago = Duration::from_nanos(machine.saturating_sub(start));
        let start = if ahead.is_zero() { now.checked_sub(ago) } else { now.checked_add(ahead) };
        Self { start: start.unwrap_or(now) }
    }

    /// Time since the start.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// The instant `at` after the start, for timers.
    #[must_use]
    pub fn instant(&self, at: Duration) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.start + at)
    }
}

/// What `CLOCK_MONOTONIC` shows, in nanoseconds.
#[must_use]
pub fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let (seconds, nanos) = (u64::try_from(now.tv_sec), u64::try_from(now.tv_nsec));
    seconds.unwrap_or_default().saturating_mul(1_000_000_000).saturating_add(nanos.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_with_one_start_agree() {
        let past = Clock::since(monotonic() - 2_000_000_000);
        assert!((2.0..2.5).contains(&past.now().as_secs_f64()), "{:?}", past.now());
        let ahead = Clock::since(monotonic() + 10_000_000_000);
        assert_eq!(ahead.now(), Duration::ZERO);
    }
}
