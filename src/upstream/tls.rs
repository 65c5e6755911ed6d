//! TLS towards the servers of an upstream.
//!
//! **Invariants**: servers are always verified; nothing is sent before the handshake is over.
//! **Not here**: when to connect (`dial`).

use std::fmt;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use crate::config::plan::Protocol;

/// TLS sessions remembered for resumption, over all servers of an upstream.
const TLS_SESSIONS: usize = 256;
/// ALPN names (RFC 7301, RFC 9113 §3.1).
pub(super) const ALPN_H2: &[u8] = b"h2";
const ALPN_HTTP1: &[u8] = b"http/1.1";

/// TLS towards one server.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    pub(super) connector: Connector,
    pub(super) name: ServerName<'static>,
}

/// What all connections of an upstream share.
#[derive(Clone)]
pub(super) struct Connector(pub(super) TlsConnector);

impl fmt::Debug for Connector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Connector")
    }
}

impl Connector {
    pub(super) fn new(roots: &Arc<RootCertStore>, protocol: Protocol) -> Result<Self, rustls::Error> {
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
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }
}
