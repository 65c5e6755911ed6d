//! The certificate of a run: its own authority, good for this machine and some days.
//!
//! **Cost**: some 100 ms, twice the program `openssl`.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// Longer than any run.
const DAYS: &str = "30";

/// What it says: not an authority for others, because a client refuses a server that shows an authority's certificate.
const REQUEST: &str = "\
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = loadtest
[extensions]
basicConstraints = critical, CA:FALSE
subjectAltName = IP:127.0.0.1
";

/// Makes a certificate for 127.0.0.1, which is its own authority: `cert.pem` and `key.pem` in `folder`, and the file `authority`, which people
/// believe.
///
/// # Errors
/// There is no `openssl`, or it cannot.
pub fn make(folder: &Path, authority: &Path) -> anyhow::Result<()> {
    let path = |name: &str| folder.join(name).display().to_string();
    let (certificate, key, request) = (path("cert.pem"), path("key.pem"), path("request.cnf"));
    std::fs::write(&request, REQUEST).with_context(|| format!("cannot write {request}"))?;
    let key_of = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", &key];
    let signed = ["req", "-x509", "-days", DAYS, "-config", &request, "-out", &certificate];
    openssl(&[&signed[..], &key_of].concat())?;
    std::fs::copy(&certificate, authority).map(drop).with_context(|| format!("cannot write {}", authority.display()))
}

fn openssl(arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("openssl");
    let output = command.args(arguments).stdin(Stdio::null()).output();
    let output = output.context("cannot start openssl, which makes the certificate of a run under TLS")?;
    if !output.status.success() {
        bail!("openssl: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr).trim());
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
