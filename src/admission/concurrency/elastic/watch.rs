//! What must not wait for a leg to end: an upstream that fails, is silent, or has become another one.

use std::time::Duration;

use super::{DOUBLE, Elastic, Errand, Reason};
use crate::admission::concurrency::Occupied;
use crate::admission::concurrency::belief::Belief;
use crate::admission::concurrency::leg::{Kind, Sample};
use crate::admission::concurrency::meter::{RETRY_AFTER_MAX, Readings};
use crate::clock::Tick;

/// Failures, and completions at constant concurrency, are looked at over this many seconds.
const WINDOW: f64 = 0.1;

/// A window in which fewer completions are expected is lengthened; below that chance alone halves a count.
const EXPECTED_LEAST: f64 = 25.0;

/// A window with fewer completions than this is lengthened up to [`WINDOW_LONGEST`]: the upstream may be silent.
const GOT_LEAST: f64 = 8.0;

/// Seconds.
const WINDOW_LONGEST: f64 = 1.0;

/// A change of throughput is one of the service beyond so many standard deviations: one false alarm in ten minutes.
const CHANGE_DEVIATIONS: f64 = 3.5;

/// Counts over short windows are noisier than long means: at least this variance a completion.
const COUNT_NOISE: f64 = 0.35;

/// Requests differ in cost when those of equal cost that would vary as much are fewer by this factor.
const MIXED: f64 = 1.05;

/// Share of a change of throughput by which holds must have changed when it is seen: they lag behind.
const AGREEMENT: f64 = 0.3;

/// Smaller changes, in logarithms, are left to the search.
const CHANGE_LEAST: f64 = 0.3;

/// Trials farther from the base than this change throughput themselves.
const TRIAL_NEAR: f64 = 0.25;

/// Nothing ended for so many mean intervals: the upstream is silent, not slow (chance: e⁻⁶).
const SILENT_INTERVALS: f64 = 6.0;

/// Silence counts in ticks of 10 ms; less than two of them is none.
const SILENCE_LEAST: f64 = 0.02;

/// Share of drops in a window that is failure.
const FAILING_SHARE: f64 = 0.1;

/// So few drops are not a failure.
const FAILING_LEAST: u64 = 2;

/// What a failing upstream is left.
const BACK_OFF: f64 = 0.6;

/// What is added for each hold without failures on the way back to [`RETURN_TO`]: the level was good before.
const RETURN: f64 = 2.0;

/// Share of the former base to return to; the search does the rest.
const RETURN_TO: f64 = 0.8;

/// Width of the first trial after the return: up to the former base.
const RETURN_STEP: f64 = 0.22;

/// When so many back-offs did not lower the share of drops, ...
const FUTILE: u32 = 4;

/// ... to this part of what it was, and some requests succeed, load is not the cause: the share is tolerated. Goodput, in
/// which drops do not count, still governs the search.
const FUTILE_SHARE: f64 = 0.8;

/// An upstream that answers fewer than one in ten is down, whatever the cause.
const DOWN_SHARE: f64 = 0.9;

/// A tolerated share may grow by this factor, ...
const TOLERANCE: f64 = 1.3;

/// ... and is forgotten by this factor a window, in about ten seconds.
const TOLERANCE_FADE: f64 = 0.99;

/// Nothing ended for this long, in seconds, ...
const STALL_LEAST: f64 = 0.25;

/// ... and for so many mean holds, ...
const STALL_HOLDS: f64 = 2.0;

/// ... and for so many mean intervals between ends: a stall (chance: e⁻¹²).
const STALL_INTERVALS: f64 = 12.0;

/// While nothing ends, one more request is sent this often, to see.
const PROBE: Duration = Duration::from_millis(500);

/// Generations that must end after a stall before holds can be trusted again.
const STALL_SETTLE: f64 = 3.0;

/// Mean hold while unknown, and its bounds, in seconds.
const HOLD: (f64, f64, f64) = (0.1, 0.001, 30.0);

/// The way back from failures.
#[derive(Clone, Copy, Debug)]
struct Recovery {
    good: u32,
    stepped: Tick,
    /// When the last back-off was.
    cut: Tick,
    cuts: u32,
    /// Share of drops when it began.
    share: f64,
}

/// What has been seen lately.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    ticked: Tick,
    last: Readings,
    ended: Tick,
    /// Since when nothing ends, and what was in flight then.
    stalled: Option<(Tick, u32)>,
    /// Changes of throughput mean nothing before this: a stall has just ended.
    uneven_until: Tick,
    pace: (Tick, Readings),
    failures: (Tick, Readings),
    recovery: Option<Recovery>,
    tolerated: f64,
}

