//! Coming in: a place is redeemed when its request has a permit, and what becomes of the request decides what becomes of the place.
//!
//! ```text
//! Waiting ── enter ──→ Admitted ── counting request ──→ Sending ── 2xx ─────────────────────→ Done
//!    ↑                    │  ↑                          ↑  │  │
//!    │                    │  └── 3xx, 4xx, never sent ──┼──┘  └── 5xx, silence, broken ─────→ Ambiguous
//!    └─ 5xx, never sent ──┘                             └──────── the same request again ──────┘
//! ```
//!
//! A 503 and what never reached the service have done nothing, and neither counts as unknown; of a request whose outcome was unknown
//! before, only a 2xx makes it known: no other answer to a repetition says what became of the first. Whoever came in with the very request
//! that failed is back in line, whoever was inside before stays there. Where no quota counts, nothing is held for outcomes nobody knows.
//! The same request is one with an Idempotency-Key that this place has sent before.
//!
//! A place of the quota is reserved at the redemption, so that nobody who was let in is told on his last page that nothing is
//! left; it is released when he is back in line, or has not been seen for the life of a pass, and the journal has that (`releases`).
//!
//! **Invariants**: one redemption a number; a reservation for each number that is Admitted, Sending, Ambiguous or Done, and for no other, but one
//! of whom the journal does not know yet that he is not any more; what is not known to have failed keeps its reservation. A turn that is told
//! nothing is one whose outcome is unknown, once a connection has its request. What becomes of a number is in the journal in the order in which
//! it became so.
//! **Not here**: the permit (`admission`), the pass (`proxy::pass`).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::lane::Lane;
use super::{Joined, Now, Place, Room};
use crate::clock::Tick;
use crate::waiting_room::identity::{Claimed, IdentityHash};
use crate::waiting_room::journal::{Appended, Record};
use crate::waiting_room::order::{NotRedeemed, State};
use crate::waiting_room::quota::Quota;

/// Somebody late, for whom there was no room, asks again after this.
const LATE_AGAIN: Duration = Duration::from_secs(3);

/// Whoever is told to come again is back within this of the instant he was told.
const BACK: Duration = Duration::from_secs(1);

/// Numbers that share a lock while they change: more than there are workers, so that two seldom meet.
pub(super) const STRIPES: usize = 64;

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

/// A request of somebody who was let in. Dropped without a word, it is one of which nobody knows what became, if a connection had it; else
/// one that was never sent.
#[derive(Debug)]
pub struct Turn {
    room: Arc<Room>,
    number: u64,
    wave: u8,
    /// It redeemed the place.
    redeemed: bool,
    sent: Sent,
    told: bool,
    /// A connection has it: something of it may be at the service.
    handed: bool,
    at: Duration,
}

/// What a request is to the quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    /// Nothing: its success does not count.
    Uncounted,
    /// Its success counts.
    First,
    /// The same, and what became of it before is not known.
    Again,
}

impl Room {
    /// Whether the holder of `place`, whose turn has come, may try the door now.
    ///
    /// # Errors
    /// When to try again.
    pub fn approach(&self, place: &Place, now: Tick) -> Result<(), Duration> {
        let number = place.ticket.number;
        // He pays when he comes in: whoever asks and goes away again takes nothing from the others.
        let pays = self.order.came(number, now).is_none() && self.order.is_late(number);
        if pays && !self.lane().is_free(now) { Err(LATE_AGAIN) } else { Ok(()) }
    }

    /// Lets a newcomer to the gate while nobody waits: a number that is called as it is given, and whose holder has come. What is to be awaited
    /// is in the journal when he has [entered](Self::enter); whoever is told of his place without that waits for it. [`None`] if none can be given.
    #[must_use]
    pub fn welcome(&self, identity: Option<&[u8]>, class: crate::config::plan::Class, now: Now) -> Option<Joined> {
        self.welcoming.fetch_add(1, Ordering::SeqCst);
        let joined = self.join(identity, class, now.1);
        if let Some(joined) = &joined {
            // Whoever asked at the same instant is before him; nobody else is.
            self.order.welcome(now.0);
            self.order.came(joined.place.ticket.number, now.0);
        }
        self.welcoming.fetch_sub(1, Ordering::SeqCst);
        joined
    }

    /// Somebody who was called has waited at the gate in vain, and comes back at `again`: nobody new goes straight to it until then.
    pub fn turned_away(&self, again: Tick) {
        let back = again.after(BACK);
        self.owed.expect(back);
        self.reserved.fetch_max(back.as_nanos(), Ordering::AcqRel);
        self.straight.store(0, Ordering::Release);
    }

