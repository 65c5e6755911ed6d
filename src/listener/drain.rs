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

use tokio::sync::watch;

/// The hand that begins a drain.
#[derive(Debug)]
pub struct Drain(watch::Sender<bool>);

/// Has every connection look at its clocks again.
#[derive(Clone, Debug)]
pub struct Nudge(watch::Sender<bool>);

/// What listeners and connections watch.
#[derive(Clone, Debug)]
pub struct DrainSignal(watch::Receiver<bool>);

/// A drain that has not begun, and its signal.
#[must_use]
pub fn drain() -> (Drain, DrainSignal) {
    let (hand, signal) = watch::channel(false);
    (Drain(hand), DrainSignal(signal))
}

impl Drain {
    /// Begins the drain. The second time does nothing.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }

    /// What has the connections that watch this drain look at their clocks.
    #[must_use]
    pub fn nudge(&self) -> Nudge {
        Nudge(self.0.clone())
    }
}

impl Nudge {
    /// Wakes them all, once.
    pub fn all(&self) {
        self.0.send_modify(|_unchanged| {});
    }
}

impl DrainSignal {
    /// Whether the drain has begun. A hand that is gone counts: nobody could begin it any more.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Waits for the drain to begin.
    pub async fn begun(&mut self) {
        // An error says that the hand is gone.
        let _gone = self.0.wait_for(|begun| *begun).await.is_err();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_signal_sees_the_drain_begin_also_a_late_one_and_an_orphan() {
        let (drain_, signal) = drain();
        assert!(!signal.has_begun());
        let mut early = signal.clone();
        let waiting = tokio::spawn(async move { early.begun().await });
        drain_.begin();
        waiting.await.unwrap();
        signal.clone().begun().await;

        let (hand, mut orphan) = drain();
        drop(hand);
        orphan.begun().await;
        assert!(orphan.has_begun());
    }
}
