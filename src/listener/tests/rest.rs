//! A connection at rest is one to its client as if it had never been taken apart.
//!
//! Each waits for longer than it takes until a connection comes to rest.

use super::*;

/// Longer than a connection has to be quiet.
const RESTED: Duration = Duration::from_millis(1_400);

async fn rested() {
    tokio::time::sleep(RESTED).await;
}

#[tokio::test]
async fn what_came_before_its_rest_is_read_after_it() {
    let server = Server::start(limits());
    let mut socket = server.connect().await;
    // The head of the second request comes in three parts, the first with the whole of the first request.
    socket.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\nPOST /up").await.unwrap();
    read_until(&mut socket, "hello").await;
    rested().await;
    socket.write_all(b"load HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\n").await.unwrap();
    rested().await;
    socket.write_all(b"abc").await.unwrap();
    assert!(read_until(&mut socket, "\r\n\r\n3").await.starts_with("HTTP/1.1 200"));
    rested().await;
    exchange(&mut socket).await;
    assert_eq!(server.connections.open(Kind::Http1), 1);
}

#[tokio::test]
async fn what_is_left_of_a_request_after_its_answer_is_never_the_next_request() {
    let server = Server::start(limits());
    let mut socket = server.connect().await;
    let smuggled = "GET /wait HTTP/1.1\r\nhost: a\r\n\r\n";
    let head = format!("POST /early HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", smuggled.len());
    socket.write_all(head.as_bytes()).await.unwrap();
    read_until(&mut socket, "hello").await;
    rested().await;
    socket.write_all(smuggled.as_bytes()).await.unwrap();
    let (_, after) = read_to_close(&mut socket).await;
    assert_eq!(after, "");
    assert_eq!(server.service.waiting.load(Ordering::SeqCst), 0, "the body was taken for a request");
}

#[tokio::test]
async fn a_request_that_wanted_an_upgrade_and_got_an_answer_does_not_end_its_connection() {
    let server = Server::start(limits());
    let mut socket = server.connect().await;
    socket.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n").await.unwrap();
    read_until(&mut socket, "hello").await;
    rested().await;
    exchange(&mut socket).await;
}

#[tokio::test]
async fn its_clocks_go_on() {
    let idle = RESTED + Duration::from_millis(600);
    let head = Duration::from_millis(700);
    let server = Server::start(Limits { idle_timeout: idle, header_timeout: head, ..limits() });
    let mut silent = server.connect().await;
    exchange(&mut silent).await;
    about(read_to_close(&mut silent).await.0, idle);
    server.ends_by(Cause::Idle).await;

    let mut slow = server.connect().await;
    exchange(&mut slow).await;
    rested().await;
    slow.write_all(b"GET / HT").await.unwrap();
    about(read_to_close(&mut slow).await.0, head);
    server.ends_by(Cause::HeaderTimeout).await;
}

#[tokio::test]
async fn a_session_that_has_asked_nothing_rests_too_and_is_silent_in_time() {
    let silence = RESTED + Duration::from_millis(600);
    let server = Server::tls(Limits { header_timeout: silence, ..limits() });
    let mut silent = protocols::tls(&server, &[]).await;
    let begun = Instant::now();
    let mut late = protocols::tls(&server, &[]).await;
    rested().await;
    late.write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    server.held(1).await;
    assert_eq!(timeout(LONG, silent.read(&mut [0; 1])).await.unwrap().unwrap(), 0, "closed without close_notify");
    about(begun.elapsed(), silence);
    server.ends_by(Cause::Silent).await;
}

#[tokio::test]
async fn who_leaves_is_gone() {
    let server = Server::start(limits());
    let mut socket = server.connect().await;
    exchange(&mut socket).await;
    rested().await;
    drop(socket);
    server.ends_by(Cause::Done).await;
    eventually(|| server.open() == 0).await;
}

#[tokio::test]
async fn short_of_memory_it_is_closed_at_once_unless_somebody_inside_has_spoken() {
    let server = Server::start(limits());
    let (mut outside, mut inside) = (server.connect().await, server.connect().await);
    exchange(&mut outside).await;
    inside.write_all(b"GET /inside HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    read_until(&mut inside, "hello").await;
    rested().await;
    server.connections.set_memory_short(true);
    server.drain.nudge().all();
    assert!(read_to_close(&mut outside).await.0 < Duration::from_millis(900));
    server.ends_by(Cause::Shed).await;
    exchange(&mut inside).await;
}

#[tokio::test]
async fn a_drain_closes_it_at_once_and_answers_whoever_has_spoken() {
    let server = Server::start(limits());
    let (mut quiet, mut speaking) = (server.connect().await, server.connect().await);
    exchange(&mut quiet).await;
    exchange(&mut speaking).await;
    rested().await;
    speaking.write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    server.held(1).await;
    server.drain.begin();
    let (took, said) = read_to_close(&mut quiet).await;
    assert!(took < Duration::from_millis(900) && said.is_empty(), "{took:?} {said}");
    server.service.release.notify_one();
    assert!(read_to_close(&mut speaking).await.1.ends_with("released"));
    server.ends_by(Cause::Drained).await;
    drop((quiet, speaking));
    timeout(LONG, server.running).await.expect("the drain does not end").unwrap().unwrap();
}

#[tokio::test]
async fn told_to_make_room_it_goes_at_once_and_answers_whoever_has_spoken() {
    let server = Server::start(limits());
    let (mut quiet, mut speaking) = (server.connect().await, server.connect().await);
    exchange(&mut quiet).await;
    exchange(&mut speaking).await;
    rested().await;
    // Before the connection's task has its turn.
    assert_eq!(speaking.try_write(WAIT).unwrap(), WAIT.len());
    server.connections.quiet.dismiss(2, Instant::now());
    let (took, said) = read_to_close(&mut quiet).await;
    assert!(took < Duration::from_millis(900) && said.is_empty(), "{took:?} {said}");
    server.ends_by(Cause::Displaced).await;
    server.held(1).await;
    server.service.release.notify_one();
    let (_, answer) = read_to_close(&mut speaking).await;
    assert!(answer.contains("connection: close") && answer.ends_with("released"), "{answer}");
    server.ends_by(Cause::Done).await;
}

#[tokio::test]
async fn told_to_make_room_under_tls_it_says_that_it_goes_unless_it_has_asked_nothing() {
    let server = Server::tls(limits());
    let (mut silent, mut idle) = (protocols::tls(&server, &[]).await, protocols::tls(&server, &[]).await);
    idle.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert_ne!(timeout(LONG, idle.read(&mut [0; 4096])).await.unwrap().unwrap(), 0);
    rested().await;
    server.connections.quiet.dismiss(2, Instant::now());
    assert_eq!(timeout(LONG, idle.read(&mut [0; 1])).await.unwrap().expect("no close_notify"), 0);
    assert!(timeout(LONG, silent.read(&mut [0; 1])).await.unwrap().is_err(), "not reset");
    eventually(|| server.connections.ended(Cause::Displaced) == 2).await;
}

#[tokio::test]
async fn under_tls_it_is_the_same_session_and_its_end_is_said() {
    let server = Server::tls(limits());
    let mut stream = protocols::tls(&server, &[]).await;
    for _ in 0..2 {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        assert_ne!(timeout(LONG, stream.read(&mut [0; 4096])).await.unwrap().unwrap(), 0);
        rested().await;
    }
    server.drain.begin();
    assert_eq!(timeout(LONG, stream.read(&mut [0; 1])).await.unwrap().expect("no close_notify"), 0);
    server.ends_by(Cause::Drained).await;
}