    /// Lets the holder of `place` in with a request for which there is a permit; `counting` if its success counts, `key` if the
    /// service recognises by it a request that it has had already.
    pub fn enter(
        self: &Arc<Self>,
        place: &Place,
        counting: bool,
        key: Option<&[u8]>,
        now: Now,
    ) -> Result<Entered, NotEntered> {
        let number = place.ticket.number;
        let key = key.filter(|_| counting).map(|key| self.identities.hash(key));
        let again = key.is_some_and(|key| self.identities.number(key) == Some(number));
        let redeemed = match self.order.state(number) {
            Some(State::Waiting) => self.redeem(number, now)?,
            Some(State::Sending) if counting => return Err(NotEntered::Sending),
            Some(State::Ambiguous) if counting && !again => return Err(NotEntered::Unclear),
            Some(State::Done) if counting && !again => return Err(NotEntered::Done),
            Some(State::Admitted | State::Sending | State::Ambiguous | State::Done) => None,
            Some(State::Gone) | None => return Err(NotEntered::NotCalled),
        };
        let wave = self.order.standing(number).map_or(0, |standing| standing.wave);
        let mut turn = Turn {
            room: Arc::clone(self),
            number,
            wave,
            redeemed: redeemed.is_some(),
            sent: Sent::Uncounted,
            told: redeemed.is_none(),
            handed: false,
            at: now.1,
        };
        if !counting {
            return Ok(Entered { turn, recorded: redeemed });
        }
        if let Some((sent, recorded)) = self.send(number, wave, key.map(|key| (key, again)), now.1) {
            (turn.sent, turn.told) = (sent, false);
            return Ok(Entered { turn, recorded: Some(recorded) });
        }
        // Another request of his was faster.
        match self.order.state(number) {
            Some(State::Done) if again => Ok(Entered { turn, recorded: None }),
            Some(State::Done) => Err(NotEntered::Done),
            Some(State::Sending) => Err(NotEntered::Sending),
            Some(State::Ambiguous) => Err(NotEntered::Unclear),
            Some(State::Waiting | State::Admitted | State::Gone) | None => Err(NotEntered::NotCalled),
        }
    }

    /// A counting request begins, with a `key` that this place has sent before or not.
    fn send(
        &self,
        number: u64,
        wave: u8,
        key: Option<(IdentityHash, bool)>,
        unix: Duration,
    ) -> Option<(Sent, Appended)> {
        let _order = self.in_order(number);
        let again = key.is_some_and(|(_, again)| again);
        let sent = if self.order.set(number, State::Admitted, State::Sending, unix) {
            Sent::First
        } else if again && self.order.set(number, State::Ambiguous, State::Sending, unix) {
            Sent::Again
        } else {
            return None;
        };
        if let Some((hash, false)) = key
            && self.identities.claim(hash, || Some(number)) == Claimed::New(number)
        {
            // Written before what follows, which is waited for.
            drop(self.journal.append(Record::Identity { hash: hash.to_u64(), number }));
        }
        Some((sent, self.record(number, State::Sending, wave, unix)))
    }

    /// To be awaited before the holder of `place` is told of his success; [`None`] if he has none. Who knows that he is done does not
    /// ask again, so nobody else would ever know it.
    #[must_use]
    pub fn success(&self, place: &Place, unix: Duration) -> Option<Appended> {
        let number = place.ticket.number;
        let standing = self.order.standing(number).filter(|standing| standing.state == State::Done)?;
        // Behind the record of the change itself.
        Some(self.record(number, State::Done, standing.wave, unix))
    }

    /// The holder of `place` leaves: his place ends, and whoever is behind him moves up.
    pub fn leave(&self, place: &Place, unix: Duration) -> bool {
        let number = place.ticket.number;
        let _order = self.in_order(number);
        let wave = self.order.standing(number).map_or(0, |standing| standing.wave);
        let waited = self.order.set(number, State::Waiting, State::Gone, unix);
        let left = waited || self.order.set(number, State::Admitted, State::Gone, unix);
        let recorded = left && self.journal.offer(self.state_record(number, State::Gone, wave, unix));
        if left && !waited {
            self.release(number, wave, recorded);
        }
        left
    }

