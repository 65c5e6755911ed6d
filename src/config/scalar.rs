//! Plain values: texts, whole numbers, truth, words of a closed list, targets of requests.
//!
//! **Not here**: quantities with units (`units`), texts with a syntax of their own (`syntax`).

use std::fmt::Display;
use std::ops::RangeInclusive;

use http::uri::PathAndQuery;
use toml::de::DeValue;

use super::explain::{did_you_mean, meant, quoted};
use super::reader::{Complaint, Parsed};

/// Longest path, in bytes.
pub(super) const MAX_PATH: usize = 1024;

/// A text, read further by `parse`. `wanted` says what it should be if it is no text at all.
pub fn text<'t, T>(wanted: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> impl Fn(&DeValue<'t>) -> Parsed<T> {
    move |value| match value {
        DeValue::String(text) => parse(text),
        other => Err(Complaint::value(wanted, other)),
    }
}

/// A whole number within `bounds`.
pub fn number<'t, T>(bounds: RangeInclusive<T>) -> impl Fn(&DeValue<'t>) -> Parsed<T>
where
    T: TryFrom<i64> + PartialOrd + Display,
{
    move |value| {
        let read = match value {
            DeValue::Integer(digits) => i64::from_str_radix(digits.as_str(), digits.radix()).ok(),
            _ => None,
        };
        read.and_then(|number| T::try_from(number).ok()).filter(|number| bounds.contains(number)).ok_or_else(|| {
            let complaint =
                Complaint::value(format!("a whole number from {} to {}", bounds.start(), bounds.end()), value);
            match value {
                DeValue::String(text) if text.parse::<i64>().is_ok() => complaint.hint("without the quotes"),
                _ => complaint,
            }
        })
    }
}

/// The word `"auto"` (nothing), or what `parse` reads.
pub(super) fn auto_or<'t, T>(parse: impl Fn(&DeValue<'t>) -> Parsed<T>) -> impl Fn(&DeValue<'t>) -> Parsed<Option<T>> {
    move |value| match value {
        DeValue::String(text) if text == "auto" => Ok(None),
        DeValue::String(text) => {
            let complaint = Complaint::text("\"auto\" or a whole number without quotes", text);
            Err(match meant(text, ["auto"]) {
                Some(_) => complaint.hint(did_you_mean("\"auto\"")),
                None => complaint,
            })
        }
        other => parse(other).map(Some).map_err(|complaint| complaint.or("\"auto\"")),
    }
}

/// The word `"auto"` (nothing), or a text that `parse` reads.
pub(super) fn auto_or_text<'t, T>(
    parse: impl Fn(&DeValue<'t>) -> Parsed<T>,
) -> impl Fn(&DeValue<'t>) -> Parsed<Option<T>> {
    move |value| match value {
        DeValue::String(text) if text == "auto" => Ok(None),
        other => parse(other).map(Some).map_err(|complaint| complaint.or("\"auto\"")),
    }
}

/// `true` or `false`.
pub fn truth(value: &DeValue<'_>) -> Parsed<bool> {
    match value {
        DeValue::Boolean(truth) => Ok(*truth),
        DeValue::String(text) if text == "true" || text == "false" => {
            Err(Complaint::value("true or false", value).hint("without the quotes"))
        }
        other => Err(Complaint::value("true or false", other)),
    }
}

/// One word of a closed list.
pub fn word<T: Copy>(text: &str, words: &[(&'static str, T)]) -> Parsed<T> {
    if let Some((_, value)) = words.iter().find(|(known, _)| *known == text) {
        return Ok(*value);
    }
    let list: Vec<String> = words.iter().map(|(known, _)| format!("\"{known}\"")).collect();
    let complaint = Complaint::text(format!("one of {}", list.join(", ")), text);
    Err(match meant(text, words.iter().map(|(known, _)| *known)) {
        Some(known) => complaint.hint(did_you_mean(&quoted(known))),
        None => complaint,
    })
}

/// What a request asks for: a path, with a query if need be, of at most 1024 bytes.
pub fn request_target(text: &str) -> Parsed<PathAndQuery> {
    let wanted = "a path such as \"/healthz\"";
    if !text.starts_with('/') {
        return Err(Complaint::text(wanted, text).hint("must start with \"/\""));
    }
    if text.len() > MAX_PATH {
        return Err(Complaint::text(wanted, text).hint("longer than 1024 bytes"));
    }
    let plain = text.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    let target = plain.then(|| PathAndQuery::try_from(text).ok()).flatten();
    target.ok_or_else(|| Complaint::text(wanted, text).hint("other characters must be percent-encoded"))
}
