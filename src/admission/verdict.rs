//! What became of a request, in one closed list of words: the same in metrics, logs and answers.
//!
//! **Invariants**: [`Reason::as_str`] is the metric label, the access log's field and the last part of the problem's `type`;
//! every answer weir gives by itself has exactly one.
//! **Not here**: status codes and texts (`proxy::answer`).

use std::time::Duration;

/// Why a request ended as it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Forwarded; the upstream's answer was passed on.
    Admitted,
    /// The head of the request is not one that may be forwarded.
    BadRequest,
    /// The body broke its own framing, or the client stopped in the middle.
    BodyBroken,
    /// The body is larger than the route allows.
    BodyTooLarge,
    /// The client stopped sending its body.
    BodyTimeout,
    /// The client has as many requests open as it may have at once.
    ClientConcurrency,
    /// The client left while waiting in line.
    ClientLeft,
    /// The client is over a limit of its own.
    ClientLimit,
    /// The turn did not come within the promised wait.
    Expired,
    /// An expectation other than `100-continue`.
    ExpectationFailed,
    /// It passed this gateway, or others of its kind, too often: an upstream leads back here.
    LoopDetected,
    /// The route exists, the method does not.
    MethodNotAllowed,
    /// No route takes this host and path.
    NoRoute,
    /// More header fields than allowed.
    HeadTooLarge,
    /// A method or transfer coding that weir does not forward.
    NotImplemented,
    /// The process is short of memory, and turns away who was not let in before.
    Overloaded,
    /// No place is left in the line.
    QueueFull,
    /// Something in weir failed; a defect.
    Internal,
    /// The upstream broke off or answered with something that is not HTTP.
    UpstreamBroken,
    /// The upstream did not answer in time.
    UpstreamTimeout,
    /// No server of the upstream takes a connection.
    UpstreamUnreachable,
    /// The target is longer than may be forwarded.
    UriTooLong,
    /// The request counts once, and has succeeded already.
    AlreadyDone,
    /// The same person's request that counts is at the service.
    AlreadySending,
    /// The waiting room takes nobody any more.
    Closed,
    /// Nothing proves a place in a waiting room.
    NoPlace,
    /// Registered in the lobby of a waiting room.
    NotOpenYet,
    /// The service failed while a request that counts was there.
    OutcomeUnknown,
    /// Nothing is left of the quota.
    QuotaSpent,
    /// No number is left in the waiting room.
    RoomFull,
    /// A place in a waiting room, whose turn has not come.
    Waiting,
    /// The line is longer than the route lets anybody wait.
    WaitTooLong,
}

impl Reason {
    /// All of them, for metrics that must exist before the first event.
    pub const ALL: [Self; 32] = [
        Self::Admitted,
        Self::BadRequest,
        Self::BodyBroken,
        Self::BodyTooLarge,
        Self::BodyTimeout,
        Self::ClientConcurrency,
        Self::ClientLeft,
        Self::ClientLimit,
        Self::Expired,
        Self::ExpectationFailed,
        Self::LoopDetected,
        Self::MethodNotAllowed,
        Self::NoRoute,
        Self::HeadTooLarge,
        Self::NotImplemented,
        Self::Overloaded,
        Self::QueueFull,
        Self::Internal,
        Self::UpstreamBroken,
        Self::UpstreamTimeout,
        Self::UpstreamUnreachable,
        Self::UriTooLong,
        Self::AlreadyDone,
        Self::AlreadySending,
        Self::Closed,
        Self::NoPlace,
        Self::NotOpenYet,
        Self::OutcomeUnknown,
        Self::QuotaSpent,
        Self::RoomFull,
        Self::Waiting,
        Self::WaitTooLong,
    ];

    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::BadRequest => "bad_request",
            Self::BodyBroken => "body_broken",
            Self::BodyTooLarge => "body_too_large",
            Self::BodyTimeout => "body_timeout",
            Self::ClientConcurrency => "client_concurrency",
            Self::ClientLeft => "client_left",
            Self::ClientLimit => "client_limit",
            Self::Expired => "expired",
            Self::ExpectationFailed => "expectation_failed",
            Self::LoopDetected => "loop_detected",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NoRoute => "no_route",
            Self::HeadTooLarge => "head_too_large",
            Self::NotImplemented => "not_implemented",
            Self::Overloaded => "overloaded",
            Self::QueueFull => "queue_full",
            Self::Internal => "internal",
            Self::UpstreamBroken => "upstream_broken",
            Self::UpstreamTimeout => "upstream_timeout",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::UriTooLong => "uri_too_long",
            Self::AlreadyDone => "already_done",
            Self::AlreadySending => "already_sending",
            Self::Closed => "closed",
            Self::NoPlace => "no_place",
            Self::NotOpenYet => "not_open_yet",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::QuotaSpent => "quota_spent",
            Self::RoomFull => "room_full",
            Self::Waiting => "waiting",
            Self::WaitTooLong => "wait_too_long",
        }
    }

    /// Position in [`Reason::ALL`], for tables of counters.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// Admission says no, and when to come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// When there is a fair chance; jittered already.
    pub retry_after: Duration,
    /// The limit of the client that was exceeded, if one was.
    pub limit: Option<Exceeded>,
}

/// What counts the requests of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// The session of the pass.
    Session,
    /// The client limit at this position of the route's list.
    Limit(usize),
}

/// A limit of one client that was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Which.
    pub account: Account,
    /// When its next token comes; [`None`] where it is the concurrency that was exceeded: nobody knows that exactly.
    pub reset: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_place_and_its_own_word() {
        let mut words = std::collections::HashSet::new();
        for (position, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), position, "{reason:?}");
            assert!(words.insert(reason.as_str()), "{reason:?}");
        }
    }
}
