//! TLS as people speak it: the run's own authority is believed, nothing else.
//!
//! **Invariants**: no session is resumed: everybody is somebody new, and who comes again pays in full. That is more than browsers ask of a
//! gateway, never less.
//! **Cost**: some 0.3 ms of CPU on each side a connection.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, IpAddr, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::ledger::Ending;

/// Both ways of speaking through TLS.
#[derive(Clone)]
pub struct Tls {
    http1: TlsConnector,
    http2: TlsConnector,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl Tls {
    /// Believes the certificates in the PEM file at `path`.
    ///
    /// # Errors
    /// It cannot be read, or has no certificate.
    pub fn new(path: &Path) -> io::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(path).map_err(io::Error::other)? {
            roots.add(certificate.map_err(io::Error::other)?).map_err(io::Error::other)?;
        }
        let roots = Arc::new(roots);
        let speaking = |protocol: &[u8]| {
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
            let roots = Arc::clone(&roots);
            let mut config = config.map_err(io::Error::other)?.with_root_certificates(roots).with_no_client_auth();
            config.alpn_protocols = vec![protocol.to_vec()];
            config.resumption = Resumption::disabled();
            io::Result::Ok(TlsConnector::from(Arc::new(config)))
        };
        Ok(Self { http1: speaking(b"http/1.1")?, http2: speaking(b"h2")? })
    }

    /// Shakes hands over `stream`.
    ///
    /// # Errors
    /// [`Ending::Unreachable`]: no connection was had.
    pub async fn connect(&self, stream: TcpStream, http2: bool) -> Result<TlsStream<TcpStream>, Ending> {
        let address = stream.peer_addr().map_err(|_| Ending::Unreachable)?.ip();
        let name = ServerName::IpAddress(IpAddr::from(address));
        let connector = if http2 { &self.http2 } else { &self.http1 };
        connector.connect(name, stream).await.map_err(|_| Ending::Unreachable)
    }
}
