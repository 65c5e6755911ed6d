//! PEM files: certificates with their keys, and trust anchors.
//!
//! **Invariants**: a file is a plain file of at most [`MAX_FILE`] bytes; a chain and its key belong together; nothing
//! that was read from a key is ever part of a message.
//! **Cost**: blocking reads; for the start of the process, before a worker exists.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::super::explain::{Faults, Span};
use super::super::reader::Written;

/// The bundles of whole operating systems stay below this.
const MAX_FILE: u64 = 4 << 20;

/// Reads files that a configuration names.
#[derive(Debug)]
pub(super) struct Files<'d> {
    directory: &'d Path,
    machine: Option<Arc<RootCertStore>>,
}

impl<'d> Files<'d> {
    /// Relative paths start at `directory`.
    pub(super) fn new(directory: &'d Path) -> Self {
        Self { directory, machine: None }
    }

    /// `path` as it is opened.
    pub(super) fn resolve(&self, path: &Path) -> PathBuf {
        self.directory.join(path)
    }

    /// The certificate chain and the key to present.
    pub(super) fn certified_key(
        &self,
        certificate: &Written<PathBuf>,
        key: &Written<PathBuf>,
        faults: &mut Faults<'_>,
    ) -> Option<Arc<CertifiedKey>> {
        let chain = self.certificates("certificate", certificate, faults);
        let private = self.read("key", key, faults).and_then(|pem| match PrivateKeyDer::from_pem_slice(&pem) {
            Ok(private) => Some(private),
            Err(_) => refuse(faults, &key.span, "`key` holds no private key in PEM: ", &self.resolve(&key.value)),
        });
        let (chain, private) = (chain?, private?);
        let Ok(signing) = aws_lc_rs::default_provider().key_provider.load_private_key(private) else {
            return refuse(faults, &key.span, "`key` is not a usable private key: ", &self.resolve(&key.value));
        };
        let pair = CertifiedKey::new(chain, signing);
        match pair.keys_match() {
            Ok(()) => Some(Arc::new(pair)),
            Err(rustls::Error::InconsistentKeys(_)) => {
                let certificate = self.resolve(&certificate.value).display().to_string();
                let message = format!("`key` does not belong to `certificate` {certificate}: ");
                refuse(faults, &key.span, &message, &self.resolve(&key.value))
            }
            Err(_) => {
                let path = self.resolve(&certificate.value);
                refuse(faults, &certificate.span, "`certificate` is not an X.509 v3 certificate: ", &path)
            }
        }
    }

    /// The trust anchors in the file that `key` names.
    pub(super) fn trust_anchors(
        &self,
        key: &str,
        ca: &Written<PathBuf>,
        faults: &mut Faults<'_>,
    ) -> Option<Arc<RootCertStore>> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates(key, ca, faults)? {
            if roots.add(certificate).is_err() {
                let message = format!("`{key}` holds a certificate that is no trust anchor: ");
                return refuse(faults, &ca.span, &message, &self.resolve(&ca.value));
            }
        }
        Some(Arc::new(roots))
    }

    /// The trust anchors of the machine, read once; `span` is who needs them.
    pub(super) fn machine_trust_anchors(&mut self, span: &Span, faults: &mut Faults<'_>) -> Option<Arc<RootCertStore>> {
        if let Some(roots) = &self.machine {
            return Some(Arc::clone(roots));
        }
        let found = rustls_native_certs::load_native_certs();
        if let Some(why) = found.errors.iter().find_map(passing) {
            let message = format!("the trust anchors of this machine cannot be read now: {why}");
            faults.add(span, message, None, None);
            return None;
        }
        let mut roots = RootCertStore::empty();
        // A machine's store may hold a few relics; whether the needed anchor is among the good ones shows at connect.
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            let message = "this machine has no trust anchors, and an upstream with https needs some".to_owned();
            faults.add(span, message, Some("write `ca = \"file.pem\"`".to_owned()), None);
            return None;
        }
        let roots = Arc::new(roots);
        self.machine = Some(Arc::clone(&roots));
        Some(roots)
    }

    fn certificates(
        &self,
        key: &str,
        path: &Written<PathBuf>,
        faults: &mut Faults<'_>,
    ) -> Option<Vec<CertificateDer<'static>>> {
        let pem = self.read(key, path, faults)?;
        match CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>() {
            Ok(chain) if !chain.is_empty() => Some(chain),
            _ => {
                let message = format!("`{key}` holds no certificate in PEM: ");
                refuse(faults, &path.span, &message, &self.resolve(&path.value))
            }
        }
    }

    fn read(&self, key: &str, path: &Written<PathBuf>, faults: &mut Faults<'_>) -> Option<Vec<u8>> {
        let place = self.resolve(&path.value);
        match read_bounded(&place, MAX_FILE) {
            Ok(bytes) => Some(bytes),
            Err(why) => refuse(faults, &path.span, &format!("`{key}` cannot be read ({why}): "), &place),
        }
    }
}

/// The bytes of a plain file, if there are not more than `most`. Opening a pipe could block for ever, so what it is comes first.
pub(in crate::config) fn read_bounded(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let facts = fs::metadata(path).map_err(|why| why.to_string())?;
    if !facts.is_file() {
        return Err("not a file".to_owned());
    }
    if facts.len() > most {
        return Err(format!("larger than {most} bytes"));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|why| why.to_string())?;
    file.take(most).read_to_end(&mut bytes).map_err(|why| why.to_string())?;
    Ok(bytes)
}

/// Why an anchor cannot be read at this moment, though it is there: for want of something that the process will have again. What is left
/// out then is not gone; what can never be read is left out each time.
fn passing(error: &rustls_native_certs::Error) -> Option<String> {
    let rustls_native_certs::ErrorKind::Io { inner, .. } = &error.kind else { return None };
    let errno = Errno::from_io_error(inner)?;
    [Errno::MFILE, Errno::NFILE, Errno::NOMEM].contains(&errno).then(|| errno.to_string())
}

/// Records `message`, which ends in the path, and gives nothing.
fn refuse<T>(faults: &mut Faults<'_>, span: &Span, message: &str, path: &Path) -> Option<T> {
    faults.add(span, format!("{message}{}", path.display()), None, None);
    None
}

#[cfg(test)]
mod tests {
    use rustls_native_certs::{Error, ErrorKind};

    use super::*;

    #[test]
    fn an_anchor_that_cannot_be_read_now_is_not_one_that_is_gone() {
        let error = |errno: Errno| {
            let kind = ErrorKind::Io { inner: errno.into(), path: PathBuf::from("/etc/ssl/certs/a.pem") };
            Error { context: "failed to open file", kind }
        };
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOMEM] {
            assert!(passing(&error(errno)).is_some(), "{errno}");
        }
        for errno in [Errno::NOENT, Errno::ACCESS] {
            assert_eq!(passing(&error(errno)), None);
        }
    }
}
