//! The configuration from outside: what is refused and how it is told, what is accepted and what it means.

#![expect(clippy::expect_used, reason = "the lint's own exception covers test functions, not what they share")]

mod bad;
mod certificates;
mod generated;
mod good;
mod process;
mod rooms;

use std::path::Path;

use weir::config::{self, Loaded, Report};

/// The least that can go live; the tests below count on its lines.
const LEAST: &str = r#"[[listener]]
address = "127.0.0.1:8080"
[[upstream]]
name = "a"
servers = ["127.0.0.1:9000"]
[[route]]
path = "/*"
upstream = "a"
"#;

/// Line of [`LEAST`] after which a line still belongs to the listener.
const LISTENER: usize = 2;
/// Line of [`LEAST`] after which a line still belongs to the upstream.
const UPSTREAM: usize = 5;
/// Line of [`LEAST`] after which a line still belongs to the route; the last.
const ROUTE: usize = 8;

fn parse(text: &str) -> Result<Loaded, Report> {
    config::parse(text, Path::new("weir.toml"))
}

/// [`LEAST`] with `text` after its line `line`.
fn least_with(line: usize, text: &str) -> String {
    let mut lines: Vec<&str> = LEAST.lines().collect();
    lines.insert(line, text);
    lines.join("\n") + "\n"
}

/// [`LEAST`] with `text` instead of its line `line`.
fn least_but(line: usize, text: &str) -> String {
    let mut lines: Vec<&str> = LEAST.lines().collect();
    lines[line - 1] = text;
    lines.join("\n") + "\n"
}

/// Every fault has a line of `text`, is rendered with that place, the line and a caret.
fn assert_well_told(report: &Report, text: &str) {
    assert!(!report.faults().is_empty(), "a report without faults for {text:?}");
    let rendered = report.render(false);
    let parts: Vec<&str> = rendered.split("\n\n").collect();
    assert_eq!(parts.len(), report.faults().len() + 1, "one part a fault, and the count: {rendered}");
    for (fault, part) in report.faults().iter().zip(parts) {
        let lines = text.matches('\n').count() + 1;
        assert!((1..=lines).contains(&fault.line()), "line {} of {lines}: {rendered}", fault.line());
        assert!(fault.column() >= 1);
        assert!(part.contains(&format!(":{}:{}\n", fault.line(), fault.column())), "place in {part}");
        assert!(part.lines().any(|line| line.trim_start().starts_with('|') && line.contains('^')), "caret in {part}");
        assert!(!fault.message().is_empty());
    }
}
