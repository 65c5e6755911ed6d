//! The way to a service and back: choose server → connection → exchange → body end → permit back.
//!
//! The caller hands over a request and a guard, whatever the guard means to it (a permit of the gate), and the guard is
//! dropped when the upstream is done: response read to its end, or connection closed. Not earlier: who gives a permit back
//! because a client left or a timeout ran out sends the next request to a service that is still working on this one.
//!
//! **Invariants**
//! * A guard is told how its exchange ended and dropped exactly once, on every path: answer, failure, timeout, a caller who leaves,
//!   panic, end of the runtime.
//! * Nothing that a server may have processed is sent again, unless the upstream is `idempotent` and the request is, too; then at
//!   most once more, within a budget, and never after a response began or a timeout.
//! * A connection is used again only after request and response have both come to their ends.
//! * Nobody waits longer than a timeout of the plan; what nobody waits for ends by the abandon timeout.
//! * A server that fails is left out and let back in by degrees; with nobody else left it is asked all the same.
//!
//! **Cost** of a request on a kept HTTP/1.1 connection: request and future boxed, one `Arc` more if it has a body, and one if its response does not
//! come in one piece; no task, no timer of its own. A copy of head and body where it may be sent again.
//!
//! **Not here**: who may send a request and when (`admission`), which header fields pass (`proxy`).

mod ahead;
mod balance;
mod body;
mod budget;
mod check;
mod connection;
mod count;
mod detached;
mod dial;
mod ejection;
mod failure;
mod flight;
mod gather;
mod health;
mod in_flight;
mod outcome;
mod pool;
mod repeat;
mod resolve;
mod server;
mod shared;
mod silence;
mod slot;
mod stream;
mod tend;
mod tls;
mod upload;
mod window;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use http::{Request, Response, StatusCode};
use hyper::upgrade::OnUpgrade;

pub use self::ahead::ReadAhead;
pub use self::body::Body;
pub use self::count::Event;
pub use self::failure::{BoxError, DialError, Failure, Fault};
pub use self::gather::{GATHERED, gathered};
pub use self::health::Standing;
pub use self::in_flight::InFlight;
pub use self::outcome::{Guard, Outcome};
pub use self::pool::Pool;
pub use self::resolve::{Resolve, SystemResolver};
pub use self::server::{Places, ServerState};
pub use self::shared::{Upstream, UpstreamError};
pub use self::upload::Payload;

use self::balance::{Choice, Chosen};
use self::connection::Connection;
use self::ejection::Observation;
use self::flight::{Dispatched, Sent};
use self::repeat::{Load, Parcel, is_idempotent};
use self::slot::Slot;
use crate::sabotage;

/// Kept connections that may give a request back unsent before a new one is dialled. Each has just been closed by its
/// server; after so many in a row the rest of the stack is no better.
const REUSE_ATTEMPTS: usize = 3;

