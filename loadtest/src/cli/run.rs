//! `loadtest run`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::Verdict;
use crate::coordinator::product::{Front, Product};
use crate::coordinator::{self, Ended, Settings, Shown, prepare};
use crate::{demo, descriptors, oracle, report, table};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The scenario's file
    #[arg(value_name = "SCENARIO")]
    scenario: PathBuf,
    /// The gateway's program [default: weir beside this program]
    #[arg(long, value_name = "PATH", conflicts_with = "without_gateway")]
    weir: Option<PathBuf>,
    /// Send people straight to the services: what the gateway is for
    #[arg(long)]
    without_gateway: bool,
    /// Of every draw [default: the scenario's]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Processes that play people [default: one for each 40,000, at most one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: Option<u16>,
    /// The day so many times as short, with as many fewer people; rates, and how people are, stay
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = super::positive)]
    time_scale: f64,
    /// The run's folder; it must not have a run yet [default: one under the system's temporary folder]
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// Time to start everything in
    #[arg(long, value_name = "TIME", default_value = "4s", value_parser = super::time)]
    lead: Duration,
}

pub(super) fn command(options: &Options) -> anyhow::Result<Verdict> {
    let settings = settings(options)?;
    let prepared = prepare::prepare(&settings)?;
    introduce(&prepared);
    let name = prepared.plan.name.clone();
    let runtime = super::runtime()?;
    let ended = runtime.block_on(coordinator::run(&settings, prepared, super::interrupted()));
    let ended = ended.with_context(|| format!("no result (logs in {})", settings.folder.display()))?;
    conclude(&ended, &name)
}

fn settings(options: &Options) -> anyhow::Result<Settings> {
    let weir = match (&options.weir, options.without_gateway) {
        (_, true) => None,
        (Some(path), _) => Some(path.clone()),
        (None, _) => Some(demo::sibling("weir")?),
    };
    if let Some(path) = weir.as_deref().filter(|path| !path.is_file()) {
        anyhow::bail!("there is no gateway at {}: build it, or name it with --weir", path.display());
    }
    let front = |program| Front { product: Product::Weir, program, template: None };
    Ok(Settings {
        scenario: options.scenario.clone(),
        gateway: weir.map(front),
        seed: options.seed,
        workers: options.workers.map(usize::from),
        time_scale: options.time_scale,
        folder: options.out.clone().unwrap_or_else(|| folder(&options.scenario)),
        lead: options.lead,
        harness: std::env::current_exe().context("cannot find this program")?,
        descriptors: descriptors::raise(),
    })
}

/// A folder of this run alone.
fn folder(scenario: &Path) -> PathBuf {
    let name = scenario.file_stem().unwrap_or_default().to_string_lossy();
    std::env::temp_dir().join(format!("loadtest-{name}-{}", std::process::id()))
}

fn introduce(prepared: &prepare::Prepared) {
    let (scenario, plan) = (&prepared.scenario, &prepared.plan);
    println!("{}: {}", scenario.name, scenario.shows);
    println!(
        "{} people (plan {}, seed {}) in {} s, and {} s more; {} worker{}, {}; {}",
        table::count(prepared.people as u64),
        plan.plan_hash,
        plan.seed,
        scenario.duration.as_secs_f64(),
        scenario.drain.as_secs_f64(),
        plan.workers,
        if plan.workers == 1 { "" } else { "s" },
        if plan.entrance.is_some() { "through the gateway" } else { "straight to the services" },
        prepared.folder.path().display(),
    );
}

fn conclude(ended: &Ended, name: &str) -> anyhow::Result<Verdict> {
    let progress = &ended.progress;
    println!("\n{}, lag p99 {:.1} ms", progress.outcome(), progress.lag_p99 as f64 / 1e3);
    let verdict = match &ended.shown {
        Shown::Played => {
            let report = report::make(&ended.folder)?;
            print!("\n{}", oracle::table::summary(&report.judgement));
            report.write(&ended.folder)?;
            report.judgement.verdict.into()
        }
        Shown::Died(why) => {
            println!("BROKEN  {why}");
            std::fs::write(ended.folder.report("junit.xml"), report::died(name, why))?;
            Verdict::Broken
        }
    };
    println!("{}", ended.folder.path().display());
    Ok(verdict)
}
