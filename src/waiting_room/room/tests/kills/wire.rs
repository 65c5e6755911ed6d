//! What passes between a room that is a process of its own and all who come to it: a JSON document a line, through pipes.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::super::super::Stand;
use crate::waiting_room::order::State;

/// The room that a child is to open.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Scenario {
    /// Its directory.
    pub(super) state: PathBuf,
    /// The key is created by this start.
    pub(super) new: bool,
    pub(super) capacity: usize,
    /// Milliseconds after [`super::BEGAN`] at which the only wave opens, if it has a lobby.
    pub(super) opens: Option<u64>,
    pub(super) quota: Option<u64>,
    /// What the service completes a second.
    pub(super) rate: f64,
    /// The present, in milliseconds after [`super::BEGAN`].
    pub(super) at: u64,
}

/// What somebody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Wants {
    /// To know where he stands.
    Look,
    /// A page behind the room; its success does not count.
    Page,
    /// A request whose success counts.
    Send,
    /// To leave.
    Leave,
}

/// A request, with all by which its sender is known.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Visit {
    pub(super) who: usize,
    pub(super) ticket: Option<String>,
    pub(super) identity: Option<String>,
    /// By which the service recognises the request.
    pub(super) key: Option<String>,
    pub(super) wants: Wants,
}

/// What is heard of a request that was forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Word {
    Status(u16),
    /// The connection was refused.
    Unsent,
    /// The connection broke.
    Nothing,
    /// It broke, and the gateway sends the request once more.
    Repeat,
}

/// Said to the room.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Ask {
    Visit(Visit),
    Answer {
        turn: u64,
        word: Word,
    },
    /// The chore, at this many milliseconds after [`super::BEGAN`].
    Tick(u64),
    Pause(bool),
    /// An operator's word; `true` is a success.
    Resolve {
        number: u64,
        done: bool,
    },
    /// Whose outcome is unclear, from this position on.
    Unclear(u64),
    /// Who he is by ticket, and who by identity alone; no visit.
    Find(Visit),
    Survey,
    /// So many records that say nothing new.
    Ballast(u32),
    /// The process ends as it should.
    Close,
}

/// Where somebody stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Where {
    /// He has no place, and was given none.
    Nowhere,
    Lobby,
    Waiting {
        ahead: u64,
    },
    Called,
    Taken,
    Inside,
    Sending,
    Unclear,
    Done,
    Over {
        spent: bool,
    },
    Unknown,
}

/// What is known of somebody, and not told to him.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Found {
    pub(super) who: usize,
    /// By the ticket or the identity, as a visit would find him.
    pub(super) number: Option<u64>,
    /// By the identity alone.
    pub(super) named: Option<u64>,
    pub(super) state: u8,
    pub(super) counted: bool,
    pub(super) position: u64,
    pub(super) stand: Where,
    /// A draw that is published has his place.
    pub(super) drawn: bool,
}

/// The room as a whole.
#[expect(clippy::struct_excessive_bools, reason = "four questions of their own")]
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Whole {
    pub(super) issued: u64,
    pub(super) serving: u64,
    pub(super) paused: bool,
    /// Inside, at the service or unclear, as their entries say.
    pub(super) inside: u64,
    pub(super) unclear: u64,
    /// Taken and done, of the quota.
    pub(super) count: (u32, u32),
    /// Its quota has ended it.
    pub(super) spent: bool,
    /// Positions are final: there is no lobby any more, and no draw to be held.
    pub(super) ordered: bool,
    /// The draw, if there was one, can be read by all.
    pub(super) published: bool,
}

/// Said by the room.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Say {
    Ready(Whole),
    /// Somebody is told where he stands, and has his ticket.
    Told {
        who: usize,
        number: Option<u64>,
        ticket: Option<String>,
        stand: Where,
        counted: bool,
    },
    /// His request is at the service.
    Forward {
        turn: u64,
        who: usize,
        number: u64,
        ticket: String,
        counts: bool,
        /// What he is, and whether the journal was waited for.
        state: u8,
        written: bool,
    },
    /// He is told what became of it.
    Ended {
        who: usize,
        counts: bool,
        word: Word,
        stand: Where,
    },
    Left {
        who: usize,
    },
    Ticked(Whole),
    Paused(bool),
    Resolved {
        number: u64,
        done: bool,
        kept: bool,
    },
    Unclear {
        numbers: Vec<u64>,
        next: Option<u64>,
    },
    Found(Found),
    Whole(Whole),
    Ballast(u32),
    Closed(bool),
}

impl From<Stand> for Where {
    fn from(stand: Stand) -> Self {
        match stand {
            Stand::Lobby { .. } => Self::Lobby,
            Stand::Waiting { ahead, .. } => Self::Waiting { ahead },
            Stand::Called => Self::Called,
            Stand::Taken => Self::Taken,
            Stand::Inside => Self::Inside,
            Stand::Sending => Self::Sending,
            Stand::Unclear => Self::Unclear,
            Stand::Done => Self::Done,
            Stand::Over { spent, .. } => Self::Over { spent },
            Stand::Unknown => Self::Unknown,
        }
    }
}

impl Where {
    /// What has become of somebody who is told this.
    pub(super) const fn state(self) -> State {
        match self {
            Self::Inside => State::Admitted,
            Self::Sending => State::Sending,
            Self::Unclear => State::Ambiguous,
            Self::Done => State::Done,
            Self::Unknown | Self::Nowhere => State::Gone,
            Self::Lobby | Self::Waiting { .. } | Self::Called | Self::Taken | Self::Over { .. } => State::Waiting,
        }
    }
}
