//! I8: the bottleneck is used while people wait.
//!
//! Judged: whole seconds from `measured_from` on, during the whole of which at least [`CROWD`] seconds' worth of people were there (from their first request at
//! the entrance to its success, or their last request), and in which, nor within 10 s before, nothing was disturbed; until nobody new can come in: somebody
//! was told at the entrance that it is over, or all but the last [`CROWD`] seconds' worth of those who got a place of the quota were let in (a gateway calls no
//! more people than there are places, so at the very end it waits for those who do not come). A place of the quota has who has an effect at the last stage: who is let
//! in and goes only part of the way takes none. Of these seconds, between two faults, the service that was used most is the bottleneck: over all of them, it must have
//! done at least [`LEAST`] of what it had capacity for. Fewer than [`SECONDS`] such seconds are too few to say.

use crate::ledger::{Kind, Told, Word};
use crate::oracle::evidence::{Evidence, Records};
use crate::oracle::facts::micros;
use crate::oracle::finding::{Finding, Invariant, Search, Who};
use crate::oracle::journey::NEVER;

/// So much of the capacity must have been used.
pub(in crate::oracle) const LEAST: f64 = 0.95;

/// People there, in seconds of the bottleneck's work: fewer may all be between two visits.
const CROWD: f64 = 3.0;

/// So many seconds are judged at least.
const SECONDS: u64 = 5;

/// After a disturbance, beyond what it takes until connections are made anew.
const RECOVERS: u64 = 8_000_000;

/// Microseconds.
const SECOND: u64 = 1_000_000;

/// All servers of a service together at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::oracle) struct Total {
    pub(in crate::oracle) at: u64,
    pub(in crate::oracle) work: f64,
    pub(in crate::oracle) capacity: f64,
}

