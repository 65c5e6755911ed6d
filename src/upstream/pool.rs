//! The connections of one worker to one upstream.
//!
//! HTTP/1.1: a stack of idle connections for each server, the last used on top, so that those not needed grow old and
//! go. HTTP/2: one shared connection for each server; while it is being dialled, everybody waits for that one dial.
//!
//! The servers may change: the pool keeps a [`Slot`] for each and looks at every request whether its list is still the last.
//!
//! **Invariants**: what is in the stack has answered its last request to the end and was sent its request to the end. No lock is
//! held across an await. The sweep holds the pool weakly: it ends with the pool. What is kept for a server that is gone is closed
//! by the next request or sweep, or with the last exchange there.
//! **Cost**: one uncontended lock for each request, each checkout and each return; one sweeping task a pool.
//! **Not here**: which server (`balance`), how to dial (`dial`).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use super::connection::{Connection, Http1, Http2, Share};
use super::dial::dial;
use super::failure::DialError;
use super::server::ServerState;
use super::shared::{Servers, Upstream};
use super::slot::{Dial, Dialled, Slot};
use super::upload::Payload;
use crate::clock::{Clock, Tick};

/// The sweep comes round this often in an idle timeout, so that none outstays it by more than a quarter.
const SWEEPS_PER_TIMEOUT: u32 = 4;
/// But not more often than this.
const SWEEP_PAUSE_MIN: Duration = Duration::from_millis(50);
/// Nor less often: connections to a server that was removed are closed within seconds.
const SWEEP_PAUSE_MAX: Duration = Duration::from_secs(1);

/// The connections of one worker to one upstream. Clones share them.
#[derive(Debug)]
pub struct Pool<B>(Arc<Shared<B>>);

impl<B> Clone for Pool<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Shared<B> {
    upstream: Arc<Upstream>,
    clock: Clock,
    slots: Mutex<Slots<B>>,
    swept: AtomicBool,
}

/// The pool's copy of the upstream's list.
#[derive(Debug)]
struct Slots<B> {
    list: Arc<[Arc<Slot<B>>]>,
    servers: watch::Receiver<Servers>,
}

impl<B: Payload> Pool<B> {
    /// An empty pool. One for each worker: its connections are driven by the runtime that dialled them.
    #[must_use]
    pub fn new(upstream: Arc<Upstream>, clock: Clock) -> Self {
        let mut servers = upstream.watch_servers();
        let list = servers.borrow_and_update().states.iter().map(Slot::new).collect();
        let slots = Mutex::new(Slots { list, servers });
        Self(Arc::new(Shared { upstream, clock, slots, swept: AtomicBool::new(false) }))
    }

