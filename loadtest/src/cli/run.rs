//! `loadtest run`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use http::uri::Authority;
use serde::Serialize;

use super::{People, Verdict};
use crate::crowd::attempt::{self, Target};
use crate::crowd::plan::{Arrivals, Behaviour};
use crate::crowd::tally::Account;
use crate::crowd::{self, Crowd, progress};
use crate::{descriptors, ideal, table};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Where people go
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080", value_parser = attempt::authority)]
    target: Authority,
    /// How many people come
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    people: u32,
    /// Time they come in, at a constant mean rate (Poisson)
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = super::time, conflicts_with = "rate")]
    over: Duration,
    /// Mean arrivals per second, instead of --over
    #[arg(long, value_name = "RATE", value_parser = super::positive)]
    rate: Option<f64>,
    /// Leave for good this long after arriving
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = super::time)]
    give_up: Duration,
    #[command(flatten)]
    crowd: People,
    /// The service's capacity per second, to say how many people it allows to be registered
    #[arg(long, value_name = "RATE", value_parser = super::positive)]
    capacity: Option<f64>,
    /// Exit with 1 below this share of what the capacity allows
    #[arg(long, value_name = "SHARE", value_parser = super::share, requires = "capacity")]
    min_share: Option<f64>,
    /// Write everything measured to this file
    #[arg(long, value_name = "PATH")]
    json: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report<'a> {
    target: &'a str,
    people: u32,
    rate: f64,
    seed: u64,
    plan: String,
    behaviour: &'a Behaviour,
    allowed: Option<u64>,
    account: &'a Account,
    invalid: Option<String>,
}

pub(super) fn command(options: &Options) -> anyhow::Result<Verdict> {
    let rate = options.rate.unwrap_or_else(|| f64::from(options.people) / options.over.as_secs_f64());
    let plan = Arc::new(options.crowd.plan(Arrivals { people: options.people, rate }, options.give_up));
    let target = super::runtime()?.block_on(Target::resolve(&options.target))?;
    let sockets = crowd::sockets(descriptors::raise());
    println!(
        "{} people at {rate:.0}/s to {}; {}",
        table::count(options.people.into()),
        options.target,
        habits(&plan.behaviour)
    );
    println!("{}", sources(&target, sockets));
    let account = progress::watch(Crowd { plan: Arc::clone(&plan), target, sockets }, "people")?;
    let allowed = options.capacity.map(|capacity| ideal::serve(plan.stays(), capacity).registered);
    print!("\n{}", table::render(&["measured"], &table::crowd(&[&account], allowed)));
    let invalid = account.invalid();
    if let Some(path) = &options.json {
        let (target, behaviour) = (options.target.as_str(), &plan.behaviour);
        let (people, seed, fingerprint) = (options.people, plan.seed, format!("{:016x}", plan.fingerprint()));
        let (account, invalid) = (&account, invalid.clone());
        write_json(
            path,
            &Report { target, people, rate, seed, plan: fingerprint, behaviour, allowed, account, invalid },
        )?;
    }
    Ok(verdict(&account, allowed, options.min_share))
}

fn verdict(account: &Account, allowed: Option<u64>, min_share: Option<f64>) -> Verdict {
    if let Some(why) = account.invalid() {
        println!("\n  INVALID  {why}");
        return Verdict::Invalid;
    }
    let Some((allowed, min_share)) = allowed.zip(min_share) else { return Verdict::Passed };
    let pass = account.registered as f64 >= min_share * allowed as f64;
    let (word, share) = (if pass { "PASS" } else { "FAIL" }, table::percent(account.registered as f64, allowed as f64));
    println!("\n  {word}  {share} of what the capacity allows, {} asked for", table::percent(min_share, 1.0));
    if pass { Verdict::Passed } else { Verdict::Missed }
}

/// How people behave, in a sentence.
pub(super) fn habits(behaviour: &Behaviour) -> String {
    format!(
        "each waits {} s for an answer, retries after 1–3 s (1–5 s after an error) or when Retry-After says so ({} do not \
         believe it), and gives up after {} s",
        behaviour.patience.as_secs_f64(),
        table::percent(behaviour.ignore_retry_after, 1.0),
        behaviour.give_up.as_secs_f64(),
    )
}

/// Where people come from, in a sentence.
pub(super) fn sources(target: &Target, sockets: usize) -> String {
    let from = if target.own_addresses() { "an address of their own in 127/8 each" } else { "one address together" };
    format!("one connection an attempt, from {from}; at most {} sockets", table::count(sockets as u64))
}

pub(super) fn write_json(path: &Path, report: &impl Serialize) -> anyhow::Result<()> {
    std::fs::write(path, serde_json::to_vec_pretty(report)?).with_context(|| format!("cannot write {}", path.display()))
}
