//! The end of service.

use super::protocols::http2;
use super::*;

#[tokio::test]
async fn a_drain_finishes_what_is_in_flight_and_closes_what_is_idle_at_once() {
    let server = Server::start(limits());
    let mut busy = server.connect().await;
    let mut idle = server.connect().await;
    let mut silent = server.connect().await;
    exchange(&mut idle).await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    server.held(1).await;

    server.drain.begin();
    assert!(read_to_close(&mut idle).await.0 < Duration::from_millis(200));
    assert!(read_to_close(&mut silent).await.0 < Duration::from_millis(500));
    eventually(|| std::net::TcpStream::connect(server.address).is_err()).await;
    assert!(!server.running.is_finished());

    server.service.release.notify_one();
    let (_, answer) = read_to_close(&mut busy).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("released"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    drop((busy, idle, silent));
    timeout(LONG, server.running).await.unwrap().unwrap().unwrap();
    assert_eq!(server.connections.ended(Cause::Drained), 3);
}

#[tokio::test]
async fn a_drain_says_goaway_and_finishes_the_streams() {
    let server = Server::start(limits());
    let (sender, connection) = http2(server.connect().await).await;
    let mut busy = sender.clone();
    let answer = tokio::spawn(async move { busy.send_request(get("/wait")).await });
    server.held(1).await;
    server.drain.begin();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(sender.clone().send_request(get("/")).await.is_err(), "a request after GOAWAY");
    server.service.release.notify_one();
    assert_eq!(body(answer.await.unwrap().unwrap()).await, "released");
    // GOAWAY without an error ends the client's connection well.
    timeout(LONG, connection).await.unwrap().unwrap().unwrap();
    timeout(LONG, server.running).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn what_does_not_end_is_cut_after_drain_timeout() {
    let patience = Duration::from_millis(400);
    let server = Server::start(Limits { drain_timeout: patience, ..limits() });
    let mut held = server.connect().await;
    held.write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut tunnel = server.connect().await;
    tunnel
        .write_all(b"GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut tunnel, "\r\n\r\n").await;
    server.held(1).await;
    eventually(|| server.connections.open(Kind::Tunnel) == 1).await;

    let begun = Instant::now();
    server.drain.begin();
    timeout(LONG, server.running).await.unwrap().unwrap().unwrap();
    about(begun.elapsed(), patience);
    assert_eq!(read_to_close(&mut held).await.1, "");
    assert_eq!(server.connections.ended(Cause::Cut), 2);
}

#[tokio::test]
async fn who_waits_in_the_backlog_when_the_drain_begins_is_answered() {
    let server = Server::start(limits());
    // The runtime of this test does not run meanwhile: they are in the backlog, with their requests.
    let mut waiting = Vec::new();
    for _ in 0..100 {
        let mut socket = std::net::TcpStream::connect(server.address).unwrap();
        std::io::Write::write_all(&mut socket, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        waiting.push(socket);
    }
    server.drain.begin();
    for socket in waiting {
        socket.set_nonblocking(true).unwrap();
        let (_, answer) = read_to_close(&mut TcpStream::from_std(socket).unwrap()).await;
        assert!(answer.ends_with("hello"), "{answer:?}");
    }
    timeout(LONG, server.running).await.unwrap().unwrap().unwrap();
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("http://localhost{path}")).body(Empty::new()).unwrap()
}
