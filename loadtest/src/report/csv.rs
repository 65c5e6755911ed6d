//! For spreadsheets: figures with their thresholds, and a line a second.

use std::fmt::Write;

use super::Report;
use super::series::{OUTCOMES, Series};
use super::text::cell;
use crate::figure::Bound;
use crate::oracle::State;

/// Figures and invariants; what is not a number is an empty cell.
pub(super) fn figures(report: &Report) -> String {
    let mut text = "name,value,bound,limit,holds\n".to_owned();
    for (figure, value) in &report.judgement.figures {
        let value = number(*value);
        let mut bounds = report.judgement.thresholds.iter().filter(|it| it.threshold.figure == *figure).peekable();
        if bounds.peek().is_none() {
            // Writing to a string does not fail.
            writeln!(text, "{},{value},,,", figure.name()).ok();
        }
        for checked in bounds {
            let (bound, limit) = match checked.threshold.bound {
                Bound::AtLeast(least) => (">=", least),
                Bound::AtMost(most) => ("<=", most),
            };
            writeln!(text, "{},{value},{bound},{limit},{}", figure.name(), holds(checked.state)).ok();
        }
    }
    for finding in &report.judgement.invariants {
        let holds = holds(finding.state);
        let name = cell(&format!("{} {}", finding.invariant.id(), finding.invariant.name()));
        writeln!(text, "{name},{},<=,0,{holds}", finding.count).ok();
    }
    text
}

/// Each second of the run.
pub(super) fn seconds(series: &Series) -> String {
    let mut text = "second,planned,arrived,capacity,admitted,goodput,registered,sent,lag_max,lag_mean".to_owned();
    for outcome in OUTCOMES {
        text.push(',');
        text.push_str(outcome);
    }
    text.push('\n');
    for (at, second) in series.seconds.iter().enumerate() {
        let super::series::Second { planned, arrived, capacity, admitted, goodput, registered, sent, .. } = second;
        write!(
            text,
            "{at},{planned},{arrived},{capacity:.3},{admitted:.3},{goodput:.3},{registered},{sent},{:.6},{:.6}",
            second.lag_max, second.lag_mean
        )
        .ok();
        for count in second.outcomes {
            write!(text, ",{count}").ok();
        }
        text.push('\n');
    }
    text
}

/// An empty cell for what was not judged.
const fn holds(state: State) -> &'static str {
    match state {
        State::Holds => "true",
        State::Broken => "false",
        State::NotJudged => "",
    }
}

fn number(value: f64) -> String {
    if value.is_nan() { String::new() } else { value.to_string() }
}