    /// The upstream it leads to.
    #[must_use]
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.0.upstream
    }

    pub(super) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The servers to choose from.
    pub(super) fn slots(&self) -> Arc<[Arc<Slot<B>>]> {
        self.0.slots()
    }

    /// A connection to the server of `slot` that is open as far as we know `now`.
    pub(super) fn checkout(&self, slot: &Slot<B>, now: Tick) -> Option<Connection<B>> {
        let mut kept = slot.kept();
        drop(kept.shared.take_if(|shared| shared.sender.is_closed()));
        if let Some(shared) = &kept.shared {
            shared.touch(&self.0.clock);
            return Some(Connection::Http2(Share::of(shared)));
        }
        while let Some((http1, since)) = kept.idle.pop() {
            kept.server.idle_shrank(1);
            if http1.sender.is_ready() && now.since(since) < self.0.upstream.idle_timeout {
                return Some(Connection::Http1(http1));
            }
        }
        None
    }

    /// A new connection to the server of `slot`, or the shared one that is dialled already.
    pub(super) async fn connect(&self, slot: &Arc<Slot<B>>) -> Result<Connection<B>, DialError> {
        match self.join_dial(slot) {
            Joined::Own => self.dial_own(slot).await,
            Joined::Open(shared) => Ok(Connection::Http2(Share::of(&shared))),
            Joined::Dialling(mut outcome) => {
                let dialled = outcome.wait_for(Option::is_some).await.ok().and_then(|dialled| dialled.clone());
                match dialled {
                    Some(Ok(Some(shared))) => Ok(Connection::Http2(Share::of(&shared))),
                    Some(Err(error)) => Err(error),
                    // HTTP/1.1, or the dial stopped just as we joined.
                    Some(Ok(None)) | None => match self.checkout(slot, self.0.clock.now()) {
                        Some(connection) => Ok(connection),
                        None => self.dial_own(slot).await,
                    },
                }
            }
        }
    }

    async fn dial_own(&self, slot: &Slot<B>) -> Result<Connection<B>, DialError> {
        let connection = dial(&self.0.upstream, &slot.server, &self.0.clock).await?;
        if let Connection::Http2(share) = &connection {
            self.share(slot, &share.connection);
        }
        Ok(connection)
    }

    fn share(&self, slot: &Slot<B>, shared: &Arc<Http2<B>>) {
        let mut kept = slot.kept();
        kept.shared = Some(Arc::clone(shared));
        kept.speaks_http1 = false;
        drop(kept);
        self.ensure_sweep();
    }

    fn join_dial(&self, slot: &Arc<Slot<B>>) -> Joined<B> {
        let mut kept = slot.kept();
        if let Some(shared) = kept.shared.as_ref().filter(|shared| !shared.sender.is_closed()) {
            return Joined::Open(Arc::clone(shared));
        }
        if kept.speaks_http1 {
            return Joined::Own;
        }
        if let Some(dialling) = kept.dialling.upgrade() {
            return Joined::Dialling(dialling.subscribe());
        }
        let (sender, outcome) = watch::channel(None);
        let sender = Arc::new(sender);
        kept.dialling = Arc::downgrade(&sender);
        drop(kept);
        tokio::spawn(self.clone().dial_for_all(Arc::clone(slot), sender));
        Joined::Dialling(outcome)
    }

    /// Dials for everybody who waits, and stops when nobody does. The task's `sender` is the only strong one: however the
    /// task ends, waiters are told and the next one dials anew.
    async fn dial_for_all(self, slot: Arc<Slot<B>>, sender: Arc<Dial<B>>) {
        let dialled = tokio::select! {
            dialled = self.dial_own(&slot) => dialled,
            () = sender.closed() => return,
        };
        let outcome = match dialled {
            Ok(Connection::Http2(share)) => Ok(Some(share.connection)),
            Ok(Connection::Http1(http1)) => {
                slot.kept().speaks_http1 = true;
                self.give_back(&slot, http1, self.0.clock.now());
                Ok(None)
            }
            Err(error) => Err(error),
        };
        // Whoever has left in the meantime needs no outcome.
        drop(sender.send(Some(outcome)));
    }

    /// Keeps a connection that is ready for its next request since `now`.
    pub(super) fn give_back(&self, slot: &Slot<B>, http1: Http1<B>, now: Tick) {
        if !self.0.upstream.may_keep() {
            return;
        }
        let mut kept = slot.kept();
        kept.idle.push((http1, now));
        kept.server.idle_grew();
        drop(kept);
        self.ensure_sweep();
    }

    /// Forgets a shared connection that gave a request back.
    pub(super) fn forget(slot: &Slot<B>, shared: &Arc<Http2<B>>) {
        drop(slot.kept().shared.take_if(|kept| Arc::ptr_eq(kept, shared)));
    }

    /// Starts the sweep with the first connection that is kept.
    fn ensure_sweep(&self) {
        if self.0.swept.swap(true, Ordering::Relaxed) {
            return;
        }
        let pause = (self.0.upstream.idle_timeout / SWEEPS_PER_TIMEOUT).clamp(SWEEP_PAUSE_MIN, SWEEP_PAUSE_MAX);
        let pool = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            loop {
                sleep(pause).await;
                let Some(pool) = pool.upgrade() else {
                    return;
                };
                pool.sweep();
            }
        });
    }
}

impl<B> Shared<B> {
    fn slots(&self) -> Arc<[Arc<Slot<B>>]> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        // The upstream, which holds the sender, is ours.
        if slots.servers.has_changed().unwrap_or(false) {
            slots.follow();
        }
        Arc::clone(&slots.list)
    }

    fn sweep(&self) {
        let now = self.clock.now();
        let is_fresh = |since: Tick| now.since(since) < self.upstream.idle_timeout;
        for slot in self.slots().iter() {
            let mut kept = slot.kept();
            let before = kept.idle.len();
            kept.idle.retain(|(http1, since)| is_fresh(*since) && !http1.sender.is_closed());
            kept.server.idle_shrank(before - kept.idle.len());
            let unused = |shared: &mut Arc<Http2<B>>| {
                shared.sender.is_closed() || (Arc::strong_count(shared) == 1 && !is_fresh(shared.last_used()))
            };
            drop(kept.shared.take_if(unused));
        }
    }
}

impl<B> Slots<B> {
    /// Takes over the upstream's list: servers that stay keep their slots.
    fn follow(&mut self) {
        let servers = self.servers.borrow_and_update();
        let slot_of = |server: &Arc<ServerState>| self.list.iter().find(|slot| Arc::ptr_eq(&slot.server, server));
        let list = servers.states.iter().map(|server| slot_of(server).map_or_else(|| Slot::new(server), Arc::clone));
        let list: Arc<[_]> = list.collect();
        drop(servers);
        self.list.iter().filter(|slot| slot.server.health.is_retired()).for_each(|slot| slot.close());
        self.list = list;
    }
}

/// What there is to wait for.
enum Joined<B> {
    Own,
    Open(Arc<Http2<B>>),
    Dialling(watch::Receiver<Dialled<B>>),
}
