//! Who takes part in a draw.
//!
//! **Invariants**: every number at most once; the order in which registrations are entered is the order of their numbers.
//! **Cost**: two hashes a registration, ~0.4 µs: a lobby can be entered as it fills, in order, or at its end.
//! **Not here**: who counts as registered (`order`), the ticket itself (`ticket`).

use std::time::Duration;

use super::digest::{Digest, Hex, sha256};
use super::merkle::{Growth, Tree};

const TICKET: &[u8] = b"weir draw ticket 1\0";

/// Begins with what stands before a leaf, so that no leaf is a node (RFC 9162 §2.1.1).
const LEAF: &[u8] = b"\0weir draw registration 1\0";

/// Bytes of a digest that tie a registration to a ticket; number and instant are in it besides.
const TAG: usize = 8;

/// What ties a registration to the ticket of its holder, without showing the ticket.
pub type Tag = Hex<TAG>;

/// One registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The number that was given.
    pub number: u64,
    /// When, in milliseconds since 1970, as in the ticket.
    pub issued: u64,
    /// Of the ticket.
    pub tag: Tag,
}

/// The registrations of a lobby as they are entered.
#[derive(Clone, Debug, Default)]
pub struct Roll {
    growth: Growth,
    last: Option<u64>,
    count: u32,
}

/// Why a registration was not entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RollError {
    /// Its number is not above all before it.
    #[error("number {number} does not come after {last}")]
    Order {
        /// The number.
        number: u64,
        /// The one before it.
        last: u64,
    },
    /// There are 2³² − 1 already.
    #[error("no more registrations can be drawn")]
    Full,
}

impl Registration {
    /// The registration of `number`, issued at `issued` since 1970 with `ticket`, as its holder has it.
    #[must_use]
    pub fn new(number: u64, issued: Duration, ticket: &str) -> Self {
        Self { number, issued: u64::try_from(issued.as_millis()).unwrap_or(u64::MAX), tag: tag(ticket) }
    }

    /// Its leaf in the tree.
    #[must_use]
    pub fn leaf(&self) -> Digest {
        let mut bytes = [0; LEAF.len() + 8 + 8 + TAG];
        let fields =
            LEAF.iter().copied().chain(self.number.to_be_bytes()).chain(self.issued.to_be_bytes()).chain(self.tag.0);
        bytes.iter_mut().zip(fields).for_each(|(byte, value)| *byte = value);
        sha256(&bytes)
    }
}

impl Roll {
    /// Enters `registration`, whose number is above all before it.
    ///
    /// # Errors
    /// It is not; nothing is entered.
    pub fn enter(&mut self, registration: &Registration) -> Result<(), RollError> {
        if let Some(last) = self.last.filter(|last| registration.number <= *last) {
            return Err(RollError::Order { number: registration.number, last });
        }
        self.count = self.count.checked_add(1).ok_or(RollError::Full)?;
        self.last = Some(registration.number);
        self.growth.push(registration.leaf());
        Ok(())
    }

    /// How many have been entered.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    pub(super) fn close(self) -> Tree {
        self.growth.finish()
    }
}

fn tag(ticket: &str) -> Tag {
    let Hex(digest) = sha256(&[TICKET, ticket.as_bytes()].concat());
    let mut tag = [0; TAG];
    tag.iter_mut().zip(digest).for_each(|(byte, value)| *byte = value);
    Hex(tag)
}
