//! Somebody's place, and the session of a pass that is given for it.
//!
//! **Invariants**: one place, one session.
//! **Not here**: where it stands (`look`), what its ticket proves (`ticket`).

use std::time::Duration;

use crate::config::plan::Class;
use crate::waiting_room::identity::IdentityHash;
use crate::waiting_room::ticket::{Ticket, TicketText};

/// Somebody's place, found or given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub(super) ticket: Ticket,
    /// The ticket as it came with the request, where the same would be signed again.
    pub(super) shown: Option<TicketText>,
    /// An identity that holds no place yet, and shall hold this one.
    pub(super) binds: Option<IdentityHash>,
}

/// Bits of a session that are the number; above it the generation's last.
pub(super) const SESSION_GENERATION: u32 = 48;
pub(super) const SESSION_NUMBER: u64 = (1 << SESSION_GENERATION) - 1;
pub(super) const SESSION_MASK: u64 = u64::MAX >> SESSION_GENERATION;

impl Place {
    /// The session of a pass for whoever comes in with this place: one place, one session.
    #[must_use]
    pub fn session(&self) -> u64 {
        self.ticket.number | (u64::from(self.ticket.generation) & SESSION_MASK) << SESSION_GENERATION
    }

    /// The number.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.ticket.number
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
