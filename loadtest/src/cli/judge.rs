//! `loadtest check` and `loadtest trace`: the oracle over the folder of a run.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::Verdict;
use crate::coordinator::gateway::Died;
use crate::coordinator::recall;
use crate::figure::Figure;
use crate::ledger::{Folder, RequestId};
use crate::oracle::trace::{Story, Subject};
use crate::oracle::{self, Invariant, Judgement, Ledgers, table};
use crate::report;

/// Options of `loadtest check`.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// Folder of the run
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Write the judgement to this file, too, as JSON
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
    /// Pass if, and only if, this invariant (I6) is broken or this figure (goodput) missed its threshold, in a run that says anything at all: the judge is judged
    #[arg(long, value_name = "INVARIANT|FIGURE", value_parser = expected)]
    expects: Option<Expected>,
}

/// What must be red.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Expected {
    Invariant(Invariant),
    Figure(Figure),
}

impl Expected {
    /// What a run is that was to show it: a run that says nothing of the gateway shows nothing.
    fn verdict(self, judgement: &Judgement) -> Verdict {
        match self.is_red(judgement) {
            _ if !judgement.doubts.is_empty() => Verdict::Invalid,
            true => Verdict::Passed,
            false => Verdict::Missed,
        }
    }

    /// The other invariants that are broken.
    fn others(self, judgement: &Judgement) -> Vec<&'static str> {
        let others = judgement.broken().filter(|finding| self != Self::Invariant(finding.invariant));
        others.map(|finding| finding.invariant.id()).collect()
    }

    fn is_red(self, judgement: &Judgement) -> bool {
        match self {
            Self::Invariant(invariant) => judgement.broken().any(|finding| finding.invariant == invariant),
            Self::Figure(figure) => {
                judgement.thresholds.iter().any(|checked| checked.threshold.figure == figure && checked.is_missed())
            }
        }
    }
}

/// Options of `loadtest trace`.
#[derive(Debug, Args)]
pub(super) struct Trace {
    /// Folder of the run
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// A person (17), one of a person's requests (17-3), an Idempotency-Key as it was sent (p20200411-17), or its hash as the services log it (0x1f)
    #[arg(value_name = "PERSON|REQUEST|KEY", value_parser = subject)]
    subject: Subject,
}

/// Options of `loadtest report`.
#[derive(Debug, Args)]
pub(super) struct Written {
    /// Folder of the run
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(super) fn report(options: &Written) -> anyhow::Result<Verdict> {
    let folder = Folder::new(&options.folder);
    let report = report::make(&folder)?;
    report.write(&folder)?;
    println!("{}", folder.report("report.html").display());
    Ok(report.judgement.verdict.into())
}

pub(super) fn check(options: &Check) -> anyhow::Result<Verdict> {
    let folder = Folder::new(&options.folder);
    if let Some(died) = Died::of(&folder) {
        return Err(died.into());
    }
    let facts = recall::read(&folder)?;
    let judgement = oracle::judge(&facts.run(), Ledgers::read(&folder, facts.workers)?);
    print!("{}", table::summary(&judgement));
    if let Some(path) = &options.json {
        super::write_json(path, &judgement)?;
    }
    let Some(expected) = options.expects else { return Ok(judgement.verdict.into()) };
    let others = expected.others(&judgement);
    if !others.is_empty() {
        println!("also broken: {}", others.join(", "));
    }
    Ok(expected.verdict(&judgement))
}

pub(super) fn trace(options: &Trace) -> anyhow::Result<Verdict> {
    let folder = Folder::new(&options.folder);
    let facts = recall::read(&folder)?;
    let ledgers = Ledgers::read(&folder, facts.workers)?;
    let story =
        Story::of(options.subject, &ledgers.told, &ledgers.served).context("nobody sent or got anything there")?;
    print!("{}", story.tell(&facts.run()));
    Ok(Verdict::Passed)
}

fn expected(text: &str) -> Result<Expected, String> {
    let invariant = Invariant::ALL.into_iter().find(|invariant| invariant.id() == text || invariant.name() == text);
    let figure = || Figure::ALL.into_iter().find(|figure| figure.name() == text);
    let expected = invariant.map(Expected::Invariant).or_else(|| figure().map(Expected::Figure));
    expected.ok_or_else(|| "neither an invariant, such as I6 or order, nor a figure, such as eta_error_p50".to_owned())
}

fn subject(text: &str) -> Result<Subject, String> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).map(Subject::Key).map_err(|error| error.to_string());
    }
    // p, the seed, and the person, or the request where each has a key of its own.
    let key = text.strip_prefix('p').and_then(|key| key.split_once('-'));
    let text = key.filter(|(seed, _)| seed.parse::<u64>().is_ok()).map_or(text, |(_, subject)| subject);
    if let Ok(person) = text.parse() {
        return Ok(Subject::Person(person));
    }
    text.parse::<RequestId>().map(Subject::Request).map_err(|error| error.to_string())
}

