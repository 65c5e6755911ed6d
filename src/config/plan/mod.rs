//! The configuration as built: every value parsed, every name resolved, every file read.
//!
//! **Invariants**: immutable; indices ([`UpstreamId`], [`ClientLimitId`]) are valid for the plan they stand in; names are
//! unique; nothing in it can fail later except the network. A key that has no code behind it is not here.
//! **Not here**: what was written and where it stands (`draft`), running state.

mod listener;
mod room;
mod upstream;

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use http::Method;
use http::header::HeaderName;
use ipnet::IpNet;

pub use self::listener::{Certificate, ClientCertificates, Listener, Tls, UnknownNames};
pub use self::room::{AtClose, Identity, Instant, Pace, WaitingRoom, WaitingRoomId, Wave};
pub use self::upstream::{Bounds, Concurrency, HealthCheck, Protocol, RateLimit, Server, Upstream, UpstreamId};

/// Everything one process runs by.
#[derive(Debug)]
pub struct Plan {
    /// Public sockets, at least one.
    pub listeners: Vec<Listener>,
    /// The operators' socket.
    pub admin: Admin,
    /// What a connection or client may cost.
    pub clients: Clients,
    /// What one client may have and do, referred to by [`Route::client_limits`].
    pub client_limits: Vec<ClientLimit>,
    /// What lies behind several upstreams with a capacity of its own, referred to by [`Route::uses`].
    pub dependencies: Vec<Dependency>,
    /// Passes of those who were admitted, if there are any.
    pub pass: Option<Pass>,
    /// Where those who do not fit wait, referred to by [`Route::waiting_room`].
    pub waiting_rooms: Vec<WaitingRoom>,
    /// Services behind the gateway, at least one.
    pub upstreams: Vec<Upstream>,
    /// Routes in the order in which they are tried: the most specific first.
    pub routes: Vec<Route>,
    /// Threads and the end of the process.
    pub runtime: Runtime,
    /// What is written about requests.
    pub log: Log,
}

/// The operators' socket: `/metrics`, `/livez`, `/readyz`.
#[derive(Debug, PartialEq)]
pub struct Admin {
    /// Address to bind; never one of the public listeners' ports.
    pub address: SocketAddr,
}

/// What one connection or client may cost us.
#[derive(Debug, PartialEq)]
pub struct Clients {
    /// Connections open at once over all listeners; [`None`] takes it from `RLIMIT_NOFILE` at start.
    pub max_connections: Option<NonZeroUsize>,
    /// Connections of one address open at once, IPv6 by [`Clients::ipv6_prefix`]; [`None`] is a part of all that may be open. Trusted
    /// proxies are not counted.
    pub connections_per_address: Option<NonZeroUsize>,
    /// Leading bits of an IPv6 address that tell clients apart, here and in [`ClientKey::Address`].
    pub ipv6_prefix: u8,
    /// Bytes the process may use before newcomers are refused; [`None`] takes it from the machine at start.
    pub max_memory: Option<u64>,
    /// Peers whose `X-Forwarded-*`, `Forwarded`, `X-Request-Id` and PROXY headers are believed.
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientLimitId(pub usize);

/// What one client may have and do: a rate, a concurrency, or both.
#[derive(Debug, PartialEq)]
pub struct ClientLimit {
    /// Name in metrics and in the `RateLimit` fields.
    pub name: String,
    /// What tells clients apart.
    pub key: ClientKey,
    /// What becomes of a request without the header or cookie of `key`.
    pub without: Without,
    /// How often, if that is bounded.
    pub rate: Option<ClientRate>,
    /// How many at once, if that is bounded.
    pub concurrency: Option<ClientConcurrency>,
}

/// A token bucket for each client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientRate {
    /// Sustained rate.
    pub rate: Rate,
    /// Requests at once after a pause.
    pub burst: NonZeroU32,
    /// Clients remembered at once; newcomers beyond share one bucket.
    pub capacity: NonZeroUsize,
}

