//! The request body on its way from the client: bounded in bytes and in silence, and readable ahead of its turn.
//!
//! **Invariants**: never more bytes than the route allows; a client that owes bytes and is silent for `body_timeout` is given
//! up; what goes wrong is the client's fault and typed ([`UploadError`]), never a fault of the upstream; bytes read ahead are
//! accounted for in one [`Budget`] of the whole process and given back with the upload.
//! **Why read ahead**: a body is read before its request is admitted. So the permit is held at the pace of the service
//! and not of somebody's telephone; and hyper, which does not notice that an HTTP/1.1 client has left while its body is
//! unread, sees the departure. Small bodies and large ones have budgets of their own: photos shall not drive out forms.
//! **Cost**: nothing for a request without body; a timer only while a client pauses.
//! **Not here**: sending it (`upstream`), the departure of clients with large bodies (`departure`).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::admission::verdict::Reason;

/// Bytes a second that a body must bring over all once `body_timeout` is over: slower than any telephone network that still
/// carries a form, and fast enough that nobody holds a permit for a day with a byte now and then.
pub const SLOWEST: u64 = 1024;

/// Bodies declared to be at most so long are small.
pub const SMALL_MAX: u64 = 16 * 1024;

/// Bytes read ahead of small bodies for all requests together: 4,000 of the largest size, far more sign-up forms.
pub const SMALL_BUDGET: usize = 64 * 1024 * 1024;

/// Larger bodies of a declared length up to this are read before their request is admitted as well: photographs from telephones.
/// Others are forwarded as they come.
pub const LARGE_MAX: u64 = 8 * 1024 * 1024;

/// The same of larger bodies: a hundred photographs of 2 MiB at once, at the pace of telephones.
pub const LARGE_BUDGET: usize = 256 * 1024 * 1024;

/// A larger body takes its budget in parts of this size, as it comes: whoever drips holds what he brought.
const PART: usize = 64 * 1024;

/// What may come at once: hyper's read buffer as the listener sets it, and a frame of HTTP/2.
const FRAME: usize = 16 * 1024;

/// A refusal reads a body of at most this size to its end, so that the connection can be used again: a sign-up form is
/// smaller, and reading more costs more than a new connection.
const DRAIN_MAX: u64 = 64 * 1024;

/// A refusal waits at most this long for the body it drains.
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// What a client did wrong with its body.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// Its framing broke, or the client went away in the middle.
    #[error("the request body broke off")]
    Broken(#[source] hyper::Error),
    /// Trailers without a field: hyper's parser has taken a bare LF for their end, and what followed for more of them.
    #[error("the request body ended in trailers that cannot be read")]
    Trailers,
    /// No byte for `body_timeout`, or over all fewer than [`SLOWEST`] after that.
    #[error("the request body did not come in time")]
    Silent,
    /// More bytes than the route allows.
    #[error("the request body is larger than allowed")]
    TooLarge,
}

impl UploadError {
    /// The word for it.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Broken(_) | Self::Trailers => Reason::BodyBroken,
            Self::Silent => Reason::BodyTimeout,
            Self::TooLarge => Reason::BodyTooLarge,
        }
    }
}

/// So many of something for all requests together: bytes read ahead, descriptors that watch.
#[derive(Debug)]
pub struct Budget(AtomicUsize);

