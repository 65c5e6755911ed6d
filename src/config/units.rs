//! Quantities with units: durations `"10s"`, sizes `"16KiB"`, rates `"400/s"`.
//!
//! **Invariants**: digits, then a unit, nothing else; a bare number is refused with the text that was probably meant;
//! zero never means "unlimited"; everything is bounded by its caller.
//! **Not here**: which key has which bounds (`draft`), instants (`instant`).

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

use super::explain::{did_you_mean, quoted};
use super::plan::Rate;
use super::reader::{Complaint, Parsed};

/// Most that a rate may count: a bucket's cell is then one nanosecond, the least a token bucket can tell apart.
const MAX_COUNT: u32 = 1_000_000_000;

/// Duration units and what each is often written as.
const DURATIONS: [(&str, u64, &[&str]); 4] = [
    ("ms", 1, &["msec", "millis", "millisecond", "milliseconds"]),
    ("s", 1_000, &["sec", "secs", "second", "seconds"]),
    ("m", 60_000, &["min", "mins", "minute", "minutes"]),
    ("h", 3_600_000, &["hr", "hrs", "hour", "hours"]),
];

/// Size units and what each is often written as.
const SIZES: [(&str, u64, &[&str]); 6] = [
    ("B", 1, &["b", "byte", "bytes"]),
    ("KB", 1_000, &["kb"]),
    ("MB", 1_000_000, &["mb"]),
    ("KiB", 1 << 10, &["k", "kib"]),
    ("MiB", 1 << 20, &["m", "mib"]),
    ("GiB", 1 << 30, &["g", "gib", "gb"]),
];

/// Rate units in milliseconds and what each is often written as.
const RATES: [(&str, u64, &[&str]); 3] = [
    ("/s", 1_000, &["/sec", "/second", "rps", "r/s"]),
    ("/m", 60_000, &["/min", "/minute", "rpm", "r/m"]),
    ("/h", 3_600_000, &["/hr", "/hour"]),
];

type Units = [(&'static str, u64, &'static [&'static str])];

/// A duration within `bounds`, milliseconds exact.
pub fn duration<'t>(bounds: RangeInclusive<Duration>) -> impl Fn(&DeValue<'t>) -> Parsed<Duration> {
    move |value| {
        let wanted = || format!("a duration from \"{}\" to \"{}\"", spell(*bounds.start()), spell(*bounds.end()));
        let read = quantity(value, &DURATIONS, "s", wanted)?;
        Some(Duration::from_millis(read))
            .filter(|span| bounds.contains(span))
            .ok_or_else(|| Complaint::value(wanted(), value))
    }
}

/// A size in bytes within `bounds`.
pub fn size<'t>(bounds: RangeInclusive<u64>) -> impl Fn(&DeValue<'t>) -> Parsed<u64> {
    move |value| {
        let wanted = || format!("a size from \"{}\" to \"{}\"", spell_size(*bounds.start()), spell_size(*bounds.end()));
        let read = quantity(value, &SIZES, "B", wanted)?;
        Some(read).filter(|bytes| bounds.contains(bytes)).ok_or_else(|| Complaint::value(wanted(), value))
    }
}

/// A rate: at least one and at most [`MAX_COUNT`] in a second, a minute or an hour.
pub fn rate(value: &DeValue<'_>) -> Parsed<Rate> {
    let wanted = || format!("a rate such as \"400/s\", \"20/m\" or \"5/h\", from 1 to {MAX_COUNT}");
    let (count, per) = parts(value, &RATES, "/s", wanted)?;
    u32::try_from(count)
        .ok()
        .filter(|count| *count <= MAX_COUNT)
        .and_then(NonZeroU32::new)
        .map(|count| Rate { count, per: Duration::from_millis(per) })
        .ok_or_else(|| Complaint::value(wanted(), value))
}

/// What is no rate, and what would be one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RateError(String);

impl std::str::FromStr for Rate {
    type Err = RateError;

    /// As in the configuration: `400/s`, `20/m` or `5/h`.
    fn from_str(text: &str) -> Result<Self, RateError> {
        rate(&DeValue::String(text.into())).map_err(|complaint| RateError(complaint.sentence()))
    }
}

/// `value` in the smallest of `units`; `usual` completes a bare number.
fn quantity(value: &DeValue<'_>, units: &Units, usual: &str, wanted: impl Fn() -> String) -> Parsed<u64> {
    let (count, scale) = parts(value, units, usual, &wanted)?;
    count.checked_mul(scale).ok_or_else(|| Complaint::value(wanted(), value))
}

/// The number of `value` and the scale of its unit.
fn parts(value: &DeValue<'_>, units: &Units, usual: &str, wanted: impl Fn() -> String) -> Parsed<(u64, u64)> {
    let text = match value {
        DeValue::String(text) => text.as_ref(),
        DeValue::Integer(number) if number.radix() == 10 && whole(number.as_str()).is_some() => {
            let meant = did_you_mean(&quoted(&format!("{}{usual}", number.as_str())));
            return Err(Complaint::value(wanted(), value).hint(meant));
        }
        other => return Err(Complaint::value(wanted(), other)),
    };
    let (digits, unit) = split(text);
    match (whole(digits), units.iter().find(|(name, _, _)| *name == unit)) {
        (Some(count), Some((_, scale, _))) => Ok((count, *scale)),
        _ => Err(guess(Complaint::value(wanted(), value), text, units)),
    }
}

/// The leading digits and the rest.
fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).unwrap_or((text, ""))
}

/// A whole number of plain digits.
fn whole(digits: &str) -> Option<u64> {
    if digits.bytes().all(|b| b.is_ascii_digit()) { digits.parse().ok() } else { None }
}

/// Adds to `complaint` what was probably meant by `text`, or else the units there are.
fn guess(complaint: Complaint, text: &str, units: &Units) -> Complaint {
    let tidy: String = text.chars().filter(|c| !c.is_whitespace() && *c != '_').collect();
    let (digits, unit) = split(&tidy);
    let unit = unit.to_ascii_lowercase();
    let known = units.iter().find(|(name, _, aliases)| name.eq_ignore_ascii_case(&unit) || aliases.contains(&&*unit));
    match known {
        Some((name, _, _)) if !digits.is_empty() => complaint.hint(did_you_mean(&quoted(&format!("{digits}{name}")))),
        _ => {
            let names: Vec<&str> = units.iter().map(|(name, _, _)| *name).collect();
            complaint.hint(format!("whole digits and a unit: {}", names.join(", ")))
        }
    }
}

/// `span` in the largest unit that keeps it whole.
#[must_use]
pub fn spell(span: Duration) -> String {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let fits = DURATIONS.iter().rev().find(|(_, scale, _)| millis != 0 && millis.is_multiple_of(*scale));
    fits.map_or_else(|| format!("{millis}ms"), |(name, scale, _)| format!("{}{name}", millis / scale))
}

/// `bytes` in the largest binary unit that keeps it whole.
fn spell_size(bytes: u64) -> String {
    let binary = SIZES.iter().rev().filter(|(name, _, _)| name.len() != 2);
    let fits = binary.into_iter().find(|(_, scale, _)| bytes != 0 && bytes.is_multiple_of(*scale));
    fits.map_or_else(|| format!("{bytes}B"), |(name, scale, _)| format!("{}{name}", bytes / scale))
}
