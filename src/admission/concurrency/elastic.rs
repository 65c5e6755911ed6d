//! Draft.

use std::time::Duration;

use crate::admission::concurrency::evidence::Belief;
use crate::admission::concurrency::leg::{Kind, Leg, Sample};
use crate::admission::concurrency::meter::Readings;
use crate::admission::concurrency::{Bounds, Decision, Occupied};
use crate::clock::Tick;

const TARGET: f64 = 0.10;
const DOUBLE: f64 = std::f64::consts::LN_2;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tuning {
    pub contrast: f64,
    pub probe: f64,
    pub base: f64,
    pub quiet: f64,
    pub climb: f64,
    pub descend: f64,
    pub fade: f64,
    pub cap: f64,
    pub ups: u32,
}

fn env(name: &str, or: f64) -> f64 {
    std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(or)
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            contrast: env("CONTRAST", 2.0),
            probe: env("PROBE", 60.0),
            base: env("BASE", 60.0),
            quiet: env("QUIET", 3.0),
            climb: env("CLIMB", 1.3),
            descend: env("DESCEND", 1.3),
            fade: env("FADE", 0.05),
            cap: env("CAP", 0.2),
            ups: env("UPS", 2.0) as u32,
        }
    }
}

/// What it knows and does, for people.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    pub limit: u32,
    pub base: u32,
    pub phase: &'static str,
    pub reason: &'static str,
    pub up: f64,
    pub up_sd: f64,
    pub down: f64,
    pub down_sd: f64,
    pub goodput: f64,
    pub noise: f64,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    ln_x: f64,
    ln_n: f64,
    weight: f64,
    speed: f64,
}

