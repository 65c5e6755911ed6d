//! The request body on its way to the upstream, watched.
//!
//! Tells whose silence it is while a request is being sent, keeps the caller's error for the caller, knows whether the body was
//! sent to its end, and keeps a copy of it where the request may be sent again.
//!
//! **Invariants**: forwards every frame untouched, one at a time; an error of the body is kept for exactly one taker.
//! **Cost**: nothing for a request without a body; otherwise one allocation a request and one clock reading a frame.

use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::failure::BoxError;
use super::repeat::{Kept, Load};
use crate::clock::{Clock, Tick};

/// The bodies of requests: what hyper can send, with any error.
pub trait Payload: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static {}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static> Payload for B {}

/// What hyper is told when the body fails; the caller gets the body's own error.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the request body failed")]
pub(super) struct UploadFailed;

/// The upstream has the floor: it takes what it was offered, or answers.
const UPSTREAM: u8 = 0;
/// We wait for the caller's next frame.
const CALLER: u8 = 1;
/// Sent to its end.
const DONE: u8 = 2;

/// How far a request body has come.
#[derive(Debug)]
pub(super) struct Progress {
    clock: Clock,
    /// Nanoseconds of the tick of the last frame.
    moved: AtomicU64,
    turn: AtomicU8,
    error: Mutex<Option<BoxError>>,
    kept: Option<Mutex<Kept>>,
}

impl Progress {
    /// Since when the upstream has had all it was owed; [`None`] while it is the caller who is awaited.
    pub(super) fn upstream_since(&self) -> Option<Tick> {
        (self.turn.load(Ordering::Acquire) != CALLER).then(|| self.moved())
    }

    /// When the last frame was handed over.
    pub(super) fn moved(&self) -> Tick {
        Tick::from_nanos(self.moved.load(Ordering::Acquire))
    }

    pub(super) fn is_done(&self) -> bool {
        self.turn.load(Ordering::Acquire) == DONE
    }

    /// The error of the caller's body, if it is the body that failed.
    pub(super) fn take_error(&self) -> Option<BoxError> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// The body, if it was sent to its end and kept whole.
    pub(super) fn take_kept(&self) -> Option<Bytes> {
        let kept = self.kept.as_ref().filter(|_| self.is_done())?;
        kept.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn hand_over(&self, turn: u8) {
        self.moved.store(self.clock.now().as_nanos(), Ordering::Release);
        self.turn.store(turn, Ordering::Release);
    }
}

/// A request body that reports its progress.
#[derive(Debug)]
pub(super) struct Upload<B> {
    body: Load<B>,
    watch: Option<Watch>,
}

/// The sending half of a [`Progress`]. Dropped before the end of the body, the request goes no further, and it is the
/// upstream again who is awaited.
#[derive(Debug)]
struct Watch(Arc<Progress>);

impl Drop for Watch {
    fn drop(&mut self) {
        if !self.0.is_done() {
            self.0.hand_over(UPSTREAM);
        }
    }
}

impl<B: Payload> Upload<B> {
    /// `body`, with a copy into `kept`.
    pub(super) fn new(body: Load<B>, kept: Option<Kept>, clock: &Clock) -> Self {
        let watch = (!body.is_end_stream()).then(|| {
            Watch(Arc::new(Progress {
                clock: clock.clone(),
                moved: AtomicU64::new(clock.now().as_nanos()),
                turn: AtomicU8::new(UPSTREAM),
                error: Mutex::new(None),
                kept: kept.map(Mutex::new),
            }))
        });
        Self { body, watch }
    }

    /// The body back, as it was.
    pub(super) fn into_inner(self) -> Load<B> {
        self.body
    }

    /// The watcher's half; [`None`] for an empty body, which is sent with its head.
    pub(super) fn progress(&self) -> Option<Arc<Progress>> {
        self.watch.as_ref().map(|watch| Arc::clone(&watch.0))
    }
}

impl<B: Payload> Body for Upload<B> {
    type Data = Bytes;
    type Error = UploadFailed;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let Some(Watch(progress)) = &self.watch else {
            return polled.map_err(|_| UploadFailed);
        };
        match polled {
            Poll::Pending => {
                progress.turn.store(CALLER, Ordering::Release);
                Poll::Pending
            }
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(kept) = &progress.kept {
                    kept.lock().unwrap_or_else(PoisonError::into_inner).push(&frame);
                }
                let last = frame.is_trailers() || self.body.is_end_stream();
                progress.hand_over(if last { DONE } else { UPSTREAM });
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                *progress.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.into());
                Poll::Ready(Some(Err(UploadFailed)))
            }
            Poll::Ready(None) => {
                progress.hand_over(DONE);
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
