//! The certificate of a run: its own authority, good for this machine and some days.
//!
//! **Cost**: some 100 ms, twice the program `openssl`.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// Longer than any run.
const DAYS: &str = "30";

/// Makes a certificate for 127.0.0.1, which is its own authority: `cert.pem` and `key.pem` in `folder`, and the file `authority`, which people
/// believe.
///
/// # Errors
/// There is no `openssl`, or it cannot.
pub fn make(folder: &Path, authority: &Path) -> anyhow::Result<()> {
    let path = |name: &str| folder.join(name).display().to_string();
    let (certificate, key) = (path("cert.pem"), path("key.pem"));
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
    use super::*;
    use crate::wire::tls::Tls;

    #[test]
    fn people_can_believe_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let authority = folder.path().join("ca.pem");
        make(folder.path(), &authority).expect("made");
        assert!(folder.path().join("key.pem").is_file() && Tls::new(&authority).is_ok());
        assert!(Tls::new(&folder.path().join("none.pem")).is_err());
    }
}
