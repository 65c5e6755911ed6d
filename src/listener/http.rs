//! HTTP/1 and HTTP/2 on an open stream, by hyper, with every limit stated.
//!
//! hyper 1.12 answers these heads by itself, with an empty body, and closes; [`Attend`] never sees them:
//!
//! | HTTP/1 | answer |
//! |---|---|
//! | method, target, field or version that cannot be parsed (HTTP/2.0 and 0.9 too); `Transfer-Encoding` in HTTP/1.0 or not ending in `chunked`; `Content-Length` invalid or contradictory | 400 |
//! | head beyond `header_size`, more than `header_count` fields, chunked trailers beyond either | 431; trailers: the body fails |
//! | target beyond 65,534 bytes, where `header_size` would allow it | 414 |
//! | the HTTP/2 preface where HTTP/1 was chosen by ALPN | closed without an answer |
//!
//! On HTTP/2, h2 answers fields beyond `header_size` (names and values plus 32 bytes each, RFC 9113 §6.5.2) with 431, resets a
//! stream with a malformed head or a body that does not add up to its `Content-Length`, and says GOAWAY
//! `ENHANCE_YOUR_CALM` to more than the resets named here, to more empty DATA than its budget and to more CONTINUATION frames than
//! `header_size` needs; of the other frames `floods` counts how many there are. It does not count fields: `header_size` / 32 of them fit, and who wants fewer counts them
//! in `attend`.
//!
//! **Invariants**: no limit is hyper's default by accident; a panic in `attend` ends its own HTTP/1 connection or its own
//! HTTP/2 stream and nothing else (hyper gives each stream to the executor as a task of its own).
//! **Cost**: HTTP/1 needs no task and no timer per request; HTTP/2 one task per stream.
//! **Not here**: `Host`, target and body validation (`proxy`); clocks (`lifetime`, `answer`).

use std::future::{Future, ready};
use std::hint::black_box;
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::{HttpService, service_fn};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::activity::Activity;
use super::answer::{Answer, Counted, Streams};
use super::connections::{Cause, Kind};
use super::drain::DrainSignal;
use super::floods::Guarded;
use super::lifetime::{Form, Life, Protocol, live};
use super::rest::{Asleep, Kept};
use super::{Attend, Limits};
use crate::proxy::pass;
use crate::proxy::peer::Peer;

/// HTTP/1: bytes read ahead of the parser, and bytes of answer buffered before more of its body is asked for. At least the
/// largest head; 16 KiB reads cost 1 % of a core at 1 GB/s more than larger ones.
const HTTP1_BUFFER: usize = 16 * 1024;

/// HTTP/1: bytes of each of the two buffers that hyper begins with.
const HYPER_BUFFER: usize = 8 * 1024;

/// HTTP/2: what a client may send on one stream, and on all of a connection, before we have taken it. Sign-ups are small; at
/// 64 KiB a stream still carries 6 Mbit/s over 80 ms. It is what a connection can make us hold.
const HTTP2_STREAM_WINDOW: u32 = 64 * 1024;
const HTTP2_CONNECTION_WINDOW: u32 = 256 * 1024;

/// HTTP/2: largest frame we take: the smallest that RFC 9113 §4.2 allows us to ask for.
const HTTP2_FRAME: u32 = 16 * 1024;

/// HTTP/2: bytes of answer buffered per stream before more of its body is asked for.
const HTTP2_SEND_BUFFER: usize = 64 * 1024;

/// HTTP/2: the client's compression table, RFC 9113 §6.5.2's initial value.
const HTTP2_HEADER_TABLE: u32 = 4096;

/// HTTP/2: streams the client may have reset before we have seen them (CVE-2023-44487, rapid reset).
const HTTP2_PENDING_RESETS: usize = 20;

/// HTTP/2: streams it may have made us reset (CVE-2025-8671, made you reset) before it is sent away.
const HTTP2_FORCED_RESETS: usize = 256;

/// HTTP/2: how often a client is asked whether it is still there, and how long it has to answer. A vanished client is found
/// before its idle time is up, and with it what it holds in the queue.
const HTTP2_PING: Duration = Duration::from_secs(30);
const HTTP2_PONG: Duration = Duration::from_secs(15);

