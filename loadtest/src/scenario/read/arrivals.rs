//! `[[arrivals]]` as written: a curve, a trace, or a number of people.

use std::cell::Cell;
use std::time::Duration;

use weir::config::explain::Span;
use weir::config::reader::{DeValue, Parsed, Table, Written};
use weir::config::scalar::{number, text, word};

use super::value::{point, row, some_time, span};
use crate::scenario::Process;

/// People one source may bring: a population is held in memory.
pub(super) const MOST_PEOPLE: u64 = 10_000_000;

const PROCESSES: [(&str, Process); 2] = [("poisson", Process::Poisson), ("uniform", Process::Uniform)];

/// One source of people.
#[derive(Debug)]
pub(super) struct Arrivals {
    pub(super) span: Span,
    pub(super) curve: Option<Curve>,
    pub(super) process: Process,
    pub(super) personas: Vec<Written<String>>,
}

/// The three ways to write when people come.
#[derive(Debug)]
pub(super) enum Curve {
    Points(Written<Vec<Written<(Duration, f64)>>>),
    Trace(Written<Vec<Written<(Duration, u64)>>>),
    People {
        people: Written<u64>,
        at: Written<Duration>,
        /// At an even rate over this; none: all at once.
        over: Option<Duration>,
    },
}

impl Arrivals {
    pub(super) fn read(table: &mut Table<'_, '_, '_>) -> Self {
        let curve = curve(table);
        let at_once = matches!(curve, Some(Curve::People { over: None, .. }));
        let process = text("\"poisson\" or \"uniform\"", |found| word(found, &PROCESSES));
        Self {
            span: table.span(),
            curve,
            // Nothing is drawn where all come at once.
            process: if at_once { Process::Uniform } else { table.or("process", Process::Poisson, process) },
            personas: table
                .filled_list(
                    "personas",
                    "names of [[persona]]s",
                    text("the name of a [[persona]]", |name| Ok(name.to_owned())),
                )
                .map_or_else(Vec::new, |list| list.value),
        }
    }
}

/// The first of the three that is written; a second one is then an unknown key.
fn curve(table: &mut Table<'_, '_, '_>) -> Option<Curve> {
    if table.has("curve") {
        return whole_list(table, "curve", "points such as [\"10s\", \"400/s\"]", point).map(Curve::Points);
    }
    if table.has("trace") {
        return whole_list(table, "trace", "rows such as [\"10s\", 42]", row).map(Curve::Trace);
    }
    let people = table.required("people", number(1..=MOST_PEOPLE));
    let at = table.optional("at", span);
    let over = table.optional("over", some_time).map(|over| over.value);
    let people = people?;
    let at = at.unwrap_or_else(|| Written { value: Duration::ZERO, span: people.span.clone() });
    Some(Curve::People { people, at, over })
}

/// The list `key` if all of it is right: what a part of it says would be another scenario.
fn whole_list<'t, T>(
    table: &mut Table<'t, '_, '_>,
    key: &'static str,
    wanted: &str,
    parse: impl Fn(&DeValue<'t>) -> Parsed<T>,
) -> Option<Written<Vec<Written<T>>>> {
    let items = Cell::new(0);
    let list = table.filled_list(key, wanted, |value| {
        items.set(items.get() + 1);
        parse(value)
    })?;
    (list.value.len() == items.get()).then_some(list)
}
