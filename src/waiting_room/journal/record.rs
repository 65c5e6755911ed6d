//! What a room must still know after its process was killed.
//!
//! **Invariants**: a record says all that it needs by itself; a later one of the same subject replaces an earlier one.
//! **Cost**: 56 bytes, no allocation.
//! **Not here**: how one is written (`frame`), and what it means for the room (its restoring).

use std::fmt;

use super::frame::Kind;

/// Numbers, and positions, that a frame can hold; as in a ticket.
pub const NUMBERS: u64 = 1 << 48;
/// States that a frame can hold.
pub const STATES: u8 = 8;

/// Something that a room must still know after its process was killed.
///
/// Numbers and positions are below [`NUMBERS`], states below [`STATES`]; a greater one is written as the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// Numbers below this may have been given; after a restart, numbers begin here. On disk before it is acknowledged.
    Lease {
        /// First number that has not been given.
        issued_until: u64,
    },
    /// Numbers from `from` on are fresh, and those below `until` were given, as of a tick.
    Fresh {
        /// First number that is fresh.
        from: u64,
        /// First number that had not been given then.
        until: u64,
    },
    /// As far as is known nobody was given these numbers: the process that had leased them was killed.
    Skipped {
        /// The first of them.
        from: u64,
        /// The first behind them.
        until: u64,
    },
    /// Everybody before this position has been called.
    Serving {
        /// First position that has not been called.
        position: u64,
    },
    /// The holder of this number came back while it was fresh.
    Returned {
        /// His number.
        number: u64,
    },
    /// Somebody takes part in the lottery of a lobby: what his leaf is made of.
    Registered {
        /// His number.
        number: u64,
        /// When it was given, in milliseconds since 1970; below 2^48.
        issued: u64,
        /// What ties it to his ticket, as `lottery` computes it.
        tag: [u8; 8],
    },
    /// This identity holds this number.
    Identity {
        /// Keyed hash of the identity.
        hash: u64,
        /// Its number.
        number: u64,
    },
    /// The holder of this number has come to this state.
    State {
        /// His number.
        number: u64,
        /// State, as the order numbers them.
        state: u8,
        /// Wave in which he was let in.
        wave: u8,
        /// Moment, in the order's units of time.
        at: u32,
    },
    /// The secret of a wave's lottery; its commitment is computed from it. On disk before it is acknowledged.
    Secret {
        /// The wave whose lobby is drawn with it.
        wave: u8,
        /// The secret.
        secret: LotSecret,
    },
    /// The registrations of a lobby are closed, and it is to be drawn. On disk before it is acknowledged.
    Roll {
        /// The wave that opened.
        wave: u8,
        /// The first number of the lobby.
        first: u64,
        /// From this number on everybody takes part, also who has not come back.
        fresh: u64,
        /// The first number that was given after it.
        end: u64,
    },
    /// A lobby was drawn; with the secret, this gives the draw again. On disk before it is acknowledged.
    Draw {
        /// The wave that opened.
        wave: u8,
        /// First number that took part.
        first: u64,
        /// Registrations that took part.
        count: u32,
        /// The opening, in milliseconds since 1970.
        opens: u64,
        /// Merkle root of the registrations.
        root: [u8; 32],
    },
    /// The room has come so far through its waves. On disk before it is acknowledged.
    Wave {
        /// How far, as the schedule writes it.
        code: u16,
        /// The first number that had not been given then.
        first: u64,
    },
    /// An operator stopped or resumed calling. On disk before it is acknowledged.
    Paused(bool),
    /// So many of a wave have succeeded, by an operator's word, whatever was counted before. On disk before it is acknowledged.
    Taken {
        /// The wave.
        wave: u8,
        /// Successes; [`u64::MAX`]: nobody knows.
        count: u64,
    },
    /// The state before this journal was lost, and numbers below `front` are for those of its people who come late. On disk before it is
    /// acknowledged.
    Recovery {
        /// First number that is given to whoever comes.
        front: u64,
        /// How many numbers from there on were put in order; [`None`]: they have not been yet.
        ordered: Option<u64>,
    },
    /// Somebody with a ticket of a lost state has come, and has a number of this one.
    Recovered {
        /// His number now.
        number: u64,
        /// The generation of his ticket.
        generation: u32,
        /// The number in it.
        old: u64,
    },
}

/// Secret of a lottery. Its `Debug` does not show it: until the opening, whoever knows it could choose the outcome.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LotSecret(pub [u8; 32]);

impl fmt::Debug for LotSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LotSecret(..)")
    }
}

impl Record {
    /// Bytes that the record takes in a journal.
    #[must_use]
    pub fn encoded_len(&self) -> u64 {
        Kind::of(self).frame_len() as u64
    }

    /// Whether it is on the disk, and not only in the kernel's cache, before it is acknowledged: what would break a promise
    /// if a power cut took it back, and is rare.
    #[must_use]
    pub fn is_synced_at_once(&self) -> bool {
        match self {
            Self::Lease { .. }
            | Self::Secret { .. }
            | Self::Roll { .. }
            | Self::Draw { .. }
            | Self::Wave { .. }
            | Self::Paused(_)
            | Self::Taken { .. }
            | Self::Recovery { .. } => true,
            Self::Fresh { .. }
            | Self::Skipped { .. }
            | Self::Serving { .. }
            | Self::Returned { .. }
            | Self::Registered { .. }
            | Self::Identity { .. }
            | Self::State { .. }
            | Self::Recovered { .. } => false,
        }
    }
}
