//! The limit that finds itself: throughput-elasticity control.
//!
//! While somebody waits at the gate, in flight equals the limit, so the limit is a dial and throughput its reading. The law
//! holds a *base*, and for short *legs* tries a level above or below it. `e = ln(X/X_base) / ln(N/N_base)` is 1 where more
//! concurrency is all gain, 0 at the peak and negative beyond it, whatever the service's own response time: no baseline
//! is needed, and none is kept.
//!
//! * **Search** (`judge`): a single leg moves the base if it alone is significant; success widens the next step up to
//!   doubling. All legs together, as a curve with one bend (`curve`), place the base finely.
//! * **Cheap trials**: a trial is as wide as its information needs and no wider: steep evidence makes it narrow, flat
//!   evidence makes it wide, where width costs little; it ends early when its question is answered.
//! * **Watch** (`watch`): a service that slows down or speeds up at constant concurrency is seen within about 100 ms, and
//!   makes the next trial wide, towards less or more; one that fails is backed off from and returned to; one that is
//!   silent gets a probe now and then, and nothing is learned from it.
//!
//! **Invariants** (overload I15–I17): the limit stays within its bounds for any readings; what is read while nobody waits
//! moves nothing; sustained `e < 0` brings the base down, sustained `e` above the target brings it up.
//! **Not here**: the gate, people, what becomes of a refused one.

mod judge;
#[cfg(test)]
mod tests;
mod watch;

use std::time::Duration;

use crate::admission::concurrency::belief::Belief;
use crate::admission::concurrency::curve::Memory;
use crate::admission::concurrency::leg::{Kind, Leg, Sample};
use crate::admission::concurrency::meter::Readings;
use crate::admission::concurrency::{Bounds, Decision, Occupied};
use crate::clock::Tick;
use watch::Watch;

/// The elasticity below which more concurrency is not worth having: at 0.05, one percent more in flight for a twentieth of
/// a percent more throughput. On the law of scalability it stands at 0.95 of the peak's concurrency and costs 0.1 %.
const TARGET: f64 = 0.05;

/// Doubling, the widest step.
const DOUBLE: f64 = std::f64::consts::LN_2;

/// How wide trials are when a changed service is looked at anew, ...
const DOUBT: f64 = 0.25;

/// ... and what each trial leaves of that.
const CALM: f64 = 0.7;

/// Noise of a service not yet known: variance of the logarithm of throughput, times requests. Works with a coefficient of
/// variation of one half have 0.25.
const NOISE: f64 = 0.4;

/// No tick for so long is a stopped process: what was being measured is thrown away.
const ABSENCE: Duration = Duration::from_secs(1);

/// Why the limit is where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It has just begun.
    Start,
    /// Nobody waits: nothing can be learned.
    NobodyWaits,
    /// A higher level did more.
    MoreIsMore,
    /// A higher level did not do more.
    MoreIsNotMore,
    /// A higher level may do more; a wider trial will tell.
    Promising,
    /// A lower level did as much.
    LessIsEnough,
    /// A lower level did less.
    LessIsLess,
    /// All recent levels together say that throughput bends here.
    Bend,
    /// Throughput fell at constant concurrency.
    Slower,
    /// Throughput rose at constant concurrency.
    Faster,
    /// The upstream fails.
    Failing,
    /// The upstream does no longer fail.
    Recovering,
    /// The upstream answers nobody.
    Stalled,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Start,
        Self::NobodyWaits,
        Self::MoreIsMore,
        Self::MoreIsNotMore,
        Self::Promising,
        Self::LessIsEnough,
        Self::LessIsLess,
        Self::Bend,
        Self::Slower,
        Self::Faster,
        Self::Failing,
        Self::Recovering,
        Self::Stalled,
    ];

    /// The name in metrics and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::NobodyWaits => "nobody_waits",
            Self::MoreIsMore => "more_is_more",
            Self::MoreIsNotMore => "more_is_not_more",
            Self::Promising => "promising",
            Self::LessIsEnough => "less_is_enough",
            Self::LessIsLess => "less_is_less",
            Self::Bend => "bend",
            Self::Slower => "slower",
            Self::Faster => "faster",
            Self::Failing => "failing",
            Self::Recovering => "recovering",
            Self::Stalled => "stalled",
        }
    }
}

/// What it is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Holding the base.
    Base,
    /// Trying more.
    Up,
    /// Trying less.
    Down,
    /// Backing off from failures, or returning.
    Recovering,
    /// Waiting for a silent upstream.
    Stalled,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Base, Self::Up, Self::Down, Self::Recovering, Self::Stalled];

    /// The name in metrics and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Up => "up",
            Self::Down => "down",
            Self::Recovering => "recovering",
            Self::Stalled => "stalled",
        }
    }
}

