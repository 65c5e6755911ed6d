//! Axes: from a value to its place, and where the numbers stand.

use crate::table::count;

/// How values lie along an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Scale {
    Linear,
    /// Linear, with numbers at round times.
    Clock,
    /// By powers of ten; from and to are above 0.
    Log,
}

/// One axis.
#[derive(Clone, Debug)]
pub(in crate::report) struct Axis {
    pub(in crate::report) label: String,
    pub(in crate::report) from: f64,
    pub(in crate::report) to: f64,
    pub(in crate::report) scale: Scale,
    /// How a number is written beside it.
    pub(in crate::report) write: fn(f64) -> String,
}

/// Numbers along an axis, at most about.
const TICKS: f64 = 6.0;

/// Round times, in seconds.
const ROUND: [f64; 16] =
    [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0, 3_600.0, 7_200.0, 10_800.0, 21_600.0];

impl Axis {
    /// Seconds from the start of a run.
    pub(in crate::report) fn clock(until: f64) -> Self {
        let label = "time from the start".to_owned();
        Self { label, from: 0.0, to: until.max(1.0), scale: Scale::Clock, write: clock }
    }

    /// From 0 to a little more than `most`.
    pub(in crate::report) fn counts(label: &str, most: f64) -> Self {
        let to = if most > 0.0 && most.is_finite() { most * 1.05 } else { 1.0 };
        Self { label: label.to_owned(), from: 0.0, to, scale: Scale::Linear, write: number }
    }

    /// Where `value` lies, from 0 to 1.
    pub(super) fn share(&self, value: f64) -> f64 {
        let line = |value: f64| if self.scale == Scale::Log { value.max(1e-12).log10() } else { value };
        (line(value) - line(self.from)) / (line(self.to) - line(self.from)).max(1e-12)
    }

    /// Where numbers stand.
    pub(super) fn ticks(&self) -> Vec<f64> {
        let range = self.to - self.from;
        let step = match self.scale {
            Scale::Log => return self.powers(),
            Scale::Clock => {
                let fits = |step: &&f64| range / **step <= TICKS * 2.0;
                ROUND.iter().find(fits).copied().unwrap_or_else(|| round(range / TICKS))
            }
            Scale::Linear => round(range / TICKS),
        };
        let first = (self.from / step).ceil();
        (0..)
            .map(|index| (first + f64::from(index)) * step)
            .take_while(|tick| *tick <= self.to + step * 1e-6)
            .take(100)
            .collect()
    }

    fn powers(&self) -> Vec<f64> {
        let first = self.from.log10().ceil();
        (0..30).map(|power| 10_f64.powf(first + f64::from(power))).take_while(|tick| *tick <= self.to * 1.001).collect()
    }
}

/// The next of 1, 2, 5, 10, 20, 50, …
fn round(least: f64) -> f64 {
    let power = 10_f64.powf(least.max(1e-12).log10().floor());
    let of = |times: &f64| times * power >= least * 0.999;
    [1.0, 2.0, 5.0].into_iter().find(of).unwrap_or(10.0) * power
}

/// `1,200`, `45 k`, `1.4 M`.
pub(in crate::report) fn number(value: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below ten thousand, not negative")]
    match value.abs() {
        size if size >= 1e6 => format!("{} M", short(value / 1e6)),
        size if size >= 1e4 => format!("{} k", short(value / 1e3)),
        size if size >= 100.0 && value > 0.0 => count(value.round() as u64),
        _ => short(value),
    }
}

/// At most two decimals, and no zeros at the end.
fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Seconds from the start: `45 s`, `2:30`, `1:05:00`.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "of a day")]
pub(in crate::report) fn clock(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..120 => format!("{whole} s"),
        120..3_600 => format!("{}:{:02}", whole / 60, whole % 60),
        _ => format!("{}:{:02}:{:02}", whole / 3_600, whole / 60 % 60, whole % 60),
    }
}

/// A length of time on a log axis: `1 ms`, `10 s`.
pub(in crate::report) fn span(seconds: f64) -> String {
    match seconds {
        small if small < 0.000_999 => format!("{} µs", short(seconds * 1e6)),
        small if small < 0.999 => format!("{} ms", short(seconds * 1e3)),
        _ => format!("{} s", number(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_at_round_places() {
        let axis = Axis::counts("", 1_333.0);
        assert_eq!(axis.ticks(), [0.0, 500.0, 1_000.0]);
        assert_eq!(Axis::clock(65.0).ticks(), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
        let log = Axis { label: String::new(), from: 0.001, to: 10.0, scale: Scale::Log, write: span };
        assert_eq!(
            log.ticks().iter().map(|tick| span(*tick)).collect::<Vec<_>>(),
            ["1 ms", "10 ms", "100 ms", "1 s", "10 s"]
        );
        assert!((log.share(0.1) - 0.5).abs() < 1e-9);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0.0, 0.25, 950.0, 1_200.0, 45_000.0, 1.4e6].map(number),
            ["0", "0.25", "950", "1,200", "45 k", "1.4 M"]
        );
        assert_eq!([45.0, 150.0, 3_900.0].map(clock), ["45 s", "2:30", "1:05:00"]);
    }
}
