//! The body of an answer: the upstream's, passed on as it comes, or our own few words.
//!
//! **Invariants**: holds the account of its request, so that the request ends when its answer has; frames are not copied.
//! **Not here**: the permit, which the upstream's body holds.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::proxy::failed;
use crate::proxy::trailers;
use crate::proxy::upload::Upload;
use crate::proxy::visit::{InService, Visit};
use crate::upstream::{self, Failure};

/// Where the bytes come from.
#[derive(Debug)]
pub enum Source {
    /// From us.
    Own(Bytes),
    /// From the upstream.
    Upstream(upstream::Body<Upload, InService>),
}

/// The body of an answer.
#[derive(Debug)]
pub struct Body {
    source: Source,
    visit: Visit,
}

impl Body {
    /// Bytes of `source`, on the account of `visit`.
    #[must_use]
    pub fn new(source: Source, visit: Visit) -> Self {
        Self { source, visit }
    }
}

/// Data as it is, trailers as they may be.
fn fit_for_client(mut frame: Frame<Bytes>) -> Frame<Bytes> {
    if let Some(fields) = frame.trailers_mut() {
        trailers::for_client(fields);
    }
    frame
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let Self { source, visit } = &mut *self;
        let frame = match source {
            Source::Own(bytes) if bytes.is_empty() => None,
            Source::Own(bytes) => Some(Ok(Frame::data(std::mem::take(bytes)))),
            Source::Upstream(body) => std::task::ready!(Pin::new(body).poll_frame(context)),
        };
        let frame = frame.map(|frame| frame.map(fit_for_client));
        match &frame {
            Some(Ok(frame)) => visit.returned(frame.data_ref().map_or(0, Bytes::len)),
            Some(Err(failure)) => visit.broke(failed(failure)),
            None => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(bytes) => bytes.is_empty(),
            Source::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Upstream(body) => body.size_hint(),
        }
    }
}