/// Requests of one client in the system at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientConcurrency {
    /// In line, or in flight until the upstream is done with them.
    pub requests: NonZeroU32,
    /// Further ones that are held outside the line until an earlier one has left the system.
    pub waiting: usize,
}

/// What tells clients apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientKey {
    /// The client's address; IPv6 folded to [`Clients::ipv6_prefix`].
    Address,
    /// The value of a cookie; for a request without it see [`Without`].
    Cookie(String),
    /// The value of a header; for a request without it see [`Without`].
    Header(HeaderName),
}

/// What becomes of a request without the header or cookie that a client limit counts by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// Its address stands in, with the same numbers.
    Address,
    /// This limit is not applied to it; a limit by address beside it has its own numbers.
    Pass,
}

/// So many in so much time, `"400/s"`, `"20/m"`, `"1000/h"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: NonZeroU32,
    /// In which time: a second, a minute or an hour.
    pub per: Duration,
}

impl Rate {
    /// So many a second.
    #[must_use]
    pub fn per_second(self) -> f64 {
        f64::from(self.count.get()) / self.per.as_secs_f64()
    }
}

/// Position in [`Plan::dependencies`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DependencyId(pub usize);

/// Something behind the upstreams with a capacity of its own (NIK check, SMS).
#[derive(Debug, PartialEq)]
pub struct Dependency {
    /// Name in metrics and logs.
    pub name: String,
    /// Requests that use it in flight, over all upstreams and workers; [`None`] where only the rate is bounded.
    pub concurrency: Option<NonZeroU32>,
    /// Requests that use it sent, over all upstreams and workers.
    pub rate: Option<RateLimit>,
}

/// Passes of those who were admitted: with one, somebody is in progress.
#[derive(Debug, PartialEq)]
pub struct Pass {
    /// Signs and verifies.
    pub key: Key,
    /// Verify as well: passes signed before the key was replaced.
    pub old_keys: Vec<Secret>,
    /// How long a pass is good.
    pub life: Duration,
    /// Longest time for which somebody with a pass is held in line, where the route's own is not longer.
    pub wait: Duration,
    /// Requests of one session in the system at once, over all routes: a pass can be shared, and shall gain nothing by it.
    pub sessions: ClientConcurrency,
}

impl Pass {
    /// Cookie in which a pass travels for browsers.
    pub const COOKIE: &'static str = "weir_pass";

    /// Header in which it travels, in lower case, to and from clients that keep no cookies.
    pub const HEADER: &'static str = "weir-pass";
}

/// A key as it was found. Two are equal if they sign alike: one that a start has created is the one that the next reading finds.
#[derive(Clone, Debug, Eq)]
pub enum Key {
    /// It was read.
    Known(Secret),
    /// It was created by this start, so nothing was signed with it before.
    New(Secret),
    /// Its file is not there, and is created when the process starts.
    Missing(PathBuf),
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Known(own) | Self::New(own), Self::Known(others) | Self::New(others)) => own == others,
            (Self::Missing(own), Self::Missing(others)) => own == others,
            (Self::Missing(_), _) | (_, Self::Missing(_)) => false,
        }
    }
}

/// 32 bytes that nobody else knows; its debug form does not show them.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub [u8; 32]);

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

/// host, path, method → upstream, limits, queue.
#[derive(Debug, PartialEq)]
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
    /// Whoever is admitted here, and whom the upstream answers with a status below 400, is given a pass.
    pub grants_pass: bool,
    /// Where those who do not fit get a place; [`None`]: they are told when to come back.
    pub waiting_room: Option<WaitingRoomId>,
    /// A status of 2xx here is a success that the room's quota counts.
    pub counts: bool,
    /// What a request must pass, in the order of the plan.
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
#[derive(Debug, PartialEq)]
pub struct Runtime {
    /// Worker threads; [`None`] takes one for each processor.
    pub workers: Option<NonZeroUsize>,
    /// After SIGTERM, what is still in flight is cut after this.
    pub drain_timeout: Duration,
}

/// What is written about requests.
#[derive(Debug, PartialEq)]
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