/// What an upstream answered.
#[derive(Debug)]
pub enum Exchanged<B: Payload, G: Guard> {
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
pub fn exchange<B: Payload, G: Guard>(
    pool: &Pool<B>,
    request: Request<B>,
    guard: G,
) -> impl Future<Output = Result<Exchanged<B, G>, Failure>> {
    deliver(pool, Box::new(request.map(Load::First)), guard)
}

async fn deliver<B: Payload, G: Guard>(
    pool: &Pool<B>,
    mut request: Parcel<B>,
    mut guard: G,
) -> Result<Exchanged<B, G>, Failure> {
    let slots = pool.slots();
    let mut choice = Choice::new(&slots);
    let idempotent = pool.upstream().idempotent && is_idempotent(&request);
    let may_repeat = idempotent || sabotage::is(sabotage::Fault::DoubleForward);
    let mut failure = Failure::Unreachable(DialError::Closed);
    // The server that broke the first attempt: asked once more if there is no other.
    let mut broken = None;
    let mut is_repeated = false;
    while let Some(chosen) = choice.next(|| pool.clock().now()).or_else(|| broken.take()) {
        let Some(slot) = slots.get(chosen.index) else { break };
        let in_flight = InFlight::new(&slot.server, guard, chosen.is_trial);
        let (again, kept) = match try_server(pool, slot, request, in_flight, may_repeat && !is_repeated).await {
            Tried::Answered(exchanged) => return Ok(exchanged),
            Tried::Failed(failure) => return Err(failure),
            Tried::Unreachable(error, unsent, in_flight) => {
                // What was sent before counts: it must not be told as never sent.
                failure = if is_repeated { failure } else { error.into() };
                (unsent, in_flight)
            }
            Tried::Broken(error, Some(again), mut in_flight)
                if may_repeat && !is_repeated && pool.upstream().may_retry(&slot.server, pool.clock().now()) =>
            {
                in_flight.repeated();
                (failure, is_repeated, broken) = (error, true, Some(Chosen { is_trial: false, ..chosen }));
                (again, in_flight)
            }
            Tried::Broken(error, _, mut in_flight) => {
                let now = pool.clock().now();
                in_flight.tell(Outcome::Broken, Observation::Failure, now, now);
                return Err(error);
            }
        };
        let Some(untold) = kept.leave(pool.clock().now()) else { return Err(failure) };
        (request, guard) = (again, untold);
        choice.strike(chosen);
    }
    guard.outcome(if is_repeated { Outcome::Broken } else { Outcome::Unreachable });
    Err(failure)
}

/// What came of one server.
enum Tried<B: Payload, G: Guard> {
    Answered(Exchanged<B, G>),
    Failed(Failure),
    /// Nothing was sent, or nothing of it processed: the next server may be tried.
    Unreachable(DialError, Parcel<B>, InFlight<G>),
    /// It was sent and nobody knows what became of it. Here it is once more, if it was kept.
    Broken(Failure, Option<Parcel<B>>, InFlight<G>),
}

/// Tries kept connections first, then one new one.
async fn try_server<B: Payload, G: Guard>(
    pool: &Pool<B>,
    slot: &Arc<Slot<B>>,
    mut request: Parcel<B>,
    mut in_flight: InFlight<G>,
    may_repeat: bool,
) -> Tried<B, G> {
    let mut error = DialError::Closed;
    for attempt in 0..=REUSE_ATTEMPTS {
        let mut now = pool.clock().now();
        let kept = if attempt < REUSE_ATTEMPTS { pool.checkout(slot, now) } else { None };
        let is_new = kept.is_none();
        let connection = match kept {
            Some(connection) => connection,
            // Boxed: dialling is rare, and its state, TLS above all, is large.
            None => match Box::pin(pool.connect(slot)).await {
                Ok(connection) => {
                    now = pool.clock().now();
                    connection
                }
                Err(error) => return Tried::Unreachable(error, request, in_flight),
            },
        };
        in_flight.server().record(Event::Requests);
        let keeps = may_repeat || !connection.is_http1();
        let sent = Dispatched::send(pool, slot, connection, *request, in_flight, keeps, now).await;
        let (again, unused, connection) = match sent {
            Sent::Head(response, flight) => return Tried::Answered(answered(response, flight)),
            Sent::Failed(failure) => return Tried::Failed(failure),
            Sent::Broken(failure, again, in_flight) => return Tried::Broken(failure, again, in_flight),
            Sent::Refused(failure, None, in_flight, _) => return Tried::Broken(failure, None, in_flight),
            Sent::Refused(_, Some(again), unused, connection) => {
                error = DialError::Refused;
                (again, unused, connection)
            }
            Sent::Unsent(again, unused, connection) => (again, unused, connection),
        };
        if let Connection::Http2(share) = &connection {
            Pool::forget(slot, &share.connection);
        }
        (request, in_flight) = (again, unused);
        if is_new {
            break;
        }
    }
    Tried::Unreachable(error, request, in_flight)
}

fn answered<B: Payload, G: Guard>(
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
