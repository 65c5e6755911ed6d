//! Which people a worker plays.
//!
//! **Invariants**: each person is one worker's; people who share a computer or a connection are the same worker's.
//! **Cost**: 32 bytes a person.

use std::time::Duration;

use crate::scenario::persona::{Persona, Protocol, Source};
use crate::scenario::{PersonaIndex, Scenario};

/// Somebody who comes: one entry of the population, which stands in order of arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When.
    pub at: Duration,
    /// How he is.
    pub persona: PersonaIndex,
    /// Seed of his own draws.
    pub seed: u64,
}

/// Somebody whom this worker plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Index into the population.
    pub person: u32,
    /// How many of the same persona came before.
    pub ordinal: u32,
    /// How and when he comes.
    pub arrival: Arrival,
}

/// Which worker of how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// From 0.
    pub worker: usize,
    /// At least 1.
    pub workers: usize,
}

/// The people of `population` whom the worker of `share` plays, in order of arrival.
pub fn members(scenario: &Scenario, population: impl IntoIterator<Item = Arrival>, share: Share) -> Vec<Member> {
    let mut counts = vec![0_u32; scenario.personas.len()];
    let numbered = (0_u32..).zip(population).filter_map(|(person, arrival)| {
        let index = usize::from(arrival.persona);
        let (persona, count) = (scenario.personas.get(index)?, counts.get_mut(index)?);
        let ordinal = *count;
        *count += 1;
        let key = together(persona, person, ordinal).wrapping_add(arrival.persona.into());
        (key as usize % share.workers.max(1) == share.worker).then_some(Member { person, ordinal, arrival })
    });
    numbered.collect()
}

/// The group of people around a computer, or on a connection.
#[must_use]
pub fn group(persona: &Persona, ordinal: u32) -> Option<u32> {
    match (persona.source, persona.protocol) {
        (Source::Office(people), _) | (_, Protocol::Http2 { people }) => Some(ordinal / people.max(1)),
        _ => None,
    }
}

fn together(persona: &Persona, person: u32, ordinal: u32) -> u32 {
    group(persona, ordinal).unwrap_or(person)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::tests::{persona, scenario};

    fn shares(workers: usize) -> Vec<Vec<Member>> {
        let office = Persona { source: Source::Office(7), ..persona() };
        let shared = Persona { protocol: Protocol::Http2 { people: 50 }, ..persona() };
        let scenario = scenario(vec![persona(), office, shared]);
        let population = (0..3_000_u64).map(|number| Arrival {
            at: Duration::from_millis(number),
            persona: PersonaIndex::try_from(number % 3).expect("small"),
            seed: number,
        });
        (0..workers).map(|worker| members(&scenario, population.clone(), Share { worker, workers })).collect()
    }

    #[test]
    fn everybody_is_played_once_and_groups_stay_together() {
        assert_eq!(shares(1)[0].len(), 3_000);
        let shares = shares(4);
        assert_eq!(shares.iter().map(Vec::len).sum::<usize>(), 3_000);
        for (worker, members) in shares.iter().enumerate() {
            assert!((500..1_000).contains(&members.len()), "{worker}: {}", members.len());
            assert!(members.is_sorted_by_key(|member| member.person));
            for member in members.iter().filter(|member| member.arrival.persona == 1) {
                let office = member.ordinal / 7;
                let here = |other: &&Member| other.arrival.persona == 1 && other.ordinal / 7 == office;
                let expected = if office == 142 { 1_000 - 142 * 7 } else { 7 };
                assert_eq!(members.iter().filter(here).count(), expected);
            }
        }
    }
}
