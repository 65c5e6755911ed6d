//! How many connections each address has.
//!
//! Counted before anything is read or shaken hands on, so that what one address sends beyond its share costs an accept(2) and a reset.
//! Trusted proxies are not counted: many people come through one. Whom they name by the PROXY protocol is counted as if he had come
//! himself; whom they name in a request is not, because requests of many people share a connection.
//!
//! **Invariants**: never more than the limit of one address, exactly: each change is made under the lock of its shard; an address without
//! a connection takes no memory, so there are never more entries than connections.
//! **Cost**: one short lock of one of the shards for each connection and for its end, 40 bytes an address.
//! **Not here**: how many there may be in all (`connections`), client limits (`admission::client`).

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use ipnet::IpNet;
use tokio::time::Instant;

use crate::config::plan;
use crate::proxy::address::{folded, is_trusted};

/// Unless told otherwise, an address may have all connections that may be open, divided by this: a site behind one address is served
/// by the hundred, and no address takes the others' part.
const SHARE: usize = 4;

/// Fewer than a school or an office opens are never refused unless the configuration says so.
const FEWEST: usize = 64;

/// Between two log lines about refusals.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The connections of each address.
#[derive(Debug)]
pub struct Addresses {
    /// [`None`] is a share of all.
    limit: Option<NonZeroUsize>,
    prefix: u8,
    trusted: Vec<IpNet>,
    open: DashMap<IpAddr, usize>,
    logged: std::sync::Mutex<Option<Instant>>,
}

impl Addresses {
    /// As `clients` has them.
    #[must_use]
    pub fn of(clients: &plan::Clients) -> Self {
        Self {
            limit: clients.connections_per_address,
            prefix: clients.ipv6_prefix,
            trusted: clients.trusted_proxies.clone(),
            open: DashMap::new(),
            logged: std::sync::Mutex::new(None),
        }
    }

    /// Whether `address` is a trusted proxy's.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        is_trusted(address, &self.trusted)
    }

    /// Addresses that have connections and are counted.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Counts a connection of `address` where `all` may be open; the address to give back, [`None`] inside for whoever is not counted, or
    /// the error that there are enough.
    pub(super) fn enter(&self, address: IpAddr, all: usize) -> Result<Option<IpAddr>, Crowded> {
        // Whoever comes by loopback is on this machine: a proxy, a tunnel, a test. An explicit limit counts him.
        if self.trusts(address) || (self.limit.is_none() && address.is_loopback()) {
            return Ok(None);
        }
        let limit = self.limit.map_or_else(|| (all / SHARE).max(FEWEST), NonZeroUsize::get);
        let key = folded(address, self.prefix);
        match self.open.entry(key) {
            Entry::Occupied(open) if *open.get() >= limit => {}
            Entry::Occupied(mut open) => {
                *open.get_mut() += 1;
                return Ok(Some(key));
            }
            Entry::Vacant(none) => {
                none.insert(1);
                return Ok(Some(key));
            }
        }
        self.log(key, limit);
        Err(Crowded)
    }

    /// A connection that was counted as `key` has ended.
    pub(super) fn leave(&self, key: IpAddr) {
        if let Entry::Occupied(mut open) = self.open.entry(key) {
            if *open.get() > 1 {
                *open.get_mut() -= 1;
            } else {
                open.remove();
            }
        }
    }

    /// Says that an address is refused, now and then.
    fn log(&self, address: IpAddr, limit: usize) {
        // Whoever does not get the lock is being spoken for.
        let Ok(mut logged) = self.logged.try_lock() else { return };
        if logged.is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
            *logged = Some(Instant::now());
            tracing::warn!(
                %address,
                limit,
                "connections of an address are refused: it has as many as clients.connections_per_address allows; \
                 a proxy of yours belongs into clients.trusted_proxies"
            );
        }
    }
}

/// An address has as many connections as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Crowded;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::tests::clients;

    fn addresses(limit: usize) -> Addresses {
        Addresses::of(&plan::Clients {
            connections_per_address: NonZeroUsize::new(limit),
            trusted_proxies: vec!["10.0.0.0/8".parse().unwrap()],
            ..clients()
        })
    }

    fn enters(addresses: &Addresses, address: &str) -> bool {
        addresses.enter(address.parse().unwrap(), 1000).is_ok()
    }

    #[test]
    fn an_address_has_its_limit_and_no_more_and_leaves_nothing_behind() {
        let addresses = addresses(2);
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let key = addresses.enter(address, 1000).unwrap().unwrap();
        assert!(enters(&addresses, "192.0.2.1") && !enters(&addresses, "192.0.2.1"));
        assert!(enters(&addresses, "192.0.2.2"), "another's affair");
        addresses.leave(key);
        assert!(enters(&addresses, "192.0.2.1") && !enters(&addresses, "192.0.2.1"));
        for _ in 0..2 {
            addresses.leave(key);
        }
        addresses.leave("192.0.2.2".parse().unwrap());
        assert_eq!(addresses.len(), 0);
    }

    #[test]
    fn ipv6_counts_by_its_prefix_and_mapped_ipv4_as_ipv4() {
        let addresses = addresses(1);
        assert!(enters(&addresses, "2001:db8::1") && !enters(&addresses, "2001:db8::ffff:1"));
        assert!(enters(&addresses, "2001:db8:0:1::1"));
        assert!(enters(&addresses, "192.0.2.1") && !enters(&addresses, "::ffff:192.0.2.1"));
    }

    #[test]
    fn proxies_are_not_counted_nor_is_the_machine_itself_unless_a_number_is_written() {
        let told = addresses(1);
        assert!((0..9).all(|_| enters(&told, "10.1.2.3")));
        assert!(enters(&told, "127.0.0.1") && !enters(&told, "127.0.0.1"));
        let auto = addresses(0);
        assert!((0..2000).all(|_| enters(&auto, "127.0.0.1") && enters(&auto, "::1")));
        let most = (0..2000).filter(|_| enters(&auto, "192.0.2.1")).count();
        assert_eq!(most, 250, "a quarter of 1000");
        assert!((0..64).all(|_| auto.enter("192.0.2.2".parse().unwrap(), 8).is_ok()));
        assert_eq!(auto.enter("192.0.2.2".parse().unwrap(), 8), Err(Crowded));
    }

    #[test]
    fn a_storm_of_threads_never_has_more_than_the_limit() {
        let addresses = addresses(8);
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        let (inside, most) = (std::sync::atomic::AtomicUsize::new(0), std::sync::atomic::AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..2_000 {
                        if let Ok(Some(key)) = addresses.enter(address, 1000) {
                            let now = inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
                            most.fetch_max(now, std::sync::atomic::Ordering::SeqCst);
                            std::thread::yield_now();
                            inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                            addresses.leave(key);
                        }
                    }
                });
            }
        });
        assert!((1..=8).contains(&most.into_inner()));
        assert_eq!(addresses.len(), 0);
    }
}
