//! The certificate of a run: for this machine alone, and its own authority.

use std::path::Path;

use anyhow::Context;
use rcgen::{CertifiedKey, generate_simple_self_signed};

/// Makes a certificate for 127.0.0.1, which is its own authority: `cert.pem` and `key.pem` in `folder`, and the file `authority`, which people
/// believe.
///
/// # Errors
/// It cannot be made or written.
pub fn make(folder: &Path, authority: &Path) -> anyhow::Result<()> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    let files = [
        (folder.join("cert.pem"), cert.pem()),
        (folder.join("key.pem"), signing_key.serialize_pem()),
        (authority.to_owned(), cert.pem()),
    ];
    for (path, text) in files {
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::ServerConfig;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::wire::tls::Tls;

    #[tokio::test]
    async fn people_believe_it_and_no_other() {
        let folder = tempfile::tempdir().expect("a folder");
        let (here, other) = (folder.path().join("here"), folder.path().join("other"));
        for folder in [&here, &other] {
            std::fs::create_dir(folder).expect("a folder");
            make(folder, &folder.join("ca.pem")).expect("made");
        }
        let chain = CertificateDer::from_pem_file(here.join("cert.pem")).expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(here.join("key.pem")).expect("a key");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let server = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let server =
            server.expect("versions").with_no_client_auth().with_single_cert(vec![chain], key).expect("a server");
        let acceptor = TlsAcceptor::from(Arc::new(server));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("bound");
        let listener = TcpListener::from_std(listener).expect("a listener");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                acceptor.accept(stream).await.ok();
            }
        });
        for (authority, believed) in [(&here, true), (&other, false)] {
            let tls = Tls::new(&authority.join("ca.pem")).expect("an authority");
            let stream = TcpStream::connect(address).await.expect("connected");
            assert_eq!(tls.connect(stream, false).await.is_ok(), believed);
        }
        assert!(Tls::new(&folder.path().join("none.pem")).is_err());
    }
}
