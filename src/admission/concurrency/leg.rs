//! A leg: one level of concurrency, held until the throughput at it is known well enough.
//!
//! **Invariants**: nothing counts before the service has settled at the level; a leg during which nobody waited is void.
//! **Not here**: which level comes next, and what the sample means.

use crate::admission::concurrency::Occupied;
use crate::admission::concurrency::costs::{COST_MAX, COST_MIN};
use crate::admission::concurrency::meter::Readings;
use crate::clock::Tick;

/// Generations of requests that must end before the service has settled at a new level: with one, requests added at once
/// have had their mean service time; shorter biases the elasticity, longer wastes the leg (simulation).
const SETTLE: f64 = 1.0;

/// A leg in which, in more than this share of its ticks, nobody waited or a permit was free is void, ...
const IDLE_SHARE: f64 = 0.1;

/// ... unless those ticks were not more than this.
const IDLE_TICKS: f64 = 2.0;

/// One of so many permits, or one, may be missing or too many: servers share a gate, and what is freed at one is used at
/// another a moment later. What is in flight is measured all the same.
const SLACK: u32 = 20;

/// Where more than this share of the holds lay before the leg, they say little about it; ends are counted instead.
const BEFORE_SHARE: f64 = 0.5;

/// The two estimates of speed agree within this factor, or else the holds are not to be trusted (a stall lies in them).
const DISAGREEMENT: f64 = 3.0;

/// A coefficient of variation of three; beyond it an estimate of noise is itself noise.
const SPREAD_MAX: f64 = 10.0;

/// Throughput at a level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    /// Logarithm of the mean in flight.
    pub(super) ln_n: f64,
    /// Logarithm of the cost that was answered a second.
    pub(super) ln_x: f64,
    /// Ended requests that it rests on.
    pub(super) weight: f64,
    /// Cost a second that one request in flight is given.
    pub(super) speed: f64,
    /// Mean cost of a request.
    pub(super) cost: f64,
    /// Cost of one of so many equal requests that would vary as much in number as these do in cost.
    pub(super) grain: f64,
    /// Squared coefficient of variation of the holds per cost.
    pub(super) spread: f64,
}

impl Sample {
    /// Mean time that a request holds its permit, in seconds.
    pub(super) fn hold(&self) -> f64 {
        (self.cost / self.speed.max(f64::MIN_POSITIVE)).min(f64::MAX)
    }
}

/// Which way a leg goes from the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Base,
    Up,
    Down,
}

/// A level being held.
#[derive(Clone, Debug)]
pub(super) struct Leg {
    pub(super) kind: Kind,
    pub(super) level: u32,
    pub(super) began: Tick,
    speed_before: f64,
    generations: f64,
    first: Option<Readings>,
    reached: Option<Readings>,
    settled: Option<(Tick, Readings)>,
    ticks: f64,
    idle: f64,
    in_flight: f64,
}

impl Leg {
    /// A leg at `level` from `began` on; until then one request in flight was given `speed_before` a second.
    pub(super) fn new(kind: Kind, level: u32, began: Tick, speed_before: f64) -> Self {
        Self {
            kind,
            level,
            began,
            speed_before,
            generations: SETTLE,
            first: None,
            reached: None,
            settled: None,
            ticks: 0.0,
            idle: 0.0,
            in_flight: 0.0,
        }
    }

    /// The same, with more generations to settle.
    pub(super) fn settling(mut self, generations: f64) -> Self {
        self.generations = generations;
        self
    }

    /// Takes note of a tick.
    pub(super) fn observe(&mut self, now: Tick, readings: &Readings, occupied: Occupied) {
        if self.settled.is_some() {
            self.ticks += 1.0;
            self.in_flight += f64::from(occupied.in_flight);
            if occupied.waiting == 0 || occupied.in_flight.saturating_add(self.slack()) < self.level {
                self.idle += 1.0;
            }
            return;
        }
        let generation = self.generations * f64::from(self.level);
        let first = *self.first.get_or_insert(*readings);
        if self.reached.is_none() {
            // A generation has ended and there is still one too many: it belongs to another server of a shared gate.
            let shared = self.is_near(occupied) && readings.since(&first).ended() as f64 >= generation;
            if occupied.in_flight <= self.level || shared {
                self.reached = Some(*readings);
            }
        }
        if self.reached.is_some_and(|reached| readings.since(&reached).ended() as f64 >= generation) {
            self.settled = Some((now, *readings));
        }
    }

