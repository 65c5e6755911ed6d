//! The people: they come by chance, have so much patience and no more, and try again when turned away.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::service::exponential;

/// Shortest and longest patience, in seconds.
const PATIENCE: (f64, f64) = (5.0, 20.0);

/// Somebody turned away tries again with this probability, ...
const RETRY: f64 = 0.8;

/// ... at most so many tries in all, ...
const TRIES: u8 = 3;

/// ... after a pause of this mean, exponentially distributed, in seconds.
const PAUSE: f64 = 1.0;

/// Somebody who wants to be served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Person {
    /// When their patience ends.
    pub(crate) leaves: f64,
    tries: u8,
}

/// Everybody who is not yet at the gate.
#[derive(Debug)]
pub(crate) struct Crowd {
    rate: f64,
    fresh: f64,
    /// Those who come again, by the microsecond.
    again: BinaryHeap<Reverse<(u64, u64, u8)>>,
}

impl Crowd {
    /// `rate` new people a second.
    pub(crate) fn new(rate: f64, random: &mut fastrand::Rng) -> Self {
        Self { rate, fresh: exponential(random) / rate, again: BinaryHeap::new() }
    }

    /// From `now` on, `rate` new people a second.
    pub(crate) fn set_rate(&mut self, now: f64, rate: f64, random: &mut fastrand::Rng) {
        self.rate = rate;
        self.fresh = now + exponential(random) / rate;
    }

    /// When the next one comes.
    pub(crate) fn next(&self) -> f64 {
        self.again.peek().map_or(self.fresh, |Reverse((at, ..))| seconds(*at).min(self.fresh))
    }

    /// The one who comes `now`.
    pub(crate) fn arrive(&mut self, now: f64, random: &mut fastrand::Rng) -> Person {
        if now >= self.fresh {
            self.fresh = now + exponential(random) / self.rate;
            let patience = PATIENCE.0 + random.f64() * (PATIENCE.1 - PATIENCE.0);
            return Person { leaves: now + patience, tries: 1 };
        }
        let Some(Reverse((_, leaves, tries))) = self.again.pop() else { unreachable!("somebody comes now") };
        Person { leaves: seconds(leaves), tries }
    }

    /// Somebody was turned away.
    pub(crate) fn turned_away(&mut self, now: f64, person: Person, random: &mut fastrand::Rng) {
        let again = now + PAUSE * exponential(random);
        if person.tries < TRIES && again < person.leaves && random.f64() < RETRY {
            self.again.push(Reverse((micros(again), micros(person.leaves), person.tries + 1)));
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an hour of simulated time")]
fn micros(seconds: f64) -> u64 {
    (seconds * 1e6) as u64
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}
