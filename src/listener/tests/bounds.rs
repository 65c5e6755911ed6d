//! Every byte and every second is bounded.

use super::*;
use crate::listener::activity::Activity;
use crate::listener::connection::Connection;
use crate::listener::connections::Slot;
use crate::listener::http::Session;
use crate::listener::rest::Kept;
use crate::listener::stream::Stream;

const SHORT: Duration = Duration::from_millis(400);

#[tokio::test]
async fn a_silent_peer_is_closed_after_header_timeout() {
    let server = Server::start(Limits { header_timeout: SHORT, ..limits() });
    let (took, answer) = read_to_close(&mut server.connect().await).await;
    about(took, SHORT);
    assert_eq!(answer, "");
    server.ends_by(Cause::Silent).await;
}

#[tokio::test]
async fn a_silent_peer_is_closed_after_header_timeout_under_tls() {
    let server = Server::tls(Limits { header_timeout: SHORT, ..limits() });
    let (took, _) = read_to_close(&mut server.connect().await).await;
    about(took, SHORT);
    server.ends_by(Cause::TlsTimeout).await;
}

#[tokio::test]
async fn silence_after_the_handshake_is_closed_after_header_timeout() {
    let server = Server::tls(Limits { header_timeout: SHORT, ..limits() });
    let mut stream = protocols::tls(&server, &[]).await;
    let begun = Instant::now();
    assert_eq!(timeout(LONG, stream.read(&mut [0; 1])).await.unwrap().unwrap(), 0, "closed without close_notify");
    about(begun.elapsed(), SHORT);
    server.ends_by(Cause::Silent).await;
}

#[tokio::test]
async fn a_partial_preface_and_then_silence_is_closed_after_header_timeout() {
    let server = Server::start(Limits { header_timeout: SHORT, ..limits() });
    let mut socket = server.connect().await;
    socket.write_all(b"PRI * HT").await.unwrap();
    let (took, _) = read_to_close(&mut socket).await;
    about(took, SHORT);
    server.ends_by(Cause::Silent).await;
}

#[tokio::test]
async fn a_whole_preface_and_then_silence_is_closed_after_header_timeout() {
    let server = Server::start(Limits { header_timeout: SHORT, ..limits() });
    let mut socket = server.connect().await;
    socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let (took, _) = read_to_close(&mut socket).await;
    // Asked to close, and cut when it does not say that it has understood.
    assert!(took >= SHORT && took < Duration::from_secs(6), "{took:?}");
    server.ends_by(Cause::Silent).await;
}

