//! The folder of a run: everything that is needed to judge it again.
//!
//! ```text
//! scenario.toml         as it was read           run.json       seed, plan's fingerprint, scale, machine, versions, addresses
//! weir.toml             as it was given to weir  said.jsonl     what the gateway said      resources.jsonl  what each process used
//! told.0 told.1 …       one a worker             served  samples                           access.jsonl     the gateway's access log
//! died                  why the gateway ended by itself, if it did: then nothing else is judged
//! report.html  report.json  report.csv  junit.xml                verdict of the oracle, written last
//! ```

use std::path::{Path, PathBuf};

/// A run's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder(PathBuf);

impl Folder {
    /// The run in `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The scenario as it was read.
    #[must_use]
    pub fn scenario(&self) -> PathBuf {
        self.0.join("scenario.toml")
    }

    /// What was run, where and when.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.0.join("run.json")
    }

    /// The gateway's configuration.
    #[must_use]
    pub fn gateway(&self) -> PathBuf {
        self.0.join("weir.toml")
    }

    /// What the people of `worker` were told.
    #[must_use]
    pub fn told(&self, worker: usize) -> PathBuf {
        self.0.join(format!("told.{worker}"))
    }

    /// What the services did.
    #[must_use]
    pub fn served(&self) -> PathBuf {
        self.0.join("served")
    }

    /// What there was capacity for.
    #[must_use]
    pub fn samples(&self) -> PathBuf {
        self.0.join("samples")
    }

    /// What the gateway said of itself.
    #[must_use]
    pub fn said(&self) -> PathBuf {
        self.0.join("said.jsonl")
    }

    /// What each process used.
    #[must_use]
    pub fn resources(&self) -> PathBuf {
        self.0.join("resources.jsonl")
    }

    /// The gateway's access log.
    #[must_use]
    pub fn access(&self) -> PathBuf {
        self.0.join("access.jsonl")
    }

    /// Why the gateway ended by itself; there only if it did.
    #[must_use]
    pub fn died(&self) -> PathBuf {
        self.0.join("died")
    }

    /// A report of the run: `report.html`, `junit.xml`.
    #[must_use]
    pub fn report(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}
