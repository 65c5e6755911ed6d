//! An authority that issues whatever a test needs, and clients and servers that speak TLS by it.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use tempfile::TempDir;

use crate::weir::{PATIENCE, free_address};

/// Authorities so far.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// An authority, and the directory in which it leaves what it issues.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

/// A certificate and its key.
pub(crate) struct Issued {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Two of one name would be told apart by their signatures only.
        let name = format!("authority {} of a test", COUNT.fetch_add(1, Ordering::Relaxed));
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, directory }
    }

    /// Issues a certificate for `names` as `file.pem`, with its key as `file.key`.
    pub(crate) fn issue(&self, file: &str, names: &[&str]) -> Issued {
        self.issue_with(file, names, |_| {})
    }

    /// The same with something of its own.
    pub(crate) fn issue_with(&self, file: &str, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.path(&format!("{file}.pem")), certificate.pem()).unwrap();
        fs::write(self.path(&format!("{file}.key")), key.serialize_pem()).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        Issued { certificate: certificate.der().clone(), key }
    }

    /// A file of its directory; its own certificate is `ca.pem`.
    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.directory.path().join(file)
    }

    /// The last certificate that was issued as `file`.
    pub(crate) fn certificate(&self, file: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.path(&format!("{file}.pem"))).unwrap()
    }

    /// The same in base 64, which is what PEM is but for its frame.
    pub(crate) fn base64(&self, file: &str) -> String {
        let pem = fs::read_to_string(self.path(&format!("{file}.pem"))).unwrap();
        pem.lines().filter(|line| !line.starts_with('-')).collect()
    }

    pub(crate) fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        Arc::new(roots)
    }

    /// The keys of `[listener.tls]` or `[[listener.certificate]]` for what was issued as `file`.
    pub(crate) fn pair(&self, file: &str) -> String {
        let path = |extension: &str| self.path(&format!("{file}.{extension}")).display().to_string();
        format!("certificate = {:?}\nkey = {:?}\n", path("pem"), path("key"))
    }

    /// A listener on an address of its own that presents `files`, the first by default, with `more` in `[listener.tls]`.
    pub(crate) fn listener(&self, files: &[&str], more: &str) -> (SocketAddr, String) {
        let address = free_address();
        let (first, others) = files.split_first().unwrap();
        let table = |all: String, file: &&str| all + "[[listener.certificate]]\n" + &self.pair(file);
        let others = others.iter().fold(String::new(), table);
        let tls = format!("[listener.tls]\n{}{more}\n", self.pair(first));
        (address, format!("[[listener]]\naddress = \"{address}\"\n{tls}{others}"))
    }

    /// A client that believes it.
    pub(crate) fn client(&self) -> ClientConfig {
        self.client_of(rustls::DEFAULT_VERSIONS)
    }

    /// A client that believes it and speaks `versions`.
    pub(crate) fn client_of(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(self.roots())
            .with_no_client_auth()
    }

    /// A client that believes it, and shows what was issued to it.
    pub(crate) fn client_with(&self, issued: Issued) -> ClientConfig {
        ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(rustls::DEFAULT_VERSIONS)
            .unwrap()
            .with_root_certificates(self.roots())
            .with_client_auth_cert(vec![issued.certificate], issued.key)
            .unwrap()
    }
}

/// A connection under TLS.
pub(crate) type Secured = StreamOwned<ClientConnection, TcpStream>;

/// Connects, as a client that looks for `name`, and shakes hands.
pub(crate) fn shake(address: SocketAddr, config: &Arc<ClientConfig>, name: &str) -> io::Result<Secured> {
    let mut stream = begin(address, config, name)?;
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// Connects, and leaves the handshake to the first write.
pub(crate) fn begin(address: SocketAddr, config: &Arc<ClientConfig>, name: &str) -> io::Result<Secured> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_nodelay(true)?;
    Ok(StreamOwned::new(ClientConnection::new(Arc::clone(config), name).unwrap(), socket))
}

/// Asks once, with further `fields`, and answers everything that came.
pub(crate) fn ask(stream: &mut Secured, fields: &str) -> io::Result<String> {
    stream.write_all(format!("GET / HTTP/1.1\r\nhost: localhost\r\n{fields}connection: close\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    if answer.is_empty() {
        read?;
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The certificate that the server presented.
pub(crate) fn presented(stream: &Secured) -> CertificateDer<'static> {
    stream.conn.peer_certificates().unwrap().first().unwrap().clone()
}

/// The alert that ended a handshake.
pub(crate) fn alert(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}
