//! The right to have one request in flight at an upstream, and the wait for it.
//!
//! **Invariants**: a [`Permit`] counts against its gate from grant to drop, exactly once, whatever happens to its holder;
//! a [`Waiting`] that is dropped leaves the line, and gives back a grant that was already on its way.
//! **Not here**: when the upstream is done; whoever sends the request holds the permit until then.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::admission::gate::Gate;
use crate::admission::queue::{Outcome, Place};
use crate::clock::Tick;

/// The right to have one request in flight at an upstream; given back on drop.
#[derive(Debug)]
#[must_use = "a permit that is dropped is given back"]
pub struct Permit {
    gate: Arc<Gate>,
    granted: Tick,
    used: bool,
}

impl Permit {
    pub(in crate::admission) fn new(gate: Arc<Gate>, granted: Tick) -> Self {
        Self { gate, granted, used: false }
    }

    /// It is being spent on a request: how long it is held tells how fast the upstream is. Without this nothing is learned
    /// from it.
    pub fn spend(&mut self) {
        self.used = true;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.give_back(self.used.then_some(self.granted));
    }
}

/// The line reached this waiter only after the deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the line was slower than predicted: the deadline passed before the turn came")]
pub struct Expired;

/// A place in line: resolves with the permit, or when the deadline has passed. Dropping it leaves the line.
///
/// It expires when the line reaches it; a caller that must know earlier sets a timer of its own.
#[derive(Debug)]
#[must_use = "whoever drops the place leaves the line"]
pub struct Waiting {
    gate: Arc<Gate>,
    place: Option<Place>,
}

impl Waiting {
    pub(in crate::admission) fn new(gate: Arc<Gate>, place: Place) -> Self {
        Self { gate, place: Some(place) }
    }

    /// Leaves the line; a permit that was granted at the same instant is handed over.
    #[must_use = "a permit that is dropped is given back"]
    pub fn leave(mut self) -> Option<Permit> {
        self.settle()
    }

    fn settle(&mut self) -> Option<Permit> {
        match self.place.take()?.leave() {
            Outcome::Granted => Some(Permit::new(Arc::clone(&self.gate), self.gate.clock().now())),
            Outcome::Cancelled | Outcome::Expired => None,
        }
    }
}

impl Future for Waiting {
    type Output = Result<Permit, Expired>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(place) = &self.place {
            ready!(place.poll(context));
        }
        Poll::Ready(self.settle().ok_or(Expired))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(Outcome::Granted) = self.place.take().map(Place::leave) {
            self.gate.give_back(None);
        }
    }
}
