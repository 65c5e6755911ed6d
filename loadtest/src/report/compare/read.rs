//! Runs as their reports tell them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::figure::Figure;
use crate::ledger::Folder;
use crate::oracle::Verdict;
use crate::report::series::Series;
use crate::report::{self, Fingerprint};

/// A run that was reported.
#[derive(Clone, Debug, Deserialize)]
pub struct Past {
    /// Which.
    pub fingerprint: Fingerprint,
    /// What is drawn of it.
    pub series: Series,
    judgement: Judged,
}

#[derive(Clone, Debug, Deserialize)]
struct Judged {
    verdict: Word,
    /// What is not a number is null.
    figures: BTreeMap<String, Option<f64>>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Pass,
    Threshold,
    Invariant,
    Invalid,
}

impl Past {
    /// Its verdict.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self.judgement.verdict {
            Word::Pass => Verdict::Pass,
            Word::Threshold => Verdict::Threshold,
            Word::Invariant => Verdict::Invariant,
            Word::Invalid => Verdict::Invalid,
        }
    }

    /// The value of `figure`; none if it has no meaning in the run.
    #[must_use]
    pub fn figure(&self, figure: Figure) -> Option<f64> {
        self.judgement.figures.get(figure.name()).copied().flatten()
    }
}

/// The run in the folder at `path`, or each run in the folders there: a set. A run without a report is judged first.
///
/// # Errors
/// There is no run, or one cannot be read.
pub fn read(path: &Path) -> anyhow::Result<Vec<Past>> {
    let is_run = |path: &Path| Folder::new(path).run().is_file();
    if is_run(path) {
        return Ok(vec![one(&Folder::new(path))?]);
    }
    let entries = std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut folders: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(|path| is_run(path)).collect();
    folders.sort();
    if folders.is_empty() {
        bail!("there is no run in {}", path.display());
    }
    folders.into_iter().map(|path| one(&Folder::new(path))).collect()
}

fn one(folder: &Folder) -> anyhow::Result<Past> {
    let path = folder.report("report.json");
    if !path.is_file() {
        report::make(folder)?.write(folder)?;
    }
    let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is no report of this version", path.display()))
}
