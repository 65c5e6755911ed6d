//! `[thresholds]`: bounds on figures, `goodput = ">= 98 %"`.
//!
//! **Invariants**: a bound that always holds is refused: a threshold that cannot be missed says nothing.

use weir::config::explain::did_you_mean;
use weir::config::reader::{Complaint, DeValue, Parsed, Table};
use weir::config::units;

use super::value::decimal;
use crate::figure::{Bound, Figure, Threshold, Unit};

/// Units of time, in seconds: CPU a request counts in microseconds, and a wait in hours.
const TIMES: [(&str, f64); 5] = [("us", 1e-6), ("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3_600.0)];

/// Most memory that a bound may speak of.
const MEMORY: std::ops::RangeInclusive<u64> = 1..=1 << 40;

/// The bounds that are written, in the order of reports.
pub(super) fn read(table: &mut Table<'_, '_, '_>) -> Vec<Threshold> {
    let mut all = Vec::new();
    for figure in Figure::ALL {
        if let Some(bound) = table.optional(figure.name(), |value| bound(figure, value)) {
            all.push(Threshold { figure, bound: bound.value });
        }
    }
    all
}

fn bound(figure: Figure, value: &DeValue<'_>) -> Parsed<Bound> {
    let wanted = wanted(figure.unit());
    let DeValue::String(text) = value else { return Err(Complaint::value(wanted, value)) };
    let complaint = || Complaint::text(wanted, text);
    let (side, amount): (fn(f64) -> Bound, &str) = if let Some(rest) = text.strip_prefix(">=") {
        (Bound::AtLeast, rest)
    } else if let Some(rest) = text.strip_prefix("<=") {
        (Bound::AtMost, rest)
    } else {
        let tidy = text.trim_start_matches(['<', '>', '=', ' ']);
        let sign = if text.starts_with('>') { ">=" } else { "<=" };
        return Err(complaint().hint(if text.starts_with(['<', '>', '=']) {
            did_you_mean(&format!("\"{sign} {tidy}\""))
        } else {
            "begins with \">=\" or \"<=\"".to_owned()
        }));
    };
    let amount = amount_of(figure.unit(), amount.trim()).ok_or_else(complaint)?;
    let bound = side(amount);
    if always_holds(figure, bound) {
        return Err(complaint().hint("this bound always holds"));
    }
    Ok(bound)
}

const fn wanted(unit: Unit) -> &'static str {
    match unit {
        Unit::Share => "a bound such as \">= 98 %\" or \"<= 0.1 %\"",
        Unit::Time => "a bound such as \"<= 2s\" or \"<= 250ms\"",
        Unit::Count => "a bound such as \"<= 200\"",
        Unit::Ratio => "a bound such as \"<= 1.02\"",
        Unit::Bytes => "a bound such as \"<= 400MiB\"",
    }
}

/// Shares as fractions, times in seconds.
fn amount_of(unit: Unit, text: &str) -> Option<f64> {
    match unit {
        Unit::Share => match text.strip_suffix('%') {
            Some(number) => decimal(number.trim_end()).map(|number| number / 100.0),
            None => decimal(text),
        },
        Unit::Time => TIMES.iter().find_map(|(unit, scale)| {
            let number = text.strip_suffix(unit)?;
            decimal(number.trim_end()).map(|number| number * scale)
        }),
        Unit::Count | Unit::Ratio => decimal(text),
        Unit::Bytes => units::size(MEMORY)(&DeValue::String(text.into())).ok().map(|bytes| bytes as f64),
    }
}

/// No figure is below zero; a part of a whole is not above it. An error may be greater than what it is an error of.
fn always_holds(figure: Figure, bound: Bound) -> bool {
    let is_part = figure.unit() == Unit::Share && !matches!(figure, Figure::EtaErrorP50 | Figure::EtaErrorP95);
    match bound {
        Bound::AtLeast(least) => least <= 0.0,
        Bound::AtMost(most) => is_part && most >= 1.0,
    }
}
