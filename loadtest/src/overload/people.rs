//! Who comes when, drawn before the run from a seed.
//!
//! **Invariants**: the same crowd, capacity and seed give the same people in order of arrival; each draws from a generator of
//! their own afterwards.
//! **Cost**: 24 bytes a person.

use std::time::Duration;

use super::scenario::{Clients, Crowd, Phase, Seconds};
use super::timeline::span;

/// One person, or one request of a named client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    /// Comes at this instant.
    pub arrives: Duration,
    /// Seed of their own draws.
    pub seed: u64,
    /// The client they are; none: nobody else has their name.
    pub client: Option<u32>,
}

/// Draws the people of `crowd` in front of a service of `capacity` a second.
#[must_use]
pub fn draw(crowd: &Crowd, capacity: f64, seed: u64) -> Vec<Person> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut people = match crowd.clients {
        Some(clients) => named(clients, &crowd.phases, capacity, &mut rng),
        None => anonymous(&crowd.phases, capacity, &mut rng),
    };
    people.sort_by_key(|person| person.arrives);
    people
}

/// A Poisson process: gaps are exponential, and the rest of a gap at a phase's end is as good as a new one.
fn anonymous(phases: &[Phase], capacity: f64, rng: &mut fastrand::Rng) -> Vec<Person> {
    let (mut people, mut begins) = (Vec::new(), 0.0);
    for phase in phases {
        let (ends, rate) = (begins + phase.lasts, phase.load * capacity);
        let mut at = begins + exponential(rng) / rate;
        while at < ends {
            people.push(Person { arrives: span(at), seed: rng.u64(..), client: None });
            at += exponential(rng) / rate;
        }
        begins = ends;
    }
    people
}

/// Every client at a pace of its own, with gaps of 0.5 to 1.5 of the mean: what they get then differs by what the gateway
/// does and hardly by chance.
fn named(clients: Clients, phases: &[Phase], capacity: f64, rng: &mut fastrand::Rng) -> Vec<Person> {
    let weights = f64::from(clients.honest) + f64::from(clients.greedy) * clients.factor;
    let mut people = Vec::new();
    for client in 0..clients.honest + clients.greedy {
        let weight = if client < clients.honest { 1.0 } else { clients.factor };
        let mut begins = 0.0;
        for phase in phases {
            let (ends, mean) = (begins + phase.lasts, weights / (phase.load * capacity * weight));
            let mut at = begins + mean * rng.f64();
            while at < ends {
                people.push(Person { arrives: span(at), seed: rng.u64(..), client: Some(client) });
                at += mean * (0.5 + rng.f64());
            }
            begins = ends;
        }
    }
    people
}

/// Exponential with mean 1.
pub(super) fn exponential(rng: &mut fastrand::Rng) -> Seconds {
    // 1 − u is never 0.
    -(1.0 - rng.f64()).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overload::scenario::{Retry, Span};

    fn crowd(phases: &[(Seconds, f64)], clients: Option<Clients>) -> Crowd {
        let phases = phases.iter().map(|(lasts, load)| Phase { lasts: *lasts, load: *load }).collect();
        let patience = Span { from: 5.0, until: 20.0 };
        Crowd { phases, patience, retry: Retry::Never, steps: 1, think: 0.0, clients, waits: None }
    }

    #[test]
    fn phases_have_their_loads_and_silence_has_nobody() {
        let people = draw(&crowd(&[(10.0, 1.0), (5.0, 0.0), (10.0, 4.0)], None), 500.0, 1);
        let between = |from: u64, until: u64| {
            people.iter().filter(|person| (from..until).contains(&person.arrives.as_secs())).count() as f64
        };
        assert!((between(0, 10) / 5_000.0 - 1.0).abs() < 0.06, "{}", between(0, 10));
        assert!((between(15, 25) / 20_000.0 - 1.0).abs() < 0.03, "{}", between(15, 25));
        assert!(between(10, 15) < 1.0 && people.is_sorted_by_key(|person| person.arrives));
        assert_eq!(people, draw(&crowd(&[(10.0, 1.0), (5.0, 0.0), (10.0, 4.0)], None), 500.0, 1));
    }

    #[test]
    fn the_greedy_send_their_factor() {
        let clients = Clients { honest: 99, greedy: 1, factor: 100.0 };
        let people = draw(&crowd(&[(60.0, 2.0)], Some(clients)), 500.0, 1);
        let of = |client| people.iter().filter(|person| person.client == Some(client)).count() as f64;
        let honest = (0..99).map(of).sum::<f64>() / 99.0;
        assert!((of(99) / honest - 100.0).abs() < 3.0, "{} {honest}", of(99));
        assert!((people.len() as f64 / 60_000.0 - 1.0).abs() < 0.02, "{}", people.len());
    }
}
