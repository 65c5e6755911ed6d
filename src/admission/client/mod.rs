//! What one client may have and do: a rate, a number of requests at once, or both.
//!
//! **Invariants**: a client is a keyed hash of what tells it apart, so that nobody can aim at a shard or at somebody else's
//! account, and no personal data is stored.
//! **Cost**: that of its parts: a sharded lookup each.
//! **Not here**: what tells clients apart (`proxy`), in which order a route's limits are asked (`route`).

pub mod concurrency;
#[cfg(all(test, not(feature = "loom")))]
mod fairness;
#[cfg(all(test, not(feature = "loom")))]
mod props;

use std::sync::Arc;

use self::concurrency::Concurrency;
use crate::admission::rate::client::{Buckets, OverLimit};
use crate::clock::Tick;
use crate::config::plan::{self, ClientKey, Without};

/// A client, as a keyed hash of what tells it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientHash(pub u64);

/// One `[[client_limit]]`, shared by the routes that name it.
#[derive(Debug)]
pub struct ClientLimit {
    name: String,
    key: ClientKey,
    without: Without,
    buckets: Option<Buckets>,
    concurrency: Option<Arc<Concurrency>>,
}

impl ClientLimit {
    /// Nobody is known yet.
    #[must_use]
    pub fn new(limit: &plan::ClientLimit) -> Self {
        Self {
            name: limit.name.clone(),
            key: limit.key.clone(),
            without: limit.without,
            buckets: limit.rate.as_ref().map(Buckets::new),
            concurrency: limit.concurrency.map(Concurrency::new),
        }
    }

    /// Charges `client` for one request.
    pub fn charge(&self, now: Tick, client: ClientHash) -> Result<(), OverLimit> {
        self.buckets.as_ref().map_or(Ok(()), |buckets| buckets.charge(now, client))
    }

    /// Forgets clients whose bucket is full again. Blocks for microseconds a shard; not for a worker.
    pub fn sweep(&self, now: Tick) {
        if let Some(buckets) = &self.buckets {
            buckets.sweep(now);
        }
    }

    /// Name in metrics and in the `RateLimit` fields.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What tells clients apart.
    #[must_use]
    pub fn key(&self) -> &ClientKey {
        &self.key
    }

    /// What becomes of a request that the key does not tell apart.
    #[must_use]
    pub fn without(&self) -> Without {
        self.without
    }

    /// How often, if that is bounded.
    #[must_use]
    pub fn buckets(&self) -> Option<&Buckets> {
        self.buckets.as_ref()
    }

    /// How many at once, if that is bounded.
    #[must_use]
    pub fn concurrency(&self) -> Option<&Arc<Concurrency>> {
        self.concurrency.as_ref()
    }
}
