//! What has come of a response before its reader asked for it.
//!
//! The permit of a request comes back with the last byte of its response. A client that reads slowly would hold it at the pace of a
//! telephone; so up to [`AHEAD_MAX`] bytes are read without being asked for, and the service is free for the next request.
//!
//! **Invariants**: one response holds at most [`AHEAD_MAX`] bytes and a frame, all of them at most [`BUDGET`] and a frame for each
//! worker; without room nothing is read ahead, and a response goes at the pace of its reader. Of a response whose length is known,
//! nothing is read ahead before all that is left of it would fit. Bytes come out in the order in which they came in, then trailers.
//! **Cost**: two relaxed additions for each piece; what is less than [`COPIED`] or came in several frames is copied once, so that
//! small chunks do not keep the buffers alive that they were read into.
//! **Not here**: when it is read (`body`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;

/// Bytes of one response: the answer to any sign-up, and most pages.
pub(super) const AHEAD_MAX: usize = 64 * 1024;

/// Bytes of all responses together: a thousand clients that stand still with the longest answer.
const BUDGET: usize = 64 * 1024 * 1024;

/// A first piece of fewer bytes is copied: buffers are of 8 KiB to 64 KiB, and a body of ten bytes shall not occupy one until its
/// reader comes. A copy of so many costs less than the system call that writes them.
const COPIED: usize = 8 * 1024;

/// Bytes of responses that were read before their readers asked for them, over all upstreams and workers.
#[derive(Debug, Default)]
pub struct ReadAhead(AtomicUsize);

impl ReadAhead {
    /// How many there are.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn has_room(&self) -> bool {
        self.bytes() < BUDGET
    }
}

/// One response's part of it.
#[derive(Debug)]
pub(super) struct Ahead {
    first: Bytes,
    rest: BytesMut,
    trailers: Option<HeaderMap>,
    all: Arc<ReadAhead>,
}

impl Ahead {
    /// Nothing yet, to be counted in `all`.
    pub(super) fn new(all: &Arc<ReadAhead>) -> Self {
        Self { first: Bytes::new(), rest: BytesMut::new(), trailers: None, all: Arc::clone(all) }
    }

    /// Bytes held.
    pub(super) fn len(&self) -> usize {
        self.first.len() + self.rest.len()
    }

    pub(super) const fn has_trailers(&self) -> bool {
        self.trailers.is_some()
    }

    /// Whether another frame may be read, `left` being the least that is still to come.
    pub(super) fn has_room(&self, left: u64) -> bool {
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        self.len().saturating_add(left) <= AHEAD_MAX && self.all.has_room()
    }

    /// Keeps `frame`.
    pub(super) fn push(&mut self, frame: Frame<Bytes>) {
        match frame.into_data() {
            Ok(data) => {
                self.all.0.fetch_add(data.len(), Ordering::Relaxed);
                if self.len() == 0 && data.len() >= COPIED {
                    self.first = data;
                } else {
                    self.rest.extend_from_slice(&data);
                }
            }
            Err(frame) => self.trailers = frame.into_trailers().ok(),
        }
    }

    /// Nobody will take it any more.
    pub(super) fn clear(&mut self) {
        while self.take().is_some() {}
    }

    /// The next piece, the first that came.
    pub(super) fn take(&mut self) -> Option<Frame<Bytes>> {
        let first = std::mem::take(&mut self.first);
        let data = if first.is_empty() { std::mem::take(&mut self.rest).freeze() } else { first };
        if data.is_empty() {
            return self.trailers.take().map(Frame::trailers);
        }
        self.all.0.fetch_sub(data.len(), Ordering::Relaxed);
        Some(Frame::data(data))
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_in_order_and_is_counted() {
        let all = Arc::new(ReadAhead::default());
        let mut ahead = Ahead::new(&all);
        let large = "a".repeat(COPIED);
        for part in [large.clone(), "c".to_owned(), "de".to_owned()] {
            ahead.push(Frame::data(part.into()));
        }
        ahead.push(Frame::trailers(HeaderMap::new()));
        assert_eq!((ahead.len(), all.bytes()), (COPIED + 3, COPIED + 3));
        assert_eq!(ahead.take().unwrap().into_data().unwrap(), large);
        assert_eq!(ahead.take().unwrap().into_data().unwrap(), "cde");
        assert_eq!(all.bytes(), 0);
        assert!(ahead.take().unwrap().is_trailers());
        assert!(ahead.take().is_none());
        ahead.push(Frame::data(Bytes::from_static(b"left behind")));
        drop(ahead);
        assert_eq!(all.bytes(), 0);
    }

    #[test]
    fn a_few_bytes_do_not_keep_the_buffer_that_they_came_in() {
        let all = Arc::new(ReadAhead::default());
        let buffer = Bytes::from(vec![7; AHEAD_MAX]);
        for (length, is_copied) in [(10, true), (COPIED - 1, true), (COPIED, false)] {
            let mut ahead = Ahead::new(&all);
            ahead.push(Frame::data(buffer.slice(..length)));
            assert_eq!(buffer.is_unique(), is_copied, "{length} bytes");
            assert_eq!(ahead.take().unwrap().into_data().unwrap(), buffer.slice(..length));
        }
    }

    #[test]
    fn room_ends_with_the_response_and_with_the_budget() {
        let all = Arc::new(ReadAhead::default());
        let ahead = Ahead::new(&all);
        assert!(ahead.has_room(AHEAD_MAX as u64));
        assert!(!ahead.has_room(AHEAD_MAX as u64 + 1), "it would not be complete");
        let others = vec![0; BUDGET];
        let mut other = Ahead::new(&all);
        other.push(Frame::data(others.into()));
        assert!(!ahead.has_room(0));
        drop(other);
        assert!(ahead.has_room(0));
    }
}
