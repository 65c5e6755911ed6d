//! `weir draw verify`: files in, words and an exit code out.
//!
//! **Not here**: what is verified (`verify`).

use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::Path;
use std::process::ExitCode;

use super::receipt::{RECEIPT_MAX, Receipt};
use super::verify::{Finding, verify};

/// Exit code for a draw or a receipt that does not match.
pub const EXIT_MISMATCH: u8 = 1;

/// Exit code for a file that cannot be read (`EX_NOINPUT` of sysexits.h).
pub const EXIT_NO_INPUT: u8 = 66;

/// Bytes of the document that are read at once.
const BUFFER: usize = 1 << 18;

/// Says whether the draw in the file `document` is as it says, and `receipt` of it. Exit code 0, [`EXIT_MISMATCH`] or
/// [`EXIT_NO_INPUT`].
#[must_use]
pub fn verify_files(document: &Path, receipt: Option<&Path>) -> ExitCode {
    let unreadable = |path: &Path, why: &io::Error| {
        eprintln!("cannot read {}: {why}", path.display());
        ExitCode::from(EXIT_NO_INPUT)
    };
    let text = match receipt.map(|path| read(path).map_err(|why| (path, why))).transpose() {
        Ok(text) => text,
        Err((path, why)) => return unreadable(path, &why),
    };
    let held = match text.as_deref().map(Receipt::parse).transpose() {
        Ok(held) => held,
        Err(why) => {
            eprintln!("{}: {why}", receipt.unwrap_or(document).display());
            return ExitCode::from(EXIT_MISMATCH);
        }
    };
    let file = File::open(document).map(|file| BufReader::with_capacity(BUFFER, file));
    match file.and_then(|file| verify(file, held.as_ref())) {
        Ok(finding) => told(document, held.as_ref(), &finding),
        Err(why) => unreadable(document, &why),
    }
}

/// The text of a receipt's file. Of one that is too long, as much as shows that it is none.
fn read(path: &Path) -> io::Result<String> {
    let limit = u64::try_from(RECEIPT_MAX).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn told(document: &Path, receipt: Option<&Receipt>, finding: &Finding) -> ExitCode {
    let name = document.display();
    if !finding.holds() {
        for fault in &finding.faults {
            eprintln!("{name}: {fault}");
        }
        if finding.more > 0 {
            eprintln!("{name}: and {} more", finding.more);
        }
        return ExitCode::from(EXIT_MISMATCH);
    }
    if let Some(terms) = &finding.terms {
        let (room, wave, count) = (&terms.room, terms.wave, finding.count);
        println!("{name}: the draw of {room:?}, wave {wave}, among {count} registrations is as it says");
    }
    if let Some((receipt, place)) = receipt.zip(finding.place) {
        println!("number {} has place {place} of {}", receipt.number, finding.count);
    }
    ExitCode::SUCCESS
}
