//! How many descriptors a plan needs at most, and how many connections of clients that leaves.
//!
//! One reckoning for the start, for `weir check`, and for a process whose servers change while it runs.
//!
//! **Invariants**: what upstreams, operators and the process itself may open is set aside before clients get the rest, so that a
//! crowd of clients cannot keep an admitted request from its upstream. Of a name nothing is known before it is resolved: it
//! counts as one address until then.
//! **Not here**: the limit of the process and who keeps to it (`runtime`).

use std::num::{NonZeroU64, NonZeroUsize};

use super::plan::{Plan, Upstream};

/// Descriptors that may watch for departures at once: duplicates of clients' sockets.
pub const WATCHERS: usize = 256;

/// Connections that an upstream keeps idle for all its servers and workers, however high its concurrency.
pub const IDLE_MAX: u32 = 1024;

/// Standard streams, logs, the operators' socket and their 64 connections, signals, lookups of names.
const PROCESS: u64 = 128;

/// Of a worker, beside its listening sockets: epoll, a waker, signals.
const PER_WORKER: u64 = 3;

/// Of an address of a server, beside permits: a health check.
const PER_ADDRESS: u64 = 1;

/// Where no limit is known: what most distributions grant a service.
const UNKNOWN_LIMIT: NonZeroU64 = NonZeroU64::MIN.saturating_add(65_535);

/// Fewer clients make no gateway: the machine's limit is then too low, and so many are taken at the risk of running out.
const FEWEST: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);

/// What an upstream takes at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Requests in flight.
    permits: u32,
    /// Addresses of its servers.
    addresses: usize,
}

impl Demand {
    /// `upstream` as the plan has it.
    #[must_use]
    pub fn planned(upstream: &Upstream) -> Self {
        Self::running(upstream, upstream.servers.len(), 0)
    }

    /// `upstream` while it has so many `addresses`, and a gate whose limit is `limit` now: what is still in flight at servers that
    /// were removed is part of that.
    #[must_use]
    pub fn running(upstream: &Upstream, addresses: usize, limit: u32) -> Self {
        Self { permits: upstream.concurrency.most(addresses).max(limit), addresses }
    }

    /// A connection for each permit and what is kept idle; of HTTP/2 each worker keeps one to each address.
    fn descriptors(self, workers: u64) -> u64 {
        let addresses = u64::try_from(self.addresses).unwrap_or(u64::MAX);
        u64::from(self.permits)
            .saturating_add(u64::from(self.permits.min(IDLE_MAX)))
            .saturating_add(addresses.saturating_mul(workers.saturating_add(PER_ADDRESS)))
    }
}

/// Descriptors that are set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reserve {
    /// For connections to servers.
    pub upstreams: u64,
    /// For the process itself.
    pub own: u64,
}

impl Reserve {
    /// What `plan` needs on a machine of so many `cores`, whose upstreams take what `demands` say.
    #[must_use]
    pub fn new(plan: &Plan, cores: NonZeroUsize, demands: impl IntoIterator<Item = Demand>) -> Self {
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let workers = count(plan.runtime.workers.unwrap_or(cores).get());
        let of_workers = workers.saturating_mul(count(plan.listeners.len()).saturating_add(PER_WORKER));
        Self {
            upstreams: demands.into_iter().map(|one| one.descriptors(workers)).fold(0, u64::saturating_add),
            own: PROCESS.saturating_add(count(WATCHERS)).saturating_add(of_workers),
        }
    }

    /// What `plan` needs before anything is resolved.
    #[must_use]
    pub fn planned(plan: &Plan, cores: NonZeroUsize) -> Self {
        Self::new(plan, cores, plan.upstreams.iter().map(Demand::planned))
    }

    /// All of it.
    #[must_use]
    pub fn total(self) -> u64 {
        self.upstreams.saturating_add(self.own)
    }

    /// What it leaves for clients where `RLIMIT_NOFILE` is `limit`, [`None`] being no limit.
    #[must_use]
    pub fn left(self, limit: Option<u64>) -> usize {
        let left = limit.unwrap_or(UNKNOWN_LIMIT.get()).saturating_sub(self.total());
        usize::try_from(left).unwrap_or(usize::MAX)
    }