/// What the law knows and does, for metrics and people.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    /// Permits there shall be now.
    pub limit: u32,
    /// The level that trials start from.
    pub base: u32,
    /// What it is doing.
    pub phase: Phase,
    /// Why the base is where it is.
    pub reason: Reason,
    /// Elasticity of throughput at the base: percents more throughput for a percent more in flight; 0.5 while unknown.
    pub elasticity: f64,
    /// Elasticity of throughput above the base.
    pub elasticity_up: f64,
    /// Elasticity of throughput below the base.
    pub elasticity_down: f64,
    /// Cost answered a second at the base, which is requests a second if all kinds cost the same; 0 while unknown.
    pub throughput: f64,
    /// Seconds that a permit is held at the base; 0 while unknown.
    pub hold: f64,
}

/// What is to become of the present trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Errand {
    /// An ordinary trial: it must convince by itself.
    Ordinary,
    /// The curve points this way already.
    Expected,
    /// The service slowed down: less is taken unless it does less.
    Relief,
}

/// The law.
#[derive(Clone, Debug)]
pub struct Elastic {
    bounds: Bounds,
    base: u32,
    leg: Leg,
    errand: Errand,
    /// Width of the present trial, in logarithms.
    step: f64,
    /// Throughput at the base.
    known: Option<Sample>,
    memory: Memory,
    up: Belief,
    down: Belief,
    noise: f64,
    /// Legs on the base since it moved.
    quiet: u32,
    /// Trials since the last one downwards.
    turn: u32,
    doubt: f64,
    /// Whether a trial was widened since the last leg on the base: once, or else two widths could alternate for ever.
    hoped: bool,
    /// The base before the service slowed down: the first guess when it comes back.
    good: Option<u32>,
    watch: Watch,
    reason: Reason,
}

impl Elastic {
    /// Knows nothing, begins `now` at the initial limit of `bounds`.
    #[must_use]
    pub fn new(bounds: Bounds, now: Tick) -> Self {
        let base = bounds.clamp(f64::from(bounds.initial));
        Self {
            bounds,
            base,
            leg: Leg::new(Kind::Base, base, now, 0.0),
            errand: Errand::Ordinary,
            step: DOUBLE,
            known: None,
            memory: Memory::default(),
            up: Belief::vague(0.5),
            down: Belief::vague(0.5),
            noise: NOISE,
            quiet: 0,
            turn: 0,
            doubt: DOUBT,
            hoped: false,
            good: None,
            watch: Watch::new(now),
            reason: Reason::Start,
        }
    }

    /// Takes note of what is read `now` and decides.
    pub fn tick(&mut self, now: Tick, readings: &Readings, occupied: Occupied) -> Decision {
        if self.watch.absent(now) > ABSENCE {
            self.watch.restart(now, readings);
            self.rest(now);
        }
        self.look_out(now, readings, occupied);
        if self.watch.is_calm() {
            self.leg.observe(now, readings, occupied);
            if self.leg.is_void() {
                self.reason = Reason::NobodyWaits;
                self.rest(now);
            } else if let Some(sample) = self.leg.sample(now, readings) {
                self.judge(now, &sample);
            }
        }
        self.watch.seen(now, readings);
        Decision { limit: self.limit(), leg: self.leg.began }
    }

    /// What it knows and does.
    #[must_use]
    pub fn state(&self) -> State {
        let phase = match self.leg.kind {
            _ if self.watch.is_stalled() => Phase::Stalled,
            _ if !self.watch.is_calm() => Phase::Recovering,
            Kind::Base => Phase::Base,
            Kind::Up => Phase::Up,
            Kind::Down => Phase::Down,
        };
        State {
            limit: self.limit(),
            base: self.base,
            phase,
            reason: self.reason,
            elasticity: f64::midpoint(self.up.mean, self.down.mean),
            elasticity_up: self.up.mean,
            elasticity_down: self.down.mean,
            throughput: self.known.map_or(0.0, |known| known.ln_x.exp()),
            hold: self.known.map_or(0.0, |known| known.hold()),
        }
    }

    fn limit(&self) -> u32 {
        self.watch.probes().map_or(self.leg.level, |probes| self.bounds.clamp(f64::from(probes)))
    }

    /// A leg on the base.
    fn rest(&mut self, now: Tick) {
        self.leg = Leg::new(Kind::Base, self.base, now, self.known.map_or(0.0, |known| known.speed));
    }

    /// A leg `step` above or below the base.
    fn try_level(&mut self, now: Tick, kind: Kind, step: f64, errand: Errand) {
        let base = f64::from(self.base);
        let level = match kind {
            Kind::Base => self.base,
            Kind::Up => self.bounds.clamp((base * step.exp()).max(base + 1.0)),
            Kind::Down => self.bounds.clamp((base * (-step).exp()).min(base - 1.0)),
        };
        self.rest(now);
        if level != self.base {
            self.step = step;
            self.errand = errand;
            self.leg.kind = kind;
            self.leg.level = level;
        }
    }

    /// The service is another one: nothing that was known holds.
    fn forget(&mut self) {
        self.known = None;
        self.memory.clear();
        self.up = Belief::vague(0.5);
        self.down = Belief::vague(0.3);
        self.quiet = 0;
        self.turn = 0;
        self.step = 0.5 * DOUBLE;
        self.doubt = DOUBT;
    }
}
