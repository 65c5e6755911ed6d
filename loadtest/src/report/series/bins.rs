//! What happened in each second, and what was looked at from time to time.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{Looked, Second, Used, outcome};
use crate::ledger::{RequestId, Said, Told};
use crate::oracle::facts::{micros, seconds as since_start};
use crate::oracle::{Ledgers, Run, reached_nobody};

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
        add(&mut bins, person.arrives, |bin| bin.planned += 1);
    }
    came(run, ledgers, &mut bins);
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

/// Whoever sends something has come by his first request; what was planned is no proof.
fn came(run: &Run<'_>, ledgers: &Ledgers, bins: &mut [Second]) {
    let mut first = vec![u64::MAX; run.people.len()];
    for told in &ledgers.told {
        if let Some(first) = first.get_mut(told.id.person as usize) {
            *first = told.sent.min(*first);
        }
    }
    for at in first.into_iter().filter(|at| *at != u64::MAX) {
        // Nobody who came is lost behind the last second.
        let last = (bins.len() as u64).saturating_sub(1) * SECOND;
        add(bins, at.min(last), |bin| bin.arrived += 1);
    }
}

fn told(run: &Run<'_>, ledgers: &Ledgers, bins: &mut [Second]) {
    let (last, mut registered) = (run.last(), HashMap::new());
    for told in &ledgers.told {
        let lag = since_start(told.sent.saturating_sub(told.intended));
        add(bins, told.sent, |bin| {
            bin.sent += 1;
            bin.lag_max = bin.lag_max.max(lag);
            bin.lag_mean += lag;
        });
        add(bins, told.ended, |bin| {
            if let Some(count) = bin.outcomes.get_mut(outcome(told)) {
                *count += 1;
            }
        });
        if told.is_done() && told.stage == last {
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
    let here = || ledgers.served.iter().filter(|served| served.service == service);
    let mut heard: HashMap<RequestId, Option<&Told>> = here().filter_map(|it| it.id).map(|id| (id, None)).collect();
    for told in &ledgers.told {
        heard.entry(told.id).and_modify(|heard| *heard = Some(told));
    }
    for served in here() {
        add(bins, served.started, |bin| bin.admitted += person);
        let told = served.id.and_then(|id| heard.get(&id).copied().flatten());
        if (200..300).contains(&served.status) && !reached_nobody(run, served, told) {
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

/// What the gateway said of each upstream, at most [`LOOKS`] times.
pub(super) fn gateway(ledgers: &Ledgers) -> BTreeMap<String, Vec<Looked>> {
    let mut upstreams = BTreeMap::<String, Vec<Looked>>::new();
    for said in looks(ledgers) {
        for (name, upstream) in &said.upstreams {
            let crate::ledger::said::Upstream { limit, in_flight, waiting, .. } = *upstream;
            let looked = Looked { at: since_start(said.at), limit, in_flight, waiting };
            upstreams.entry(name.clone()).or_default().push(looked);
        }
    }
    upstreams
}

/// How many people the gateway said are in its waiting rooms, at most [`LOOKS`] times.
pub(super) fn rooms(ledgers: &Ledgers) -> Vec<(f64, u64)> {
    let all = |said: &Said| said.rooms.values().map(|room| room.waiting).sum();
    looks(ledgers).map(|said| (since_start(said.at), all(said))).collect()
}

fn looks(ledgers: &Ledgers) -> impl Iterator<Item = &Said> {
    let step = ledgers.said.len().div_ceil(LOOKS).max(1);
    let mut seen = HashSet::new();
    ledgers.said.iter().step_by(step).filter(move |said| seen.insert(said.at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Kind, RequestId, Told};
    use crate::oracle::{Declared, Person};
    use crate::people::tests::{persona, scenario};

    #[test]
    fn who_sent_nothing_did_not_come_whatever_was_planned() {
        let scenario = scenario(vec![persona()]);
        let people = [0, 100, 200].map(|arrives| Person { persona: 0, arrives, leaves: 9 * SECOND });
        let sent = |person, sent| Told::sent(RequestId { person, request: 0 }, 0, Kind::Submit, 0, sent);
        let told = vec![sent(0, 2 * SECOND), sent(0, 9), sent(2, 3 * SECOND)];
        let run = Run { scenario: &scenario, people: &people, declared: &Declared::default() };
        let bins = seconds(&run, &Ledgers { told, ..Ledgers::default() }, 1.0);
        assert_eq!(bins.iter().map(|bin| bin.planned).collect::<Vec<_>>()[..4], [3, 0, 0, 0]);
        assert_eq!(bins.iter().map(|bin| bin.arrived).collect::<Vec<_>>()[..4], [1, 0, 0, 1]);
    }

    #[test]
    fn an_amount_is_spread_over_the_seconds_it_took() {
        let mut bins = vec![Second::default(); 3];
        spread(&mut bins, (500_000, 2_500_000), 8.0);
        assert_eq!(bins.iter().map(|bin| bin.capacity).collect::<Vec<_>>(), [2.0, 4.0, 2.0]);
    }
}
