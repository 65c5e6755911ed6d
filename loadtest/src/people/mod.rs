//! A worker: a slice of the population on real sockets, in one thread.
//!
//! **Invariants**: open loop: people come and act when they mean to, whatever the answers are; what is done late is done late and counted so. Nobody
//! is left out. The ledger has every request that was sent.
//! **Cost**: 32 bytes a person of the slice, some 150 and what he was given while he is there; a task and what `wire` costs only while a request
//! is on its way.
//! **Not here**: what a person does next (`visitor`), connections (`wire`), who comes (`population`).

pub mod progress;
pub mod slice;

mod crowd;
mod request;
mod route;

pub(crate) use self::crowd::tell;
#[cfg(test)]
pub(crate) mod tests;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::task::yield_now;
use tokio::time::sleep_until;

use self::crowd::{Crowd, Flights, Parts};
use self::progress::{Counts, Progress};
use self::route::{Route, Sheets};
use self::slice::{Share, members};
use crate::clock::Clock;
use crate::coordinator::plan::{RunPlan, authority};
use crate::ledger::{Folder, Writer};
use crate::population::Person;
use crate::scenario::Scenario;
use crate::scenario::persona::Attack;
use crate::visitor::Micros;
use crate::visitor::draw::micros;
use crate::wire::Wire;
use crate::wire::tls::Tls;

/// Sockets one worker opens at most, below the 20,000 descriptors a process usually gets.
pub const SOCKETS: usize = 18_000;

/// Descriptors left for everything that is not a person.
const SPARE_DESCRIPTORS: usize = 200;

/// Between two lines of progress.
const LINE: Duration = Duration::from_millis(200);

/// So many people act, and so many answers are heard, before sockets are looked at again.
const BATCH: usize = 64;

/// What a worker is given.
#[derive(Debug)]
pub struct Assignment {
    /// The experiment, scaled.
    pub scenario: Scenario,
    /// The run.
    pub plan: RunPlan,
    /// Its folder.
    pub folder: Folder,
    /// Which people.
    pub share: Share,
    /// Descriptors this process may have.
    pub descriptors: usize,
}

/// Plays the share of `population`, until all have left, the run ends, or `stopped`. A line of [`Progress`] goes to `out` now and then; the last one
/// is returned.
///
/// # Errors
/// The ledger or the authority's certificate cannot be written or read.
pub async fn play(
    assignment: Assignment,
    population: &[Person],
    stopped: impl Future<Output = ()>,
    mut out: impl Write,
) -> anyhow::Result<Progress> {
    let Assignment { scenario, plan, folder, share, descriptors } = assignment;
    let clock = Clock::since(plan.start_ns);
    let tls = plan.tls().then(|| Tls::new(&authority(&folder))).transpose().context("the run's authority")?;
    let sockets = descriptors.saturating_sub(SPARE_DESCRIPTORS).clamp(1, SOCKETS);
    let end = scenario.end();
    let path = folder.told(share.worker);
    let ledger = Writer::open(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let is_flood = scenario.personas.iter().any(|persona| matches!(persona.attack, Some(Attack::Flood { .. })));
    let mut crowd = Crowd::new(Parts {
        members: members(&scenario, population, share),
        route: Route::new(&scenario, &plan),
        sheets: Sheets::new(&scenario).context("a stage's path")?,
        scenario: Arc::new(scenario),
        seed: plan.seed,
        wire: Arc::new(Wire::new(clock, tls, sockets, is_flood)),
        ledger,
        counts: Counts::new()?,
    });
    let mut flights = Flights::default();
    tokio::select! {
        ended = run(&mut crowd, &mut flights, clock, &mut out) => ended.context("the ledger cannot be written")?,
        () = sleep_until(clock.instant(end)) => {}
        () = stopped => {}
    }
    crowd.close(now(clock)).context("the ledger cannot be written")?;
    let last = crowd.counts.line(now(clock), 0, true);
    say(&mut out, &last);
    Ok(last)
}

/// Until all have left.
async fn run(crowd: &mut Crowd, flights: &mut Flights, clock: Clock, out: &mut impl Write) -> io::Result<()> {
    let mut line = 0;
    while !crowd.is_over() {
        let at = now(clock);
        if at >= line {
            line = at + micros(LINE);
            crowd.flush()?;
            while flights.silent.try_join_next().is_some() {}
            say(out, &crowd.counts.line(at, crowd.in_flight(), false));
        }
        if batch(crowd, flights, clock)? {
            // Sockets first: those who wait for an answer wait as well.
            yield_now().await;
            continue;
        }
        let next = crowd.next().map_or(line, |next| next.min(line));
        tokio::select! {
            Some(landed) = flights.requests.join_next() => {
                if let Ok(flight) = landed {
                    crowd.land(flight, now(clock), flights)?;
                }
            }
            () = sleep_until(clock.instant(Duration::from_micros(next))) => {}
        }
    }
    Ok(())
}

/// Some of what is due, and some of what has ended; whether there was any.
fn batch(crowd: &mut Crowd, flights: &mut Flights, clock: Clock) -> io::Result<bool> {
    let mut busy = false;
    for _ in 0..BATCH {
        if !crowd.act(now(clock), flights) {
            break;
        }
        busy = true;
    }
    for _ in 0..BATCH {
        let Some(landed) = flights.requests.try_join_next() else { break };
        busy = true;
        if let Ok(flight) = landed {
            crowd.land(flight, now(clock), flights)?;
        }
    }
    Ok(busy)
}

/// Whoever does not listen any more does not want to know.
fn say(out: &mut impl Write, line: &Progress) {
    if let Ok(text) = serde_json::to_string(line) {
        writeln!(out, "{text}").and_then(|()| out.flush()).ok();
    }
}

fn now(clock: Clock) -> Micros {
    micros(clock.now())
}
