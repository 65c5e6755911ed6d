//! The lane of those who are late: called long ago, and come only now.
//!
//! **Invariants**: of those who are let in, at most [`LATE_SHARE`] are late, and [`LATE_RATE`] a second in any case.
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

    pub(super) fn take(&mut self, now: Tick) -> bool {
        self.credit = (self.credit + now.since(self.at).as_secs_f64() * LATE_RATE).min(LATE_BURST);
        self.at = now;
        let free = self.credit >= 1.0;
        self.credit -= if free { 1.0 } else { 0.0 };
        free
    }

    pub(super) fn entered(&mut self) {
        self.credit = (self.credit + LATE_SHARE).min(LATE_BURST);
    }
}
