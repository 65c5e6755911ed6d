//! `loadtest peers`.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use anyhow::Context;
use clap::Args;

use super::Verdict;
use crate::coordinator::Settings;
use crate::coordinator::plan::Machine;
use crate::oracle;
use crate::peers::report::{Entry, Line, Outcome, Report};
use crate::peers::{self, Asked, Contestant, find};
use crate::{demo, descriptors, table};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The scenario's file; its people speak HTTP/1.1 in cleartext
    #[arg(value_name = "SCENARIO")]
    scenario: PathBuf,
    /// Who takes part: weir, nginx, haproxy, envoy, none; who is not installed is named
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "weir,nginx,haproxy,envoy,none")]
    peers: Vec<Asked>,
    /// Runs of each, in turn; the table has medians
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// The day so many times as short, with as many fewer people; rates, and how people are, stay
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = super::positive)]
    time_scale: f64,
    /// weir's program [default: weir beside this program]
    #[arg(long, value_name = "PATH")]
    weir: Option<PathBuf>,
    /// Of the first round; each further round has the next [default: the scenario's]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Processes that play people [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    workers: Option<u16>,
    /// Folder of all runs, and of peers.md and peers.json [default: one under the system's temporary folder]
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// Time to start everything of one run in
    #[arg(long, value_name = "TIME", default_value = "4s", value_parser = super::time)]
    lead: Duration,
}

pub(super) fn command(options: &Options) -> anyhow::Result<Verdict> {
    let machine = Machine::here(descriptors::raise());
    let (settings, folder) = settings(options, &machine)?;
    let scenario = peers::read(&settings)?;
    let weir = options.weir.clone().map_or_else(|| demo::sibling("weir"), Ok)?;
    let (contestants, not_found) = peers::contestants(&options.peers, &weir, &find::folders());
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut report = Report {
        scenario: scenario.name.clone(),
        shows: scenario.shows.clone(),
        people: whole(scenario.people()),
        date: httpdate::fmt_http_date(SystemTime::now()),
        machine,
        load_before: load(),
        rounds: options.rounds.into(),
        entries: contestants.iter().map(entry).collect(),
        not_found,
    };
    introduce(&report, options, scenario.end());
    play(&settings, &folder, &contestants, scenario.seed, &mut report)?;
    let text = report.text();
    println!("\n{text}");
    let path = folder.join("peers.md");
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    super::write_json(&folder.join("peers.json"), &report)?;
    println!("{}", folder.display());
    Ok(verdict(&contestants, &report))
}

/// Everybody in every round; what each did is added to the report.
fn play(
    settings: &Settings,
    folder: &Path,
    contestants: &[Contestant],
    seed: u64,
    report: &mut Report,
) -> anyhow::Result<()> {
    let runtime = super::runtime()?;
    let first = settings.seed.unwrap_or(seed);
    for round in 0..report.rounds {
        for turn in peers::order(round, contestants.len()) {
            let Some((contestant, entry)) = contestants.get(turn).zip(report.entries.get_mut(turn)) else { continue };
            eprintln!("round {}: {}", round + 1, contestant.name);
            let own =
                folder.join(format!("{}-{}", round + 1, contestant.name.replace(['(', ')'], "").replace(' ', "-")));
            let settings = Settings {
                gateway: contestant.front.clone(),
                seed: Some(first.wrapping_add(round as u64)),
                folder: own,
                ..settings.clone()
            };
            entry.lines.push(runtime.block_on(peers::meet(&settings, super::interrupted()))?);
        }
    }
    Ok(())
}

fn settings(options: &Options, machine: &Machine) -> anyhow::Result<(Settings, PathBuf)> {
    let name = options.scenario.file_stem().unwrap_or_default().to_string_lossy();
    let own = || std::env::temp_dir().join(format!("loadtest-peers-{name}-{}", std::process::id()));
    let folder = options.out.clone().unwrap_or_else(own);
    let settings = Settings {
        scenario: options.scenario.clone(),
        gateway: None,
        seed: options.seed,
        workers: Some(options.workers.map_or_else(|| machine.cores.max(1), usize::from)),
        time_scale: options.time_scale,
        folder: folder.clone(),
        lead: options.lead,
        harness: std::env::current_exe().context("cannot find this program")?,
        descriptors: machine.descriptors,
    };
    Ok((settings, folder))
}

fn entry(contestant: &Contestant) -> Entry {
    Entry { name: contestant.name.clone(), version: contestant.version.clone(), lines: Vec::new() }
}

fn introduce(report: &Report, options: &Options, each: Duration) {
    let runs = report.entries.len() * report.rounds;
    let whole = (each + options.lead) * u32::try_from(runs).unwrap_or(u32::MAX);
    println!("{}: {}", report.scenario, report.shows);
    println!("{} people, {runs} runs, about {} s at most", table::count(report.people), whole.as_secs());
    for name in &report.not_found {
        println!("{name}: not found");
    }
}

/// weir's own, and whether every run says something.
fn verdict(contestants: &[Contestant], report: &Report) -> Verdict {
    let weir = |contestant: &Contestant| contestant.name == "weir";
    let lines =
        || contestants.iter().zip(&report.entries).flat_map(|(who, entry)| entry.lines.iter().map(move |l| (who, l)));
    let is =
        |wanted: &dyn Fn(&Outcome) -> bool| lines().any(|(who, line): (_, &Line)| weir(who) && wanted(&line.outcome));
    let weir_is_missing = report.not_found.iter().any(|name| name == "weir");
    if lines().any(|(_, line)| !line.is_valid()) || weir_is_missing {
        Verdict::Invalid
    } else if is(&|outcome| matches!(outcome, Outcome::Failed(_) | Outcome::Judged(oracle::Verdict::Invariant))) {
        Verdict::Broken
    } else if is(&|outcome| *outcome == Outcome::Judged(oracle::Verdict::Threshold)) {
        Verdict::Missed
    } else if lines().any(|(_, line)| matches!(line.outcome, Outcome::Failed(_))) {
        Verdict::Invalid
    } else {
        Verdict::Passed
    }
}

fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(f64::NAN)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of people")]
fn whole(people: f64) -> u64 {
    people.round() as u64
}
