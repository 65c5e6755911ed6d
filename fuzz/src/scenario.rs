//! The reader of `loadtest`'s scenarios.

use loadtest::scenario::read_text;

/// A scenario, or a report that can be shown.
pub fn scenario(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match read_text(text) {
        Ok(scenario) => assert!(!scenario.stages.is_empty(), "a scenario without a stage"),
        Err(report) => assert!(!report.render(false).is_empty(), "a report of nothing"),
    }
}
