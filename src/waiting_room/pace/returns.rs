//! Who of those called will still come, and when: a life table (Kaplan & Meier 1958) of the time from call to coming.
//!
//! For each age since the call it is counted how many were awaited at that age and how many of them came. What this says of somebody who is
//! out for some seconds already is worth more than any mean: where everybody polls every two seconds, whoever has not come after three
//! will not, and a step of no-shows is seen as soon as they are missing.
//!
//! **Invariants**: chances in `0..=1`, finite for any readings; what is learned fades.
//! **Cost**: [`Returns::observe`] and [`Returns::coming`] a few nanoseconds a cohort.

use std::time::Duration;

use super::Cohort;
use crate::clock::Tick;

/// Width of the ages near the call, in seconds: an eighth of the time between two polls there.
const FINE: f64 = 0.25;

/// So many ages are fine: four seconds.
const FINE_AGES: usize = 16;

/// The ends of the coarse ages, in seconds; whoever comes later than the last (nobody who joined just before he was called) is a
/// surprise, and seen in line.
const COARSE: [f64; 6] = [5.0, 6.0, 8.0, 10.0, 13.0, 16.0];

const AGES: usize = FINE_AGES + COARSE.len();

/// What is known comes from the last so many people, ...
const PEOPLE: f64 = 400.0;

/// ... but from no less time than this, and from no more: seconds.
const MEMORY: (f64, f64) = (1.5, 300.0);

/// Before anything is known: chance a second to come, until the age of [`SOON`] seconds and after it.
const BEFORE: (f64, f64) = (0.8, 0.1);

/// The time between two polls near the turn, and the way.
const SOON: f64 = 2.5;

/// What is assumed weighs as much as so many person-seconds seen.
const ASSUMED: f64 = 1.0;

/// Of however few are believed to come, so many times as many are called at most.
const SHARE_LEAST: f64 = 0.1;

/// Time constant of the flow of those who come, in seconds.
const FLOW: f64 = 0.5;

/// What was learned of those who were called.
#[derive(Debug)]
pub(super) struct Returns {
    /// Person-seconds awaited, and people who came, at each age.
    awaited: [f64; AGES],
    came: [f64; AGES],
    /// Accumulated chance at the begin of each age, and at the end of the last.
    hazard: [f64; AGES + 1],
    seen: Vec<Cohort>,
    looked: Tick,
    flow: f64,
}

impl Returns {
    pub(super) fn new(now: Tick) -> Self {
        let mut returns = Self {
            awaited: [0.0; AGES],
            came: [0.0; AGES],
            hazard: [0.0; AGES + 1],
            seen: Vec::new(),
            looked: now,
            flow: 0.0,
        };
        returns.tabulate();
        returns
    }

    /// Learns from what became of `cohorts` since the last look, at about `rate` people a second.
    pub(super) fn observe(&mut self, now: Tick, cohorts: &[Cohort], rate: f64) {
        let passed = now.since(self.looked).as_secs_f64();
        self.looked = now;
        if passed > 0.0 {
            let fade = (-passed / (PEOPLE / rate).clamp(MEMORY.0, MEMORY.1)).exp();
            self.awaited.iter_mut().chain(&mut self.came).for_each(|sum| *sum *= fade);
            let arrived = self.count(now, cohorts, passed);
            self.flow += (arrived / passed - self.flow) * (1.0 - (-passed / FLOW).exp());
            self.tabulate();
        }
        self.seen.clear();
        self.seen.extend(cohorts.iter().filter(|cohort| awaited(now, cohort)));
    }

    /// Adds what happened in the last `passed` seconds to the ages at which it did; how many came in all.
    fn count(&mut self, now: Tick, cohorts: &[Cohort], passed: f64) -> f64 {
        let mut seen = self.seen.iter().peekable();
        let mut arrived = 0.0;
        for cohort in cohorts.iter().filter(|cohort| awaited(now, cohort)) {
            while seen.next_if(|earlier| earlier.called < cohort.called).is_some() {}
            let before = seen.next_if(|earlier| earlier.called == cohort.called).map_or(0, |earlier| earlier.come);
            let came = cohort.come.saturating_sub(before) as f64;
            let age = now.since(cohort.called).as_secs_f64();
            let middle = age_at((age - passed / 2.0).max(0.0)).0;
            let out = cohort.outstanding() as f64 + came / 2.0;
            if let (Some(sum), Some(people)) = (self.awaited.get_mut(middle), self.came.get_mut(middle)) {
                *sum += out * passed.min(age);
                *people += came;
            }
            arrived += came;
        }
        arrived
    }

