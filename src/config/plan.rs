//! The configuration as built: every value parsed, every name resolved, every file read.
//!
//! **Invariants**: immutable; indices ([`UpstreamId`], [`ClientLimitId`]) are valid for the plan they stand in; names are
//! unique; nothing in it can fail later except the network. A key that has no code behind it is not here.
//! **Not here**: what was written and where it stands (`draft`), running state.

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::header::HeaderName;
use http::uri::{Authority, PathAndQuery};
use ipnet::IpNet;
use rustls::RootCertStore;
use rustls::sign::CertifiedKey;

/// Everything one process runs by.
#[derive(Debug)]
pub struct Plan {
    /// Public sockets, at least one.
    pub listeners: Vec<Listener>,
    /// The operators' socket.
    pub admin: Admin,
    /// What a connection or client may cost.
    pub clients: Clients,
    /// Token buckets per client, referred to by [`Route::client_limits`].
    pub client_limits: Vec<ClientLimit>,
    /// What lies behind several upstreams with a capacity of its own, referred to by [`Route::uses`].
    pub dependencies: Vec<Dependency>,
    /// Services behind the gateway, at least one.
    pub upstreams: Vec<Upstream>,
    /// Routes in the order in which they are tried: the most specific first.
    pub routes: Vec<Route>,
    /// Threads and the end of the process.
    pub runtime: Runtime,
    /// What is written about requests.
    pub log: Log,
}

/// A public socket.
#[derive(Debug)]
pub struct Listener {
    /// Address to bind, every worker with a socket of its own.
    pub address: SocketAddr,
    /// The certificate to present; [`None`] speaks cleartext HTTP/1.1, and HTTP/2 with prior knowledge.
    pub tls: Option<Arc<CertifiedKey>>,
}

/// The operators' socket: `/metrics`, `/livez`, `/readyz`.
#[derive(Debug)]
pub struct Admin {
    /// Address to bind; never one of the public listeners' ports.
    pub address: SocketAddr,
}

/// What one connection or client may cost us.
#[derive(Debug)]
pub struct Clients {
    /// Connections open at once over all listeners; [`None`] takes it from `RLIMIT_NOFILE` at start.
    pub max_connections: Option<NonZeroUsize>,
    /// Peers whose `X-Forwarded-*` and `X-Request-Id` are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Bytes of a request head.
    pub header_size: usize,
    /// Fields of a request head.
    pub header_count: usize,
    /// Bytes of a request body, unless the route has a limit of its own.
    pub body_size: u64,
    /// From the first byte (or, on a new connection, from accept) to the end of the request head; TLS handshake too.
    pub header_timeout: Duration,
    /// Longest silence of a client that owes us body bytes or does not take the answer.
    pub body_timeout: Duration,
    /// A connection without a request is closed after this.
    pub idle_timeout: Duration,
    /// Streams open at once on one HTTP/2 connection.
    pub http2_streams: u32,
}

/// Position in [`Plan::client_limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientLimitId(pub usize);

/// A token bucket for each client.
#[derive(Debug)]
pub struct ClientLimit {
    /// Name in metrics and in the `RateLimit` fields.
    pub name: String,
    /// What tells clients apart.
    pub key: ClientKey,
    /// Sustained rate.
    pub rate: Rate,
    /// Requests at once after a pause.
    pub burst: NonZeroU32,
    /// Clients remembered at once; newcomers beyond share one bucket.
    pub capacity: NonZeroUsize,
}

/// What tells clients apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientKey {
    /// The client's address; IPv6 folded to its /64.
    Address,
    /// The value of a cookie; a request without it falls back to the address.
    Cookie(String),
    /// The value of a header; a request without it falls back to the address.
    Header(HeaderName),
}

/// So many in so much time, `"400/s"`, `"20/m"`, `"1000/h"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In which time: a second, a minute or an hour.
    pub per: Duration,
}

/// Position in [`Plan::dependencies`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DependencyId(pub usize);

