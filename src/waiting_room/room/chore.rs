//! What happens by itself, ten times a second: waves begin and end, numbers settle, people are called, estimates follow.
//!
//! **Invariants**: one caller at a time; a wave that has begun or ended is in the journal before anybody is called in it, and that somebody was
//! called before anybody is told so.
//! **Cost**: see `order`, `pace` and `eta`; the journal is waited for when a wave changes, when numbers are leased, and when people were called.
//! **Not here**: the timer (`runtime`), what the routes can take (`admission`).

use std::pin::Pin;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::ended;
use super::{LEASE_MOST, Now, Room, Shown};
use crate::waiting_room::eta::{Eta, Seen};
use crate::waiting_room::journal::{Appended, Record};
use crate::waiting_room::order::State;
use crate::waiting_room::pace::{Cohort, Gauge, Pace, PacePlan};
use crate::waiting_room::quota::Quota;
use crate::waiting_room::wave::{Phase, Progress, Standing};

/// Ticks in two seconds.
const LEASE_TICKS: u64 = 20;

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
    /// As configured, or as an operator has said since: what a pause ends in.
    pub(super) configured: PacePlan,
    cohorts: Vec<Cohort>,
    identities: usize,
    /// Numbers given as of the last tick.
    issued: u64,
    /// Serving as it was recorded last.
    served: u64,
    /// The first number that is fresh and the next, as they were recorded last.
    fresh: (u64, u64),
    /// On its way to the disk.
    lease: Option<(u64, Appended)>,
}

impl Control {
    pub(super) fn new(pace: Pace, eta: Eta, progress: Progress, configured: PacePlan, issued: u64) -> Self {
        Self {
            pace,
            eta,
            progress,
            configured,
            cohorts: Vec::new(),
            identities: 0,
            issued,
            served: 0,
            fresh: (0, 0),
            lease: None,
        }
    }
}

impl Room {
    /// Looks at the clock and at what the routes can take. The records are to be awaited, and then whoever was called is to be
    /// [announced](Self::announce).
    #[must_use]
    pub fn tick(&self, now: Now, load: &Load) -> Vec<Appended> {
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let mut records = Vec::new();
        self.follow_waves(&mut control, now.1, &mut records);
        self.pass_over_ended(now.0);
        self.keep_leased(&mut control);
        self.order.settle(now.0, now.1);
        self.note_fresh(&mut control);
        self.sweep(&mut control, now);
        let standing = self.schedule.standing(control.progress);
        let settles = self.settle_recovery(now.0, &standing, &mut records);
        // Before the fence is set: a draw that is held in between is called from the next tick on.
        let undrawn = self.lottery.undrawn();
        let quota = standing.calling.and_then(|wave| self.quota_of(wave));
        control.cohorts.clear();
        let mut cohorts = std::mem::take(&mut control.cohorts);
        // As of the same instant as those who are on their way: whoever is called now is neither, until the next tick.
        let so_far = self.order.called();
        self.order.cohorts(now.0, &mut cohorts);
        let called = cohorts.len();
        self.owed.awaited(now.0, &mut cohorts);
        let (called, owed) = cohorts.split_at(called);
        self.set_fence(&standing);
        let waiting = self.order.callable();
        let gauge = Gauge {
            rate: load.rate,
            held: load.held,
            wait: load.wait,
            free: load.free,
            waiting: if standing.calling.is_some() { waiting } else { 0 },
            awake: self.shown().forecast.awake(),
            asleep: self.order.asleep(now.0),
            cohorts: called,
            owed,
            left: quota.map(|quota| u64::from(quota.left())),
        };
        let promised = gauge.promised();
        let people = control.pace.step(now.0, &gauge);
        let paused = settles || control.pace.plan() == PacePlan::Paused || quota.is_some_and(Quota::is_unknown);
        let calls = standing.calling.is_some() && !paused;
        // Without anybody who is awaited all are passed who were given a number and never came back.
        if calls && (people > 0 || waiting == 0) {
            self.order.advance(now.0, people);
        }
        // Also of newcomers who were let in at once since the last tick.
        let serving = self.order.serving();
        if serving > control.served {
            control.served = serving;
            records.push(self.journal.append(Record::Serving { position: serving }));
        }
        let seen = Seen {
            called: so_far,
            pending: control.pace.pending(now.0, &gauge),
            surplus: control.pace.surplus(now.0, &gauge),
            stated: matches!(control.pace.plan(), PacePlan::Fixed(_)),
            expected: control.pace.speed(load.rate),
            no_show: control.pace.no_show(),
            paused: !calls,
            // How fast the last places come back says nothing of how fast people are let in.
            idle: waiting == 0 || gauge.left.is_some_and(|left| left <= promised),
        };
        let forecast = control.eta.observe(now.0, &seen);
        control.cohorts = cohorts;
        let unused = self.straight.swap(0, Ordering::AcqRel);
        let reserved = self.reserved.load(Ordering::Acquire) > now.0.as_nanos();
        let straight = if reserved { 0 } else { control.pace.straight(unused, waiting) };
        self.straight.store(straight, Ordering::Release);
        let shown = Shown { standing, forecast, paused, crowded: waiting > people, promised, undrawn };
        *self.shown.write().unwrap_or_else(PoisonError::into_inner) = shown;
        records
    }

