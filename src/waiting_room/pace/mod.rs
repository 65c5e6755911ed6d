//! How many people to call now.
//!
//! Whoever is called comes some time later, or not at all. So what is kept at its level is not the line at the gate but the line
//! *and* those of the called who will still come: a base stock (Arrow, Harris & Marschak 1951; with a lead time: Clark & Scarf 1960).
//! Seconds of work are kept in line, so that nothing that happens within them — no-shows, a faster service — leaves the service idle
//! before it has been answered. Who will come, and when, is learned from those called before (`returns`).
//!
//! The death spiral, in which a room calls at a measured rate and the rate is measured while people are missing, is excluded twice: the rate is
//! the gates' own, learned only while somebody waits there; and a gate that starves while people wait is answered
//! with more people, geometrically, whatever the rate says.
//!
//! **Invariants**
//! * Never more are called than wait, nor than the quota has left for those called and not yet through.
//! * Paused calls nobody; a fixed pace calls exactly its rate while the gate can take it, and never more.
//! * A gate that starves is never a reason to call fewer.
//! * Nobody is called while those in line and those believed to come are more than the work in line, what is free, and
//!   [`PRESS_MOST`] times what the services take in the mean time to come.
//! * At a measured pace never more than [`RUSH`] times what the services take are called a second, nor than are awake by what they were told
//!   (`eta`), and a second's worth at once.
//! * Whoever cannot come yet is not taken for somebody who stays away.
//!
//! **Cost**: some nanoseconds a cohort, once a step; nothing a request.
//! **Bound**: as many cohorts as there are steps in sixteen seconds.
//! **Not here**: whom (`order`), the gates (`admission`), the quota's exactness (`quota`).

mod returns;
#[cfg(all(test, not(feature = "loom")))]
mod sim;
#[cfg(all(test, not(feature = "loom")))]
mod tests;

use std::time::Duration;

use self::returns::Returns;
use crate::clock::Tick;

/// Work kept in line at the gate, unless half of what the route lets wait is less: what is lost of it in the time in
/// which a step of no-shows is noticed (a second) still leaves some.
const WORK: Duration = Duration::from_secs(1);

/// Never fewer are kept in line: of a service with one permit the next shall be there when it is free.
const LINE_LEAST: f64 = 2.0;

/// Whoever is called now counts if he comes within this time: polls near the turn come every two seconds.
const LEAD: Duration = Duration::from_millis(2500);

/// No rate is believed to be less, in people a second: where nothing was measured, somebody must be called to measure it.
const SLOWEST: f64 = 0.2;

/// A rate that has fallen is forgotten in so many seconds: after a pause or a stall of seconds the crowd is called as before it, and what
/// a slower service is called too many waits in line until it has been.
const FORGET: f64 = 8.0;

/// A gate that starves is answered again so often, ...
const PRESS_EVERY: Duration = Duration::from_millis(250);

/// ... with so many times as many people, ...
const PRESS_GROWTH: f64 = 1.5;

/// ... but not more than so many times what comes without saturating the gate: where nobody comes, it is not the rate that is wrong.
const PRESS_MOST: f64 = 3.0;

/// However many do not come, so many times as many as the services take are called a second, and a second's worth at once: a crowd
/// that cannot be reached for a while shall not have been called as a whole.
const RUSH: f64 = 10.0;

/// A fixed pace that could not be kept for longer, because the chore was late, is not made up for.
const LATENESS: Duration = Duration::from_secs(1);

/// How often people are called, about.
const STEP: Duration = Duration::from_millis(100);

/// What the room is told to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PacePlan {
    /// Call as many as the services behind take.
    Measured,
    /// Call so many people a second, while the gate can take them; positive and finite.
    Fixed(f64),
    /// Call nobody.
    Paused,
}

/// Those called in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cohort {
    /// Since when they can come: their call, or later if they had joined just before it, and were told to come then.
    pub called: Tick,
    /// How many.
    pub people: u64,
    /// How many of them have come since, whatever became of them then.
    pub come: u64,
}

impl Cohort {
    /// Called, and not come yet.
    #[must_use]
    pub const fn outstanding(&self) -> u64 {
        self.people.saturating_sub(self.come)
    }
}

