//! What became of what the services could have done.
//!
//! *goodput*: at the bottleneck (the service that can take the fewest people a second from the start), work done from `measured_from` to the end of the
//! arrivals, less completed work whose person was not told of it, over the integral of the capacity in force.
//! *`registered`*: people who do not attack and have finished (see `people`), over those whom an ideal service with the bottleneck's capacity in force takes through (`ideal`); not where some go only part of the way.
//! *`cold_start`*, *recovery*: from the first second during which a crowd was there (`invariant::conservation`) at or after the start, or each change of a service's
//! capacity (the slowest), to the beginning of the first second with 95 % of it: at the bottleneck, and after a change at the service that can take the fewest people a
//! second with the capacity then in force; 0 if it was full before. Where no second was full and never a crowd was there, there was not demand enough, and nothing is said.
//! *`wasted_work`*: work that a service completed and would have told of, whose person heard otherwise or nothing, over all completed work. Who still
//! waited at the end, and what a stall or a dying service held, is not counted. Not where next to nothing was completed: less than 5 % of what the bottleneck could.

use std::time::Duration;

use crate::ideal::{Stay, Supply, serve_with};
use crate::ledger::{Ending, Served, Told, Word};
use crate::oracle::evidence::{Evidence, Records};
use crate::oracle::facts::{Run, micros, seconds};
use crate::oracle::invariant::{Total, between, crowd, there, totals};
use crate::oracle::measure::people::is_finished;
use crate::scenario::FaultKind;
use crate::scenario::fault::ServiceFault;

/// Of so little completed work, as a share of the capacity, nothing can be said.
const NEXT_TO_NOTHING: f64 = 0.05;

/// A second is full with this share of the capacity.
const FULL: f64 = 0.95;

/// Microseconds.
const SECOND: u64 = 1_000_000;

/// Between two looks for a full second.
const STEP: u64 = 50_000;

/// The service that decides how many people can be served.
pub(super) struct Bottleneck {
    service: u8,
    totals: Vec<Total>,
    /// When each second began during which a crowd was there.
    crowded: Vec<u64>,
}

impl Bottleneck {
    pub(super) fn of(evidence: &Evidence<'_>) -> Self {
        let service = evidence.run.bottleneck();
        let (end, least) = (micros(evidence.run.scenario.duration), crowd(evidence));
        let crowded = |(at, there): &(u64, u64)| at + SECOND <= end && *there as f64 >= least;
        let crowded = there(evidence, end).into_iter().filter(crowded).map(|(at, _)| at).collect();
        Self { service, totals: totals(evidence, service), crowded }
    }

    pub(super) fn goodput(&self, evidence: &Evidence<'_>) -> f64 {
        let scenario = evidence.run.scenario;
        let (from, until) = (micros(scenario.measured_from), micros(scenario.duration));
        let (work, capacity) = between(&self.totals, from, until);
        let here = |served: &Served| served.service == self.service && (from..until).contains(&served.done);
        let lost: f64 = evidence
            .people()
            .flat_map(|records| records.served.iter().map(move |served| (records, served)))
            .filter(|(records, served)| here(served) && is_wasted(evidence, records, served))
            .map(|(_, served)| f64::from(served.work))
            .sum();
        if capacity > 0.0 { (work - lost) / capacity } else { f64::NAN }
    }

    pub(super) fn registered(&self, evidence: &Evidence<'_>) -> f64 {
        let run = evidence.run;
        if run.scenario.stages.iter().any(|stage| stage.goes_on < 1.0) {
            return f64::NAN;
        }
        let visits = run.visits().get(usize::from(self.service)).copied().filter(|visits| *visits > 0.0).unwrap_or(1.0);
        let supply = self.totals.iter().map(|total| (seconds(total.at), total.capacity / visits));
        let supply = Supply::new(supply.collect());
        let honest = |person: u32| evidence.persona(person).is_none_or(|persona| persona.attack.is_none());
        let mut stays: Vec<(u64, u64)> = (0..)
            .zip(run.people)
            .filter(|(person, _)| honest(*person))
            .map(|(_, person)| (person.arrives, person.leaves))
            .collect();
        stays.sort_unstable();
        let end = micros(run.scenario.end());
        let stay = |(from, until): (u64, u64)| Stay {
            from: Duration::from_micros(from),
            until: Duration::from_micros(until.min(end)),
        };
        let ideal = serve_with(stays.into_iter().map(stay), &supply, run.scenario.quota).registered;
        let registered = |records: &Records<'_>| honest(records.person) && is_finished(records, run.scenario);
        evidence.people().filter(registered).count() as f64 / ideal as f64
    }

