//! Names to addresses, again and again.
//!
//! **Invariants**: one lookup of a name at a time; one that fails or finds nothing leaves the addresses as they were; at most
//! [`ADDRESSES_MAX`] addresses of a name are used.
//! **Cost**: one task for each name; a lookup occupies one of the runtime's threads for blocking work.
//! **Not here**: what becomes of the addresses (`shared`), IP literals, which are never looked up.
//!
//! `getaddrinfo` tells no TTL; hence a period of its own, with jitter so that several gateways do not ask in step.

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::count::Event;
use super::server::Origin;
use super::shared::Upstream;
use crate::clock::Clock;

/// Addresses of one name: far more than anybody has, and few enough to try.
const ADDRESSES_MAX: usize = 64;
/// Until a name is known, it is asked for more often than its period says.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Part of a pause by which chance makes it longer or shorter.
const JITTER: f64 = 0.1;

/// What knows the addresses of names.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of `host`, A and AAAA alike; `port` is for resolvers that want one.
    fn resolve(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<IpAddr>>> + Send;
}

/// The machine's resolver.
#[derive(Clone, Copy, Debug)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.map(|address| address.ip()).collect())
    }
}

/// `span`, a little longer or shorter by `chance` from 0 to 1.
pub(super) fn jittered(span: Duration, chance: f64) -> Duration {
    span.mul_f64(1.0 + JITTER * (2.0 * chance - 1.0))
}

/// Resolves the name of `origin` for as long as somebody polls it.
pub(super) async fn keep_resolved(upstream: Arc<Upstream>, origin: Arc<Origin>, clock: Clock, by: Arc<impl Resolve>) {
    let super::server::Host::Name(name) = &origin.host else { return };
    let mut is_known = false;
    loop {
        let found = by.resolve(name, origin.port).await.map(distinct);
        match found {
            Ok(addresses) if !addresses.is_empty() => {
                is_known = true;
                upstream.resolved(&origin, &addresses, clock.now());
            }
            Ok(_) => failed(&upstream, &origin, "it has no address"),
            Err(error) => failed(&upstream, &origin, &error.to_string()),
        }
        let pause = if is_known { upstream.resolve } else { upstream.resolve.min(FIRST_PAUSE) };
        sleep(jittered(pause, fastrand::f64())).await;
    }
}

fn failed(upstream: &Upstream, origin: &Origin, error: &str) {
    origin.record(Event::ResolveFailures);
    tracing::warn!(upstream = %upstream.name, name = %origin.label, error, "name not resolved, keeping what is known");
}

/// In one order whatever the answer's, so that the same set is seen as the same.
fn distinct(mut addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    addresses.sort_unstable();
    addresses.dedup();
    addresses.truncate(ADDRESSES_MAX);
    addresses
}
