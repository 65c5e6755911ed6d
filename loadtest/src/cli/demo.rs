//! `loadtest demo`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use super::{People, Service, Verdict};
use crate::crowd::plan::{Arrivals, Behaviour};
use crate::demo::{self, Demo, Report, verdict};
use crate::{crowd, descriptors, table};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The gateway's program [default: weir beside this program]
    #[arg(long, value_name = "PATH")]
    weir: Option<PathBuf>,
    /// The gateway's configuration; its upstream is the service at --origin
    #[arg(long, value_name = "PATH", default_value = "config.toml")]
    config: PathBuf,
    /// Where the gateway listens for people
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    entrance: SocketAddr,
    /// Where the gateway answers /readyz
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
    admin: SocketAddr,
    /// Where the service listens
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9000")]
    origin: SocketAddr,
    #[command(flatten)]
    service: Service,
    /// Most requests in flight that the gateway may allow at the service [default: what it says that it allowed]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// How many people come
    #[arg(long, value_name = "N", default_value = "14000", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    people: u32,
    /// Mean arrivals per second (Poisson)
    #[arg(long, value_name = "RATE", default_value = "2000", value_parser = super::positive)]
    rate: f64,
    /// Leave for good this long after arriving
    #[arg(long, value_name = "TIME", default_value = "36s", value_parser = super::time)]
    give_up: Duration,
    #[command(flatten)]
    crowd: People,
    /// Keep logs and ledgers in this folder
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// Write everything measured to this file
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
}

pub(super) fn command(options: &Options) -> anyhow::Result<Verdict> {
    let runtime = super::runtime()?;
    let folder = folder(options.out.as_ref())?;
    let demo = prepare(options, folder.clone())?;
    introduce(options, &demo);
    let report = runtime.block_on(async {
        tokio::select! {
            report = demo.run() => report,
            _ = super::interrupted() => bail!("interrupted"),
        }
    });
    // The crowd's thread may still run after an interruption: it is not waited for.
    runtime.shutdown_background();
    let report = report.map_err(|error| no_result(error, &folder))?;
    print!("\n{}\n{}", report.table(), report.verdicts());
    if let Some(path) = &options.json {
        super::write_json(path, &report)?;
    }
    let verdict = conclude(&report);
    if verdict == Verdict::Passed && options.out.is_none() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    } else {
        println!("\n  logs and ledgers: {}", folder.display());
    }
    Ok(verdict)
}

fn no_result(error: anyhow::Error, folder: &Path) -> anyhow::Error {
    // Removes the folder only if nothing has been started yet, because only then it is empty.
    if std::fs::remove_dir(folder).is_ok() {
        error
    } else {
        error.context(format!("no result (logs in {})", folder.display()))
    }
}

fn conclude(report: &Report) -> Verdict {
    if verdict::is_invalid(&report.direct, &report.gateway) {
        return Verdict::Invalid;
    }
    if report.passed() { Verdict::Passed } else { Verdict::Missed }
}

fn folder(out: Option<&PathBuf>) -> anyhow::Result<PathBuf> {
    let Some(folder) = out else { return demo::temporary_folder() };
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder.clone())
}

fn prepare(options: &Options, folder: PathBuf) -> anyhow::Result<Demo> {
    let arrivals = Arrivals { people: options.people, rate: options.rate };
    let plan = Arc::new(options.crowd.plan(arrivals, options.give_up));
    Ok(Demo {
        gateway: options.weir.clone().map_or_else(|| demo::sibling("weir"), Ok)?,
        config: options.config.clone(),
        entrance: options.entrance,
        admin: options.admin,
        origin: options.origin,
        origin_options: origin_options(&options.service, options.crowd.seed),
        capacity: options.service.capacity,
        limit: options.limit,
        plan,
        sockets: crowd::sockets(descriptors::raise()),
        folder,
    })
}

fn origin_options(service: &Service, seed: u64) -> Vec<String> {
    let shape = service.shape.to_possible_value().map_or_else(String::new, |shape| shape.get_name().to_owned());
    let pairs = [
        ("--capacity", service.capacity.to_string()),
        ("--knee", service.knee.to_string()),
        ("--shape", shape),
        ("--slope", service.slope.to_string()),
        ("--sigma", service.sigma.to_string()),
        ("--seed", seed.to_string()),
    ];
    pairs.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
}

fn introduce(options: &Options, demo: &Demo) {
    let Service { capacity, knee, .. } = options.service;
    let (crowded, ideal) = (usize::try_from(knee).unwrap_or(usize::MAX).saturating_mul(11), demo.ideal());
    println!(
        "The service registers {capacity} people a second with {knee} requests in flight, fewer with more ({:.0} with {}), \
         and finishes what it has begun even if the caller has gone.",
        options.service.curve().throughput(crowded),
        table::count(crowded as u64),
    );
    println!(
        "{} people come at {} a second, {:.1} times its capacity; {}.",
        table::count(options.people.into()),
        options.rate,
        options.rate / capacity,
        habits(&demo.plan.behaviour),
    );
    println!(
        "The capacity allows {} of them: one after the other in order of arrival, {capacity} a second without a pause from the \
         first arrival, nobody after they gave up; the last at {:.1} s.",
        table::count(ideal.registered),
        ideal.finished.as_secs_f64(),
    );
    println!("The same crowd (seed {}) comes twice, about 40 s each.\n", options.crowd.seed);
}

/// How people behave, in a sentence.
fn habits(behaviour: &Behaviour) -> String {
    format!(
        "each waits {} s for an answer, retries after 1–3 s (1–5 s after an error) or when Retry-After says so ({} do not \
         believe it), and gives up after {} s",
        behaviour.patience.as_secs_f64(),
        table::percent(behaviour.ignore_retry_after, 1.0),
        behaviour.give_up.as_secs_f64(),
    )
}
