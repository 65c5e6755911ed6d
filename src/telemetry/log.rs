//! What operators read on standard error: start, stop, faults. Never an event for each request.

use std::io::{self, IsTerminal};

use tracing::Level;

/// Writes `tracing` events of level INFO and above to standard error, in colour on a terminal. If the process has a
/// subscriber already (a test's), that one stays.
pub fn init() {
    let installed = tracing_subscriber::fmt()
        .with_max_level(Level::INFO)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .try_init();
    if installed.is_err() {
        tracing::debug!("a subscriber is installed already");
    }
}
