//! The servers of an upstream as all workers see them: where they are, how busy, what went wrong.
//!
//! **Invariants**: `in_flight` of a server counts exactly the living [`super::InFlight`]s that name it; counters only grow.
//! **Cost**: two atomic additions a request for `in_flight`, one relaxed addition for each event counted.
//! **Not here**: connections (`pool`), the limit on what is in flight (the guard of the caller).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::uri::Authority;
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::count::{Counters, Event};
use crate::config::plan::{self, Protocol};

/// TLS sessions remembered for resumption, over all servers of an upstream.
const TLS_SESSIONS: usize = 256;
/// ALPN names (RFC 7301, RFC 9113 §3.1).
pub(super) const ALPN_H2: &[u8] = b"h2";
const ALPN_HTTP1: &[u8] = b"http/1.1";
/// Connections kept idle for one server by one worker, however high the concurrency: descriptors are finite.
const IDLE_MAX: usize = 1024;

/// An upstream that cannot be built from its plan.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The provider lacks what TLS needs.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// The host of an https server is neither a DNS name nor an address.
    #[error("`{0}` cannot be the name of a TLS server")]
    ServerName(Authority),
    /// There is an https server but no trust anchor to verify it by.
    #[error("`{0}` is https but the upstream has no trust anchors")]
    NoRoots(Authority),
}

/// One upstream, shared by all workers.
#[derive(Debug)]
pub struct Upstream {
    pub(super) name: Arc<str>,
    pub(super) servers: Box<[Arc<ServerState>]>,
    pub(super) connect_timeout: Duration,
    pub(super) response_timeout: Duration,
    pub(super) abandon_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) idle_max: usize,
}

impl Upstream {
    /// Builds the shared half of an upstream.
    pub fn new(plan: &plan::Upstream) -> Result<Arc<Self>, UpstreamError> {
        let tls = plan.roots.as_ref().map(|roots| tls_connector(roots, plan.protocol)).transpose()?;
        let servers = plan.servers.iter().map(|server| ServerState::new(server, plan.protocol, tls.as_ref()));
        let concurrency = usize::try_from(plan.concurrency.get()).unwrap_or(usize::MAX);
        Ok(Arc::new(Self {
            name: plan.name.as_str().into(),
            servers: servers.map(|server| server.map(Arc::new)).collect::<Result<_, _>>()?,
            connect_timeout: plan.connect_timeout,
            response_timeout: plan.response_timeout,
            abandon_timeout: plan.abandon_timeout,
            idle_timeout: plan.idle_timeout,
            idle_max: concurrency.min(IDLE_MAX),
        }))
    }

    /// Name in metrics and logs.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its servers, in the order of the plan.
    #[must_use]
    pub fn servers(&self) -> impl ExactSizeIterator<Item = &Arc<ServerState>> {
        self.servers.iter()
    }
}

fn tls_connector(roots: &Arc<RootCertStore>, protocol: Protocol) -> Result<TlsConnector, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(Arc::clone(roots))
        .with_no_client_auth();
    config.alpn_protocols = match protocol {
        Protocol::Auto => vec![ALPN_H2.to_vec(), ALPN_HTTP1.to_vec()],
        Protocol::Http1 => vec![ALPN_HTTP1.to_vec()],
        Protocol::Http2 => vec![ALPN_H2.to_vec()],
    };
    config.resumption = Resumption::in_memory_sessions(TLS_SESSIONS);
    // 0-RTT data can be replayed: a sign-up would be sent twice (RFC 8446 §8).
    config.enable_early_data = false;
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Where a server is.
#[derive(Debug)]
pub(super) enum Host {
    /// Needs no resolution.
    Address(IpAddr),
    /// Resolved at each dial.
    Name(Box<str>),
}

/// TLS towards one server.
pub(super) struct Tls {
    pub(super) connector: TlsConnector,
    pub(super) name: ServerName<'static>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tls").field("name", &self.name).finish_non_exhaustive()
    }
}

/// One server: where it is, what is in flight there, what happened there.
#[derive(Debug)]
pub struct ServerState {
    in_flight: AtomicU32,
    idle: AtomicU32,
    counters: Counters,
    pub(super) authority: Authority,
    pub(super) label: Arc<str>,
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) tls: Option<Tls>,
    pub(super) protocol: Protocol,
}

impl ServerState {
    fn new(server: &plan::Server, protocol: Protocol, tls: Option<&TlsConnector>) -> Result<Self, UpstreamError> {
        let host = server.authority.host().trim_start_matches('[').trim_end_matches(']');
        let tls = if server.tls {
            let connector = tls.ok_or_else(|| UpstreamError::NoRoots(server.authority.clone()))?.clone();
            let name = ServerName::try_from(host.to_owned())
                .map_err(|_| UpstreamError::ServerName(server.authority.clone()))?;
            Some(Tls { connector, name })
        } else {
            None
        };
        Ok(Self {
            in_flight: AtomicU32::new(0),
            idle: AtomicU32::new(0),
            counters: Counters::default(),
            label: server.authority.as_str().into(),
            host: IpAddr::from_str(host).map_or_else(|_| Host::Name(host.into()), Host::Address),
            port: server.authority.port_u16().unwrap_or(if server.tls { 443 } else { 80 }),
            authority: server.authority.clone(),
            tls,
            protocol,
        })
    }

    /// `host:port`, the server's name in metrics.
    #[must_use]
    pub fn authority(&self) -> &Arc<str> {
        &self.label
    }

    /// Exchanges under way at this server, over all workers.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Connections kept for reuse, over all workers. One that its server has closed counts until it is swept.
    #[must_use]
    pub fn idle(&self) -> u32 {
        self.idle.load(Ordering::Relaxed)
    }

    /// What happened here since the start.
    #[must_use]
    pub fn count(&self, event: Event) -> u64 {
        self.counters.of(event).load(Ordering::Relaxed)
    }

    pub(super) fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn record(&self, event: Event) {
        self.counters.of(event).fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn idle_grew(&self) {
        self.idle.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn idle_shrank(&self, by: usize) {
        self.idle.fetch_sub(u32::try_from(by).unwrap_or(u32::MAX), Ordering::Relaxed);
    }
}
