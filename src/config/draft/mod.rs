//! The configuration as written: which keys there are, what each may be and what it is when it is left out.
//!
//! Every value is parsed and bounded here, with its place kept where a later check may have to point at it.
//! `reference.md` is the same for readers of prose; `tests/config.rs` keeps the two in step.
//!
//! **Invariants**: `None` for a required value means that its fault is recorded.
//! **Not here**: whether values fit each other, and files (`build`).

mod listener;
mod upstream;

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use http::Method;
use ipnet::IpNet;
use toml::de::{DeTable, DeValue};

use super::bounds::{
    BODY_SIZE, CAPACITY, CLIENT_TIMEOUT, CLIENT_WAITING, DEFAULT_ADMIN, DEFAULT_QUEUE, DRAIN_TIMEOUT, HEADER_COUNT,
    HEADER_SIZE, HTTP2_STREAMS, IDLE_TIMEOUT, IPV6_PREFIX, MAX_CONNECTIONS, MAX_MEMORY, MIB, QUEUE_LENGTH, QUEUE_WAIT,
    WORKERS, at_least_one, at_once, burst, secs,
};
use super::explain::{Faults, Span};
use super::names;
use super::pass::Pass;
use super::plan::{AccessLog, Class, ClientKey, PathPattern, Queue, Rate, Runtime, Without};
use super::reader::{Table, Written};
use super::room::Room;
use super::scalar::{auto_or, auto_or_text, number, text, truth, word};
use super::syntax;
use super::units::{duration, rate, size};
pub(super) use listener::{Ask, CertificateFiles, Listener, Tls};
pub(super) use upstream::{Adaptive, Health, Upstream};

const WITHOUT: [(&str, Without); 2] = [("address", Without::Address), ("pass", Without::Pass)];

/// `returning` is not written: it is what a ticket makes of a newcomer.
const CLASSES: [(&str, Class); 4] =
    [("new", Class::New), ("bulk", Class::Bulk), ("in_progress", Class::InProgress), ("exempt", Class::Exempt)];

/// One file.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) listeners: Vec<Listener>,
    pub(super) admin: Admin,
    pub(super) clients: Clients,
    pub(super) client_limits: Vec<ClientLimit>,
    pub(super) dependencies: Vec<Dependency>,
    pub(super) pass: Option<Pass>,
    pub(super) waiting_rooms: Vec<Room>,
    pub(super) upstreams: Vec<Upstream>,
    pub(super) routes: Vec<Route>,
    pub(super) runtime: Runtime,
    pub(super) access_log: Option<Written<AccessLog>>,
}

/// `[admin]`
#[derive(Debug)]
pub(super) struct Admin {
    pub(super) address: SocketAddr,
    pub(super) written: Option<Span>,
}

/// `[clients]`, with the networks still in their places.
#[derive(Debug)]
pub(super) struct Clients {
    pub(super) max_connections: Option<NonZeroUsize>,
    pub(super) connections_per_address: Option<NonZeroUsize>,
    pub(super) ipv6_prefix: u8,
    pub(super) max_memory: Option<u64>,
    pub(super) trusted_proxies: Vec<Written<IpNet>>,
    pub(super) header_size: usize,
    pub(super) header_count: usize,
    pub(super) body_size: u64,
    pub(super) header_timeout: Duration,
    pub(super) body_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) http2_streams: u32,
}

/// `[[client_limit]]`
#[derive(Debug)]
pub(super) struct ClientLimit {
    pub(super) span: Span,
    pub(super) name: Option<Written<String>>,
    pub(super) key: Option<Written<ClientKey>>,
    pub(super) without: Option<Written<Without>>,
    pub(super) rate: Option<Written<Rate>>,
    pub(super) rate_is_written: bool,
    pub(super) burst: Option<Written<NonZeroU32>>,
    pub(super) capacity: Option<Written<NonZeroUsize>>,
    pub(super) concurrency: Option<Written<NonZeroU32>>,
    pub(super) concurrency_is_written: bool,
    pub(super) waiting: Option<Written<usize>>,
}

/// `[[dependency]]`
#[derive(Debug)]
pub(super) struct Dependency {
    pub(super) span: Span,
    pub(super) name: Option<Written<String>>,
    pub(super) concurrency: Option<NonZeroU32>,
    pub(super) concurrency_is_written: bool,
    pub(super) rate: Option<Written<Rate>>,
    pub(super) rate_is_written: bool,
    pub(super) burst: Option<Written<NonZeroU32>>,
}

