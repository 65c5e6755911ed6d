//! What a leg says of the base, and what to try next.

use super::{CALM, DOUBLE, Elastic, Errand, Reason, TARGET};
use crate::admission::concurrency::belief::Belief;
use crate::admission::concurrency::leg::{Kind, Sample};
use crate::clock::Tick;

/// Requests of a full trial; a quarter of the level if that is more.
const TRIAL: f64 = 60.0;

/// Fewer requests say nothing.
const TRIAL_LEAST: f64 = 16.0;

/// An undecided wide trial goes on until so many times as many.
const TRIAL_LONGEST: f64 = 2.5;

/// Requests of a leg on the base, times one more for each quiet leg up to [`QUIET`].
const BASE: f64 = 60.0;

/// Quiet makes legs on the base longer at most so many times.
const QUIET: u32 = 3;

/// Requests of the very first leg: it is only compared with twice the concurrency.
const FIRST: f64 = 30.0;

/// The base's throughput is remembered over at most so many requests.
const KNOWN_MOST: f64 = 600.0;

/// What is known of the base when the next leg on it ends counts half.
const KNOWN_FADE: f64 = 0.5;

/// What the curve says of throughput at a new base is worth this share of what was measured at the old one.
const KNOWN_MOVED: f64 = 0.3;

/// Standard deviations by which a full trial must convince, ...
const CONVINCED: f64 = 2.0;

/// ... one that is not full yet, ...
const CONVINCED_EARLY: f64 = 2.5;

/// ... and one that the curve expects to succeed.
const CONVINCED_EXPECTED: f64 = 0.7;

/// A trial is broken off when the answer is no by so many standard deviations, ...
const HOPELESS: f64 = 2.0;

/// ... or four times likelier no than yes (logarithm).
const UNLIKELY: f64 = 1.4;

/// Elasticity of a service that has grown: nearly all gain.
const GROWN: f64 = 0.9;

/// Elasticity below the base of a service that has shrunk.
const SHRUNK: f64 = -0.4;

/// A trial undecided by more than this, upwards, calls for a wider one.
const PROMISING: f64 = 0.7;

/// Trials are so wide that a grown service stands out by this many standard deviations.
const CONTRAST: f64 = 2.0;

/// Narrowest and widest trial while nothing happens, in logarithms: at 2 % next to nothing can be seen, 20 % costs 1–2 %
/// of a smooth peak.
const TRIAL_WIDTH: (f64, f64) = (0.02, 0.2);

/// A base whose predecessor was so many times as large has lost capacity that will come back, ...
const LOST: f64 = 1.5;

/// ... and a trial as wide as this shows at once when it has: beyond a kink, a wide trial tells more for what it costs.
const LOST_WIDTH: f64 = 0.22;

/// A trial wider than this is followed by a narrower one when it fails: the peak may lie between.
const WIDE: f64 = 0.3;

/// After a success the next trial is at least this wide: one success is rarely the last.
const CLIMB_LEAST: f64 = 0.3;

/// Trials upwards for each one downwards: a service that has grown shows only above, one that has shrunk shows at the base.
const UPS: u32 = 3;

/// Variance that a belief gains with each leg on the base.
const FADE: f64 = 0.05;

/// The curve moves the base by at most this share a leg, ...
const MOVE_MOST: f64 = 0.1;

/// ... and when it points farther than so many times that, a trial goes there,
const FAR: f64 = 1.5;

/// this wide.
const FAR_STEP: f64 = 0.35;

/// Two legs on the base that differ by more than this, and by more than chance, are two services.
const CHANGED: f64 = 0.12;

/// Chance, as a squared deviation.
const CHANGED_DEVIATION: f64 = 10.0;

/// Least and most noise believed.
const NOISE_RANGE: (f64, f64) = (0.1, 4.0);

/// Weight of a leg on the base in the noise.
const NOISE_WEIGHT: f64 = 0.1;

/// One leg's deviation counts at most so many times the noise.
const OUTLIER: f64 = 6.0;

