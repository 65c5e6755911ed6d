//! Somebody's place, and the session of a pass that is given for it.
//!
//! **Invariants**: one place, one session.
//! **Not here**: where it stands (`look`), what its ticket proves (`ticket`).

use std::time::Duration;

use super::Room;
use crate::config::plan::Class;
use crate::waiting_room::identity::IdentityHash;
use crate::waiting_room::ticket::{Ticket, TicketText};

/// Whether an identity held the place for which a pass of `session` was given.
const fn is_identified(session: u64) -> bool {
    session & IDENTIFIED != 0
}

/// Somebody's place, found or given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub(super) ticket: Ticket,
    /// The ticket as it came with the request, where the same would be signed again.
    pub(super) shown: Option<TicketText>,
    /// An identity that holds no place yet, and shall hold this one.
    pub(super) binds: Option<IdentityHash>,
}

/// Bits of a session that are the number; above it whether an identity holds the place, and the generation's last.
const SESSION_IDENTIFIED: u32 = 47;
const IDENTIFIED: u64 = 1 << SESSION_IDENTIFIED;
const SESSION_GENERATION: u32 = 48;
const SESSION_NUMBER: u64 = IDENTIFIED - 1;
const SESSION_MASK: u64 = u64::MAX >> SESSION_GENERATION;

impl Place {
    /// The session of a pass for whoever comes in with this place: one place, one session.
    #[must_use]
    pub fn session(&self) -> u64 {
        let identified = u64::from(self.ticket.identified) << SESSION_IDENTIFIED;
        self.ticket.number | identified | (u64::from(self.ticket.generation) & SESSION_MASK) << SESSION_GENERATION
    }

    /// Whether a pass of `session` was given for this place.
    #[must_use]
    pub fn is_of(&self, session: u64) -> bool {
        // Who comes by his identity has an identified place, whatever he was given it for.
        (self.session() ^ session) & !IDENTIFIED == 0
    }

    /// The number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.ticket.number
    }

    /// Whether an identity holds it.
    #[must_use]
    pub fn is_identified(&self) -> bool {
        self.ticket.identified
    }

    /// What the request was to admission that was not let in.
    #[must_use]
    pub fn class(&self) -> Class {
        self.ticket.class
    }

    /// When its ticket was signed, since 1970.
    #[must_use]
    pub fn issued(&self) -> Duration {
        self.ticket.issued
    }
}

impl Room {
    /// The place of whoever has been let in with `session` (see [`Place::session`]).
    #[must_use]
    pub fn inside(&self, session: u64, unix: Duration) -> Option<Place> {
        let number = session & SESSION_NUMBER;
        let generation = session >> SESSION_GENERATION;
        let ours = generation == u64::from(self.generation) & SESSION_MASK && number < self.order.issued();
        ours.then(|| self.place(number, Class::New, is_identified(session), unix))
    }

    /// Whether a pass of `session` may be of the person with `identity`: the number is his, or neither has anything of the kind.
    #[must_use]
    pub fn is_held_by(&self, session: u64, identity: &[u8]) -> bool {
        // Of a session from before all was lost nobody knows; its pass speaks for itself.
        if session >> SESSION_GENERATION != u64::from(self.generation) & SESSION_MASK {
            return true;
        }
        let held = self.identities.number(self.identities.hash(identity));
        held.map_or_else(|| !is_identified(session), |number| number == session & SESSION_NUMBER)
    }
}
