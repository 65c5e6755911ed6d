//! An answer on its way to the client: how long it is in flight, and how long its client may take over it.
//!
//! On HTTP/1 a client that does not read stops the bytes of its connection, which the stream sees. On HTTP/2 it stops one
//! stream by its flow-control window while the connection goes on; nobody below sees that, and behind the answer stands an
//! upstream permit. Each stream is therefore a task of ours with a clock: a part of a body that was handed to hyper and not
//! passed on for `body_timeout` ends the stream with a reset.
//!
//! **Invariants**: a request is in flight until its answer is dropped; a stream whose client takes nothing ends.
//! **Cost**: one task-local word per HTTP/2 stream; a timer only for a stream that has to wait for its client.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};

use super::activity::InFlight;

tokio::task_local! {
    /// Parts of the body handed to hyper on this stream, and whether the last is still being passed on.
    static OWED: Cell<(u32, bool)>;
}

pin_project! {
    /// A body that ends its request when it is dropped.
    pub(super) struct Answer<B> {
        #[pin]
        body: B,
        in_flight: InFlight,
    }
}

impl<B> Answer<B> {
    pub(super) const fn new(body: B, in_flight: InFlight) -> Self {
        Self { body, in_flight }
    }
}

/// Notes on an HTTP/2 stream that a part was handed over, or that the last one has been passed on. Elsewhere nothing.
fn note(owed: bool) {
    let _elsewhere = OWED.try_with(|cell| {
        let (parts, _) = cell.get();
        cell.set((parts.wrapping_add(u32::from(owed)), owed));
    });
}

impl<B: Body<Data = Bytes>> Body for Answer<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        note(false);
        let frame = self.project().body.poll_frame(cx);
        if matches!(frame, Poll::Ready(Some(Ok(_)))) {
            note(true);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Runs the streams of one HTTP/2 connection.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    body_timeout: Duration,
}

impl Streams {
    pub(super) const fn new(body_timeout: Duration) -> Self {
        Self { body_timeout }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let stream = Taken { stream, body_timeout: self.body_timeout, waiting: None };
        // Detached: it ends with its stream, and a panic is the runtime's to report.
        drop(tokio::spawn(OWED.scope(Cell::new((0, false)), stream)));
    }
}

pin_project! {
    /// A stream that ends when its client takes nothing for too long.
    struct Taken<F> {
        #[pin]
        stream: F,
        body_timeout: Duration,
        // The part that waits, and its deadline.
        waiting: Option<(u32, Pin<Box<Sleep>>)>,
    }
}

impl<F: Future<Output = ()>> Future for Taken<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.stream.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let (part, owed) = OWED.try_with(Cell::get).unwrap_or_default();
        if !owed {
            *this.waiting = None;
            return Poll::Pending;
        }
        if this.waiting.as_ref().is_none_or(|(waiting, _)| *waiting != part) {
            *this.waiting = Some((part, Box::pin(sleep(*this.body_timeout))));
        }
        // Dropping the stream resets it.
        this.waiting.as_mut().map_or(Poll::Pending, |(_, deadline)| deadline.as_mut().poll(cx))
    }
}
