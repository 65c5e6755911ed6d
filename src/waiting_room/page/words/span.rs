//! A duration as people say it.

use std::time::Duration;

use super::super::view::whole_seconds;

/// A duration, rounded so that it can be said: single minutes up to twenty, then steps of five, fifteen and sixty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Span {
    /// Less than a minute.
    Moments,
    /// Up to ninety minutes.
    Minutes(u64),
    /// Up to two days; minutes may be zero.
    Hours { hours: u64, minutes: u64 },
    /// More; hours may be zero.
    Days { days: u64, hours: u64 },
}

/// Up to so many minutes, rounded to so many: an estimate of hours is not known to the minute.
const STEPS: [(u64, u64); 3] = [(20, 1), (120, 5), (600, 15)];
/// Beyond them.
const STEP_MAX: u64 = 60;

/// Which way a duration is rounded.
#[derive(Clone, Copy)]
enum Toward {
    Lower,
    Near,
    Upper,
}

impl Span {
    /// For an estimate.
    pub(super) fn near(duration: Duration) -> Self {
        Self::rounded(duration, Toward::Near)
    }

    /// For an upper bound.
    pub(super) fn upper(duration: Duration) -> Self {
        Self::rounded(duration, Toward::Upper)
    }

    /// For what must not be promised too long.
    pub(super) fn lower(duration: Duration) -> Self {
        Self::rounded(duration, Toward::Lower)
    }

    /// For what is known: to the minute, rounded up.
    pub(super) fn exact(duration: Duration) -> Self {
        Self::of_minutes(duration, whole_seconds(duration).div_ceil(60))
    }

    fn rounded(duration: Duration, toward: Toward) -> Self {
        let seconds = duration.as_secs();
        let minutes = seconds / 60;
        let step = 60 * STEPS.iter().find(|(up_to, _)| minutes < *up_to).map_or(STEP_MAX, |(_, step)| *step);
        let steps = match toward {
            Toward::Lower => seconds / step,
            Toward::Near => (seconds + step / 2) / step,
            Toward::Upper => whole_seconds(duration).div_ceil(step),
        };
        Self::of_minutes(duration, steps.saturating_mul(step) / 60)
    }

    fn of_minutes(duration: Duration, minutes: u64) -> Self {
        match minutes {
            _ if duration.as_secs() < 60 => Self::Moments,
            0..=90 => Self::Minutes(minutes),
            91..2_880 => Self::Hours { hours: minutes / 60, minutes: minutes % 60 },
            _ => Self::Days { days: minutes / 1_440, hours: minutes / 60 % 24 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_rounded_as_they_deserve() {
        let hours = |hours, minutes| Span::Hours { hours, minutes };
        for (seconds, lower, near, upper) in [
            (0, Span::Moments, Span::Moments, Span::Moments),
            (59, Span::Moments, Span::Moments, Span::Moments),
            (60, Span::Minutes(1), Span::Minutes(1), Span::Minutes(1)),
            (90, Span::Minutes(1), Span::Minutes(2), Span::Minutes(2)),
            (1_199, Span::Minutes(19), Span::Minutes(20), Span::Minutes(20)),
            (1_260, Span::Minutes(20), Span::Minutes(20), Span::Minutes(25)),
            (5_400, Span::Minutes(90), Span::Minutes(90), Span::Minutes(90)),
            (5_520, Span::Minutes(90), Span::Minutes(90), hours(1, 35)),
            (7_200, hours(2, 0), hours(2, 0), hours(2, 0)),
            (8_280, hours(2, 15), hours(2, 15), hours(2, 30)),
            (75_600, hours(21, 0), hours(21, 0), hours(21, 0)),
            (172_799, hours(47, 0), Span::Days { days: 2, hours: 0 }, Span::Days { days: 2, hours: 0 }),
            (
                270_000,
                Span::Days { days: 3, hours: 3 },
                Span::Days { days: 3, hours: 3 },
                Span::Days { days: 3, hours: 3 },
            ),
        ] {
            let duration = Duration::from_secs(seconds);
            assert_eq!((Span::lower(duration), Span::near(duration), Span::upper(duration)), (lower, near, upper));
        }
        assert_eq!(Span::exact(Duration::from_secs(3_672)), Span::Minutes(62));
        assert_eq!(Span::exact(Duration::from_hours(24)), hours(24, 0));
        assert_eq!(Span::upper(Duration::from_millis(60_001)), Span::Minutes(2));
        assert!(matches!(Span::upper(Duration::MAX), Span::Days { .. }));
    }
}
