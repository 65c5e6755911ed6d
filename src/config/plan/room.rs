//! A waiting room as built.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::header::HeaderName;

use super::{Key, Rate, Secret};

/// Position in [`super::Plan::waiting_rooms`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaitingRoomId(pub usize);

/// Where those who do not fit get a place.
#[derive(Debug, PartialEq)]
pub struct WaitingRoom {
    /// Name in tickets, metrics, logs and pages.
    pub name: String,
    /// Signs and verifies tickets.
    pub key: Key,
    /// Verify as well: tickets signed before the key was replaced.
    pub old_keys: Vec<Secret>,
    /// What makes two requests the same person's, beside a ticket.
    pub identity: Option<Identity>,
    /// At least one, in order, none overlapping the next.
    pub waves: Vec<Wave>,
    /// What becomes of places when a wave ends.
    pub at_close: AtClose,
    /// How fast people are called.
    pub pace: Pace,
    /// Numbers remembered at once.
    pub capacity: usize,
    /// A ticket is good for so long.
    pub life: Duration,
    /// The directory of the journal; made at the start if it is not there.
    pub state: PathBuf,
    /// The operator's own page.
    pub page: Option<Arc<str>>,
}

/// What makes two requests the same person's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The value of a header.
    Header(HeaderName),
    /// The value of a cookie.
    Cookie(String),
}

/// An instant, and the zone in which it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instant {
    /// Time since 1970.
    pub unix: Duration,
    /// East of UTC, in minutes: people read it so.
    pub offset_minutes: i16,
}

/// When a room is open and for how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wave {
    /// Before it there is a lobby, and at it the lobby is drawn by lot; [`None`]: open from the start.
    pub opens: Option<Instant>,
    /// [`None`]: open until the quota is spent, or for ever.
    pub closes: Option<Instant>,
    /// Successes of the upstream; [`None`]: as many as there are.
    pub quota: Option<NonZeroU64>,
}

/// What becomes of those who still hold a place when a wave ends, by the clock or because its quota is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtClose {
    /// They are called as before until all have had their turn or the next wave opens; then they are the first of that one.
    /// Of a spent quota nothing is left to serve: their places end.
    Serve,
    /// They keep their places and are the first of the next wave. After the last wave there is none: their places end.
    Carry,
    /// Their places end.
    End,
}

/// How fast people are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As fast as the services take them.
    Measured,
    /// At this pace, or as fast as the services take them if that is slower.
    Fixed(Rate),
    /// Nobody, until an operator says so.
    Paused,
}