    pub(super) fn cold_start(&self, evidence: &Evidence<'_>) -> f64 {
        self.full_after(evidence, &self.totals, 0)
    }

    pub(super) fn recovery(&self, evidence: &Evidence<'_>) -> f64 {
        let changes = evidence.run.scenario.faults.iter().flat_map(|fault| {
            let FaultKind::Service { kind, .. } = fault.kind else { return [None, None] };
            // Nothing can be done while these last.
            let idle = matches!(kind, ServiceFault::Stall | ServiceFault::Refuse { .. } | ServiceFault::Restart);
            [(!idle).then_some(fault.at), (!fault.lasts.is_zero()).then_some(fault.at + fault.lasts)]
        });
        let visits = evidence.run.visits();
        let visited = (0_u8..).zip(&visits).filter(|(_, visits)| **visits > 0.0);
        let services: Vec<(f64, Vec<Total>)> =
            visited.map(|(service, visits)| (*visits, totals(evidence, service))).collect();
        let after = |at: u64| {
            let people = |(visits, totals): &(f64, Vec<Total>)| between(totals, at, at + SECOND).1 / visits;
            let scarcest = services.iter().min_by(|a, b| people(a).total_cmp(&people(b)));
            scarcest.map_or(f64::NAN, |(_, totals)| self.full_after(evidence, totals, at))
        };
        changes.flatten().map(|at| after(micros(at))).fold(f64::NAN, f64::max)
    }

    /// From the first crowded second at or after `since` to the beginning of the first full second by `totals`. If there is none: to the end of the arrivals, or not
    /// a number if no crowd was there.
    fn full_after(&self, evidence: &Evidence<'_>, totals: &[Total], since: u64) -> f64 {
        let end = micros(evidence.run.scenario.duration);
        if totals.is_empty() {
            return f64::NAN;
        }
        let crowd = self.crowded.iter().find(|at| **at + SECOND > since).map(|at| since.max(*at));
        let mut at = since;
        while at + SECOND <= end {
            let (work, capacity) = between(totals, at, at + SECOND);
            if capacity > 0.0 && work >= FULL * capacity {
                return seconds(at.saturating_sub(crowd.unwrap_or(since)));
            }
            at += STEP;
        }
        crowd.map_or(f64::NAN, |crowd| seconds(end.saturating_sub(crowd)))
    }

    pub(super) fn wasted_work(&self, evidence: &Evidence<'_>) -> f64 {
        let (mut wasted, mut all, mut here) = (0.0, 0.0, 0.0);
        for records in evidence.people() {
            for served in records.served.iter().filter(|served| is_completed(served)) {
                let work = f64::from(served.work);
                all += work;
                here += if served.service == self.service { work } else { 0.0 };
                wasted += if is_wasted(evidence, &records, served) { work } else { 0.0 };
            }
        }
        let capacity = self.totals.last().map_or(0.0, |total| total.capacity);
        if here < NEXT_TO_NOTHING * capacity { f64::NAN } else { wasted / all }
    }
}

/// Whether the service finished it and had an answer to give: how it fails by itself wastes nothing that a gateway could have saved.
fn is_completed(served: &Served) -> bool {
    (200..300).contains(&served.status)
}

fn is_wasted(evidence: &Evidence<'_>, records: &Records<'_>, served: &Served) -> bool {
    reached_nobody(evidence.run, served, served.id.and_then(|id| records.told_of(id)))
}

/// Whether `served` is completed work whose person, who was `told` this of the request, heard otherwise or nothing.
pub(crate) fn reached_nobody(run: &Run<'_>, served: &Served, told: Option<&Told>) -> bool {
    let Some(told) = told else { return is_completed(served) };
    let open = matches!(told.ending, Ending::Open | Ending::Harness);
    let stalled = || {
        run.scenario.faults.iter().any(|fault| {
            let FaultKind::Service { service, kind, .. } = fault.kind else { return false };
            let at = micros(fault.at);
            service == served.service && kind == ServiceFault::Stall && served.started < at && served.done > at
        })
    };
    is_completed(served) && told.word != Word::Done && !open && !stalled()
}
