//! Coming in: a place is redeemed when its request has a permit, and what becomes of the request decides what becomes of the place.
//!
//! ```text
//! Waiting ── enter ──→ Admitted ── counting request ──→ Sending ── 2xx ──────────────→ Done
//!    ↑                    ↑ ↑                             │ ├── 3xx, 4xx, never sent ─→ Admitted
//!    └── 5xx, never sent ─┘ └────── ambiguous, again ─────┘ └── 5xx, silence, broken ──→ Ambiguous
//! ```
//!
//! A place of the quota is reserved at the redemption, so that nobody who was let in is told on his last page that nothing is
//! left; it is released when he is back in line, or has not been seen for the life of a pass.
//!
//! **Invariants**: one redemption a number; a reservation for each number that is Admitted, Sending, Ambiguous or Done, and for no other; what
//! is not known to have failed keeps its reservation. A turn that is told nothing is one whose outcome is unknown.
//! **Not here**: the permit (`admission`), the pass (`proxy::pass`).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Now, Place, Room};
use crate::clock::Tick;
use crate::waiting_room::journal::{Appended, Record};
use crate::waiting_room::order::{NotRedeemed, State};
use crate::waiting_room::quota::Quota;

/// Of those who are let in, so many may be late: called long ago, and come now. Whoever slept loses nothing, and those whose turn it is
/// are not kept waiting by a crowd that wakes.
const LATE_SHARE: f64 = 0.2;

/// … and one a second in any case.
const LATE_RATE: f64 = 1.0;

/// Late ones at once after a pause.
const LATE_BURST: f64 = 10.0;

/// Somebody late, for whom there was no room, asks again after this.
const LATE_AGAIN: Duration = Duration::from_secs(3);

/// The lane of those who are late.
#[derive(Debug)]
pub(super) struct Lane {
    credit: f64,
    at: Tick,
}

/// Somebody came in.
#[derive(Debug)]
pub struct Entered {
    /// To be told what becomes of the request.
    pub turn: Turn,
    /// To be awaited before it is forwarded; [`None`] if the journal knows all there is to know.
    pub recorded: Option<Appended>,
}

/// Why somebody does not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotEntered {
    /// He was called long ago, and many like him come now: again after this.
    Late(Duration),
    /// He has not been called, or stands elsewhere.
    NotCalled,
    /// All places of the quota are taken.
    NoneLeft,
    /// A request of his that counts is at the service.
    Sending,
    /// It was, nobody knows what became of it, and the service does not recognise a second one.
    Unclear,
    /// He has succeeded already.
    Done,
}

/// A request of somebody who was let in. Dropped without a word, it is one of which nobody knows what became.
#[derive(Debug)]
pub struct Turn {
    room: Arc<Room>,
    number: u64,
    wave: u8,
    /// It redeemed the place.
    redeemed: bool,
    /// A success counts.
    counting: bool,
    told: bool,
    at: Duration,
}

impl Lane {
    pub(super) const fn new() -> Self {
        Self { credit: LATE_BURST, at: Tick::ZERO }
    }

    fn take(&mut self, now: Tick) -> bool {
        self.credit = (self.credit + now.since(self.at).as_secs_f64() * LATE_RATE).min(LATE_BURST);
        self.at = now;
        let free = self.credit >= 1.0;
        self.credit -= if free { 1.0 } else { 0.0 };
        free
    }

    fn entered(&mut self) {
        self.credit = (self.credit + LATE_SHARE).min(LATE_BURST);
    }
}

impl Room {
    /// Whether the holder of `place`, whose turn has come, may try the door now.
    ///
    /// # Errors
    /// When to try again.
    pub fn approach(&self, place: &Place, now: Tick) -> Result<(), Duration> {
        let number = place.ticket.number;
        if self.order.came(number, now).is_none() && self.order.is_late(number) && !self.lane().take(now) {
            return Err(LATE_AGAIN);
        }
        Ok(())
    }

    /// Lets a newcomer in for whom there was a permit at once: a number that is called as it is given. [`None`] if none can be given.
    #[must_use]
    pub fn welcome(&self, identity: Option<&[u8]>, class: crate::config::plan::Class, now: Now) -> Option<Place> {
        let joined = self.join(identity, class, now.1)?;
        // Whoever asked at the same instant is before him; nobody else is.
        self.order.advance(now.0, 1);
        Some(joined.place)
    }

    /// Lets the holder of `place` in with a request for which there is a permit; `counting` if its success counts, `again` if the
    /// service recognises a request that it has had already.
    pub fn enter(
        self: &Arc<Self>,
        place: &Place,
        counting: bool,
        again: bool,
        now: Now,
    ) -> Result<Entered, NotEntered> {
        let number = place.ticket.number;
        let redeemed = match self.order.state(number) {
            Some(State::Waiting) => self.redeem(number, now)?,
            Some(State::Admitted) => false,
            Some(State::Sending) if counting => return Err(NotEntered::Sending),
            Some(State::Ambiguous) if counting && !again => return Err(NotEntered::Unclear),
            Some(State::Done) if counting && !again => return Err(NotEntered::Done),
            Some(State::Sending | State::Ambiguous | State::Done) => false,
            Some(State::Gone) | None => return Err(NotEntered::NotCalled),
        };
        let wave = self.order.standing(number).map_or(0, |standing| standing.wave);
        let mut turn =
            Turn { room: Arc::clone(self), number, wave, redeemed, counting: false, told: !redeemed, at: now.1 };
        let sends = counting
            && (self.order.set(number, State::Admitted, State::Sending, now.1)
                || self.order.set(number, State::Ambiguous, State::Sending, now.1));
        if counting && !sends && self.order.state(number) == Some(State::Sending) {
            return Err(NotEntered::Sending);
        }
        let recorded = match (redeemed, sends) {
            (_, true) => Some(self.record(number, State::Sending, wave, now.1)),
            (true, false) => Some(self.record(number, State::Admitted, wave, now.1)),
            (false, false) => None,
        };
        if sends {
            (turn.counting, turn.told) = (true, false);
        }
        Ok(Entered { turn, recorded })
    }

