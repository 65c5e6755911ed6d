//! `loadtest sim`.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use super::Verdict;
use crate::clock::Clock;
use crate::coordinator::{parts, recall};
use crate::ledger::Folder;
use crate::oracle::{self, Judgement};
use crate::people::progress::Progress;
use crate::scenario::Scenario;
use crate::sim::{self, keep};
use crate::table;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The scenario's file
    #[arg(value_name = "SCENARIO")]
    scenario: PathBuf,
    /// Of every draw [default: the scenario's]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// So many seeds, one after the other; the worst verdict counts
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..))]
    seeds: u16,
    /// The day so many times as short, with as many fewer people; rates, and how people are, stay
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = super::positive)]
    time_scale: f64,
    /// A gateway's configuration, with placeholders or without, instead of the scenario's
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    /// Write the ledgers into this folder, as those of a run; it must not have a run yet
    #[arg(long, value_name = "PATH", conflicts_with = "seeds")]
    out: Option<PathBuf>,
}

pub(super) fn command(options: &Options) -> anyhow::Result<Verdict> {
    let scenario = parts::read(&options.scenario, options.time_scale)?;
    println!("{}: {}", scenario.name, scenario.shows);
    let first = options.seed.unwrap_or(scenario.seed);
    let mut worst = None;
    for seed in (0..options.seeds).map(|number| first.wrapping_add(number.into())) {
        let judgement = one(options, &scenario, seed)?;
        if worst.is_none_or(|worst: oracle::Verdict| worst.code() < judgement.verdict.code()) {
            worst = Some(judgement.verdict);
        }
    }
    Ok(worst.map_or(Verdict::Invalid, Into::into))
}

fn one(options: &Options, scenario: &Scenario, seed: u64) -> anyhow::Result<Judgement> {
    let (people, hash) = parts::population(scenario, seed);
    if people.is_empty() {
        bail!("nobody comes: the scenario's arrivals, at this time scale, are less than one person");
    }
    println!("{} people (plan {hash}, seed {seed})", table::count(people.len() as u64));
    let configured = sim::configured(scenario, options.config.as_deref(), seed)?;
    let folder = options.out.as_deref().map(folder).transpose()?;
    let clock = Clock::start();
    let simulated = sim::run(scenario, &people, seed, configured.clone())?;
    let took = clock.now();
    ended(&simulated.progress, took.as_secs_f64());
    let facts = recall::simulated(sim::judged(scenario), &people, configured.promises(scenario)?);
    if let Some(folder) = &folder {
        let kept = keep::Kept { scenario: &options.scenario, seed, time_scale: options.time_scale, plan_hash: hash };
        keep::write(folder, scenario, &kept, &configured, &simulated.ledgers).context("the ledgers cannot be kept")?;
    }
    let judgement = oracle::judge(&facts.run(), simulated.ledgers);
    print!("\n{}", oracle::table::summary(&judgement));
    Ok(judgement)
}

fn folder(path: &Path) -> anyhow::Result<Folder> {
    std::fs::create_dir_all(path).with_context(|| format!("cannot create {}", path.display()))?;
    let folder = Folder::new(path);
    if folder.run().exists() {
        bail!("{} has a run already: name another folder", path.display());
    }
    Ok(folder)
}

fn ended(progress: &Progress, took: f64) {
    let day = progress.at as f64 / 1e6;
    println!(
        "{day:.1} s in {took:.2} s: {} came, {} registered, {} did what they came for, {} were told no, {} gave up, {} were refused, \
         {} were still there; {} requests",
        table::count(progress.arrived),
        table::count(progress.registered),
        table::count(progress.stopped),
        table::count(progress.told_no),
        table::count(progress.gave_up),
        table::count(progress.refused),
        table::count(progress.present),
        table::count(progress.requests),
    );
}
