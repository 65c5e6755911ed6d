//! Bodies of any size in bounded memory; whose silence counts.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body::Frame;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep};

use super::bench::{MOMENT, Permits, Sent, fetch, frame, get, plan, pool, post, read, send, serve};
use crate::clock::Clock;
use crate::upstream::{BoxError, Event, Exchanged, Failure, Pool, Upstream, exchange};

const LARGE: usize = 100 * 1024 * 1024;
const PART: usize = 64 * 1024;

/// 100 MiB, counting what of it is made but not yet dropped.
#[derive(Debug)]
struct Large {
    left: usize,
    alive: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

struct Part(Vec<u8>, Arc<AtomicUsize>);

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.1.fetch_sub(self.0.len(), Ordering::SeqCst);
    }
}

impl http_body::Body for Large {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.left -= PART;
        let alive = self.alive.fetch_add(PART, Ordering::SeqCst) + PART;
        self.most.fetch_max(alive, Ordering::SeqCst);
        let part = Part(vec![7; PART], Arc::clone(&self.alive));
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(part)))))
    }
}

/// An echo of 100 MiB, chunked both ways: at no time is more than a few buffers of it anywhere in here.
#[tokio::test]
async fn large_bodies_stream_both_ways_in_bounded_memory() {
    let (address, _) = serve(async |mut peer| {
        let head = peer.head().await.unwrap();
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        peer.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        // The chunks themselves are echoed as they came.
        let mut buffer = vec![0; PART];
        let mut tail = peer.take_unread();
        peer.stream.write_all(&tail).await.unwrap();
        while !tail.ends_with(b"\r\n0\r\n\r\n") {
            let read = peer.stream.read(&mut buffer).await.unwrap();
            peer.stream.write_all(&buffer[..read]).await.unwrap();
            tail.extend_from_slice(&buffer[..read]);
            tail.drain(..tail.len().saturating_sub(16));
        }
        peer.closed().await;
    });
    let pool = Pool::new(Upstream::new(&plan(&[address]), 1, &Arc::default()).unwrap(), Clock::machine());
    let permits = Permits::default();
    let (alive, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let body = Large { left: LARGE, alive: Arc::clone(&alive), most: Arc::clone(&most) };
    let request = Request::post("/").body(body).unwrap();
    let Ok(Exchanged::Response { response, .. }) = exchange(&pool, request, permits.take()).await else { panic!() };
    let mut body = response.into_body();
    let (mut received, mut largest) = (0, 0);
    while let Some(frame) = std::future::poll_fn(|cx| http_body::Body::poll_frame(Pin::new(&mut body), cx)).await {
        let data = frame.unwrap().into_data().unwrap();
        received += data.len();
        largest = largest.max(data.len());
        assert!(data.iter().all(|&byte| byte == 7));
    }
    assert_eq!(received, LARGE);
    assert!(largest <= 64 * 1024, "a frame of {largest} bytes");
    assert!(most.load(Ordering::SeqCst) <= 1024 * 1024, "{} bytes at once", most.load(Ordering::SeqCst));
    assert_eq!((alive.load(Ordering::SeqCst), permits.out()), (0, 0));
}

/// The reader is told; the permit stays with the service, which has not stopped working because we stopped waiting.
#[tokio::test]
async fn silence_within_the_response_ends_it_for_the_reader_only() {
    let (address, accepted) = serve(async |mut peer| {
        while peer.request().await.is_some() {
            peer.say("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nab").await;
            sleep(MOMENT).await;
            peer.say("cd").await;
            sleep(MOMENT * 6).await;
            peer.say("ef").await;
        }
    });
    let mut plan = plan(&[address]);
    plan.response_timeout = MOMENT * 2;
    let (pool, permits) = (pool(&plan), Permits::default());
    let start = Instant::now();
    let mut body = send(&pool, &permits, get()).await.unwrap().into_body();
    assert_eq!(frame(&mut body).await.unwrap().unwrap().into_data().unwrap(), "ab");
    assert_eq!(frame(&mut body).await.unwrap().unwrap().into_data().unwrap(), "cd");
    let failure = frame(&mut body).await.unwrap().unwrap_err();
    assert!(matches!(failure, Failure::ResponseTimeout), "{failure:?}");
    assert!(start.elapsed() >= MOMENT * 3, "{:?}: counted from the last part", start.elapsed());
    assert!(frame(&mut body).await.is_none());
    assert_eq!(permits.out(), 1, "the upstream is still working");
    permits.all_back().await;
    assert!(start.elapsed() >= MOMENT * 7, "{:?}: only when it had answered to the end", start.elapsed());
    let server = pool.upstream().servers().next().unwrap();
    assert_eq!((server.idle(), server.count(Event::ResponseTimeouts)), (1, 1), "the connection survived");
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

/// A service that sends its head at once and then works for ever: cut at the abandon timeout, the connection first.
#[tokio::test]
async fn silence_within_the_response_is_cut_at_the_abandon_timeout() {
    let closed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&closed);
    let (address, _) = serve(move |mut peer| {
        let seen = Arc::clone(&seen);
        async move {
            peer.request().await;
            peer.say("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nab").await;
            peer.closed().await;
            seen.store(true, Ordering::SeqCst);
        }
    });
    let mut plan = plan(&[address]);
    (plan.response_timeout, plan.abandon_timeout) = (MOMENT, MOMENT * 5);
    let (pool, permits) = (pool(&plan), Permits::default());
    let start = Instant::now();
    let response = send(&pool, &permits, get()).await.unwrap();
    assert!(read(response).await.is_err());
    assert_eq!(permits.out(), 1);
    permits.all_back().await;
    assert!(start.elapsed() >= MOMENT * 5, "{:?}", start.elapsed());
    sleep(MOMENT).await;
    assert!(closed.load(Ordering::SeqCst));
    assert_eq!(pool.upstream().servers().next().unwrap().count(Event::Abandoned), 1);
}

#[tokio::test]
async fn client_that_reads_slowly_is_not_the_upstreams_silence() {
    let (address, _) = serve(async |mut peer| {
        peer.request().await;
        peer.say("HTTP/1.1 200 OK\r\ncontent-length: 400000\r\n\r\n").await;
        peer.say(&"x".repeat(400_000)).await;
        peer.closed().await;
    });
    let mut plan = plan(&[address]);
    plan.response_timeout = MOMENT;
    let (pool, permits) = (pool(&plan), Permits::default());
    let mut body = send(&pool, &permits, get()).await.unwrap().into_body();
    let mut received = 0;
    for _ in 0..3 {
        received += frame(&mut body).await.unwrap().unwrap().into_data().unwrap().len();
        sleep(MOMENT * 2).await;
    }
    while let Some(frame) = frame(&mut body).await {
        received += frame.unwrap().into_data().unwrap().len();
    }
    assert_eq!((received, permits.out()), (400_000, 0));
}

#[tokio::test]
async fn client_that_sends_slowly_is_not_the_upstreams_silence() {
    let (address, _) = serve(async |mut peer| {
        peer.head().await;
        while !peer.unread_ends_with(b"0\r\n\r\n") {
            peer.more().await.unwrap();
        }
        peer.say(super::bench::OK).await;
        peer.closed().await;
    });
    let mut plan = plan(&[address]);
    plan.response_timeout = MOMENT;
    let (pool, permits) = (pool(&plan), Permits::default());
    let (feed, upload) = Sent::fed();
    tokio::spawn(async move {
        for _ in 0..3 {
            sleep(MOMENT * 2).await;
            feed.send(Ok(Bytes::from_static(b"part"))).await.unwrap();
        }
    });
    assert_eq!(read(send(&pool, &permits, post(upload)).await.unwrap()).await.unwrap(), b"ok");
    assert_eq!(pool.upstream().servers().next().unwrap().idle(), 1);
}

#[tokio::test]
async fn upstream_that_does_not_take_the_request_is_silent() {
    let (address, _) = serve(async |mut peer| {
        peer.head().await;
        sleep(Duration::from_mins(1)).await;
    });
    let mut plan = plan(&[address]);
    (plan.response_timeout, plan.abandon_timeout) = (MOMENT, MOMENT * 3);
    let pool = Pool::new(Upstream::new(&plan, 1, &Arc::default()).unwrap(), Clock::machine());
    let (alive, most, permits) = (Arc::default(), Arc::default(), Permits::default());
    let request = Request::post("/").body(Large { left: LARGE, alive, most }).unwrap();
    let failure = exchange(&pool, request, permits.take()).await.unwrap_err();
    assert!(matches!(failure, Failure::ResponseTimeout), "{failure:?}");
    assert_eq!(permits.out(), 1);
    permits.all_back().await;
}

#[tokio::test]
async fn trailers_pass_and_end_the_exchange() {
    let (address, accepted) = serve(async |mut peer| {
        while peer.request().await.is_some() {
            peer.say(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: sum\r\n\r\n2\r\nok\r\n0\r\nsum: 1\r\n\r\n",
            )
            .await;
        }
    });
    let (pool, permits) = (pool(&plan(&[address])), Permits::default());
    let mut body = send(&pool, &permits, get()).await.unwrap().into_body();
    assert_eq!(frame(&mut body).await.unwrap().unwrap().into_data().unwrap(), "ok");
    let trailers = frame(&mut body).await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers["sum"], "1");
    assert_eq!(permits.out(), 0, "nobody polls after trailers");
    drop(body);
    fetch(&pool, &permits).await.unwrap();
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}
