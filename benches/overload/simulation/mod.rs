//! A limiter, a waiting line and a service in virtual time: seeded, exact, and minutes of overload in milliseconds.
//!
//! **Invariants** (asserted in every run): nothing is dispatched while as many are in flight as the limit in force allows;
//! while somebody waits, no permit is free.
//! **Cost**: about a quarter of a second for two minutes at 5,000 arrivals a second.
//! **Not here**: sockets, rooms, client limits.

pub(crate) mod crowd;
pub(crate) mod report;
pub(crate) mod rivals;
pub(crate) mod scenario;
pub(crate) mod service;

use std::collections::VecDeque;

use crowd::{Crowd, Person};
use report::Report;
use rivals::{End, Law, Seen};
use scenario::{Change, Scenario};
use service::{Condition, Service};

/// The controller's period.
const TICK: f64 = 0.01;

/// A refused connection, or an error in place of an answer, takes this long.
const FAILURE_TAKES: f64 = 0.001;

/// Nobody is let into the line who is predicted to wait longer.
const WAIT_MAX: f64 = 4.0;

/// Weight of a completion in the mean hold, as in `admission::predictor`.
const HOLD_WEIGHT: f64 = 1.0 / 64.0;

/// A request in service.
#[derive(Clone, Copy, Debug)]
struct Job {
    person: Person,
    dispatched: f64,
    in_flight: u32,
    kind: usize,
}

impl Job {
    /// What it costs the service.
    fn cost(&self) -> f64 {
        if self.kind == 0 { 1.0 } else { scenario::COSTLY }
    }
}

/// Somebody in line.
#[derive(Clone, Copy, Debug)]
struct Waiter {
    person: Person,
    until: f64,
}

/// One run.
pub(crate) struct Simulation<'a> {
    scenario: &'a Scenario,
    law: Box<dyn Law>,
    random: fastrand::Rng,
    crowd: Crowd,
    service: Service<Job>,
    failing: VecDeque<(f64, Job)>,
    line: VecDeque<Waiter>,
    in_flight: u32,
    mean_hold: f64,
    costly: f64,
    now: f64,
    report: Report,
}

impl<'a> Simulation<'a> {
    /// `law` against `scenario`; the same seed gives the same run.
    pub(crate) fn new(scenario: &'a Scenario, law: Box<dyn Law>, seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        Self {
            crowd: Crowd::new(scenario.load * scenario.shape.peak(), &mut random),
            service: Service::new(scenario.shape),
            report: Report::new(scenario.seconds),
            scenario,
            law,
            random,
            failing: VecDeque::new(),
            line: VecDeque::new(),
            in_flight: 0,
            mean_hold: 0.25,
            costly: 0.0,
            now: 0.0,
        }
    }

    /// Runs to the end of the scenario.
    pub(crate) fn run(mut self) -> Report {
        let mut changes = self.scenario.changes.iter().peekable();
        let mut tick = TICK;
        while self.now < self.scenario.seconds {
            let done = self.service.next_done();
            let failed = self.failing.front().map_or(f64::INFINITY, |(at, _)| *at);
            let arrival = self.crowd.next();
            self.now = done.min(failed).min(arrival).min(tick);
            self.service.advance(self.now);
            if let Some((_, change)) = changes.next_if(|(at, _)| *at <= self.now) {
                self.change(*change);
                continue;
            }
            if self.now >= tick {
                tick += TICK;
                self.tick();
            } else if self.now >= failed {
                let failed = self.failing.pop_front();
                self.end(failed.map(|(_, job)| job), false);
            } else if self.now >= done {
                let done = self.service.finish();
                self.end(done, true);
            } else {
                let person = self.crowd.arrive(self.now, &mut self.random);
                self.arrive(person);
            }
        }
        self.report
    }

    fn change(&mut self, change: Change) {
        let condition = &mut self.service.condition;
        match change {
            Change::Parallelism(share) => condition.parallelism = share,
            Change::Speed(speed) => condition.speed = speed,
            Change::Stalled(stalled) => condition.stalled = stalled,
            Change::Failing(failing) => condition.failing = failing,
            Change::ColdStart => *condition = Condition { started: Some(self.now), ..Condition::WELL },
            Change::Costly(share) => self.costly = share,
            Change::Load(load) => self.crowd.set_rate(self.now, load * self.scenario.shape.peak(), &mut self.random),
        }
    }

    fn tick(&mut self) {
        self.law.tick(self.now, Seen { in_flight: self.in_flight, waiting: self.line.len() });
        self.dispatch();
        assert!(self.line.is_empty() || self.in_flight >= self.law.limit(), "a permit is free and somebody waits");
        self.report.tick(self.now, TICK * self.service.capacity(), self.law.limit());
    }

    fn arrive(&mut self, person: Person) {
        let limit = self.law.limit();
        let rate = f64::from(limit.max(1)) / self.mean_hold;
        let predicted = (self.line.len() as f64 + 1.0) / rate;
        if self.in_flight >= limit && predicted > WAIT_MAX {
            self.crowd.turned_away(self.now, person, &mut self.random);
            return;
        }
        self.line.push_back(Waiter { person, until: self.now + WAIT_MAX });
        self.dispatch();
    }

    fn dispatch(&mut self) {
        while self.in_flight < self.law.limit() {
            let Some(waiter) = self.line.pop_front() else { return };
            if self.now > waiter.until || self.now > waiter.person.leaves {
                self.crowd.turned_away(self.now, waiter.person, &mut self.random);
                continue;
            }
            self.begin(waiter.person);
        }
    }

    fn begin(&mut self, person: Person) {
        assert!(self.in_flight < self.law.limit(), "more in flight than the limit in force");
        self.in_flight += 1;
        let kind = usize::from(self.random.f64() < self.costly);
        let job = Job { person, dispatched: self.now, in_flight: self.in_flight, kind };
        if self.service.condition.failing {
            self.failing.push_back((self.now + FAILURE_TAKES, job));
        } else {
            let work = self.scenario.work.draw(&mut self.random);
            self.service.begin(job.cost() * work, job);
        }
    }

    fn end(&mut self, job: Option<Job>, success: bool) {
        let Some(job) = job else { return };
        self.in_flight -= 1;
        let hold = self.now - job.dispatched;
        self.mean_hold += HOLD_WEIGHT * (hold - self.mean_hold);
        self.law.ended(End { now: self.now, hold, in_flight: job.in_flight, kind: job.kind, success });
        if !success {
            self.crowd.turned_away(self.now, job.person, &mut self.random);
        } else if self.now <= job.person.leaves {
            self.report.good(self.now, job.cost(), hold);
        }
        self.dispatch();
    }
}
