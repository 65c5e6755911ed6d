//! An exchange that an upstream is working on: what it holds, and how it ends.
//!
//! **Invariants**: the guard lives as long as the flight, and the flight until the upstream is done: response read to its
//! end, or connection closed. Dropping a flight, by a panic or by the end of the runtime, closes its connection.
//! **Cost**: one boxed future.
//! Guard and server are told how it ended: by the head of the response if it is read to its end, by what went wrong otherwise.
//! **Not here**: what becomes of it once nobody waits for it (`detached`).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;

use super::connection::{Connection, Responding};
use super::count::Event;
use super::detached::{detach, see_through, settle};
use super::ejection::Observation;
use super::failure::{Failure, Fault};
use super::in_flight::InFlight;
use super::outcome::{Guard, Outcome, Said};
use super::pool::Pool;
use super::repeat::{Head, Load, Parcel, is_broken_connection, is_unprocessed};
use super::server::ServerState;
use super::slot::Slot;
use super::upload::{Payload, Progress, Upload};
use crate::clock::Tick;
use crate::sabotage;

/// What one exchange holds while the upstream works. Fields are dropped in order: connection first, then guard.
#[derive(Debug)]
pub(super) struct Flight<B: Payload, G: Guard> {
    pub(super) connection: Connection<B>,
    pub(super) guard: InFlight<G>,
    pub(super) pool: Pool<B>,
    slot: Arc<Slot<B>>,
    pub(super) dispatched: Tick,
    pub(super) progress: Option<Arc<Progress>>,
    pub(super) asked_upgrade: bool,
    /// To send it again.
    again: Option<Box<Head>>,
    /// What the head of the response said.
    pub(super) said: Option<Said>,
}

/// A request handed to a connection: the future of its response.
pub(super) struct Dispatched<B: Payload, G: Guard> {
    /// [`None`] once it has resolved or moved to a task.
    running: Option<(Responding<B>, Flight<B, G>)>,
}

/// What comes of a request handed to a connection.
pub(super) enum Sent<B: Payload, G: Guard> {
    /// The head of the response.
    Head(Response<Incoming>, Flight<B, G>),
    /// Not a byte was written: here is everything back.
    Unsent(Parcel<B>, InFlight<G>, Connection<B>),
    /// It was sent, and the server says that it has not processed it. The same request once more, if it was kept.
    Refused(Failure, Option<Parcel<B>>, InFlight<G>, Connection<B>),
    /// The connection broke before the head of a response. The same request once more, if it was kept.
    Broken(Failure, Option<Parcel<B>>, InFlight<G>),
    /// It failed after it was sent, in a way that forbids to send it again.
    Failed(Failure),
}

impl<B: Payload, G: Guard> Dispatched<B, G> {
    /// Hands `request` to `connection`, at once: it is `dispatched` now. `keeps` a copy, if there is room, to send it again.
    pub(super) fn send(
        pool: &Pool<B>,
        slot: &Arc<Slot<B>>,
        mut connection: Connection<B>,
        request: Request<Load<B>>,
        guard: InFlight<G>,
        keeps: bool,
        dispatched: Tick,
    ) -> Self {
        let asked_upgrade = connection.is_http1() && request.headers().contains_key(http::header::UPGRADE);
        let kept = if keeps { pool.upstream().keep_budget.reserve(request.body()) } else { None };
        let again = kept.as_ref().and_then(|_| Head::of(&request));
        let request = request.map(|body| Upload::new(body, kept, pool.clock()));
        let progress = request.body().progress();
        let responding = connection.send(request, &guard.server().origin);
        let (pool, slot) = (pool.clone(), Arc::clone(slot));
        let flight = Flight { connection, guard, pool, slot, dispatched, progress, asked_upgrade, again, said: None };
        Self { running: Some((responding, flight)) }
    }
}

impl<B: Payload, G: Guard> Future for Dispatched<B, G> {
    type Output = Sent<B, G>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some((responding, flight)) = &mut self.running else {
            return Poll::Pending;
        };
        let responded = responding.as_mut().poll(cx);
        if responded.is_pending() && flight.poll_silence(cx, None).is_pending() {
            return Poll::Pending;
        }
        let Some((responding, mut flight)) = self.running.take() else {
            return Poll::Pending;
        };
        match responded {
            Poll::Ready(Ok(response)) => Poll::Ready(flight.head(response)),
            Poll::Ready(Err(mut error)) => Poll::Ready(match error.take_message() {
                Some(request) => {
                    Sent::Unsent(Box::new(request.map(Upload::into_inner)), flight.guard, flight.connection)
                }
                None => flight.broke(error.into_error()),
            }),
            Poll::Pending => {
                flight.timed_out();
                detach(see_through(responding, flight));
                Poll::Ready(Sent::Failed(Failure::ResponseTimeout))
            }
        }
    }
}

