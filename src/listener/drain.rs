//! The end of service: nobody new, everybody in flight to their end, within a deadline.
//!
//! [`Drain::begin`] closes the listening sockets after what already waits in them has been taken, sends GOAWAY on HTTP/2,
//! `Connection: close` with the answer in flight on HTTP/1.1, and closes idle connections at once. Whatever is still open
//! `drain_timeout` later is cut by its own task.
//!
//! **Invariants**: a drain never ends; every connection ends at most `drain_timeout` (and a moment for the last words) after
//! it began.
//! **Cost**: one waiter per connection.
//! **Not here**: what triggers it (`runtime`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Whether it has begun, and who waits for it. A connection's wait is in its memory for as long as it is open: a watch channel's takes
/// three times this one's.
#[derive(Debug, Default)]
struct Shared {
    begun: AtomicBool,
    changed: Notify,
}

impl Shared {
    fn begin(&self) {
        self.begun.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }
}

/// The hand that begins a drain.
#[derive(Debug)]
pub struct Drain(Arc<Shared>);

/// Has every connection look at its clocks again.
#[derive(Clone, Debug)]
pub struct Nudge(Arc<Shared>);

/// What listeners and connections watch.
#[derive(Clone, Debug)]
pub struct DrainSignal(Arc<Shared>);

/// A drain that has not begun, and its signal.
#[must_use]
pub fn drain() -> (Drain, DrainSignal) {
    let shared = Arc::<Shared>::default();
    (Drain(Arc::clone(&shared)), DrainSignal(shared))
}

impl Drain {
    /// Begins the drain. The second time does nothing.
    pub fn begin(&self) {
        self.0.begin();
    }

    /// What has the connections that watch this drain look at their clocks.
    #[must_use]
    pub fn nudge(&self) -> Nudge {
        Nudge(Arc::clone(&self.0))
    }
}

impl Drop for Drain {
    fn drop(&mut self) {
        // Nobody could begin it any more.
        self.0.begin();
    }
}

impl Nudge {
    /// Wakes them all, once.
    pub fn all(&self) {
        self.0.changed.notify_waiters();
    }
}

impl DrainSignal {
    /// Whether the drain has begun, or the hand that would begin it is gone.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.0.begun.load(Ordering::Acquire)
    }

    /// Waits for the drain to begin.
    pub async fn begun(&self) {
        loop {
            // In this order: it hears of what comes after it was made, also before it waits.
            let changed = self.0.changed.notified();
            if self.has_begun() {
                return;
            }
            changed.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_signal_sees_the_drain_begin_also_a_late_one_and_an_orphan() {
        let (drain_, signal) = drain();
        assert!(!signal.has_begun());
        let early = signal.clone();
        let waiting = tokio::spawn(async move { early.begun().await });
        drain_.begin();
        waiting.await.unwrap();
        signal.clone().begun().await;

        let (hand, orphan) = drain();
        drop(hand);
        orphan.begun().await;
        assert!(orphan.has_begun());
    }
}
