//! After the state of a room was lost altogether: its tickets are honoured all the same, before everybody who comes anew.
//!
//! A ticket proves a place by the key alone. A new state is a new *generation*; a ticket of an earlier one is given a number of this one
//! the first time it is seen, always the same from then on. Who held tickets is only known as they come back. So for [`SETTLING`] after such
//! a start nobody is called; then those who have come are put in order, by the generation and number of their tickets, before all
//! newcomers. Whoever comes with such a ticket later is given one of the numbers kept *in front*, which count as called long ago:
//! he comes in through the lane of the late, before all newcomers.
//!
//! **Which start finds a loss**: one that finds no journal, or one without a record, although the key was there already. A key that this start creates
//! has signed nothing yet. Who brings a key of his own to the first start (a file or variable made beforehand) is taken for somebody who has
//! lost the state: the room opens [`SETTLING`] later, and a quota that could have been taken from waits for the operator's word.
//!
//! **Invariants**: one old ticket, one number, also over restarts; whoever has an old ticket is before whoever has none. A wave with a quota that was
//! open before the loss calls nobody until an operator has said how many have succeeded ([`Room::told_taken`]): of the lost state nobody
//! knows, and never one too many is promised.
//! **Bound**: as many old tickets come in late as the room has capacity; who comes after them stands at the end of the line. What is remembered of
//! each is one identity, and until they are in order 24 bytes.
//! **Not here**: what cannot be known: that a ticket was redeemed or its holder registered. It is good once more.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Room;
use crate::clock::Tick;
use crate::waiting_room::identity::{Claimed, IdentityHash};
use crate::waiting_room::journal::{Appended, Record};
use crate::waiting_room::ticket::Ticket;
use crate::waiting_room::wave::{Phase, Standing};

/// For so long after a loss nobody is called: pages ask again within seconds when their turn is near, and a client that was told to come
/// again in a minute is not near it.
pub(super) const SETTLING: Duration = Duration::from_secs(30);

/// Before the hash of a ticket, so that no identity is one.
const LABEL: &[u8] = b"weir ticket of a lost state\n";

/// Those who come back.
#[derive(Debug)]
pub(super) struct Recovery {
    settling: AtomicBool,
    people: Mutex<People>,
}

/// Whose tickets have been seen.
#[derive(Debug, Default)]
pub(super) struct People {
    /// Since when nobody is called.
    since: Option<Tick>,
    /// The next number in front.
    next: u64,
    /// Generation and number of the tickets, and the numbers that they have now; until they are in order.
    known: HashMap<u64, (u32, u64)>,
}

impl People {
    /// A journal says that somebody has come.
    pub(super) fn hear(&mut self, front: u64, number: u64, old: (u32, u64)) {
        if number < front {
            self.next = self.next.max(number + 1);
        } else {
            self.known.insert(number, old);
        }
    }

    /// The ranks of `count` numbers from `front` on: old tickets first, by generation and number, then all others.
    pub(super) fn ranks(&self, front: u64, count: u64) -> Box<[u32]> {
        let mut numbers: Vec<u64> = (front..front.saturating_add(count)).collect();
        numbers.sort_by_key(|number| match self.known.get(number) {
            Some(old) => (false, *old, *number),
            None => (true, (0, 0), *number),
        });
        let mut ranks = vec![0; numbers.len()].into_boxed_slice();
        for (rank, number) in numbers.into_iter().enumerate() {
            let at = usize::try_from(number - front).unwrap_or(usize::MAX);
            if let Some(place) = ranks.get_mut(at) {
                *place = u32::try_from(rank).unwrap_or(u32::MAX);
            }
        }
        ranks
    }

    /// Nobody is to be put in order any more.
    pub(super) fn forget(&mut self) {
        self.known = HashMap::new();
    }
}

impl Recovery {
    pub(super) fn new(settling: bool, people: People) -> Self {
        Self { settling: AtomicBool::new(settling), people: Mutex::new(people) }
    }

    pub(super) fn is_settling(&self) -> bool {
        self.settling.load(Ordering::Acquire)
    }

    fn people(&self) -> std::sync::MutexGuard<'_, People> {
        self.people.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    /// An operator says how many of `wave` have succeeded: after the state was lost, or because he knows better. [`None`] if it has no quota.
    pub fn told_taken(&self, wave: u8, done: u32) -> Option<Appended> {
        let quota = self.quota_of(wave)?;
        quota.tell(done);
        Some(self.journal.append(Record::Taken { wave, count: done.into() }))
    }

    /// Whether an operator must say how many of `wave` have succeeded before anybody is called.
    #[must_use]
    pub fn is_untold(&self, wave: u8) -> bool {
        self.quota_of(wave).is_some_and(super::Quota::is_unknown)
    }

    /// The place that `ticket`, of an earlier generation, has now.
    pub(super) fn recover(&self, ticket: &Ticket, unix: Duration) -> Option<Ticket> {
        let recovery = self.recovery.as_ref()?;
        let older = ticket.room == self.tag && ticket.generation < self.generation;
        if !older || !self.is_fresh(ticket, unix) {
            return None;
        }
        let hash = hash(self, ticket.generation, ticket.number);
        let number = self.identities.number(hash).or_else(|| self.give(recovery, hash, ticket))?;
        Some(Ticket { issued: ticket.issued, ..self.ticket(number, ticket.class, false, unix) })
    }

    fn give(&self, recovery: &Recovery, hash: IdentityHash, ticket: &Ticket) -> Option<u64> {
        let mut people = recovery.people();
        let (front, old) = (self.front, (ticket.generation, ticket.number));
        let behind = recovery.is_settling() || people.next >= front;
        let next = people.next;
        match self.identities.claim(hash, || if behind { self.order.issue() } else { Some(next) }) {
            Claimed::Known(number) => Some(number),
            Claimed::New(number) => {
                // Before his first return, which is waited for.
                drop(self.journal.append(Record::Recovered { number, generation: old.0, old: old.1 }));
                if recovery.is_settling() || number < front {
                    people.hear(front, number, old);
                }
                Some(number)
            }
            Claimed::Full => None,
        }
    }

    /// Puts those who have come back in order when their time is over; whether it is not yet.
    pub(super) fn settle_recovery(&self, now: Tick, standing: &Standing, records: &mut Vec<Appended>) -> bool {
        let Some(recovery) = self.recovery.as_ref().filter(|recovery| recovery.is_settling()) else { return false };
        let mut people = recovery.people();
        let since = *people.since.get_or_insert(now);
        // In a lobby the lot decides, and nobody is called before.
        if now.since(since) < SETTLING || matches!(standing.phase, Phase::Lobby { .. }) {
            return true;
        }
        let count = self.order.issued().saturating_sub(self.front);
        let drawn = people.known.is_empty() || self.order.drawn(self.front, people.ranks(self.front, count)).is_err();
        let ordered = if drawn { 0 } else { count };
        people.forget();
        records.push(self.journal.append(Record::Recovery { front: self.front, ordered: Some(ordered) }));
        recovery.settling.store(false, Ordering::Release);
        false
    }
}

/// The hash of an old ticket among identities.
pub(super) fn hash(room: &Room, generation: u32, number: u64) -> IdentityHash {
    room.identities.hash(&named(generation, number))
}

/// What is hashed of an old ticket.
pub(super) fn named(generation: u32, number: u64) -> Vec<u8> {
    [LABEL, &generation.to_be_bytes(), &number.to_be_bytes()].concat()
}
