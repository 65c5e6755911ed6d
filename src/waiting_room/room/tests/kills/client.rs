//! One of a crowd: where he is on his way, and how he behaves.

use super::wire::Wants;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// He comes soon.
    Due(Wants),
    /// His request is on its way, or at the service.
    Out(Wants),
    /// He waits to be called.
    Waits,
    /// Only the service knows what became of his request.
    Unclear,
    /// Told so.
    Done,
    /// Told that the quota is spent.
    Spent,
}

pub(super) struct Client {
    pub(super) ticket: Option<Box<str>>,
    pub(super) number: Option<u64>,
    pub(super) stage: Stage,
}

/// Whether the service recognises a repetition of his request; he has an identity then.
pub(super) const fn is_keyed(who: usize) -> bool {
    who % 10 < 7
}

/// Whether he comes when he is called.
pub(super) const fn shows_up(who: usize) -> bool {
    who % 10 != 4
}
