//! Time as a value.
//!
//! The one place that reads the machine's clock. Everything that decides by time takes a [`Tick`] as an argument or is
//! handed a [`Clock`] when it is built, so that the same code runs under sockets, under a model checker and in virtual
//! time.
//!
//! **Invariants**: ticks of one clock never go backwards; arithmetic saturates instead of panicking.
//! **Cost**: a tick is 8 bytes; reading the machine's clock is one vDSO call (~25 ns).
//! **Not here**: calendar time (access log) and timers (tokio's).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Nanoseconds since the start of the [`Clock`] it came from; 584 years fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(u64);

impl Tick {
    /// The start of the clock.
    pub const ZERO: Self = Self(0);

    /// A tick `nanos` nanoseconds after the clock's start.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's start.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The tick `span` later; saturates at the end of time.
    #[must_use]
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(saturating_nanos(span)))
    }

    /// Time from `earlier` to `self`; zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// `span` in nanoseconds; saturates at 584 years.
#[must_use]
pub fn saturating_nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// A source of [`Tick`]s: the machine's monotonic clock, or a hand that a test or a simulation turns.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    Machine(Instant),
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that follows the machine, starting now.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one reader of the machine's clock")]
    pub fn machine() -> Self {
        Self(Source::Machine(Instant::now()))
    }

    /// A clock that stands at [`Tick::ZERO`] until [`Clock::advance`] turns it. Clones share the hand.
    #[must_use]
    pub fn manual() -> Self {
        Self(Source::Manual(Arc::default()))
    }

    /// The present tick.
    #[must_use]
    pub fn now(&self) -> Tick {
        match &self.0 {
            Source::Machine(epoch) => Tick(saturating_nanos(epoch.elapsed())),
            Source::Manual(hand) => Tick(hand.load(Ordering::Acquire)),
        }
    }

    /// Turns a manual clock forward by `span`. A machine's clock takes no notice.
    pub fn advance(&self, span: Duration) {
        if let Source::Manual(hand) = &self.0 {
            hand.fetch_add(saturating_nanos(span), Ordering::AcqRel);
        }
    }

    /// The machine's instant of `tick`, for timers; [`None`] on a manual clock.
    #[must_use]
    pub fn instant(&self, tick: Tick) -> Option<Instant> {
        match &self.0 {
            Source::Machine(epoch) => epoch.checked_add(Duration::from_nanos(tick.0)),
            Source::Manual(_) => None,
        }
    }
}
