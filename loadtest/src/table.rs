//! Aligned text for people: columns, bars, numbers.

use std::fmt::Write;

use crate::crowd::tally::{Account, Quantiles};

/// Width of a full bar.
const BAR: usize = 24;

/// A label and one cell for each column.
pub type Row = (String, Vec<String>);

/// Renders rows under `heads`, all columns as wide as their widest cell, numbers to the right.
#[must_use]
pub fn render(heads: &[&str], rows: &[Row]) -> String {
    let label = rows.iter().map(|(label, _)| label.chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = heads
        .iter()
        .enumerate()
        .map(|(column, head)| {
            let cells = rows.iter().filter_map(|(_, cells)| cells.get(column));
            cells.map(|cell| cell.chars().count()).chain([head.chars().count()]).max().unwrap_or(0)
        })
        .collect();
    let mut text = String::new();
    let heading = heads.iter().map(|head| (*head).to_owned()).collect();
    for (name, cells) in std::iter::once(&(String::new(), heading)).chain(rows) {
        let mut line = format!("  {name:label$}");
        for (cell, width) in cells.iter().zip(&widths) {
            // Writing to a string does not fail.
            write!(line, "  {cell:>width$}").ok();
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A bar that is full at 1 and not before.
#[must_use]
pub fn bar(share: f64) -> String {
    let filled = (1..=BAR).filter(|mark| *mark as f64 <= share * BAR as f64 + 1e-9).count();
    format!("{}{}", "█".repeat(filled), "·".repeat(BAR - filled))
}

/// `12345` as `12,345`.
#[must_use]
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `part` of `whole` as a percentage, rounded down at the first decimal so that 99.96 % never reads as 100 %.
#[must_use]
pub fn percent(part: f64, whole: f64) -> String {
    let share = if whole > 0.0 { part / whole } else { 0.0 };
    format!("{:.1} %", (share * 1_000.0 + 1e-9).floor() / 10.0)
}

/// Median, 90th, 99th percentile and maximum, in seconds.
#[must_use]
pub fn quantiles(of: &Quantiles) -> String {
    if of.count == 0 {
        return "–".into();
    }
    format!("{:.2} / {:.2} / {:.2} / {:.2}", of.p50, of.p90, of.p99, of.max)
}

/// Answers by status, the most frequent first.
#[must_use]
pub fn statuses(account: &Account) -> String {
    let mut counts: Vec<_> = account.statuses.iter().collect();
    counts.sort_by_key(|(_, n)| std::cmp::Reverse(**n));
    let mut text = String::new();
    for (status, n) in counts {
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a string does not fail.
        write!(text, "{comma}{status}: {}", count(*n)).ok();
    }
    if text.is_empty() { "–".into() } else { text }
}

/// What one or more crowds met, a column for each; `allowed` is what the capacity allows, if it is known.
#[must_use]
pub fn crowd(accounts: &[&Account], allowed: Option<u64>) -> Vec<Row> {
    let row = |label: &str, cell: &dyn Fn(&Account) -> String| -> Row {
        (label.into(), accounts.iter().map(|account| cell(account)).collect())
    };
    let mut rows = vec![row("people who came", &|a| count(a.people))];
    if let Some(allowed) = allowed {
        rows.push(row("the capacity allows", &|_| count(allowed)));
    }
    let whole = allowed.map(|allowed| allowed as f64);
    rows.extend([
        row("registered", &|a| count(a.registered)),
        row("", &|a| bar(a.registered as f64 / whole.unwrap_or(a.people as f64).max(1.0))),
        row("  of the people", &|a| percent(a.registered as f64, a.people as f64)),
    ]);
    if let Some(whole) = whole {
        rows.push(row("  of what the capacity allows", &|a| percent(a.registered as f64, whole)));
    }
    rows.extend([
        row("gave up", &|a| count(a.gave_up)),
        row("told no / told nonsense", &|a| format!("{} / {}", count(a.told_no), count(a.broken))),
        row("attempts a person", &|a| format!("{:.2}", a.attempts_per_person())),
        row("answers by status", &statuses),
        row("no answer in time / cut off", &|a| format!("{} / {}", count(a.silences), count(a.disconnects))),
        row("seconds to …  (p50 / p90 / p99 / max)", &|_| String::new()),
        row("  registered, from arrival", &|a| quantiles(&a.from_arrival)),
        row("  registered, from last attempt", &|a| quantiles(&a.last_attempt)),
        row("  any answer, from its attempt", &|a| quantiles(&a.any_answer)),
        row("harness lag p99 / max (ms)", &|a| format!("{:.1} / {:.1}", a.lag.p99 * 1e3, a.lag.max * 1e3)),
        row("waited for a socket here", &|a| count(a.descriptor_waits)),
    ]);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [("a".into(), vec!["1".into(), "22".into()]), ("long".into(), vec!["333".into(), "4".into()])];
        assert_eq!(render(&["x", "y"], &rows), "          x   y\n  a       1  22\n  long  333   4\n");
    }

    #[test]
    fn numbers_read_well_and_do_not_flatter() {
        assert_eq!((count(0).as_str(), count(999).as_str(), count(1_432_133).as_str()), ("0", "999", "1,432,133"));
        assert_eq!((percent(9_996.0, 10_000.0).as_str(), percent(1.0, 1.0).as_str()), ("99.9 %", "100.0 %"));
        assert_eq!(
            (bar(0.0).matches('█').count(), bar(0.5).matches('█').count(), bar(7.0).chars().count()),
            (0, 12, 24)
        );
        assert_eq!((bar(0.999).matches('█').count(), bar(1.0).matches('█').count()), (23, 24));
    }
}
