//! Who comes when: every person of a scenario, drawn before the run from its seed.
//!
//! **Invariants**: the same scenario and seed give the same people, in order of arrival, on every machine of one architecture. Each person
//! has a seed of their own, so what befalls one changes nothing about another; each source of people draws from a generator of its own, so
//! one more source changes nobody of those before it.
//! **Cost**: 32 bytes a person; some 100 ns to draw one.
//! **Not here**: what they do once they are there (`visitor`).

use std::time::Duration;

use fastrand::Rng;

use crate::scenario::persona::Source;
use crate::scenario::{Arrivals, Curve, PersonaIndex, Process, Scenario};

/// One person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    /// Comes this long after the start.
    pub arrives: Duration,
    /// Of everything else that is drawn about this person.
    pub seed: u64,
    /// Which address this person comes from, counted from 0: whoever has the same comes from the same.
    pub address: u32,
    /// What kind of person.
    pub persona: PersonaIndex,
}

/// Everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Population {
    /// In order of arrival.
    pub people: Vec<Person>,
    /// Source addresses there are; those of one persona are next to each other.
    pub addresses: u32,
}

impl Population {
    /// Draws the people of `scenario`. `seed` is that of the run, usually the scenario's.
    #[must_use]
    pub fn draw(scenario: &Scenario, seed: u64) -> Self {
        let mut seeds = Rng::with_seed(seed);
        let mut people = Vec::new();
        for source in &scenario.arrivals {
            let kinds = Kinds::of(source, scenario);
            let mut rng = Rng::with_seed(seeds.u64(..));
            // The instants have a generator of their own, so that other people come at the same times.
            let instants = instants(source, scenario.duration, &mut Rng::with_seed(rng.u64(..)));
            people.extend(instants.into_iter().map(|arrives| {
                let persona = kinds.draw(&mut rng);
                Person { arrives, seed: rng.u64(..), address: 0, persona }
            }));
        }
        // Stable: who comes at the same instant comes in the order of the sources.
        people.sort_by_key(|person| person.arrives);
        let addresses = settle(&mut people, scenario);
        Self { people, addresses }
    }

    /// A fingerprint of everything that was drawn (FNV-1a, 64 bits): equal in two reports, the same people came.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0100_0000_01b3;
        let mut hash = BASIS;
        let mut add = |bytes: &[u8]| {
            for byte in bytes {
                hash = (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
            }
        };
        for person in &self.people {
            add(&person.arrives.as_nanos().to_le_bytes());
            add(&person.seed.to_le_bytes());
            add(&person.address.to_le_bytes());
            add(&[person.persona]);
        }
        hash
    }
}

/// Gives everybody an address; their number. People who share some come from them in turn, so that each is there all day.
fn settle(people: &mut [Person], scenario: &Scenario) -> u32 {
    let mut of = vec![Addresses::default(); scenario.personas.len()];
    for person in people.iter() {
        if let Some(addresses) = of.get_mut(usize::from(person.persona)) {
            addresses.number += 1;
        }
    }
    let mut next = 0;
    for (addresses, persona) in of.iter_mut().zip(&scenario.personas) {
        let together = match persona.source {
            Source::Own => 1,
            Source::Shared(people) | Source::Office(people) => people.max(1),
        };
        *addresses = Addresses { first: next, number: addresses.number.div_ceil(together), turn: 0 };
        next += addresses.number;
    }
    for person in people.iter_mut() {
        if let Some(addresses) = of.get_mut(usize::from(person.persona)) {
            person.address = addresses.first + addresses.turn;
            addresses.turn = (addresses.turn + 1) % addresses.number;
        }
    }
    next
}

/// The addresses of one kind of people; `number` counts the people first.
#[derive(Clone, Copy, Debug, Default)]
struct Addresses {
    first: u32,
    number: u32,
    turn: u32,
}

/// Kinds of people that one source brings, each with the sum of the shares up to it.
struct Kinds(Vec<(f64, PersonaIndex)>);

