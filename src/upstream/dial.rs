//! From the name of a server to a connection that takes requests.
//!
//! **Invariants**: DNS, TCP, TLS and HTTP handshake together take at most the connect timeout; every limit that hyper
//! and the socket have is set here, on purpose.
//! **Cost**: one task a connection.
//! **Not here**: when to dial and what happens to the connection afterwards (`pool`).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::connection::{Connection, Http1, Http2, Share, Task};
use super::count::Event;
use super::failure::DialError;
use super::server::{Host, ServerState};
use super::shared::Upstream;
use super::silence::Silence;
use super::stream::{HeadBudget, Socket, Stream};
use super::tls::ALPN_H2;
use super::upload::{Payload, Upload};
use crate::clock::Clock;
use crate::config::plan::Protocol;

/// Read buffer of an HTTP/1.1 connection at most; it grows towards this only under large bodies.
const HTTP1_BUFFER: usize = 64 * 1024;
/// Bytes of a response head, and of trailers; more is 502.
const HEAD_SIZE: usize = 64 * 1024;
/// The same for HTTP/2, decoded size (RFC 9113 §6.5.2).
const HEAD_SIZE_HTTP2: u32 = 64 * 1024;
/// Bytes of all responses of an HTTP/2 connection that may be under way to us unread.
const HTTP2_CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of one response that may be under way to us unread.
const HTTP2_STREAM_WINDOW: u32 = 256 * 1024;
/// The smallest frame size there is (RFC 9113 §4.2): small frames interleave well.
const HTTP2_FRAME_SIZE: u32 = 16 * 1024;
/// Request bytes buffered for each stream.
const HTTP2_SEND_BUFFER: usize = 64 * 1024;
/// Header compression state that we keep for a peer (RFC 7541 §4.2, the default).
const HTTP2_HEADER_TABLE: u32 = 4096;
/// Streams opened before the server has said how many it takes (RFC 9113 §6.5.2 recommends it to allow 100).
const HTTP2_INITIAL_STREAMS: usize = 100;
/// Streams reset by us whose late frames we still tolerate, and for how long.
const HTTP2_RESET_STREAMS: usize = 256;
const HTTP2_RESET_MEMORY: Duration = Duration::from_secs(5);
/// Resets that the server's own faults may force on us before we hang up (CVE-2025-8671).
const HTTP2_FAULTS: usize = 64;
/// While streams are open, a server that does not answer a ping for this long is dead; pings come this often.
const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(10);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(10);
/// An idle connection whose server has vanished is noticed after 30 s + 3 · 10 s.
const KEEPALIVE_TIME: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;
/// A server gone silent below TCP is given up no sooner: room for a few retransmissions (RFC 6298 §2.4: 1 s, doubling).
const USER_TIMEOUT_MIN: Duration = Duration::from_secs(10);

/// Opens a connection to `server` within the upstream's connect timeout. Dropping the future gives up.
pub(super) async fn dial<B: Payload>(
    upstream: &Upstream,
    server: &ServerState,
    clock: &Clock,
) -> Result<Connection<B>, DialError> {
    let dialled = match timeout(upstream.connect_timeout, open(upstream, server, clock)).await {
        Ok(dialled) => dialled,
        Err(_) => Err(DialError::Timeout),
    };
    server.record(match &dialled {
        Ok(_) => Event::Connections,
        Err(DialError::Timeout) => Event::ConnectTimeouts,
        Err(_) => Event::Unreachable,
    });
    dialled
}

/// The same without a timeout and uncounted.
pub(super) async fn open<B: Payload>(
    upstream: &Upstream,
    server: &ServerState,
    clock: &Clock,
) -> Result<Connection<B>, DialError> {
    let tcp = connect(server).await?;
    set_options(&tcp, upstream.response_timeout)?;
    let (socket, agreed_http2) = match &server.origin.tls {
        None => (Socket::Tcp(tcp), server.origin.protocol == Protocol::Http2),
        Some(tls) => {
            let shaken = tls.connector.connector.connect(tls.name.clone(), tcp).await;
            let stream = shaken.map_err(|error| tls.failed(error, upstream, server, clock.now()))?;
            let agreed = stream.get_ref().1.alpn_protocol() == Some(ALPN_H2);
            (Socket::Tls(Box::new(stream)), agreed)
        }
    };
    let stream = Stream { socket, budget: HeadBudget::unlimited() };
    if agreed_http2 {
        start_http2(stream, clock).await
    } else if server.origin.protocol == Protocol::Http2 {
        Err(DialError::Protocol)
    } else {
        start_http1(stream).await
    }
}

