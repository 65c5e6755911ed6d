//! One exchange's place at a server, tied to the caller's guard.
//!
//! **Invariants**: the place is given back first, then the guard; neither without the other.
//! **Cost**: two atomic additions, one reference count.

use std::sync::Arc;

use super::server::ServerState;

/// The caller's guard together with the place it takes at a server. Dropping it says: the upstream is done.
#[derive(Debug)]
#[must_use = "dropping it gives the permit back"]
pub struct InFlight<G> {
    // Before the guard, so that whoever the guard lets in already sees the server less busy.
    place: Place,
    guard: G,
}

impl<G> InFlight<G> {
    pub(super) fn new(server: &Arc<ServerState>, guard: G) -> Self {
        server.enter();
        Self { place: Place(Arc::clone(server)), guard }
    }

    /// The server that works on it.
    #[must_use]
    pub fn server(&self) -> &Arc<ServerState> {
        &self.place.0
    }

    pub(super) fn into_guard(self) -> G {
        self.guard
    }
}

#[derive(Debug)]
struct Place(Arc<ServerState>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.leave();
    }
}
