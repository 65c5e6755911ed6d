//! How fast people are called: the mean over the longest time that looks like one speed.
//!
//! The last seconds are compared with as many before them; while both agree within what chance explains, they are one
//! time, and twice as many are tried (after ADWIN: Bifet & Gavaldà 2007). A step is therefore followed within seconds, and a steady speed is
//! known to some in a thousand.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Tick;

/// Counts are taken over seconds.
const SLOT: Duration = Duration::from_secs(1);

/// Seconds remembered.
const SLOTS: usize = 512;

/// The shortest time that says something of a speed, in seconds.
const SHORTEST: usize = 8;

/// What was expected weighs as much as so many seconds seen, until there are [`SHORTEST`].
const EXPECTED: f64 = 4.0;

/// Variance of a count, of its mean: services and crowds are somewhat less regular than chance alone (Poisson).
const DISPERSION: f64 = 1.5;

/// Two times are one while they differ by less than so many standard deviations ...
const CHANCE: f64 = 3.0;

/// ... and a drift of this share, which is not worth a shorter memory.
const DRIFT: f64 = 0.1;

/// What remains unknown of the times to come, as the standard deviation of the logarithm: how long it has been so says how long it will; ...
const UNKNOWN: f64 = 1.0;

/// ... but something does remain, however long the past was steady.
const UNKNOWN_LEAST: f64 = 0.01;

/// No speed is believed to be less, in people a second.
const SLOWEST: f64 = 1e-4;

/// A speed, and of how much it was learned.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// People a second; positive and finite.
    pub(super) speed: f64,
    /// People counted.
    pub(super) people: f64,
    /// In so many seconds.
    pub(super) seconds: f64,
}

impl Reading {
    /// Nothing was counted. What was `stated` by somebody who decides it is worth some seconds all the same.
    pub(super) fn expected(speed: f64, stated: bool) -> Self {
        let speed = if speed.is_finite() { speed.max(SLOWEST) } else { SLOWEST };
        Self { speed, people: 0.0, seconds: if stated { SHORTEST as f64 } else { 0.0 } }
    }

    /// Whether it is worth nothing.
    pub(super) fn is_guess(&self) -> bool {
        self.seconds < 1.0
    }

    /// Standard deviation of the logarithm of the time in which `people` will be called: what chance did to the counts, and
    /// will do.
    pub(super) fn deviation(&self, people: f64) -> f64 {
        let counted = self.people.max(self.speed * EXPECTED).max(1.0);
        let unknown = (UNKNOWN / (1.0 + self.seconds)).max(UNKNOWN_LEAST);
        (DISPERSION / counted + DISPERSION / people + unknown * unknown).sqrt()
    }
}

/// What was counted, by the second, pauses left out.
#[derive(Debug)]
pub(super) struct Speed {
    slots: VecDeque<(f64, f64)>,
    since: Tick,
    gone: Option<f64>,
    clock: f64,
}

impl Speed {
    pub(super) fn new(now: Tick) -> Self {
        Self { slots: VecDeque::with_capacity(SLOTS), since: now, gone: None, clock: 0.0 }
    }

    /// `gone` people have been called and are through; says whether a second is complete.
    pub(super) fn observe(&mut self, now: Tick, gone: f64) -> bool {
        let before = *self.gone.get_or_insert(gone);
        let passed = now.since(self.since);
        if passed < SLOT {
            return false;
        }
        if self.slots.len() == SLOTS {
            self.slots.pop_front();
        }
        self.slots.push_back((gone - before, passed.as_secs_f64()));
        self.clock += passed.as_secs_f64();
        self.skip(now, gone);
        true
    }

    /// What happened until `now` is no measure.
    pub(super) fn skip(&mut self, now: Tick, gone: f64) {
        self.since = now;
        self.gone = Some(gone);
    }

    /// Seconds counted in all: a clock that stands still in a pause.
    pub(super) fn clock(&self) -> f64 {
        self.clock
    }

    /// The speed; `expected` where there is nothing else.
    pub(super) fn reading(&self, expected: Reading) -> Reading {
        let mut length = SHORTEST.min(self.slots.len());
        let (mut people, mut seconds) = self.sum(0, length);
        while length >= SHORTEST && length < self.slots.len() {
            let more = length.min(self.slots.len() - length);
            let (older, time) = self.sum(length, more);
            // Half of a time that is cut short by the beginning is compared all the same; less says nothing.
            if more * 2 < length || !alike((people, seconds), (older, time)) {
                break;
            }
            people += older;
            seconds += time;
            length += more;
        }
        let assumed = if length < SHORTEST { EXPECTED } else { 0.0 };
        let speed = (people + expected.speed * assumed).max(0.5) / (seconds + assumed).max(1.0);
        Reading { speed: speed.max(SLOWEST), people: people.max(0.0), seconds: seconds.max(expected.seconds) }
    }

    /// People and seconds of `count` slots, the newest `skipped` left out.
    fn sum(&self, skipped: usize, count: usize) -> (f64, f64) {
        self.slots.iter().rev().skip(skipped).take(count).fold((0.0, 0.0), |sum, slot| (sum.0 + slot.0, sum.1 + slot.1))
    }
}

/// Both may well be counts of one speed.
fn alike(a: (f64, f64), b: (f64, f64)) -> bool {
    let (first, second) = (a.0 / a.1, b.0 / b.1);
    let mean = (a.0 + b.0).max(1.0) / (a.1 + b.1);
    let chance = (DISPERSION * mean * (1.0 / a.1 + 1.0 / b.1)).sqrt();
    (first - second).abs() <= CHANCE * chance + DRIFT * mean
}
