//! Which requests may be sent a second time, and what is kept of them for that.
//!
//! Two cases. *Not processed*: an HTTP/2 server has said so (`REFUSED_STREAM`, `GOAWAY`): any request. *Sent, and the connection
//! broke before the head of a response*: only where the operator says so (`idempotent = true`), and only a request that carries an
//! `Idempotency-Key`, or one that is safe by its method and has no body (RFC 9110 §9.2.1, §9.2.2). A key the service does not know
//! what to do with would be a second sign-up; hence both.
//!
//! **Invariants**: at most [`BODY_MAX`] bytes are kept for one request and [`BUDGET`] for all of an upstream; a body is repeated
//! whole or not at all.
//! **Cost**: for a request that may be repeated, a copy of its head and body; for others nothing. Over HTTP/2 every request may.
//! **Not here**: how often (`budget`), where to (`balance`).

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::header::UPGRADE;
use http::{HeaderMap, HeaderName, Method, Request, Uri, Version};
use http_body::{Body, Frame, SizeHint};

use super::upload::Payload;

/// Bytes of a body kept for sending it again: any sign-up form.
const BODY_MAX: usize = 16 * 1024;
/// Bytes kept at once for one upstream, over all workers: a thousand of the largest.
const BUDGET: usize = 16 * 1024 * 1024;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Whether a request that was sent may be sent again, as far as the request says.
pub(super) fn is_idempotent<B: Body>(request: &Request<B>) -> bool {
    let mut keys = request.headers().get_all(IDEMPOTENCY_KEY).iter();
    let has_key = keys.next().is_some_and(|key| !key.is_empty()) && keys.next().is_none();
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    has_key || (is_safe && request.body().is_end_stream())
}

/// Whether `error` is a connection that broke, rather than an answer nobody understands.
pub(super) fn is_broken_connection(error: &hyper::Error) -> bool {
    // `Other` is our own refusal to read on.
    let io = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    error.is_incomplete_message() || io.is_some_and(|error| error.kind() != io::ErrorKind::Other)
}

/// Whether an HTTP/2 server says that it has not processed the request (RFC 9113 §8.7): it refused the stream, or went away
/// with a lower last stream. h2 gives a stream the server's GOAWAY as its error only in that case.
pub(super) fn is_unprocessed(error: &hyper::Error) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    source.is_some_and(|error| {
        error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM))
    })
}

/// Bytes that may be kept for the requests of one upstream.
#[derive(Clone, Debug)]
pub(super) struct KeepBudget(Arc<AtomicUsize>);

impl Default for KeepBudget {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(BUDGET)))
    }
}

impl KeepBudget {
    /// Room for `body`; [`None`] if it is too large or there is no room left. Of unknown length, it gets the most.
    pub(super) fn reserve(&self, body: &impl Body) -> Option<Kept> {
        let room =
            body.size_hint().upper().map_or(Ok(BODY_MAX), usize::try_from).ok().filter(|room| *room <= BODY_MAX)?;
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(room)).ok()?;
        Some(Kept { bytes: BytesMut::with_capacity(room.min(BODY_MAX)), is_whole: true, room, budget: self.clone() })
    }
}

/// A copy of the body that is being sent.
#[derive(Debug)]
pub(super) struct Kept {
    bytes: BytesMut,
    is_whole: bool,
    room: usize,
    budget: KeepBudget,
}

impl Kept {
    pub(super) fn push(&mut self, frame: &Frame<Bytes>) {
        match frame.data_ref() {
            Some(data) if self.is_whole && self.bytes.len() + data.len() <= self.room => {
                self.bytes.extend_from_slice(data);
            }
            // Too long after all, or trailers.
            _ => self.is_whole = false,
        }
    }

    /// The body, if all of it was kept.
    pub(super) fn take(&mut self) -> Option<Bytes> {
        self.is_whole.then(|| std::mem::take(&mut self.bytes).freeze())
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.budget.0.fetch_add(self.room, Ordering::Relaxed);
    }
}

/// The head of a request that may be sent again.
#[derive(Debug)]
pub(super) struct Head {
    method: Method,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
}

impl Head {
    /// A copy of the head of `request`; [`None`] if it asks for an upgrade, which only its own connection can give.
    pub(super) fn of<B>(request: &Request<B>) -> Option<Box<Self>> {
        (!request.headers().contains_key(UPGRADE)).then(|| {
            Box::new(Self {
                method: request.method().clone(),
                uri: request.uri().clone(),
                version: request.version(),
                headers: request.headers().clone(),
            })
        })
    }

    pub(super) fn into_request<B>(self, body: B) -> Request<B> {
        let mut request = Request::new(body);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.version_mut() = self.version;
        *request.headers_mut() = self.headers;
        request
    }
}

/// A request on its way from hand to hand: boxed, because each hand would otherwise have room for it.
pub(super) type Parcel<B> = Box<Request<Load<B>>>;

/// The body of a request: the caller's, or the copy kept of it.
#[derive(Debug)]
pub(super) enum Load<B> {
    First(B),
    Again(Bytes),
}

/// Why a body failed: only the caller's can.
impl<B: Payload> Body for Load<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match &mut *self {
            Self::First(body) => Pin::new(body).poll_frame(cx),
            Self::Again(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Again(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::First(body) => body.is_end_stream(),
            Self::Again(bytes) => bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::First(body) => body.size_hint(),
            Self::Again(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{Empty, Full};

    use super::*;

    #[test]
    fn a_key_or_a_safe_method_without_body() {
        let request = |method: &str, keys: &[&str], body: &'static [u8]| {
            let mut request = Request::builder().method(method).uri("/");
            for key in keys {
                request = request.header("idempotency-key", *key);
            }
            is_idempotent(&request.body(Full::new(Bytes::from_static(body))).unwrap())
        };
        assert!(request("POST", &["a"], b"name=a") && request("POST", &["a"], b""));
        assert!(request("GET", &[], b"") && request("HEAD", &[], b"") && request("OPTIONS", &[], b""));
        assert!(!request("GET", &[], b"x") && !request("POST", &[], b"") && !request("PUT", &[], b""));
        assert!(!request("POST", &[""], b"") && !request("POST", &["a", "b"], b""), "not one key");
    }

    #[test]
    fn what_is_kept_is_bounded_and_given_back() {
        let budget = KeepBudget::default();
        let body = |length: usize| Full::new(Bytes::from(vec![b'x'; length]));
        assert!(budget.reserve(&body(BODY_MAX + 1)).is_none());
        let kept: Vec<_> = (0..2000).map_while(|_| budget.reserve(&body(BODY_MAX))).collect();
        assert_eq!(kept.len(), BUDGET / BODY_MAX);
        assert!(budget.reserve(&body(1)).is_none() && budget.reserve(&Empty::<Bytes>::new()).is_some());
        drop(kept);
        let mut kept = budget.reserve(&body(4)).unwrap();
        kept.push(&Frame::data(Bytes::from_static(b"ab")));
        kept.push(&Frame::data(Bytes::from_static(b"cd")));
        assert_eq!(kept.take().unwrap(), "abcd");
        kept.push(&Frame::data(Bytes::from_static(b"abcde")));
        assert!(kept.take().is_none(), "longer than it said");
        drop(kept);
        assert_eq!(budget.0.load(Ordering::Relaxed), BUDGET);
    }
}
