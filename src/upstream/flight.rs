//! An exchange that an upstream is working on: what it holds, and how it ends.
//!
//! **Invariants**: the guard lives as long as the flight, and the flight until the upstream is done: response read to its
//! end, or connection closed. Dropping a flight, by a panic or by the end of the runtime, closes its connection.
//! **Cost**: one boxed future.
//! **Not here**: what becomes of it once nobody waits for it (`detached`).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::connection::{Connection, Responding};
use super::count::Event;
use super::detached::{detach, see_through, settle};
use super::failure::{Failure, Fault};
use super::in_flight::InFlight;
use super::pool::Pool;
use super::server::ServerState;
use super::upload::{Payload, Progress, Upload};
use crate::clock::Tick;
use http::{Request, Response};
use hyper::body::Incoming;

/// What one exchange holds while the upstream works. Fields are dropped in order: connection first, then guard.
#[derive(Debug)]
pub(super) struct Flight<B, G> {
    pub(super) connection: Connection<B>,
    pub(super) guard: InFlight<G>,
    pub(super) pool: Pool<B>,
    index: usize,
    pub(super) dispatched: Tick,
    pub(super) progress: Option<Arc<Progress>>,
    pub(super) asked_upgrade: bool,
}

/// A request handed to a connection: the future of its response.
pub(super) struct Dispatched<B: Payload, G: Send + 'static> {
    /// [`None`] once it has resolved or moved to a task.
    running: Option<(Responding<B>, Flight<B, G>)>,
}

/// What comes of a request handed to a connection.
pub(super) enum Outcome<B, G> {
    /// The head of the response.
    Head(Response<Incoming>, Flight<B, G>),
    /// Not a byte was written: here is everything back.
    Unsent(Request<B>, InFlight<G>, Connection<B>),
    /// It failed after it was sent.
    Failed(Failure),
}

impl<B: Payload, G: Send + 'static> Dispatched<B, G> {
    /// Hands `request` to `connection`, at once.
    pub(super) fn send(
        pool: &Pool<B>,
        index: usize,
        mut connection: Connection<B>,
        request: Request<B>,
        guard: InFlight<G>,
    ) -> Self {
        let dispatched = pool.clock().now();
        let asked_upgrade = connection.is_http1() && request.headers().contains_key(http::header::UPGRADE);
        let request = request.map(|body| Upload::new(body, pool.clock()));
        let progress = request.body().progress();
        let responding = connection.send(request, guard.server());
        let pool = pool.clone();
        let flight = Flight { connection, guard, pool, index, dispatched, progress, asked_upgrade };
        Self { running: Some((responding, flight)) }
    }
}

impl<B: Payload, G: Send + 'static> Future for Dispatched<B, G> {
    type Output = Outcome<B, G>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some((mut responding, mut flight)) = self.running.take() else {
            return Poll::Pending;
        };
        match responding.as_mut().poll(cx) {
            Poll::Ready(Ok(response)) => Poll::Ready(flight.head(response)),
            Poll::Ready(Err(mut error)) => Poll::Ready(match error.take_message() {
                Some(request) => Outcome::Unsent(request.map(Upload::into_inner), flight.guard, flight.connection),
                None => Outcome::Failed(flight.failed(error.into_error())),
            }),
            Poll::Pending if flight.poll_silence(cx, None).is_ready() => {
                flight.server().record(Event::ResponseTimeouts);
                detach(see_through(responding, flight));
                Poll::Ready(Outcome::Failed(Failure::ResponseTimeout))
            }
            Poll::Pending => {
                self.running = Some((responding, flight));
                Poll::Pending
            }
        }
    }
}

impl<B: Payload, G: Send + 'static> Unpin for Dispatched<B, G> {}

impl<B: Payload, G: Send + 'static> Drop for Dispatched<B, G> {
    fn drop(&mut self) {
        if let Some((responding, flight)) = self.running.take() {
            detach(see_through(responding, flight));
        }
    }
}

impl<B: Payload, G: Send + 'static> Flight<B, G> {
    pub(super) fn server(&self) -> &ServerState {
        self.guard.server()
    }

    /// Ready when the upstream has been silent for longer than its response timeout: since `heard`, the last part of its
    /// response, or since it got the last of the request. While it waits for the caller it owes nothing.
    pub(super) fn poll_silence(&mut self, cx: &mut Context<'_>, heard: Option<Tick>) -> Poll<()> {
        let Self { connection, pool, dispatched, progress, .. } = self;
        let (clock, progress) = (pool.clock(), progress.as_deref());
        let floor = heard.unwrap_or(*dispatched);
        let quiet = || {
            let since =
                progress.map_or(Some(floor), |progress| progress.upstream_since().map(|since| since.max(floor)));
            since.map_or(Duration::ZERO, |since| clock.now().since(since))
        };
        let limit = pool.upstream().response_timeout;
        match connection {
            Connection::Http1(http1) => http1.silence.poll(cx, limit, quiet),
            Connection::Http2(share) => share.silence.poll(cx, limit, quiet),
        }
    }

    pub(super) fn now(&self) -> Tick {
        self.pool.clock().now()
    }

    fn head(self, response: Response<Incoming>) -> Outcome<B, G> {
        if let Connection::Http1(http1) = &self.connection {
            http1.budget.lift();
        }
        if let Err(fault) = check_framing(&response, self.asked_upgrade) {
            self.server().record(Event::Broken);
            return Outcome::Failed(Failure::Broken(fault));
        }
        Outcome::Head(response, self)
    }

    /// The failure that `error` stands for: the caller's own, if it is the request body that failed. The flight ends
    /// here: its connection is closed.
    pub(super) fn failed(self, error: hyper::Error) -> Failure {
        let own = self.progress.as_ref().and_then(|progress| progress.take_error());
        self.server().record(if own.is_some() { Event::RequestBodies } else { Event::Broken });
        own.map_or(Failure::Broken(Fault::Http(error)), Failure::RequestBody)
    }

    /// The guard, for as long as an upgraded connection lives; that is the tunnel's own business from here on.
    pub(super) fn upgrade(self) -> InFlight<G> {
        if let Connection::Http1(http1) = self.connection {
            http1.task.detach();
        }
        self.guard
    }

    /// The response was read to its end: the connection goes back, then the guard.
    pub(super) fn finish(self) {
        let Self { connection, guard, pool, index, progress, .. } = self;
        match connection {
            Connection::Http1(http1) if http1.sender.is_ready() => pool.give_back(index, http1),
            // An answer before the end of the request: what follows on this connection is anybody's guess.
            Connection::Http1(http1) if progress.is_none_or(|progress| progress.is_done()) => {
                settle(pool, index, http1);
            }
            Connection::Http1(http1) => drop(http1),
            Connection::Http2(share) => share.connection.touch(pool.clock()),
        }
        drop(guard);
    }
}

/// Refuses what another recipient could frame differently (RFC 9112 §6.1, §6.3), and an upgrade nobody asked for.
pub(super) fn check_framing(response: &Response<Incoming>, asked_upgrade: bool) -> Result<(), Fault> {
    if response.status() == http::StatusCode::SWITCHING_PROTOCOLS && !asked_upgrade {
        return Err(Fault::Upgrade);
    }
    let headers = response.headers();
    let mut codings = headers.get_all(http::header::TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else {
        return Ok(());
    };
    let chunked_alone = coding.as_bytes().eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
    if chunked_alone && !headers.contains_key(http::header::CONTENT_LENGTH) { Ok(()) } else { Err(Fault::Framing) }
}
