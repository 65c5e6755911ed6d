//! What an upstream needs done in the background: its names resolved, its servers checked.
//!
//! **Invariants**: one task for each configured name and, with active checks, one for each server, whatever the list becomes; all
//! end with the future that started them.
//! **Not here**: how (`resolve`, `check`).

use std::sync::Arc;

use tokio::task::{AbortHandle, JoinSet};

use super::check::keep_checked;
use super::resolve::{Resolve, keep_resolved};
use super::server::{Host, Origin, ServerState};
use super::shared::Upstream;
use crate::clock::Clock;

/// The tasks of one upstream.
struct Tended<R> {
    upstream: Arc<Upstream>,
    clock: Clock,
    resolver: Arc<R>,
    tasks: JoinSet<()>,
    names: Vec<(Arc<Origin>, AbortHandle)>,
    servers: Vec<(Arc<ServerState>, AbortHandle)>,
}

impl Upstream {
    /// Keeps names resolved by `resolver` and servers checked, for as long as the future is polled; it never resolves. To be run
    /// once for the whole process, on a runtime with threads for blocking work.
    pub async fn tend(self: Arc<Self>, resolver: impl Resolve, clock: Clock) {
        let mut changes = self.watch_servers();
        let mut tended = Tended {
            upstream: self,
            clock,
            resolver: Arc::new(resolver),
            tasks: JoinSet::new(),
            names: Vec::new(),
            servers: Vec::new(),
        };
        loop {
            {
                let servers = changes.borrow_and_update();
                tended.resolve(&servers.origins);
                tended.check(&servers.states);
            }
            tokio::select! {
                // The sender is the upstream's, which we hold.
                _ = changes.changed() => {}
                Some(ended) = tended.tasks.join_next() => {
                    if ended.is_err_and(|error| error.is_panic()) {
                        tracing::error!(upstream = %tended.upstream.name, "a background task panicked");
                    }
                }
            }
        }
    }
}

impl<R: Resolve> Tended<R> {
    fn resolve(&mut self, origins: &[Arc<Origin>]) {
        let stays = |origin: &Arc<Origin>| origins.iter().any(|other| Arc::ptr_eq(other, origin));
        self.names.retain(|(origin, task)| stays(origin) || abort(task));
        for origin in origins.iter().filter(|origin| matches!(origin.host, Host::Name(_))) {
            if self.names.iter().any(|(other, _)| Arc::ptr_eq(other, origin)) {
                continue;
            }
            let (upstream, resolver) = (Arc::clone(&self.upstream), Arc::clone(&self.resolver));
            let task = keep_resolved(upstream, Arc::clone(origin), self.clock.clone(), resolver);
            self.names.push((Arc::clone(origin), self.tasks.spawn(task)));
        }
    }

    fn check(&mut self, servers: &[Arc<ServerState>]) {
        let Some(check) = self.upstream.health.clone() else { return };
        let stays = |server: &Arc<ServerState>| servers.iter().any(|other| Arc::ptr_eq(other, server));
        self.servers.retain(|(server, task)| stays(server) || abort(task));
        for server in servers {
            if self.servers.iter().any(|(other, _)| Arc::ptr_eq(other, server)) {
                continue;
            }
            let task = keep_checked(Arc::clone(&self.upstream), Arc::clone(server), check.clone(), self.clock.clone());
            self.servers.push((Arc::clone(server), self.tasks.spawn(task)));
        }
    }
}

/// Ends a task that is not needed any more; `false`, so that it is not retained.
fn abort(task: &AbortHandle) -> bool {
    task.abort();
    false
}
