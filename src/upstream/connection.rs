//! A connection that takes requests, and the form in which each version wants them.
//!
//! **Invariants**: an HTTP/1.1 connection lives exactly as long as its [`Http1`]: dropped, it is closed, whatever it was
//! doing. An HTTP/2 connection lives until its last [`Http2`] and its last stream are gone.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::header::{CONNECTION, HOST, HeaderName, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use tokio::task::JoinHandle;

use super::server::Origin;
use super::silence::Silence;
use super::stream::HeadBudget;
use super::upload::{Payload, Upload};
use crate::clock::{Clock, Tick};

/// The response to come, or the request back if not a byte of it was written.
pub(super) type Responding<B> =
    Pin<Box<dyn Future<Output = Result<Response<Incoming>, TrySendError<Request<Upload<B>>>>> + Send>>;

/// One connection, or a share of one.
#[derive(Debug)]
pub(super) enum Connection<B> {
    Http1(Http1<B>),
    Http2(Share<B>),
}

/// An HTTP/1.1 connection.
#[derive(Debug)]
pub(super) struct Http1<B> {
    pub(super) sender: http1::SendRequest<Upload<B>>,
    /// Dropped with the rest, it closes the connection.
    pub(super) task: Task,
    pub(super) budget: HeadBudget,
    pub(super) silence: Silence,
}

/// An HTTP/2 connection, shared by the exchanges of one worker.
#[derive(Debug)]
pub(super) struct Http2<B> {
    pub(super) sender: http2::SendRequest<Upload<B>>,
    /// Nanoseconds of the tick of the last use.
    pub(super) used: AtomicU64,
}

/// One exchange's share of an HTTP/2 connection.
#[derive(Debug)]
pub(super) struct Share<B> {
    pub(super) connection: Arc<Http2<B>>,
    pub(super) silence: Silence,
}

impl<B> Share<B> {
    pub(super) fn of(connection: &Arc<Http2<B>>) -> Self {
        Self { connection: Arc::clone(connection), silence: Silence::default() }
    }
}

impl<B> Http2<B> {
    pub(super) fn touch(&self, clock: &Clock) {
        self.used.store(clock.now().as_nanos(), Ordering::Relaxed);
    }

    pub(super) fn last_used(&self) -> Tick {
        Tick::from_nanos(self.used.load(Ordering::Relaxed))
    }
}

/// The task that drives a connection; dropping it closes the connection.
#[derive(Debug)]
pub(super) struct Task(Option<JoinHandle<()>>);

impl Task {
    pub(super) const fn new(handle: JoinHandle<()>) -> Self {
        Self(Some(handle))
    }

    /// Lets the connection live on by itself: an upgrade is about to take it over.
    pub(super) fn detach(mut self) {
        drop(self.0.take());
    }

    /// Closes the connection and returns when it is closed.
    pub(super) async fn close(mut self) {
        if let Some(handle) = self.0.take() {
            handle.abort();
            // The outcome of a task just cancelled is known.
            drop(handle.await);
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.abort();
        }
    }
}

impl<B: Payload> Connection<B> {
    /// Hands the request over, in the form the connection's version wants.
    pub(super) fn send(&mut self, mut request: Request<Upload<B>>, server: &Origin) -> Responding<B> {
        match self {
            Self::Http1(http1) => {
                shape_for_http1(&mut request, server);
                http1.budget.set();
                Box::pin(http1.sender.try_send_request(request))
            }
            Self::Http2(share) => {
                shape_for_http2(&mut request, server);
                Box::pin(share.connection.sender.clone().try_send_request(request))
            }
        }
    }

    pub(super) const fn is_http1(&self) -> bool {
        matches!(self, Self::Http1(_))
    }

    /// Closes an HTTP/1.1 connection and returns when it is closed; leaves the shared one to the others.
    pub(super) async fn close(self) {
        if let Self::Http1(http1) = self {
            http1.task.close().await;
        }
    }
}

/// Origin-form and `Host` (RFC 9112 §3.2).
fn shape_for_http1<B>(request: &mut Request<B>, server: &Origin) {
    if !request.headers().contains_key(HOST) {
        let authority = request.uri().authority().unwrap_or_else(|| server.authority());
        if let Ok(host) = HeaderValue::from_str(authority.as_str()) {
            request.headers_mut().insert(HOST, host);
        }
    }
    if request.uri().authority().is_some() {
        let path = request.uri().path_and_query().cloned();
        *request.uri_mut() = path.unwrap_or_else(|| PathAndQuery::from_static("/")).into();
    }
    *request.version_mut() = Version::HTTP_11;
}

/// Absolute form, whose parts become `:scheme`, `:authority` and `:path`, and no field that speaks about a connection
/// (RFC 9113 §8.2.2, §8.3.1).
fn shape_for_http2<B>(request: &mut Request<B>, server: &Origin) {
    const CONNECTION_FIELDS: [HeaderName; 5] = [
        CONNECTION,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
        TRANSFER_ENCODING,
        UPGRADE,
    ];
    let host = request.headers_mut().remove(HOST);
    for name in &CONNECTION_FIELDS {
        request.headers_mut().remove(name);
    }
    if request.headers().get(TE).is_some_and(|value| value != "trailers") {
        request.headers_mut().remove(TE);
    }
    let named = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.authority = named.or(parts.authority).or_else(|| Some(server.authority().clone()));
    parts.scheme = Some(if server.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
    parts.path_and_query.get_or_insert_with(|| PathAndQuery::from_static("/"));
    // Scheme, authority and path are all there: the parts of every valid URI.
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    *request.version_mut() = Version::HTTP_2;
}