impl Known {
    fn of(sample: &Sample) -> Self {
        Self {
            ln_x: sample.goodput.max(1e-3).ln(),
            ln_n: sample.in_flight.max(1.0).ln(),
            weight: sample.weight,
            speed: sample.speed,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Elastic {
    t: Tuning,
    bounds: Bounds,
    base: u32,
    leg: Leg,
    known: Option<Known>,
    up: Belief,
    down: Belief,
    noise: f64,
    quiet: f64,
    turn: u32,
    step: f64,
    shifted: bool,
    reason: &'static str,
    // watch
    window: (Tick, Readings, bool),
    guard: (Tick, Readings),
    last_end: Tick,
    last: Readings,
    last_tick: Tick,
    stalled: bool,
    recovering: Option<(u32, Tick)>,
}

impl Elastic {
    pub fn new(bounds: Bounds, now: Tick) -> Self {
        let base = bounds.clamp(f64::from(bounds.initial));
        Self {
            t: Tuning::default(),
            bounds,
            base,
            leg: Leg::new(Kind::Base, base, now, 0.0),
            known: None,
            up: Belief::new(0.5, 1.0),
            down: Belief::new(0.5, 1.0),
            noise: 0.4,
            quiet: 0.0,
            turn: 0,
            step: DOUBLE,
            shifted: false,
            reason: "start",
            window: (now, Readings::default(), false),
            guard: (now, Readings::default()),
            last_end: now,
            last: Readings::default(),
            last_tick: now,
            stalled: false,
            recovering: None,
        }
    }

    pub fn state(&self) -> State {
        State {
            limit: self.limit(),
            base: self.base,
            phase: match self.leg.kind {
                _ if self.stalled => "stalled",
                _ if self.recovering.is_some() => "recovering",
                Kind::Base => "base",
                Kind::Up => "up",
                Kind::Down => "down",
            },
            reason: self.reason,
            up: self.up.mean,
            up_sd: self.up.variance.sqrt(),
            down: self.down.mean,
            down_sd: self.down.variance.sqrt(),
            goodput: self.known.map_or(0.0, |k| k.ln_x.exp()),
            noise: self.noise,
        }
    }

    pub fn leg_began(&self) -> Tick {
        self.leg.began
    }

    fn limit(&self) -> u32 {
        if self.stalled { self.bounds.clamp(0.0) } else { self.leg.level }
    }

    pub fn tick(&mut self, now: Tick, readings: Readings, occupied: Occupied) -> Decision {
        let gap = now.since(self.last_tick);
        self.last_tick = now;
        if gap > Duration::from_secs(1) {
            self.rest(now);
        }
        self.watch(now, &readings, occupied);
        if !self.stalled && self.recovering.is_none() {
            self.leg.observe(now, &readings, occupied);
            if self.leg.is_void() {
                self.reason = "nobody waits";
                self.rest(now);
            } else if let Some(sample) = self.leg.sample(now, &readings) {
                self.measure(now, &sample);
            }
        }
        self.last = readings;
        Decision { limit: self.limit() }
    }

    fn response(&self) -> f64 {
        self.known.map_or(0.1, |k| 1.0 / k.speed.max(1e-3)).clamp(0.001, 30.0)
    }

    fn watch(&mut self, now: Tick, readings: &Readings, occupied: Occupied) {
        let fresh = readings.since(&self.last).ended();
        if fresh > 0 || occupied.in_flight == 0 {
            self.last_end = now;
            if self.stalled {
                self.stalled = false;
                self.reason = "stall over";
                self.leg = Leg::new(Kind::Base, self.base, now, 0.0).settling(1.5);
            }
        } else if !self.stalled {
            let silent = now.since(self.last_end).as_secs_f64();
            let few = 12.0 / f64::from(occupied.in_flight.max(1));
            if silent > (self.response() * few.max(2.0)).max(0.25) {
                self.stalled = true;
                self.reason = "stall";
            }
        }
        self.guard(now, readings);
        self.shift(now, readings, occupied);
    }

    fn guard(&mut self, now: Tick, readings: &Readings) {
        let (since, start) = self.guard;
        let elapsed = now.since(since).as_secs_f64();
        if elapsed < 0.1 {
            return;
        }
        let got = readings.since(&start);
        let drops = got.drops as f64;
        let failing = drops > 2.0 && drops > 0.1 * got.ended() as f64;
        let pace = self.response().max(0.1);
        match self.recovering {
            None if failing => {
                self.recovering = Some((self.base, now));
                self.lower(now);
            }
            Some((good, last)) if now.since(last).as_secs_f64() >= pace => {
                if failing {
                    self.recovering = Some((good, now));
                    self.lower(now);
                } else if got.successes > 0 && drops == 0.0 {
                    let goal = self.bounds.clamp(0.8 * f64::from(good));
                    self.base = self.bounds.clamp((1.5 * f64::from(self.base)).ceil()).min(goal.max(self.base));
                    self.recovering = Some((good, now));
                    self.reason = "recovering";
                    self.forget();
                    if self.base >= goal {
                        self.recovering = None;
                        self.reason = "recovered";
                    }
                    self.leg = Leg::new(Kind::Base, self.base, now, 0.0);
                }
            }
            _ if elapsed < 0.1 => return,
            _ => {}
        }
        self.guard = (now, *readings);
    }

    fn lower(&mut self, now: Tick) {
        self.base = self.bounds.clamp(0.6 * f64::from(self.base));
        self.reason = "guard";
        self.forget();
        self.leg = Leg::new(Kind::Base, self.base, now, 0.0);
    }

    fn forget(&mut self) {
        self.known = None;
        self.up = Belief::new(0.5, 1.0);
        self.down = Belief::new(0.3, 1.0);
        self.quiet = 0.0;
        self.turn = 0;
        self.step = 0.5 * DOUBLE;
    }

    /// A change of regime, seen in counts at constant concurrency.
    fn shift(&mut self, now: Tick, readings: &Readings, occupied: Occupied) {
        let Some(known) = self.known else { return };
        if self.leg.kind != Kind::Base || !self.leg.is_settled() || occupied.in_flight < self.leg.level {
            self.window = (now, *readings, false);
            return;
        }
        let (since, start, _) = self.window;
        let elapsed = now.since(since).as_secs_f64();
        let expected = known.ln_x.exp() * elapsed;
        if elapsed < 0.1 || expected < 25.0 {
            return;
        }
        let got = readings.since(&start).successes as f64;
        self.window = (now, *readings, false);
        let change = (got.max(0.5) / expected).ln();
        let threshold = (3.5 * (self.noise.max(0.35) / expected).sqrt()).max(0.3);
        if change.abs() > threshold && got > 0.0 {
            let speed = got / elapsed / f64::from(self.leg.level);
            let ln_x = (got / elapsed).ln();
            let ln_n = f64::from(self.leg.level).ln();
            self.shifted_to(now, Known { ln_x, ln_n, weight: got.max(1.0), speed }, change);
        }
    }

    fn shifted_to(&mut self, now: Tick, known: Known, change: f64) {
        self.forget();
        self.known = Some(known);
        if change < 0.0 {
            self.reason = "slower";
            self.shifted = true;
            self.down = Belief::new(-0.2, 0.3);
            self.probe(now, Kind::Down, DOUBLE);
        } else {
            self.reason = "faster";
            self.probe(now, Kind::Up, 0.5 * DOUBLE);
        }
    }

    /// Back to the base.
    fn rest(&mut self, now: Tick) {
        let speed = self.known.map_or(0.0, |k| k.speed);
        self.leg = Leg::new(Kind::Base, self.base, now, speed);
    }

    fn probe(&mut self, now: Tick, kind: Kind, delta: f64) {
        let base = f64::from(self.base);
        let level = match kind {
            Kind::Up => self.bounds.clamp((base * delta.exp()).max(base + 1.0)),
            _ => self.bounds.clamp((base * (-delta).exp()).min(base - 1.0)),
        };
        if level == self.base {
            return self.rest(now);
        }
        self.step = delta;
        let speed = self.known.map_or(0.0, |k| k.speed);
        self.leg = Leg::new(kind, level, now, speed);
    }

    fn measure(&mut self, now: Tick, sample: &Sample) {
        match self.leg.kind {
            Kind::Base => self.measure_base(now, sample),
            Kind::Up => self.measure_up(now, sample),
            Kind::Down => self.measure_down(now, sample),
        }
    }

    fn measure_base(&mut self, now: Tick, sample: &Sample) {
        let wanted = self.t.base * (1.0 + self.quiet.min(self.t.quiet));
        if sample.weight < wanted {
            return;
        }
        let new = Known::of(sample);
        match &mut self.known {
            None => {
                self.known = Some(new);
                return self.probe(now, Kind::Up, self.step);
            }
            Some(old) => {
                let off = new.ln_x - old.ln_x;
                let spread = 1.0 / new.weight + 1.0 / old.weight;
                let z2 = off * off / spread;
                if z2 > 10.0 * self.noise && off.abs() > 0.12 {
                    self.known = Some(new);
                    self.up.fade(1.0);
                    self.down.fade(1.0);
                    self.quiet = 0.0;
                    self.reason = if off < 0.0 { "slowed" } else { "sped up" };
                    let kind = if off < 0.0 { Kind::Down } else { Kind::Up };
                    return self.probe(now, kind, off.abs().clamp(0.15, DOUBLE));
                }
                self.noise += 0.1 * (z2.min(6.0 * self.noise) - self.noise);
                self.noise = self.noise.clamp(0.1, 4.0);
                let share = new.weight / (new.weight + 0.5 * old.weight);
                old.ln_x += share * off;
                old.ln_n += share * (new.ln_n - old.ln_n);
                old.speed += share * (new.speed - old.speed);
                old.weight = (0.5 * old.weight + new.weight).min(600.0);
            }
        }
        self.quiet += 1.0;
        self.up.fade(self.t.fade);
        self.down.fade(self.t.fade);
        self.next_probe(now);
    }

    fn next_probe(&mut self, now: Tick) {
        let Some(known) = self.known else { return };
        let spread = (self.noise * (1.0 / self.t.probe + 1.0 / known.weight)).sqrt();
        self.turn = (self.turn + 1) % (self.t.ups + 1);
        if self.turn == 0 && self.base > self.bounds.clamp(0.0) {
            let delta = self.t.contrast * spread / (0.5 + self.down.mean.clamp(0.0, 1.0));
            self.probe(now, Kind::Down, delta.clamp(0.02, self.t.cap));
        } else {
            let delta = self.t.contrast * spread / (1.0 - self.up.mean.clamp(-4.0, 0.5));
            self.probe(now, Kind::Up, delta.clamp(0.02, self.t.cap));
        }
    }

    /// Elasticity between the base and the sample, and its variance.
    fn elasticity(&self, known: &Known, new: &Known) -> (f64, f64) {
        let apart = new.ln_n - known.ln_n;
        let apart = if apart.abs() < 0.01 { 0.01_f64.copysign(apart) } else { apart };
        let variance = self.noise * (1.0 / new.weight + 1.0 / known.weight) / (apart * apart);
        ((new.ln_x - known.ln_x) / apart, variance)
    }

    fn measure_up(&mut self, now: Tick, sample: &Sample) {
        let Some(known) = self.known else { return self.rest(now) };
        if sample.weight < 16.0 {
            return;
        }
        let new = Known::of(sample);
        let (e, variance) = self.elasticity(&known, &new);
        let full = sample.weight >= self.t.probe.max(0.25 * f64::from(self.leg.level));
        let posterior = self.up.given(e, variance);
        let own = (e - TARGET) / variance.sqrt();
        if posterior.above(TARGET) > if full { self.t.climb } else { 2.5 } && own > 0.0 {
            self.reason = "more is more";
            self.base = self.leg.level;
            self.known = Some(new);
            self.down = posterior;
            self.up = Belief::new(posterior.mean.min(1.0) * 0.8, 0.5);
            self.quiet = 0.0;
            self.turn = 0;
            let step = (2.0 * self.step).min(DOUBLE);
            self.probe(now, Kind::Up, step);
        } else if full || own < -2.0 {
            self.up = posterior;
            if own > 0.7 && self.step < 0.3 {
                self.reason = "promising";
                self.probe(now, Kind::Up, (2.5 * self.step).min(0.5));
            } else {
                self.reason = "more is not more";
                self.rest(now);
            }
        }
    }

    fn measure_down(&mut self, now: Tick, sample: &Sample) {
        let Some(known) = self.known else { return self.rest(now) };
        if sample.weight < 16.0 {
            return;
        }
        let new = Known::of(sample);
        let (e, variance) = self.elasticity(&known, &new);
        let full = sample.weight >= self.t.probe.max(0.25 * f64::from(self.leg.level));
        let posterior = self.down.given(e, variance);
        let own = (TARGET - e) / variance.sqrt();
        let need = if self.shifted { 0.0 } else { self.t.descend };
        if -posterior.above(TARGET) > if full { need } else { 2.5 } && own > 0.0 {
            self.reason = "less is no less";
            self.base = self.leg.level;
            self.known = Some(new);
            self.up = posterior;
            self.down = Belief::new(0.3, 0.5);
            self.quiet = 0.0;
            self.turn = 0;
            if self.shifted {
                self.up = Belief::new(0.3, 1.0);
                self.rest(now);
            } else {
                self.probe(now, Kind::Down, (1.5 * self.step).min(0.5));
            }
            self.shifted = false;
        } else if full || own < -2.0 {
            self.down = posterior;
            self.reason = "less is less";
            self.shifted = false;
            self.rest(now);
        }
    }
}
