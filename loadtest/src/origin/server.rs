//! HTTP in front of the simulated service: `POST /register`, `GET /ledger/summary`, a small page for any other GET.
//!
//! **Invariants**: never more connections than the stated maximum, so that it does not run out of descriptors; beyond it
//! callers wait in the listen backlog. Out of descriptors all the same, it waits and goes on. A caller that disconnects
//! drops its own request's future, which is how the service learns that nobody listens.
//! **Cost**: one task a connection; bodies are read and thrown away, never held.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use serde::{Deserialize, Serialize};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::ledger::Effect;
use super::service::{Service, Summary};

/// The caller's own count of its attempts, for the ledger.
pub const ATTEMPT: HeaderName = HeaderName::from_static("loadtest-attempt");

/// A person's key, one for all of their attempts (IETF draft-ietf-httpapi-idempotency-key-header).
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Callers beyond the connections wait in the kernel; it lowers this to `net.core.somaxconn`.
const BACKLOG: i32 = 65_535;

/// Longest key taken: what bounds the ledger's memory.
const KEY_LENGTH: usize = 128;

/// Longest body read; a registration form is far below.
const BODY_SIZE: usize = 1 << 20;

/// Time for a request head, and how long an idle connection is kept: above any gateway's own idle time.
const HEAD_TIMEOUT: Duration = Duration::from_secs(90);

/// Streams on one HTTP/2 connection: more than any gateway's limit, so that the limit under test is the gateway's.
const STREAMS: u32 = 4_096;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Pause after a failed accept; descriptors come back when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// The server's own counts beside the service's.
#[derive(Debug, Default)]
pub struct Door {
    accept_errors: AtomicU64,
    connections: AtomicU64,
}

/// The service's account with the server's.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Account {
    /// The service's account.
    #[serde(flatten)]
    pub service: Summary,
    /// Connections accepted.
    pub connections: u64,
    /// Accepts that failed, mostly for want of descriptors.
    pub accept_errors: u64,
}

impl Door {
    /// The account so far.
    #[must_use]
    pub fn account(&self, service: &Service) -> Account {
        Account {
            service: service.summary(),
            connections: self.connections.load(Ordering::Relaxed),
            accept_errors: self.accept_errors.load(Ordering::Relaxed),
        }
    }
}

/// A listening socket with a real backlog.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Serves until `stop` is ready; connections end with the runtime.
pub async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    door: Arc<Door>,
    max_connections: usize,
    stop: impl Future<Output = ()>,
) {
    let places = Arc::new(Semaphore::new(max_connections));
    let accept = async {
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            let Ok((stream, _)) = listener.accept().await else {
                door.accept_errors.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            door.connections.fetch_add(1, Ordering::Relaxed);
            let (service, door) = (Arc::clone(&service), Arc::clone(&door));
            tokio::spawn(async move {
                // A caller that breaks its connection is an ordinary event here: the ledger has it.
                drop(connection(stream, service, door).await);
                drop(place);
            });
        }
    };
    tokio::select! {
        () = accept => {}
        () = stop => {}
    }
}

async fn connection(stream: TcpStream, service: Arc<Service>, door: Arc<Door>) -> hyper::Result<()> {
    speak(stream, move |request| answer(Arc::clone(&service), Arc::clone(&door), request)).await
}

/// Speaks HTTP/1.1, or HTTP/2 with prior knowledge, on `stream` until it ends.
pub async fn speak<A, F>(stream: TcpStream, answer: A) -> hyper::Result<()>
where
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send + 'static,
{
    speak_or_break(stream, answer).await
}

/// The same, with answers of any kind; an error instead of one breaks the connection, or resets the stream.
pub async fn speak_or_break<A, F, B, E>(stream: TcpStream, answer: A) -> hyper::Result<()>
where
    A: Fn(Request<Incoming>) -> F,
    F: Future<Output = Result<Response<B>, E>> + Send + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
    E: Into<BoxError>,
{
    stream.set_nodelay(true).ok();
    let http2 = prior_knowledge(&stream).await;
    let answer = service_fn(answer);
    let io = TokioIo::new(stream);
    if http2 {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .serve_connection(io, answer)
            .await
    } else {
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(io, answer)
            .await
    }
}

/// Whether the connection starts with the HTTP/2 preface `PRI * HTTP/2.0`; no method in use starts with `PRI`.
async fn prior_knowledge(stream: &TcpStream) -> bool {
    let mut start = [0; 3];
    let peek = async {
        // Bytes that are too few stay readable and peeking would spin: the pause makes it a slow poll.
        while let Ok(1 | 2) = stream.peek(&mut start).await {
            tokio::time::sleep(ACCEPT_PAUSE).await;
        }
    };
    let decided = tokio::time::timeout(HEAD_TIMEOUT, peek).await.is_ok();
    decided && start == *b"PRI"
}

async fn answer(
    service: Arc<Service>,
    door: Arc<Door>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(match (request.method(), request.uri().path()) {
        (&Method::POST, "/register") => register(&service, request).await,
        (&Method::GET, "/ledger/summary") => match serde_json::to_vec(&door.account(&service)) {
            Ok(account) => respond(StatusCode::OK, "application/json", account),
            Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "no account\n"),
        },
        (&Method::GET, _) => respond(StatusCode::OK, "text/html; charset=utf-8", PAGE.into()),
        _ => plain(StatusCode::METHOD_NOT_ALLOWED, "POST /register\n"),
    })
}

const PAGE: &str = "<!doctype html><title>Registration</title><h1>Registration</h1><p>POST /register to sign up.</p>\n";

async fn register(service: &Service, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (head, mut body) = request.into_parts();
    let key = head.headers.get(IDEMPOTENCY_KEY).and_then(|key| key.to_str().ok());
    let Some(key) = key.filter(|key| !key.is_empty() && key.len() <= KEY_LENGTH) else {
        return plain(StatusCode::BAD_REQUEST, "Idempotency-Key of 1 to 128 characters is missing\n");
    };
    let attempt = head.headers.get(ATTEMPT).and_then(|attempt| attempt.to_str().ok()?.parse().ok()).unwrap_or(0);
    let mut received = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return plain(StatusCode::BAD_REQUEST, "the body broke off\n");
        };
        received += frame.data_ref().map_or(0, Bytes::len);
        if received > BODY_SIZE {
            return plain(StatusCode::PAYLOAD_TOO_LARGE, "more than 1 MiB\n");
        }
    }
    let Ok(done) = service.register(key, attempt) else {
        let mut refusal = plain(StatusCode::SERVICE_UNAVAILABLE, "full\n");
        refusal.headers_mut().insert(RETRY_AFTER, http::HeaderValue::from_static("2"));
        return refusal;
    };
    match done.await {
        Ok(registered) => {
            let status = if registered.effect == Effect::Recognised { StatusCode::OK } else { StatusCode::CREATED };
            respond(status, "application/json", format!("{{\"registration\":{}}}\n", registered.number).into_bytes())
        }
        Err(_) => plain(StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", text.into())
}

fn respond(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, http::HeaderValue::from_static(content_type));
    response
}