#[tokio::test]
async fn a_slow_first_head_is_closed_after_header_timeout() {
    let server = Server::start(Limits { header_timeout: SHORT, ..limits() });
    let mut socket = server.connect().await;
    let begun = Instant::now();
    for byte in b"GET / HTTP/1.1\r\nhost: a\r\nx: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" {
        if socket.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(read_to_close(&mut socket).await.0 < SHORT);
    assert!(begun.elapsed() >= SHORT);
    server.ends_by(Cause::HeaderTimeout).await;
}

#[tokio::test]
async fn a_later_head_has_header_timeout_from_its_first_byte() {
    let server = Server::start(Limits { header_timeout: SHORT, idle_timeout: LONG, ..limits() });
    let mut socket = server.connect().await;
    exchange(&mut socket).await;
    // Idle for longer than a head may take.
    tokio::time::sleep(SHORT * 2).await;
    exchange(&mut socket).await;
    tokio::time::sleep(SHORT * 2).await;
    socket.write_all(b"GET / HT").await.unwrap();
    let (took, _) = read_to_close(&mut socket).await;
    about(took, SHORT);
    server.ends_by(Cause::HeaderTimeout).await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_idle_timeout() {
    let idle = Duration::from_millis(900);
    let server = Server::start(Limits { header_timeout: Duration::from_millis(200), idle_timeout: idle, ..limits() });
    let mut socket = server.connect().await;
    exchange(&mut socket).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    exchange(&mut socket).await;
    let (took, _) = read_to_close(&mut socket).await;
    about(took, idle);
    server.ends_by(Cause::Idle).await;
}

#[tokio::test]
async fn a_request_in_flight_is_not_idle() {
    let server = Server::start(Limits {
        header_timeout: Duration::from_millis(100),
        idle_timeout: Duration::from_millis(150),
        ..limits()
    });
    let mut socket = server.connect().await;
    socket.write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    server.held(1).await;
    tokio::time::sleep(Duration::from_millis(600)).await;
    server.service.release.notify_one();
    read_until(&mut socket, "released").await;
    about(read_to_close(&mut socket).await.0, Duration::from_millis(150));
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_closed_after_body_timeout() {
    let server = Server::start(Limits { body_timeout: SHORT, ..limits() });
    let mut socket = server.connect().await;
    let begun = Instant::now();
    socket.write_all(b"GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    server.ends_by(Cause::Stalled).await;
    about(begun.elapsed(), SHORT);
    eventually(|| server.open() == 0).await;
}

#[tokio::test]
async fn a_client_that_takes_slowly_is_served() {
    let server = Server::start(Limits { body_timeout: Duration::from_secs(1), ..limits() });
    let mut socket = server.connect().await;
    socket.write_all(b"GET /endless HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut bytes = vec![0; 4 * 1024 * 1024];
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_ne!(socket.read(&mut bytes).await.unwrap(), 0);
    }
    assert_eq!(server.connections.ended(Cause::Stalled), 0);
}

#[tokio::test]
async fn heads_beyond_the_limits_are_answered_431() {
    let server = Server::start(limits());
    for head in [
        format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(17 * 1024)),
        format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "a".repeat(17 * 1024)),
        format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(70_000)),
        format!("GET / HTTP/1.1\r\n{}\r\n", "x: a\r\n".repeat(65)),
    ] {
        let mut socket = server.connect().await;
        socket.write_all(head.as_bytes()).await.unwrap();
        let (_, answer) = read_to_close(&mut socket).await;
        assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
    }
    let mut socket = server.connect().await;
    let head = format!("GET / HTTP/1.1\r\n{}connection: close\r\n\r\n", "x: a\r\n".repeat(63));
    socket.write_all(head.as_bytes()).await.unwrap();
    assert!(read_to_close(&mut socket).await.1.starts_with("HTTP/1.1 200"));
    assert_eq!(server.connections.ended(Cause::Malformed), 4);
}

#[tokio::test]
async fn an_answer_to_a_client_that_still_sends_is_not_destroyed_by_a_reset() {
    let server = Server::start(limits());
    let mut socket = server.connect().await;
    socket.write_all(b"G\0T / HTTP/1.1\r\n").await.unwrap();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        socket.write_all(&[b'x'; 8 * 1024]).await.expect("reset");
    }
    let mut answer = String::new();
    timeout(LONG, socket.read_to_string(&mut answer)).await.unwrap().expect("reset");
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[tokio::test]
async fn what_hyper_answers_by_itself() {
    let server = Server::start(limits());
    for (head, status) in [
        ("G\0T / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/2.0\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nx y: z\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", "400"),
        ("POST / HTTP/1.1\r\ntransfer-encoding: chunked, gzip\r\n\r\n", "400"),
        ("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n", "400"),
        ("PRI * HTTP/2.0\r\n\r\nXX", "400"),
    ] {
        let mut socket = server.connect().await;
        socket.write_all(head.as_bytes()).await.unwrap();
        let (_, answer) = read_to_close(&mut socket).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{head:?}: {answer}");
    }
}

#[tokio::test]
async fn garbage_without_end_is_cut() {
    let server = Server::start(limits());
    let chunk = vec![0xfe; 64 * 1024];
    for first in [&b"\xfe\xfe"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let mut socket = server.connect().await;
        socket.write_all(first).await.unwrap();
        let mut taken = 0_usize;
        while taken < 2_000_000_000 && socket.write_all(&chunk).await.is_ok() {
            taken += chunk.len();
        }
        assert!(taken < 32_000_000, "took {taken} bytes");
    }
    exchange(&mut server.connect().await).await;
}

#[tokio::test]
async fn a_health_check_that_only_connects_is_no_error() {
    let server = Server::start(limits());
    drop(server.connect().await);
    server.ends_by(Cause::Departed).await;
    eventually(|| server.open() == 0).await;
}

/// What an HTTP/1 connection at rest holds: its task, the future of its protocol, its stream, and its facts.
#[tokio::test]
async fn a_connection_costs_what_is_written_here() {
    let server = Server::start(limits());
    let socket = server.connect().await;
    let permit = server.connections.slots().clone().try_acquire_owned().unwrap();
    let slot = Slot::take(&server.connections, &Arc::default(), permit);
    let (_drain, signal) = drain();
    let limits = Arc::new(limits());
    let peer = server.address;
    let connection = || Connection::new(&server.service, &limits, &server.connections, (None, false), signal.clone());

    let socket = Arc::new(socket);
    let activity = Activity::new(slot);
    let session = Session {
        attend: Arc::clone(&server.service),
        peer: Arc::new(Peer {
            address: peer,
            may_speak_for_others: true,
            tls: false,
            certificate: std::sync::OnceLock::new(),
            inside: AtomicBool::new(false),
            socket: Arc::clone(&socket),
        }),
        activity: Arc::clone(&activity),
        limits: Arc::clone(&limits),
        drain: signal.clone(),
    };
    let stream = Box::new(Kept::new(Stream::new(socket, Arc::clone(&activity), LONG), activity));
    let (kept, http1) = (size_of_val(&*stream), size_of_val(&session.http1(stream)));

    let permit = server.connections.slots().clone().try_acquire_owned().unwrap();
    let slot = Slot::take(&server.connections, &Arc::default(), permit);
    let task = size_of_val(&connection().run(server.connect().await, peer, slot));
    assert_eq!((task, http1, kept, size_of::<Activity>()), (112, 384, 128, 144));
    assert_eq!(size_of::<Peer>(), 64);
}
