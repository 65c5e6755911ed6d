//! Virtual time: a service that shares its capacity, a gate with a line, a room, and a crowd that polls.
//!
//! The room is the plainest there is: numbers are called in order, cohorts are ranges of them. The gate measures its rate
//! only over quarters of a second in which somebody was in line all the time.

#![expect(clippy::cast_possible_truncation, clippy::similar_names, reason = "small figures of a simulation")]

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet, VecDeque};
use std::time::Duration;

use super::{Cohort, Gauge, Pace, PacePlan};
use crate::clock::Tick;
use crate::waiting_room::eta::{Eta, Forecast, SLEEP, Seen, first_return};

/// Steps of the simulation, of the chore, and of the gate's measurement, in milliseconds.
const STEP: u64 = 10;
const CHORE: u64 = 100;
const MEASURE: u64 = 250;

/// How exactly it is known when somebody joined.
const GRAIN: u64 = 200;

/// How many a second of a newly started gate are believed to be done: 16 permits, each held for a quarter of a second.
pub(super) const COLD: f64 = 64.0;

/// How long the gate's route holds a request in line, unless a test says otherwise.
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
    /// So many people come a second, and find the gate or a place.
    pub(super) arrivals: f64,
    /// How long the gate's route holds a request.
    pub(super) patience: Duration,
    pub(super) left: Option<u64>,
    pub(super) rate: f64,
    pub(super) log: Vec<Second>,
    pub(super) polls: u64,
    pub(super) eta: Eta,
    pub(super) forecast: Forecast,
    now: u64,
    chance: fastrand::Rng,
    flying: Vec<f64>,
    /// Since when who is in line.
    line: VecDeque<(u64, u64)>,
    /// The part of somebody who has not come yet.
    coming: f64,
    quarter: (u64, bool),
    serving: u64,
    ranges: VecDeque<(u64, Cohort)>,
    /// How many numbers had been given when.
    joined: VecDeque<(u64, u64)>,
    /// Who has come after he was called.
    welcomed: HashSet<u64>,
    /// When those come again who waited in vain.
    owed: Vec<u64>,
    /// Visits of called people who found the line too long, or stood in it for too long.
    pub(super) refused: u64,
    /// When whom: the crowd.
    due: BinaryHeap<Reverse<(u64, u64)>>,
}

