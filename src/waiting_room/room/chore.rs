//! What happens by itself, ten times a second: waves begin and end, numbers settle, people are called, estimates follow.
//!
//! **Invariants**: one caller at a time; a wave that has begun or ended is in the journal before anybody is called in it.
//! **Cost**: see `order`, `pace` and `eta`; the journal is waited for when a wave changes, when numbers are leased, and when people were called.
//! **Not here**: the timer (`runtime`), what the routes can take (`admission`).

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{LEASE, Now, Room, Shown};
use crate::waiting_room::eta::{Eta, Seen};
use crate::waiting_room::journal::{Appended, Record};
use crate::waiting_room::order::State;
use crate::waiting_room::pace::{Cohort, Gauge, Pace, PacePlan};
use crate::waiting_room::wave::{Phase, Progress};

/// What the routes of a room can take, as of one instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Requests a second that their gates complete while saturated.
    pub rate: f64,
    /// Called people in line there.
    pub held: u64,
    /// How long somebody called now would be held.
    pub wait: Duration,
    /// Requests that would be let in at once.
    pub free: u64,
}

/// What only the chore touches.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) pace: Pace,
    pub(super) eta: Eta,
    pub(super) progress: Progress,
    /// As configured: what an operator's pause ends in.
    pub(super) configured: PacePlan,
    /// Live people called since the start.
    called: u64,
    cohorts: Vec<Cohort>,
    identities: usize,
}

impl Control {
    pub(super) fn new(pace: Pace, eta: Eta, progress: Progress, configured: PacePlan) -> Self {
        Self { pace, eta, progress, configured, called: 0, cohorts: Vec::new(), identities: 0 }
    }
}

impl Room {
    /// Looks at the clock and at what the routes can take. The records are to be awaited before the next tick.
    #[must_use]
    pub fn tick(&self, now: Now, load: &Load) -> Vec<Appended> {
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let mut records = Vec::new();
        self.follow_waves(&mut control, now.1, &mut records);
        self.lease(&mut records);
        self.order.settle(now.0, now.1);
        self.sweep(&mut control, now.1);
        let standing = self.schedule.standing(control.progress);
        let quota = standing.calling.and_then(|wave| self.quota_of(wave));
        control.cohorts.clear();
        let mut cohorts = std::mem::take(&mut control.cohorts);
        self.order.cohorts(&mut cohorts);
        let waiting = self.order.waiting();
        let gauge = Gauge {
            rate: load.rate,
            held: load.held,
            wait: load.wait,
            free: load.free,
            waiting: if standing.calling.is_some() { waiting } else { 0 },
            cohorts: &cohorts,
            left: quota.map(|quota| u64::from(quota.left())),
        };
        let people = control.pace.step(now.0, &gauge);
        let calls = standing.calling.is_some() && !matches!(control.pace.plan(), PacePlan::Paused);
        // Without anybody who is awaited all are passed who were given a number and never came back.
        if calls && (people > 0 || waiting == 0) {
            let before = self.order.serving();
            let serving = self.order.advance(now.0, people);
            control.called += people;
            if serving > before {
                records.push(self.journal.append(Record::Serving { position: serving }));
            }
        }
        let seen = Seen {
            called: control.called,
            pending: control.pace.pending(now.0, &gauge),
            expected: control.pace.speed(load.rate),
            no_show: control.pace.no_show(),
            paused: !calls,
        };
        let forecast = control.eta.observe(now.0, &seen);
        control.cohorts = cohorts;
        let unused = self.straight.swap(0, Ordering::AcqRel);
        self.straight.store(control.pace.straight(unused, waiting), Ordering::Release);
        let shown =
            Shown { standing, forecast, paused: control.pace.plan() == PacePlan::Paused, crowded: waiting > people };
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = shown;
        records
    }

    /// Stops calling, or goes on as configured.
    #[must_use]
    pub fn pause(&self, paused: bool) -> Appended {
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = match control.configured {
            _ if paused => PacePlan::Paused,
            PacePlan::Paused => PacePlan::Measured,
            configured => configured,
        };
        control.pace.follow(plan);
        self.journal.append(Record::Paused(paused))
    }

    /// Calls at `pace` from now on, until the next start.
    pub fn set_pace(&self, pace: PacePlan) {
        self.control.lock().unwrap_or_else(PoisonError::into_inner).pace.follow(pace);
    }

    fn follow_waves(&self, control: &mut Control, unix: Duration, records: &mut Vec<Appended>) {
        let reached = control.progress;
        let mut progress = self.schedule.advance(reached, unix);
        if let Some(wave) = self.schedule.standing(progress).calling
            && self.quota_of(wave).is_some_and(super::Quota::is_spent)
        {
            progress = self.schedule.spent(progress, wave);
        }
        if progress == reached {
            return;
        }
        let first = self.order.issued();
        records.push(self.journal.append(Record::Wave { code: progress.code(), first }));
        self.begin(progress, first);
        control.progress = progress;
    }

    /// The first number of those who join for a wave: at its lobby, or at its opening.
    pub(super) fn begin(&self, progress: Progress, first: u64) {
        let joins = match self.schedule.standing(progress).phase {
            Phase::Lobby { wave, .. } | Phase::Open { wave, .. } => wave,
            Phase::Closed { .. } => return,
        };
        let mut starts = self.starts.write().unwrap_or_else(PoisonError::into_inner);
        while starts.len() <= usize::from(joins) {
            starts.push(first);
        }
    }

    /// Sees to it that numbers far beyond those given are in the journal.
    fn lease(&self, records: &mut Vec<Appended>) {
        let issued = self.order.issued();
        if issued.saturating_add(LEASE / 2) > self.leased.load(Ordering::Acquire) {
            let until = issued.saturating_add(LEASE);
            records.push(self.journal.append(Record::Lease { issued_until: until }));
            // Before it is written: whoever is given such a number meanwhile loses it only if the process is killed within that
            // time, and nobody else is given it.
            self.leased.store(until, Ordering::Release);
        }
    }

    /// Ends passages that were not used, and forgets what nobody can ask for.
    fn sweep(&self, control: &mut Control, unix: Duration) {
        for swept in self.order.sweep(unix, self.passage) {
            self.released(swept.wave);
            self.journal.post(self.state_record(swept.number, State::Gone, swept.wave, unix));
        }
        let first = self.order.retire(unix, self.life);
        control.identities = control.identities.wrapping_add(1);
        self.identities.sweep(first, control.identities);
    }
}
