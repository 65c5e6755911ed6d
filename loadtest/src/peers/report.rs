//! The gateways side by side: a table to be read and put into a document, and the same as JSON.
//!
//! **Invariants**: of several rounds the median stands in the table, every line in the JSON. What has no value is `–`, never 0.

use std::fmt::Write;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::coordinator::plan::Machine;
use crate::figure::Figure;
use crate::oracle::Verdict;
use crate::oracle::table::written;
use crate::table::count;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// People who were told that the last stage is done.
    Registered,
    /// They over those whom an ideal service would have taken through.
    OfPossible,
    /// Share of those who came before whom somebody was through who came more than a second later.
    Overtaken,
    /// How much later the last of those came, 99th percentile.
    LaterP99,
    /// Work that people heard of over what could have been done.
    Goodput,
    /// Work nobody heard of over all.
    WastedWork,
    /// Requests a person sent.
    Requests,
    /// Processor time of the gateway a request that people sent, ...
    Processor,
    /// ... and a person registered: some gateways have people ask more often.
    ProcessorRegistered,
    /// Most memory of the gateway.
    Memory,
    /// Time to any answer.
    AnswerP99,
    /// How late the harness sent: whether the line says anything.
    LagP99,
}

impl Column {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 12] = [
        Self::Registered,
        Self::OfPossible,
        Self::Overtaken,
        Self::LaterP99,
        Self::Goodput,
        Self::WastedWork,
        Self::Requests,
        Self::Processor,
        Self::ProcessorRegistered,
        Self::Memory,
        Self::AnswerP99,
        Self::LagP99,
    ];

    /// The oracle's figure that it is; none: it is counted for the comparison.
    #[must_use]
    pub const fn figure(self) -> Option<Figure> {
        Some(match self {
            Self::Registered | Self::Overtaken | Self::LaterP99 | Self::ProcessorRegistered => return None,
            Self::OfPossible => Figure::Registered,
            Self::Goodput => Figure::Goodput,
            Self::WastedWork => Figure::WastedWork,
            Self::Requests => Figure::RequestsPerPerson,
            Self::Processor => Figure::GatewayCpu,
            Self::Memory => Figure::GatewayMemory,
            Self::AnswerP99 => Figure::AnswerP99,
            Self::LagP99 => Figure::LagP99,
        })
    }

    const fn head(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::OfPossible => "of the possible",
            Self::Overtaken => "overtaken by > 1 s",
            Self::LaterP99 => "by up to (p99)",
            Self::Goodput => "goodput",
            Self::WastedWork => "wasted work",
            Self::Requests => "requests a person",
            Self::Processor => "CPU a request",
            Self::ProcessorRegistered => "CPU a registration",
            Self::Memory => "memory",
            Self::AnswerP99 => "answers p99",
            Self::LagP99 => "harness lag p99",
        }
    }

    const fn key(self) -> &'static str {
        match self {
            Self::Registered => "people_registered",
            Self::OfPossible => "registered",
            Self::Overtaken => "overtaken_by_later",
            Self::LaterP99 => "later_p99",
            Self::Goodput => "goodput",
            Self::WastedWork => "wasted_work",
            Self::Requests => "requests_per_person",
            Self::Processor => "gateway_cpu",
            Self::ProcessorRegistered => "gateway_cpu_per_registered",
            Self::Memory => "gateway_memory",
            Self::AnswerP99 => "answer_p99",
            Self::LagP99 => "lag_p99",
        }
    }

    fn cell(self, value: f64) -> String {
        match self {
            _ if value.is_nan() => "–".to_owned(),
            Self::Overtaken => written(Figure::WastedWork, value),
            Self::LaterP99 => written(Figure::AnswerP99, value),
            Self::ProcessorRegistered => written(Figure::GatewayCpu, value),
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of people")]
            Self::Registered => count(value as u64),
            _ => self.figure().map_or_else(String::new, |figure| written(figure, value)),
        }
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As the oracle says.
    Judged(Verdict),
    /// The gateway could not be started, or ended.
    Failed(String),
}

/// What one gateway did in one round.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// How it ended.
    pub outcome: Outcome,
    /// What the oracle found, a sentence each.
    pub remarks: Vec<String>,
    /// Of each of [`Column::ALL`].
    #[serde(serialize_with = "by_name")]
    pub values: [f64; Column::ALL.len()],
}

/// One gateway in all rounds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// How the table calls it.
    pub name: String,
    /// Its version.
    pub version: String,
    /// One for each round.
    pub lines: Vec<Line>,
}