/// The former base is tried at once when a service grows, if it is farther than the first and nearer than the second of
/// these; otherwise it is no guide.
const FORMER: (f64, f64) = (0.1, 1.0);

/// A trial against the base.
#[derive(Clone, Copy, Debug)]
struct Trial {
    elasticity: f64,
    variance: f64,
    /// Distance from the base, in logarithms.
    apart: f64,
    full: bool,
}

impl Trial {
    /// Standard deviations by which the elasticity lies above the target.
    fn above(&self) -> f64 {
        (self.elasticity - TARGET) / self.variance.sqrt()
    }

    /// Logarithm of how much likelier `expected` is than `other`.
    fn likelier(&self, expected: f64, other: f64) -> f64 {
        ((self.elasticity - other).powi(2) - (self.elasticity - expected).powi(2)) / (2.0 * self.variance)
    }

    /// How far a slope so far from the base may differ from the slope at it.
    fn variance_at_base(&self) -> f64 {
        self.variance + self.apart * self.apart
    }

    fn convinces(&self, by: f64, errand: Errand) -> bool {
        let need = match errand {
            _ if !self.full => CONVINCED_EARLY,
            Errand::Relief => 0.0,
            Errand::Expected => CONVINCED_EXPECTED,
            Errand::Ordinary => CONVINCED,
        };
        by > need
    }
}

impl Elastic {
    /// Judges what the present leg has measured so far.
    pub(super) fn judge(&mut self, now: Tick, sample: &Sample) {
        match (self.leg.kind, self.known) {
            (Kind::Base, known) => self.judge_base(now, sample, known),
            (_, None) => self.rest(now),
            (_, Some(_)) if sample.weight < TRIAL_LEAST => {}
            (Kind::Up, Some(known)) => self.judge_up(now, sample, &known),
            (Kind::Down, Some(known)) => self.judge_down(now, sample, &known),
        }
    }

    fn judge_base(&mut self, now: Tick, sample: &Sample, known: Option<Sample>) {
        let wanted = if known.is_some() { BASE * f64::from(1 + self.quiet.min(QUIET)) } else { FIRST };
        if sample.weight < wanted {
            return;
        }
        let Some(known) = known else {
            self.known = Some(*sample);
            self.memory.push(now, sample);
            return self.try_level(now, Kind::Up, self.step, Errand::Ordinary);
        };
        let off = sample.ln_x - known.ln_x;
        let deviation = off * off / (1.0 / sample.weight + 1.0 / known.weight);
        if deviation > CHANGED_DEVIATION * self.noise && off.abs() > CHANGED {
            return self.changed(now, sample, off);
        }
        let seen = deviation.min(OUTLIER * self.noise);
        self.noise += NOISE_WEIGHT * (f64::midpoint(seen, sample.spread) - self.noise);
        self.noise = self.noise.clamp(NOISE_RANGE.0, NOISE_RANGE.1);
        self.known = Some(merge(&known, sample));
        self.memory.push(now, sample);
        self.quiet = self.quiet.saturating_add(1);
        self.hoped = false;
        self.up.fade(FADE);
        self.down.fade(FADE);
        if !self.place(now) {
            self.next_trial(now);
        }
    }

    /// The base does not do what it did.
    fn changed(&mut self, now: Tick, sample: &Sample, off: f64) {
        self.known = Some(*sample);
        self.memory.clear();
        self.memory.push(now, sample);
        self.up = Belief::vague(self.up.mean);
        self.down = Belief::vague(self.down.mean);
        self.quiet = 0;
        let (kind, reason) = if off < 0.0 { (Kind::Down, Reason::Slower) } else { (Kind::Up, Reason::Faster) };
        self.reason = reason;
        self.try_level(now, kind, off.abs().min(DOUBLE), Errand::Ordinary);
    }

