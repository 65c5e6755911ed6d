//! Which HTTP a cleartext client speaks: version 2 with prior knowledge begins with its preface (RFC 9113 §3.4), everything
//! else is left to the parser of version 1.
//!
//! **Invariants**: decided at the first byte that differs; nothing is consumed.
//! **Cost**: one read of at most 24 bytes.
//! **Not here**: the deadline (the caller's). `Upgrade: h2c` is never answered (RFC 9113 §3.1 has withdrawn it).

use std::io;

use tokio::io::AsyncReadExt;

use super::stream::{AHEAD, Stream};

/// What an HTTP/2 client sends first.
const PREFACE: &[u8; AHEAD] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// HTTP/1.0, HTTP/1.1, or nothing we know.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Reads until it is clear which version the client speaks. [`None`] if it closes without a byte, as health checks do.
pub(super) async fn sniff(stream: &mut Stream) -> io::Result<Option<Version>> {
    let mut bytes = [0; AHEAD];
    let mut len = 0;
    let version = loop {
        let Some(rest) = bytes.get_mut(len..) else { break Version::Http2 };
        let read = stream.read(rest).await?;
        len += read;
        let seen = bytes.get(..len).unwrap_or_default();
        if !PREFACE.starts_with(seen) {
            break Version::Http1;
        }
        match (read, len) {
            (_, AHEAD) => break Version::Http2,
            (0, 0) => return Ok(None),
            // Closed within the preface: the parser of version 1 knows what to make of it.
            (0, _) => break Version::Http1,
            _ => {}
        }
    };
    stream.unread(bytes.get(..len).unwrap_or_default());
    Ok(Some(version))
}
