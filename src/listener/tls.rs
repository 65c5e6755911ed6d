//! TLS of public listeners.
//!
//! A handshake costs what a hundred refusals cost (120–150 µs), so it is the first thing a crowd can exhaust. It is
//! therefore rationed: the client's first message is read without a permit, the key exchange and the signature happen under
//! one of [`handshakes_at_once`] permits handed out first come, first served, and the permit is given back after one round
//! of the scheduler, before the client's next message. A slow or silent client holds no permit; requests on open
//! connections are served between handshakes.
//!
//! **Invariants**: TLS 1.2 and 1.3 only; no early data (a replayed sign-up, RFC 8446 §8); no session state in memory; a client
//! that has left or is past its deadline costs no key exchange.
//! **Cost**: memory of a session is about 8 KiB (rustls).
//! **Not here**: the deadline (the caller's), reading certificates (`config`).

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustls::crypto::aws_lc_rs;
use rustls::server::{Acceptor, NoServerSessionStorage};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, version};
use tokio::sync::Semaphore;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

use super::stream::Stream;

/// ALPN identifiers (RFC 7301 §6), in our order of preference.
const ALPN: [&[u8]; 2] = [H2, b"http/1.1"];
const H2: &[u8] = b"h2";

/// One ticket per handshake: browsers use one, and each costs an encryption and 200 bytes.
const TICKETS: usize = 1;

/// Key exchanges between two rounds of the scheduler, for each processor: about 0.6 ms.
const HANDSHAKES_PER_CORE: usize = 4;

/// Key exchanges that may be under way at once in a process on `cores` processors.
pub(super) const fn handshakes_at_once(cores: usize) -> usize {
    HANDSHAKES_PER_CORE * cores
}

/// What a public listener presents to its clients.
pub(super) fn server_config(certificate: &Arc<CertifiedKey>) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&version::TLS13, &version::TLS12])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(certificate))));
    config.alpn_protocols = ALPN.iter().map(|name| name.to_vec()).collect();
    config.ticketer = aws_lc_rs::Ticketer::new()?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = TICKETS;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// How a handshake ends without a session.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    /// The client left before we had done any work for it.
    #[error("the client left")]
    Departed,
    /// What the client sent is no TLS that we speak.
    #[error(transparent)]
    Failed(io::Error),
}

/// Brings `stream` under TLS. Dropped at the caller's deadline, it gives back whatever it holds.
pub(super) async fn handshake(
    stream: Stream,
    config: Arc<ServerConfig>,
    turns: &Semaphore,
) -> Result<TlsStream<Stream>, HandshakeError> {
    let socket = Arc::clone(stream.socket());
    let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await.map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => HandshakeError::Departed,
        _ => HandshakeError::Failed(error),
    })?;
    // The semaphore is never closed.
    let turn = turns.acquire().await.map_err(|closed| HandshakeError::Failed(io::Error::other(closed)))?;
    if has_left(&socket) {
        return Err(HandshakeError::Departed);
    }
    let mut accept = pin!(hello.into_stream(config));
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

/// Whether the peer has closed or reset the connection and left nothing to read.
fn has_left(socket: &tokio::net::TcpStream) -> bool {
    let mut byte = [0_u8; 1];
    match rustix::net::recv(socket, &mut byte[..], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((_, received)) => received == 0,
        Err(Errno::AGAIN | Errno::INTR) => false,
        Err(_) => true,
    }
}