impl Watch {
    pub(super) fn new(now: Tick) -> Self {
        Self {
            ticked: now,
            last: Readings::default(),
            ended: now,
            stalled: None,
            uneven_until: now,
            pace: (now, Readings::default()),
            failures: (now, Readings::default()),
            recovery: None,
            tolerated: 0.0,
        }
    }

    /// Time since the tick before; the clock may have jumped either way.
    pub(super) fn absent(&self, now: Tick) -> Duration {
        now.since(self.ticked).max(self.ticked.since(now))
    }

    /// Begins anew after an absence.
    pub(super) fn restart(&mut self, now: Tick, readings: &Readings) {
        self.last = *readings;
        self.ended = now;
        self.uneven_until = now;
        self.pace = (now, *readings);
        self.failures = (now, *readings);
    }

    pub(super) fn seen(&mut self, now: Tick, readings: &Readings) {
        self.ticked = now;
        self.last = *readings;
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.is_some()
    }

    /// How many may be in flight while nothing ends: those who are, and one more each [`PROBE`]. Whoever holds a permit may be at
    /// fault himself, with an upload that drips or a tunnel that is quiet; a service that is well ends the next one.
    pub(super) fn probes(&self) -> Option<u32> {
        let (since, held) = self.stalled?;
        let probes = self.ticked.since(since).as_nanos() / PROBE.as_nanos();
        Some(held.saturating_add(u32::try_from(probes).unwrap_or(u32::MAX)))
    }

    /// Neither stalled nor recovering.
    pub(super) fn is_calm(&self) -> bool {
        self.stalled.is_none() && self.recovery.is_none()
    }
}

impl Elastic {
    /// Looks for failures, silence and change.
    pub(super) fn look_out(&mut self, now: Tick, readings: &Readings, occupied: Occupied) {
        self.look_for_stall(now, readings, occupied);
        self.look_for_failures(now, readings);
        self.look_for_change(now, readings, occupied);
    }

    /// Mean hold, in seconds.
    fn hold(&self) -> f64 {
        self.known.map_or(HOLD.0, |known| known.hold()).clamp(HOLD.1, HOLD.2)
    }

    fn look_for_stall(&mut self, now: Tick, readings: &Readings, occupied: Occupied) {
        let fresh = readings.since(&self.watch.last).ended() > 0;
        if fresh || occupied.in_flight == 0 {
            self.watch.ended = now;
            if self.watch.stalled.take().is_some() {
                self.rest(now);
                self.leg = self.leg.clone().settling(STALL_SETTLE);
                self.watch.uneven_until = now.after(Duration::from_secs_f64(STALL_HOLDS * self.hold()));
            }
        } else if self.watch.stalled.is_none() && occupied.waiting > 0 {
            let intervals = STALL_INTERVALS / f64::from(occupied.in_flight);
            let silent = now.since(self.watch.ended).as_secs_f64();
            if silent > (self.hold() * intervals.max(STALL_HOLDS)).max(STALL_LEAST) {
                self.watch.stalled = Some((now, occupied.in_flight));
                self.reason = Reason::Stalled;
            }
        }
    }

    fn look_for_failures(&mut self, now: Tick, readings: &Readings) {
        let (since, start) = self.watch.failures;
        if now.since(since).as_secs_f64() < WINDOW {
            return;
        }
        let got = readings.since(&start);
        let share = got.drops as f64 / got.ended().max(1) as f64;
        let failing = got.drops > FAILING_LEAST && share > FAILING_SHARE.max(self.watch.tolerated);
        // Not beyond the longest one after the last cut: renewed for ever, it would close the service.
        let patience = self.watch.recovery.map_or(now, |recovery| recovery.cut.after(RETRY_AFTER_MAX));
        let pushed_back = now < readings.retry_at.min(patience);
        match self.watch.recovery {
            None if failing => {
                self.back_off(now, Recovery { good: self.base, stepped: now, cut: now, cuts: 0, share });
            }
            Some(recovery) if now.since(recovery.stepped).as_secs_f64() < self.hold().max(WINDOW) => return,
            Some(recovery) if failing => {
                let futile = recovery.cuts >= FUTILE && share > FUTILE_SHARE * recovery.share && share < DOWN_SHARE;
                if futile && !pushed_back {
                    self.watch.tolerated = share * TOLERANCE;
                    self.come_back(now, recovery);
                } else {
                    self.back_off(now, recovery);
                }
            }
            Some(recovery) if got.successes > 0 && !pushed_back => self.come_back(now, recovery),
            _ => {}
        }
        self.watch.tolerated *= TOLERANCE_FADE;
        self.watch.failures = (now, *readings);
    }

