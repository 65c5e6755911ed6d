//! How many may be in flight at an upstream: told, or found.
//!
//! A fixed limit is told. The adaptive one is found by watching throughput answer to concurrency ([`elastic`]), from what
//! ended requests report ([`meter`]), each weighed by what its kind costs ([`costs`]). Pure state machines: time is an
//! argument, there is no chance in them, and the same code runs under the gate and in the simulation (`benches/overload`).
//!
//! **Invariants**: a limit is never outside its [`Bounds`], whatever is read; what is read while nobody waits teaches nothing.
//! **Cost**: a request touches some twenty relaxed atomics when it ends and waits for none; a tick, one writer every 10 ms,
//! is O(1), with some ten microseconds at the end of a leg, a few times a second.
//! **Not here**: the gate that enforces the limit, and who calls [`Controller::tick`].

mod belief;
mod curve;
pub mod elastic;
mod leg;

pub use crate::telemetry::{costs, meter};

use crate::admission::concurrency::elastic::{Elastic, State};
use crate::admission::concurrency::meter::Readings;
use crate::clock::Tick;

/// Between what an adaptive limit may move, and where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Never fewer; taken as at least one.
    pub min: u32,
    /// Never more; taken as at least `min`.
    pub max: u32,
    /// Where it begins.
    pub initial: u32,
}

impl Bounds {
    /// What `concurrency = "adaptive"` means.
    pub const ADAPTIVE: Self = Self { min: 2, max: 1000, initial: 16 };

    /// The whole limit nearest to `limit` within the bounds; the lowest, if it is not a number.
    #[must_use]
    pub fn clamp(&self, limit: f64) -> u32 {
        let min = self.min.max(1);
        let max = self.max.max(min);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the cast saturates, NaN becomes 0"
        )]
        let whole = limit.round() as u32;
        whole.clamp(min, max)
    }
}

/// What the gate shows at one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Occupied {
    /// Permits in use.
    pub in_flight: u32,
    /// People alive in line.
    pub waiting: usize,
}

/// What a law wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Permits there shall be. A lower limit than what is in use lets in nobody until enough have ended.
    pub limit: u32,
    /// When the present leg began, for [`meter::Meter::begin`].
    pub leg: Tick,
}

/// The law of one upstream's limit.
#[derive(Clone, Debug)]
pub enum Controller {
    /// A limit that somebody chose.
    Fixed(u32),
    /// A limit that is found.
    Elastic(Box<Elastic>),
}

impl Controller {
    /// A law that finds the limit, beginning `now`.
    #[must_use]
    pub fn adaptive(bounds: Bounds, now: Tick) -> Self {
        Self::Elastic(Box::new(Elastic::new(bounds, now)))
    }

    /// Takes note of what is read `now` and decides. To be called every 10 ms by one caller.
    pub fn tick(&mut self, now: Tick, readings: &Readings, occupied: Occupied) -> Decision {
        match self {
            Self::Fixed(limit) => Decision { limit: *limit, leg: Tick::ZERO },
            Self::Elastic(law) => law.tick(now, readings, occupied),
        }
    }

    /// What an adaptive law knows and does; [`None`] if the limit is fixed.
    #[must_use]
    pub fn state(&self) -> Option<State> {
        match self {
            Self::Fixed(_) => None,
            Self::Elastic(law) => Some(law.state()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_for_every_number() {
        let bounds = Bounds { min: 2, max: 10, initial: 4 };
        for (limit, clamped) in
            [(f64::NAN, 2), (f64::NEG_INFINITY, 2), (f64::INFINITY, 10), (-3.0, 2), (4.4, 4), (9.6, 10)]
        {
            assert_eq!(bounds.clamp(limit), clamped, "{limit}");
        }
        assert_eq!(Bounds { min: 0, max: 0, initial: 0 }.clamp(0.0), 1, "a gate of none would never learn");
    }

    #[test]
    fn fixed_limit_stays() {
        let mut law = Controller::Fixed(40);
        let read = Readings { successes: 9, drops: 900, ..Readings::default() };
        assert_eq!(law.tick(Tick::ZERO, &read, Occupied::default()).limit, 40);
        assert_eq!(law.state(), None);
    }
}
