//! Virtual time: a service that shares its capacity, a gate with a line, a room, and a crowd that polls.
//!
//! The room is the plainest there is: numbers are called in order, cohorts are ranges of them. The gate measures its rate
//! only over quarters of a second in which somebody was in line all the time.

#![expect(clippy::cast_possible_truncation, clippy::similar_names, reason = "small figures of a simulation")]

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use super::{Cohort, Gauge, Pace, PacePlan};
use crate::clock::Tick;
use crate::waiting_room::eta::{Eta, Forecast, Seen, first_return};

/// Steps of the simulation, of the chore, and of the gate's measurement, in milliseconds.
const STEP: u64 = 10;
const CHORE: u64 = 100;
const MEASURE: u64 = 250;

/// How long the gate's route holds a request in line.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Completions a second with `n` in flight: the universal scalability law (Gunther 1993), 491/s at its peak of 64.
fn usl(n: usize) -> f64 {
    let n = n as f64;
    24.73 * n / (1.0 + 0.02 * (n - 1.0) + 2.39e-4 * n * (n - 1.0))
}

/// What the service could do at best.
pub(super) const PEAK: f64 = 491.0;

/// What happened in a second.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Second {
    pub(super) done: u64,
    /// What the service could have done.
    pub(super) possible: f64,
    /// Milliseconds in which the gate starved while people waited.
    pub(super) starved: u64,
    /// Most people in line.
    pub(super) held: usize,
    pub(super) called: u64,
}

pub(super) struct World {
    pub(super) pace: Pace,
    /// Service: its size relative to the law's, its limit, and the work left of each request.
    pub(super) scale: f64,
    pub(super) limit: usize,
    pub(super) no_show: f64,
    /// Nobody can reach the gateway.
    pub(super) away: bool,
    /// Numbers given; those beyond the crowd that is followed never return.
    pub(super) issued: u64,
    /// Somebody joins whenever fewer than this wait.
    pub(super) kept: u64,
    pub(super) left: Option<u64>,
    pub(super) rate: f64,
    pub(super) log: Vec<Second>,
    pub(super) polls: u64,
    pub(super) eta: Eta,
    pub(super) forecast: Forecast,
    now: u64,
    chance: fastrand::Rng,
    flying: Vec<f64>,
    line: VecDeque<u64>,
    quarter: (u64, bool),
    serving: u64,
    ranges: VecDeque<(u64, Cohort)>,
    /// When whom: the crowd.
    due: BinaryHeap<Reverse<(u64, u64)>>,
}

impl World {
    /// A service of `scale` times the law's capacity; nobody is there.
    pub(super) fn new(plan: PacePlan, scale: f64, rate: f64, seed: u64) -> Self {
        let pace = Pace::new(plan, PATIENCE, Tick::ZERO);
        let mut eta = Eta::new(Tick::ZERO, pace.speed(rate));
        let seen =
            Seen { called: 0, pending: 0.0, expected: pace.speed(rate), no_show: 0.0, paused: false, idle: false };
        Self {
            forecast: eta.observe(Tick::ZERO, &seen),
            eta,
            pace,
            scale,
            limit: 64,
            no_show: 0.0,
            away: false,
            issued: 0,
            kept: 0,
            left: None,
            rate,
            log: Vec::new(),
            polls: 0,
            now: 0,
            chance: fastrand::Rng::with_seed(seed),
            flying: Vec::new(),
            line: VecDeque::new(),
            quarter: (0, true),
            serving: 0,
            ranges: VecDeque::new(),
            due: BinaryHeap::new(),
        }
    }

    /// `waiting` people who have been waiting for long, of whom the first `followed` are followed.
    pub(super) fn crowd(mut self, waiting: u64, followed: u64) -> Self {
        self.issued = waiting;
        for number in 0..followed {
            let interval = self.interval(number);
            let at = self.chance.u64(0..=interval);
            self.due.push(Reverse((at, number)));
        }
        self
    }

    /// `people` who joined this moment, and come back for the first time after five to fifteen seconds.
    pub(super) fn opening(mut self, people: u64) -> Self {
        (0..people).for_each(|_| self.join());
        self
    }

    fn join(&mut self) {
        let first = self.now + first_return(self.chance.f64()).as_millis() as u64;
        self.due.push(Reverse((first, self.issued)));
        self.issued += 1;
    }

    /// Milliseconds until `number` polls again.
    fn interval(&mut self, number: u64) -> u64 {
        let ahead = number.saturating_sub(self.serving);
        self.forecast.poll_after(ahead, self.chance.f64()).as_millis() as u64
    }

    /// The line and those on their way to it are lost.
    pub(super) fn drain(&mut self) {
        self.line.clear();
        self.ranges.clear();
    }

    /// People called in all.
    pub(super) fn called(&self) -> u64 {
        self.serving
    }

    pub(super) fn waiting(&self) -> u64 {
        self.issued - self.serving
    }

