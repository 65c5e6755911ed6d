//! A token bucket for each client, in bounded memory.
//!
//! governor's own keyed store grows with every new key; this one has a cap. When it is full, newcomers share one *overflow*
//! bucket while the known keep theirs: stricter, never looser, and an attacker with a /48 of addresses owns nothing.
//!
//! **Invariants**: at most `capacity` keys; a key's bucket is forgotten only when it is full again, which is no loss.
//! **Cost**: one sharded lookup (~100 ns), ~40 bytes a client.
//! **Locks**: a shard is locked for the lookup and one compare-and-swap, never across an await.
//! **Not here**: what a client is (`admission::client`), what tells clients apart (`proxy`).

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use governor::RateLimiter;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};

use super::{Hand, Instant, quota, theoretical_arrival, until};
use crate::admission::client::ClientHash;
use crate::clock::Tick;
use crate::config::plan;

/// Shards of the map: many more than workers, so that two rarely meet on one, and a sweep holds each for microseconds.
const SHARDS: usize = 256;

/// The buckets of one `[[client_limit]]` with `rate`.
#[derive(Debug)]
pub struct Buckets {
    burst: NonZeroU32,
    window: Duration,
    store: Arc<Store>,
    limiter: RateLimiter<ClientHash, Shared, Hand, NoOpMiddleware<Instant>>,
}

/// A client is over its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverLimit {
    /// Until the next request would be allowed.
    pub retry_after: Duration,
}

impl Buckets {
    /// Empty: every client starts with a full bucket.
    #[must_use]
    pub fn new(limit: &plan::ClientRate) -> Self {
        let per_token = limit.rate.per / limit.rate.count.get();
        let store = Arc::new(Store::new(limit.capacity.get()));
        Self {
            burst: limit.burst,
            window: per_token * limit.burst.get(),
            limiter: RateLimiter::new(quota(limit.rate, limit.burst), Shared(Arc::clone(&store)), Hand),
            store,
        }
    }

    /// Charges `client` for one request.
    pub fn charge(&self, now: Tick, client: ClientHash) -> Result<(), OverLimit> {
        Hand::set(now);
        self.limiter.check_key(&client).map_err(|refusal| OverLimit { retry_after: until(&refusal, now) })
    }

    /// Forgets clients whose bucket is full again. Blocks for microseconds a shard; not for a worker.
    pub fn sweep(&self, now: Tick) {
        self.store.sweep(now);
    }

    /// Clients remembered.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.store.known.load(Ordering::Relaxed)
    }

    /// Requests at once after a pause: `q` of the `RateLimit-Policy` field.
    #[must_use]
    pub fn burst(&self) -> u32 {
        self.burst.get()
    }

    /// Time in which an empty bucket fills: `w` of the `RateLimit-Policy` field.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.window
    }
}

#[derive(Debug)]
struct Store {
    buckets: DashMap<ClientHash, InMemoryState>,
    known: AtomicUsize,
    capacity: usize,
    overflow: InMemoryState,
}

impl Store {
    fn new(capacity: usize) -> Self {
        Self {
            buckets: DashMap::with_shard_amount(SHARDS),
            known: AtomicUsize::new(0),
            capacity,
            overflow: InMemoryState::default(),
        }
    }

    /// Reserves room for one more key.
    fn reserve(&self) -> bool {
        let reserve = |known| (known < self.capacity).then_some(known + 1);
        self.known.fetch_update(Ordering::Relaxed, Ordering::Relaxed, reserve).is_ok()
    }

    fn sweep(&self, now: Tick) {
        self.buckets.retain(|_, bucket| {
            let owes = theoretical_arrival(bucket).is_some_and(|arrival| arrival > now);
            if !owes {
                self.known.fetch_sub(1, Ordering::Relaxed);
            }
            owes
        });
    }
}

/// The store as the limiter owns it; governor gives no way back to what it was handed.
#[derive(Debug)]
struct Shared(Arc<Store>);