/// What is known at a step.
#[derive(Clone, Copy, Debug)]
pub struct Gauge<'a> {
    /// Requests of this room that its gates complete a second *while saturated*: the slowest of them. Zero if never measured.
    pub rate: f64,
    /// People of this room in line at the gate.
    pub held: u64,
    /// Predicted wait there of somebody who is called now.
    pub wait: Duration,
    /// Requests that could be let in at once if they were here: permits and tokens that are free.
    pub free: u64,
    /// Live people who are not called.
    pub waiting: u64,
    /// So many of them a second may be called and are awake then: whoever is called sooner was told to come later (`eta`). Infinite if all are.
    pub awake: f64,
    /// For so long whoever is called next cannot come: he joined just now, and was told to come then.
    pub asleep: Duration,
    /// Those called lately, oldest first: for sixteen seconds at least. Whoever of them has not come counts against what the quota
    /// has left.
    pub cohorts: &'a [Cohort],
    /// Those who were called, waited at the gate in vain, and are to come again. Nobody is called the later for them: some do not, and a gate
    /// that starves is worth more than a line that is too long for a while.
    pub owed: &'a [Cohort],
    /// Places that the quota has left; [`None`] without one.
    pub left: Option<u64>,
}

impl Gauge<'_> {
    /// Those called who have a place of the quota each, if they come and take it.
    #[must_use]
    pub fn promised(&self) -> u64 {
        self.cohorts.iter().map(Cohort::outstanding).sum::<u64>().saturating_add(self.held)
    }
}

/// Decides how many to call. Owned by the chore that steps it, about ten times a second.
#[derive(Debug)]
pub struct Pace {
    plan: PacePlan,
    work: f64,
    returns: Returns,
    /// The measured rate, forgotten slowly.
    rate: f64,
    /// What is asked for beyond the measured rate because the gate starves, people a second.
    press: f64,
    pressed: Tick,
    stepped: Tick,
    /// People who may be called before it is a rush; [`None`] at the first step.
    allowance: Option<f64>,
    /// Of a fixed pace, the people who are due; the first one is at once.
    credit: f64,
}

impl Pace {
    /// A pace after `plan` from `now` on, for routes that hold a request at most `patience` in line.
    #[must_use]
    pub fn new(plan: PacePlan, patience: Duration, now: Tick) -> Self {
        Self {
            plan,
            work: WORK.min(patience / 2).as_secs_f64(),
            returns: Returns::new(now),
            rate: SLOWEST,
            press: 0.0,
            pressed: now,
            stepped: now,
            allowance: None,
            credit: 1.0,
        }
    }

    /// Follows `plan` from the next step on; what was learned stays.
    pub fn follow(&mut self, plan: PacePlan) {
        self.plan = plan;
        self.credit = 0.0;
        self.press = 0.0;
    }

    /// What it follows.
    #[must_use]
    pub const fn plan(&self) -> PacePlan {
        self.plan
    }

    /// Share of those called who never come, `0..=1`, as learned.
    #[must_use]
    pub fn no_show(&self) -> f64 {
        1.0 - self.returns.share()
    }

    /// People a second that this room is going to call if nothing changes: what an estimate begins with before it has seen any.
    #[must_use]
    pub fn speed(&self, rate: f64) -> f64 {
        match self.plan {
            PacePlan::Fixed(pace) => pace,
            PacePlan::Measured | PacePlan::Paused => believed(rate) / self.returns.share(),
        }
    }

    /// Of those called until `now`, how many are believed to come, for the first time or again, and how many are in line.
    #[must_use]
    pub fn pending(&self, now: Tick, gauge: &Gauge<'_>) -> f64 {
        gauge.held as f64 + self.returns.coming(now, gauge.cohorts, None) + owed(gauge, None)
    }

    /// How many of the [pending](Self::pending) are more than shall be: while there are any, nobody is called.
    #[must_use]
    pub fn surplus(&self, now: Tick, gauge: &Gauge<'_>) -> f64 {
        match self.plan {
            PacePlan::Measured => {
                let way = self.returns.delay() + gauge.asleep.as_secs_f64();
                let later = owed(gauge, None) - owed(gauge, Some(now.after(LEAD)));
                let stock = self.line(gauge) + self.rate * way;
                ((self.pending(now, gauge) - later - stock) / self.returns.share()).max(0.0)
            }
            PacePlan::Fixed(_) | PacePlan::Paused => 0.0,
        }
    }

    /// How many to call at `now`. The caller calls them, or fewer if fewer are there, and tells them as a cohort in the next gauge.
    pub fn step(&mut self, now: Tick, gauge: &Gauge<'_>) -> u64 {
        let passed = now.since(self.stepped);
        self.stepped = now;
        self.rate = (self.rate * (-passed.as_secs_f64() / FORGET).exp()).max(believed(gauge.rate));
        self.returns.observe(now, gauge.cohorts, self.rate);
        self.press_on(now, gauge);
        let wanted = match self.plan {
            PacePlan::Paused => 0.0,
            PacePlan::Measured => self.room(now, gauge).min(self.allowed(gauge, passed)),
            PacePlan::Fixed(pace) => self.fixed(now, gauge, pace, passed),
        };
        let bound = gauge.left.map_or(u64::MAX, |left| left.saturating_sub(gauge.promised()));
        let called = whole(wanted).min(gauge.waiting).min(bound);
        self.credit = (self.credit - called as f64).clamp(0.0, self.most_credit());
        self.allowance = self.allowance.map(|allowance| (allowance - called as f64).max(0.0));
        called
    }

