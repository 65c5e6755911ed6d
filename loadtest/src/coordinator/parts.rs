//! Where the coordinator touches the other parts of the harness: reader, population, services, fault proxy, oracle.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};

use super::plan::{Program, RunPlan};
use crate::ledger::Folder;
use crate::people::progress::Progress;
use crate::population::{Person, Population};
use crate::scenario::{self, Scenario};

/// Harness lag at the 99th percentile above which a run says nothing of the gateway.
const LAG_LIMIT: Duration = Duration::from_millis(50);

/// What a run has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything held.
    Passed,
    /// The gateway broke what must never break.
    Broken(String),
    /// The run says nothing of the gateway.
    Invalid(String),
}

/// A scenario cannot be used as it is written.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Wrong(String);

/// The scenario at `path`, as short as `time_scale` makes it.
///
/// # Errors
/// [`Wrong`]: the report of the reader, in full.
pub fn read(path: &Path, time_scale: f64) -> Result<Scenario, Wrong> {
    let scenario = scenario::read(path).map_err(|report| Wrong(report.to_string()))?;
    Ok(scenario::scaled(scenario, time_scale))
}

/// The scenario of the run in `folder`.
///
/// # Errors
/// The copy cannot be read.
pub fn read_again(folder: &Folder, plan: &RunPlan) -> anyhow::Result<Scenario> {
    let scenario = scenario::read_copy(&folder.scenario(), &plan.name).map_err(|report| anyhow!("{report}"))?;
    Ok(scenario::scaled(scenario, plan.time_scale))
}

/// Everybody who comes, and the fingerprint of that.
#[must_use]
pub fn population(scenario: &Scenario, seed: u64) -> (Vec<Person>, String) {
    let population = Population::draw(scenario, seed);
    let fingerprint = format!("{:016x}", population.fingerprint());
    (population.people, fingerprint)
}

/// The process of all services of the run in `folder`.
#[must_use]
pub fn services(harness: &Path, folder: &Folder) -> Program {
    own(harness, "services", folder)
}

/// The fault proxy of the run in `folder`.
#[must_use]
pub fn faults(harness: &Path, folder: &Folder) -> Program {
    own(harness, "faults", folder)
}

/// The process of `worker` of so many.
#[must_use]
pub fn people(harness: &Path, folder: &Folder, worker: usize, workers: usize) -> Program {
    let mut program = own(harness, "people", folder);
    program.arguments.extend(["--worker".to_owned(), format!("{worker}/{workers}")]);
    program
}

/// What the run in `folder` has shown, when its last people had come to `progress`.
///
/// # Errors
/// Its folder cannot be judged.
pub fn judge(folder: &Folder, progress: &Progress) -> anyhow::Result<Verdict> {
    RunPlan::read(folder).context("the run cannot be judged")?;
    let lag = Duration::from_micros(progress.lag_p99);
    Ok(if progress.harness > 0 {
        Verdict::Invalid(format!("{} requests failed for want of sockets or ports here", progress.harness))
    } else if lag > LAG_LIMIT {
        let (lag, limit) = (lag.as_millis(), LAG_LIMIT.as_millis());
        Verdict::Invalid(format!("the harness was late: lag p99 {lag} ms, limit {limit} ms"))
    } else {
        Verdict::Passed
    })
}

fn own(harness: &Path, command: &str, folder: &Folder) -> Program {
    let arguments = vec![command.to_owned(), folder.path().display().to_string()];
    Program { path: harness.to_owned(), arguments }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_or_starved_harness_makes_a_run_invalid() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = Folder::new(folder.path());
        assert!(judge(&folder, &Progress::default()).is_err(), "there is no run");
        std::fs::create_dir_all(folder.path()).expect("a folder");
        crate::people::tests::plan(([127, 0, 0, 1], 1).into()).write(&folder).expect("written");
        let judged = |lag_p99, harness| judge(&folder, &Progress { lag_p99, harness, ..Progress::default() });
        assert_eq!(judged(49_000, 0).expect("judged"), Verdict::Passed);
        assert!(matches!(judged(60_000, 0).expect("judged"), Verdict::Invalid(why) if why.contains("60 ms")));
        assert!(matches!(judged(0, 3).expect("judged"), Verdict::Invalid(why) if why.contains("3 requests")));
    }
}