impl StateStore for Shared {
    type Key = ClientHash;

    fn measure_and_replace<T, F, E>(&self, key: &ClientHash, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        if let Some(bucket) = self.0.buckets.get(key) {
            return bucket.measure_and_replace(&NotKeyed::NonKey, decide);
        }
        if !self.0.reserve() {
            return self.0.overflow.measure_and_replace(&NotKeyed::NonKey, decide);
        }
        let mut new = false;
        let bucket = self.0.buckets.entry(*key).or_insert_with(|| {
            new = true;
            InMemoryState::default()
        });
        let decision = bucket.measure_and_replace(&NotKeyed::NonKey, decide);
        drop(bucket);
        if !new {
            // Somebody else inserted the same key in between: the room reserved is not needed.
            self.0.known.fetch_sub(1, Ordering::Relaxed);
        }
        decision
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::config::plan::Rate;

    fn limit(count: u32, burst: u32, capacity: usize) -> Buckets {
        Buckets::new(&plan::ClientRate {
            rate: Rate { count: NonZeroU32::new(count).unwrap(), per: Duration::from_secs(1) },
            burst: NonZeroU32::new(burst).unwrap(),
            capacity: NonZeroUsize::new(capacity).unwrap(),
        })
    }

    fn at(millis: u64) -> Tick {
        Tick::ZERO.after(Duration::from_millis(millis))
    }

    #[test]
    fn each_client_has_its_own_bucket() {
        let limit = limit(5, 2, 100);
        for client in [1, 2] {
            assert!(limit.charge(at(0), ClientHash(client)).is_ok());
            assert!(limit.charge(at(0), ClientHash(client)).is_ok());
            let refusal = limit.charge(at(0), ClientHash(client)).unwrap_err();
            assert_eq!(refusal.retry_after, Duration::from_millis(200));
        }
        assert!(limit.charge(at(200), ClientHash(1)).is_ok());
        assert_eq!(limit.window(), Duration::from_millis(400));
    }

    #[test]
    fn a_full_store_gives_newcomers_one_bucket_and_keeps_the_known() {
        let limit = limit(1, 1, 10);
        for client in 0..10 {
            assert!(limit.charge(at(0), ClientHash(client)).is_ok());
        }
        let strangers = (100..200).filter(|client| limit.charge(at(0), ClientHash(*client)).is_ok()).count();
        assert_eq!(strangers, 1, "a hundred strangers share one token");
        assert_eq!(limit.remembered(), 10);
        assert!(limit.charge(at(1_000), ClientHash(3)).is_ok(), "the known keep theirs");
    }

    #[test]
    fn a_sweep_forgets_only_full_buckets() {
        let limit = limit(10, 10, 100);
        for client in 0..50 {
            assert!(limit.charge(at(0), ClientHash(client)).is_ok());
        }
        for _ in 0..10 {
            assert!(limit.charge(at(1_900), ClientHash(7)).is_ok());
        }
        limit.sweep(at(2_000));
        assert_eq!(limit.remembered(), 1);
        assert!(limit.charge(at(2_000), ClientHash(7)).is_ok(), "one token has come since");
        assert!(limit.charge(at(2_000), ClientHash(7)).is_err(), "its debt was not forgotten");
        limit.sweep(at(60_000));
        assert_eq!(limit.remembered(), 0);
    }

    #[test]
    fn keys_never_exceed_capacity_under_contention() {
        let limit = Arc::new(limit(1_000, 1_000, 64));
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let limit = &limit;
                scope.spawn(move || {
                    for key in 0..5_000_u64 {
                        limit.charge(at(key), ClientHash(key * 7 % (200 + thread))).ok();
                    }
                });
            }
        });
        assert!(limit.remembered() <= 64, "{}", limit.remembered());
        assert_eq!(limit.store.buckets.iter().count(), limit.remembered());
    }
}