    /// How many newcomers may go straight in until the next step, with `waiting` people before them; `unused` were allowed at the last
    /// one and did not come. Only a fixed pace says a number: others leave it to the gate.
    pub fn straight(&mut self, unused: u64, waiting: u64) -> u64 {
        if !matches!(self.plan, PacePlan::Fixed(_)) {
            return u64::MAX;
        }
        self.credit = (self.credit + unused as f64).min(self.most_credit());
        let people = if waiting == 0 { whole(self.credit) } else { 0 };
        self.credit -= people as f64;
        people
    }

    /// What a fixed pace is owed at most: a person, or a step's worth.
    fn most_credit(&self) -> f64 {
        match self.plan {
            PacePlan::Fixed(pace) => (pace * STEP.as_secs_f64()).max(1.0),
            PacePlan::Measured | PacePlan::Paused => 1.0,
        }
    }

    /// How many shall be in line or let in at once.
    fn line(&self, gauge: &Gauge<'_>) -> f64 {
        (self.rate * self.work).max(LINE_LEAST) + gauge.free as f64
    }

    /// People a gate of `rate` has room for: what is missing of the base stock, and of the line as it will be [`LEAD`] after they can come; whichever is less.
    /// The first alone would answer to a faster service with people for the whole of a long time to come, the
    /// second alone would call without end while nobody can come yet.
    fn room(&self, now: Tick, gauge: &Gauge<'_>) -> f64 {
        if !starving(gauge) && gauge.wait.as_secs_f64() > 2.0 * self.work {
            return 0.0;
        }
        let asked = self.rate.max(self.press);
        let line = self.line(gauge);
        let lead = LEAD + gauge.asleep;
        let held = gauge.held as f64;
        let soon = self.returns.coming(now, gauge.cohorts, Some(lead));
        let ever = self.returns.coming(now, gauge.cohorts, None);
        let ahead = line + asked * lead.as_secs_f64() - held - soon;
        let stock = line + asked * (self.returns.delay() + gauge.asleep.as_secs_f64()) - held - ever;
        (ahead / self.returns.share_within(LEAD)).min(stock / self.returns.share()).max(0.0)
    }

    /// People who may be called now without a rush, `passed` after the last step.
    fn allowed(&mut self, gauge: &Gauge<'_>, passed: Duration) -> f64 {
        let rush = (RUSH * self.rate.max(self.returns.flow())).min(gauge.awake);
        let most = gauge.free as f64 + LINE_LEAST + rush;
        let allowed = self.allowance.map_or(most, |left| (left + rush * passed.as_secs_f64()).min(most));
        *self.allowance.insert(allowed)
    }

    /// People of a fixed `pace` that are due after `passed`, as far as the gate takes them.
    fn fixed(&mut self, now: Tick, gauge: &Gauge<'_>, pace: f64, passed: Duration) -> f64 {
        self.credit += pace * passed.min(LATENESS).as_secs_f64();
        // A gate with nobody in line has not said what it can take: then the pace holds, as its operator means it.
        let room = if gauge.held == 0 { f64::INFINITY } else { self.room(now, gauge) };
        self.credit.min(room)
    }

    /// Asks for more while the gate starves and people wait, and for less again when it does not.
    fn press_on(&mut self, now: Tick, gauge: &Gauge<'_>) {
        if now.since(self.pressed) < PRESS_EVERY {
            return;
        }
        self.pressed = now;
        if starving(gauge) && gauge.waiting > 0 && self.plan == PacePlan::Measured {
            let most = PRESS_MOST * self.returns.flow();
            self.press = (self.press.max(self.rate) * PRESS_GROWTH).min(most);
        } else {
            self.press /= PRESS_GROWTH;
        }
    }
}

/// How many come again until `by`.
fn owed(gauge: &Gauge<'_>, by: Option<Tick>) -> f64 {
    let owed = gauge.owed.iter().filter(|cohort| by.is_none_or(|by| cohort.called <= by));
    owed.map(Cohort::outstanding).sum::<u64>() as f64
}

/// The gate could let somebody in, and nobody is there.
const fn starving(gauge: &Gauge<'_>) -> bool {
    gauge.free > 0 && gauge.held == 0
}

/// `rate`, if it is one.
fn believed(rate: f64) -> f64 {
    if rate.is_finite() { rate.max(SLOWEST) } else { SLOWEST }
}

/// `people`, without the part of one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast saturates, and it is not negative")]
fn whole(people: f64) -> u64 {
    people.max(0.0) as u64
}