    fn starving(&self) -> bool {
        self.line.is_empty() && self.flying.len() < self.limit
    }

    /// `seconds` pass.
    pub(super) fn run(&mut self, seconds: u64) {
        for _ in 0..seconds {
            let mut second = Second::default();
            for _ in 0..1_000 / STEP {
                if self.now.is_multiple_of(CHORE) {
                    second.called += self.chore();
                }
                self.people();
                second.done += self.serve();
                second.possible += usl(self.limit) * self.scale * STEP as f64 / 1e3;
                let idle = self.waiting() > 0 && self.starving() && self.scale > 0.0;
                second.starved += if idle { STEP } else { 0 };
                second.held = second.held.max(self.line.len());
                self.now += STEP;
            }
            self.log.push(second);
        }
    }

    fn chore(&mut self) -> u64 {
        while self.waiting() < self.kept {
            self.join();
        }
        let tick = Tick::from_nanos(self.now * 1_000_000);
        while self.ranges.front().is_some_and(|(_, cohort)| tick.since(cohort.called) > Duration::from_mins(2)) {
            self.ranges.pop_front();
        }
        let cohorts: Vec<_> = self.ranges.iter().map(|(_, cohort)| *cohort).collect();
        let wait = self.line.len() as f64 / self.rate.max(0.1);
        let gauge = Gauge {
            rate: self.rate,
            held: self.line.len() as u64,
            wait: Duration::from_secs_f64(wait),
            free: self.limit.saturating_sub(self.flying.len()) as u64,
            waiting: self.waiting(),
            cohorts: &cohorts,
            left: self.left,
        };
        let people = self.pace.step(tick, &gauge);
        assert!(people <= self.waiting(), "called who is not there");
        if people > 0 {
            self.ranges.push_back((self.serving, Cohort { called: tick, people, come: 0 }));
            self.serving += people;
        }
        let seen = Seen {
            called: self.serving,
            pending: self.pace.pending(tick, &gauge),
            expected: self.pace.speed(self.rate),
            no_show: self.pace.no_show(),
            paused: self.pace.plan() == PacePlan::Paused,
            idle: gauge.waiting == 0,
        };
        self.forecast = self.eta.observe(tick, &seen);
        people
    }

    /// Whoever is due polls; of those called, some have gone, and the others stand in line.
    fn people(&mut self) {
        while !self.away && self.due.peek().is_some_and(|Reverse((at, _))| *at <= self.now) {
            let Some(Reverse((_, number))) = self.due.pop() else { return };
            self.polls += 1;
            if number >= self.serving {
                let at = self.now + self.interval(number);
                self.due.push(Reverse((at, number)));
            } else if self.chance.f64() < self.no_show {
            } else if self.line.len() as f64 > self.rate.max(1.0) * PATIENCE.as_secs_f64() {
                self.due.push(Reverse((self.now + self.chance.u64(2_000..4_000), number)));
            } else {
                let at = self.ranges.partition_point(|(first, _)| *first <= number);
                if let Some((_, cohort)) = at.checked_sub(1).and_then(|at| self.ranges.get_mut(at)) {
                    cohort.come += 1;
                }
                self.line.push_back(self.now);
            }
        }
    }

    /// Works for one step, lets in who fits, measures; how many are done.
    fn serve(&mut self) -> u64 {
        let share = usl(self.flying.len()) * self.scale * STEP as f64 / 1e3 / self.flying.len().max(1) as f64;
        self.flying.iter_mut().for_each(|work| *work -= share);
        // What is left of the step when a request is done goes to whoever comes next.
        let mut spare: Vec<f64> = self.flying.iter().copied().filter(|work| *work <= 0.0).collect();
        self.flying.retain(|work| *work > 0.0);
        let done = spare.len() as u64;
        let saturated = !self.line.is_empty();
        while self.flying.len() < self.limit && self.line.pop_front().is_some() {
            self.flying.push(0.5 + self.chance.f64() + spare.pop().unwrap_or_default());
        }
        self.quarter = (self.quarter.0 + done, self.quarter.1 && saturated);
        if self.now.is_multiple_of(MEASURE) {
            if self.quarter.1 {
                self.rate += 0.3 * (self.quarter.0 as f64 * 1e3 / MEASURE as f64 - self.rate);
            }
            self.quarter = (0, true);
        }
        done
    }

    /// Share of the possible that was done in the seconds `from..to`.
    pub(super) fn goodput(&self, from: usize, to: usize) -> f64 {
        let seconds = &self.log[from..to];
        seconds.iter().map(|second| second.done as f64).sum::<f64>()
            / seconds.iter().map(|second| second.possible).sum::<f64>()
    }

    /// Most people in line in the seconds `from..to`.
    pub(super) fn held(&self, from: usize, to: usize) -> usize {
        self.log[from..to].iter().map(|second| second.held).max().unwrap_or(0)
    }
}
