//! From the socket to the request: accept, TLS, HTTP/1 and HTTP/2, and the end of each.
//!
//! Serves whatever implements [`Attend`] and knows nothing of proxying. One call of [`serve`] per worker, on that worker's
//! runtime, with that worker's sockets.
//!
//! ```text
//! accept ─ slot ─ address ─→ opening ─ PROXY header ─→ TLS handshake (ALPN) ─→ http1 │ http2 ─→ closing
//!                                                   └→ sniff (cleartext) ────↗       └→ tunnel (upgrade)
//! ```
//!
//! **Invariants**
//! * Every byte and every second a client can cost is bounded by [`Limits`] or by a named constant here; none of hyper's
//!   defaults is left to chance.
//! * Nobody is accepted while as many connections are open as [`Connections::limit`]; the surplus waits in the kernel, and only as long
//!   as each of those that are open has a request in flight.
//! * Out of descriptors the listener waits and recovers; short of memory it turns newcomers away and closes what
//!   is idle; nothing a client sends ends it.
//! * A drain ends every connection, and none before its request in flight is answered or `drain_timeout` is over.
//! * The protocol of a connection is chosen by ALPN or by its first bytes, under a deadline.
//!
//! **Cost**: an HTTP/1 connection at rest between requests holds 112 bytes of task, 384 of protocol future, 128 of stream and 208 of facts
//! (a test pins them), and what tokio has for its socket: 1.8 KiB in all, measured. A second before it comes to rest, and while there is a request, there are
//! hyper's two buffers of 8 KiB besides. A kept-alive request is one `recvfrom`, one `writev`, and no timer.
//! **Not here**: what a request means (`proxy`); how long a client may take over the body it sends (only its reader knows
//! that it waits); starting threads (`runtime`).

mod accept;
mod activity;
mod addresses;
mod answer;
mod connection;
mod connections;
mod drain;
mod floods;
mod http;
mod lifetime;
mod memory;
pub mod proxy_line;
mod quiet;
mod rest;
pub mod sniff;
mod socket;
mod stream;
mod terms;
mod tls;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;

pub use addresses::Addresses;
pub use connections::{Cause, Connections, Kind};
pub use drain::{Drain, DrainSignal, Nudge, drain};
pub use memory::Memory;
pub use socket::{BindError, Bound, bind};
pub use terms::{Offer, Terms, TermsError, Validity};

use crate::config::plan;
use crate::proxy::peer::{Peer, unmapped};
use connection::Connection;
use connections::{Roll, Slot};

/// Answers requests. Infallible on purpose: every error has already become an answer.
pub trait Attend: Send + Sync + 'static {
    /// The body of an answer. An error in it ends the connection (HTTP/1) or the stream (HTTP/2).
    type Body: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Send + 'static;

    /// Answers `request` of `peer`. Dropped when the client has left, so far as HTTP lets us see it.
    fn attend(
        &self,
        peer: &Arc<Peer>,
        request: ::http::Request<Incoming>,
    ) -> impl Future<Output = ::http::Response<Self::Body>> + Send;
}

/// What one connection may cost us, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a request head.
    pub header_size: usize,
    /// Fields of a request head (HTTP/1).
    pub header_count: usize,
    /// From accept, from the end of the TLS handshake, or from the first byte of a later head, to the end of the head; and from
    /// accept to the end of the TLS handshake.
    pub header_timeout: Duration,
    /// Longest time in which the client takes nothing of what we send.
    pub body_timeout: Duration,
    /// Longest time without a request.
    pub idle_timeout: Duration,
    /// Streams open at once on one HTTP/2 connection.
    pub http2_streams: u32,
    /// Longest time to the end of requests in flight after a drain has begun.
    pub drain_timeout: Duration,
}

impl Limits {
    /// The limits of a plan.
    #[must_use]
    pub const fn of(clients: &plan::Clients, runtime: &plan::Runtime) -> Self {
        Self {
            header_size: clients.header_size,
            header_count: clients.header_count,
            header_timeout: clients.header_timeout,
            body_timeout: clients.body_timeout,
            idle_timeout: clients.idle_timeout,
            http2_streams: clients.http2_streams,
            drain_timeout: runtime.drain_timeout,
        }
    }
}

/// Serves `sockets` on the current runtime until `drain` has begun and the last connection is gone.
///
/// # Errors
/// A socket cannot be watched by the runtime. Nothing else ends it early.
pub async fn serve<A: Attend>(
    sockets: Vec<Bound>,
    attend: Arc<A>,
    limits: Arc<Limits>,
    connections: Arc<Connections>,
    drain: DrainSignal,
) -> std::io::Result<()> {
    let roll = Arc::new(Roll::default());
    let mut loops = tokio::task::JoinSet::new();
    for Bound { socket, tls, proxy_line } in sockets {
        let attend = Arc::clone(&attend);
        let limits = Arc::clone(&limits);
        let connections = Arc::clone(&connections);
        let roll = Arc::clone(&roll);
        let signal = drain.clone();
        loops.spawn(async move {
            let open = |stream, peer, permit| {
                let slot = Slot::take(&connections, &roll, permit);
                let peer = unmapped(peer);
                if let Err(cause) = connection::may_open(peer.ip(), proxy_line, &slot) {
                    connection::reject(&stream, &slot, cause);
                    return;
                }
                if connections.is_memory_short() {
                    drop(tokio::spawn(connection::refuse(stream, slot, tls.is_some())));
                    return;
                }
                let connection =
                    Connection::new(&attend, &limits, &connections, (tls.clone(), proxy_line), signal.clone());
                // Detached: it is on the roll until it is done.
                drop(tokio::spawn(connection.run(stream, peer, slot)));
            };
            accept::accept(socket, &connections, signal.clone(), open).await
        });
    }
    while let Some(ended) = loops.join_next().await {
        ended.map_err(std::io::Error::other)??;
    }
    roll.emptied().await;
    Ok(())
}
