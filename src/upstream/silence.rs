//! A timer for an upstream's silence that costs next to nothing while the upstream speaks.
//!
//! It is never moved when something is heard: it fires, looks how long the silence really is, and sleeps for the rest.
//! So a connection that carries a thousand requests a second touches the timer wheel once every timeout.
//!
//! **Invariants**: fires not before `limit` of silence, and at most a timer tick after it. Every use of one timer must
//! have the same limit: a sleep set earlier then never ends too late.
//! **Cost**: one allocation for the life of a connection; two atomic operations a poll.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// A lazily armed timer.
#[derive(Default)]
pub(super) struct Silence(Option<Pin<Box<Sleep>>>);

impl Silence {
    /// Ready once `quiet()`, the length of the present silence, has reached `limit`.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, limit: Duration, quiet: impl Fn() -> Duration) -> Poll<()> {
        loop {
            if let Some(timer) = &mut self.0 {
                ready!(timer.as_mut().poll(cx));
            }
            let left = limit.saturating_sub(quiet());
            if left.is_zero() {
                return Poll::Ready(());
            }
            match &mut self.0 {
                Some(timer) => timer.set(sleep(left)),
                None => self.0 = Some(Box::pin(sleep(left))),
            }
        }
    }
}

impl fmt::Debug for Silence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Silence").field(&self.0.is_some()).finish()
    }
}
