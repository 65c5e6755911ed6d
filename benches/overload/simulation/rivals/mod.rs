//! Laws of concurrency: ours and, as references, those that others use, with their own constants.

mod envoy;
mod failsafe;
mod mongodb;
mod netflix;
mod ours;

pub(crate) use envoy::Gradient;
pub(crate) use failsafe::Failsafe;
pub(crate) use mongodb::Probing;
pub(crate) use netflix::{Aimd, Gradient2, Vegas};
pub(crate) use ours::Ours;

/// A request ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    /// When, in seconds.
    pub(crate) now: f64,
    /// How long it was in service, in seconds.
    pub(crate) hold: f64,
    /// How many were in flight when it was dispatched, itself included.
    pub(crate) in_flight: u32,
    /// Which route it took.
    pub(crate) kind: usize,
    /// Whether it was answered.
    pub(crate) success: bool,
}

/// What a law may see at a tick.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// Requests in flight.
    pub(crate) in_flight: u32,
    /// Requests waiting at the gate.
    pub(crate) waiting: usize,
}

/// A law of concurrency.
pub(crate) trait Law {
    /// The limit in force.
    fn limit(&self) -> u32;

    /// A request ended.
    fn ended(&mut self, end: End);

    /// Ten milliseconds have passed.
    fn tick(&mut self, now: f64, seen: Seen);
}

/// A limit that somebody chose.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fixed(pub u32);

impl Law for Fixed {
    fn limit(&self) -> u32 {
        self.0
    }

    fn ended(&mut self, _: End) {}

    fn tick(&mut self, _: f64, _: Seen) {}
}

/// A limit from a fractional one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "limits are small and positive")]
fn whole(limit: f64) -> u32 {
    limit as u32
}
