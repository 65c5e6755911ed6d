//! Services behind the gateway, as planned.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use http::uri::{Authority, PathAndQuery};
use rustls::RootCertStore;

use super::Rate;

/// Position in [`Plan::upstreams`](super::Plan::upstreams).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamId(pub usize);

/// A service behind the gateway.
#[derive(Debug)]
pub struct Upstream {
    /// Name in metrics and logs.
    pub name: String,
    /// Where it listens, at least one.
    pub servers: Vec<Server>,
    /// Requests in flight at the service, over all workers.
    pub concurrency: Concurrency,
    /// A contract limit on requests sent, if there is one.
    pub rate: Option<RateLimit>,
    /// To an established connection, TLS included.
    pub connect_timeout: Duration,
    /// From the request sent to the head of the response, and between two parts of its body.
    pub response_timeout: Duration,
    /// A request whose client or timeout gave up keeps its permit for at most this long; then its connection is cut.
    pub abandon_timeout: Duration,
    /// Idle connections are closed after this.
    pub idle_timeout: Duration,
    /// HTTP version spoken to the servers.
    pub protocol: Protocol,
    /// Trust anchors for https servers; [`None`] where no server is https.
    pub roots: Option<Arc<RootCertStore>>,
    /// Name that https servers are asked for (SNI) and must prove; [`None`] takes the host of each.
    pub tls_name: Option<String>,
    /// A request that the service may have seen may be sent once more, if it carries an `Idempotency-Key` or is safe by its method.
    pub idempotent: bool,
    /// Time between two lookups of a server's name.
    pub resolve: Duration,
    /// Time in which a server that comes back, or joins while others work, grows to its full share.
    pub slow_start: Duration,
    /// Active checks of the servers, if any.
    pub health: Option<HealthCheck>,
}

/// Who says how many requests may be in flight at a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concurrency {
    /// The operator: so many at all servers together.
    Fixed(NonZeroU32),
    /// weir, which finds out for each server between these bounds.
    Adaptive(Bounds),
}

impl Concurrency {
    /// The most that may be in flight while the servers have so many `addresses`.
    #[must_use]
    pub fn most(self, addresses: usize) -> u32 {
        match self {
            Self::Fixed(limit) => limit.get(),
            Self::Adaptive(bounds) => bounds.max.get().saturating_mul(u32::try_from(addresses).unwrap_or(u32::MAX)),
        }
    }
}

/// Between what the limit of a server may move, and where it begins: `min` ≤ `initial` ≤ `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Never fewer.
    pub min: NonZeroU32,
    /// Never more.
    pub max: NonZeroU32,
    /// Where it begins.
    pub initial: NonZeroU32,
}

/// Active checks of an upstream's servers.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthCheck {
    /// What is asked for with GET.
    pub path: PathAndQuery,
    /// Time between two checks of a server.
    pub interval: Duration,
    /// For a whole check, connection included.
    pub timeout: Duration,
    /// Checks passed in a row that make an unhealthy server healthy.
    pub rise: NonZeroU32,
    /// Checks failed in a row that make a healthy server unhealthy.
    pub fall: NonZeroU32,
    /// Statuses that pass.
    pub status: Vec<RangeInclusive<u16>>,
}

/// A contract limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Sustained rate.
    pub rate: Rate,
    /// Requests at once after a pause; one tenth of a second's worth unless written.
    pub burst: NonZeroU32,
}

/// One server of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// `host:port`, always with a port; IPv6 in brackets.
    pub authority: Authority,
    /// TLS, verified against [`Upstream::roots`].
    pub tls: bool,
}

/// HTTP version spoken to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// ALPN decides on https, HTTP/1.1 on cleartext.
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only, on cleartext with prior knowledge.
    Http2,
}