/// `[[route]]`
#[derive(Debug)]
pub(super) struct Route {
    pub(super) span: Span,
    pub(super) name: Option<Written<String>>,
    pub(super) host: Option<Written<String>>,
    pub(super) path: Option<Written<PathPattern>>,
    pub(super) methods: Option<Written<Vec<Written<Method>>>>,
    pub(super) upstream: Option<Written<String>>,
    pub(super) uses: Vec<Written<String>>,
    pub(super) class: Class,
    pub(super) grants_pass: Option<Written<bool>>,
    pub(super) waiting_room: Option<Written<String>>,
    pub(super) counts: Option<Written<bool>>,
    pub(super) client_limits: Vec<Written<String>>,
    pub(super) queue: Queue,
    pub(super) body_size: Option<u64>,
    pub(super) upgrade: bool,
}

impl Draft {
    /// Reads the whole file, recording every fault on the way.
    pub(super) fn read<'t>(file: &'t DeTable<'t>, faults: &mut Faults<'_>) -> Self {
        Table::read("the file", 0..0, file, faults, |file| {
            for key in ["listener", "upstream", "route"] {
                file.require(key);
            }
            Self {
                listeners: file.tables("listener", "[[listener]]", Listener::read),
                admin: file.table("admin", "[admin]", Admin::read).unwrap_or(Admin::DEFAULT),
                clients: file.table("clients", "[clients]", Clients::read).unwrap_or(Clients::DEFAULT),
                client_limits: file.tables("client_limit", "[[client_limit]]", ClientLimit::read),
                dependencies: file.tables("dependency", "[[dependency]]", Dependency::read),
                pass: file.table("pass", "[pass]", Pass::read),
                waiting_rooms: file.tables("waiting_room", "[[waiting_room]]", Room::read),
                upstreams: file.tables("upstream", "[[upstream]]", Upstream::read),
                routes: file.tables("route", "[[route]]", Route::read),
                runtime: file.table("runtime", "[runtime]", runtime).unwrap_or(DEFAULT_RUNTIME),
                access_log: file.table("log", "[log]", access_log).flatten(),
            }
        })
    }
}

impl Admin {
    const DEFAULT: Self = Self { address: DEFAULT_ADMIN, written: None };

    fn read(table: &mut Table<'_, '_, '_>) -> Self {
        let address = table.optional("address", text("an IP address and a port", syntax::socket_address));
        address.map_or(Self::DEFAULT, |address| Self { address: address.value, written: Some(address.span) })
    }
}

impl Clients {
    const DEFAULT: Self = Self {
        max_connections: None,
        connections_per_address: None,
        ipv6_prefix: 64,
        max_memory: None,
        trusted_proxies: Vec::new(),
        header_size: 16 << 10,
        header_count: 64,
        body_size: MIB,
        header_timeout: secs(10),
        body_timeout: secs(10),
        idle_timeout: secs(75),
        http2_streams: 128,
    };

    fn read(table: &mut Table<'_, '_, '_>) -> Self {
        let usual = Self::DEFAULT;
        let header_size =
            |value: &DeValue<'_>| size(HEADER_SIZE)(value).map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
        Self {
            max_connections: table.or("max_connections", None, auto_or(at_least_one(MAX_CONNECTIONS))),
            connections_per_address: table.or("connections_per_address", None, auto_or(at_least_one(MAX_CONNECTIONS))),
            ipv6_prefix: table.or("ipv6_prefix", usual.ipv6_prefix, number(IPV6_PREFIX)),
            max_memory: table.or("max_memory", None, auto_or_text(size(MAX_MEMORY))),
            trusted_proxies: table
                .list("trusted_proxies", "networks", text("a network such as \"10.0.0.0/8\"", syntax::network))
                .map_or(usual.trusted_proxies, |list| list.value),
            header_size: table.or("header_size", usual.header_size, header_size),
            header_count: table.or("header_count", usual.header_count, number(HEADER_COUNT)),
            body_size: table.or("body_size", usual.body_size, size(BODY_SIZE)),
            header_timeout: table.or("header_timeout", usual.header_timeout, duration(CLIENT_TIMEOUT)),
            body_timeout: table.or("body_timeout", usual.body_timeout, duration(CLIENT_TIMEOUT)),
            idle_timeout: table.or("idle_timeout", usual.idle_timeout, duration(IDLE_TIMEOUT)),
            http2_streams: table.or("http2_streams", usual.http2_streams, number(HTTP2_STREAMS)),
        }
    }
}

