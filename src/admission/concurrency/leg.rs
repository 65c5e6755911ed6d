//! A leg: one level of concurrency held long enough to measure the throughput at it.

use crate::admission::concurrency::Occupied;
use crate::admission::concurrency::meter::Readings;
use crate::clock::Tick;

/// Generations of requests that must end before the service has settled at a level.
const SETTLE: f64 = 0.8;

/// Throughput at a level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    /// Mean in flight.
    pub(super) in_flight: f64,
    /// Successes a second.
    pub(super) goodput: f64,
    /// Requests it rests on.
    pub(super) weight: f64,
    /// Services a second that one request in flight gets.
    pub(super) speed: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Base,
    Up,
    Down,
}

#[derive(Clone, Debug)]
pub(super) struct Leg {
    pub(super) kind: Kind,
    pub(super) level: u32,
    pub(super) began: Tick,
    /// Speed before it began.
    before: f64,
    generations: f64,
    reached: Option<Readings>,
    settled: Option<(Tick, Readings)>,
    ticks: f64,
    idle: f64,
    in_flight: f64,
}

impl Leg {
    pub(super) fn new(kind: Kind, level: u32, began: Tick, before: f64) -> Self {
        Self {
            kind,
            level,
            began,
            before,
            generations: SETTLE,
            reached: None,
            settled: None,
            ticks: 0.0,
            idle: 0.0,
            in_flight: 0.0,
        }
    }

    pub(super) fn settling(mut self, generations: f64) -> Self {
        self.generations = generations;
        self
    }

    /// Takes note of a tick.
    pub(super) fn observe(&mut self, now: Tick, readings: &Readings, occupied: Occupied) {
        if self.settled.is_some() {
            self.ticks += 1.0;
            self.in_flight += f64::from(occupied.in_flight);
            if occupied.waiting == 0 || occupied.in_flight < self.level {
                self.idle += 1.0;
            }
            return;
        }
        if self.reached.is_none() && occupied.in_flight <= self.level {
            self.reached = Some(*readings);
        }
        if let Some(reached) = &self.reached {
            if readings.since(reached).ended() as f64 >= self.generations * f64::from(self.level) {
                self.settled = Some((now, *readings));
            }
        }
    }

    /// Somebody did not wait all the time: it teaches nothing.
    pub(super) fn is_void(&self) -> bool {
        self.idle > 2.0 && self.idle > 0.1 * self.ticks
    }

    /// What was measured.
    pub(super) fn sample(&self, now: Tick, readings: &Readings) -> Option<Sample> {
        let (since, start) = self.settled.as_ref()?;
        let seconds = now.since(*since).as_secs_f64();
        let got = readings.since(start);
        let ended = got.ended() as f64;
        if self.ticks < 1.0 || ended < 1.0 || seconds <= 0.0 {
            return None;
        }
        let in_flight = (self.in_flight / self.ticks).max(1.0);
        let (held, before) = (got.held as f64 * 1e-9, got.before as f64 * 1e-9);
        let inside = (held - before).max(1e-9);
        let counted = ended / seconds / in_flight;
        let mut speed = (ended - self.before * before) / inside;
        if before > 0.5 * held || speed <= 0.3 * counted || speed > 3.0 * counted {
            speed = counted;
        }
        if std::env::var_os("COUNT").is_some() {
            speed = counted;
        }
        let goodput = in_flight * speed * (got.successes as f64 / ended);
        Some(Sample { in_flight, goodput, weight: ended, speed })
    }

    pub(super) fn is_settled(&self) -> bool {
        self.settled.is_some()
    }
}
