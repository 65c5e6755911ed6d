//! Exchanges that nobody waits for any longer: seen through to their end, within bounds of time and bytes.
//!
//! A client has left or a timeout has run out; the service works on. Its permit stays with the exchange here until the
//! response has ended, and its connection is saved where that is cheap.
//!
//! **Invariants**: every task ends: by the abandon timeout, or within the response by [`DRAIN_BYTES`]. Cut off, the connection
//! is closed first, then the guard is dropped.
//! **Cost**: one task for each exchange that is left.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http_body::Body as _;
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::connection::{Connection, Http1, Responding};
use super::count::Event;
use super::flight::{Flight, check_framing};
use super::outcome::{Guard, Said};
use super::pool::Pool;
use super::slot::Slot;
use super::upload::Payload;

/// Bytes of an unwanted response read so that its connection can be used again; beyond it, closing is cheaper.
const DRAIN_BYTES: u64 = 256 * 1024;
/// Time for a connection to become ready after its response: the end of the request may still be on its way out.
const SETTLE_TIME: Duration = Duration::from_secs(1);

impl<B: Payload, G: Guard> Flight<B, G> {
    /// Nobody wants the rest of the response, but the upstream may still be working on it: reads it to its end, so that the
    /// connection can be used again and the guard is held as long as the work lasts; or closes the connection where there is
    /// too much of it, or after the abandon timeout.
    pub(super) fn drain_later(self, body: Incoming) {
        let limit = self.patience();
        detach(async move {
            let is_short = body.size_hint().lower() <= DRAIN_BYTES;
            let end = if is_short { timeout(limit, drain(body)).await.ok() } else { None };
            self.conclude(end).await;
        });
    }

    /// What is left of the abandon timeout, which runs from the moment the upstream had the request.
    fn patience(&self) -> Duration {
        let moved = self.progress.as_ref().map(|progress| progress.moved());
        let since = moved.map_or(self.dispatched, |moved| moved.max(self.dispatched));
        self.pool.upstream().abandon_timeout.saturating_sub(self.now().since(since))
    }

    /// Ends a flight that nobody waits for: `end` is [`None`] if it had to be cut off.
    async fn conclude(mut self, end: Option<End>) {
        match end {
            Some(End::Complete) => self.finish(),
            Some(End::Broken(Some(error))) => drop(self.failed(error)),
            Some(End::Broken(None)) => self.broken(),
            Some(End::Unfinished) | None => {
                self.server().record(Event::Abandoned);
                // That the service is full is true however much of its words was left unread.
                if self.said.is_some_and(Said::is_pushback) {
                    self.tell_said(self.now());
                }
                let Self { connection, guard, .. } = self;
                connection.close().await;
                drop(guard);
            }
        }
    }
}

/// How an exchange that nobody waits for came to its end.
#[derive(Debug)]
enum End {
    Complete,
    /// By the connection or the message, if there is an error; otherwise by its framing.
    Broken(Option<hyper::Error>),
    Unfinished,
}

/// Sees a request through that nobody waits for: until its response has ended, its connection is dead, or the abandon
/// timeout, which runs from the moment the upstream had the request, is over.
pub(super) async fn see_through<B: Payload, G: Guard>(responding: Responding<B>, mut flight: Flight<B, G>) {
    let limit = flight.patience();
    let asked_upgrade = flight.asked_upgrade;
    let budget = match &flight.connection {
        Connection::Http1(http1) => Some(http1.budget.clone()),
        Connection::Http2(_) => None,
    };
    let heard = &mut flight;
    let end = timeout(limit, async move {
        match responding.await {
            Ok(response) => {
                if let Some(budget) = budget {
                    budget.lift();
                }
                if check_framing(&response, asked_upgrade).is_err() {
                    return End::Broken(None);
                }
                if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
                    return End::Unfinished;
                }
                heard.hear(&response);
                drain(response.into_body()).await
            }
            // Given back unsent: there is nothing to see through.
            Err(error) if error.message().is_some() => End::Complete,
            Err(error) => End::Broken(Some(error.into_error())),
        }
    });
    let end = end.await.ok();
    flight.conclude(end).await;
}

/// Reads what is left of an unwanted response, up to [`DRAIN_BYTES`].
async fn drain(mut body: Incoming) -> End {
    let mut left = DRAIN_BYTES;
    while !body.is_end_stream() {
        match poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            None => break,
            Some(Err(error)) => return End::Broken(Some(error)),
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
pub(super) fn settle<B: Payload>(pool: Pool<B>, slot: Arc<Slot<B>>, mut http1: Http1<B>) {
    if http1.sender.is_closed() {
        return;
    }
    detach(async move {
        if let Ok(Ok(())) = timeout(SETTLE_TIME, http1.sender.ready()).await {
            pool.give_back(&slot, http1, pool.clock().now());
        }
    });
}

/// Lets `rest` run as a task of its own; without a runtime there is nobody to run it, and dropping it closes everything.
pub(super) fn detach(rest: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = Handle::try_current() {
        drop(runtime.spawn(rest));
    }
}
