//! A rate that changes while it is kept: the generic cell rate algorithm (ITU-T I.371) with a period that is replaced.
//!
//! **Invariants**: at a constant rate, in every window `w` at most `rate·w + rate·`[`TOLERANCE`]` + 1` are let through; a
//! token given back is as if it had never been taken.
//! **Cost**: one compare-and-swap a token; a refusal writes nothing.
//! **Not here**: which rate (`funnel`), contract rates, which never change (`rate`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{Tick, saturating_nanos};

/// Tokens of this long a time may be taken at once, so that a busy dispatcher does not lose those that came meanwhile.
const TOLERANCE: Duration = Duration::from_millis(100);

/// No rate is kept.
const FREE: u64 = 0;

/// A rate that is kept.
#[derive(Debug, Default)]
pub(in crate::admission) struct Pace {
    /// Time between two tokens in nanoseconds, or [`FREE`].
    period: AtomicU64,
    /// The theoretical arrival time: when the next token would come if all were taken one by one.
    arrival: AtomicU64,
}

impl Pace {
    /// Replaces the rate by `rate` a second from `now` on; infinity lets everybody through. At a faster rate nobody waits for a token
    /// of the slower one.
    pub(in crate::admission) fn set(&self, rate: f64, now: Tick) {
        let period = Duration::try_from_secs_f64(1.0 / rate).map_or(u64::MAX, saturating_nanos);
        self.period.store(period, Ordering::Relaxed);
        let next = now.as_nanos().saturating_add(period).saturating_add(saturating_nanos(TOLERANCE));
        self.arrival.fetch_min(next, Ordering::Relaxed);
    }

    /// Tokens a second; infinite if no rate is kept.
    pub(in crate::admission) fn rate(&self) -> f64 {
        match self.period.load(Ordering::Relaxed) {
            FREE => f64::INFINITY,
            period => 1.0 / Duration::from_nanos(period).as_secs_f64(),
        }
    }

    /// Takes a token, or says when the next one comes.
    pub(in crate::admission) fn take(&self, now: Tick) -> Result<(), Tick> {
        let period = self.period.load(Ordering::Relaxed);
        if period == FREE {
            return Ok(());
        }
        let decide = |arrival: u64| {
            let allowed = arrival.saturating_sub(saturating_nanos(TOLERANCE)) <= now.as_nanos();
            allowed.then(|| arrival.max(now.as_nanos()).saturating_add(period))
        };
        let taken = self.arrival.fetch_update(Ordering::Relaxed, Ordering::Relaxed, decide);
        taken.map(drop).map_err(|arrival| Tick::from_nanos(arrival.saturating_sub(saturating_nanos(TOLERANCE))))
    }

    /// Undoes a [`Pace::take`] that was not used.
    pub(in crate::admission) fn give_back(&self) {
        let period = self.period.load(Ordering::Relaxed);
        let undo = |arrival: u64| Some(arrival.saturating_sub(period));
        // Never fails: the closure always gives a value.
        self.arrival.fetch_update(Ordering::Relaxed, Ordering::Relaxed, undo).ok();
    }

    /// Until the next token can be taken; takes nothing.
    pub(in crate::admission) fn next(&self, now: Tick) -> Duration {
        if self.period.load(Ordering::Relaxed) == FREE {
            return Duration::ZERO;
        }
        Tick::from_nanos(self.arrival.load(Ordering::Relaxed).saturating_sub(saturating_nanos(TOLERANCE))).since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(millis: u64) -> Tick {
        Tick::ZERO.after(Duration::from_millis(millis))
    }

    #[test]
    fn keeps_its_rate_in_every_window_and_loses_nothing() {
        let pace = Pace::default();
        pace.set(40.0, Tick::ZERO);
        let taken: Vec<u64> = (0..10_000).filter(|millis| pace.take(after(*millis)).is_ok()).collect();
        for (position, from) in taken.iter().enumerate() {
            for (count, until) in (1_u64..).zip(&taken[position..]) {
                assert!(count <= (until - from + 100) / 25 + 1, "{count} from {from} to {until}");
            }
        }
        assert!(taken.len() >= 400, "{}", taken.len());
    }

    #[test]
    fn says_when_and_takes_nothing_by_looking() {
        let pace = Pace::default();
        assert_eq!((pace.take(Tick::ZERO), pace.next(Tick::ZERO)), (Ok(()), Duration::ZERO), "free at first");
        pace.set(1.0, Tick::ZERO);
        assert_eq!(pace.take(after(1_000)), Ok(()));
        assert_eq!(pace.take(after(1_000)), Err(after(1_900)));
        assert_eq!(pace.next(after(1_000)), Duration::from_millis(900));
        pace.give_back();
        assert_eq!(pace.take(after(1_000)), Ok(()));
    }

    #[test]
    fn hostile_rates_are_kept_too() {
        let pace = Pace::default();
        for rate in [0.0, -1.0, f64::NAN, f64::MIN_POSITIVE] {
            pace.set(rate, Tick::ZERO);
            pace.take(Tick::ZERO).ok();
            assert!(pace.rate() > 0.0 && pace.take(after(1)).is_err(), "{rate}");
        }
        pace.set(f64::INFINITY, Tick::ZERO);
        assert!(pace.rate().is_infinite() && pace.take(after(2)).is_ok());
    }
}
