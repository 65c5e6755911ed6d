//! Prometheus text format 0.0.4.
//!
//! Source: <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>.

use std::fmt::{self, Display, Formatter};

use super::cells::{BOUNDS_NANOS, Snapshot};

/// A value read at scrape time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Reading {
    Float(f64),
    Integer(u64),
}

impl Display for Reading {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Float(value) if value.is_infinite() => f.write_str(if value > 0.0 { "+Inf" } else { "-Inf" }),
            Self::Float(value) => value.fmt(f),
            Self::Integer(value) => value.fmt(f),
        }
    }
}

/// `a="x",b="y"`, sorted by name, so that one set of labels has one text; empty for no labels.
pub(super) fn label_set(labels: &[(&'static str, &str)]) -> String {
    let mut labels = labels.to_vec();
    labels.sort_unstable();
    labels.iter().map(|(name, value)| format!("{name}=\"{}\"", Escaped(value, true))).collect::<Vec<_>>().join(",")
}

/// Whether `name` may name a metric; without colons, which are kept for recording rules, also a label.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|rest| rest.is_ascii_alphanumeric() || rest == '_')
}

pub(super) fn write_head(f: &mut Formatter<'_>, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(f, "# HELP {name} {}", Escaped(help, false))?;
    writeln!(f, "# TYPE {name} {kind}")
}

pub(super) fn write_sample(f: &mut Formatter<'_>, name: &str, labels: &str, value: Reading) -> fmt::Result {
    if labels.is_empty() { writeln!(f, "{name} {value}") } else { writeln!(f, "{name}{{{labels}}} {value}") }
}

pub(super) fn write_histogram(f: &mut Formatter<'_>, name: &str, labels: &str, snapshot: &Snapshot) -> fmt::Result {
    let comma = if labels.is_empty() { "" } else { "," };
    let bounds = BOUNDS_NANOS.iter().map(|nanos| *nanos as f64 / 1e9).chain([f64::INFINITY]);
    for (bound, count) in bounds.zip(snapshot.cumulative) {
        writeln!(f, "{name}_bucket{{{labels}{comma}le=\"{}\"}} {count}", Reading::Float(bound))?;
    }
    let [.., count] = snapshot.cumulative;
    write_sample(f, &format!("{name}_sum"), labels, Reading::Float(snapshot.sum))?;
    write_sample(f, &format!("{name}_count"), labels, Reading::Integer(count))
}

/// Escaped as help text or, with `true`, as a label's value, in which quotes are escaped too.
struct Escaped<'a>(&'a str, bool);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        use std::fmt::Write;
        self.0.chars().try_for_each(|c| match c {
            '\\' => f.write_str(r"\\"),
            '\n' => f.write_str(r"\n"),
            '"' if self.1 => f.write_str("\\\""),
            plain => f.write_char(plain),
        })
    }
}
