//! What is counted for each server.
//!
//! **Invariants**: counters only grow.
//! **Cost**: one relaxed addition an event.
//! **Not here**: names and labels (`telemetry`).

use std::sync::atomic::AtomicU64;

/// What is counted for each server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A request was handed to a connection; again, if a connection that had just closed gave it back unsent.
    Requests,
    /// A connection was opened, TLS included.
    Connections,
    /// A dial failed.
    Unreachable,
    /// A dial took too long.
    ConnectTimeouts,
    /// The server was silent for too long, before or in its response.
    ResponseTimeouts,
    /// The caller's request body failed.
    RequestBodies,
    /// The server broke connection or protocol.
    Broken,
    /// We cut an exchange that nobody waited for any longer.
    Abandoned,
}

impl Event {
    /// Every event, in the order of the fields.
    pub const ALL: [Self; 8] = [
        Self::Requests,
        Self::Connections,
        Self::Unreachable,
        Self::ConnectTimeouts,
        Self::ResponseTimeouts,
        Self::RequestBodies,
        Self::Broken,
        Self::Abandoned,
    ];
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    requests: AtomicU64,
    connections: AtomicU64,
    unreachable: AtomicU64,
    connect_timeouts: AtomicU64,
    response_timeouts: AtomicU64,
    request_bodies: AtomicU64,
    broken: AtomicU64,
    abandoned: AtomicU64,
}

impl Counters {
    pub(super) const fn of(&self, event: Event) -> &AtomicU64 {
        match event {
            Event::Requests => &self.requests,
            Event::Connections => &self.connections,
            Event::Unreachable => &self.unreachable,
            Event::ConnectTimeouts => &self.connect_timeouts,
            Event::ResponseTimeouts => &self.response_timeouts,
            Event::RequestBodies => &self.request_bodies,
            Event::Broken => &self.broken,
            Event::Abandoned => &self.abandoned,
        }
    }
}
