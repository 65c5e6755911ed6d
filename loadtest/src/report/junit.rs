//! For programs that build: each invariant and each threshold a test case, in the `JUnit` form that Jenkins and GitLab read.
//!
//! **Invariants**: an invalid run is an error and no failure: it is not the gateway that was wrong. What was not judged was skipped.

use std::fmt::Write;

use super::Report;
use super::text::{escape, quoted};
use crate::figure::Bound;
use crate::oracle::table::written;
use crate::oracle::{Finding, State};

/// Offenders in a failure.
const SHOWN: usize = 5;

/// A test case and what became of it.
struct Case {
    class: &'static str,
    name: String,
    /// The element inside: `failure`, `error`, `skipped`; its message, and its text.
    ended: Option<(&'static str, String, String)>,
}

/// Of a whole report.
pub(super) fn suite(report: &Report) -> String {
    let judgement = &report.judgement;
    let doubts: Vec<_> = judgement.doubts.iter().map(ToString::to_string).collect();
    let ended = doubts.first().map(|first| ("error", first.clone(), doubts.join("\n")));
    let mut cases = vec![Case { class: "validity", name: "the run says something of the gateway".to_owned(), ended }];
    cases.extend(judgement.invariants.iter().map(|finding| invariant(finding, &report.fingerprint.folder)));
    cases.extend(judgement.thresholds.iter().map(|checked| {
        let figure = checked.threshold.figure;
        let bound = match checked.threshold.bound {
            Bound::AtLeast(least) => format!("{} ≥ {}", figure.name(), written(figure, least)),
            Bound::AtMost(most) => format!("{} ≤ {}", figure.name(), written(figure, most)),
        };
        let why = checked.why().map(|why| format!(": {why}")).unwrap_or_default();
        let message = format!("{} is {}{why}", figure.name(), written(figure, checked.value));
        let ended = match checked.state {
            State::Holds => None,
            State::Broken => Some(("failure", message, String::new())),
            State::NotJudged => Some(("skipped", message, String::new())),
        };
        Case { class: "threshold", name: bound, ended }
    }));
    render(&report.fingerprint.scenario, report.series.seconds.len(), &cases)
}

/// Of a run of `scenario` that ended because the gateway's process did.
#[must_use]
pub fn died(scenario: &str, why: &str) -> String {
    let ended = Some(("failure", "the gateway died".to_owned(), why.to_owned()));
    render(scenario, 0, &[Case { class: "invariant", name: "the gateway lives as long as the run".to_owned(), ended }])
}

fn invariant(finding: &Finding, folder: &str) -> Case {
    let id = finding.invariant.id();
    let name = format!("{id} {}: {}", finding.invariant.name(), finding.invariant.promise());
    let ended = match finding.state {
        State::Holds => None,
        State::NotJudged => Some(("skipped", finding.note.clone(), String::new())),
        State::Broken => {
            let mut text = finding.note.clone();
            for offender in finding.offenders.iter().take(SHOWN) {
                let at = offender.at as f64 / 1e6;
                // Writing to a string does not fail.
                write!(text, "\n{} at {at:.3} s: {}", offender.who, offender.what).ok();
                if let Some(command) = super::html::trace(offender.who, &quoted(folder)) {
                    write!(text, "\n  {command}").ok();
                }
            }
            Some(("failure", format!("broken {} times of {}", finding.count, finding.judged), text))
        }
    };
    Case { class: "invariant", name, ended }
}

fn render(scenario: &str, time: usize, cases: &[Case]) -> String {
    let count =
        |wanted: &str| cases.iter().filter(|case| matches!(&case.ended, Some((kind, ..)) if *kind == wanted)).count();
    let (scenario, tests) = (escape(scenario), cases.len());
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n<testsuite name=\"loadtest {scenario}\" tests=\"{tests}\" \
         failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{time}\">\n",
        count("failure"),
        count("error"),
        count("skipped"),
    );
    for Case { class, name, ended } in cases {
        let name = escape(name);
        write!(text, "<testcase classname=\"loadtest.{scenario}.{class}\" name=\"{name}\" time=\"0\"").ok();
        match ended {
            None => text.push_str("/>\n"),
            Some((kind, message, inside)) => {
                let (message, inside) = (escape(message), escape(inside));
                writeln!(text, "><{kind} message=\"{message}\">{inside}</{kind}></testcase>").ok();
            }
        }
    }
    text.push_str("</testsuite>\n</testsuites>\n");
    text
}