    /// What the last tick gave to the journal is there: whoever it called is told so from now on.
    pub fn announce(&self) {
        let control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        self.announced.fetch_max(control.served, Ordering::AcqRel);
    }

    /// Stops calling, or goes on as configured or as an operator has said since; a room that is configured to pause goes on at the
    /// measured pace. To be awaited: then it lasts beyond a restart.
    pub fn pause(&self, paused: bool) -> Appended {
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = match control.configured {
            _ if paused => PacePlan::Paused,
            PacePlan::Paused => PacePlan::Measured,
            configured => configured,
        };
        control.pace.follow(plan);
        // From now on, not from the next tick: whoever paused it is told that nobody comes in any more.
        self.shown.write().unwrap_or_else(PoisonError::into_inner).paused = paused;
        self.journal.append(Record::Paused(paused))
    }

    /// Calls at `pace` from now on, until the next start; if the room pauses, from the end of the pause on.
    pub fn set_pace(&self, pace: PacePlan) {
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        control.configured = pace;
        if control.pace.plan() != PacePlan::Paused {
            control.pace.follow(pace);
        }
    }

    /// What the clock did while no process ran: the first who comes finds the room as it is at `unix` (since 1970).
    pub(super) fn wake(&self, unix: Duration) -> Vec<Appended> {
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let mut records = Vec::new();
        self.follow_waves(&mut control, unix, &mut records);
        let standing = self.schedule.standing(control.progress);
        self.set_fence(&standing);
        let mut shown = self.shown.write().unwrap_or_else(PoisonError::into_inner);
        *shown = Shown { standing, undrawn: self.lottery.undrawn(), ..*shown };
        records
    }

    pub(super) fn follow_waves(&self, control: &mut Control, unix: Duration, records: &mut Vec<Appended>) {
        // Before the clock is asked: a wave that was spent when the process ended has ended by that, whatever has opened since.
        let reached = control.progress;
        let calling = self.schedule.standing(reached).calling;
        let spent = calling.filter(|wave| self.quota_of(*wave).is_some_and(Quota::is_spent));
        let reached = spent.map_or(reached, |wave| self.schedule.spent(reached, wave));
        self.come_to(control, reached, records);
        self.come_to(control, self.schedule.advance(reached, unix), records);
    }

    fn come_to(&self, control: &mut Control, progress: Progress, records: &mut Vec<Appended>) {
        if progress == control.progress {
            return;
        }
        let [before, standing] = [control.progress, progress].map(|progress| self.schedule.standing(progress));
        if let Phase::Lobby { wave, .. } = before.phase
            && before.phase != standing.phase
        {
            records.extend(self.close_lobby(wave));
        }
        let first = self.order.issued();
        records.push(self.journal.append(Record::Wave { code: progress.code(), first }));
        self.begin(&standing, first);
        control.progress = progress;
    }

