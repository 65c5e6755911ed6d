//! A judgement for a terminal.

use std::fmt::Write;

use super::finding::State;
use super::{Judgement, Verdict};
use crate::figure::{Bound, Figure, Unit};
use crate::table::{Row, count, render};

/// So many offenders of each invariant are shown; the others are in the report.
const SHOWN: usize = 3;

/// `value` as `figure` is written; `–` for what is not a number.
#[must_use]
pub fn written(figure: Figure, value: f64) -> String {
    if value.is_nan() {
        return "–".to_owned();
    }
    match figure.unit() {
        Unit::Share => format!("{:.2} %", value * 100.0),
        Unit::Time if value.abs() < 0.001 => format!("{:.1} µs", value * 1e6),
        Unit::Time if value.abs() < 1.0 => format!("{:.1} ms", value * 1e3),
        Unit::Time => format!("{value:.2} s"),
        Unit::Count => format!("{value:.0}"),
        Unit::Ratio => format!("{value:.3}"),
        Unit::Bytes => format!("{:.1} MiB", value / f64::from(1 << 20)),
    }
}

/// Invariants, figures, thresholds and the verdict; offenders below.
#[must_use]
pub fn summary(judgement: &Judgement) -> String {
    let mut text = render(&["", "judged", "broken"], &invariants(judgement));
    for finding in judgement.invariants.iter().filter(|finding| !finding.note.is_empty()) {
        // Writing to a string does not fail.
        writeln!(text, "  {}: {}", finding.invariant.id(), finding.note).ok();
    }
    for finding in judgement.broken() {
        for offender in finding.offenders.iter().take(SHOWN) {
            let (id, at) = (finding.invariant.id(), offender.at as f64 / 1e6);
            writeln!(text, "  {id}: {}, at {at:.3} s: {}", offender.who, offender.what).ok();
        }
    }
    text.push('\n');
    text.push_str(&render(&["value", "threshold", ""], &figures(judgement)));
    text.push('\n');
    for doubt in &judgement.doubts {
        writeln!(text, "  INVALID: {doubt}").ok();
    }
    text.push_str(match judgement.verdict {
        Verdict::Pass => "PASS\n",
        Verdict::Threshold => "FAIL: a threshold was missed\n",
        Verdict::Invariant => "FAIL: an invariant is broken\n",
        Verdict::Invalid => "INVALID: this run says nothing of the gateway\n",
    });
    text
}

fn invariants(judgement: &Judgement) -> Vec<Row> {
    let row = |finding: &super::Finding| {
        let state = match finding.state {
            State::Holds => "PASS",
            State::Broken => "FAIL",
            State::NotJudged => "–",
        };
        let name = format!("{:3} {}", finding.invariant.id(), finding.invariant.promise());
        (name, vec![state.to_owned(), count(finding.judged), count(finding.count)])
    };
    judgement.invariants.iter().map(row).collect()
}

fn figures(judgement: &Judgement) -> Vec<Row> {
    let row = |(figure, value): &(Figure, f64)| {
        let of = judgement.thresholds.iter().filter(|checked| checked.threshold.figure == *figure);
        let (mut bounds, mut state) = (Vec::new(), String::new());
        for checked in of {
            bounds.push(match checked.threshold.bound {
                Bound::AtLeast(least) => format!("≥ {}", written(*figure, least)),
                Bound::AtMost(most) => format!("≤ {}", written(*figure, most)),
            });
            let word = match checked.state {
                State::Holds => "PASS",
                State::Broken => "FAIL",
                State::NotJudged => "–",
            };
            if !state.starts_with("FAIL") {
                state = checked.why().map_or_else(|| word.to_owned(), |why| format!("{word} ({why})"));
            }
        }
        (figure.name().to_owned(), vec![written(*figure, *value), bounds.join(", "), state])
    };
    judgement.figures.iter().map(row).collect()
}
