//! `loadtest plan`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::Args;

use super::Verdict;
use crate::coordinator::parts;
use crate::sim::{self, forecast::Forecast};
use crate::table;

const MIB: f64 = 1_048_576.0;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The scenario's file
    #[arg(value_name = "SCENARIO")]
    scenario: PathBuf,
    /// The gateway's configuration, with placeholders or without; upstreams have the names of the services [default: the scenario's]
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    /// Of every draw [default: the scenario's]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The day so many times as short, with as many fewer people; rates, and how people are, stay
    #[arg(long, value_name = "FACTOR", default_value = "1", value_parser = super::positive)]
    time_scale: f64,
}

pub(super) fn command(options: &Options) -> anyhow::Result<Verdict> {
    let scenario = parts::read(&options.scenario, options.time_scale)?;
    let seed = options.seed.unwrap_or(scenario.seed);
    let (people, _) = parts::population(&scenario, seed);
    if people.is_empty() {
        bail!("nobody comes: the scenario's arrivals, at this time scale, are less than one person");
    }
    let configured = sim::configured(&scenario, options.config.as_deref(), seed)?;
    let simulated = sim::run(&scenario, &people, seed, configured)?;
    let forecast = Forecast::of(&scenario, &people, &simulated);
    println!("{}: {} people", scenario.name, table::count(people.len() as u64));
    for (name, line) in &forecast.rooms {
        println!(
            "  room {name}: the line is longest with {} people after {}; the last of it is called after {}",
            table::count(line.longest),
            clock(line.at),
            line.last.map_or_else(|| "-".to_owned(), clock),
        );
    }
    println!("  the service answers the last after {}", forecast.last_served.map_or_else(|| "-".to_owned(), clock));
    println!("  {:.1} % are served, {:.1} % are told no", forecast.served * 100.0, forecast.told_no * 100.0);
    let [(requests, at), (polls, polled)] = [forecast.requests, forecast.polls];
    println!("  {} requests in the busiest second, after {}", table::count(requests), clock(at));
    println!("  {} visits for a place in theirs, after {}", table::count(polls), clock(polled));
    println!("  {} requests wait at once over HTTP/1.1, {} over HTTP/2", forecast.http1, forecast.http2);
    println!(
        "  memory for them: {:.1} MiB of weir beside what it needs idle, {:.1} MiB of the kernel",
        forecast.weir as f64 / MIB,
        forecast.kernel as f64 / MIB,
    );
    Ok(Verdict::Passed)
}

/// Hours, minutes and seconds.
fn clock(at: Duration) -> String {
    let seconds = at.as_secs();
    format!("{}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}
