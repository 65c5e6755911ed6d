//! Configuration: a file as written (`draft`) becomes a [`Plan`], or a [`Report`] of everything wrong with it.
//!
//! The walk: TOML with the place of every value → `draft` takes every key it knows (`reader`, `scalar`, `units`, `syntax`) →
//! `build` resolves names, finds contradictions, reads files → [`plan`]. `explain` tells faults; `machine` compares a
//! plan with the machine it would run on.
//!
//! **Invariants**: all faults at once; each with file, line, column and caret; never a panic, whatever the file holds;
//! nothing is bound, created or changed, but for a key that is missing when the process starts ([`plan::Key::obtain`]).
//! **Cost**: milliseconds, and blocking: for the start of the process and for `weir check`.
//! **Not here**: anything running.
//!
#![doc = include_str!("reference.md")]

mod bounds;
mod build;
mod change;
pub mod descriptors;
mod draft;
pub mod explain;
mod instant;
pub mod machine;
mod pass;
pub mod path;
pub mod plan;
mod reader;
mod room;
mod scalar;
mod secret;
mod syntax;
mod units;

use std::fs;
use std::io::{IsTerminal as _, Read as _};
use std::path::Path;
use std::process::ExitCode;

use toml::de::DeTable;

pub use change::fixed_tables;
pub use explain::{Fault, Report};
pub use plan::Plan;
pub use units::RateError;

use draft::Draft;
use explain::Faults;

/// Exit code for a configuration that cannot go live: `EX_CONFIG` of sysexits.h.
pub const EXIT_CONFIG: u8 = 78;

/// Largest configuration, in bytes; some ten thousand routes.
pub const MAX_FILE: usize = 1 << 20;

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
    let bytes = read(path).map_err(|why| Report::unreadable(path, why))?;
    match String::from_utf8(bytes) {
        Ok(text) => parse(&text, path),
        Err(fault) => {
            let good = fault.utf8_error().valid_up_to();
            let text = String::from_utf8_lossy(fault.as_bytes());
            let mut faults = Faults::new(path, &text);
            let label = Some("from here".to_owned());
            faults.add(&(good..good + 1), "the file is not UTF-8 text".to_owned(), label, None);
            Err(faults.report())
        }
    }
}

/// Reads the configuration `text`. `path` names it in reports, and relative paths in it start at its directory.
///
/// # Errors
/// The report says everything that is wrong with the text.
pub fn parse(text: &str, path: &Path) -> Result<Loaded, Report> {
    let mut faults = Faults::new(path, text);
    let (file, mistakes) = DeTable::parse_recoverable(text);
    // What stands behind a mistake of syntax is a guess: then only the syntax is reported.
    if !mistakes.is_empty() {
        for mistake in mistakes {
            let span = mistake.span().unwrap_or(0..0);
            faults.add(&span, format!("this is not TOML: {}", mistake.message().trim_end()), None, None);
        }
        return Err(faults.report());
    }
    let draft = Draft::read(file.get_ref(), &mut faults);
    let directory = path.parent().unwrap_or_else(|| Path::new(""));
    let Some(plan) = build::build(draft, directory, &mut faults) else { return Err(faults.report()) };
    Ok(Loaded { plan, warnings: faults.finish()? })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_FILE).unwrap_or(u64::MAX);
    let file = fs::File::open(path).map_err(|why| why.to_string())?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|why| why.to_string())?;
    if bytes.len() > MAX_FILE { Err(format!("larger than {MAX_FILE} bytes")) } else { Ok(bytes) }
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
