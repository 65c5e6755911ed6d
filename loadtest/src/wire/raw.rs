//! Connections that are no honest HTTP: heads that drip, and silence.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use http::{HeaderMap, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use super::form::Form;
use super::{Io, Reply, Wire};
use crate::ledger::Ending;

/// Pieces a second of a head that drips.
const STEPS: u64 = 10;

/// Between the end of a silent connection and the next.
const AGAIN: Duration = Duration::from_secs(1);

/// A status line, and some more.
const ANSWER: usize = 1_024;

/// Sends the head of `request` at `rate` bytes a second, and reads the status.
pub(super) async fn slow_head(mut stream: Box<dyn Io>, request: &Request<Form>, rate: u64) -> Result<Reply, Ending> {
    let head = head(request);
    let piece = usize::try_from(rate / STEPS).unwrap_or(usize::MAX).max(1);
    let (mut reader, mut writer) = tokio::io::split(&mut stream);
    let write = async {
        for piece in head.chunks(piece) {
            if writer.write_all(piece).await.is_err() {
                break;
            }
            // One byte a tenth of a second is the slowest piece; slower rates rest longer.
            sleep(Duration::from_millis(1_000 * piece.len() as u64 / rate.max(1))).await;
        }
        // Whoever has been closed on hears of it below.
        std::future::pending::<()>().await;
    };
    let read = async {
        let mut answer = Vec::with_capacity(ANSWER);
        while answer.len() < ANSWER {
            let mut piece = [0; 256];
            match reader.read(&mut piece).await {
                Ok(0) | Err(_) => break,
                Ok(length) => answer.extend(piece.iter().take(length)),
            }
            if let Some(status) = status(&answer) {
                return Ok(Reply { status, fields: HeaderMap::new(), body: Vec::new() });
            }
        }
        Err(Ending::Cut)
    };
    tokio::select! {
        answer = read => answer,
        () = write => Err(Ending::Cut),
    }
}

/// Opens a connection and says nothing, again and again, until dropped. The socket is kept for the pause between two, so that whoever is closed on does not
/// make room for another one that connects at once: floods are as fast as they are said to be.
pub(super) async fn silence(wire: &Wire, from: Ipv4Addr, to: SocketAddr) {
    let Ok(_socket) = wire.silent_socket().await else { return };
    loop {
        if let Ok(mut stream) = super::source::connect(from, to).await {
            let mut piece = [0; 256];
            while matches!(stream.read(&mut piece).await, Ok(length) if length > 0) {}
        }
        sleep(AGAIN).await;
    }
}

fn head(request: &Request<Form>) -> Vec<u8> {
    let mut head = format!("{} {} HTTP/1.1\r\nhost: slow\r\n", request.method(), request.uri()).into_bytes();
    for (name, value) in request.headers() {
        head.extend_from_slice(name.as_str().as_bytes());
        head.extend_from_slice(b": ");
        head.extend_from_slice(value.as_bytes());
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"content-length: 0\r\n\r\n");
    head
}

/// Of a whole status line (RFC 9112 §4).
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\n').next().filter(|line| line.len() < answer.len())?;
    std::str::from_utf8(line).ok()?.strip_prefix("HTTP/1.1 ")?.split(' ').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_when_its_line_is_whole() {
        assert_eq!(status(b"HTTP/1.1 408 Request Timeout\r\n"), Some(408));
        for wrong in [&b""[..], b"HTTP/1.1 408", b"HTTP/2 200\r\n", b"\xff\n"] {
            assert_eq!(status(wrong), None);
        }
    }
}
