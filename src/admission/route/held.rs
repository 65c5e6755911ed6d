//! Requests that are held: in line, or outside it until an earlier one of their client has left the system.
//!
//! **Invariants**: whoever is held counts as long as he is; what he holds of his client's limits goes with him, and with his permit.
//! **Not here**: who is held (`super`).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use crate::admission::client::concurrency::{self, Slots};
use crate::admission::permit::{Expired, Permit, Waiting};
use crate::admission::verdict::Account;
use crate::clock::Tick;

/// A request held in line; resolves when the turn has come, and dropping it leaves the line.
#[derive(Debug)]
pub struct Held {
    /// The wait ends here, with or without a turn.
    pub deadline: Tick,
    pub(super) waiting: Waiting,
    pub(super) slots: Slots,
    pub(super) _count: Count,
}

/// A request held outside the line; resolves when it may go on, and dropping it gives its place up.
#[derive(Debug)]
pub struct Parked {
    /// The wait ends here.
    pub deadline: Tick,
    /// What holds it.
    pub account: Account,
    pub(super) waiting: concurrency::Parked,
    /// [`None`] once it has gone on.
    pub(super) walk: Option<Walk>,
}

/// How far a request has come through its client's limits.
#[derive(Debug)]
pub struct Walk {
    pub(super) deadline: Tick,
    /// So many accounts have been passed: that of the session, and those of the limits in the order of the route's list.
    pub(super) passed: usize,
    pub(super) slots: Slots,
    pub(super) count: Option<Count>,
}

/// One of those who are held; counted until dropped.
#[derive(Debug)]
pub(super) struct Count(pub(super) Arc<AtomicUsize>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Future for Held {
    type Output = Result<Permit, Expired>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut turn = ready!(Pin::new(&mut self.waiting).poll(context));
        if let Ok(permit) = &mut turn {
            permit.carry(std::mem::take(&mut self.slots));
        }
        Poll::Ready(turn)
    }
}

impl Future for Parked {
    type Output = Walk;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Walk> {
        let slot = ready!(Pin::new(&mut self.waiting).poll(context));
        let Some(mut walk) = self.walk.take() else { return Poll::Pending };
        walk.slots.keep(slot);
        Poll::Ready(walk)
    }
}
