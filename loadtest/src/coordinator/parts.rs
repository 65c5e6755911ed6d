//! Where the coordinator touches the other parts of the harness: reader, population, services, fault proxy, oracle.

use std::path::Path;

use anyhow::anyhow;

use super::plan::{Program, RunPlan};
use crate::ledger::Folder;
use crate::population::{Person, Population};
use crate::scenario::{self, Scenario};

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

fn own(harness: &Path, command: &str, folder: &Folder) -> Program {
    let arguments = vec![command.to_owned(), folder.path().display().to_string()];
    Program { path: harness.to_owned(), arguments }
}
