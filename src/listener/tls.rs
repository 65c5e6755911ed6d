//! TLS of public listeners.
//!
//! A handshake costs what a hundred refusals cost (120–150 µs), so it is the first thing a crowd can exhaust. It is
//! therefore rationed: the client's first message is read without a permit, the key exchange and the signature happen under
//! one of [`handshakes_at_once`] permits handed out first come, first served, and the permit is given back after one round
//! of the scheduler, before the client's next message. A slow or silent client holds no permit; requests on open
//! connections are served between handshakes.
//!
//! **Invariants**: a client that has left or is past its deadline costs no key exchange; one that speaks HTTP where TLS is spoken
//! is told so.
//! **Cost**: memory of a session is about 8 KiB (rustls); one more read than the handshake needs.
//! **Not here**: the deadline (the caller's), what is presented (`terms`).

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustls::pki_types::CertificateDer;
use rustls::server::Acceptor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::stream::{AHEAD, Stream};
use super::terms::{H2, Terms};
use crate::admission::verdict::Reason;
use crate::proxy::answer::Answer;

/// Key exchanges between two rounds of the scheduler, for each processor: about 0.6 ms.
const HANDSHAKES_PER_CORE: usize = 4;

/// Key exchanges that may be under way at once in a process on `cores` processors.
pub(super) const fn handshakes_at_once(cores: usize) -> usize {
    HANDSHAKES_PER_CORE * cores
}

/// How a handshake ends without a session.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    /// The client left before we had done any work for it.
    #[error("the client left")]
    Departed,
    /// The client speaks cleartext HTTP, and was told what is spoken here.
    #[error("cleartext HTTP")]
    Cleartext,
    /// What the client sent is no TLS that we speak.
    #[error(transparent)]
    Failed(io::Error),
}

/// Brings `stream` under TLS. Dropped at the caller's deadline, it gives back whatever it holds.
pub(super) async fn handshake(
    mut stream: Stream,
    terms: &Terms,
    turns: &Semaphore,
) -> Result<TlsStream<Stream>, HandshakeError> {
    let socket = Arc::clone(stream.socket());
    if is_cleartext(&mut stream).await? {
        stream.write_all(cleartext_answer().as_bytes()).await.map_err(HandshakeError::Failed)?;
        return Err(HandshakeError::Cleartext);
    }
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => HandshakeError::Departed,
        _ => HandshakeError::Failed(error),
    })?;
    // The semaphore is never closed.
    let turn = turns.acquire().await.map_err(|closed| HandshakeError::Failed(io::Error::other(closed)))?;
    if has_left(&socket) {
        return Err(HandshakeError::Departed);
    }
    let mut accept = pin!(hello.into_stream(terms.config()));
    // The first poll does the key exchange and signs; what comes after waits for the client.
    let first = poll_fn(|cx| Poll::Ready(accept.as_mut().poll(cx))).await;
    tokio::task::yield_now().await;
    drop(turn);
    match first {
        Poll::Ready(done) => done,
        Poll::Pending => accept.await,
    }
    .map_err(HandshakeError::Failed)
}

/// Whether ALPN chose HTTP/2. A client without ALPN speaks HTTP/1.1.
pub(super) fn chose_http2(stream: &TlsStream<Stream>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(H2)
}

/// What the client has proved to be, if it was asked: the first of its chain, which was verified.
pub(super) fn client_certificate(stream: &TlsStream<Stream>) -> Option<&CertificateDer<'static>> {
    stream.get_ref().1.peer_certificates()?.first()
}

/// Whether the first bytes are those of an HTTP request: a method, in capital letters, where TLS begins with 22 (RFC 8446 §5.1).
async fn is_cleartext(stream: &mut Stream) -> Result<bool, HandshakeError> {
    let mut ahead = [0; AHEAD];
    let read = stream.read(&mut ahead).await.map_err(|_| HandshakeError::Departed)?;
    let ahead = ahead.get(..read).filter(|ahead| !ahead.is_empty()).ok_or(HandshakeError::Departed)?;
    stream.unread(ahead);
    Ok(ahead.first().is_some_and(u8::is_ascii_uppercase))
}

/// To whoever speaks HTTP where TLS is spoken. The request was not read, so there is neither a preference for HTML nor an id.
fn cleartext_answer() -> String {
    let detail = Some("this port speaks HTTPS".to_owned());
    let (_, problem) = Answer { detail, ..Reason::BadRequest.into() }.unread();
    format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\ncache-control: \
         no-store\r\nconnection: close\r\n\r\n{problem}",
        problem.len()
    )
}

/// Whether the peer has closed or reset the connection and left nothing to read.
fn has_left(socket: &tokio::net::TcpStream) -> bool {
    let mut byte = [0_u8; 1];
    match rustix::net::recv(socket, &mut byte[..], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((_, received)) => received == 0,
        Err(Errno::AGAIN | Errno::INTR) => false,
        Err(_) => true,
    }
}