    /// The holder of `place` leaves: his place ends, and whoever is behind him moves up.
    pub fn leave(&self, place: &Place, unix: Duration) -> bool {
        let number = place.ticket.number;
        let wave = self.order.standing(number).map_or(0, |standing| standing.wave);
        let waited = self.order.set(number, State::Waiting, State::Gone, unix);
        let left = waited || self.order.set(number, State::Admitted, State::Gone, unix);
        if left && !waited {
            self.reservation(wave).inspect(|quota| {
                quota.release();
            });
        }
        if left {
            self.journal.post(self.state_record(number, State::Gone, wave, unix));
        }
        left
    }

    fn redeem(&self, number: u64, now: Now) -> Result<bool, NotEntered> {
        let Some(wave) = self.shown().standing.calling else { return Err(NotEntered::NotCalled) };
        let quota = self.quota_of(wave);
        if quota.is_some_and(|quota| !quota.reserve()) {
            return Err(NotEntered::NoneLeft);
        }
        let redeemed = self.order.redeem(number, wave, now.0, now.1);
        if redeemed.is_err() {
            quota.inspect(|quota| {
                quota.release();
            });
        }
        match redeemed {
            Ok(()) => {
                self.lane().entered();
                self.events.entered.fetch_add(1, Ordering::Relaxed);
                Ok(true)
            }
            // Another request of his was faster.
            Err(NotRedeemed::Already(State::Admitted | State::Sending)) => Ok(false),
            Err(_) => Err(NotEntered::NotCalled),
        }
    }

    /// The quota of a wave that is told modulo 4: the latest wave of that kind that has begun.
    fn reservation(&self, wave: u8) -> Option<&Quota> {
        let begun = self.shown().standing.calling.or(self.shown().standing.ended.map(|(ended, _)| ended))?;
        let exact = (0..=begun).rev().find(|candidate| candidate % 4 == wave % 4)?;
        self.quota_of(exact)
    }

    fn record(&self, number: u64, state: State, wave: u8, unix: Duration) -> Appended {
        self.journal.append(self.state_record(number, state, wave, unix))
    }

    pub(super) fn state_record(&self, number: u64, state: State, wave: u8, unix: Duration) -> Record {
        let at = super::whole_seconds(unix).saturating_sub(self.generation);
        Record::State { number, state: state as u8, wave, at }
    }

    fn lane(&self) -> std::sync::MutexGuard<'_, Lane> {
        self.lane.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn released(&self, wave: u8) {
        if let Some(quota) = self.reservation(wave) {
            quota.release();
        }
    }
}

impl Turn {
    /// The service has answered with `status`.
    pub fn answered(&mut self, status: u16) {
        match (self.counting, status) {
            (true, 200..=299) => self.done(),
            // Being full, it has done nothing; of any other failure nobody knows what came before it.
            (true, 500..=599) if status != 503 => self.unknown(),
            (_, 429 | 500..=599) if self.redeemed => self.back(),
            _ => self.stays(),
        }
    }

    /// The service never had it.
    pub fn unsent(&mut self) {
        if self.redeemed { self.back() } else { self.stays() }
    }

    fn done(&mut self) {
        if self.tells() && self.set(State::Sending, State::Done) {
            if let Some(quota) = self.room.reservation(self.wave) {
                quota.finish();
            }
            self.post(State::Done);
        }
    }

    fn unknown(&mut self) {
        if self.tells() && self.set(State::Sending, State::Ambiguous) {
            self.post(State::Ambiguous);
        }
    }

    /// Inside, and nothing has been spent.
    fn stays(&mut self) {
        if self.tells() && self.counting && self.set(State::Sending, State::Admitted) {
            self.post(State::Admitted);
        }
    }

    /// To the front of the line.
    fn back(&mut self) {
        let from = if self.counting { State::Sending } else { State::Admitted };
        if self.tells() && self.set(from, State::Waiting) {
            self.room.released(self.wave);
            self.room.events.returned.fetch_add(1, Ordering::Relaxed);
            self.post(State::Waiting);
        }
    }

    /// Once; a word that comes later, or twice, changes nothing.
    fn tells(&mut self) -> bool {
        !std::mem::replace(&mut self.told, true)
    }

    fn set(&self, from: State, to: State) -> bool {
        self.room.order.set(self.number, from, to, self.at)
    }

    fn post(&self, state: State) {
        self.room.journal.post(self.room.state_record(self.number, state, self.wave, self.at));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.counting {
            self.unknown();
        } else if self.redeemed {
            self.back();
        }
    }
}
