//! How people fared.
//!
//! *`funnel_finished`*: of the people told from `measured_from` to the end of the arrivals that the entrance is done, those who finished: were told so of
//! the last stage, or of one after which not everybody goes on, and asked for no further one. *`funnel_refusals`*: answers
//! 429 and 503 to requests for stages behind the entrance that tell neither a place nor a turn, are not the service's own, and were not given to
//! somebody who showed nothing of what he had been given: whoever keeps no cookie is a newcomer to every gateway. *`slip_p99`*: over people who were given a place, kept it and were served, the number of those served before them
//! who first came after they were told it, by more than the resolution. *`requests_per_person`*: requests over people who sent any. *amplification*: requests that
//! began at the service of a stage over distinct people and stages. *`jain_deciles`*: Jain's index over the shares told that the last stage is done, of each tenth of
//! those who came from `measured_from` to the end of the arrivals and do not attack, in order of coming.

use crate::ledger::{Kind, Served, Told, Word};
use crate::oracle::Coming;
use crate::oracle::evidence::{Evidence, Records};
use crate::oracle::facts::micros;
use crate::oracle::journey::{NEVER, place};
use crate::oracle::measure::{apart, quantile};
use crate::overload::stats::jain;
use crate::scenario::Scenario;

/// Seconds within which people came together: who of them asks first when both may is chance.
const TOGETHER: f32 = 1.0;

fn is_done(records: &Records<'_>, stage: u8) -> bool {
    records.told.iter().any(|told| told.word == Word::Done && told.kind == Kind::Submit && told.stage == stage)
}

/// Whether somebody has done what he came for: the last stage, or all that he asked for where not everybody goes on.
pub(super) fn is_finished(records: &Records<'_>, scenario: &Scenario) -> bool {
    let last = (0..).zip(&scenario.stages).filter(|(stage, _)| is_done(records, *stage)).last();
    last.is_some_and(|(done, stage): (u8, _)| {
        let went_on = || records.told.iter().any(|told| told.kind == Kind::Submit && told.stage > done);
        usize::from(done) + 1 == scenario.stages.len() || (stage.goes_on < 1.0 && !went_on())
    })
}

pub(super) fn funnel_finished(evidence: &Evidence<'_>) -> f64 {
    let scenario = evidence.run.scenario;
    if evidence.run.entrance() == evidence.run.last() {
        return f64::NAN;
    }
    let measured = micros(scenario.measured_from)..micros(scenario.duration);
    let (mut entered, mut finished) = (0_u32, 0_u32);
    for (records, journey) in evidence.briefly().zip(&evidence.journeys) {
        if measured.contains(&journey.done) {
            entered += 1;
            finished += u32::from(is_finished(&records, scenario));
        }
    }
    f64::from(finished) / f64::from(entered)
}

pub(super) fn funnel_refusals(evidence: &Evidence<'_>) -> f64 {
    let (entrance, last) = (evidence.run.entrance(), evidence.run.last());
    if entrance == last {
        return f64::NAN;
    }
    let behind = |told: &Told| told.stage > entrance && told.kind == Kind::Submit && told.shown;
    // A gateway that gives nobody anything has kept no promise.
    if !evidence.briefly().any(|records| records.told.iter().any(behind)) {
        return f64::NAN;
    }
    let refused = |records: &Records<'_>| {
        let told = records.told.iter().filter(|told| behind(told));
        told.filter(|told| is_refusal(evidence, records, told)).count()
    };
    evidence.briefly().map(|records| refused(&records)).sum::<usize>() as f64
}

/// Whether the gateway sent somebody away with nothing in his hand.
fn is_refusal(evidence: &Evidence<'_>, records: &Records<'_>, told: &Told) -> bool {
    let own = |served: &Served| evidence.is_own(served) && served.status == told.status;
    told.word == Word::Later && matches!(told.status, 429 | 503) && !records.served_of(told.id.request).iter().any(own)
}

/// Whether anybody who does not attack was sent away from the entrance without a place, or with one that has no number, for want of room.
pub(super) fn sent_away(evidence: &Evidence<'_>) -> bool {
    let entrance = evidence.run.entrance();
    let empty = |records: &Records<'_>, told: &Told| {
        (told.status == 503 && is_refusal(evidence, records, told))
            || (told.word == Word::Place && place(told).is_none())
    };
    evidence.briefly().zip(&evidence.journeys).any(|(records, journey)| {
        let mut told = records.told.iter().filter(|told| told.stage == entrance && told.kind != Kind::Forged);
        !journey.standing.attacks && told.any(|told| empty(&records, told))
    })
}

pub(super) fn requests(evidence: &Evidence<'_>) -> f64 {
    let sent = evidence.briefly().filter(|records| !records.told.is_empty()).count();
    evidence.told.len() as f64 / sent as f64
}

