//! The certificate of a run: its own authority, good for this machine and some days.
//!
//! **Cost**: some 100 ms, twice the program `openssl`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// Longer than any run.
const DAYS: &str = "30";

/// The gateway's certificate and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// PEM.
    pub certificate: PathBuf,
    /// PEM, PKCS #8.
    pub key: PathBuf,
}

/// Makes a certificate for 127.0.0.1 in `folder`, which is its own authority: the file `authority` is what people believe.
///
/// # Errors
/// There is no `openssl`, or it cannot.
pub fn make(folder: &Path, authority: &Path) -> anyhow::Result<Certificate> {
    let made = Certificate { certificate: folder.join("cert.pem"), key: folder.join("key.pem") };
    let path = |path: &Path| path.display().to_string();
    let (certificate, key) = (path(&made.certificate), path(&made.key));
    openssl(&[
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        DAYS,
        "-subj",
        "/CN=loadtest",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
        "-keyout",
        &key,
        "-out",
        &certificate,
    ])?;
    std::fs::copy(&made.certificate, authority).with_context(|| format!("cannot write {}", authority.display()))?;
    Ok(made)
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
    use super::*;
    use crate::wire::tls::Tls;

    #[test]
    fn people_can_believe_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = folder.path().join("ca.pem");
        let made = make(folder.path(), &authority).expect("made");
        assert!(made.key.is_file() && Tls::new(&authority).is_ok());
        assert!(Tls::new(&folder.path().join("none.pem")).is_err());
    }
}
