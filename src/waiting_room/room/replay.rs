//! What the records of a room's journal add up to.
//!
//! **Invariants**: a later record of the same subject replaces an earlier one; numbers given after a restart are greater than all that may have
//! been given before.
//! **Not here**: the room that is made of it (`restore`).

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use super::chore::joins;
use super::ended;
use super::lobby::{DrawFault, Lottery};
use super::recover::{People, named};
use super::starts::Starts;
use super::tally::Tally;
use crate::config::plan::{self, Secret};
use crate::waiting_room::identity::{Identities, IdentityHash};
use crate::waiting_room::journal::Record;
use crate::waiting_room::order::{Order, Restored, State};
use crate::waiting_room::wave::{Progress, Schedule};

/// Numbers that kills may skip without taking room from those who come: a thousand kills' leases, but no more than there is room for
/// people. Their chunks are made only while their neighbours are fresh.
const SKIPPED: usize = 1 << 20;

/// Identities for each number: of its holder, that it is his, and of an old ticket or the key of his request.
const NAMES: usize = 3;

/// What must be known before the rest is read.
#[derive(Debug, Default)]
pub(super) struct Extent {
    /// By the last lease; one that goes back is that of a clean end.
    leased: u64,
    /// Beyond the greatest number of which anything was heard.
    seen: u64,
    front: u64,
    /// Numbers that were fresh at the last tick; [`None`] in a journal that does not say.
    fresh: Option<(u64, u64)>,
}

/// What the records add up to.
pub(super) struct Told {
    pub(super) order: Order,
    /// Who is fresh for another while.
    fresh: Range<u64>,
    pub(super) generation: u32,
    pub(super) identities: Identities,
    pub(super) front: u64,
    /// Whether those with tickets of a lost state have been put in order; [`None`]: none was lost.
    pub(super) recovery: Option<bool>,
    pub(super) people: People,
    pub(super) progress: Progress,
    pub(super) starts: Starts,
    /// Numbers below have no place any more, unless they came in.
    pub(super) ended: u64,
    pub(super) tally: Tally,
    pub(super) paused: bool,
    pub(super) lottery: Lottery,
    /// What is wrong with a draw.
    pub(super) fault: Option<DrawFault>,
    serving: u64,
    sending: BTreeSet<u64>,
    schedule: Schedule,
}

impl Extent {
    pub(super) fn hear(&mut self, record: Record) {
        match record {
            Record::Lease { issued_until } => self.leased = issued_until,
            Record::Returned { number }
            | Record::Identity { number, .. }
            | Record::Registered { number, .. }
            | Record::Recovered { number, .. }
            | Record::State { number, .. } => self.seen = self.seen.max(number.saturating_add(1)),
            Record::Recovery { front, .. } => self.front = front,
            Record::Fresh { from, until } => self.fresh = Some((from, until)),
            _ => {}
        }
    }

    fn issued(&self) -> u64 {
        self.leased.max(self.seen).max(self.front)
    }

    /// Numbers that are fresh for another while: those that were when the process ended. Behind them are those that it had leased and, as
    /// far as is known, not given.
    fn fresh(&self) -> Range<u64> {
        let Some((from, until)) = self.fresh else { return self.issued()..self.issued() };
        let until = until.max(self.seen).min(self.issued());
        if from < until { from.max(self.front)..until } else { self.issued()..self.issued() }
    }
}

impl Told {
    pub(super) fn new(
        plan: &plan::WaitingRoom,
        secret: &Secret,
        schedule: &Schedule,
        generation: u32,
        extent: &Extent,
        unix: Duration,
    ) -> Self {
        let front = usize::try_from(extent.front).unwrap_or(usize::MAX);
        let mut order =
            Order::new(plan.capacity.saturating_add(front).saturating_add(SKIPPED.min(plan.capacity)), generation);
        // Before all else: what falls out of the window is not restored, and a draw needs all its numbers.
        order.restore(Restored::Issued(extent.issued()), unix);
        let fresh = extent.fresh();
        order.restore(Restored::Settled(fresh.start), unix);
        Self {
            order,
            fresh,
            generation,
            identities: Identities::new(secret, plan.capacity.saturating_mul(NAMES)),
            front: extent.front,
            recovery: None,
            people: People::default(),
            progress: Progress::default(),
            starts: Starts::default(),
            ended: 0,
            tally: Tally::new(plan.waves.len()),
            paused: false,
            lottery: Lottery::new(&plan.name, generation, plan.state.clone(), plan.waves.len()),
            fault: None,
            serving: 0,
            sending: BTreeSet::new(),
            schedule: schedule.clone(),
        }
    }

