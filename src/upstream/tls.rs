//! TLS towards the servers of an upstream.
//!
//! **Invariants**: servers are always verified, by the trust anchors and the name of the upstream, or the host of the server; nothing
//! is sent before the handshake is over.
//! **Not here**: when to connect (`dial`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{fmt, io};

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use super::failure::DialError;
use super::server::ServerState;
use super::shared::Upstream;
use crate::clock::Tick;
use crate::config::plan::Protocol;

/// TLS sessions remembered for resumption, over all servers of an upstream.
const TLS_SESSIONS: usize = 256;
/// ALPN names (RFC 7301, RFC 9113 §3.1).
pub(super) const ALPN_H2: &[u8] = b"h2";
const ALPN_HTTP1: &[u8] = b"http/1.1";

/// Between two log lines about the TLS of a server.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// TLS towards one server.
#[derive(Debug)]
pub(super) struct Tls {
    pub(super) connector: Connector,
    pub(super) name: ServerName<'static>,
    /// When it was last in the log that there is none; never, at 0.
    logged: AtomicU64,
}

impl Tls {
    /// TLS towards the server `host`, which must prove that name unless the upstream has another for all.
    pub(super) fn new(connector: &Connector, host: &str) -> Option<Self> {
        let name = connector.name.clone().or_else(|| ServerName::try_from(host.to_owned()).ok())?;
        Some(Self { connector: connector.clone(), name, logged: AtomicU64::new(0) })
    }

    /// What an `error` of a handshake is. Whoever runs the service must hear of it: clients are only told that it cannot be reached.
    pub(super) fn failed(&self, error: io::Error, upstream: &Upstream, server: &ServerState, now: Tick) -> DialError {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()).cloned();
        let Some(error) = tls else { return error.into() };
        let (now, before) = (now.as_nanos().max(1), self.logged.load(Ordering::Relaxed));
        if before == 0 || Duration::from_nanos(now.saturating_sub(before)) >= LOG_INTERVAL {
            self.logged.store(now, Ordering::Relaxed);
            let (upstream, server) = (upstream.name(), server.authority());
            tracing::warn!(%upstream, %server, %error, "no TLS with the server");
        }
        DialError::Tls(error)
    }
}

/// What all connections of an upstream share.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) connector: TlsConnector,
    /// The name that every server must prove, where it is not its host.
    name: Option<ServerName<'static>>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connector").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Connector {
    pub(super) fn new(
        roots: &Arc<RootCertStore>,
        protocol: Protocol,
        name: Option<ServerName<'static>>,
    ) -> Result<Self, rustls::Error> {
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
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), name })
    }
}
