//! The way into the room: who may go straight in, and who is given a number.
//!
//! **Invariants**: nobody goes straight in while anybody waits whom he would overtake; a number is given once, and written before anybody
//! relies on it where an identity is bound to it.
//! **Cost**: loads and one addition; with an identity a look into its shard and a record.
//! **Not here**: whether a number is called (`look`), and what comes of it (`turn`).

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Joined, Room};
use crate::config::plan::Class;
use crate::waiting_room::identity::Claimed;
use crate::waiting_room::journal::Record;
use crate::waiting_room::wave::Phase;

impl Room {
    /// Whether one newcomer may try the door: the room is open, nobody waits who would be overtaken, and a fixed pace allows it.
    #[must_use]
    pub fn lets_straight_in(&self) -> bool {
        let shown = self.shown();
        matches!(shown.standing.phase, Phase::Open { .. })
            && !shown.paused
            && !shown.crowded
            && !self.somebody_waits()
            && self.straight.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok()
    }

    /// Whether a number is out that is not called, and is not of a newcomer who is being let in by another worker.
    fn somebody_waits(&self) -> bool {
        // In this order: of whom the first count knows, either the second or the third does.
        let (issued, welcoming) = (self.order.issued(), self.welcoming.load(Ordering::SeqCst));
        issued > self.order.serving().saturating_add(welcoming)
    }

    /// Whether newcomers are given places.
    #[must_use]
    pub fn takes(&self) -> bool {
        !matches!(self.shown().standing.phase, Phase::Closed { .. })
    }

    /// Gives a newcomer of `class` a number. With an identity it is remembered, and the same for everybody who has it.
    /// [`None`] when as many numbers are out as are remembered.
    #[must_use]
    pub fn join(&self, identity: Option<&[u8]>, class: Class, unix: Duration) -> Option<Joined> {
        let claimed = identity.map(|value| {
            let hash = self.identities.hash(value);
            (hash, self.identities.claim(hash, || self.order.issue()))
        });
        let (number, identified, recorded) = match claimed {
            // Also of one who is known: the other request of his that was faster may not have written it yet.
            Some((hash, Claimed::New(number) | Claimed::Known(number))) => {
                let record = Record::Identity { hash: hash.to_u64(), number };
                (number, true, Some(self.journal.append(record)))
            }
            Some((_, Claimed::Full)) | None => (self.order.issue()?, false, None),
        };
        self.events.joined.fetch_add(1, Ordering::Relaxed);
        // The chore leases far ahead; whoever is beyond all the same waits for the journal.
        let recorded = recorded
            .or_else(|| (number >= self.leased.load(Ordering::Acquire)).then(|| self.lease(self.lease_least).1));
        Some(Joined { place: self.place(number, class, identified, unix), recorded })
    }
}