async fn connect(server: &ServerState) -> io::Result<TcpStream> {
    let port = server.origin.port;
    if let Some(address) = server.address {
        return TcpStream::connect(SocketAddr::new(address, port)).await;
    }
    let name = match &server.origin.host {
        Host::Address(address) => return TcpStream::connect(SocketAddr::new(*address, port)).await,
        Host::Name(name) => name,
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in lookup_host((&**name, port)).await? {
        match TcpStream::connect(address).await {
            Ok(tcp) => return Ok(tcp),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// `silence`: a server that acknowledges nothing for as long as it may be silent is gone. Linux also counts a closed
/// receive window, that is, a server that does not read; hence no shorter.
fn set_options(tcp: &TcpStream, silence: Duration) -> io::Result<()> {
    // A head and a small body leave in two writes: Nagle would hold the second until the first is acknowledged.
    tcp.set_nodelay(true)?;
    let socket = SockRef::from(tcp);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_TIME).with_interval(KEEPALIVE_INTERVAL);
    socket.set_tcp_keepalive(&keepalive.with_retries(KEEPALIVE_RETRIES))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(silence.max(USER_TIMEOUT_MIN)))?;
    #[cfg(not(target_os = "linux"))]
    let _ = silence;
    Ok(())
}

async fn start_http1<B: Payload>(stream: Stream) -> Result<Connection<B>, DialError> {
    let budget = stream.budget.clone();
    let mut builder = http1::Builder::new();
    // The number of fields stays at hyper's 100: any other value costs an allocation for each response.
    builder
        .max_buf_size(HTTP1_BUFFER)
        .max_header_size(HEAD_SIZE)
        .http09_responses(false)
        .allow_obsolete_multiline_headers_in_responses(false)
        .allow_spaces_after_header_name_in_responses(false)
        .ignore_invalid_headers_in_responses(false);
    let (sender, connection) = builder.handshake::<_, Upload<B>>(TokioIo::new(stream)).await.map_err(handshake)?;
    let task = tokio::spawn(async move {
        // Whoever has a request on the connection is told its error; on an idle one there is nobody to tell.
        drop(connection.with_upgrades().await);
    });
    Ok(Connection::Http1(Http1 { sender, task: Task::new(task), budget, silence: Silence::default() }))
}

async fn start_http2<B: Payload>(stream: Stream, clock: &Clock) -> Result<Connection<B>, DialError> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .adaptive_window(false)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .initial_max_send_streams(HTTP2_INITIAL_STREAMS)
        .max_frame_size(HTTP2_FRAME_SIZE)
        .max_header_list_size(HEAD_SIZE_HTTP2)
        .header_table_size(HTTP2_HEADER_TABLE)
        .max_send_buf_size(HTTP2_SEND_BUFFER)
        // A server has no streams to open towards us: push is off.
        .max_concurrent_streams(0)
        .max_concurrent_reset_streams(HTTP2_RESET_STREAMS)
        .reset_stream_duration(HTTP2_RESET_MEMORY)
        .max_local_error_reset_streams(HTTP2_FAULTS)
        .max_pending_accept_reset_streams(HTTP2_FAULTS)
        .keep_alive_interval(HTTP2_PING_INTERVAL)
        .keep_alive_timeout(HTTP2_PING_TIMEOUT)
        .keep_alive_while_idle(false);
    let (sender, connection) = builder.handshake::<_, Upload<B>>(TokioIo::new(stream)).await.map_err(handshake)?;
    tokio::spawn(async move {
        // Every stream is told the error by its own response or body.
        drop(connection.await);
    });
    let used = AtomicU64::new(clock.now().as_nanos());
    Ok(Connection::Http2(Share::of(&Arc::new(Http2 { sender, used }))))
}

fn handshake(error: hyper::Error) -> DialError {
    DialError::Handshake(Arc::new(error))
}
