//! Which people a worker plays.
//!
//! **Invariants**: each person is one worker's; people who share a computer or a connection are the same worker's, and people who share a
//! connection share an address.
//! **Cost**: 40 bytes a person.

use crate::population::Person;
use crate::scenario::persona::{Persona, Protocol, Source};
use crate::scenario::{PersonaIndex, Scenario};

/// Somebody whom this worker plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// Index into the population.
    pub number: u32,
    /// Which of the connections of his persona and address, if people share them.
    pub lane: u32,
    /// Who.
    pub person: Person,
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
#[must_use]
pub fn members(scenario: &Scenario, population: &[Person], share: Share) -> Vec<Member> {
    let addresses = population.iter().map(|person| person.address as usize + 1).max().unwrap_or(0);
    let (mut of_persona, mut of_address) = (vec![0_u32; scenario.personas.len()], vec![0_u32; addresses]);
    let numbered = (0_u32..).zip(population).filter_map(|(number, person)| {
        let persona = scenario.personas.get(usize::from(person.persona))?;
        let before = if persona.source == Source::Own {
            of_persona.get_mut(usize::from(person.persona))?
        } else {
            of_address.get_mut(person.address as usize)?
        };
        let rank = *before;
        *before += 1;
        let lane = lane(persona, rank);
        let key = match (persona.source, persona.protocol) {
            (Source::Office(_), _) => person.address,
            (Source::Own, Protocol::Http2 { .. }) => lane,
            (Source::Shared(_), Protocol::Http2 { .. }) => lane.wrapping_add(person.address),
            (_, Protocol::Http1) => number,
        };
        let key = key.wrapping_add(person.persona.into()) as usize;
        (key % share.workers.max(1) == share.worker).then_some(Member { number, lane, person: *person })
    });
    numbered.collect()
}

/// Which connection somebody uses who has so many others before him.
fn lane(persona: &Persona, rank: u32) -> u32 {
    match persona.protocol {
        Protocol::Http1 => 0,
        Protocol::Http2 { people } => rank / people.max(1),
    }
}

/// Who shares a connection: persona, address unless everybody has his own, and which one.
#[must_use]
pub fn together(persona: &Persona, member: &Member) -> (PersonaIndex, u32, u32) {
    let address = if persona.source == Source::Own { 0 } else { member.person.address };
    (member.person.persona, address, member.lane)
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};
    use std::time::Duration;

    use super::*;
    use crate::people::tests::{persona, scenario};

    fn crowd() -> (Scenario, Vec<Person>) {
        let office = Persona { source: Source::Office(7), ..persona() };
        let own = Persona { protocol: Protocol::Http2 { people: 50 }, ..persona() };
        let carrier = Persona { source: Source::Shared(200), ..own.clone() };
        let scenario = scenario(vec![persona(), office, own, carrier]);
        let population = (0..4_000_u32).map(|number| {
            let persona = PersonaIndex::try_from(number % 4).expect("small");
            // As they are drawn: people who share addresses come from them in turn.
            let address = match persona {
                1 => 10_000 + (number / 4) % 143,
                3 => 20_000 + (number / 4) % 5,
                _ => number,
            };
            Person { arrives: Duration::from_millis(number.into()), seed: number.into(), address, persona }
        });
        (scenario, population.collect())
    }

    #[test]
    fn everybody_is_played_once_and_groups_stay_together() {
        let (scenario, population) = crowd();
        let share = |worker, workers| members(&scenario, &population, Share { worker, workers });
        assert_eq!(share(0, 1).len(), 4_000);
        let shares: Vec<_> = (0..3).map(|worker| share(worker, 3)).collect();
        assert_eq!(shares.iter().map(Vec::len).sum::<usize>(), 4_000);
        let mut groups: HashMap<_, HashSet<usize>> = HashMap::new();
        let mut sizes: HashMap<_, u32> = HashMap::new();
        for (worker, members) in shares.iter().enumerate() {
            assert!(members.len() > 1_000 && members.is_sorted_by_key(|member| member.number));
            for member in members {
                let persona = &scenario.personas[usize::from(member.person.persona)];
                match member.person.persona {
                    1 => groups.entry((1, member.person.address, 0)).or_default().insert(worker),
                    2 | 3 => groups.entry(together(persona, member)).or_default().insert(worker),
                    _ => continue,
                };
                *sizes.entry(together(persona, member)).or_default() += 1;
            }
        }
        assert!(groups.values().all(|workers| workers.len() == 1), "{groups:?}");
        // 20 connections of 50 people each with an address of their own, and of 5 carriers 4 each.
        let of = |persona| sizes.iter().filter(move |((of, ..), _)| *of == persona);
        assert_eq!((of(2).count(), of(3).count()), (20, 20));
        assert!(of(2).chain(of(3)).all(|(_, people)| *people == 50), "{sizes:?}");
    }
}
