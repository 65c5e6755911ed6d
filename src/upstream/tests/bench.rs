//! What the tests share: raw servers, bodies, permits that count themselves.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::clock::Clock;
use crate::config::plan::{self, Concurrency, Protocol};
use crate::upstream::{BoxError, Event, Exchanged, Failure, Guard, Outcome, Pool, Upstream, exchange};

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
pub(super) const MOMENT: Duration = Duration::from_millis(100);

/// A permit that counts itself and notes what it is told.
#[derive(Debug)]
pub(super) struct Permit {
    permits: Permits,
    told: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Permits(Arc<AtomicUsize>, Arc<Mutex<Vec<Outcome>>>);

impl Guard for Permit {
    fn outcome(&mut self, outcome: Outcome) {
        assert!(!std::mem::replace(&mut self.told, true), "told twice: {outcome:?}");
        self.permits.1.lock().unwrap().push(outcome);
    }
}

impl Permits {
    pub(super) fn take(&self) -> Permit {
        self.0.fetch_add(1, Ordering::SeqCst);
        Permit { permits: self.clone(), told: false }
    }

    /// What permits were told since the last call.
    pub(super) fn outcomes(&self) -> Vec<Outcome> {
        std::mem::take(&mut self.1.lock().unwrap())
    }

    pub(super) fn out(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    pub(super) async fn all_back(&self) {
        eventually("all permits back", || self.out() == 0).await;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        assert!(self.told || std::thread::panicking(), "dropped untold");
        self.permits.0.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(super) async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        sleep(Duration::from_millis(2)).await;
    }
}

/// A request body fed by the test, or given whole.
#[derive(Debug)]
pub(super) struct Sent {
    ready: VecDeque<Bytes>,
    more: Option<mpsc::Receiver<Result<Bytes, BoxError>>>,
}

impl Sent {
    pub(super) fn empty() -> Self {
        Self { ready: VecDeque::new(), more: None }
    }

    pub(super) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self { ready: VecDeque::from([bytes.into()]), more: None }
    }

    pub(super) fn fed() -> (mpsc::Sender<Result<Bytes, BoxError>>, Self) {
        let (sender, receiver) = mpsc::channel(1);
        (sender, Self { ready: VecDeque::new(), more: Some(receiver) })
    }
}

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(bytes) = self.ready.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        match &mut self.more {
            Some(more) => more.poll_recv(cx).map(|item| item.map(|item| item.map(Frame::data))),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ready.is_empty() && self.more.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.more {
            None => SizeHint::with_exact(self.ready.iter().map(|bytes| bytes.len() as u64).sum()),
            Some(_) => SizeHint::default(),
        }
    }
}

pub(super) type TestPool = Pool<Sent>;
pub(super) type Received = crate::upstream::Body<Sent, Permit>;

pub(super) fn plan(servers: &[SocketAddr]) -> plan::Upstream {
    let server = |address: &SocketAddr| plan::Server { authority: address.to_string().parse().unwrap(), tls: false };
    plan::Upstream {
        name: "registration".into(),
        servers: servers.iter().map(server).collect(),
        concurrency: Concurrency::Fixed(NonZeroU32::new(100).unwrap()),
        rate: None,
        connect_timeout: Duration::from_secs(5),
        response_timeout: Duration::from_secs(5),
        abandon_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(30),
        protocol: Protocol::Auto,
        roots: None,
        tls_name: None,
        idempotent: false,
        resolve: Duration::from_secs(10),
        slow_start: Duration::from_secs(10),
        health: None,
    }
}

pub(super) fn pool(plan: &plan::Upstream) -> TestPool {
    Pool::new(Upstream::new(plan, 1, &Arc::default()).unwrap(), Clock::machine())
}

pub(super) fn get() -> Request<Sent> {
    Request::get("/path?query").header("host", "service.example").body(Sent::empty()).unwrap()
}

pub(super) fn post(body: Sent) -> Request<Sent> {
    Request::post("/register").header("host", "service.example").body(body).unwrap()
}

/// A sign-up that says what may be done with it.
pub(super) fn keyed(body: Sent) -> Request<Sent> {
    let mut request = post(body);
    request.headers_mut().insert("idempotency-key", "k".parse().unwrap());
    request
}

/// The sum of `event` over all configured servers.
pub(super) fn count(pool: &TestPool, event: Event) -> u64 {
    let first = |name: &Arc<str>| pool.upstream().servers_of(name).first().map_or(0, |server| server.count(event));
    pool.upstream().configured().iter().map(first).sum()
}

pub(super) async fn send(
    pool: &TestPool,
    permits: &Permits,
    request: Request<Sent>,
) -> Result<Response<Received>, Failure> {
    match exchange(pool, request, permits.take()).await? {
        Exchanged::Response { response, .. } => Ok(response),
        Exchanged::Upgraded { .. } => panic!("upgraded"),
    }
}

pub(super) async fn frame(body: &mut Received) -> Option<Result<Frame<Bytes>, Failure>> {
    poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
}

/// Reads a body to its end.
pub(super) async fn read(response: Response<Received>) -> Result<Vec<u8>, Failure> {
    let mut body = response.into_body();
    let mut all = Vec::new();
    while let Some(frame) = frame(&mut body).await {
        all.extend_from_slice(&frame?.into_data().unwrap_or_default());
    }
    Ok(all)
}

pub(super) async fn fetch(pool: &TestPool, permits: &Permits) -> Result<Vec<u8>, Failure> {
    read(send(pool, permits, get()).await?).await
}

pub(super) fn bind() -> (SocketAddr, TcpListener) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    (listener.local_addr().unwrap(), TcpListener::from_std(listener).unwrap())
}

/// A server of raw sockets; returns its address and how many connections it has taken.
pub(super) fn serve<F, T>(connection: F) -> (SocketAddr, Arc<AtomicUsize>)
where
    F: Fn(Peer) -> T + Send + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    let (address, listener) = bind();
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(connection(Peer::new(stream)));
        }
    });
    (address, accepted)
}

/// A server's end of a connection.
pub(super) struct Peer {
    pub(super) stream: TcpStream,
    unread: Vec<u8>,
}

impl Peer {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream, unread: Vec::new() }
    }

    /// Head and body of the next request; [`None`] if the connection is over.
    pub(super) async fn request(&mut self) -> Option<(String, Vec<u8>)> {
        let head = self.head().await?;
        let length = field(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        while self.unread.len() < length {
            self.more().await?;
        }
        Some((head, self.unread.drain(..length).collect()))
    }

    /// The head only, lower case; the body is left.
    pub(super) async fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = self.unread.drain(..end + 4).collect();
                return Some(String::from_utf8(head).unwrap().to_lowercase());
            }
            self.more().await?;
        }
    }

    pub(super) async fn more(&mut self) -> Option<usize> {
        let read = self.stream.read_buf(&mut self.unread).await.ok()?;
        (read > 0).then_some(read)
    }

    pub(super) fn take_unread(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.unread)
    }

    pub(super) fn unread_ends_with(&self, end: &[u8]) -> bool {
        self.unread.ends_with(end)
    }

    pub(super) async fn say(&mut self, text: &str) -> bool {
        self.stream.write_all(text.as_bytes()).await.is_ok()
    }

    /// Returns when the client has closed the connection.
    pub(super) async fn closed(&mut self) {
        while self.more().await.is_some() {
            self.unread.clear();
        }
    }
}

pub(super) fn field(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")).map(ToOwned::to_owned))
}
