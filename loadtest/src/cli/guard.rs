//! `loadtest guard`: a child of a run, which dies with it.

use std::path::PathBuf;

use clap::Args;

use super::Verdict;
use crate::coordinator::child::{self, guard};
use crate::coordinator::plan::Program;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The process whose end is this one's
    #[arg(value_name = "PID")]
    parent: u32,
    /// It has processes of its own
    #[arg(long)]
    forks: bool,
    /// What to become
    #[arg(value_name = "PROGRAM")]
    program: PathBuf,
    /// With what
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(super) fn command(options: Options) -> anyhow::Result<Verdict> {
    let Options { parent, forks, program, arguments } = options;
    match guard(parent, &Program { path: program, arguments }, forks)? {}
}

/// `loadtest watch`: ends what a child left.
#[derive(Debug, Args)]
pub(super) struct Watch {
    /// The child
    #[arg(value_name = "PID")]
    first: u32,
}

pub(super) fn watch(options: &Watch) -> anyhow::Result<Verdict> {
    child::watch(options.first)?;
    Ok(Verdict::Passed)
}
