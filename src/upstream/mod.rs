//! The way to a service and back: choose server → connection → exchange → body end → permit back.
//!
//! The caller hands over a request and a guard, whatever the guard means to it (a permit of the gate), and the guard is
//! dropped when the upstream is done: response read to its end, or connection closed. Not earlier: who gives a permit back
//! because a client left or a timeout ran out sends the next request to a service that is still working on this one.
//!
//! **Invariants**
//! * A guard is dropped exactly once, on every path: answer, failure, timeout, a caller who leaves, panic, end of the
//!   runtime.
//! * No byte of a request is sent twice. Another connection is tried only while not a byte has been written.
//! * A connection is used again only after request and response have both come to their ends.
//! * Nobody waits longer than a timeout of the plan; what nobody waits for ends by the abandon timeout.
//!
//! **Cost** of a request on a kept HTTP/1.1 connection: one future boxed, one `Arc` more if it has a body; no task, no timer
//! of its own.
//!
//! **Not here**: who may send a request and when (`admission`), which header fields pass (`proxy`), retries of requests
//! that were sent, health checks.

mod balance;
mod body;
mod connection;
mod count;
mod detached;
mod dial;
mod failure;
mod flight;
mod in_flight;
mod pool;
mod server;
mod silence;
mod stream;
mod upload;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use hyper::upgrade::OnUpgrade;

pub use self::body::Body;
pub use self::count::Event;
pub use self::failure::{BoxError, DialError, Failure, Fault};
pub use self::in_flight::InFlight;
pub use self::pool::Pool;
pub use self::server::{ServerState, Upstream, UpstreamError};
pub use self::upload::Payload;

use self::balance::Choice;
use self::connection::Connection;
use self::flight::{Dispatched, Outcome};

/// Kept connections that may give a request back unsent before a new one is dialled. Each has just been closed by its
/// server; after so many in a row the rest of the stack is no better.
const REUSE_ATTEMPTS: usize = 3;

/// What an upstream answered.
#[derive(Debug)]
pub enum Exchanged<B: Payload, G: Send + 'static> {
    /// A response; its body holds the guard.
    Response {
        /// Head and body.
        response: Response<Body<B, G>>,
        /// Who answered, as `host:port`.
        server: Arc<str>,
    },
    /// 101, as the request asked for: the connection is now a tunnel.
    Upgraded {
        /// The head to pass on.
        response: Response<()>,
        /// Resolves to the upstream's end of the tunnel.
        upgraded: OnUpgrade,
        /// To be kept until the tunnel is closed.
        guard: InFlight<G>,
    },
}

/// Sends `request` to a server of the pool's upstream and resolves with the head of the response.
///
/// The request comes with clean header fields and its `Host`; URI form and framing are set here. Dropped before the
/// request is handed to a connection, nothing was sent and the guard is dropped at once. Dropped later, the exchange
/// goes on without its caller, and the guard is dropped when it ends.
pub async fn exchange<B: Payload, G: Send + 'static>(
    pool: &Pool<B>,
    request: Request<B>,
    guard: G,
) -> Result<Exchanged<B, G>, Failure> {
    let mut failure = Failure::Unreachable(DialError::Closed);
    let (mut request, mut guard) = (request, guard);
    let servers = &pool.upstream().servers;
    for index in Choice::new(servers) {
        let Some(server) = servers.get(index) else {
            continue;
        };
        match try_server(pool, index, request, InFlight::new(server, guard)).await {
            Tried::Answered(exchanged) => return Ok(exchanged),
            Tried::Failed(failure) => return Err(failure),
            Tried::Unreachable(error, unsent, in_flight) => {
                (failure, request, guard) = (error.into(), unsent, in_flight.into_guard());
            }
        }
    }
    Err(failure)
}

/// What came of one server.
enum Tried<B: Payload, G: Send + 'static> {
    Answered(Exchanged<B, G>),
    Failed(Failure),
    /// Nothing was sent: the next server may be tried.
    Unreachable(DialError, Request<B>, InFlight<G>),
}

/// Tries kept connections first, then one new one.
async fn try_server<B: Payload, G: Send + 'static>(
    pool: &Pool<B>,
    index: usize,
    mut request: Request<B>,
    mut in_flight: InFlight<G>,
) -> Tried<B, G> {
    for attempt in 0..=REUSE_ATTEMPTS {
        let kept = if attempt < REUSE_ATTEMPTS { pool.checkout(index) } else { None };
        let is_new = kept.is_none();
        let connection = match kept {
            Some(connection) => connection,
            // Boxed: dialling is rare, and its state, TLS above all, is large.
            None => match Box::pin(pool.connect(index)).await {
                Ok(connection) => connection,
                Err(error) => return Tried::Unreachable(error, request, in_flight),
            },
        };
        in_flight.server().record(Event::Requests);
        match Dispatched::send(pool, index, connection, request, in_flight).await {
            Outcome::Head(response, flight) => return Tried::Answered(answered(response, flight)),
            Outcome::Failed(failure) => return Tried::Failed(failure),
            Outcome::Unsent(unsent, unused, connection) => {
                if let Connection::Http2(share) = &connection {
                    pool.forget(index, &share.connection);
                }
                (request, in_flight) = (unsent, unused);
            }
        }
        if is_new {
            break;
        }
    }
    Tried::Unreachable(DialError::Closed, request, in_flight)
}

fn answered<B: Payload, G: Send + 'static>(
    mut response: Response<hyper::body::Incoming>,
    flight: flight::Flight<B, G>,
) -> Exchanged<B, G> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let upgraded = hyper::upgrade::on(&mut response);
        return Exchanged::Upgraded { response: response.map(drop), upgraded, guard: flight.upgrade() };
    }
    let server = Arc::clone(flight.server().authority());
    Exchanged::Response { response: response.map(|incoming| Body::new(incoming, flight)), server }
}