    /// Connections of clients that may be open at once: `configured`, or all that is left; never more than is left, but a few in
    /// any case.
    #[must_use]
    pub fn clients(self, limit: Option<u64>, configured: Option<NonZeroUsize>) -> NonZeroUsize {
        let left = NonZeroUsize::new(self.left(limit)).unwrap_or(NonZeroUsize::MIN).max(FEWEST);
        configured.map_or(left, |configured| configured.min(left))
    }

    /// Whether the connections of clients that are `configured` fit beside it, or at least a few.
    #[must_use]
    pub fn fits(self, limit: Option<u64>, configured: Option<NonZeroUsize>) -> bool {
        configured.unwrap_or(FEWEST).get() <= self.left(limit)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::parse;

    const CORES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

    fn plan(upstream: &str) -> Plan {
        let text = format!(
            "[[listener]]\naddress = \"127.0.0.1:0\"\n[[upstream]]\nname = \"a\"\n{upstream}\n\
             [[route]]\npath = \"/*\"\nupstream = \"a\"\n"
        );
        parse(&text, Path::new("weir.toml")).expect("right").plan
    }

    fn upstreams(plan: &Plan, addresses: usize, limit: u32) -> u64 {
        Reserve::new(plan, CORES, [Demand::running(&plan.upstreams[0], addresses, limit)]).upstreams
    }

    #[test]
    fn a_limit_that_is_found_counts_at_its_bound_for_each_address_and_a_told_one_once() {
        let found = plan("servers = [\"a:1\"]\nconcurrency = { min = 2, max = 100, initial = 16 }");
        // An address: 100 in flight, 100 idle, a shared one for each of two workers, a check.
        assert_eq!(upstreams(&found, 1, 16), 203);
        assert_eq!(upstreams(&found, 3, 16), 609);
        assert_eq!(Reserve::planned(&found, CORES).upstreams, 203);
        let told = plan("servers = [\"a:1\"]\nconcurrency = 100");
        assert_eq!((upstreams(&told, 1, 100), upstreams(&told, 3, 100)), (203, 209));
    }

    #[test]
    fn who_is_still_in_flight_at_servers_that_were_removed_counts() {
        let found = plan("servers = [\"a:1\"]\nconcurrency = { min = 2, max = 100, initial = 16 }");
        assert_eq!(upstreams(&found, 1, 170), 170 + 170 + 3);
    }

    #[test]
    fn idle_connections_are_bounded_whatever_the_concurrency() {
        let told = plan("servers = [\"a:1\"]\nconcurrency = 5000");
        assert_eq!(upstreams(&told, 1, 5000), 5000 + 1024 + 3);
    }

    #[test]
    fn clients_get_the_rest_and_a_few_in_any_case() {
        let reserve = Reserve { upstreams: 600, own: 400 };
        let number = |count: usize| NonZeroUsize::new(count);
        assert_eq!(reserve.clients(Some(5000), None), number(4000).unwrap());
        assert_eq!(reserve.clients(Some(5000), number(300)), number(300).unwrap());
        assert_eq!(reserve.clients(Some(5000), number(4001)), number(4000).unwrap(), "what was told does not fit");
        assert_eq!(reserve.clients(Some(900), None), FEWEST);
        assert_eq!(reserve.clients(Some(900), number(10)), number(10).unwrap());
        assert_eq!(reserve.clients(None, None), number(65_536 - 1000).unwrap());
        assert!(reserve.fits(Some(1064), None) && !reserve.fits(Some(1063), None));
        assert!(reserve.fits(Some(1100), number(100)) && !reserve.fits(Some(1099), number(100)));
    }

    #[test]
    fn every_worker_has_its_listening_sockets() {
        let mut plan = plan("servers = [\"a:1\"]\nconcurrency = 1");
        let few = Reserve::planned(&plan, CORES).own;
        plan.runtime.workers = NonZeroUsize::new(64);
        assert_eq!(Reserve::planned(&plan, CORES).own - few, 62 * (1 + PER_WORKER));
    }
}
