//! How much of a gate each class takes, and what that leaves to those below it.
//!
//! A newcomer does not wait at the pace of the service but at the pace that those already inside the funnel leave (notes on
//! overload control §2.10); its floor is its own in any case.
//!
//! **Invariants**: what is left is never less than the class's floor of the pace, and never more than the pace.
//! **Cost**: one relaxed addition a grant; a look is a few operations a class.
//! **Not here**: the pace itself (`predictor`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::admission::class;
use crate::clock::Tick;
use crate::config::plan::Class;

/// What a class took is remembered with this time constant: some response times, so that one burst does not shut others out.
const MEMORY: Duration = Duration::from_secs(2);

/// Grants by class.
#[derive(Debug, Default)]
pub(in crate::admission) struct Shares {
    granted: [AtomicU64; Class::COUNT],
    /// At the last look: grants so far, and grants a second (an `f64`).
    seen: [AtomicU64; Class::COUNT],
    rates: [AtomicU64; Class::COUNT],
    looked: AtomicU64,
}

impl Shares {
    /// Somebody of `class` was let in.
    pub(in crate::admission) fn granted(&self, class: Class) {
        if let Some(granted) = self.granted.get(class.index()) {
            granted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Looks how much each class took since the last look.
    pub(in crate::admission) fn observe(&self, now: Tick) {
        let before = Tick::from_nanos(self.looked.swap(now.as_nanos(), Ordering::Relaxed));
        let span = now.since(before).as_secs_f64();
        if span <= 0.0 {
            return;
        }
        let weight = 1.0 - (-span / MEMORY.as_secs_f64()).exp();
        for ((granted, seen), rate) in self.granted.iter().zip(&self.seen).zip(&self.rates) {
            let total = granted.load(Ordering::Relaxed);
            let fresh = total.saturating_sub(seen.swap(total, Ordering::Relaxed)) as f64 / span;
            let old = f64::from_bits(rate.load(Ordering::Relaxed));
            rate.store((old + weight * (fresh - old)).to_bits(), Ordering::Relaxed);
        }
    }

    /// What the classes above `class` leave of `pace`, in requests a second.
    pub(in crate::admission) fn left(&self, class: Class, pace: f64) -> f64 {
        let above: f64 =
            self.rates.iter().take(class.index()).map(|rate| f64::from_bits(rate.load(Ordering::Relaxed))).sum();
        (pace - above).clamp(pace * class::floor(class), pace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newcomers_wait_at_the_pace_that_is_left() {
        let shares = Shares::default();
        assert!((shares.left(Class::New, 400.0) - 400.0).abs() < f64::EPSILON);
        for look in 1..200_u64 {
            for _ in 0..30 {
                shares.granted(Class::InProgress);
            }
            shares.observe(Tick::ZERO.after(Duration::from_millis(100 * look)));
        }
        let left = shares.left(Class::New, 400.0);
        assert!((left - 100.0).abs() < 5.0, "300 of 400 a second are taken: {left}");
        assert!((shares.left(Class::InProgress, 400.0) - 400.0).abs() < f64::EPSILON);
        assert!((shares.left(Class::New, 200.0) - 10.0).abs() < f64::EPSILON, "the floor");
    }
}
