//! All connections are taken by those who do not ask for anything.

use super::*;

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
    busy.write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
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