    fn tabulate(&mut self) {
        let mut total = 0.0;
        for (age, (awaited, came)) in self.awaited.iter().zip(&self.came).enumerate() {
            let (begin, end) = bounds(age);
            let assumed = if begin < SOON { BEFORE.0 } else { BEFORE.1 };
            total += (end - begin) * (came + ASSUMED * assumed) / (awaited + ASSUMED);
            if let Some(sum) = self.hazard.get_mut(age + 1) {
                *sum = total;
            }
        }
    }

    /// Accumulated chance until `age` seconds.
    fn until(&self, age: f64) -> f64 {
        let (at, part) = age_at(age);
        let begin = self.hazard.get(at).copied().unwrap_or_default();
        let end = self.hazard.get(at + 1).copied().unwrap_or(begin);
        begin + (end - begin) * part
    }

    /// How many of those called come within `span` from `now`, or at all.
    pub(super) fn coming(&self, now: Tick, cohorts: &[Cohort], span: Option<Duration>) -> f64 {
        let span = span.map_or(f64::INFINITY, |span| span.as_secs_f64());
        let chance = |cohort: &Cohort| {
            let age = now.since(cohort.called).as_secs_f64();
            let left = (span - cohort.called.since(now).as_secs_f64()).max(0.0);
            cohort.outstanding() as f64 * -(self.until(age) - self.until(age + left)).exp_m1()
        };
        cohorts.iter().filter(|cohort| !is_over(now, cohort)).map(chance).sum()
    }

    /// Share of those called who come.
    pub(super) fn share(&self) -> f64 {
        (-(-self.until(f64::INFINITY)).exp_m1()).max(SHARE_LEAST)
    }

    /// Share of those called who come within `span`.
    pub(super) fn share_within(&self, span: Duration) -> f64 {
        (-(-self.until(span.as_secs_f64())).exp_m1()).max(SHARE_LEAST)
    }

    /// Mean time from call to coming of those who come, in seconds.
    pub(super) fn delay(&self) -> f64 {
        let end = (-self.until(f64::INFINITY)).exp();
        let area: f64 = (0..AGES)
            .map(|age| {
                let (begin, end_of_age) = bounds(age);
                let alive = |at: f64| (-self.until(at)).exp() - end;
                (end_of_age - begin) * f64::midpoint(alive(begin), alive(end_of_age))
            })
            .sum();
        area / (1.0 - end).max(SHARE_LEAST)
    }

    /// People who came a second, lately.
    pub(super) fn flow(&self) -> f64 {
        self.flow
    }
}

/// They can come, and nobody has waited for so long that none is expected any more.
fn awaited(now: Tick, cohort: &Cohort) -> bool {
    cohort.called <= now && !is_over(now, cohort)
}

/// So old that nobody of it is expected any more.
fn is_over(now: Tick, cohort: &Cohort) -> bool {
    now.since(cohort.called).as_secs_f64() >= COARSE[COARSE.len() - 1]
}

/// Begin and end of an age in seconds.
fn bounds(age: usize) -> (f64, f64) {
    let end = |age: usize| match age.checked_sub(FINE_AGES) {
        None => FINE * (age + 1) as f64,
        Some(coarse) => COARSE.get(coarse).copied().unwrap_or(COARSE[COARSE.len() - 1]),
    };
    (age.checked_sub(1).map_or(0.0, end), end(age))
}

/// The age at `seconds` since the call, and the part of it that has passed then.
fn age_at(seconds: f64) -> (usize, f64) {
    let age = (0..AGES - 1).find(|age| seconds < bounds(*age).1).unwrap_or(AGES - 1);
    let (begin, end) = bounds(age);
    (age, ((seconds - begin) / (end - begin)).clamp(0.0, 1.0))
}
