//! Requests over real sockets, to a small service of this test.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::StatusCode;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use super::form::Blank;
use super::*;
use crate::origin::server::speak;

const PERSON: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 1);

/// What the service has seen.
#[derive(Debug, Default)]
struct Seen {
    connections: AtomicUsize,
    bytes: AtomicUsize,
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("bound");
    (TcpListener::from_std(listener).expect("a listener"), address)
}

/// Answers 201 after `works`, and closes connections idle for so long.
fn service(works: Duration, idle: Duration) -> (SocketAddr, Arc<Seen>) {
    let (listener, address) = listener();
    let seen = Arc::new(Seen::default());
    let counts = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            seen.connections.fetch_add(1, Ordering::Relaxed);
            let seen = Arc::clone(&seen);
            let answer = move |request: Request<Incoming>| {
                let seen = Arc::clone(&seen);
                async move {
                    let mut body = request.into_body();
                    while let Some(Ok(frame)) = body.frame().await {
                        seen.bytes.fetch_add(frame.data_ref().map_or(0, Bytes::len), Ordering::Relaxed);
                    }
                    sleep(works).await;
                    let mut response = Response::new(Full::new(Bytes::from_static(b"{}")));
                    *response.status_mut() = StatusCode::CREATED;
                    Ok::<_, std::convert::Infallible>(response)
                }
            };
            tokio::spawn(timeout(idle, speak(stream, answer)));
        }
    });
    (address, counts)
}

fn call(to: SocketAddr, way: Way, blank: &Blank, deadline: Duration) -> Call {
    let request = Request::post("/register").body(blank.form(None)).expect("a request");
    Call { to, from: PERSON, way, request, deadline }
}

fn wire(sockets: usize) -> (Arc<Wire>, Clock) {
    let clock = Clock::start();
    (Arc::new(Wire::new(clock, None, sockets, false)), clock)
}

fn status(landed: &Landed) -> Result<u16, Ending> {
    landed.reply.as_ref().map(|reply| reply.status).map_err(|ending| *ending)
}

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_connection_is_used_again_while_it_is_open() {
    let (to, seen) = service(Duration::ZERO, Duration::from_millis(300));
    let (wire, _) = wire(10);
    let blank = Blank::new(100_000);
    let first = wire.carry(call(to, Way::Http1(None), &blank, SOON)).await;
    assert_eq!(status(&first), Ok(201));
    let second = wire.carry(call(to, Way::Http1(first.kept), &blank, SOON)).await;
    assert_eq!((status(&second), seen.connections.load(Ordering::Relaxed)), (Ok(201), 1));
    assert_eq!(wire.free(), 9);
    // Closed by the service meanwhile: another one.
    sleep(Duration::from_millis(500)).await;
    let third = wire.carry(call(to, Way::Http1(second.kept), &blank, SOON)).await;
    assert_eq!((status(&third), seen.connections.load(Ordering::Relaxed)), (Ok(201), 2));
    assert_eq!(seen.bytes.load(Ordering::Relaxed), 300_000);
    drop(third);
    assert_eq!(wire.free(), 10);
}

