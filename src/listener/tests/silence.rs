//! All connections are taken by those who do not ask for anything, or not any more.

use super::*;
use crate::listener::quiet::GRACE;

/// Few enough to be filled, and the silent connections that come in all, ten times as many.
const LIMIT: usize = 64;
const SILENT: usize = 640;

/// Between two of them: as many as the limit come in 0.4 s.
const PAUSE: Duration = Duration::from_millis(6);

/// In which an honest client is served beside them, on a busy machine; `header_timeout` is ten times as long.
const PROMPT: Duration = Duration::from_secs(1);

/// Opens connections one after the other, says `word` on every other one of them, and keeps them all.
async fn flood(address: SocketAddr, word: &[u8]) -> Vec<TcpStream> {
    let mut silent = Vec::new();
    for number in 0..SILENT {
        let mut socket = TcpStream::connect(address).await.unwrap();
        if number % 2 == 0 {
            // May have been closed already.
            let _reset = socket.write_all(word).await.is_err();
        }
        silent.push(socket);
        tokio::time::sleep(PAUSE).await;
    }
    silent
}

/// Opens a connection and asks, again and again until `flooding` ends; the longest that it took.
async fn beside(server: &Server, flooding: &JoinHandle<Vec<TcpStream>>) -> Duration {
    let mut longest = Duration::ZERO;
    while !flooding.is_finished() {
        let begun = Instant::now();
        exchange(&mut server.connect().await).await;
        longest = longest.max(begun.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    longest
}

#[tokio::test]
async fn silence_and_slow_heads_make_room_and_whoever_has_asked_stays() {
    let server = Server::with(limits(), LIMIT, false);
    let [mut idle, mut inside, mut busy] = [server.connect().await, server.connect().await, server.connect().await];
    exchange(&mut idle).await;
    inside.write_all(b"GET /inside HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    read_until(&mut inside, "hello").await;
    busy.write_all(WAIT).await.unwrap();
    server.held(1).await;

    for word in [&b"GET / HTTP/1.1\r\nhost"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let flooding = tokio::spawn(flood(server.address, word));
        let longest = beside(&server, &flooding).await;
        let _silent = flooding.await.unwrap();
        assert!(longest < PROMPT, "an honest client waited {longest:?}");
    }
    assert!(server.connections.ended(Cause::Displaced) > 1000, "{}", server.connections.ended(Cause::Displaced));
    server.service.release.notify_one();
    read_until(&mut busy, "released").await;
    exchange(&mut idle).await;
    exchange(&mut inside).await;
}

#[tokio::test]
async fn handshakes_that_are_not_finished_make_room() {
    let server = Server::with(limits(), LIMIT, true);
    // The head of a record (RFC 8446 §5.1), and nothing in it.
    let flooding = tokio::spawn(flood(server.address, &[22, 3, 1, 1, 0]));
    let mut longest = Duration::ZERO;
    while !flooding.is_finished() {
        let begun = Instant::now();
        let mut stream = protocols::tls(&server, &[]).await;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        assert_ne!(timeout(LONG, stream.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
        longest = longest.max(begun.elapsed());
        tokio::time::sleep(PAUSE).await;
    }
    let _silent = flooding.await.unwrap();
    assert!(longest < PROMPT, "an honest client waited {longest:?}");
    assert!(server.connections.ended(Cause::Displaced) > 500);
}

#[tokio::test]
async fn nobody_goes_while_there_is_room() {
    let server = Server::with(limits(), LIMIT, false);
    let mut silent = Vec::new();
    for _ in 0..LIMIT {
        silent.push(server.connect().await);
    }
    eventually(|| server.open() == LIMIT as u64).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!((server.connections.ended(Cause::Displaced), server.open()), (0, LIMIT as u64));
    exchange(&mut silent[0]).await;
}

/// Asks once on each of as many connections as there may be, and has them idle for longer than anybody is let alone.
async fn idle(server: &Server) -> Vec<TcpStream> {
    let mut idle = Vec::new();
    for _ in 0..LIMIT {
        let mut socket = server.connect().await;
        exchange(&mut socket).await;
        idle.push(socket);
    }
    tokio::time::sleep(GRACE * 2).await;
    idle
}

#[tokio::test]
async fn idle_connections_make_room_the_longest_idle_first() {
    let server = Server::with(limits(), LIMIT, false);
    let mut idle = idle(&server).await;
    // One of the oldest has just asked again.
    exchange(&mut idle[1]).await;
    let begun = Instant::now();
    let mut newcomers = Vec::new();
    for _ in 0..4 {
        newcomers.push(server.connect().await);
        exchange(newcomers.last_mut().unwrap()).await;
    }
    assert!(begun.elapsed() < PROMPT, "newcomers waited {:?}", begun.elapsed());
    let displaced = server.connections.ended(Cause::Displaced);
    assert!((4..LIMIT as u64 / 2).contains(&displaced), "{displaced} for four");
    for old in [0, 2, 3, 4] {
        assert_eq!(read_to_close(&mut idle[old]).await.1, "");
    }
    exchange(&mut idle[1]).await;
    exchange(idle.last_mut().unwrap()).await;
}

#[tokio::test]
async fn whoever_asks_once_and_is_idle_keeps_nobody_out() {
    let server = Server::with(limits(), LIMIT, false);
    let mut busy = server.busy(1).await;
    for word in [&b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..], b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET / HT"] {
        let flooding = tokio::spawn(flood(server.address, word));
        let longest = beside(&server, &flooding).await;
        let _idle = flooding.await.unwrap();
        assert!(longest < PROMPT, "an honest client waited {longest:?}");
    }
    server.service.release.notify_one();
    read_until(&mut busy, "released").await;
}

#[tokio::test]
async fn a_later_head_that_does_not_end_makes_room() {
    let server = Server::with(limits(), LIMIT, false);
    let mut idle = idle(&server).await;
    for socket in &mut idle {
        socket.write_all(b"GET / HT").await.unwrap();
    }
    let begun = Instant::now();
    exchange(&mut server.connect().await).await;
    assert!(begun.elapsed() < PROMPT, "a newcomer waited {:?}", begun.elapsed());
    assert_eq!(read_to_close(&mut idle[0]).await.1, "");
    server.ends_by(Cause::Displaced).await;
}

#[tokio::test]
async fn an_idle_http2_connection_is_told_and_makes_room() {
    let server = Server::with(limits(), 2, false);
    let _busy = server.busy(1).await;
    let (mut sender, connection) = protocols::http2(server.connect().await).await;
    body(sender.send_request(protocols::get("/")).await.unwrap()).await;
    tokio::time::sleep(GRACE * 2).await;
    exchange(&mut server.connect().await).await;
    // GOAWAY, and no error.
    timeout(LONG, connection).await.unwrap().unwrap().unwrap();
    assert_eq!(server.connections.ended(Cause::Displaced), 1);
}

#[tokio::test]
async fn an_http2_client_that_does_not_listen_makes_room_all_the_same() {
    let server = Server::with(limits(), 2, false);
    let _busy = server.busy(1).await;
    let mut deaf = server.connect().await;
    // SETTINGS, and HEADERS with the indexed fields `:method: GET`, `:scheme: http`, `:path: /` (RFC 7541 appendix A), and an authority.
    let request =
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01a";
    deaf.write_all(request).await.unwrap();
    let mut answered = Vec::new();
    while !answered.windows(5).any(|window| window == b"hello") {
        assert_ne!(timeout(LONG, deaf.read_buf(&mut answered)).await.unwrap().unwrap(), 0);
    }
    tokio::time::sleep(GRACE * 2).await;
    let begun = Instant::now();
    exchange(&mut server.connect().await).await;
    assert!(begun.elapsed() >= GRACE && begun.elapsed() < PROMPT, "{:?}", begun.elapsed());
    assert_eq!(server.connections.ended(Cause::Displaced), 1);
}

#[tokio::test]
async fn a_request_that_comes_as_its_connection_is_to_go_is_answered_and_the_last() {
    let server = Server::start(limits());
    let mut socket = server.connect().await;
    exchange(&mut socket).await;
    // Both before the connection's task has its turn.
    assert_eq!(socket.try_write(WAIT).unwrap(), WAIT.len());
    server.connections.quiet.dismiss(1, Instant::now() + GRACE);
    server.held(1).await;
    tokio::time::sleep(GRACE * 2).await;
    server.service.release.notify_one();
    let (_, answer) = read_to_close(&mut socket).await;
    assert!(answer.contains("connection: close") && answer.ends_with("released"), "{answer}");
    server.ends_by(Cause::Done).await;
}
