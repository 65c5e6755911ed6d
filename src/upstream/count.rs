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
    /// The server said 429 or 503.
    Pushbacks,
    /// An HTTP/2 server said that it has not processed a request.
    Refused,
    /// It was left out after failures, or for longer after a failed probation.
    Ejections,
    /// A request was let through to see whether an ejected server is back.
    Probations,
    /// The connection broke after a request was sent, and the request was sent once more.
    Retries,
    /// It would have been, but for the budget.
    RetryBudgetExhausted,
    /// An active check failed.
    ChecksFailed,
    /// The name could not be resolved; the last addresses are kept.
    ResolveFailures,
}

impl Event {
    /// Every event, in the order of the fields.
    pub const ALL: [Self; 16] = [
        Self::Requests,
        Self::Connections,
        Self::Unreachable,
        Self::ConnectTimeouts,
        Self::ResponseTimeouts,
        Self::RequestBodies,
        Self::Broken,
        Self::Abandoned,
        Self::Pushbacks,
        Self::Refused,
        Self::Ejections,
        Self::Probations,
        Self::Retries,
        Self::RetryBudgetExhausted,
        Self::ChecksFailed,
        Self::ResolveFailures,
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
    pushbacks: AtomicU64,
    refused: AtomicU64,
    ejections: AtomicU64,
    probations: AtomicU64,
    retries: AtomicU64,
    retry_budget_exhausted: AtomicU64,
    checks_failed: AtomicU64,
    resolve_failures: AtomicU64,
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
            Event::Pushbacks => &self.pushbacks,
            Event::Refused => &self.refused,
            Event::Ejections => &self.ejections,
            Event::Probations => &self.probations,
            Event::Retries => &self.retries,
            Event::RetryBudgetExhausted => &self.retry_budget_exhausted,
            Event::ChecksFailed => &self.checks_failed,
            Event::ResolveFailures => &self.resolve_failures,
        }
    }
}