impl Budget {
    /// So many to be shared.
    #[must_use]
    pub fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(bytes)))
    }

    /// How many are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Takes `bytes` of it, until the reservation is dropped; [`None`] if there are not as many left.
    pub fn reserve(self: &Arc<Self>, bytes: usize) -> Option<Reserved> {
        self.take(bytes).then(|| Reserved { budget: Arc::clone(self), bytes })
    }

    fn take(&self, bytes: usize) -> bool {
        let take = |left: usize| left.checked_sub(bytes);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

/// A part of a [`Budget`], given back on drop.
#[derive(Debug)]
pub struct Reserved {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Reserved {
    /// Holds at least `bytes`, taken in parts; `false` if there are not as many left.
    fn covers(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes).next_multiple_of(PART);
        let taken = more == 0 || self.budget.take(more);
        self.bytes += if taken { more } else { 0 };
        taken
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

/// A request body with its bounds.
#[derive(Debug)]
pub struct Upload {
    /// [`None`] once it was read to its end.
    source: Option<Incoming>,
    /// In one piece, of the size that was reserved: however many frames it came in.
    ahead: BytesMut,
    reserved: Option<Reserved>,
    /// Bytes that may still come.
    allowance: u64,
    /// Bytes that came, for the access log.
    received: Option<Arc<AtomicU64>>,
    silence: Duration,
    /// When the first byte was awaited, and how many have come since.
    awaited: Option<Instant>,
    came: u64,
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether trailers end by a frame and not by a line.
    is_framed: bool,
}

impl Upload {
    /// `body` of a request of `version` with pauses shorter than `silence`, to be drained; [`Upload::bound`] lets it go further.
    #[must_use]
    pub fn new(body: Incoming, version: Version, silence: Duration) -> Self {
        let source = (!body.is_end_stream()).then_some(body);
        let received = source.as_ref().map(|_| Arc::default());
        Self {
            source,
            ahead: BytesMut::new(),
            reserved: None,
            allowance: DRAIN_MAX,
            received,
            silence,
            awaited: None,
            came: 0,
            timer: None,
            is_framed: version == Version::HTTP_2,
        }
    }

    /// Lets at most `limit` bytes pass; [`UploadError::TooLarge`] at once if the declared length says so.
    pub fn bound(&mut self, limit: u64) -> Result<(), UploadError> {
        self.allowance = limit;
        match &self.source {
            Some(body) if body.size_hint().lower() > limit => Err(UploadError::TooLarge),
            _ => Ok(()),
        }
    }

    /// Whether every byte has been read from the client.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.source.is_none()
    }

    /// Counts the bytes that came; [`None`] for a request without body.
    #[must_use]
    pub fn received(&self) -> Option<Arc<AtomicU64>> {
        self.received.clone()
    }

    /// Sets bytes of `budget` aside for reading a small body ahead; `false` if it is not small, of unknown size, or the budget is
    /// spent.
    pub fn reserve_small(&mut self, budget: &Arc<Budget>) -> bool {
        let size = self.source.as_ref().and_then(|body| body.size_hint().exact());
        let Some(size) = size.filter(|size| *size <= SMALL_MAX) else { return false };
        let Some(bytes) = usize::try_from(size).ok() else { return false };
        self.reserved = budget.reserve(bytes);
        if self.reserved.is_some() {
            self.ahead.reserve(bytes);
        }
        self.reserved.is_some()
    }

    /// The same for a larger body, as it comes; `false` if it is declared to be longer than [`LARGE_MAX`], or not declared: who does
    /// not know how much he will send may want to hear something first.
    pub fn reserve_large(&mut self, budget: &Arc<Budget>) -> bool {
        let size = self.source.as_ref().and_then(|body| body.size_hint().exact());
        let Some(size) = size.filter(|size| *size <= LARGE_MAX) else { return false };
        let Some(bytes) = usize::try_from(size).ok() else { return false };
        self.reserved = budget.reserve(bytes.min(PART));
        if self.reserved.is_some() {
            // The kernel gives the pages when they are written to.
            self.ahead.reserve(bytes);
        }
        self.reserved.is_some()
    }

    /// Reads ahead what was reserved; ready at the end of the body, or when no more of it may be read.
    pub fn poll_ahead(&mut self, context: &mut Context<'_>) -> Poll<Result<(), UploadError>> {
        while self.source.is_some() && self.has_room() {
            match std::task::ready!(self.poll_source(context)) {
                Some(Ok(bytes)) => self.ahead.extend_from_slice(&bytes),
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => break,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether what comes next may be read ahead.
    fn has_room(&mut self) -> bool {
        let (Some(source), Some(reserved)) = (&self.source, &mut self.reserved) else { return false };
        let rest = source.size_hint().exact().and_then(|rest| usize::try_from(rest).ok());
        rest.is_some_and(|rest| reserved.covers(self.ahead.len() + rest.min(FRAME)))
    }

    /// Reads and forgets a small body, so that the connection of a refused request can be used again.
    pub async fn drain(&mut self) {
        if self.source.as_ref().is_none_or(|body| body.size_hint().lower() > DRAIN_MAX) {
            return;
        }
        self.allowance = DRAIN_MAX;
        let to_the_end =
            async { while let Some(Ok(_)) = std::future::poll_fn(|context| self.poll_source(context)).await {} };
        // A client that is slower than this loses its connection, nothing else.
        tokio::time::timeout(DRAIN_TIME, to_the_end).await.ok();
    }

    fn poll_source(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, UploadError>>> {
        loop {
            let Some(body) = self.source.as_mut() else { return Poll::Ready(None) };
            let Poll::Ready(frame) = Pin::new(body).poll_frame(context) else { return self.poll_silence(context) };
            self.timer = None;
            let ended = frame.is_none() || self.source.as_ref().is_some_and(Body::is_end_stream);
            if ended {
                self.source = None;
            }
            match frame {
                None => return Poll::Ready(None),
                Some(Err(error)) => {
                    self.source = None;
                    return Poll::Ready(Some(Err(UploadError::Broken(error))));
                }
                Some(Ok(frame)) if !self.is_framed && frame.trailers_ref().is_some_and(HeaderMap::is_empty) => {
                    return Poll::Ready(Some(Err(UploadError::Trailers)));
                }
                // Trailers are not forwarded: no upstream of a sign-up needs them, and they smuggle fields past the checks.
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Poll::Ready(Some(self.account(bytes)));
                    }
                }
            }
        }
    }

    fn account(&mut self, bytes: Bytes) -> Result<Bytes, UploadError> {
        let length = bytes.len() as u64;
        let Some(left) = self.allowance.checked_sub(length) else {
            self.source = None;
            return Err(UploadError::TooLarge);
        };
        self.allowance = left;
        self.came = self.came.saturating_add(length);
        if let Some(received) = &self.received {
            received.fetch_add(length, Ordering::Relaxed);
        }
        Ok(bytes)
    }

    /// Nothing has come: gives the client up if it has been silent for too long, or too slow over all.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, UploadError>>> {
        let now = Instant::now();
        let began = *self.awaited.get_or_insert(now);
        let slow = began + self.silence + Duration::from_secs(self.came / SLOWEST);
        let due = slow.min(now + self.silence);
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        std::task::ready!(timer.as_mut().poll(context));
        self.source = None;
        Poll::Ready(Some(Err(UploadError::Silent)))
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        if !self.ahead.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(self.ahead.split().freeze()))));
        }
        self.poll_source(context).map(|frame| frame.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.source.is_none() && self.ahead.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let ahead = self.ahead.len() as u64;
        let rest = self.source.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint);
        match rest.exact() {
            Some(rest) => SizeHint::with_exact(ahead.saturating_add(rest)),
            None => SizeHint::default(),
        }
    }
}