/// Something behind the upstreams with a capacity of its own (NIK check, SMS).
#[derive(Debug)]
pub struct Dependency {
    /// Name in metrics and logs.
    pub name: String,
    /// Requests that use it in flight, over all upstreams and workers; [`None`] where only the rate is bounded.
    pub concurrency: Option<NonZeroU32>,
    /// Requests that use it sent, over all upstreams and workers.
    pub rate: Option<RateLimit>,
}

/// What a request is to admission; the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Health and operations: before everybody, never refused for the length of the line.
    Exempt,
    /// Already inside the funnel: whoever has been admitted shall finish.
    InProgress,
    /// A ticket whose turn has come.
    Returning,
    /// A newcomer.
    New,
    /// What can wait: imports, crawlers.
    Bulk,
}

impl Class {
    /// How many there are.
    pub const COUNT: usize = 5;

    /// All of them, the most urgent first.
    pub const ALL: [Self; Self::COUNT] = [Self::Exempt, Self::InProgress, Self::Returning, Self::New, Self::Bulk];

    /// The word in configuration, metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Exempt => "exempt",
            Self::InProgress => "in_progress",
            Self::Returning => "returning",
            Self::New => "new",
            Self::Bulk => "bulk",
        }
    }

    /// Position in [`Class::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// Position in [`Plan::upstreams`].
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

impl Upstream {
    /// The most that it may ever have in flight, as far as is known before its names are resolved.
    #[must_use]
    pub fn most(&self) -> u32 {
        match self.concurrency {
            Concurrency::Fixed(limit) => limit.get(),
            Concurrency::Adaptive(bounds) => {
                bounds.max.get().saturating_mul(u32::try_from(self.servers.len()).unwrap_or(u32::MAX))
            }
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
#[derive(Clone, Debug)]
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

/// host, path, method → upstream, limits, queue.
#[derive(Debug)]
pub struct Route {
    /// Name in metrics and logs; unless named, the methods, the host and the path: `POST example.org/register/*`.
    pub name: String,
    /// Lower-case host without port; [`None`] matches every host.
    pub host: Option<String>,
    /// Which paths.
    pub path: PathPattern,
    /// Which methods; empty matches every method.
    pub methods: Vec<Method>,
    /// Where it goes.
    pub upstream: UpstreamId,
    /// Dependencies of which a request needs a permit and a token as well, in the order of the plan.
    pub uses: Vec<DependencyId>,
    /// What its requests are to admission, unless they carry a pass.
    pub class: Class,
    /// Buckets a request must pass, in order.
    pub client_limits: Vec<ClientLimitId>,
    /// Bounds of the line in front of the upstream; zero length refuses whoever finds no permit.
    pub queue: Queue,
    /// Bytes of a request body.
    pub body_size: u64,
    /// `Upgrade: websocket` passes; otherwise it is stripped and the request answered as plain HTTP.
    pub upgrade: bool,
}

/// Which paths a route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathPattern {
    /// This path only, with or without one slash at its end.
    Exact(String),
    /// `/x/*`: `/x` and everything below it. Stored without the `/*`; empty for `/*`.
    Prefix(String),
}

/// Bounds of a route's line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Longest wait: nobody is let in who is predicted to wait longer, nobody is held longer.
    pub wait: Duration,
    /// Requests held at once.
    pub length: usize,
}

/// Threads and the end of the process.
#[derive(Debug)]
pub struct Runtime {
    /// Worker threads; [`None`] takes one for each processor.
    pub workers: Option<NonZeroUsize>,
    /// After SIGTERM, what is still in flight is cut after this.
    pub drain_timeout: Duration,
}

/// What is written about requests.
#[derive(Debug)]
pub struct Log {
    /// Where the access log goes.
    pub access: AccessLog,
}

/// Where the access log goes, one JSON object a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Appended to a file.
    File(PathBuf),
    /// Not written.
    Off,
    /// Standard output.
    Stdout,
}
