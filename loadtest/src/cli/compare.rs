//! `loadtest compare`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::Verdict;
use crate::report::compare::{Comparison, Past, page, read};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// What was before: folder of a run, or of several runs' folders
    #[arg(value_name = "A")]
    before: PathBuf,
    /// What is now: the same
    #[arg(value_name = "B")]
    after: PathBuf,
    /// More runs of what was before, so that there is a noise to compare with: three in all are needed
    #[arg(long, value_name = "C", num_args = 1..)]
    noise: Vec<PathBuf>,
    /// Write the page there, too
    #[arg(long, value_name = "PATH")]
    html: Option<PathBuf>,
}

pub(super) fn command(options: &Options) -> anyhow::Result<Verdict> {
    let noise: anyhow::Result<Vec<Vec<Past>>> = options.noise.iter().map(|path| read(path)).collect();
    let comparison = Comparison::of(read(&options.before)?, read(&options.after)?, noise?.concat());
    print!("{}", comparison.summary());
    if let Some(path) = &options.html {
        write(path, &page(&comparison))?;
    }
    Ok(match (comparison.is_invalid(), comparison.is_regression()) {
        (true, _) => Verdict::Invalid,
        (_, true) => Verdict::Missed,
        _ => Verdict::Passed,
    })
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
