//! Configuration: a file as written (`draft`) becomes a [`Plan`], or a [`Report`] of everything wrong with it.
//!
//! The walk: TOML with the place of every value ([`document`]) → `draft` takes every key it knows ([`reader`], [`scalar`], [`units`],
//! `syntax`) → `build` resolves [`names`], finds contradictions, reads files → [`plan`]. [`explain`] tells faults; [`machine`] compares a
//! plan with the machine it would run on. What is not about weir's own keys is public: `loadtest` reads its scenarios with it.
//!
//! **Invariants**: all faults at once; each with file, line, column and caret; never a panic, whatever the file holds;
//! nothing is bound, created or changed, but for a key that is missing when the process starts ([`plan::Key::obtain`]).
//! **Cost**: milliseconds, and blocking: for the start of the process and for `weir check`.
//! **Not here**: anything running.
//!
#![doc = include_str!("reference.md")]

mod bounds;
mod build;
mod certificate;
mod change;
pub mod descriptors;
pub mod document;
mod draft;
pub mod explain;
mod instant;
pub mod machine;
pub mod names;
mod pass;
pub mod path;
pub mod plan;
pub mod reader;
mod room;
pub mod scalar;
mod secret;
mod syntax;
pub mod units;

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::ExitCode;

pub use change::fixed_tables;
pub use document::MAX_FILE;
pub use explain::{Fault, Report};
pub use plan::Plan;
pub use units::RateError;

use draft::Draft;

/// Exit code for a configuration that cannot go live: `EX_CONFIG` of sysexits.h.
pub const EXIT_CONFIG: u8 = 78;

/// A configuration that can go live.
#[derive(Debug)]
pub struct Loaded {
    /// What to run.
    pub plan: Plan,
    /// What is allowed and probably not wanted, one line each, with file, line and column.
    pub warnings: Vec<String>,
}

/// Reads the configuration at `path`. Relative paths in it start at its directory.
///
/// # Errors
/// The report says everything that is wrong with the file, or why it cannot be read.
pub fn load(path: &Path) -> Result<Loaded, Report> {
    parse(&document::text(path)?, path)
}

/// Reads the configuration `text`. `path` names it in reports, and relative paths in it start at its directory.
///
/// # Errors
/// The report says everything that is wrong with the text.
pub fn parse(text: &str, path: &Path) -> Result<Loaded, Report> {
    let directory = path.parent().unwrap_or_else(|| Path::new(""));
    let (plan, warnings) = document::parse(text, path, |file, faults| {
        let draft = Draft::read(file, faults);
        build::build(draft, directory, faults)
    })?;
    Ok(Loaded { plan, warnings })
}

/// Writes `report` to standard error, with colour if it is a terminal and `NO_COLOR` is not set.
pub fn print_report(report: &Report) {
    let styled = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    eprint!("{}", report.render(styled));
}

/// `weir check`: says whether the configuration at `path` can go live, and how well this machine fits it. Exit code 0,
/// or [`EXIT_CONFIG`].
#[must_use]
pub fn check(path: &Path) -> ExitCode {
    let Loaded { plan, mut warnings } = match load(path) {
        Ok(loaded) => loaded,
        Err(report) => {
            print_report(&report);
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    warnings.extend(machine::warnings(&plan));
    for warning in &warnings {
        println!("warning: {warning}");
    }
    let noun = if warnings.len() == 1 { "warning" } else { "warnings" };
    println!("{}: ok, {} {noun}", path.display(), warnings.len());
    ExitCode::SUCCESS
}