impl Kinds {
    fn of(source: &Arrivals, scenario: &Scenario) -> Self {
        let mut sum = 0.0;
        let comes = |index: &PersonaIndex| source.personas.is_empty() || source.personas.contains(index);
        let kinds = scenario.personas.iter().zip(0..).filter(|(_, index)| comes(index)).map(|(persona, index)| {
            sum += persona.share;
            (sum, index)
        });
        Self(kinds.collect())
    }

    fn draw(&self, rng: &mut Rng) -> PersonaIndex {
        let Some((sum, last)) = self.0.last() else { return 0 };
        let at = rng.f64() * sum;
        self.0.iter().find(|(until, _)| at < *until).map_or(*last, |(_, index)| *index)
    }
}

/// When the people of `source` come, in order; the last row of a trace lasts until `end`.
fn instants(source: &Arrivals, end: Duration, rng: &mut Rng) -> Vec<Duration> {
    let mut found = Vec::with_capacity(room(source.curve.people(end)));
    match &source.curve {
        Curve::Points(points) => along(points, source.process, rng, &mut found),
        Curve::Trace(rows) => {
            let ends = rows.iter().skip(1).map(|(at, _)| *at).chain([end]);
            for ((from, people), until) in rows.iter().zip(ends) {
                within(*from, until, *people, source.process, rng, &mut found);
            }
        }
        Curve::AtOnce { at, people } => found.extend((0..*people).map(|_| *at)),
    }
    found
}

/// Places for `mean` people and five standard deviations more.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "not negative, and bounded by the reader of scenarios"
)]
fn room(mean: f64) -> usize {
    5.0_f64.mul_add(mean.sqrt(), mean).ceil() as usize
}

/// People along a curve, by inversion of its integral (Çinlar 1975, *Introduction to Stochastic Processes* §4.7): seen by the number
/// that should have come, a Poisson process of any rate is one of rate 1, whose gaps are exponential. Exact, without thinning.
fn along(points: &[(Duration, f64)], process: Process, rng: &mut Rng, found: &mut Vec<Duration>) {
    let mut gap = match process {
        Process::Poisson => exponential(rng),
        Process::Uniform => 0.5,
    };
    for pair in points.windows(2) {
        let [(from, first), (until, last)] = pair else { continue };
        let length = until.saturating_sub(*from).as_secs_f64();
        let all = length * first.midpoint(*last);
        let slope = if length > 0.0 { (last - first) / length } else { 0.0 };
        let mut come = 0.0;
        while come + gap < all {
            come += gap;
            let at = from.saturating_add(seconds(reached(come, *first, slope)));
            found.push(at.min(*until));
            gap = match process {
                Process::Poisson => exponential(rng),
                Process::Uniform => 1.0,
            };
        }
        gap -= all - come;
    }
}

/// When `people` have come, from `rate` on that changes by `slope` a second: the root of rate·t + slope·t²/2 = people, in the form that
/// loses no digits where the slope is 0.
fn reached(people: f64, rate: f64, slope: f64) -> f64 {
    2.0 * people / (rate + rate.mul_add(rate, 2.0 * slope * people).max(0.0).sqrt())
}

/// So many people between two instants; of a Poisson process, given the number, each comes at any instant alike.
fn within(from: Duration, until: Duration, people: u64, process: Process, rng: &mut Rng, found: &mut Vec<Duration>) {
    let length = until.saturating_sub(from).as_secs_f64();
    let before = found.len();
    found.extend((0..people).map(|number| {
        let share = match process {
            Process::Poisson => rng.f64(),
            Process::Uniform => (number as f64 + 0.5) / people as f64,
        };
        from + seconds(length * share)
    }));
    if let Some(new) = found.get_mut(before..) {
        new.sort_unstable();
    }
}

/// Exponential with mean 1; 1 − u is never 0.
fn exponential(rng: &mut Rng) -> f64 {
    -(1.0 - rng.f64()).ln()
}

fn seconds(count: f64) -> Duration {
    Duration::try_from_secs_f64(count).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests;
