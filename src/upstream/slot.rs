//! One server as one pool sees it: the connections kept for it.
//!
//! **Invariants**: what is kept counts in the server's `idle`, and stops counting when it is dropped.
//! **Not here**: when a connection is kept, used or closed (`pool`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::watch;

use super::balance::{Candidacy, Candidate};
use super::connection::{Http1, Http2};
use super::failure::DialError;
use super::server::ServerState;
use crate::clock::Tick;
use crate::config::plan::Protocol;

/// A server and what this pool keeps for it.
#[derive(Debug)]
pub(super) struct Slot<B> {
    pub(super) server: Arc<ServerState>,
    kept: Mutex<Kept<B>>,
}

/// What is kept for one server.
#[derive(Debug)]
pub(super) struct Kept<B> {
    pub(super) server: Arc<ServerState>,
    pub(super) idle: Vec<(Http1<B>, Tick)>,
    pub(super) shared: Option<Arc<Http2<B>>>,
    pub(super) dialling: Weak<Dial<B>>,
    /// What the server spoke last, where that is open until ALPN has decided.
    pub(super) speaks_http1: bool,
}

impl<B> Slot<B> {
    pub(super) fn new(server: &Arc<ServerState>) -> Arc<Self> {
        let origin = &server.origin;
        let kept = Kept {
            server: Arc::clone(server),
            idle: Vec::new(),
            shared: None,
            dialling: Weak::new(),
            speaks_http1: origin.protocol == Protocol::Http1
                || (origin.protocol == Protocol::Auto && origin.tls.is_none()),
        };
        Arc::new(Self { server: Arc::clone(server), kept: Mutex::new(kept) })
    }

    pub(super) fn kept(&self) -> MutexGuard<'_, Kept<B>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes what is kept.
    pub(super) fn close(&self) {
        let mut kept = self.kept();
        let idle = std::mem::take(&mut kept.idle);
        kept.server.idle_shrank(idle.len());
        kept.shared = None;
    }
}

impl<B> Candidate for Slot<B> {
    fn load(&self) -> f64 {
        self.server.load()
    }

    fn has_room(&self) -> bool {
        self.server.has_room()
    }

    fn is_full(&self) -> bool {
        self.server.is_full()
    }

    fn candidacy(&self, now: Tick) -> Candidacy {
        self.server.candidacy(now)
    }

    fn try_trial(&self, now: Tick) -> bool {
        self.server.try_trial(now)
    }
}

/// The outcome of a dial that several wait for; `Some(Ok(None))` says: it speaks HTTP/1.1, a connection for each.
pub(super) type Dialled<B> = Option<Result<Option<Arc<Http2<B>>>, DialError>>;
pub(super) type Dial<B> = watch::Sender<Dialled<B>>;

impl<B> Drop for Kept<B> {
    fn drop(&mut self) {
        self.server.idle_shrank(self.idle.len());
    }
}