impl<B: Payload, G: Guard> Unpin for Dispatched<B, G> {}

impl<B: Payload, G: Guard> Drop for Dispatched<B, G> {
    fn drop(&mut self) {
        if let Some((responding, flight)) = self.running.take() {
            detach(see_through(responding, flight));
        }
    }
}

impl<B: Payload, G: Guard> Flight<B, G> {
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

    /// The upstream was silent for too long. That is known now; that it is done, only later.
    pub(super) fn timed_out(&mut self) {
        self.server().record(Event::ResponseTimeouts);
        let now = self.now();
        self.guard.tell(Outcome::Timeout, Observation::Failure, self.dispatched, now);
    }

    fn head(mut self, response: Response<Incoming>) -> Sent<B, G> {
        if let Connection::Http1(http1) = &self.connection {
            http1.budget.lift();
        }
        if let Err(fault) = check_framing(&response, self.asked_upgrade) {
            self.broken();
            return Sent::Failed(Failure::Broken(fault));
        }
        if sabotage::is(sabotage::Fault::DoubleForward) && self.again.is_some() {
            return self.once_more(Failure::Broken(Fault::Framing));
        }
        self.hear(&response);
        Sent::Head(response, self)
    }

    /// Remembers what the head says, for the end.
    pub(super) fn hear(&mut self, response: &Response<Incoming>) {
        let said = Said::by(response);
        if said.is_pushback() {
            self.server().record(Event::Pushbacks);
        }
        self.said = Some(said);
        self.guard.answered(response.status());
    }

    /// The server broke connection or protocol.
    pub(super) fn broken(&mut self) {
        self.server().record(Event::Broken);
        let now = self.now();
        self.guard.tell(Outcome::Broken, Observation::Failure, self.dispatched, now);
    }

    /// The connection or the stream failed before a response.
    fn broke(mut self, error: hyper::Error) -> Sent<B, G> {
        if let Some(own) = self.progress.as_ref().and_then(|progress| progress.take_error()) {
            self.server().record(Event::RequestBodies);
            return Sent::Failed(Failure::RequestBody(own));
        }
        let is_refused = is_unprocessed(&error);
        if !is_refused && !is_broken_connection(&error) {
            self.broken();
            return Sent::Failed(Failure::Broken(Fault::Http(error)));
        }
        self.server().record(if is_refused { Event::Refused } else { Event::Broken });
        let failure = Failure::Broken(Fault::Http(error));
        if is_refused {
            let (request, guard, connection) = self.request_again();
            return Sent::Refused(failure, request, guard, connection);
        }
        self.once_more(failure)
    }

    /// As far as the server is concerned, it was sent and never answered.
    fn once_more(self, failure: Failure) -> Sent<B, G> {
        let (request, guard, _) = self.request_again();
        Sent::Broken(failure, request, guard)
    }

    /// The same request once more, if it was kept.
    fn request_again(self) -> (Option<Parcel<B>>, InFlight<G>, Connection<B>) {
        let body = self.progress.map_or_else(|| Some(Bytes::new()), |progress| progress.take_kept());
        let request = self.again.zip(body).map(|(head, body)| Box::new(head.into_request(Load::Again(body))));
        (request, self.guard, self.connection)
    }

    /// The failure that `error` stands for: the caller's own, if it is the request body that failed. The flight ends
    /// here: its connection is closed.
    pub(super) fn failed(mut self, error: hyper::Error) -> Failure {
        if let Some(own) = self.progress.as_ref().and_then(|progress| progress.take_error()) {
            self.server().record(Event::RequestBodies);
            return Failure::RequestBody(own);
        }
        self.broken();
        Failure::Broken(Fault::Http(error))
    }

    /// The guard, for as long as an upgraded connection lives; that is the tunnel's own business from here on.
    pub(super) fn upgrade(mut self) -> InFlight<G> {
        self.tell_said(self.now());
        self.guard.fall_quiet();
        if let Connection::Http1(http1) = self.connection {
            http1.task.detach();
        }
        self.guard
    }

    pub(super) fn tell_said(&mut self, now: Tick) {
        if let Some((outcome, observation)) = self.said.map(Said::verdict) {
            self.guard.tell(outcome, observation, self.dispatched, now);
        }
    }

    /// The response was read to its end: the connection goes back, then the guard.
    pub(super) fn finish(mut self) {
        let now = self.now();
        self.tell_said(now);
        let Self { connection, guard, pool, slot, progress, .. } = self;
        match connection {
            Connection::Http1(http1) if http1.sender.is_ready() => pool.give_back(&slot, http1, now),
            // An answer before the end of the request: what follows on this connection is anybody's guess.
            Connection::Http1(http1) if progress.is_none_or(|progress| progress.is_done()) => {
                settle(pool, slot, http1);
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
