//! `loadtest guard`: a child of a run, which dies with it.

use std::path::PathBuf;

use clap::Args;

use super::Verdict;
use crate::coordinator::child::guard;
use crate::coordinator::plan::Program;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The process whose end is this one's
    #[arg(value_name = "PID")]
    parent: u32,
    /// What to become
    #[arg(value_name = "PROGRAM")]
    program: PathBuf,
    /// With what
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

pub(super) fn command(options: Options) -> anyhow::Result<Verdict> {
    let Options { parent, program, arguments } = options;
    match guard(parent, &Program { path: program, arguments })? {}
}
