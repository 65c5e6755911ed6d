//! Public sockets, as planned.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::sign::CertifiedKey;

/// A public socket.
#[derive(Debug)]
pub struct Listener {
    /// Address to bind, every worker with a socket of its own.
    pub address: SocketAddr,
    /// What is presented and asked for; [`None`] speaks cleartext HTTP/1.1, and HTTP/2 with prior knowledge.
    pub tls: Option<Tls>,
    /// Every connection begins with a header of the PROXY protocol, version 1 or 2, and comes from one of [`Clients::trusted_proxies`].
    ///
    /// [`Clients::trusted_proxies`]: super::Clients::trusted_proxies
    pub proxy_protocol: bool,
}

/// What a listener presents to its clients, and asks of them.
#[derive(Debug)]
pub struct Tls {
    /// At least one. Of two that cover a name the first is presented.
    pub certificates: Vec<Certificate>,
    /// What a client is told that asks for no name, or for one that no certificate covers.
    pub unknown_names: UnknownNames,
    /// Whether clients are asked for certificates.
    pub clients: ClientCertificates,
}

/// A certificate that can be presented.
#[derive(Debug)]
pub struct Certificate {
    /// The file of its chain, as configured: its name in metrics and logs.
    pub file: PathBuf,
    /// The chain, the end entity's first, and the key that belongs to it.
    pub pair: Arc<CertifiedKey>,
    /// DNS names it is for, in lower case; `*.example.org` covers one label more.
    pub names: Vec<String>,
    /// Seconds since the Unix epoch at which every certificate of the chain is valid.
    pub valid: RangeInclusive<u64>,
}

/// What becomes of a client that asks for no name, or for one that no certificate covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownNames {
    /// The first certificate is presented.
    Default,
    /// The handshake is refused.
    Refuse,
}

/// Whether clients are asked for certificates, and who must have issued them.
#[derive(Clone, Debug)]
pub enum ClientCertificates {
    /// They are not asked.
    Off,
    /// They may have one; one that these did not issue is refused.
    Optional(Arc<RootCertStore>),
    /// They must have one that these issued.
    Required(Arc<RootCertStore>),
}

impl Tls {
    /// Whether a certificate covers `host`, in lower case.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        let wildcard = host.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        let names = || self.certificates.iter().flat_map(|certificate| &certificate.names);
        names().any(|name| name == host || wildcard.as_ref() == Some(name))
    }
}