    /// How far from the level counts as at it.
    fn slack(&self) -> u32 {
        (self.level / SLACK).max(1)
    }

    fn is_near(&self, occupied: Occupied) -> bool {
        occupied.in_flight.abs_diff(self.level) <= self.slack()
    }

    /// Whether the level was reached, and as many are in flight as it says, or nearly.
    pub(super) fn is_held(&self, occupied: Occupied) -> bool {
        self.reached.is_some() && self.is_near(occupied)
    }

    /// Somebody did not wait all the time: it teaches nothing.
    pub(super) fn is_void(&self) -> bool {
        let always = self.idle > 0.0 && self.idle >= self.ticks;
        always || (self.idle > IDLE_TICKS && self.idle > IDLE_SHARE * self.ticks)
    }

    /// What has been measured so far.
    pub(super) fn sample(&self, now: Tick, readings: &Readings) -> Option<Sample> {
        let (since, start) = self.settled.as_ref()?;
        let seconds = now.since(*since).as_secs_f64();
        let got = readings.since(start);
        let ended = got.ended() as f64;
        if self.ticks < 1.0 || got.successes == 0 || got.held == 0 || seconds <= 0.0 {
            return None;
        }
        let in_flight = (self.in_flight / self.ticks).max(1.0);
        let cost = (got.goods() / got.successes as f64).clamp(COST_MIN, COST_MAX);
        let speed = self.speed(&got, cost * ended / seconds / in_flight);
        let goodput = in_flight * speed * (got.successes as f64 / ended);
        let mean = got.held as f64 / ended;
        let spread = got.squares as f64 * 1e6 / ended / (mean * mean) - 1.0;
        Some(Sample {
            ln_n: in_flight.ln(),
            ln_x: goodput.max(f64::MIN_POSITIVE).ln(),
            weight: ended,
            speed,
            cost,
            grain: (got.goods() / got.effective().max(1.0)).clamp(COST_MIN, COST_MAX),
            spread: spread.clamp(0.0, SPREAD_MAX),
        })
    }

    /// Cost a second for one in flight, by Little's law: what ended, less what of it was done before the leg, over the
    /// time per cost spent in it. `counted` is the same by counting ends, noisier and never far off.
    fn speed(&self, got: &Readings, counted: f64) -> f64 {
        let (held, before) = (got.held as f64 * 1e-9, got.before as f64 * 1e-9);
        if before > BEFORE_SHARE * held {
            return counted;
        }
        let speed = (got.ended() as f64 - self.speed_before * before) / (held - before);
        let agrees = speed * DISAGREEMENT > counted && speed < DISAGREEMENT * counted;
        if agrees { speed } else { counted }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Ten in flight, 100 ms each, somebody always waiting or never.
    fn steady(waiting: usize) -> (Leg, Tick, Readings) {
        let mut leg = Leg::new(Kind::Base, 10, Tick::ZERO, 0.0);
        let mut read = Readings::default();
        let mut now = Tick::ZERO;
        for _ in 0..60 {
            leg.observe(now, &read, Occupied { in_flight: 10, waiting });
            now = now.after(Duration::from_millis(10));
            read.successes += 1;
            read.costs += 1_000;
            read.held += 100_000_000;
            read.squares += 100_000 * 100_000;
        }
        (leg, now, read)
    }

    #[test]
    fn throughput_is_in_flight_over_mean_hold() {
        let (leg, now, read) = steady(5);
        let sample = leg.sample(now, &read).unwrap();
        assert!(!leg.is_void());
        assert!((sample.ln_x.exp() - 100.0).abs() < 0.1 && (sample.speed - 10.0).abs() < 0.01, "{sample:?}");
        assert!(sample.spread < 1e-6 && sample.weight < 51.0, "the first generation does not count: {sample:?}");
    }

    #[test]
    fn nobody_waiting_makes_it_void() {
        assert!(steady(0).0.is_void());
    }

    #[test]
    fn time_before_the_leg_is_charged_at_the_speed_of_then() {
        let leg = Leg::new(Kind::Up, 10, Tick::ZERO, 5.0);
        let got = Readings { successes: 10, held: 2_000_000_000, before: 1_000_000_000, ..Readings::default() };
        assert!((leg.speed(&got, 6.0) - 5.0).abs() < 1e-9);
    }
}