    /// The first number of those who join for a wave, at its lobby or at its opening; and of those whose wave has not ended.
    fn begin(&self, standing: &Standing, first: u64) {
        let mut starts = self.starts.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(joins) = joins(standing) {
            starts.begin(joins, first);
        }
        // Shown before it counts: to whom a place of this wave has ended, no look that finds the wave open may say that nothing is known of him.
        if !matches!(standing.phase, Phase::Open { .. }) {
            self.shown.write().unwrap_or_else(PoisonError::into_inner).standing = *standing;
        }
        self.ended.fetch_max(ended::end(&self.schedule, standing, &starts, first), Ordering::AcqRel);
    }

    /// Sees to it that numbers far beyond those given are in the journal: two seconds' worth of the present joins, so that the burst of an
    /// opening does not wait, and a quiet room leaves few behind at a kill.
    fn keep_leased(&self, control: &mut Control) {
        let issued = self.order.issued();
        let recent = issued.saturating_sub(std::mem::replace(&mut control.issued, issued));
        if let Some((until, mut record)) = control.lease.take() {
            match Pin::new(&mut record).poll(&mut Context::from_waker(Waker::noop())) {
                // Not before: whoever is given a number that the disk does not know could share it after a kill.
                Poll::Ready(Ok(())) => drop(self.leased.fetch_max(until, Ordering::AcqRel)),
                Poll::Ready(Err(_)) => {}
                Poll::Pending => control.lease = Some((until, record)),
            }
        }
        let ahead = recent.saturating_mul(LEASE_TICKS).clamp(self.lease_least, LEASE_MOST);
        if control.lease.is_none() && issued.saturating_add(ahead / 2) >= self.leased.load(Ordering::Acquire) {
            control.lease = Some(self.lease(ahead));
        }
    }

    /// Tells the journal who is fresh: after a kill they are it again. Nobody waits for it: without it they keep their places, uncounted.
    fn note_fresh(&self, control: &mut Control) {
        let fresh = (self.order.settled(), self.order.issued());
        if fresh != control.fresh {
            control.fresh = fresh;
            self.journal.post(Record::Fresh { from: fresh.0, until: fresh.1 });
        }
    }

    /// Leases `ahead` numbers beyond those given. The records of one room never go back: one that does is that of a clean end.
    pub(super) fn lease(&self, ahead: u64) -> (u64, Appended) {
        let mut last = self.leasing.lock().unwrap_or_else(PoisonError::into_inner);
        let until = self.order.issued().saturating_add(ahead).max(*last);
        *last = until;
        (until, self.journal.append(Record::Lease { issued_until: until }))
    }

    /// Nobody is given a number any more: the next start goes on with the next, and everything is on the disk within `bound`, or `false`.
    /// Blocks: for the end of the process, after the workers and the chore.
    #[must_use]
    pub fn close(&self, bound: Duration) -> bool {
        let issued = self.order.issued();
        drop(self.journal.append(Record::Fresh { from: self.order.settled(), until: issued }));
        drop(self.journal.append(Record::Lease { issued_until: issued }));
        self.journal.close(bound)
    }

    /// Ends passages that were not used, and forgets what nobody can ask for.
    fn sweep(&self, control: &mut Control, (now, unix): Now) {
        self.retry_releases(unix);
        for swept in self.order.sweep(unix, self.passage) {
            let recorded = self.journal.offer(self.state_record(swept.number, State::Gone, swept.wave, unix));
            self.release(swept.number, swept.wave, recorded);
        }
        let first = self.order.retire(now, unix, self.life);
        control.identities = control.identities.wrapping_add(1);
        self.identities.sweep(first, control.identities);
    }
}

/// The wave for which people join.
pub(super) const fn joins(standing: &Standing) -> Option<u8> {
    match standing.phase {
        Phase::Lobby { wave, .. } | Phase::Open { wave, .. } => Some(wave),
        Phase::Closed { .. } => None,
    }
}