    fn redeem(&self, number: u64, now: Now) -> Result<Option<Appended>, NotEntered> {
        let calling = self.shown().standing.calling.filter(|_| !self.has_ended(number));
        let Some(wave) = calling else { return Err(NotEntered::NotCalled) };
        if self.order.is_late(number) && !self.lane().take(now.0) {
            return Err(NotEntered::NotCalled);
        }
        let quota = self.quota_of(wave);
        if quota.is_some_and(|quota| !quota.reserve()) {
            return Err(NotEntered::NoneLeft);
        }
        let order = self.in_order(number);
        let redeemed = self.order.redeem(number, wave, now.0, now.1);
        let recorded = redeemed.is_ok().then(|| self.record(number, State::Admitted, wave, now.1));
        drop(order);
        if redeemed.is_err() {
            quota.inspect(|quota| {
                quota.release();
            });
        }
        match redeemed {
            Ok(()) => {
                self.lane().entered();
                self.events.entered.fetch_add(1, Ordering::Relaxed);
                Ok(recorded)
            }
            // Another request of his was faster.
            Err(NotRedeemed::Already(State::Admitted | State::Sending)) => Ok(None),
            Err(_) => Err(NotEntered::NotCalled),
        }
    }

    /// The quota of the wave in which the holder of `number` was let in, which is told modulo 4.
    pub(super) fn reservation(&self, number: u64, wave: u8) -> Option<&Quota> {
        let standing = self.shown().standing;
        let begun = standing.calling.or_else(|| standing.ended.map(|(ended, _)| ended))?;
        self.quota_of(self.starts().admitted(number.max(self.front), wave, begun)?)
    }

    /// Held while a number changes and the change is handed to the journal: two threads must not hand theirs over in another order.
    pub(super) fn in_order(&self, number: u64) -> std::sync::MutexGuard<'_, ()> {
        let stripe = usize::try_from(number % STRIPES as u64).unwrap_or_default();
        self.stripes.get(stripe).unwrap_or(&self.stripes[0]).lock().unwrap_or_else(std::sync::PoisonError::into_inner)
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

    pub(super) fn released(&self, number: u64, wave: u8) {
        if let Some(quota) = self.reservation(number, wave) {
            quota.release();
        }
    }
}

impl Turn {
    /// The service has answered with `status`.
    pub fn answered(&mut self, status: u16) {
        match (self.sent != Sent::Uncounted, status) {
            (true, 200..=299) => self.done(),
            (true, _) if self.sent == Sent::Again => self.unknown(),
            // Being full, it has done nothing; of any other failure nobody knows what came before it.
            (true, 500..=599) if status != 503 && self.is_counted() => self.unknown(),
            (_, 429 | 500..=599) if self.redeemed => self.back(),
            _ => self.stays(),
        }
    }

    /// A connection has it from here on, so the service may as well; or, unless `over`, gave it back, and the service never had it.
    pub fn handed(&mut self, over: bool) {
        self.handed = over;
    }

    /// It is sent once more, and what became of it the first time is not known: only a success says anything now.
    pub fn repeated(&mut self) {
        if self.sent == Sent::First {
            self.sent = Sent::Again;
        }
    }

    /// The service never had it.
    pub fn unsent(&mut self) {
        match (self.sent == Sent::Again, self.redeemed) {
            (true, _) => self.unknown(),
            (false, true) => self.back(),
            (false, false) => self.stays(),
        }
    }

    /// Whether a quota counts it.
    fn is_counted(&self) -> bool {
        self.room.reservation(self.number, self.wave).is_some()
    }

    fn done(&mut self) {
        if self.becomes(State::Sending, State::Done).is_some()
            && let Some(quota) = self.room.reservation(self.number, self.wave)
        {
            quota.finish();
        }
    }

    fn unknown(&mut self) {
        self.becomes(State::Sending, State::Ambiguous);
    }

    /// Inside, and nothing has been spent.
    fn stays(&mut self) {
        if self.sent != Sent::Uncounted {
            self.becomes(State::Sending, State::Admitted);
        }
        self.told = true;
    }

    /// To the front of the line.
    fn back(&mut self) {
        let from = if self.sent == Sent::Uncounted { State::Admitted } else { State::Sending };
        if let Some(recorded) = self.becomes(from, State::Waiting) {
            self.room.announce_to(self.number);
            self.room.release(self.number, self.wave, recorded);
            self.room.events.returned.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether the journal took it. Once; a word that comes later, or twice, changes nothing: [`None`].
    fn becomes(&mut self, from: State, to: State) -> Option<bool> {
        if std::mem::replace(&mut self.told, true) {
            return None;
        }
        let room = &self.room;
        let _order = room.in_order(self.number);
        let became = room.order.set(self.number, from, to, self.at);
        became.then(|| room.journal.offer(room.state_record(self.number, to, self.wave, self.at)))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.told {
            return;
        }
        if !self.handed {
            self.unsent();
        } else if self.sent != Sent::Uncounted && (self.sent == Sent::Again || self.is_counted()) {
            self.unknown();
        } else if self.redeemed {
            self.back();
        } else {
            self.stays();
        }
    }
}
