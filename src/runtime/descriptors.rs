//! How many connections the descriptors of this process allow.
//!
//! **Invariants**: what upstreams, the admin socket and the process itself need is set aside before clients get the rest, so
//! that a crowd of clients cannot keep an admitted request from its upstream.

use std::num::NonZeroUsize;

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::config::plan::Plan;
use crate::proxy::turn::WATCHERS;

/// Standard streams, listening sockets, runtimes, logs, the admin socket and its connections.
const OWN: u64 = 128;

/// Beside a connection for each permit, as many idle ones may be kept for reuse.
const PER_PERMIT: u64 = 2;

/// Where no limit is known: what most distributions grant a service.
const UNKNOWN_LIMIT: u64 = 65_536;

/// Fewer make no gateway; the machine's limit is then too low, and the start says so.
const FEWEST: usize = 64;

/// Connections of clients that may be open at once: as configured, or what `RLIMIT_NOFILE` leaves.
#[must_use]
pub(super) fn max_connections(plan: &Plan) -> NonZeroUsize {
    let descriptors = raise();
    let permits: u64 = plan.upstreams.iter().map(|upstream| u64::from(upstream.most())).sum();
    let reserved = permits.saturating_mul(PER_PERMIT).saturating_add(OWN).saturating_add(WATCHERS as u64);
    let left = usize::try_from(descriptors.saturating_sub(reserved)).unwrap_or(usize::MAX);
    let wanted = plan.clients.max_connections.map(NonZeroUsize::get);
    if wanted.unwrap_or(FEWEST) > left {
        tracing::warn!(descriptors, reserved, left, "RLIMIT_NOFILE is too low for the configuration; raise it");
    }
    NonZeroUsize::new(wanted.unwrap_or_else(|| left.max(FEWEST))).unwrap_or(NonZeroUsize::MIN)
}

/// Raises the soft limit to the hard one, as every server must, and returns it.
fn raise() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let current = limit.current;
        limit.current = limit.maximum;
        if let Err(error) = setrlimit(Resource::Nofile, limit) {
            tracing::warn!(%error, "cannot raise RLIMIT_NOFILE");
            limit.current = current;
        }
    }
    limit.current.unwrap_or(UNKNOWN_LIMIT)
}