pub(super) fn amplification(evidence: &Evidence<'_>) -> f64 {
    let (mut began, mut distinct) = (0_u64, 0_u64);
    for records in evidence.briefly() {
        let mut stages = [false; 256];
        for served in records.served.iter().filter(|served| evidence.is_own(served)) {
            began += 1;
            if let Some(seen) = stages.get_mut(usize::from(served.stage)) {
                distinct += u64::from(!std::mem::replace(seen, true));
            }
        }
    }
    began as f64 / distinct as f64
}

pub(super) fn deciles(evidence: &Evidence<'_>) -> f64 {
    let (scenario, last) = (evidence.run.scenario, evidence.run.last());
    let measured = micros(scenario.measured_from)..micros(scenario.duration);
    let mut came: Vec<(u64, bool)> = Vec::new();
    for (records, person) in evidence.briefly().zip(evidence.run.people) {
        let attacks = evidence.persona(records.person).is_some_and(|persona| persona.attack.is_some());
        if measured.contains(&person.arrives) && !attacks {
            came.push((person.arrives, is_done(&records, last)));
        }
    }
    came.sort_unstable();
    let share = |tenth: &[(u64, bool)]| tenth.iter().filter(|(_, done)| *done).count() as f64 / tenth.len() as f64;
    jain(&came.chunks(came.len().div_ceil(10).max(1)).map(share).collect::<Vec<_>>())
}

/// Later joiners served before a person, at the 99th percentile.
pub(super) fn slip(evidence: &Evidence<'_>) -> f64 {
    let resolution = micros(evidence.run.declared.resolution);
    let mut came: Vec<u64> =
        evidence.journeys.iter().filter(|journey| !journey.standing.attacks).map(|journey| journey.came).collect();
    came.sort_unstable();
    let mut served: Vec<_> = evidence.journeys.iter().filter(|j| j.started != NEVER && !j.standing.attacks).collect();
    served.sort_unstable_by_key(|journey| journey.started);
    let mut before = Counts::of(came.len());
    let mut slips = Vec::new();
    for journey in served {
        if journey.has_place() {
            let later = came.partition_point(|other| *other <= journey.joined.saturating_add(resolution));
            slips.push(before.from(later) as f32);
        }
        before.add(came.partition_point(|other| *other < journey.came));
    }
    quantile(&mut slips, 0.99)
}

/// Who is through before whom, of all who came and do not attack: the same measure for every gateway, whatever it promised.
///
/// Whoever came is there until he is told that the entrance is done, or gives up. He was overtaken by everybody who came later and was told so
/// meanwhile; so those count who were never served, and nobody is overtaken where nobody is served.
pub(in crate::oracle) fn coming(evidence: &Evidence<'_>) -> Coming {
    let came = || {
        let people = evidence.journeys.iter().zip(evidence.run.people);
        people.filter(|(journey, _)| journey.came != NEVER && !journey.standing.attacks)
    };
    let done = came().filter(|(journey, _)| journey.done != NEVER);
    let mut through: Vec<(u64, u64)> = done.map(|(journey, _)| (journey.done, journey.came)).collect();
    through.sort_unstable();
    let mut last = 0;
    for (_, came) in &mut through {
        last = last.max(*came);
        *came = last;
    }
    let mut later: Vec<f32> = Vec::with_capacity(evidence.journeys.len());
    for (journey, person) in came() {
        let before = through.partition_point(|(done, _)| *done < journey.done.min(person.leaves));
        let last = before.checked_sub(1).and_then(|before| through.get(before));
        later.push(apart(journey.came, last.map_or(0, |(_, came)| *came)));
    }
    let overtaken = later.iter().filter(|later| **later > TOGETHER).count() as f64 / later.len() as f64;
    Coming { overtaken, later_p99: quantile(&mut later, 0.99) }
}

/// Counts at positions, and their sums from one to the end (Fenwick 1994): logarithmic both ways.
struct Counts {
    tree: Vec<u32>,
    all: u32,
}

impl Counts {
    fn of(positions: usize) -> Self {
        Self { tree: vec![0; positions + 1], all: 0 }
    }

    fn add(&mut self, position: usize) {
        self.all += 1;
        let mut index = position + 1;
        while let Some(count) = self.tree.get_mut(index) {
            *count += 1;
            index += index & index.wrapping_neg();
        }
    }

    /// How many stand at `position` or behind.
    fn from(&self, position: usize) -> u32 {
        let (mut index, mut before) = (position, 0);
        while index > 0 {
            before += self.tree.get(index).copied().unwrap_or(0);
            index &= index - 1;
        }
        self.all - before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_from_a_position_on() {
        let mut counts = Counts::of(10);
        for position in [0, 3, 3, 9] {
            counts.add(position);
        }
        assert_eq!([0, 1, 3, 4, 9, 10].map(|from| counts.from(from)), [4, 3, 3, 1, 1, 0]);
    }
}
