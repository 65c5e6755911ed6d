//! `loadtest overload`.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;

use super::{Shape, Verdict};
use crate::overload::run::Setup;
use crate::overload::scenario::Scenario;
use crate::overload::suite::{self, Report};
use crate::overload::{catalogue, gateway};
use crate::{demo, descriptors};

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct Options {
    /// Which scenarios [default: all]
    #[arg(value_name = "SCENARIO", value_parser = scenario)]
    scenarios: Vec<Scenario>,
    /// weir's program [default: weir beside this program]
    #[arg(long, value_name = "PATH", conflicts_with = "no_gateway")]
    weir: Option<PathBuf>,
    /// Send the crowd straight to the service: what the thresholds are worth
    #[arg(long)]
    no_gateway: bool,
    /// Concurrency of weir's upstream, as written in its configuration, such as 64
    #[arg(long, value_name = "TOML", default_value = gateway::CONCURRENCY)]
    concurrency: String,
    /// Runs of each scenario, each with a seed of its own; thresholds judge the median
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u64).range(1..=1_000))]
    seeds: u64,
    /// Seed of the first run; the others follow: so that a long suite can be cut in parts
    #[arg(long, value_name = "SEED", default_value = "1", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    first_seed: u64,
    /// Phases and faults so many times as long; how people are, and thresholds, stay
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = super::positive)]
    time_scale: f64,
    /// A service so many times as slow, and so much smaller a crowd, for a short machine
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = super::positive)]
    slower: f64,
    /// How the service falls beyond its peak: smoothly, or from a sharp kink
    #[arg(long, value_enum, default_value_t = Shape::Usl)]
    shape: Shape,
    /// Two and a half minutes of drift instead of twenty
    #[arg(long)]
    short: bool,
    /// A few shortened scenarios with half the load and one seed, less than 90 s
    #[arg(long, conflicts_with_all = ["scenarios", "seeds", "time_scale", "short"])]
    quick: bool,
    /// Only name the scenarios and say how long they take
    #[arg(long)]
    list: bool,
    /// Keep weir's configuration and log in this folder
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// Write the figures of every seed to this file
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
}

/// Once more is enough on a machine that is busy now and then.
const REPEATS: u32 = 1;

/// Beyond the kink it falls as in the first trials on sockets: at three times the knee half is left.
const KINK_SLOPE: f64 = 0.5;

pub(super) fn command(options: &Options) -> anyhow::Result<Verdict> {
    let scenarios = chosen(options);
    let seeds = if options.quick { 1 } else { options.seeds };
    introduce(&scenarios, seeds);
    if options.list {
        return Ok(Verdict::Passed);
    }
    let descriptors = descriptors::raise();
    let (folder, keep) = match &options.out {
        Some(folder) => {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
            (folder.clone(), true)
        }
        None => (demo::temporary_folder()?, false),
    };
    // A quick run keeps to its time.
    let repeats = if options.quick { 0 } else { REPEATS };
    let setup =
        Setup { weir: weir(options)?, concurrency: options.concurrency.clone(), folder: folder.clone(), repeats };
    let mut reports = Vec::new();
    for scenario in &scenarios {
        println!("{}: {}", scenario.name, scenario.shows);
        let progress = |line: &str| println!("  {line}");
        let numbers = options.first_seed..options.first_seed + seeds;
        let report = suite::judge(scenario, numbers, &setup, progress, super::interrupted).with_context(|| {
            format!("no result of {} (logs in {}; {descriptors} descriptors)", scenario.name, folder.display())
        })?;
        println!("\n{}", report.table());
        reports.push(report);
    }
    if let Some(path) = &options.json {
        super::write_json(path, &reports)?;
    }
    if !keep {
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(conclude(&reports))
}

fn weir(options: &Options) -> anyhow::Result<Option<PathBuf>> {
    if options.no_gateway {
        return Ok(None);
    }
    let program = options.weir.clone().map_or_else(|| demo::sibling("weir"), Ok)?;
    if !program.is_file() {
        bail!("there is no gateway at {}: build it, or name it with --weir", program.display());
    }
    Ok(Some(program))
}

fn chosen(options: &Options) -> Vec<Scenario> {
    let mut scenarios = match (options.quick, options.scenarios.as_slice()) {
        (true, _) => catalogue::quick(),
        (false, []) => catalogue::all(),
        (false, named) => named.to_vec(),
    };
    for scenario in &mut scenarios {
        let short = if options.short && scenario.name == "drift" { catalogue::SHORT_DRIFT } else { 1.0 };
        let changed = scenario.clone().scaled(options.time_scale * short);
        let slower = changed.with_capacity(|capacity| capacity.slower(options.slower));
        *scenario = match options.shape {
            Shape::Usl => slower,
            Shape::Kink => slower.with_capacity(|capacity| capacity.kinked(KINK_SLOPE)),
        };
    }
    scenarios
}

/// The scenario called `name`.
fn scenario(name: &str) -> Result<Scenario, String> {
    let all = catalogue::all();
    let known: Vec<_> = all.iter().map(|scenario| scenario.name.clone()).collect();
    let found = all.into_iter().find(|scenario| scenario.name == name);
    found.ok_or_else(|| format!("there are {}", known.join(", ")))
}

fn introduce(scenarios: &[Scenario], seeds: u64) {
    for scenario in scenarios {
        println!("  {:20} {:5.0} s  {}", scenario.name, scenario.lasts(), scenario.shows);
    }
    let takes = suite::takes(scenarios, seeds);
    println!(
        "{seeds} × {} scenarios: about {:.0} min {:.0} s.\n",
        scenarios.len(),
        (takes / 60.0).floor(),
        takes % 60.0
    );
}

fn conclude(reports: &[Report]) -> Verdict {
    let (passed, invalid) = (
        reports.iter().filter(|report| report.passed()).count(),
        reports.iter().filter(|report| report.invalid.is_some()).count(),
    );
    println!("{passed} of {} scenarios passed, {invalid} invalid.", reports.len());
    match (passed == reports.len(), invalid) {
        (true, _) => Verdict::Passed,
        (false, 0) => Verdict::Missed,
        (false, _) => Verdict::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overload::scenario::{Bound, Figure, Threshold};
    use crate::overload::suite::Judgement;

    fn report(pass: bool, invalid: Option<&str>) -> Report {
        let threshold = Threshold { figure: Figure::Goodput, bound: Bound::AtLeast(0.95) };
        let judgement = Judgement { threshold, values: vec![0.96], median: 0.96, pass };
        Report { scenario: "x".into(), seeds: vec![1], judgements: vec![judgement], invalid: invalid.map(Into::into) }
    }

    #[test]
    fn a_suite_is_as_good_as_its_worst_scenario() {
        assert_eq!(conclude(&[report(true, None), report(true, None)]), Verdict::Passed);
        assert_eq!(conclude(&[report(true, None), report(false, None)]), Verdict::Missed);
        assert_eq!(conclude(&[report(true, Some("late")), report(false, None)]), Verdict::Invalid);
    }
}
