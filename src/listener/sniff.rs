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
pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0, HTTP/1.1, or nothing we know.
    Http1,
    /// HTTP/2.
    Http2,
}

/// What is known of a client after its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The version it speaks.
    Speaks(Version),
    /// Nothing: it closed without a byte, as health checks do.
    Nothing,
    /// Not enough.
    More,
}

/// What `seen`, the first bytes of a connection, say; `is_end` tells that no more will come.
#[must_use]
pub fn judge(seen: &[u8], is_end: bool) -> Heard {
    match (PREFACE.strip_prefix(seen), is_end) {
        (Some([]), _) => Heard::Speaks(Version::Http2),
        (Some(_), false) => Heard::More,
        (Some(_), true) if seen.is_empty() => Heard::Nothing,
        // Closed within the preface, or never in it: the parser of version 1 knows what to make of it.
        _ => Heard::Speaks(if seen.starts_with(PREFACE) { Version::Http2 } else { Version::Http1 }),
    }
}

/// Reads until it is clear which version the client speaks. [`None`] if it closes without a byte.
pub(super) async fn sniff(stream: &mut Stream) -> io::Result<Option<Version>> {
    let mut bytes = [0; AHEAD];
    let mut len = 0;
    let mut is_end = false;
    loop {
        let seen = bytes.get(..len).unwrap_or_default();
        match judge(seen, is_end) {
            Heard::Nothing => return Ok(None),
            Heard::Speaks(version) => {
                stream.unread(seen);
                return Ok(Some(version));
            }
            Heard::More => {
                let read = stream.read(bytes.get_mut(len..).unwrap_or_default()).await?;
                is_end = read == 0;
                len += read;
            }
        }
    }
}
