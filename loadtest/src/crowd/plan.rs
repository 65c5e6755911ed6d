//! Who comes when: decided before the run, from a seed.
//!
//! **Invariants**: the same [`Arrivals`] and seed give the same people, in order of arrival, whatever happens to them
//! later; every person draws from a generator of their own, so one person's bad luck does not change another's mood.
//! **Cost**: 24 bytes a person.

use std::ops::Range;
use std::time::Duration;

use serde::Serialize;

use crate::ideal::Stay;

/// How people come: a Poisson process of constant rate.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Arrivals {
    /// People.
    pub people: u32,
    /// Mean arrivals per second, positive.
    pub rate: f64,
}

/// How people are.
#[derive(Clone, Debug, Serialize)]
pub struct Behaviour {
    /// Waits this long for one answer, then disconnects.
    #[serde(with = "seconds")]
    pub patience: Duration,
    /// Leaves for good this long after arriving.
    #[serde(with = "seconds")]
    pub give_up: Duration,
    /// Pause before the next attempt when no answer came.
    pub think: Range<f64>,
    /// Pause before the next attempt after an error, in seconds.
    pub retry: Range<f64>,
    /// Share of people who come back after [`Behaviour::think`] whatever Retry-After says.
    pub ignore_retry_after: f64,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            patience: Duration::from_secs(10),
            give_up: Duration::from_mins(1),
            think: 1.0..3.0,
            retry: 1.0..5.0,
            ignore_retry_after: 0.1,
        }
    }
}

/// One person of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    /// Arrives this long after the start.
    pub arrives: Duration,
    /// Seed of their own draws.
    pub seed: u64,
    /// Does not believe Retry-After.
    pub ignores_retry_after: bool,
}

/// The whole crowd.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In order of arrival.
    pub people: Vec<Person>,
    /// Where it came from.
    pub seed: u64,
    /// How they are.
    pub behaviour: Behaviour,
}

impl Plan {
    /// Draws a crowd.
    #[must_use]
    pub fn draw(arrivals: Arrivals, behaviour: Behaviour, seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut at = 0.0;
        let people = (0..arrivals.people)
            .map(|_| {
                // Gaps of a Poisson process are exponential; 1 − u is never 0.
                at -= (1.0 - rng.f64()).ln() / arrivals.rate;
                Person {
                    arrives: Duration::try_from_secs_f64(at).unwrap_or(Duration::MAX),
                    seed: rng.u64(..),
                    ignores_retry_after: rng.f64() < behaviour.ignore_retry_after,
                }
            })
            .collect();
        Self { people, seed, behaviour }
    }

    /// Arrival and leaving of everybody, for [`crate::ideal::serve`].
    pub fn stays(&self) -> impl Iterator<Item = Stay> {
        self.people.iter().map(|person| Stay { from: person.arrives, until: person.arrives + self.behaviour.give_up })
    }

    /// A fingerprint of every arrival and draw (FNV-1a, 64 bits): equal in two reports, it was the same crowd.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let words = self.people.iter().flat_map(|person| {
            [
                person.arrives.as_secs(),
                person.arrives.subsec_nanos().into(),
                person.seed,
                person.ignores_retry_after.into(),
            ]
        });
        words
            .flat_map(u64::to_le_bytes)
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }
}

mod seconds {
    use std::time::Duration;

    pub(super) fn serialize<S: serde::Serializer>(span: &Duration, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_f64(span.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARRIVALS: Arrivals = Arrivals { people: 50_000, rate: 1_000.0 };

    #[test]
    fn one_seed_one_crowd() {
        let draw = |seed| Plan::draw(ARRIVALS, Behaviour::default(), seed);
        assert_eq!(draw(1).people, draw(1).people);
        assert_eq!(draw(1).fingerprint(), draw(1).fingerprint());
        assert_ne!(draw(1).fingerprint(), draw(2).fingerprint());
    }

    #[test]
    fn arrivals_are_poisson() {
        let plan = Plan::draw(ARRIVALS, Behaviour::default(), 3);
        let mut windows = [0_u32; 480];
        for person in &plan.people {
            let window = usize::try_from(person.arrives.as_millis() / 100).expect("small");
            if let Some(count) = windows.get_mut(window) {
                *count += 1;
            }
        }
        let count = windows.len() as f64;
        let mean = windows.iter().map(|n| f64::from(*n)).sum::<f64>() / count;
        let variance = windows.iter().map(|n| (f64::from(*n) - mean).powi(2)).sum::<f64>() / (count - 1.0);
        // 480 windows of 100: mean within 4·10/√480, variance within 4·√(2/479).
        assert!((mean - 100.0).abs() < 1.9, "{mean}");
        assert!((variance / mean - 1.0).abs() < 0.26, "{variance}");
        assert!(plan.people.is_sorted_by_key(|person| person.arrives));
    }

    #[test]
    fn the_sceptics_are_as_many_as_asked() {
        let plan = Plan::draw(ARRIVALS, Behaviour::default(), 5);
        let sceptics = plan.people.iter().filter(|person| person.ignores_retry_after).count();
        assert!((4_700..5_300).contains(&sceptics), "{sceptics}");
    }
}
