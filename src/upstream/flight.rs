//! An exchange that an upstream is working on: what it holds, and how it ends.
//!
//! **Invariants**: the guard lives as long as the flight, and the flight until the upstream is done: response read to its
//! end, or connection closed. Whoever waits for it may leave; then the exchange goes on as a task of its own within
//! bounds of time and bytes. Dropping a flight, by a panic or by the end of the runtime, closes its connection.
//! **Cost**: no task unless somebody leaves early or the connection is late to become ready.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::connection::{Connection, Http1, Responding};
use super::failure::{Failure, Fault};
use super::pool::Pool;
use super::server::{Event, InFlight, ServerState};
use super::upload::{Payload, Progress, Upload};
use crate::clock::Tick;

/// Bytes of an unwanted response read so that its connection can be used again; beyond it, closing is cheaper.
pub(super) const DRAIN_BYTES: u64 = 256 * 1024;
/// Time for the same once the response has begun.
const DRAIN_TIME: Duration = Duration::from_secs(5);
/// Time for a connection to become ready after its response: the end of the request may still be on its way out.
const SETTLE_TIME: Duration = Duration::from_secs(1);

/// What one exchange holds while the upstream works. Fields are dropped in order: connection first, then guard.
#[derive(Debug)]
pub(super) struct Flight<B, G> {
    connection: Connection<B>,
    guard: InFlight<G>,
    pool: Pool<B>,
    index: usize,
    dispatched: Tick,
    progress: Option<Arc<Progress>>,
    asked_upgrade: bool,
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

    /// The failure that `error` stands for. The flight ends here: its connection is closed.
    pub(super) fn failed(self, error: hyper::Error) -> Failure {
        if let Some(error) = self.progress.as_ref().and_then(|progress| progress.take_error()) {
            self.server().record(Event::RequestBodies);
            return Failure::RequestBody(error);
        }
        self.server().record(Event::Broken);
        Failure::Broken(Fault::Http(error))
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

    /// Nobody wants the rest of the response: reads it to its end within bounds, so that the connection can be used
    /// again, or closes the connection.
    pub(super) fn drain_later(self, body: Incoming) {
        if body.size_hint().lower() > DRAIN_BYTES {
            self.server().record(Event::Abandoned);
            return;
        }
        detach(async move {
            let drained = timeout(DRAIN_TIME, drain(body)).await;
            self.conclude(drained.ok()).await;
        });
    }

    /// Ends a flight that nobody waits for: `end` is [`None`] if it had to be cut off.
    async fn conclude(self, end: Option<End>) {
        match end {
            Some(End::Complete) => self.finish(),
            Some(End::Broken) => self.server().record(Event::Broken),
            Some(End::Unfinished) | None => {
                self.server().record(Event::Abandoned);
                let Self { connection, guard, .. } = self;
                connection.close().await;
                drop(guard);
            }
        }
    }
}

/// How an exchange that nobody waits for came to its end.
#[derive(Clone, Copy, Debug)]
enum End {
    Complete,
    Broken,
    Unfinished,
}

/// Sees a request through that nobody waits for: until its response has ended, its connection is dead, or the abandon
/// timeout, which runs from the moment the upstream had the request, is over.
async fn see_through<B: Payload, G: Send + 'static>(responding: Responding<B>, flight: Flight<B, G>) {
    let moved = flight.progress.as_ref().map(|progress| progress.moved());
    let since = moved.map_or(flight.dispatched, |moved| moved.max(flight.dispatched));
    let limit = flight.pool.upstream().abandon_timeout.saturating_sub(flight.now().since(since));
    let asked_upgrade = flight.asked_upgrade;
    let budget = match &flight.connection {
        Connection::Http1(http1) => Some(http1.budget.clone()),
        Connection::Http2(_) => None,
    };
    let end = timeout(limit, async move {
        match responding.await {
            Ok(response) => {
                if let Some(budget) = budget {
                    budget.lift();
                }
                if check_framing(&response, asked_upgrade).is_err() {
                    return End::Broken;
                }
                if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
                    return End::Unfinished;
                }
                drain(response.into_body()).await
            }
            // Given back unsent: there is nothing to see through.
            Err(error) if error.message().is_some() => End::Complete,
            Err(_) => End::Broken,
        }
    });
    let end = end.await.ok();
    flight.conclude(end).await;
}

/// Reads what is left of an unwanted response, up to [`DRAIN_BYTES`].
async fn drain(mut body: Incoming) -> End {
    let mut left = DRAIN_BYTES;
    while !body.is_end_stream() {
        match std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            None => break,
            Some(Err(_)) => return End::Broken,
            Some(Ok(frame)) => {
                let length = frame.data_ref().map_or(0, bytes::Bytes::len);
                match u64::try_from(length).ok().and_then(|length| left.checked_sub(length)) {
                    Some(rest) => left = rest,
                    None => return End::Unfinished,
                }
            }
        }
    }
    End::Complete
}

/// Waits for a connection that is done with its exchange but not yet ready, and keeps it if it becomes so.
fn settle<B: Payload>(pool: Pool<B>, index: usize, mut http1: Http1<B>) {
    if http1.sender.is_closed() {
        return;
    }
    detach(async move {
        if let Ok(Ok(())) = timeout(SETTLE_TIME, http1.sender.ready()).await {
            pool.give_back(index, http1);
        }
    });
}

/// Lets `rest` run as a task of its own; without a runtime there is nobody to run it, and dropping it closes everything.
fn detach(rest: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = Handle::try_current() {
        drop(runtime.spawn(rest));
    }
}

/// Refuses what another recipient could frame differently (RFC 9112 §6.1, §6.3), and an upgrade nobody asked for.
fn check_framing(response: &Response<Incoming>, asked_upgrade: bool) -> Result<(), Fault> {
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
