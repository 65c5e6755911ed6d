//! How people fared, each of them, and what that is in sum.

use crate::ledger::{Effect, Kind as Asked, NONE, Word};
use crate::oracle::facts::{micros, seconds};
use crate::oracle::{Ledgers, Run};

use super::super::plot::cloud;
use super::{Kind, Reconciled, Wait};

/// No time.
const NEVER: u64 = u64::MAX;

/// Promises of less are not shown, as they are not judged; microseconds.
const LONG: u64 = 5_000_000;

/// Instants of the line of waits.
const INSTANTS: usize = 240;

/// One person, at the entrance.
#[derive(Clone, Copy, Debug)]
struct Fared {
    came: u64,
    joined: u64,
    knew: u64,
    started: u64,
    requests: u32,
    registered: bool,
}

/// What is drawn as a cloud.
type Dots = Vec<(f64, f64)>;

/// Everybody, by number.
#[derive(Debug)]
pub(super) struct Crowd(Vec<Fared>);

impl Crowd {
    pub(super) fn of(run: &Run<'_>, ledgers: &Ledgers) -> Self {
        let nobody = Fared { came: NEVER, joined: NEVER, knew: NEVER, started: NEVER, requests: 0, registered: false };
        let mut crowd = vec![nobody; run.people.len()];
        let (entrance, last) = (run.entrance(), run.last());
        for told in &ledgers.told {
            let Some(person) = crowd.get_mut(told.id.person as usize) else { continue };
            person.requests += 1;
            person.registered |= told.is_done() && told.stage == last;
            if told.stage != entrance || told.kind == Asked::Forged {
                continue;
            }
            person.came = person.came.min(told.sent);
            match told.word {
                Word::Place => person.joined = person.joined.min(told.ended),
                Word::Turn => person.knew = person.knew.min(told.ended),
                _ => {}
            }
        }
        let own = run.service_of(entrance);
        for served in ledgers.served.iter().filter(|it| it.stage == entrance && own == Some(it.service)) {
            if let Some(person) = served.id.and_then(|id| crowd.get_mut(id.person as usize)) {
                person.started = person.started.min(served.started);
                person.knew = person.knew.min(served.started);
            }
        }
        Self(crowd)
    }

    /// How many-eth everybody came and when he entered, and those who entered after somebody who came when they had been told a place.
    pub(super) fn order(&self, run: &Run<'_>) -> (Dots, Dots) {
        let attacks = |person: usize| {
            let persona = run.people.get(person).and_then(|it| run.scenario.personas.get(usize::from(it.persona)));
            persona.is_some_and(|persona| persona.attack.is_some())
        };
        let honest = self.0.iter().enumerate().filter(|(person, fared)| fared.came != NEVER && !attacks(*person));
        let mut line: Vec<&Fared> = honest.map(|(_, fared)| fared).collect();
        line.sort_unstable_by_key(|fared| fared.came);
        // The earliest entry of all who came at this place of the line or behind.
        let mut earliest = vec![NEVER; line.len() + 1];
        for (place, fared) in line.iter().enumerate().rev() {
            let behind = earliest.get(place + 1).copied().unwrap_or(NEVER);
            if let Some(entry) = earliest.get_mut(place) {
                *entry = behind.min(fared.started);
            }
        }
        let resolution = micros(run.declared.resolution);
        let (mut order, mut slips) = (Vec::new(), Vec::new());
        for (place, fared) in line.iter().enumerate().filter(|(_, fared)| fared.started != NEVER) {
            let later = line.partition_point(|other| other.came <= fared.joined.saturating_add(resolution));
            let overtaken = earliest.get(later).is_some_and(|entry| *entry < fared.started);
            let list = if overtaken { &mut slips } else { &mut order };
            list.push((place as f64, seconds(fared.started)));
        }
        let until = order.iter().chain(&slips).map(|(_, at)| *at).fold(0.0, f64::max);
        let most = (line.len() as f64, until);
        (cloud(order, most), cloud(slips, most))
    }