impl From<oracle::Verdict> for Verdict {
    fn from(verdict: oracle::Verdict) -> Self {
        match verdict {
            oracle::Verdict::Pass => Self::Passed,
            oracle::Verdict::Threshold => Self::Missed,
            oracle::Verdict::Invariant => Self::Broken,
            oracle::Verdict::Invalid => Self::Invalid,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::ExitCode;

    use super::*;
    use crate::oracle::{Doubt, Finding, State};

    #[test]
    fn exit_codes_are_those_of_the_oracle() {
        use oracle::Verdict::{Invalid, Invariant, Pass, Threshold};
        for verdict in [Pass, Threshold, Invariant, Invalid] {
            assert_eq!(ExitCode::from(Verdict::from(verdict)), ExitCode::from(verdict.code()), "{verdict:?}");
        }
    }

    #[test]
    fn a_run_that_says_nothing_shows_nothing_that_was_expected() {
        let finding = |invariant| Finding {
            invariant,
            state: if matches!(invariant, Invariant::Order | Invariant::Silence) {
                State::Broken
            } else {
                State::Holds
            },
            count: 0,
            judged: 1,
            note: String::new(),
            offenders: Vec::new(),
        };
        let mut judgement = Judgement {
            invariants: Invariant::ALL.into_iter().map(finding).collect(),
            figures: Vec::new(),
            thresholds: Vec::new(),
            doubts: Vec::new(),
            verdict: oracle::Verdict::Invariant,
        };
        let (order, quota) = (Expected::Invariant(Invariant::Order), Expected::Invariant(Invariant::Quota));
        assert_eq!((order.verdict(&judgement), order.others(&judgement)), (Verdict::Passed, vec!["I9"]));
        assert_eq!((quota.verdict(&judgement), quota.others(&judgement)), (Verdict::Missed, vec!["I6", "I9"]));
        judgement.doubts.push(Doubt::Late(0.2));
        assert_eq!([order, quota].map(|expected| expected.verdict(&judgement)), [Verdict::Invalid; 2]);
    }

    #[test]
    fn what_is_expected_has_a_name() {
        assert_eq!(expected("I10"), Ok(Expected::Invariant(Invariant::Forged)));
        assert_eq!(expected("order"), Ok(Expected::Invariant(Invariant::Order)));
        assert_eq!(expected("eta_error_p50"), Ok(Expected::Figure(Figure::EtaErrorP50)));
        assert!(expected("I12").is_err() && expected("").is_err());
    }

    #[test]
    fn a_subject_is_a_person_a_request_or_a_key() {
        assert_eq!(subject("17"), Ok(Subject::Person(17)));
        assert_eq!(subject("17-3"), Ok(Subject::Request(RequestId { person: 17, request: 3 })));
        assert_eq!(subject("0x1f"), Ok(Subject::Key(31)));
        assert_eq!(subject("p20200411-17"), Ok(Subject::Person(17)));
        assert_eq!(subject("p9-17-3"), Ok(Subject::Request(RequestId { person: 17, request: 3 })));
        for wrong in ["p", "p9", "p9-", "px-17", "", "x", "-1", "17-", "0xg", "4294967296"] {
            assert!(subject(wrong).is_err(), "{wrong}");
        }
    }
}
