//! `loadtest calibrate`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use clap::Args;

use super::Verdict;
use crate::coordinator::parts;
use crate::demo::temporary_folder;
use crate::ledger::Folder;
use crate::services::calibrate::{Calibration, Level, TOLERANCE, calibrate};
use crate::table;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The scenario whose services are measured
    #[arg(value_name = "SCENARIO")]
    scenario: PathBuf,
    /// Only this one
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Measure each level for this long
    #[arg(long, value_name = "TIME", default_value = "1500ms", value_parser = super::time)]
    window: Duration,
    /// Write what was measured to this file
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
}

pub(super) fn command(options: &Options) -> anyhow::Result<Verdict> {
    let scenario = parts::read(&options.scenario, 1.0)?;
    let wanted = |name: &str| options.service.as_ref().is_none_or(|wanted| wanted == name);
    let services: Vec<_> = scenario.services.iter().filter(|service| wanted(&service.name)).collect();
    ensure!(!services.is_empty(), "there is no such service in {}", options.scenario.display());
    let mut measured = Vec::new();
    for service in services {
        let folder = temporary_folder()?;
        let calibration = calibrate(service, options.window, scenario.seed, &Folder::new(&folder));
        std::fs::remove_dir_all(&folder)?;
        let calibration = calibration?;
        println!("\n{}", describe(&calibration));
        measured.push(calibration);
    }
    if let Some(path) = &options.json {
        super::write_json(path, &measured)?;
    }
    let holds = measured.iter().all(Calibration::holds);
    Ok(if holds { Verdict::Passed } else { Verdict::Invalid })
}

fn describe(calibration: &Calibration) -> String {
    let Calibration { service, capacity, knee, levels } = calibration;
    let row = |level: &Level| {
        let cells = vec![
            format!("{:.2}", level.in_flight),
            format!("{:.1}", level.throughput),
            format!("{:.1}", level.by_in_flight),
            format!("{:.1}", level.expected),
            format!("{:+.2} %", level.deviation() * 100.0),
            format!("{:.2} ms", level.late * 1e3),
        ];
        (format!("{} callers", level.callers), cells)
    };
    let rows: Vec<_> = levels.iter().map(row).collect();
    let heads = ["in flight", "a second", "curve of that", "curve of callers", "deviation", "told late"];
    let (word, worst) = (if calibration.holds() { "PASS" } else { "INVALID" }, calibration.deviation() * 100.0);
    format!(
        "{service}: {capacity} a second at {knee} in flight\n{}  {word}  {worst:.2} % off at most up to the knee, {:.0} % allowed\n",
        table::render(&heads, &rows),
        TOLERANCE * 100.0,
    )
}
