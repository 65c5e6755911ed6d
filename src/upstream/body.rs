//! The response body on its way to the client: it holds the exchange, and thereby the guard, until the upstream is done.
//!
//! **Invariants**: forwards every frame untouched, one at a time; asks the upstream for the next only when it is asked
//! itself. Only the upstream's silence is timed: while nobody polls, nobody is blamed. After its end or failure it
//! holds nothing.
//! **Cost**: no allocation; the clock is read once for each pause of the upstream.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::failure::Failure;
use super::flight::Flight;
use super::outcome::Guard;
use super::upload::Payload;
use crate::clock::Tick;

/// The body of an upstream's response. Dropped before its end, the rest is drained within bounds by a task of its own.
#[derive(Debug)]
pub struct Body<B: Payload, G: Guard> {
    /// [`None`] once the upstream is done.
    running: Option<Running<B, G>>,
}

#[derive(Debug)]
struct Running<B: Payload, G: Guard> {
    incoming: Incoming,
    flight: Flight<B, G>,
    /// When the upstream was last heard; [`None`] while it has not paused since.
    heard: Option<Tick>,
}

impl<B: Payload, G: Guard> Body<B, G> {
    pub(super) fn new(incoming: Incoming, flight: Flight<B, G>) -> Self {
        if incoming.is_end_stream() {
            // Nobody may ever poll it: hyper's server does not poll a body that says it has ended.
            flight.finish();
            return Self { running: None };
        }
        Self { running: Some(Running { incoming, flight, heard: None }) }
    }
}

impl<B: Payload, G: Guard> http_body::Body for Body<B, G> {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(mut running) = self.running.take() else {
            return Poll::Ready(None);
        };
        match Pin::new(&mut running.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                // Trailers are the last: hyper's server does not poll again after them.
                if frame.is_trailers() || running.incoming.is_end_stream() {
                    running.flight.finish();
                } else {
                    running.heard = None;
                    self.running = Some(running);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(running.flight.failed(error)))),
            Poll::Ready(None) => {
                running.flight.finish();
                Poll::Ready(None)
            }
            Poll::Pending => {
                let heard = *running.heard.get_or_insert_with(|| running.flight.now());
                if running.flight.poll_silence(cx, Some(heard)).is_ready() {
                    running.flight.timed_out();
                    // We stop waiting, the service does not stop working: the guard stays until it does.
                    running.flight.drain_later(running.incoming);
                    return Poll::Ready(Some(Err(Failure::ResponseTimeout)));
                }
                self.running = Some(running);
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.running.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.running.as_ref().map_or_else(|| SizeHint::with_exact(0), |running| running.incoming.size_hint())
    }
}

/// Nothing in it is pinned: the parts are moved to the task that drains.
impl<B: Payload, G: Guard> Unpin for Body<B, G> {}

impl<B: Payload, G: Guard> Drop for Body<B, G> {
    fn drop(&mut self) {
        if let Some(Running { incoming, flight, .. }) = self.running.take() {
            flight.drain_later(incoming);
        }
    }
}