    /// What was told of waits against what followed: medians over time, and a point each.
    pub(super) fn waits(&self, run: &Run<'_>, ledgers: &Ledgers) -> (Vec<Wait>, Dots) {
        let entrance = run.entrance();
        let mut told: Vec<(u64, [f32; 3])> = Vec::new();
        for said in ledgers.told.iter().filter(|told| told.word == Word::Place && told.stage == entrance) {
            let knew = self.0.get(said.id.person as usize).map_or(NEVER, |person| person.knew);
            if knew == NEVER || said.eta_p50 == NONE || said.ended.saturating_add(LONG) >= knew {
                continue;
            }
            let p90 = if said.eta_p90 == NONE { said.eta_p50 } else { said.eta_p90 };
            told.push((
                said.ended,
                [short(u64::from(said.eta_p50) * 1_000), short(u64::from(p90) * 1_000), short(knew - said.ended)],
            ));
        }
        told.sort_unstable_by_key(|(at, _)| *at);
        let points = || told.iter().map(|(_, [told, _, truth])| (f64::from(*told), f64::from(*truth)));
        // The plot is logarithmic, and so are its cells; from a tenth of a second.
        let line = |value: f64| (value.max(0.1) * 10.0).log10();
        let most = points().fold(0.0_f64, |most, (told, truth)| most.max(line(told)).max(line(truth)));
        let dots = cloud(points().map(|(told, truth)| (line(told), line(truth))), (most, most));
        let promises =
            dots.into_iter().map(|(told, truth)| (10_f64.powf(told) / 10.0, 10_f64.powf(truth) / 10.0)).collect();
        let span = told.last().map_or(0, |(at, _)| *at) / INSTANTS as u64 + 1;
        let waits = told.chunk_by(|a, b| a.0 / span == b.0 / span).map(|chunk| {
            let at = chunk.first().map_or(0, |(at, _)| *at / span * span + span / 2);
            let median = |of: fn(&[f32; 3]) -> f32| median(chunk.iter().map(|(_, values)| of(values)).collect());
            Wait {
                at: seconds(at),
                told: median(|[told, ..]| *told),
                told_p90: median(|[_, p90, _]| *p90),
                truth: median(|[.., truth]| *truth),
            }
        });
        (waits.collect(), promises)
    }

    /// Requests a person, by kind.
    pub(super) fn personas(&self, run: &Run<'_>) -> Vec<Kind> {
        let kind = |(name, index): (&String, u8)| {
            let own = run.people.iter().zip(&self.0).filter(|(person, it)| person.persona == index && it.requests > 0);
            let mut counts: Vec<u32> = own.clone().map(|(_, fared)| fared.requests).collect();
            counts.sort_unstable();
            let rank = |share: usize| {
                let position = (counts.len() * share).div_ceil(100).saturating_sub(1);
                counts.get(position).copied().unwrap_or(0)
            };
            let sum: u64 = counts.iter().map(|count| u64::from(*count)).sum();
            Kind {
                name: name.clone(),
                people: counts.len() as u64,
                mean: sum as f64 / counts.len().max(1) as f64,
                p50: rank(50),
                p99: rank(99),
                max: rank(100),
                registered: own.filter(|(_, fared)| fared.registered).count() as u64,
            }
        };
        run.scenario.personas.iter().map(|persona| &persona.name).zip(0..).map(kind).collect()
    }

    /// Each stage as people and as services know it.
    pub(super) fn stages(&self, run: &Run<'_>, ledgers: &Ledgers) -> Vec<Reconciled> {
        let stages = run.scenario.stages.len();
        let mut sums = vec![Reconciled::default(); stages];
        // Of each person and stage: told so, and done.
        let mut known = vec![(false, false); self.0.len() * stages];
        let place = |person: u32, stage: u8| {
            let inside = (person as usize) < self.0.len() && usize::from(stage) < stages;
            inside.then(|| person as usize * stages + usize::from(stage))
        };
        for told in ledgers.told.iter().filter(|told| told.is_done()) {
            if let Some(known) = place(told.id.person, told.stage).and_then(|place| known.get_mut(place)) {
                known.0 = true;
            }
        }
        for served in ledgers.served.iter().filter(|it| run.service_of(it.stage) == Some(it.service)) {
            let Some(sum) = sums.get_mut(usize::from(served.stage)) else { continue };
            sum.began += 1;
            if !matches!(served.effect, Effect::First | Effect::Duplicate) {
                continue;
            }
            sum.again += u64::from(served.effect == Effect::Duplicate);
            let place = served.id.and_then(|id| place(id.person, served.stage));
            match place.and_then(|place| known.get_mut(place)) {
                Some(known) => known.1 = true,
                None => sum.strangers += 1,
            }
        }
        for person in known.chunks(stages.max(1)) {
            for (sum, known) in sums.iter_mut().zip(person) {
                match known {
                    (true, true) => sum.both += 1,
                    (true, false) => sum.told_only += 1,
                    (false, true) => sum.done_only += 1,
                    (false, false) => {}
                }
            }
        }
        let named = sums.into_iter().zip(&run.scenario.stages);
        named.map(|(sum, stage)| Reconciled { stage: stage.name.clone(), ..sum }).collect()
    }
}

fn median(mut values: Vec<f32>) -> f64 {
    let middle = values.len() / 2;
    if values.is_empty() { 0.0 } else { f64::from(*values.select_nth_unstable_by(middle, f32::total_cmp).1) }
}

/// Seconds, in half the memory.
#[expect(clippy::cast_possible_truncation, reason = "a microsecond of a day is more than enough")]
fn short(micros: u64) -> f32 {
    seconds(micros) as f32
}