    fn back_off(&mut self, now: Tick, recovery: Recovery) {
        self.watch.recovery =
            Some(Recovery { stepped: now, cut: now, cuts: recovery.cuts.saturating_add(1), ..recovery });
        self.base = self.bounds.clamp((BACK_OFF * f64::from(self.base)).floor());
        self.reason = Reason::Failing;
        self.forget();
        self.rest(now);
    }

    fn come_back(&mut self, now: Tick, recovery: Recovery) {
        let goal = self.bounds.clamp(RETURN_TO * f64::from(recovery.good)).max(self.base);
        self.base = self.bounds.clamp(RETURN * f64::from(self.base)).min(goal);
        self.reason = Reason::Recovering;
        self.forget();
        self.step = RETURN_STEP;
        self.watch.recovery = (self.base < goal).then_some(Recovery { stepped: now, ..recovery });
        self.rest(now);
    }

    /// Throughput changed while concurrency did not.
    fn look_for_change(&mut self, now: Tick, readings: &Readings, occupied: Occupied) {
        let apart = (f64::from(self.leg.level) / f64::from(self.base)).ln().abs();
        let even = self.leg.is_held(occupied) && occupied.waiting > 0 && now >= self.watch.uneven_until;
        let Some(known) = self.known.filter(|_| even && apart <= TRIAL_NEAR && self.watch.is_calm()) else {
            self.watch.pace = (now, *readings);
            return;
        };
        let (since, start) = self.watch.pace;
        let elapsed = now.since(since).as_secs_f64();
        let window = readings.since(&start);
        let got = window.goods() / known.grain;
        let expected = known.ln_x.exp() * elapsed / known.grain;
        let silence = GOT_LEAST > got && elapsed < WINDOW_LONGEST;
        if elapsed < WINDOW || expected < EXPECTED_LEAST || silence {
            return;
        }
        self.watch.pace = (now, *readings);
        let change = (got / expected).ln();
        let variance = self.noise.max(COUNT_NOISE) * (1.0 / expected + 1.0 / known.weight.max(1.0));
        let silent = now.since(self.watch.ended).as_secs_f64();
        if got < 1.0
            || change.abs() <= CHANGE_LEAST.max(CHANGE_DEVIATIONS * variance.sqrt()) + apart
            || silent > (SILENT_INTERVALS * elapsed / got).max(SILENCE_LEAST)
            || !holds_agree(&known, &window, change)
        {
            return;
        }
        if self.leg.kind == Kind::Base {
            let ln_n = f64::from(self.leg.level).ln();
            let ln_x = (window.goods() / elapsed).ln();
            let speed = (ln_x - ln_n).exp();
            self.another(now, Sample { ln_n, ln_x, weight: got, speed, ..known }, change);
        } else {
            // It may be the trial's doing: look again from the base.
            self.rest(now);
        }
    }

    /// The service is another one. Half of it may be gone, or it may be as wide as before and slower: half the concurrency
    /// tells, in one trial, and is right in the first case; a service that got faster may carry more.
    fn another(&mut self, now: Tick, known: Sample, change: f64) {
        self.forget();
        self.known = Some(known);
        if change < 0.0 {
            self.reason = Reason::Slower;
            self.good = Some(self.base.max(self.good.unwrap_or(0)));
            self.up = Belief::vague(0.0);
            self.turn = 2;
            self.try_level(now, Kind::Down, DOUBLE, Errand::Relief);
        } else {
            self.reason = Reason::Faster;
            self.try_level(now, Kind::Up, 0.5 * DOUBLE, Errand::Ordinary);
        }
    }
}

/// Where requests differ in cost, ends alone say little: many cheap ones may end before a costly one does. Their holds
/// per cost must have changed too.
fn holds_agree(known: &Sample, window: &Readings, change: f64) -> bool {
    let mixed = known.grain > MIXED * known.cost || window.effective() * MIXED < window.successes as f64;
    let hold = window.held as f64 * 1e-9 / window.ended().max(1) as f64;
    !mixed || (hold * known.speed).ln() * -change.signum() > AGREEMENT * change.abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absence_is_seen_whichever_way_the_clock_jumped() {
        let mut watch = Watch::new(Tick::ZERO);
        let later = Tick::ZERO.after(Duration::from_secs(5));
        assert_eq!(watch.absent(later), Duration::from_secs(5));
        watch.seen(later, &Readings::default());
        assert_eq!(watch.absent(Tick::ZERO), Duration::from_secs(5));
    }
}