impl ClientLimit {
    fn read(table: &mut Table<'_, '_, '_>) -> Self {
        Self {
            span: table.span(),
            name: table.required("name", text("a name", names::name)),
            key: table.required("key", text("\"address\", \"header:NAME\" or \"cookie:NAME\"", syntax::client_key)),
            without: table.optional("without", text("\"address\" or \"pass\"", |found| word(found, &WITHOUT))),
            rate: table.optional("rate", rate),
            rate_is_written: table.has("rate"),
            burst: table.optional("burst", burst),
            capacity: table.optional("capacity", at_least_one(CAPACITY)),
            concurrency: table.optional("concurrency", at_once),
            concurrency_is_written: table.has("concurrency"),
            waiting: table.optional("waiting", number(CLIENT_WAITING)),
        }
    }
}

impl Dependency {
    fn read(table: &mut Table<'_, '_, '_>) -> Self {
        Self {
            span: table.span(),
            name: table.required("name", text("a name", names::name)),
            concurrency: table.optional("concurrency", at_once).map(|written| written.value),
            concurrency_is_written: table.has("concurrency"),
            rate: table.optional("rate", rate),
            rate_is_written: table.has("rate"),
            burst: table.optional("burst", burst),
        }
    }
}

impl Route {
    fn read(table: &mut Table<'_, '_, '_>) -> Self {
        Self {
            span: table.span(),
            name: table.optional("name", text("a name", names::name)),
            host: table.optional("host", text("a host name", syntax::host)),
            path: table.required("path", text("a path such as \"/register\" or \"/register/*\"", syntax::path)),
            methods: table.filled_list("methods", "methods", text("a method such as \"POST\"", syntax::method)),
            upstream: table.required("upstream", text("the name of an [[upstream]]", |name| Ok(name.to_owned()))),
            uses: table
                .list(
                    "uses",
                    "names of [[dependency]]s",
                    text("the name of a [[dependency]]", |name| Ok(name.to_owned())),
                )
                .map_or_else(Vec::new, |list| list.value),
            class: table.or(
                "class",
                Class::New,
                text("\"new\", \"bulk\", \"in_progress\" or \"exempt\"", |found| word(found, &CLASSES)),
            ),
            grants_pass: table.optional("grants_pass", truth),
            waiting_room: table
                .optional("waiting_room", text("the name of a [[waiting_room]]", |name| Ok(name.to_owned()))),
            counts: table.optional("counts", truth),
            client_limits: table
                .list(
                    "client_limits",
                    "names of [[client_limit]]s",
                    text("the name of a [[client_limit]]", |name| Ok(name.to_owned())),
                )
                .map_or_else(Vec::new, |list| list.value),
            queue: table
                .table("queue", "[route.queue]", |queue| Queue {
                    wait: queue.or("wait", DEFAULT_QUEUE.wait, duration(QUEUE_WAIT)),
                    length: queue.or("length", DEFAULT_QUEUE.length, number(QUEUE_LENGTH)),
                })
                .unwrap_or(DEFAULT_QUEUE),
            body_size: table.optional("body_size", size(BODY_SIZE)).map(|written| written.value),
            upgrade: table.or("upgrade", false, truth),
        }
    }
}

const DEFAULT_RUNTIME: Runtime = Runtime { workers: None, drain_timeout: secs(30) };

fn runtime(table: &mut Table<'_, '_, '_>) -> Runtime {
    Runtime {
        workers: table.or("workers", DEFAULT_RUNTIME.workers, auto_or(at_least_one(WORKERS))),
        drain_timeout: table.or("drain_timeout", DEFAULT_RUNTIME.drain_timeout, duration(DRAIN_TIMEOUT)),
    }
}

fn access_log(table: &mut Table<'_, '_, '_>) -> Option<Written<AccessLog>> {
    table.optional("access", text("\"stdout\", \"off\" or \"file:PATH\"", syntax::access_log))
}