/// What the servers of `service` did and could have done, since the start, at each instant it was looked.
pub(in crate::oracle) fn totals(evidence: &Evidence<'_>, service: u8) -> Vec<Total> {
    let mut last: Vec<(f64, f64)> = Vec::new();
    let mut totals: Vec<Total> = Vec::new();
    for sample in evidence.samples.iter().filter(|sample| sample.service == service) {
        let server = usize::from(sample.server);
        last.resize(last.len().max(server + 1), (0.0, 0.0));
        if let Some(of) = last.get_mut(server) {
            *of = (sample.work, sample.capacity);
        }
        let (work, capacity) = last.iter().fold((0.0, 0.0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
        let total = Total { at: sample.at, work, capacity };
        // Servers are looked at one after the other.
        match totals.last_mut().filter(|before| sample.at - before.at < TOGETHER) {
            Some(before) => *before = Total { at: before.at, ..total },
            None => totals.push(total),
        }
    }
    totals
}

/// Samples of several servers so close together are of one look.
const TOGETHER: u64 = 20_000;

/// Work done, and work there was capacity for, between two instants.
pub(in crate::oracle) fn between(totals: &[Total], from: u64, until: u64) -> (f64, f64) {
    let at = |instant: u64| {
        let next = totals.partition_point(|total| total.at <= instant);
        next.checked_sub(1).and_then(|at| totals.get(at)).copied().unwrap_or_default()
    };
    let (from, until) = (at(from), at(until));
    (until.work - from.work, until.capacity - from.capacity)
}

pub(super) fn find(evidence: &Evidence<'_>) -> Finding {
    let mut search = Search::of(Invariant::WorkConservation);
    let (run, visits) = (evidence.run, evidence.run.visits());
    let services: Vec<(u8, Vec<Total>)> =
        (0_u8..).zip(&visits).filter(|(_, visits)| **visits > 0.0).map(|(of, _)| (of, totals(evidence, of))).collect();
    let judged: Vec<(u64, u64)> = crowded(evidence);
    if (judged.len() as u64) < SECONDS {
        return search.impossible("too few seconds in which a crowd waited and nothing was disturbed");
    }
    let mut bounds: Vec<u64> =
        run.scenario.faults.iter().flat_map(|fault| [fault.at, fault.at + fault.lasts]).map(micros).collect();
    bounds.push(NEVER);
    bounds.sort_unstable();
    let (mut used, mut idle, mut seconds) = (0.0, Vec::new(), judged.as_slice());
    for bound in bounds {
        let (part, rest) = seconds.split_at(seconds.partition_point(|(at, _)| *at < bound));
        seconds = rest;
        let share = |totals: &[Total]| {
            let sum = part.iter().map(|(at, _)| between(totals, *at, at + SECOND));
            let (work, capacity) = sum.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
            if capacity > 0.0 { work / capacity } else { 0.0 }
        };
        let most = services.iter().map(|(of, totals)| (share(totals), *of, totals)).max_by(|a, b| a.0.total_cmp(&b.0));
        let Some((most, bottleneck, totals)) = most.filter(|_| !part.is_empty()) else { continue };
        used += most * part.len() as f64;
        for (at, there) in part {
            let (work, capacity) = between(totals, *at, at + SECOND);
            if work < LEAST * capacity {
                idle.push((*at, bottleneck, work / capacity, *there));
            }
        }
    }
    let share = used / judged.len() as f64;
    search.looked_at(judged.len() as u64);
    search.note(format!("{:.1} % used in {} seconds in which people waited", share * 100.0, judged.len()));
    if share < LEAST {
        for (at, service, share, there) in idle {
            let what = || format!("used at {:.0} % while {there} people were there", share * 100.0);
            search.broken(Who::Service(service), at, what);
        }
    }
    search.end()
}

/// A crowd is so many people.
pub(in crate::oracle) fn crowd(evidence: &Evidence<'_>) -> f64 {
    let (bottleneck, visits) = (usize::from(evidence.run.bottleneck()), evidence.run.visits());
    let service = evidence.run.scenario.services.get(bottleneck);
    let capacity = service.map_or(1.0, |service| service.curve.capacity() * f64::from(service.servers));
    CROWD * capacity / visits.get(bottleneck).copied().filter(|visits| *visits > 0.0).unwrap_or(1.0)
}

/// The seconds that are judged: when they begin, and how many people were there.
fn crowded(evidence: &Evidence<'_>) -> Vec<(u64, u64)> {
    let (scenario, crowd) = (evidence.run.scenario, crowd(evidence));
    let end = last_entry(evidence, crowd).min(micros(scenario.end()));
    let from = micros(scenario.measured_from);
    let quiet = |at: u64| !evidence.faults.any(at.saturating_sub(RECOVERS), at + SECOND);
    let judged = |(at, there): &(u64, u64)| *at >= from && at + SECOND <= end && *there as f64 >= crowd && quiet(*at);
    there(evidence, end).into_iter().filter(judged).collect()
}

/// When each second until `end` begins, and how many people were there during the whole of it.
pub(in crate::oracle) fn there(evidence: &Evidence<'_>, end: u64) -> Vec<(u64, u64)> {
    let seconds = usize::try_from(end / SECOND).unwrap_or(0);
    let mut change = vec![0_i64; seconds + 2];
    for journey in evidence.journeys.iter().filter(|journey| journey.came != NEVER && !journey.standing.attacks) {
        let (from, until) = (journey.came.div_ceil(SECOND), journey.done.min(journey.left) / SECOND);
        if until > from {
            for (at, by) in [(from, 1), (until, -1)] {
                let at = usize::try_from(at).unwrap_or(usize::MAX).min(seconds + 1);
                if let Some(change) = change.get_mut(at) {
                    *change += by;
                }
            }
        }
    }
    let mut there = 0;
    let counts = (0_u64..).zip(change).map(|(second, change)| {
        there += change;
        (second * SECOND, u64::try_from(there).unwrap_or(0))
    });
    counts.collect()
}

/// When nobody new could come in any more, or so few that those who were called and did not come are among the last.
fn last_entry(evidence: &Evidence<'_>, crowd: f64) -> u64 {
    let (entrance, last) = (evidence.run.entrance(), evidence.run.last());
    let is_over = |told: &&Told| told.word == Word::Over && told.kind != Kind::Forged && told.stage == entrance;
    let over = evidence.brief.iter().filter(|told| is_over(&told)).map(|told| told.sent).min();
    let quota = evidence.run.scenario.quota.and_then(|quota| {
        let through = |records: &Records<'_>| {
            records.served.iter().any(|served| served.stage == last && evidence.is_effect(served))
        };
        let with_place = evidence.briefly().zip(&evidence.journeys).filter(|(records, _)| through(records));
        let mut starts: Vec<u64> = with_place.map(|(_, journey)| journey.started).filter(|at| *at != NEVER).collect();
        starts.sort_unstable();
        let let_in = evidence.journeys.iter().filter(|journey| journey.started != NEVER).count();
        // Of a crowd, so many have a place.
        let left = (crowd * starts.len() as f64 / let_in.max(1) as f64).ceil();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of people")]
        let left = left as usize;
        starts.get(usize::try_from(quota).ok()?.saturating_sub(left)).copied()
    });
    over.into_iter().chain(quota).min().unwrap_or(NEVER)
}
