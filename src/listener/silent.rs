//! Connections that have not sent a request: who is to go first when there is room for nobody else.
//!
//! **Law**: when all connections are taken and somebody waits to be accepted, the connection that has been without a request for
//! longest, since it was accepted, is closed for him, whether it says nothing, is in its handshake or in its first head. So those who
//! never ask share what the others leave; and as long as a newcomer asks before as many as there may be silent ones have come after him,
//! he is served. Clocks alone would not do: what is freed a second is no more than the limit divided by the shortest time that a
//! handshake over a slow network needs.
//!
//! **Invariants**: nobody is named twice, and nobody within [`GRACE`], or after his first request has begun; there are no more entries than connections.
//! **Cost**: a short lock when a connection is opened, at its first request and at its end, for the logarithm of how many there are.
//! **Not here**: when it is asked (`accept`); how it ends (`connection`); those that are idle between requests (`lifetime`).

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::connections::Slot;

/// Nobody is told to go sooner: a round trip of a slow network, in which whoever was just accepted is heard. Otherwise a crowd of honest
/// newcomers beside connections that are all busy would do nothing but displace each other. It bounds what a flood can have of us: the
/// limit four times a second.
const GRACE: Duration = Duration::from_millis(250);

/// Connections without a request, by age.
#[derive(Debug, Default)]
pub(super) struct Silent(Mutex<Ages>);

#[derive(Debug, Default)]
struct Ages {
    next: u64,
    open: BTreeMap<u64, (Instant, oneshot::Sender<()>)>,
}

/// What a connection hears when it is to go.
#[derive(Debug)]
pub(super) struct Dismissal(Option<oneshot::Receiver<()>>);

impl Dismissal {
    /// Ready when it is to go, once; never after it has left the silent.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(told) = &mut self.0 else { return Poll::Pending };
        let told = ready!(Pin::new(told).poll(cx));
        self.0 = None;
        if told.is_ok() { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number(u64);

impl Silent {
    /// A connection was opened. It hears when it is to go; once it has been removed, that it need not.
    pub(super) fn enter(&self, now: Instant) -> (Number, oneshot::Receiver<()>) {
        let (sender, receiver) = oneshot::channel();
        let mut ages = self.lock();
        let number = ages.next;
        ages.next += 1;
        ages.open.insert(number, (now, sender));
        (Number(number), receiver)
    }

    /// It has sent a request, or has ended. The second time does nothing.
    pub(super) fn leave(&self, number: Number) {
        let left = self.lock().open.remove(&number.0);
        drop(left);
    }

    /// Tells the oldest to go; whether there is one that has had its time.
    pub(super) fn dismiss_oldest(&self, now: Instant) -> bool {
        loop {
            let mut ages = self.lock();
            let Some(oldest) = ages.open.first_entry() else { return false };
            if now.saturating_duration_since(oldest.get().0) < GRACE {
                return false;
            }
            let (_, sender) = oldest.remove();
            drop(ages);
            // Whoever no longer listens is leaving already.
            if sender.send(()).is_ok() {
                return true;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Ages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    /// From now until its first request it may have to make room. Asked once.
    pub(super) fn may_be_dismissed(&self) -> Dismissal {
        let (number, told) = self.connections().silent.enter(Instant::now());
        if let Err(second) = self.silent.set(number) {
            self.connections().silent.leave(second);
        }
        Dismissal(Some(told))
    }

    /// It has sent a request.
    pub(super) fn note_request(&self) {
        if let Some(number) = self.silent.get() {
            self.connections().silent.leave(*number);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot::error::TryRecvError;

    use super::*;

    #[test]
    fn the_oldest_goes_first_and_whoever_has_asked_stays() {
        let (silent, opened) = (Silent::default(), Instant::now());
        let (first, mut asked) = silent.enter(opened);
        let (_, mut second) = silent.enter(opened);
        let (_, gone) = silent.enter(opened);
        let (_, mut fourth) = silent.enter(opened + GRACE);
        silent.leave(first);
        silent.leave(first);
        drop(gone);
        assert!(!silent.dismiss_oldest(opened + GRACE - Duration::from_nanos(1)));
        assert!(silent.dismiss_oldest(opened + GRACE));
        assert_eq!(second.try_recv(), Ok(()));
        assert_eq!(fourth.try_recv(), Err(TryRecvError::Empty));
        assert!(!silent.dismiss_oldest(opened + GRACE));
        assert!(silent.dismiss_oldest(opened + 2 * GRACE));
        assert_eq!(fourth.try_recv(), Ok(()));
        assert_eq!(asked.try_recv(), Err(TryRecvError::Closed));
        assert!(!silent.dismiss_oldest(opened + 9 * GRACE));
        assert!(silent.lock().open.is_empty());
    }
}