    /// Moves the base to where all legs together say throughput is highest, or sends a trial far that way.
    fn place(&mut self, now: Tick) -> bool {
        let Some(curve) = self.memory.curve(now, self.base, self.noise, TARGET) else { return false };
        self.up.mean = curve.up;
        self.down.mean = curve.down;
        let base = f64::from(self.base);
        let most = (MOVE_MOST * base).floor().max(1.0);
        let gap = f64::from(self.bounds.clamp(curve.best_n.exp())) - base;
        if gap.abs() >= FAR * most && self.errand != Errand::Expected {
            self.reason = Reason::Bend;
            let kind = if gap > 0.0 { Kind::Up } else { Kind::Down };
            self.try_level(now, kind, FAR_STEP, Errand::Expected);
            return true;
        }
        self.errand = Errand::Ordinary;
        let best = self.bounds.clamp(base + gap.clamp(-most, most));
        if best == self.base {
            return false;
        }
        self.base = best;
        self.reason = Reason::Bend;
        if let Some(known) = &mut self.known {
            known.ln_n = f64::from(best).ln();
            known.ln_x = curve.best_x;
            known.weight *= KNOWN_MOVED;
        }
        self.quiet = 0;
        self.rest(now);
        true
    }

    /// A trial as wide as it must be to show a service that has changed, in turn above and below.
    fn next_trial(&mut self, now: Tick) {
        let Some(known) = self.known else { return };
        let spread = (self.noise * (1.0 / TRIAL + 1.0 / known.weight)).sqrt();
        let base = f64::from(self.base);
        let lost = self.good.is_some_and(|good| f64::from(good) > LOST * base);
        let least = if lost { LOST_WIDTH } else { self.doubt.max(TRIAL_WIDTH.0) };
        let most = self.doubt.max(TRIAL_WIDTH.1).max(least);
        self.doubt *= CALM;
        self.turn = (self.turn + 1) % (UPS + 1);
        if self.up.mean < 0.0 && self.down.is_vague() {
            // More is less, and nothing is known of less: the peak may lie far below.
            self.turn = 0;
        }
        let (kind, difference) = if self.turn == 0 {
            (Kind::Down, 0.5 + self.down.mean.clamp(0.0, 1.0))
        } else {
            (Kind::Up, 1.0 - self.up.mean.clamp(-4.0, 0.5))
        };
        self.try_level(now, kind, (CONTRAST * spread / difference).clamp(least, most), Errand::Ordinary);
    }

    /// The trial so far.
    fn trial(&self, sample: &Sample, known: &Sample) -> Trial {
        let towards = if self.leg.kind == Kind::Up { 1.0 } else { -1.0 };
        let apart = ((sample.ln_n - known.ln_n) * towards).max(0.01) * towards;
        let variance = self.noise * (1.0 / sample.weight + 1.0 / known.weight) / (apart * apart);
        let elasticity = (sample.ln_x - known.ln_x) / apart;
        let full = sample.weight >= TRIAL.max(0.25 * f64::from(self.leg.level));
        Trial { elasticity, variance, apart, full }
    }

    fn judge_up(&mut self, now: Tick, sample: &Sample, known: &Sample) {
        let mut trial = self.trial(sample, known);
        let above = trial.above();
        let undecided = above > 0.5 && self.step > 0.15 && sample.weight < TRIAL_LONGEST * TRIAL;
        trial.full &= !undecided;
        if trial.convinces(above, self.errand) {
            return self.climb(now, sample, known, trial);
        }
        let unlikely = self.errand == Errand::Ordinary && trial.likelier(self.up.mean.min(0.2), GROWN) > UNLIKELY;
        if !(trial.full || above < -HOPELESS || unlikely) {
            return;
        }
        self.up = self.up.given(trial.elasticity, trial.variance_at_base());
        self.memory.push(now, sample);
        self.reason = Reason::MoreIsNotMore;
        if above > PROMISING && self.step < WIDE && !self.hoped {
            self.hoped = true;
            self.reason = Reason::Promising;
            self.try_level(now, Kind::Up, (2.5 * self.step).min(0.5), Errand::Ordinary);
        } else if self.step > WIDE {
            self.try_level(now, Kind::Up, 0.4 * self.step, self.errand);
        } else {
            self.rest(now);
        }
    }