/// The comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The scenario's name.
    pub scenario: String,
    /// What it shows.
    pub shows: String,
    /// How many people come.
    pub people: u64,
    /// When, as HTTP writes it.
    pub date: String,
    /// Where.
    pub machine: Machine,
    /// Processes that were ready to run when it began, as `/proc/loadavg` has it for the last minute: what else ran.
    pub load_before: f64,
    /// Rounds that were asked for.
    pub rounds: usize,
    /// Who took part.
    pub entries: Vec<Entry>,
    /// Who was asked for and is not installed.
    pub not_found: Vec<String>,
}

impl Line {
    /// It could not be made, for this reason.
    #[must_use]
    pub const fn failed(why: String) -> Self {
        Self { outcome: Outcome::Failed(why), remarks: Vec::new(), values: [f64::NAN; Column::ALL.len()] }
    }

    /// Whether it says something of the gateway.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.outcome != Outcome::Judged(Verdict::Invalid)
    }
}

impl Entry {
    /// The median of each column over the rounds that say something.
    fn medians(&self) -> [f64; Column::ALL.len()] {
        let mut medians = [f64::NAN; Column::ALL.len()];
        for (column, median) in medians.iter_mut().enumerate() {
            let values = self.lines.iter().filter(|line| line.is_valid()).filter_map(|line| line.values.get(column));
            let mut values: Vec<f64> = values.copied().filter(|value| !value.is_nan()).collect();
            values.sort_unstable_by(f64::total_cmp);
            *median = values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN);
        }
        medians
    }
}

impl Report {
    /// The header, the table, and what is to be said of each run, as Markdown.
    #[must_use]
    pub fn text(&self) -> String {
        let Machine { kernel, processor, cores, memory, .. } = &self.machine;
        let mut text = format!(
            "{}: {}; {} people; {}; {processor}, {cores} cores for people, services and gateway together, {} GiB, {kernel}; load before: {:.1}; \
             {} round{}\n\n",
            self.scenario,
            self.shows,
            count(self.people),
            self.date,
            memory >> 30,
            self.load_before,
            self.rounds,
            if self.rounds == 1 { "" } else { "s, medians" },
        );
        text += &self.table();
        text.push('\n');
        for entry in &self.entries {
            for line in &entry.lines {
                let said = match &line.outcome {
                    Outcome::Failed(why) => format!("FAILED: {why}"),
                    Outcome::Judged(Verdict::Invalid) => format!("INVALID: {}", line.remarks.join("; ")),
                    Outcome::Judged(_) if line.remarks.is_empty() => continue,
                    Outcome::Judged(_) => line.remarks.join("; "),
                };
                // Writing to a string does not fail.
                writeln!(text, "{}: {said}", entry.name).ok();
            }
        }
        text
    }

    fn table(&self) -> String {
        let heads = [String::new(), "version".to_owned()].into_iter();
        let mut rows = vec![heads.chain(Column::ALL.map(|column| column.head().to_owned())).collect::<Vec<_>>()];
        for entry in &self.entries {
            let cells = Column::ALL.into_iter().zip(entry.medians()).map(|(column, value)| column.cell(value));
            let version = if entry.version.is_empty() { "–" } else { &entry.version };
            rows.push([entry.name.clone(), version.to_owned()].into_iter().chain(cells).collect());
        }
        for name in &self.not_found {
            let blank = Column::ALL.map(|_| "–".to_owned());
            rows.push([name.clone(), "not found".to_owned()].into_iter().chain(blank).collect());
        }
        markdown(&rows)
    }
}

/// A table whose first row is its head: two columns to the left, the others to the right.
fn markdown(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0).max(3)).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            // Writing to a string does not fail.
            if column < 2 {
                write!(text, "| {cell:width$} ").ok()
            } else {
                write!(text, "| {cell:>width$} ").ok()
            };
        }
        text.push_str("|\n");
        if number == 0 {
            for (column, width) in widths.iter().enumerate() {
                let (dashes, end) = ("-".repeat(width + 1), if column < 2 { '-' } else { ':' });
                write!(text, "|{dashes}{end}").ok();
            }
            text.push_str("|\n");
        }
    }
    text
}

fn by_name<S: Serializer>(values: &[f64; Column::ALL.len()], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(values.len()))?;
    for (column, value) in Column::ALL.into_iter().zip(values) {
        map.serialize_entry(column.key(), value)?;
    }
    map.end()
}