impl<I, S, B> Protocol for http1::UpgradeableConnection<I, S>
where
    I: Read + Write + Unpin + Send + 'static,
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    const FORM: Form = Form::Awake;

    fn close_gracefully(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, S, B> Protocol for http2::Connection<I, S, Streams>
where
    I: Read + Write + Unpin,
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    Streams: hyper::rt::bounds::Http2ServerConnExec<S::Future, B>,
{
    const FORM: Form = Form::Streams;

    fn close_gracefully(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// What serving a connection needs besides its bytes.
pub(super) struct Session<A> {
    pub(super) attend: Arc<A>,
    pub(super) peer: Arc<Peer>,
    pub(super) activity: Arc<Activity>,
    pub(super) limits: Arc<Limits>,
    pub(super) drain: DrainSignal,
}

impl<A: Attend> Session<A> {
    /// Serves HTTP/1 until the connection ends or is handed over to an upgrade. hyper's part of it, which is most, is there
    /// while there is something to do.
    pub(super) fn http1<S>(self, mut stream: Box<Kept<S>>) -> impl Future<Output = Cause> + Send + use<A, S>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.activity.slot().become_kind(Kind::Http1);
        // Not an `async fn`: it would keep its arguments twice for as long as the connection is open.
        async move {
            let mut life = pin!(Life::new(&self.activity, &self.peer.socket, &self.limits, self.drain.begun()));
            loop {
                let service = service_fn(self.service(|answer| answer));
                let warm = Vec::<u8>::with_capacity(HYPER_BUFFER);
                let connection = http1_builder(&self.limits).serve_connection(TokioIo::new(stream), service);
                // Its buffer for answers is made by now, of memory that nobody has touched if there is any; what somebody has let go of is for
                // the head that is read next. The other way round, whoever waits in line would keep a page for nothing.
                drop(black_box(warm));
                let mut awake = Box::pin(connection.with_upgrades());
                if let ControlFlow::Break(cause) = live(awake.as_mut(), life.as_mut()).await {
                    return cause;
                }
                // Nothing is left of it only if it was upgraded, and then it has ended.
                let Some(mut asleep) = taken_apart(awake, &self.peer.socket) else { return Cause::Done };
                if let ControlFlow::Break(cause) = live(Pin::new(&mut asleep), life.as_mut()).await {
                    return cause;
                }
                stream = asleep.stream;
            }
        }
    }

    /// Serves HTTP/2 until the connection ends.
    pub(super) async fn http2<S>(self, stream: S) -> Cause
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.activity.slot().become_kind(Kind::Http2);
        let guarded = Guarded::new(stream, Arc::clone(&self.activity));
        let connection =
            http2_builder(&self.limits).serve_connection(TokioIo::new(guarded), service_fn(self.careful_service()));
        let connection = pin!(connection);
        let life = pin!(Life::new(&self.activity, &self.peer.socket, &self.limits, self.drain.begun()));
        match live(connection, life).await {
            ControlFlow::Break(cause) => cause,
            // Of its only form.
            ControlFlow::Continue(()) => Cause::Done,
        }
    }

    /// Answers the requests of this connection, and notes how long each is in flight.
    fn service<B: 'static>(
        &self,
        body: fn(Answer<A::Body>) -> B,
    ) -> impl Fn(Request<Incoming>) -> Attending<B> + use<A, B> {
        let attend = Arc::clone(&self.attend);
        let peer = Arc::clone(&self.peer);
        let activity = Arc::clone(&self.activity);
        move |request| {
            if request.extensions().get::<OnUpgrade>().is_some() {
                activity.note_upgradable();
            }
            let in_flight = activity.begin_request();
            let attend = Arc::clone(&attend);
            let peer = Arc::clone(&peer);
            Box::pin(async move {
                let answer = attend.attend(&peer, request).await;
                if peer.is_inside() {
                    in_flight.note_inside();
                }
                Ok(answer.map(|answer| body(Answer::new(answer, in_flight))))
            })
        }
    }

    /// The same; short of memory it refuses the stream, and says that it was not processed (RFC 9113 §8.7), unless it shows
    /// something like a pass: whether that is good is asked where a request is served.
    fn careful_service(&self) -> impl Fn(Request<Incoming>) -> Attending<Counted<Answer<A::Body>>> + use<A> {
        let service = self.service(Counted::new);
        let activity = Arc::clone(&self.activity);
        move |request| {
            let connections = activity.slot().connections();
            if connections.is_memory_short() && !pass::is_shown(request.headers()) {
                connections.note_refused_stream();
                return Box::pin(ready(Err(h2::Reason::REFUSED_STREAM.into())));
            }
            service(request)
        }
    }
}

/// An answer in the making. Boxed: inline, a connection would keep room for the largest one while it is idle.
type Attending<B> = Pin<Box<dyn Future<Output = Result<Response<B>, h2::Error>> + Send + 'static>>;

/// An HTTP/1 connection with hyper's part of it.
type Awake<I, S> = http1::UpgradeableConnection<TokioIo<Box<Kept<I>>>, S>;

/// What is left of a connection of hyper's that has ended, over `socket`.
fn taken_apart<I, S, B>(awake: Pin<Box<Awake<I, S>>>, socket: &TcpStream) -> Option<Asleep<'_, I>>
where
    I: AsyncRead + AsyncWrite + Unpin,
    S: HttpService<Incoming, ResBody = B> + Unpin,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let parts = Pin::into_inner(awake).into_parts()?;
    Some(Asleep::new(parts.io.into_inner(), &parts.read_buf, socket))
}

fn http1_builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        // Ours are in `lifetime`.
        .header_read_timeout(None)
        .max_buf_size(HTTP1_BUFFER.max(limits.header_size))
        .max_header_size(limits.header_size)
        .max_headers(limits.header_count)
        .keep_alive(true)
        // A client that closes its side has left: what it waits for is not worth a permit.
        .half_close(false)
        // An answer goes out when it is ready, not when its neighbours are.
        .pipeline_flush(false)
        .auto_date_header(true)
        .preserve_header_case(false)
        .title_case_headers(false)
        .allow_multiple_spaces_in_request_line_delimiters(false)
        .ignore_invalid_headers(false)
        .writev(true);
    builder
}

fn http2_builder(limits: &Limits) -> http2::Builder<Streams> {
    let mut builder = http2::Builder::new(Streams::new(limits.body_timeout));
    builder
        .timer(TokioTimer::new())
        .adaptive_window(false)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
        .max_concurrent_streams(limits.http2_streams)
        .max_frame_size(HTTP2_FRAME)
        .max_header_list_size(u32::try_from(limits.header_size).unwrap_or(u32::MAX))
        .header_table_size(HTTP2_HEADER_TABLE)
        .max_send_buf_size(HTTP2_SEND_BUFFER)
        .max_pending_accept_reset_streams(HTTP2_PENDING_RESETS)
        .max_local_error_reset_streams(HTTP2_FORCED_RESETS)
        .keep_alive_interval(HTTP2_PING)
        .keep_alive_timeout(HTTP2_PONG)
        .auto_date_header(true);
    builder
}