impl World {
    /// A service of `scale` times the law's capacity; nobody is there.
    pub(super) fn new(plan: PacePlan, scale: f64, rate: f64, seed: u64) -> Self {
        let pace = Pace::new(plan, PATIENCE, Tick::ZERO);
        let mut eta = Eta::new(Tick::ZERO);
        let seen = Seen {
            called: 0,
            pending: 0.0,
            surplus: 0.0,
            expected: pace.speed(rate),
            stated: false,
            no_show: 0.0,
            paused: false,
            idle: false,
        };
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
            arrivals: 0.0,
            patience: PATIENCE,
            left: None,
            rate,
            log: Vec::new(),
            polls: 0,
            now: 0,
            chance: fastrand::Rng::with_seed(seed),
            flying: Vec::new(),
            line: VecDeque::new(),
            coming: 0.0,
            quarter: (0, true),
            serving: 0,
            ranges: VecDeque::new(),
            joined: VecDeque::from([(0, 0)]),
            welcomed: HashSet::new(),
            owed: Vec::new(),
            refused: 0,
            due: BinaryHeap::new(),
        }
    }

    /// `waiting` people who have been waiting for long, of whom the first `followed` are followed.
    pub(super) fn crowd(mut self, waiting: u64, followed: u64) -> Self {
        self.issued = waiting;
        self.joined.clear();
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
        let first = first_return(self.chance.f64()).as_millis() as u64;
        let first = self.now + first.min(self.interval(self.issued));
        self.due.push(Reverse((first, self.issued)));
        self.issued += 1;
    }

    /// Newcomers: while nobody waits in the room they go straight into line, as long as it is believed to be in time.
    fn newcomers(&mut self) {
        self.coming += self.arrivals * STEP as f64 / 1e3;
        while self.coming >= 1.0 {
            self.coming -= 1.0;
            if self.waiting() > 0 || self.wait() > self.patience {
                self.join();
                continue;
            }
            let number = self.issued;
            self.line.push_back((self.now, number));
            self.issued += 1;
            self.serving += 1;
            self.welcomed.insert(number);
        }
    }

    /// The next `people` are called, the last of whom is `asleep` for so long.
    fn call(&mut self, people: u64, asleep: Duration) {
        let called = Tick::from_nanos(self.now * 1_000_000).after(asleep);
        self.ranges.push_back((self.serving, Cohort { called, people, come: 0 }));
        self.serving += people;
    }

    /// For how long `number` cannot come.
    fn asleep(&self, number: u64) -> Duration {
        let joined = self.joined.partition_point(|(_, issued)| *issued <= number);
        let joined = joined.checked_sub(1).and_then(|at| self.joined.get(at));
        joined.map_or(Duration::ZERO, |(at, _)| {
            (SLEEP + Duration::from_millis(*at)).saturating_sub(Duration::from_millis(self.now))
        })
    }

    /// `number`, who was called, is there; whether for the first time.
    fn come(&mut self, number: u64) {
        let at = self.ranges.partition_point(|(first, _)| *first <= number);
        if let Some((_, cohort)) = at.checked_sub(1).and_then(|at| self.ranges.get_mut(at)) {
            cohort.come += 1;
        }
    }

    /// How long somebody who comes now is believed to stand in line.
    fn wait(&self) -> Duration {
        Duration::from_secs_f64(self.line.len() as f64 / self.rate.max(0.1))
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

    /// People in line, and those called who have not come and are believed to.
    pub(super) fn expected(&self) -> f64 {
        let outstanding: u64 = self.ranges.iter().map(|(_, cohort)| cohort.outstanding()).sum();
        self.line.len() as f64 + outstanding as f64 * (1.0 - self.no_show)
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
                self.newcomers();
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
        if self.now.is_multiple_of(GRAIN) {
            self.joined.push_back((self.now, self.issued));
        }
        while self.joined.front().is_some_and(|(at, _)| at + 10_000 < self.now) {
            self.joined.pop_front();
        }
        while self.ranges.front().is_some_and(|(_, cohort)| tick.since(cohort.called) > Duration::from_mins(2)) {
            self.ranges.pop_front();
        }
        let cohorts: Vec<_> = self.ranges.iter().map(|(_, cohort)| *cohort).collect();
        self.owed.retain(|at| *at > self.now);
        let again = |at: &u64| Cohort { called: Tick::from_nanos(at * 1_000_000), people: 1, come: 0 };
        let owed: Vec<_> = self.owed.iter().map(again).collect();
        let gauge = Gauge {
            rate: self.rate,
            held: self.line.len() as u64,
            wait: self.wait(),
            free: self.limit.saturating_sub(self.flying.len()) as u64,
            waiting: self.waiting(),
            awake: self.forecast.awake(),
            asleep: self.asleep(self.serving),
            cohorts: &cohorts,
            owed: &owed,
            left: self.left,
        };
        let gone = self.serving;
        let people = self.pace.step(tick, &gauge);
        assert!(people <= self.waiting(), "called who is not there");
        if people > 0 {
            self.call(people, self.asleep(self.serving + people - 1));
        }
        let seen = Seen {
            called: gone,
            pending: self.pace.pending(tick, &gauge),
            surplus: self.pace.surplus(tick, &gauge),
            expected: self.pace.speed(self.rate),
            stated: matches!(self.pace.plan(), PacePlan::Fixed(_)),
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
            } else {
                if self.welcomed.insert(number) {
                    self.come(number);
                }
                if self.wait() > self.patience {
                    self.refuse(number);
                } else {
                    self.line.push_back((self.now, number));
                }
            }
        }
        // Whoever was held in vain comes again.
        let patience = self.patience.as_millis() as u64;
        while self.line.front().is_some_and(|(since, _)| since + patience <= self.now) {
            let Some((_, number)) = self.line.pop_front() else { return };
            self.refuse(number);
        }
    }

    /// `number` waits in vain, and comes again.
    fn refuse(&mut self, number: u64) {
        self.refused += 1;
        let again = self.now + self.chance.u64(2_000..4_000);
        self.due.push(Reverse((again, number)));
        self.owed.push(again);
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