    /// More is more: the trial's level becomes the base, and the next trial goes farther.
    fn climb(&mut self, now: Tick, sample: &Sample, known: &Sample, trial: Trial) {
        self.settle_at_trial(now, sample, Reason::MoreIsMore);
        // No service does more than proportionally more: what was seen above that was luck, and is not expected again.
        let proportional = known.ln_x + trial.apart;
        if let Some(base) = self.known.as_mut().filter(|base| base.ln_x > proportional) {
            base.ln_x = proportional;
            base.weight += known.weight.min(2.0 * base.weight);
        }
        let gain = trial.elasticity.clamp(0.0, 1.0);
        self.down = Belief::new(trial.elasticity, trial.variance);
        self.up = Belief::new(0.8 * gain, 0.5);
        let farther = (2.0 * self.step * gain).clamp(CLIMB_LEAST, DOUBLE);
        let step = self.step_to_former().unwrap_or(farther);
        self.try_level(now, Kind::Up, step, Errand::Ordinary);
    }

    /// The step to the base before the service slowed down, while there is one to return to; a small one when there.
    fn step_to_former(&mut self) -> Option<f64> {
        let gap = (f64::from(self.good?) / f64::from(self.base)).ln();
        if gap > FORMER.0 && gap < FORMER.1 {
            return Some(gap);
        }
        self.good = None;
        Some(TRIAL_WIDTH.1)
    }

    fn judge_down(&mut self, now: Tick, sample: &Sample, known: &Sample) {
        let trial = self.trial(sample, known);
        let above = trial.above();
        let relief = self.errand == Errand::Relief;
        if trial.convinces(-above, self.errand) {
            return self.descend(now, sample, trial, relief);
        }
        let unlikely = self.errand != Errand::Expected && trial.likelier(self.down.mean.max(0.2), SHRUNK) > UNLIKELY;
        if !(trial.full || above > HOPELESS || unlikely) {
            return;
        }
        self.down = self.down.given(trial.elasticity, trial.variance_at_base());
        self.memory.push(now, sample);
        self.reason = Reason::LessIsLess;
        if relief {
            self.errand = Errand::Ordinary;
            if above < 1.5 {
                // Not sure at all: the next trial is downwards again.
                self.turn = UPS;
            }
        }
        self.rest(now);
    }

    /// Less is enough: the trial's level becomes the base.
    fn descend(&mut self, now: Tick, sample: &Sample, trial: Trial, relief: bool) {
        self.settle_at_trial(now, sample, Reason::LessIsEnough);
        self.down = Belief::new(0.3, 0.5);
        if relief {
            self.up = Belief::vague(0.3);
            self.errand = Errand::Ordinary;
            self.rest(now);
        } else {
            self.up = Belief::new(trial.elasticity, trial.variance);
            self.try_level(now, Kind::Down, (1.5 * self.step).min(0.5), Errand::Ordinary);
        }
    }

    fn settle_at_trial(&mut self, now: Tick, sample: &Sample, reason: Reason) {
        self.reason = reason;
        self.base = self.leg.level;
        self.known = Some(*sample);
        self.memory.clear();
        self.memory.push(now, sample);
        self.quiet = 0;
        self.turn = 0;
        self.hoped = false;
    }
}

/// What is known of the base after another leg on it.
fn merge(known: &Sample, new: &Sample) -> Sample {
    let weight = KNOWN_FADE * known.weight + new.weight;
    let share = new.weight / weight;
    let mix = |old: f64, new: f64| old + share * (new - old);
    Sample {
        ln_n: mix(known.ln_n, new.ln_n),
        ln_x: mix(known.ln_x, new.ln_x),
        weight: weight.min(KNOWN_MOST),
        speed: mix(known.speed, new.speed),
        cost: mix(known.cost, new.cost),
        grain: mix(known.grain, new.grain),
        spread: mix(known.spread, new.spread),
    }
}