    pub(super) fn hear(&mut self, record: Record, unix: Duration) {
        match record {
            Record::Serving { position } => self.serving = self.serving.max(position),
            Record::Returned { number } => {
                self.order.restore(Restored::Returned(number), unix);
            }
            Record::Identity { hash, number } => {
                self.identities.restore(IdentityHash::from_u64(hash), number);
            }
            Record::State { number, state, wave, at } => {
                let at = Duration::from_secs(u64::from(self.generation) + u64::from(at));
                let state = State::ALL.get(usize::from(state)).copied().unwrap_or(State::Waiting);
                self.becomes(number, state, wave, at, unix);
                if !matches!(state, State::Waiting | State::Gone) {
                    // Nobody comes in who was not called, nor before whoever is ahead of him was.
                    self.serving = self.serving.max(self.order.position(number).map_or(0, |position| position + 1));
                }
            }
            Record::Wave { code, first } => {
                if let Some(progress) = Progress::from_code(code) {
                    self.progress = self.progress.max(progress);
                    let standing = self.schedule.standing(progress);
                    if let Some(wave) = joins(&standing) {
                        self.starts.begin(wave, first);
                    }
                    self.ended = self.ended.max(ended::end(&self.schedule, &standing, &self.starts, first));
                    if let Some(wave) = standing.calling.or_else(|| standing.ended.map(|(ended, _)| ended)) {
                        self.tally.begins(wave);
                    }
                }
            }
            Record::Paused(paused) => self.paused = paused,
            Record::Taken { wave, count } => self.tally.tell(wave, count),
            Record::Recovery { front, ordered } => {
                self.serving = self.serving.max(front);
                self.recovery = Some(ordered.is_some());
                if let Some(count) = ordered.filter(|count| *count > 0) {
                    // Of whom nothing fits into the room any more, he cannot be put in order.
                    self.order.drawn(front, self.people.ranks(front, count)).ok();
                    self.people.forget();
                }
            }
            Record::Recovered { number, generation, old } => {
                let hash = self.identities.hash(&named(generation, old));
                self.identities.restore(hash, number);
                if self.recovery == Some(false) || number < self.front {
                    self.people.hear(self.front, number, (generation, old));
                }
            }
            Record::Registered { .. } | Record::Secret { .. } | Record::Roll { .. } | Record::Draw { .. } => {
                let heard = self.lottery.hear(record, &self.order);
                self.fault = self.fault.take().or_else(|| heard.err());
            }
            Record::Skipped { from, until } => {
                self.order.restore(Restored::Skipped(from..until), unix);
            }
            Record::Lease { .. } | Record::Fresh { .. } => {}
        }
    }

    /// What is known at the end: whose request was at the service, of him nobody knows what became; or, where nothing is counted, he
    /// is in line again. Records that say so.
    pub(super) fn end(&mut self, plan: &plan::WaitingRoom, unix: Duration) -> Vec<Record> {
        let since = super::whole_seconds(unix).saturating_sub(self.generation);
        let mut records = Vec::new();
        for number in std::mem::take(&mut self.sending) {
            let wave = self.known(number).1;
            let counted = plan.waves.get(self.admitted(number, wave)).is_some_and(|wave| wave.quota.is_some());
            let state = if counted { State::Ambiguous } else { State::Waiting };
            self.becomes(number, state, wave, unix, unix);
            records.push(Record::State { number, state: state as u8, wave, at: since });
        }
        let passed_over = self.ended.min(self.lottery.fence().unwrap_or(u64::MAX));
        self.order.restore(Restored::Serving(self.serving.max(passed_over)), unix);
        let skipped = self.fresh.end..self.order.issued();
        if !skipped.is_empty() {
            records.push(Record::Skipped { from: skipped.start, until: skipped.end });
            self.order.restore(Restored::Skipped(skipped), unix);
        }
        records
    }

    /// What stands for all records of its kind.
    pub(super) fn counters(&self) -> [Record; 3] {
        [
            Record::Lease { issued_until: self.order.issued() },
            Record::Serving { position: self.order.serving() },
            Record::Fresh { from: self.fresh.start, until: self.fresh.end },
        ]
    }

    /// What is still needed of `record`.
    pub(super) fn keeps(&self, record: Record) -> Option<Record> {
        let start = self.order.remembered().start;
        match record {
            Record::Lease { .. } | Record::Serving { .. } | Record::Fresh { .. } => None,
            Record::Skipped { until, .. } => (until > self.fresh.start).then_some(record),
            Record::Returned { number } => (number >= start && self.awaits(number)).then_some(record),
            Record::State { number, state, wave, at } => {
                let (now, _) = self.known(number);
                if now == State::Waiting {
                    return (number >= start && self.awaits(number)).then_some(Record::Returned { number });
                }
                let needed = number >= start || matches!(now, State::Ambiguous | State::Done);
                let unclear = now == State::Ambiguous && state == State::Sending as u8;
                (needed && (unclear || state == now as u8)).then_some(Record::State {
                    number,
                    state: now as u8,
                    wave,
                    at,
                })
            }
            Record::Identity { number, .. } | Record::Recovered { number, .. } => (number >= start).then_some(record),
            _ => Some(record),
        }
    }

    fn awaits(&self, number: u64) -> bool {
        self.order.standing(number).is_some_and(|standing| standing.counted && standing.state == State::Waiting)
    }

    /// State and wave of `number`.
    fn known(&self, number: u64) -> (State, u8) {
        if self.order.remembered().contains(&number) {
            return self.order.standing(number).map_or((State::Waiting, 0), |standing| (standing.state, standing.wave));
        }
        self.tally.unseen(number).unwrap_or((State::Waiting, 0))
    }

    fn becomes(&mut self, number: u64, state: State, wave: u8, at: Duration, unix: Duration) {
        if state == State::Sending {
            self.sending.insert(number);
        } else {
            self.sending.remove(&number);
        }
        let known = self.known(number);
        self.tally.moves((known.0, self.admitted(number, known.1)), (state, self.admitted(number, wave)));
        if self.order.remembered().contains(&number) {
            self.order.restore(Restored::State { number, state, wave, at }, unix);
        } else {
            self.tally.keep(number, (state, wave));
        }
    }

    /// The wave in which the holder of `number` was let in, which is told modulo 4.
    fn admitted(&self, number: u64, wave: u8) -> usize {
        // Whoever came late from a lost state belongs to the first of this one.
        self.starts.admitted(number.max(self.front), wave, self.tally.begun()).unwrap_or(wave).into()
    }
}
