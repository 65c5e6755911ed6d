//! An answer on its way to the client: how long it is in flight, and how long its client may take over it.
//!
//! On HTTP/1 a client that does not read stops the bytes of its connection, which the stream sees. On HTTP/2 it stops one
//! stream by its flow-control window while the connection goes on; nobody below sees that, and behind the answer stands an
//! upstream permit. Each stream is therefore a task of ours with a clock, and each part of its body tells when h2 has let go of it. A
//! stream of whose parts none has gone for `body_timeout` is ended by a reset.
//!
//! hyper ends the task of a stream when the last part has been handed to h2, which keeps it until the client opens its window: memory
//! without a clock, a hundred times a connection. So the end of the body is held back until hardly anything is left there.
//!
//! **Invariants**: a request is in flight until its answer is dropped; a stream whose client takes nothing ends; of a stream whose task
//! has ended, at most [`UNCLOCKED`] bytes are kept.
//! **Cost**: one allocation per HTTP/2 stream, one timer for a stream that has to wait for its client; an answer beyond [`UNCLOCKED`]
//! bytes ends with an empty frame of its own.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use atomic_waker::AtomicWaker;
use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

use super::activity::InFlight;

/// HTTP/2: bytes of a body handed over at once. As much as a frame holds: whoever takes less in `body_timeout` takes nothing.
const PART: usize = 16 * 1024;

/// HTTP/2: bytes that may be left with h2 when the task of a stream ends. A problem document, and a bound where a client opens its
/// windows by one byte.
const UNCLOCKED: u64 = 1024;

tokio::task_local! {
    /// What the HTTP/2 stream of this task owes its client.
    static OWED: Arc<Owed>;
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

impl<B: Body<Data = Bytes>> Body for Answer<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes of one HTTP/2 stream that were handed over, and of those that have gone.
#[derive(Debug, Default)]
pub(super) struct Owed {
    handed: AtomicU64,
    gone: AtomicU64,
    ending: AtomicWaker,
}

impl Owed {
    fn bytes(&self) -> u64 {
        self.handed.load(Ordering::Acquire).saturating_sub(self.gone.load(Ordering::Acquire))
    }
}

/// A part of a body that says when it is dropped: it has been written, or nobody wants it any more.
#[derive(Debug)]
pub(super) struct Part {
    bytes: Bytes,
    size: u64,
    owed: Arc<Owed>,
}

impl Part {
    fn new(bytes: Bytes, owed: &Arc<Owed>) -> Self {
        let size = bytes.len() as u64;
        owed.handed.fetch_add(size, Ordering::Release);
        Self { bytes, size, owed: Arc::clone(owed) }
    }
}

impl Buf for Part {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }

    fn copy_to_bytes(&mut self, length: usize) -> Bytes {
        self.bytes.copy_to_bytes(length)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.owed.gone.fetch_add(self.size, Ordering::Release);
        self.owed.ending.wake();
    }
}

pin_project! {
    /// A body in parts that are counted, whose end waits for them.
    pub(super) struct Counted<B> {
        #[pin]
        body: B,
        rest: Bytes,
        ended: bool,
        // They end the stream, so they wait as its end does.
        trailers: Option<Box<HeaderMap>>,
        owed: Arc<Owed>,
    }
}

impl<B> Counted<B> {
    /// Made in the task of its stream.
    pub(super) fn new(body: B) -> Self {
        let owed = OWED.try_with(Arc::clone).unwrap_or_default();
        Self { body, rest: Bytes::new(), ended: false, trailers: None, owed }
    }
}

impl<B: Body<Data = Bytes>> Body for Counted<B> {
    type Data = Part;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Part>, B::Error>>> {
        let mut this = self.project();
        loop {
            if !this.rest.is_empty() {
                let part = this.rest.split_to(PART.min(this.rest.len()));
                return Poll::Ready(Some(Ok(Frame::data(Part::new(part, this.owed)))));
            }
            if *this.ended {
                // In this order: a part that goes in between wakes.
                this.owed.ending.register(cx.waker());
                if this.owed.bytes() > UNCLOCKED {
                    return Poll::Pending;
                }
                return Poll::Ready(this.trailers.take().map(|trailers| Ok(Frame::trailers(*trailers))));
            }
            match ready!(this.body.as_mut().poll_frame(cx)) {
                None => *this.ended = true,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => *this.rest = bytes,
                    Err(other) => {
                        *this.trailers = other.into_trailers().ok().map(Box::new);
                        *this.ended = true;
                    }
                },
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        let is_ended = self.trailers.is_none() && (self.ended || self.body.is_end_stream());
        self.rest.is_empty() && is_ended && self.owed.bytes() <= UNCLOCKED
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
        let owed = Arc::<Owed>::default();
        let stream = Taken { stream, body_timeout: self.body_timeout, owed: Arc::clone(&owed), waiting: None };
        // Detached: it ends with its stream, and a panic is the runtime's to report.
        drop(tokio::spawn(OWED.scope(owed, stream)));
    }
}

pin_project! {
    /// A stream that ends when its client takes nothing for too long.
    struct Taken<F> {
        #[pin]
        stream: F,
        body_timeout: Duration,
        owed: Arc<Owed>,
        // What had gone when the clock was wound up.
        waiting: Option<(u64, Pin<Box<Sleep>>)>,
    }
}

impl<F: Future<Output = ()>> Future for Taken<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.stream.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if this.owed.bytes() == 0 {
            *this.waiting = None;
            return Poll::Pending;
        }
        let gone = this.owed.gone.load(Ordering::Acquire);
        let (seen, deadline) = this.waiting.get_or_insert_with(|| (gone, Box::pin(sleep(*this.body_timeout))));
        if *seen != gone {
            *seen = gone;
            deadline.as_mut().reset(Instant::now() + *this.body_timeout);
        }
        // Dropping the stream resets it.
        deadline.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use http_body_util::{BodyExt, Full};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn trailers_wait_for_what_stands_before_them() {
        let sum = HeaderMap::from_iter([(http::header::ETAG, http::HeaderValue::from_static("sum"))]);
        let whole =
            Full::new(Bytes::from(vec![b'x'; 4 * 1024])).with_trailers(std::future::ready(Some(Ok(sum.clone()))));
        let mut counted = pin!(Counted::new(whole));
        let part = counted.frame().await.unwrap().unwrap().into_data().ok();
        assert!(timeout(Duration::from_millis(20), counted.frame()).await.is_err(), "nothing clocks what is left");
        assert!(!counted.is_end_stream());
        drop(part);
        assert_eq!(counted.frame().await.unwrap().unwrap().into_trailers().ok(), Some(sum));
        assert!(counted.is_end_stream() && counted.frame().await.is_none());
    }
}
