//! A file of TOML as a whole: read within bounds, its syntax judged, and what a reader of its tables makes of it.
//!
//! **Invariants**: a file is either built without a fault, or there is a report of all of them.
//! **Cost**: milliseconds, and blocking.
//! **Not here**: which tables there are.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use toml::de::DeTable;

use super::explain::{Faults, Report};

/// Largest file, in bytes; some ten thousand routes.
pub const MAX_FILE: usize = 1 << 20;

/// The text of the file at `path`.
///
/// # Errors
/// It cannot be read, is larger than [`MAX_FILE`], or is not UTF-8.
pub fn text(path: &Path) -> Result<String, Report> {
    let bytes = bytes(path).map_err(|why| Report::unreadable(path, why))?;
    String::from_utf8(bytes).map_err(|fault| {
        let good = fault.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(fault.as_bytes());
        let mut faults = Faults::new(path, &text);
        let label = Some("from here".to_owned());
        faults.add(&(good..good + 1), "the file is not UTF-8 text".to_owned(), label, None);
        faults.report()
    })
}

/// What `read` makes of `text`, and the warnings; `path` names it in reports. `read` returns nothing only where it records a fault.
///
/// # Errors
/// The report has every fault that was recorded. Where the syntax is wrong, that only: what stands behind it is a guess.
pub fn parse<T>(
    text: &str,
    path: &Path,
    read: impl for<'t> FnOnce(&'t DeTable<'t>, &mut Faults<'_>) -> Option<T>,
) -> Result<(T, Vec<String>), Report> {
    let mut faults = Faults::new(path, text);
    let (file, mistakes) = DeTable::parse_recoverable(text);
    if !mistakes.is_empty() {
        for mistake in mistakes {
            let span = mistake.span().unwrap_or(0..0);
            faults.add(&span, format!("this is not TOML: {}", mistake.message().trim_end()), None, None);
        }
        return Err(faults.report());
    }
    let Some(built) = read(file.get_ref(), &mut faults) else { return Err(faults.report()) };
    Ok((built, faults.finish()?))
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_FILE).unwrap_or(u64::MAX);
    let file = fs::File::open(path).map_err(|why| why.to_string())?;
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(|why| why.to_string())?;
    if bytes.len() > MAX_FILE { Err(format!("larger than {MAX_FILE} bytes")) } else { Ok(bytes) }
}
