//! Who is counted as whom: behind a load balancer that speaks the PROXY protocol, and by address.

use rustls::pki_types::ServerName;

use super::protocols::{client, http2, tls};
use super::*;

const SHORT: Duration = Duration::from_millis(400);
const NAMED: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";
const ASK: &[u8] = b"GET /peer HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// A listener that expects a PROXY header and trusts `trusted`, with at most `per_address` connections of one address.
fn proxied(trusted: &str, tls: bool, per_address: Option<usize>) -> Server {
    let clients = plan::Clients {
        trusted_proxies: vec![trusted.parse().unwrap()],
        connections_per_address: per_address.and_then(NonZeroUsize::new),
        ..clients()
    };
    Server::of(Limits { header_timeout: SHORT, ..limits() }, 1000, (tls, true), clients)
}

/// A listener for the public, with at most `per_address` connections of one address.
fn public(per_address: usize, tls: bool) -> Server {
    let clients = plan::Clients { connections_per_address: NonZeroUsize::new(per_address), ..clients() };
    Server::of(limits(), 1000, (tls, false), clients)
}

/// A header of version 2 that names 192.0.2.7:56324, with TLVs behind it.
fn version_2(command: u8) -> Vec<u8> {
    let rest = [&[192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 4, 1, 187][..], &[4, 0, 3, 1, 2, 3], &[0xea; 600]].concat();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, 0x11][..], &u16::try_from(rest.len()).unwrap().to_be_bytes(), &rest].concat()
}

/// What is answered to `header`, given in pieces of so many bytes, and a request behind it.
async fn asked(server: &Server, header: &[u8], piece: usize) -> String {
    let mut socket = server.connect().await;
    for piece in [header, ASK].concat().chunks(piece) {
        // It may be closed already.
        let _closed = socket.write_all(piece).await.is_err();
    }
    read_to_close(&mut socket).await.1
}

#[tokio::test]
async fn the_client_is_whom_the_header_names() {
    let server = proxied("127.0.0.0/8", false, None);
    for piece in [1, 7, 4096] {
        for header in [NAMED, &version_2(0x21)] {
            let answer = asked(&server, header, piece).await;
            assert!(answer.ends_with("192.0.2.7:56324 false"), "{answer}");
        }
    }
    let answer = asked(&server, b"PROXY TCP6 ::ffff:192.0.2.7 ::1 80 443\r\n", 4096).await;
    assert!(answer.ends_with("192.0.2.7:80 false"), "{answer}");
}

#[tokio::test]
async fn a_proxy_that_names_nobody_is_the_client_itself() {
    let server = proxied("127.0.0.0/8", false, None);
    for header in [&b"PROXY UNKNOWN\r\n"[..], b"PROXY UNKNOWN 192.0.2.7 192.0.2.8 1 2\r\n", &version_2(0x20)] {
        let answer = asked(&server, header, 4096).await;
        assert!(answer.contains("127.0.0.1:"), "{answer}");
    }
}

#[tokio::test]
async fn the_header_comes_before_tls_and_before_http2() {
    let server = proxied("127.0.0.0/8", false, None);
    let mut socket = server.connect().await;
    socket.write_all(&version_2(0x21)).await.unwrap();
    let (mut sender, _connection) = http2(socket).await;
    let request = Request::get("http://localhost/peer").body(Full::<Bytes>::default()).unwrap();
    assert_eq!(body(sender.send_request(request).await.unwrap()).await, "192.0.2.7:56324 false");

    let server = proxied("127.0.0.0/8", true, None);
    let mut socket = server.connect().await;
    socket.write_all(NAMED).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = client(&server, &[]).connect(name, socket).await.unwrap();
    stream.write_all(ASK).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert!(String::from_utf8_lossy(&answer).ends_with("192.0.2.7:56324 true"));
}

#[tokio::test]
async fn a_peer_that_is_not_trusted_is_closed_whatever_it_says() {
    let server = proxied("10.0.0.0/8", false, None);
    for header in [NAMED, b"", b"PROXY UNKNOWN\r\n"] {
        assert_eq!(asked(&server, header, 4096).await, "");
    }
    eventually(|| server.connections.ended(Cause::Untrusted) == 3).await;
    eventually(|| server.open() == 0).await;
}

#[tokio::test]
async fn a_trusted_proxy_without_a_header_is_closed_without_an_answer() {
    let server = proxied("127.0.0.0/8", false, None);
    let too_long = format!("PROXY UNKNOWN {}\r\n", "a".repeat(92));
    for header in [&b""[..], b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\n", b"proxy", too_long.as_bytes()] {
        assert_eq!(asked(&server, header, 4096).await, "");
    }
    eventually(|| server.connections.ended(Cause::Unproxied) == 4).await;
    drop(server.connect().await);
    server.ends_by(Cause::Departed).await;
}

#[tokio::test]
async fn half_a_header_is_closed_after_header_timeout() {
    let server = proxied("127.0.0.0/8", false, None);
    for begun in [&b""[..], &NAMED[..20], &version_2(0x21)[..100]] {
        let mut socket = server.connect().await;
        socket.write_all(begun).await.unwrap();
        about(read_to_close(&mut socket).await.0, SHORT);
    }
    eventually(|| server.connections.ended(Cause::Silent) == 3).await;
}

#[tokio::test]
async fn who_is_named_is_counted_as_if_he_had_come_himself() {
    let server = proxied("127.0.0.0/8", false, Some(2));
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut socket = server.connect().await;
        socket.write_all(NAMED).await.unwrap();
        exchange(&mut socket).await;
        open.push(socket);
    }
    assert_eq!(asked(&server, NAMED, 4096).await, "");
    server.ends_by(Cause::Crowded).await;
    let other = b"PROXY TCP4 192.0.2.8 198.51.100.1 56324 443\r\n";
    assert!(asked(&server, other, 4096).await.ends_with("192.0.2.8:56324 false"));
    open.pop();
    eventually(|| server.open() == 1).await;
    assert!(asked(&server, NAMED, 4096).await.ends_with("192.0.2.7:56324 false"));
}

#[tokio::test]
async fn beyond_its_share_an_address_is_reset_and_others_are_served() {
    let server = public(3, false);
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut socket = server.connect().await;
        exchange(&mut socket).await;
        open.push(socket);
    }
    for _ in 0..20 {
        let mut refused = server.connect().await;
        let error = timeout(LONG, refused.read(&mut [0; 1])).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
    eventually(|| server.connections.ended(Cause::Crowded) == 20).await;
    let other = tokio::net::TcpSocket::new_v4().unwrap();
    other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = other.connect(server.address).await.unwrap();
    exchange(&mut other).await;
    assert_eq!((server.open(), server.connections.addresses()), (4, 2));
    open.pop();
    eventually(|| server.open() == 3).await;
    exchange(&mut server.connect().await).await;
    drop((open, other));
    eventually(|| server.connections.addresses() == 0).await;
}

#[tokio::test]
async fn beyond_its_share_an_address_gets_no_handshake() {
    let server = public(1, true);
    let _first = tls(&server, &[]).await;
    let name = ServerName::try_from("localhost").unwrap();
    assert!(client(&server, &[]).connect(name, server.connect().await).await.is_err());
    server.ends_by(Cause::Crowded).await;
    assert_eq!(server.connections.ended(Cause::TlsFailed), 0);
}