#[tokio::test]
async fn streams_share_a_connection() {
    let (to, seen) = service(Duration::from_millis(50), SOON);
    let (wire, _) = wire(10);
    let (lane, blank) = (Arc::new(Lane::new(to, PERSON)), Blank::new(70));
    let calls = (0..20).map(|_| {
        let (wire, call) = (Arc::clone(&wire), call(to, Way::Http2(Arc::clone(&lane)), &blank, SOON));
        tokio::spawn(async move { wire.carry(call).await })
    });
    for landed in calls.collect::<Vec<_>>() {
        assert_eq!(status(&landed.await.expect("carried")), Ok(201));
    }
    assert_eq!((seen.connections.load(Ordering::Relaxed), wire.free()), (1, 9));
    // The last of its people leaves.
    drop(lane);
    timeout(SOON, async {
        while wire.free() < 10 {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("closed");
}

#[tokio::test]
async fn impatience_is_not_the_harness_and_want_of_sockets_is() {
    let (to, _) = service(SOON, SOON);
    let (wire, clock) = wire(1);
    let blank = Blank::new(70);
    let held = {
        let (wire, call) = (Arc::clone(&wire), call(to, Way::Http1(None), &blank, SOON));
        tokio::spawn(async move { wire.carry(call).await })
    };
    while wire.free() > 0 {
        sleep(Duration::from_millis(5)).await;
    }
    let patience = Duration::from_millis(100);
    let none = wire.carry(call(to, Way::Http1(None), &blank, clock.now() + patience)).await;
    assert_eq!(status(&none), Err(Ending::Harness));
    held.abort();
    let impatient = wire.carry(call(to, Way::Http1(None), &blank, clock.now() + patience)).await;
    assert_eq!(status(&impatient), Err(Ending::BrokenOff));
    assert!(impatient.ended >= impatient.sent + Duration::from_millis(90), "{impatient:?}");
}

#[tokio::test]
async fn want_of_sockets_is_the_harness_over_http2_too() {
    // It takes connections and never speaks.
    let (listener, to) = listener();
    let (wire, clock) = wire(1);
    let blank = Blank::new(70);
    let until = clock.now() + Duration::from_millis(100);
    let lane = || Way::Http2(Arc::new(Lane::new(to, PERSON)));
    let held = wire.socket().await.expect("a socket");
    let shared = Arc::new(Lane::new(to, PERSON));
    let both =
        [Way::Http2(Arc::clone(&shared)), Way::Http2(Arc::clone(&shared))].map(|way| call(to, way, &blank, until));
    let [first, second] = both.map(|call| wire.carry(call));
    let (first, second) = tokio::join!(first, second);
    assert_eq!((status(&first), status(&second)), (Err(Ending::Harness), Err(Ending::Harness)));
    drop(held);
    let later = clock.now() + Duration::from_millis(100);
    let impatient = wire.carry(call(to, lane(), &blank, later)).await;
    assert_eq!(status(&impatient), Err(Ending::BrokenOff));
    assert!(impatient.ended >= impatient.sent + Duration::from_millis(50), "{impatient:?}");
    drop(listener);
}

#[tokio::test]
async fn what_breaks_is_told_apart() {
    let (listener, to) = listener();
    let (wire, _) = wire(10);
    let blank = Blank::new(70);
    let closes = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut piece = [0; 64];
        assert!(stream.read(&mut piece).await.expect("a request") > 0);
        stream.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 9\r\n\r\nhalf").await.expect("half an answer");
    });
    assert_eq!(status(&wire.carry(call(to, Way::Http1(None), &blank, SOON)).await), Err(Ending::Cut));
    closes.await.expect("closed, and the listener with it");
    assert_eq!(status(&wire.carry(call(to, Way::Http1(None), &blank, SOON)).await), Err(Ending::Unreachable));
    let lane = Way::Http2(Arc::new(Lane::new(to, PERSON)));
    assert_eq!(status(&wire.carry(call(to, lane, &blank, SOON)).await), Err(Ending::Unreachable));
}

/// A server that refuses what is too large reads its head, answers, and closes with the rest unread, which resets the connection.
#[tokio::test]
async fn an_answer_before_the_end_of_a_large_body_is_heard() {
    let (listener, to) = listener();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut piece = [0; 1_024];
            assert!(stream.read(&mut piece).await.expect("a head") > 0);
            let answer =
                b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 7\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(answer).await.expect("an answer");
        }
    });
    let (wire, _) = wire(10);
    let blank = Blank::new(2 << 20);
    for attempt in 0..20 {
        let landed = wire.carry(call(to, Way::Http1(None), &blank, SOON)).await;
        assert_eq!(status(&landed), Ok(503), "attempt {attempt}");
    }
}

#[tokio::test]
async fn a_head_drips_and_the_answer_is_heard() {
    let (listener, to) = listener();
    let (wire, clock) = wire(10);
    let timed_out = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut heard = 0;
        let mut piece = [0; 64];
        let patience = sleep(Duration::from_millis(600));
        let mut patience = std::pin::pin!(patience);
        loop {
            tokio::select! {
                length = stream.read(&mut piece) => heard += length.expect("it drips"),
                () = &mut patience => break,
            }
        }
        stream.write_all(b"HTTP/1.1 408 Request Timeout\r\n\r\n").await.expect("an answer");
        heard
    });
    let landed = wire.carry(call(to, Way::SlowHead(20), &Blank::new(0), SOON)).await;
    let heard = timed_out.await.expect("answered");
    assert!(status(&landed) == Ok(408) && (4..=14).contains(&heard), "{heard} bytes, {landed:?}");
    assert!(clock.now() >= Duration::from_millis(600));
}

#[tokio::test]
async fn silence_says_nothing_and_takes_nobodys_socket() {
    let (listener, to) = listener();
    let clock = Clock::start();
    let wire = Arc::new(Wire::new(clock, None, 5, true));
    let until = clock.now() + Duration::from_millis(900);
    let silent = (0..3).map(|_| {
        let wire = Arc::clone(&wire);
        tokio::spawn(async move { wire.keep_silent(PERSON, to, until).await })
    });
    let silent: Vec<_> = silent.collect();
    let (mut first, from) = listener.accept().await.expect("a connection");
    let (second, _) = listener.accept().await.expect("a connection");
    assert_eq!((from.ip(), wire.free()), (PERSON.into(), 3));
    // Half of the sockets and no more, also for a moment after one was closed on.
    drop(second);
    assert!(timeout(Duration::from_millis(300), listener.accept()).await.is_err(), "a third silent connection");
    let mut piece = [0; 8];
    assert_eq!(first.read(&mut piece).await.expect("closed in the end"), 0);
    for silent in silent {
        silent.await.expect("over");
    }
    assert_eq!(wire.free(), 3);
}

#[tokio::test]
async fn what_waits_for_a_socket_was_not_sent() {
    const HELD: Duration = Duration::from_millis(300);
    let ((to, _), (wire, clock)) = (service(Duration::ZERO, SOON), wire(1));
    let blank = Blank::new(70);
    let first = wire.carry(call(to, Way::Http1(None), &blank, SOON)).await;
    let lane = Arc::new(Lane::new(to, PERSON));
    let waits = [(); 2].map(|()| {
        let (wire, call) = (Arc::clone(&wire), call(to, Way::Http2(Arc::clone(&lane)), &blank, SOON));
        tokio::spawn(async move { wire.carry(call).await })
    });
    sleep(HELD).await;
    let since = clock.now();
    drop(first);
    for landed in waits {
        let landed = landed.await.expect("carried");
        assert!(status(&landed) == Ok(201) && landed.sent >= since, "{landed:?}");
    }
}
