//! `[[upstream]]` and its tables, as written.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use http::uri::PathAndQuery;

use crate::config::bounds::{
    ABANDON_TIMEOUT, CONNECT_TIMEOUT, DEFAULT_BOUNDS, DEFAULT_CONCURRENCY, HEALTH_INTERVAL, HEALTH_TIMEOUT,
    IDLE_TIMEOUT, RESOLVE, RESPONSE_TIMEOUT, SLOW_START, at_once, burst, concurrency, pem_file, secs, times,
};
use crate::config::explain::Span;
use crate::config::names;
use crate::config::plan::{Concurrency, Protocol, Rate, Server};
use crate::config::reader::{Table, Written};
use crate::config::scalar::{request_target, text, truth, word};
use crate::config::syntax;
use crate::config::units::{duration, rate};

const PROTOCOLS: [(&str, Protocol); 3] =
    [("auto", Protocol::Auto), ("http1", Protocol::Http1), ("http2", Protocol::Http2)];

/// `[[upstream]]`
#[derive(Debug)]
pub(in crate::config) struct Upstream {
    pub(in crate::config) span: Span,
    pub(in crate::config) name: Option<Written<String>>,
    pub(in crate::config) servers: Option<Written<Vec<Written<Server>>>>,
    pub(in crate::config) concurrency: Concurrency,
    pub(in crate::config) bounds: Option<Adaptive>,
    pub(in crate::config) rate: Option<Written<Rate>>,
    pub(in crate::config) rate_is_written: bool,
    pub(in crate::config) burst: Option<Written<NonZeroU32>>,
    pub(in crate::config) connect_timeout: Duration,
    pub(in crate::config) response_timeout: Duration,
    pub(in crate::config) abandon_timeout: Duration,
    pub(in crate::config) idle_timeout: Duration,
    pub(in crate::config) protocol: Protocol,
    pub(in crate::config) ca: Option<Written<PathBuf>>,
    pub(in crate::config) tls_name: Option<Written<String>>,
    pub(in crate::config) idempotent: bool,
    pub(in crate::config) resolve: Duration,
    pub(in crate::config) slow_start: Duration,
    pub(in crate::config) health: Option<Health>,
}

/// `[upstream.concurrency]`
#[derive(Debug)]
pub(in crate::config) struct Adaptive {
    pub(in crate::config) span: Span,
    pub(in crate::config) min: NonZeroU32,
    pub(in crate::config) max: NonZeroU32,
    pub(in crate::config) initial: Option<NonZeroU32>,
}

/// `[upstream.health]`
#[derive(Debug)]
pub(in crate::config) struct Health {
    pub(in crate::config) path: Option<Written<PathAndQuery>>,
    pub(in crate::config) interval: Duration,
    pub(in crate::config) timeout: Duration,
    pub(in crate::config) rise: NonZeroU32,
    pub(in crate::config) fall: NonZeroU32,
    pub(in crate::config) status: Option<Written<Vec<Written<RangeInclusive<u16>>>>>,
}

impl Upstream {
    pub(super) fn read(table: &mut Table<'_, '_, '_>) -> Self {
        table.require("servers");
        let name = table.required("name", text("a name", names::name));
        let server = text("a server such as \"10.0.0.5:9000\"", syntax::server);
        let servers = table.filled_list("servers", "servers", server);
        // Three ways to write it: a table has bounds of its own to check.
        let (concurrency, bounds) = if table.has_table("concurrency") {
            (DEFAULT_CONCURRENCY, table.table("concurrency", "[upstream.concurrency]", Adaptive::read))
        } else {
            (table.or("concurrency", DEFAULT_CONCURRENCY, concurrency), None)
        };
        Self {
            span: table.span(),
            name,
            servers,
            concurrency,
            bounds,
            rate: table.optional("rate", rate),
            rate_is_written: table.has("rate"),
            burst: table.optional("burst", burst),
            connect_timeout: table.or("connect_timeout", secs(3), duration(CONNECT_TIMEOUT)),
            response_timeout: table.or("response_timeout", secs(30), duration(RESPONSE_TIMEOUT)),
            abandon_timeout: table.or("abandon_timeout", secs(300), duration(ABANDON_TIMEOUT)),
            idle_timeout: table.or("idle_timeout", secs(60), duration(IDLE_TIMEOUT)),
            protocol: table.or(
                "protocol",
                Protocol::Auto,
                text("\"auto\", \"http1\" or \"http2\"", |found| word(found, &PROTOCOLS)),
            ),
            ca: table.optional("ca", pem_file),
            tls_name: table.optional("tls_name", text("a host name", syntax::host)),
            idempotent: table.or("idempotent", false, truth),
            resolve: table.or("resolve", secs(10), duration(RESOLVE)),
            slow_start: table.or("slow_start", secs(10), duration(SLOW_START)),
            health: table.table("health", "[upstream.health]", Health::read),
        }
    }
}

impl Adaptive {
    fn read(table: &mut Table<'_, '_, '_>) -> Self {
        Self {
            span: table.span(),
            min: table.or("min", DEFAULT_BOUNDS.min, at_once),
            max: table.or("max", DEFAULT_BOUNDS.max, at_once),
            initial: table.optional("initial", at_once).map(|written| written.value),
        }
    }
}

impl Health {
    fn read(table: &mut Table<'_, '_, '_>) -> Self {
        Self {
            path: table.required("path", text("a path such as \"/healthz\"", request_target)),
            interval: table.or("interval", secs(5), duration(HEALTH_INTERVAL)),
            timeout: table.or("timeout", secs(2), duration(HEALTH_TIMEOUT)),
            rise: table.or("rise", NonZeroU32::MIN.saturating_add(1), times),
            fall: table.or("fall", NonZeroU32::MIN.saturating_add(2), times),
            status: table.filled_list(
                "status",
                "statuses",
                text("a status such as \"200\" or \"200-299\"", syntax::statuses),
            ),
        }
    }
}
