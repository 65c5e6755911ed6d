//! Scenario files: TOML, strict, every fault at once with its place, as weir reads its own configuration.
//!
//! **Invariants**: what is returned needs no second check; every key has a default but those without which there is nothing to run. The
//! reference of all keys is `loadtest/scenarios/README.md`; a test compares the two.
//! **Cost**: milliseconds, and blocking.
//! **Not here**: who comes (`population`), what the gateway's configuration says (weir reads that).

mod arrivals;
mod build;
mod fault;
mod persona;
mod service;
#[cfg(test)]
mod tests;
mod threshold;
mod value;

use std::path::{Path, PathBuf};
use std::time::Duration;

use weir::config::document;
use weir::config::explain::{Faults, Report, Span};
use weir::config::names::name;
use weir::config::reader::{DeTable, Table, Written};
use weir::config::scalar::{number, request_target, text, truth};
use weir::config::units::{duration, size};

use self::arrivals::Arrivals;
use self::fault::Fault;
use self::service::Service;
use self::value::{LONGEST, secs, span};
use super::Scenario;
use crate::figure::Threshold;

/// Of every draw where no seed is written: the day on which Kartu Prakerja opened.
const SEED: u64 = 20_200_411;
/// Those who are there at the end have this long unless written.
const DRAIN: Duration = secs(30);
/// A cold start is over after this, or after a quarter of a shorter run, unless written.
const COLD: Duration = secs(5);
/// A form with a few fields.
const BODY: u64 = 512;
/// Largest body of a request.
const BODIES: std::ops::RangeInclusive<u64> = 0..=64 << 20;
/// The gateway's configuration unless written.
const GATEWAY: &str = "weir.toml";
/// As many as weir's rooms count.
const QUOTA: std::ops::RangeInclusive<u64> = 1..=67_108_864;

/// Reads the scenario at `path`, and sees that the gateway's configuration it names is there.
///
/// # Errors
/// The report says everything that is wrong with it.
pub fn read(path: &Path) -> Result<Scenario, Report> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let directory = path.parent().unwrap_or_else(|| Path::new(""));
    parse(&document::text(path)?, path, &stem, Beside::Checked(directory))
}

/// Reads the copy of a scenario in a run's folder; `name` is that of the scenario. Nothing beside it is looked at.
///
/// # Errors
/// The report says everything that is wrong with it.
pub fn read_copy(path: &Path, name: &str) -> Result<Scenario, Report> {
    let directory = path.parent().unwrap_or_else(|| Path::new(""));
    parse(&document::text(path)?, path, name, Beside::Trusted(directory))
}

/// Reads the scenario `text`. Nothing beside it is looked at.
///
/// # Errors
/// The report says everything that is wrong with it.
pub fn read_text(text: &str) -> Result<Scenario, Report> {
    let path = Path::new("scenario.toml");
    parse(text, path, "scenario", Beside::Trusted(Path::new("")))
}

/// Where relative paths start, and whether what they name must be there.
#[derive(Clone, Copy, Debug)]
enum Beside<'d> {
    Checked(&'d Path),
    Trusted(&'d Path),
}

fn parse(text: &str, path: &Path, name: &str, beside: Beside<'_>) -> Result<Scenario, Report> {
    let (scenario, _) = document::parse(text, path, |file, faults| {
        let draft = Draft::read(file, faults);
        Some(build::build(draft, name, beside, faults))
    })?;
    Ok(scenario)
}

/// One file.
#[derive(Debug)]
struct Draft {
    shows: String,
    seed: u64,
    duration: Option<Written<Duration>>,
    drain: Duration,
    measured_from: Option<Written<Duration>>,
    quota: Option<u64>,
    gateway: Gateway,
    services: Vec<Service>,
    stages: Vec<Stage>,
    arrivals: Vec<Arrivals>,
    personas: Vec<persona::Draft>,
    faults: Vec<Fault>,
    thresholds: Vec<Threshold>,
}

/// `[gateway]`
#[derive(Debug)]
struct Gateway {
    config: PathBuf,
    /// Where it is named, or where it could be.
    span: Span,
    tls: bool,
}

/// `[[stage]]`
#[derive(Debug)]
struct Stage {
    span: Span,
    name: Option<Written<String>>,
    path: Option<Written<String>>,
    service: Option<Written<String>>,
    body: u64,
    entrance: Option<Written<bool>>,
    goes_on: Option<Written<f64>>,
}

impl Draft {
    /// Reads the whole file, recording every fault on the way.
    fn read<'t>(file: &'t DeTable<'t>, faults: &mut Faults<'_>) -> Self {
        Table::read("the file", 0..0, file, faults, |file| {
            file.required("version", number(1..=1_u8));
            for key in ["service", "stage", "arrivals"] {
                file.require(key);
            }
            Self {
                shows: file.or("shows", String::new(), text("a line", |line| Ok(line.to_owned()))),
                seed: file.or("seed", SEED, number(0..=u64::MAX >> 1)),
                duration: file.required("duration", duration(secs(1)..=LONGEST)),
                drain: file.or("drain", DRAIN, span),
                measured_from: file.optional("measured_from", span),
                quota: file.optional("quota", number(QUOTA)).map(|quota| quota.value),
                gateway: file.table("gateway", "[gateway]", Gateway::read).unwrap_or_else(Gateway::usual),
                services: file.tables("service", "[[service]]", Service::read),
                stages: file.tables("stage", "[[stage]]", Stage::read),
                arrivals: file.tables("arrivals", "[[arrivals]]", Arrivals::read),
                personas: file.tables("persona", "[[persona]]", persona::Draft::read),
                faults: file.tables("fault", "[[fault]]", Fault::read),
                thresholds: file.table("thresholds", "[thresholds]", threshold::read).unwrap_or_default(),
            }
        })
    }
}

impl Gateway {
    fn usual() -> Self {
        Self { config: PathBuf::from(GATEWAY), span: 0..0, tls: false }
    }

    fn read(table: &mut Table<'_, '_, '_>) -> Self {
        let file = text("the path of weir's configuration", |path| Ok(PathBuf::from(path)));
        let usual = Written { value: PathBuf::from(GATEWAY), span: table.span() };
        let config = table.optional("config", file).unwrap_or(usual);
        Self { config: config.value, span: config.span, tls: table.or("tls", false, truth) }
    }
}

impl Stage {
    fn read(table: &mut Table<'_, '_, '_>) -> Self {
        let target = text("a path such as \"/register\"", |path| request_target(path).map(|target| target.to_string()));
        Self {
            span: table.span(),
            name: table.required("name", text("a name", name)),
            path: table.required("path", target),
            service: table.required("service", text("the name of a [[service]]", |name| Ok(name.to_owned()))),
            body: table.or("body", BODY, size(BODIES)),
            entrance: table.optional("entrance", truth),
            goes_on: table.optional("goes_on", value::some_share),
        }
    }
}
