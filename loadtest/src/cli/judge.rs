//! `loadtest check` and `loadtest trace`: the oracle over the folder of a run.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::Verdict;
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
    /// Pass if, and only if, this invariant (I6) is broken or this figure (goodput) missed its threshold: the judge is judged
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
    fn is_red(self, judgement: &Judgement) -> bool {
        match self {
            Self::Invariant(invariant) => judgement.broken().any(|finding| finding.invariant == invariant),
            Self::Figure(figure) => {
                judgement.thresholds.iter().any(|checked| checked.threshold.figure == figure && !checked.holds)
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
    /// A person (17), one of a person's requests (17-3), or the hash of an Idempotency-Key as the services log it (0x1f)
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
    let facts = recall::read(&folder)?;
    let judgement = oracle::judge(&facts.run(), Ledgers::read(&folder)?);
    print!("{}", table::summary(&judgement));
    if let Some(path) = &options.json {
        super::write_json(path, &judgement)?;
    }
    Ok(match options.expects {
        None => judgement.verdict.into(),
        Some(expected) if expected.is_red(&judgement) => Verdict::Passed,
        Some(_) => Verdict::Missed,
    })
}

pub(super) fn trace(options: &Trace) -> anyhow::Result<Verdict> {
    let folder = Folder::new(&options.folder);
    let facts = recall::read(&folder)?;
    let ledgers = Ledgers::read(&folder)?;
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

    #[test]
    fn exit_codes_are_those_of_the_oracle() {
        use oracle::Verdict::{Invalid, Invariant, Pass, Threshold};
        for verdict in [Pass, Threshold, Invariant, Invalid] {
            assert_eq!(ExitCode::from(Verdict::from(verdict)), ExitCode::from(verdict.code()), "{verdict:?}");
        }
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
        for wrong in ["", "x", "-1", "17-", "0xg", "4294967296"] {
            assert!(subject(wrong).is_err(), "{wrong}");
        }
    }
}
