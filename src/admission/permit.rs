//! The right to have one request in flight at an upstream and its dependencies, and the wait for it.
//!
//! **Invariants**: a [`Permit`] counts against its gates from grant to drop, exactly once, whatever happens to its holder;
//! a [`Waiting`] that is dropped leaves the line, and gives back a grant that was already on its way.
//! **Not here**: when the upstream is done; whoever sends the request holds the permit until then.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::admission::client::concurrency::Slots;
use crate::admission::dispatch::Dispatcher;
use crate::admission::queue::{Line, Outcome, Place};
use crate::clock::Tick;

/// The right to have one request in flight; given back on drop.
#[derive(Debug)]
#[must_use = "a permit that is dropped is given back"]
pub struct Permit {
    dispatcher: Arc<Dispatcher>,
    line: Arc<Line>,
    granted: Tick,
    ended: Option<Tick>,
    used: bool,
    quiet: bool,
    /// The client's: given back after the permit.
    slots: Slots,
}

impl Permit {
    pub(in crate::admission) fn new(dispatcher: Arc<Dispatcher>, line: Arc<Line>, granted: Tick) -> Self {
        Self { dispatcher, line, granted, ended: None, used: false, quiet: false, slots: Slots::default() }
    }

    /// Gives the client's slots into its keeping, until the upstream is done with the request.
    pub(in crate::admission) fn carry(&mut self, slots: Slots) {
        self.slots = slots;
    }

    /// It is being spent on a request: how long it is held tells how fast the upstream is. Without this nothing is learned
    /// from it, and tokens are given back with it.
    pub fn spend(&mut self) {
        self.used = true;
    }

    /// Whether it is being spent on a request.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.used
    }

    /// The limit of the upstream falls by it, at once: when it comes home, nobody else gets it. Once for each place that was one
    /// too many, wherever the request goes next.
    pub fn withdraw(&self) {
        if let Some(upstream) = self.line.gates().last() {
            upstream.adjust(-1);
        }
    }

    /// What it is spent on has become a tunnel, which is held for as long as people like: what it lasted until now was the
    /// service's, and its end will say nothing of the pace.
    pub fn fall_quiet(&mut self) {
        if std::mem::replace(&mut self.quiet, true) {
            return;
        }
        let now = self.dispatcher.clock().now();
        for gate in self.line.gates() {
            gate.fell_quiet(now, now.since(self.granted));
        }
    }

    /// Whether it is held by a tunnel.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// How long it has been held.
    #[must_use]
    pub fn held(&self) -> Duration {
        self.dispatcher.clock().now().since(self.granted)
    }

    /// The same, for whoever is about to drop it: it counts as given back at this instant.
    pub fn end(&mut self) -> Duration {
        let now = *self.ended.get_or_insert_with(|| self.dispatcher.clock().now());
        now.since(self.granted)
    }

    /// Nothing was sent after all: as if it had never been spent.
    pub fn spare(&mut self) {
        self.used = false;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let now = self.ended.unwrap_or_else(|| self.dispatcher.clock().now());
        let held = self.used.then(|| now.since(self.granted));
        for gate in self.line.gates() {
            if self.quiet {
                gate.quiet_ended();
            } else {
                gate.give_back(now, held);
            }
        }
        self.dispatcher.released(&self.line);
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
    dispatcher: Arc<Dispatcher>,
    place: Option<Place>,
}

impl Waiting {
    pub(in crate::admission) fn new(dispatcher: Arc<Dispatcher>, place: Place) -> Self {
        Self { dispatcher, place: Some(place) }
    }

    /// Leaves the line; a permit that was granted at the same instant is handed over.
    #[must_use = "a permit that is dropped is given back"]
    pub fn leave(mut self) -> Option<Permit> {
        self.settle()
    }

    fn settle(&mut self) -> Option<Permit> {
        let place = self.place.take()?;
        let line = Arc::clone(place.line());
        match place.leave() {
            Outcome::Granted => Some(Permit::new(Arc::clone(&self.dispatcher), line, self.dispatcher.clock().now())),
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
        // A grant that was on its way becomes a permit, and is given back as one.
        drop(self.settle());
    }
}
