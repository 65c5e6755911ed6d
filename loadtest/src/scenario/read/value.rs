//! What values of a scenario are written as: shares, rates of people and of bytes, lengths of time that are drawn.
//!
//! **Invariants**: every value that is let through is finite and within its bounds.
//! **Not here**: plain durations, sizes and words, which are weir's own (`weir::config::{scalar, units}`).

use std::ops::RangeInclusive;
use std::time::Duration;

use weir::config::explain::{did_you_mean, quoted};
use weir::config::reader::{Complaint, DeValue, Parsed, Table};
use weir::config::units;

use crate::scenario::persona::Spread;

/// A week: no rush is longer.
pub(super) const LONGEST: Duration = Duration::from_hours(168);

/// Largest σ of a lognormal: beyond it the mean is thousands of times the median, and that is a slip of the pen.
const SIGMA: RangeInclusive<f64> = 0.0..=4.0;

pub(super) const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(super) const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// A duration from zero to a week.
pub(super) fn span(value: &DeValue<'_>) -> Parsed<Duration> {
    units::duration(Duration::ZERO..=LONGEST)(value)
}

/// A duration from a millisecond to a week.
pub(super) fn some_time(value: &DeValue<'_>) -> Parsed<Duration> {
    units::duration(millis(1)..=LONGEST)(value)
}

/// A number as it is written, where it is a finite one.
pub(super) fn plain(value: &DeValue<'_>) -> Option<f64> {
    let number = match value {
        DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix()).ok()? as f64,
        DeValue::Float(digits) => digits.as_str().parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

/// Digits with at most one point among them, nothing else.
pub(super) fn decimal(text: &str) -> Option<f64> {
    let digits = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if digits && text.starts_with(|c: char| c.is_ascii_digit()) && !text.ends_with('.') {
        text.parse().ok().filter(|number: &f64| number.is_finite())
    } else {
        None
    }
}

/// A share from 0 to 1: `"2 %"`, `"2%"` or `0.02`.
pub(super) fn share(value: &DeValue<'_>) -> Parsed<f64> {
    let complaint = || Complaint::value("a share from 0 to 1, such as \"2 %\" or 0.02", value);
    let read = match value {
        DeValue::String(text) => {
            text.strip_suffix('%').and_then(|number| decimal(number.trim_end())).map(|n| n / 100.0)
        }
        other => plain(other),
    };
    match read {
        Some(share) if (0.0..=1.0).contains(&share) => Ok(share),
        Some(number) if !matches!(value, DeValue::String(_)) && (1.0..=100.0).contains(&number) => {
            Err(complaint().hint(did_you_mean(&quoted(&format!("{number} %")))))
        }
        None if matches!(value, DeValue::String(text) if decimal(text.trim()).is_some()) => {
            Err(complaint().hint("with \" %\", or without the quotes"))
        }
        _ => Err(complaint()),
    }
}

/// A share above 0.
pub(super) fn some_share(value: &DeValue<'_>) -> Parsed<f64> {
    let read = share(value)?;
    if read > 0.0 { Ok(read) } else { Err(Complaint::value("a share above 0, such as \"2 %\" or 0.02", value)) }
}

/// A number within `bounds`, whole or not.
pub(super) fn real<'t>(bounds: RangeInclusive<f64>) -> impl Fn(&DeValue<'t>) -> Parsed<f64> {
    move |value| {
        plain(value)
            .filter(|number| bounds.contains(number))
            .ok_or_else(|| Complaint::value(format!("a number from {} to {}", bounds.start(), bounds.end()), value))
    }
}

/// A rate above 0, a second.
pub(super) fn rate(value: &DeValue<'_>) -> Parsed<f64> {
    units::rate(value).map(|rate| f64::from(rate.count.get()) / rate.per.as_secs_f64())
}

/// A rate of people a second; zero, `"0/s"` or 0, is one.
fn rate_or_none(value: &DeValue<'_>) -> Parsed<f64> {
    match value {
        DeValue::String(text) if matches!(text.as_ref(), "0/s" | "0/m" | "0/h") => Ok(0.0),
        other if plain(other) == Some(0.0) => Ok(0.0),
        other => rate(other),
    }
}

/// Bytes a second within `bounds`: a size and `/s`.
pub(super) fn bytes<'t>(bounds: RangeInclusive<u64>) -> impl Fn(&DeValue<'t>) -> Parsed<u64> {
    move |value| {
        let wanted = "bytes a second, such as \"64KiB/s\"";
        let DeValue::String(text) = value else { return Err(Complaint::value(wanted, value)) };
        match text.strip_suffix("/s") {
            Some(size) => units::size(bounds.clone())(&DeValue::String(size.into())),
            None => Err(Complaint::value(wanted, value).hint(did_you_mean(&quoted(&format!("{text}/s"))))),
        }
    }
}

/// Two values in a list, by `one` and `other`.
fn pair<'v, 't, A, B>(
    wanted: &str,
    value: &'v DeValue<'t>,
    one: impl Fn(&'v DeValue<'t>) -> Parsed<A>,
    other: impl Fn(&'v DeValue<'t>) -> Parsed<B>,
) -> Parsed<(A, B)> {
    let DeValue::Array(items) = value else { return Err(Complaint::value(wanted, value)) };
    let mut items = items.iter();
    match (items.next(), items.next(), items.next()) {
        (Some(first), Some(second), None) => Ok((one(first.get_ref())?, other(second.get_ref())?)),
        _ => Err(Complaint::value(wanted, value).hint("two values, no more and no fewer")),
    }
}

/// A point of a curve: `["10s", "400/s"]`.
pub(super) fn point(value: &DeValue<'_>) -> Parsed<(Duration, f64)> {
    pair("a point such as [\"10s\", \"400/s\"]", value, span, rate_or_none)
}

/// A row of a trace: `["10s", 42]`.
pub(super) fn row(value: &DeValue<'_>) -> Parsed<(Duration, u64)> {
    let count = weir::config::scalar::number(0..=u64::from(u32::MAX));
    pair("a row such as [\"10s\", 42]", value, span, count)
}

/// The spread `key` of a table, or `usual`: `"10s"`, `["5s", "20s"]`, `{ mean = "2s" }`, `{ median = "8m", sigma = 0.8 }`. `title` is how
/// the table form is called.
pub(super) fn spread(table: &mut Table<'_, '_, '_>, key: &'static str, title: &'static str, usual: Spread) -> Spread {
    if table.has_table(key) {
        let read = table.table(key, title, |inner| {
            if inner.has("mean") {
                return inner.required("mean", some_time).map(|mean| Spread::Exponential(mean.value));
            }
            let (median, sigma) = (inner.required("median", some_time), inner.required("sigma", real(SIGMA)));
            Some(Spread::Lognormal(median?.value, sigma?.value))
        });
        return read.flatten().unwrap_or(usual);
    }
    table.or(key, usual, |value| match value {
        DeValue::Array(_) => {
            let wanted = "the least and the most, such as [\"5s\", \"20s\"]";
            let (least, most) = pair(wanted, value, span, span)?;
            if least <= most {
                Ok(Spread::Even(least, most))
            } else {
                Err(Complaint::value(wanted, value).hint("the lesser one first"))
            }
        }
        DeValue::String(_) => span(value).map(Spread::Fixed),
        other => Err(Complaint::value(
            "a duration, [\"5s\", \"20s\"], { mean = \"2s\" } or { median = \"8m\", sigma = 0.8 }",
            other,
        )),
    })
}
