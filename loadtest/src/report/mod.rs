//! What is handed on of a run: one page for people, and the same for programs.
//!
//! `report.json` is the source of truth: judgement, fingerprint and series. `report.html` draws it: one file, nothing is fetched, no script, light
//! and dark, readable on paper. `report.csv` are the figures, `seconds.csv` the series; `junit.xml` has a test case for each invariant and threshold.
//!
//! **Invariants**: nothing is computed here that the oracle judges; whatever comes from a scenario, a gateway or a path is escaped. The page
//! of a run of any length is at most [`PAGE_MAX`] bytes: lines are thinned, clouds have a dot a cell.
//! **Cost**: the ledgers are read once; then some passes.
//! **Not here**: the judgement (`oracle`), the terminal (`oracle::table`).

pub mod compare;
pub mod series;

mod csv;
mod html;
mod junit;
mod plot;
mod text;

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

pub use self::junit::died;
use self::series::Series;
use crate::coordinator::gateway::Died;
use crate::coordinator::plan::{Machine, RunPlan};
use crate::coordinator::recall;
use crate::ledger::Folder;
use crate::oracle::{self, Judgement, Ledgers};
use crate::services::calibrate::Calibration;

/// A page is never longer.
pub const PAGE_MAX: usize = 2 << 20;

/// What was measured of the services, if somebody did (`loadtest calibrate --json DIR/calibration.json`).
const CALIBRATION: &str = "calibration.json";

/// All that is handed on of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Which run.
    pub fingerprint: Fingerprint,
    /// What is to be said of it.
    pub judgement: Judgement,
    /// What is drawn of it.
    pub series: Series,
}

/// What must be the same for two runs to be comparable, and what explains why they differ.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The scenario's name.
    pub scenario: String,
    /// What it shows.
    pub shows: String,
    /// Of every draw.
    pub seed: u64,
    /// The day was so many times as short.
    pub time_scale: String,
    /// Of the people.
    pub plan_hash: String,
    /// How many there were to come.
    pub people: u64,
    /// Processes that played them.
    pub workers: usize,
    /// Of the programs.
    pub versions: BTreeMap<String, String>,
    /// The gateway's program and arguments; empty: there was none.
    pub gateway: String,
    /// Where it was run.
    pub machine: Machine,
    /// Where it is written down.
    pub folder: String,
}

/// Judges the run in `folder`, and gathers what is drawn of it.
///
/// # Errors
/// A file of it is missing or cannot be read; [`Died`]: that is all there is to be said of it.
pub fn make(folder: &Folder) -> anyhow::Result<Report> {
    if let Some(died) = Died::of(folder) {
        return Err(died.into());
    }
    let facts = recall::read(folder).context("the run cannot be judged")?;
    let ledgers = Ledgers::read(folder, facts.workers).context("the run cannot be judged")?;
    let (plan, run) = (RunPlan::read(folder)?, facts.run());
    let series = Series::of(&run, &ledgers, &calibration(folder)?);
    let people = facts.people.len() as u64;
    let fingerprint = Fingerprint::of(plan, &facts.scenario.shows, people, folder);
    Ok(Report { fingerprint, judgement: oracle::judge(&run, ledgers), series })
}

fn calibration(folder: &Folder) -> anyhow::Result<Vec<Calibration>> {
    let path = folder.report(CALIBRATION);
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is no calibration", path.display()))
}

impl Fingerprint {
    fn of(plan: RunPlan, shows: &str, people: u64, folder: &Folder) -> Self {
        let mut versions = plan.versions;
        versions.insert("report".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        let gateway = plan.gateway.map_or_else(String::new, |program| {
            let words = std::iter::once(program.path.display().to_string()).chain(program.arguments);
            words.map(|word| text::quoted(&word)).collect::<Vec<_>>().join(" ")
        });
        Self {
            scenario: plan.name,
            shows: shows.to_owned(),
            seed: plan.seed,
            time_scale: plan.time_scale.to_string(),
            plan_hash: plan.plan_hash,
            people,
            workers: plan.workers,
            versions,
            gateway,
            machine: plan.machine,
            folder: folder.path().display().to_string(),
        }
    }
}

impl Report {
    /// Writes all forms of it into `folder`.
    ///
    /// # Errors
    /// One of them cannot be written.
    pub fn write(&self, folder: &Folder) -> anyhow::Result<()> {
        write(&folder.report("report.json"), &serde_json::to_vec(self)?)?;
        write(&folder.report("report.html"), html::page(self).as_bytes())?;
        write(&folder.report("report.csv"), csv::figures(self).as_bytes())?;
        write(&folder.report("seconds.csv"), csv::seconds(&self.series).as_bytes())?;
        write(&folder.report("junit.xml"), junit::suite(self).as_bytes())
    }
}

fn write(path: &Path, text: &[u8]) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests;
