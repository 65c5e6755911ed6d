//! What happened in each second, and what was looked at from time to time.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Looked, Second, Used, outcome};
use crate::ledger::Word;
use crate::oracle::facts::{micros, seconds as since_start};
use crate::oracle::{Ledgers, Run};

/// Microseconds.
const SECOND: u64 = 1_000_000;

/// A run is no longer than so many seconds for a plot: two days.
const MOST: u64 = 172_800;

/// Of what is looked at more often, at most so many are kept.
const LOOKS: usize = 2_000;

/// Every second until the last event, at most until the run's end.
pub(super) fn seconds(run: &Run<'_>, ledgers: &Ledgers, calibrated: f64) -> Vec<Second> {
    let last = ledgers.told.iter().map(|told| told.ended.max(told.sent)).max().unwrap_or(0);
    let last = last.min(micros(run.scenario.end())).max(micros(run.scenario.duration)) / SECOND;
    let length = usize::try_from(last.min(MOST)).unwrap_or(0) + 1;
    let mut bins = vec![Second::default(); length];
    for person in run.people {
        add(&mut bins, person.arrives, |bin| bin.arrived += 1);
    }
    told(run, ledgers, &mut bins);
    served(run, ledgers, calibrated, &mut bins);
    bins
}

fn add(bins: &mut [Second], at: u64, change: impl FnOnce(&mut Second)) {
    let bin = usize::try_from(at / SECOND).ok().and_then(|index| bins.get_mut(index));
    if let Some(bin) = bin {
        change(bin);
    }
}

fn told(run: &Run<'_>, ledgers: &Ledgers, bins: &mut [Second]) {
    let (last, mut registered) = (run.last(), HashMap::new());
    for told in ledgers.told.iter() {
        let lag = since_start(told.sent.saturating_sub(told.intended));
        add(bins, told.sent, |bin| {
            bin.sent += 1;
            bin.lag_max = bin.lag_max.max(lag);
            bin.lag_mean += lag;
        });
        add(bins, told.ended, |bin| {
            if let Some(count) = bin.outcomes.get_mut(outcome(&told)) {
                *count += 1;
            }
        });
        if told.word == Word::Done && told.stage == last {
            let first = registered.entry(told.id.person).or_insert(told.ended);
            *first = told.ended.min(*first);
        }
    }
    for at in registered.into_values() {
        add(bins, at, |bin| bin.registered += 1);
    }
    for bin in bins {
        bin.lag_mean /= f64::from(bin.sent.max(1));
    }
}

fn served(run: &Run<'_>, ledgers: &Ledgers, calibrated: f64, bins: &mut [Second]) {
    let service = run.bottleneck();
    let visits = run.visits().get(usize::from(service)).copied().filter(|visits| *visits > 0.0).unwrap_or(1.0);
    let person = 1.0 / visits;
    for served in ledgers.served.iter().filter(|served| served.service == service) {
        add(bins, served.started, |bin| bin.admitted += person);
        if served.heard && (200..300).contains(&served.status) {
            add(bins, served.done, |bin| bin.goodput += f64::from(served.work) * person);
        }
    }
    let mut samples: Vec<_> = ledgers.samples.iter().filter(|sample| sample.service == service).collect();
    samples.sort_unstable_by_key(|sample| (sample.server, sample.at));
    for (before, after) in samples.iter().zip(samples.iter().skip(1)).filter(|(a, b)| a.server == b.server) {
        let grown = (after.capacity - before.capacity).max(0.0) * person * calibrated;
        spread(bins, (before.at, after.at), grown);
    }
}

/// `amount` evenly over the seconds of a span, so that a sample that falls beyond a second's end moves nothing there.
fn spread(bins: &mut [Second], (from, until): (u64, u64), amount: f64) {
    let (length, mut at) = (until.saturating_sub(from), from);
    while at < until {
        let next = ((at / SECOND + 1) * SECOND).min(until);
        let share = (next - at) as f64 / length as f64;
        add(bins, at, |bin| bin.capacity += amount * share);
        at = next;
    }
}

/// What each process used, between two looks a second apart.
pub(super) fn processes(ledgers: &Ledgers) -> BTreeMap<String, Vec<Used>> {
    let (mut processes, mut before) = (BTreeMap::<String, Vec<Used>>::new(), HashMap::new());
    for used in &ledgers.resources {
        let (at, cpu) = before.insert(used.process.as_str(), (used.at, used.cpu)).unwrap_or((used.at, used.cpu));
        let passed = used.at.saturating_sub(at);
        if passed == 0 {
            continue;
        }
        processes.entry(used.process.clone()).or_default().push(Used {
            at: since_start(used.at),
            // A process that was started again begins at 0.
            cpu: used.cpu.saturating_sub(cpu) as f64 / passed as f64,
            memory: used.memory,
            descriptors: used.descriptors,
        });
    }
    processes
}

/// What the gateway said, at most [`LOOKS`] times.
pub(super) fn gateway(ledgers: &Ledgers, bottleneck: &str) -> Vec<Looked> {
    let step = ledgers.said.len().div_ceil(LOOKS).max(1);
    let mut seen = HashSet::new();
    let looks = ledgers.said.iter().step_by(step).filter(|said| seen.insert(said.at)).map(|said| {
        let upstream = said.upstreams.get(bottleneck).copied().unwrap_or_default();
        Looked {
            at: since_start(said.at),
            limit: upstream.limit,
            in_flight: upstream.in_flight,
            waiting: upstream.waiting,
            in_rooms: said.rooms.values().map(|room| room.waiting).sum(),
        }
    });
    looks.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_spread_over_the_seconds_it_took() {
        let mut bins = vec![Second::default(); 3];
        spread(&mut bins, (500_000, 2_500_000), 8.0);
        assert_eq!(bins.iter().map(|bin| bin.capacity).collect::<Vec<_>>(), [2.0, 4.0, 2.0]);
    }
}
