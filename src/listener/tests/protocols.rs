//! The versions of HTTP, on cleartext and under TLS.

use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;

type Sender<B> = http2::SendRequest<B>;

/// An HTTP/2 client on `socket`, and its connection.
pub(super) async fn http2<S, B>(socket: S) -> (Sender<B>, JoinHandle<hyper::Result<()>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Unpin + Send + 'static,
{
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    (sender, tokio::spawn(connection))
}

/// A client that trusts `server` and offers `alpn`.
pub(super) fn client(server: &Server, alpn: &[&[u8]]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(server.certificate.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

async fn shake(client: &TlsConnector, server: &Server) -> TlsStream<TcpStream> {
    let name = ServerName::try_from("localhost").unwrap();
    timeout(LONG, client.connect(name, server.connect().await)).await.unwrap().unwrap()
}

pub(super) async fn tls(server: &Server, alpn: &[&[u8]]) -> TlsStream<TcpStream> {
    shake(&client(server, alpn), server).await
}

pub(super) fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(format!("http://localhost{path}")).body(Full::default()).unwrap()
}

#[tokio::test]
async fn http1_keeps_the_connection_and_answers_pipelined_requests_in_order() {
    let server = Server::start(limits());
    let mut socket = server.connect().await;
    for _ in 0..3 {
        exchange(&mut socket).await;
    }
    socket.write_all("GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(40).as_bytes()).await.unwrap();
    let mut answers = String::new();
    while answers.matches("hello").count() < 40 {
        answers += &read_until(&mut socket, "hello").await;
    }
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 40);
    assert_eq!(server.connections.accepted(), 1);
}

#[tokio::test]
async fn a_preface_in_pieces_is_http2_and_a_p_is_not() {
    let server = Server::start(limits());
    let mut socket = server.connect().await;
    for piece in [&b"P"[..], b"OST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"] {
        socket.write_all(piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(read_to_close(&mut socket).await.1.ends_with("hello"));

    let mut socket = server.connect().await;
    for piece in [&b"PR"[..], b"I * HTTP/2.0\r\n\r\nSM\r\n", b"\r\n\0\0\0\x04\0\0\0\0\0"] {
        socket.write_all(piece).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // SETTINGS: length, type 4, no flags, stream 0.
    let mut head = [0; 9];
    timeout(LONG, socket.read_exact(&mut head)).await.unwrap().unwrap();
    assert_eq!(&head[3..], [4, 0, 0, 0, 0, 0]);
}

#[tokio::test]
async fn http2_with_prior_knowledge() {
    let server = Server::start(limits());
    let (mut sender, _connection) = http2(server.connect().await).await;
    assert_eq!(body(sender.send_request(get("/")).await.unwrap()).await, "hello");
    assert!(body(sender.send_request(get("/peer")).await.unwrap()).await.ends_with(b" false"));
    assert_eq!(server.connections.open(Kind::Http2), 1);
}

#[tokio::test]
async fn alpn_chooses_the_version() {
    let server = Server::tls(limits());
    let stream = tls(&server, &[b"h2", b"http/1.1"]).await;
    let (mut sender, _connection) = Box::pin(http2(stream)).await;
    assert!(body(sender.send_request(get("/peer")).await.unwrap()).await.ends_with(b" true"));
    assert_eq!(server.connections.open(Kind::Http2), 1);

    let mut open = Vec::new();
    for alpn in [&[&b"http/1.1"[..]][..], &[]] {
        let stream = tls(&server, alpn).await;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("/").header("host", "localhost").body(Full::<Bytes>::default()).unwrap();
        assert_eq!(body(sender.send_request(request).await.unwrap()).await, "hello");
        open.push(sender);
    }
    assert_eq!(server.connections.open(Kind::Http1), 2);
}

#[tokio::test]
async fn what_is_no_tls_is_told_so_and_closed() {
    let server = Server::tls(limits());
    let mut socket = server.connect().await;
    socket.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let (_, answer) = read_to_close(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("this port speaks HTTPS"), "{answer}");
    server.ends_by(Cause::Malformed).await;
    let mut socket = server.connect().await;
    socket.write_all(b"\0\0\0\0\0\0\0\0").await.unwrap();
    read_to_close(&mut socket).await;
    server.ends_by(Cause::TlsFailed).await;
}

#[tokio::test]
async fn silent_peers_do_not_keep_others_from_their_handshake() {
    let server = Server::tls(limits());
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(server.connect().await);
    }
    timeout(Duration::from_secs(2), tls(&server, &[])).await.expect("kept waiting");
}

#[tokio::test]
async fn a_panic_ends_its_own_stream_only() {
    let server = Server::start(limits());
    let (mut sender, _connection) = http2(server.connect().await).await;
    let mut sibling = sender.clone();
    let sibling = tokio::spawn(async move { sibling.send_request(get("/wait")).await });
    server.held(1).await;
    assert!(timeout(LONG, sender.send_request(get("/panic"))).await.unwrap().is_err());
    server.service.release.notify_one();
    assert_eq!(body(sibling.await.unwrap().unwrap()).await, "released");

    let mut socket = server.connect().await;
    socket.write_all(b"GET /panic HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    assert_eq!(read_to_close(&mut socket).await.1, "");
    server.ends_by(Cause::Panicked).await;
    exchange(&mut server.connect().await).await;
}

#[tokio::test]
async fn an_http2_client_that_takes_nothing_of_one_stream_loses_that_stream() {
    let server = Server::start(Limits { body_timeout: Duration::from_millis(400), ..limits() });
    let (mut sender, _connection) = http2(server.connect().await).await;
    let mut stalled = sender.send_request(get("/endless")).await.unwrap().into_body();
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(body(sender.send_request(get("/")).await.unwrap()).await, "hello");
    }
    let mut taken = 0;
    let end = loop {
        match timeout(LONG, stalled.frame()).await.unwrap() {
            Some(Ok(frame)) if taken < 64 * 1024 * 1024 => taken += frame.data_ref().map_or(0, Bytes::len),
            end => break end,
        }
    };
    assert!(end.is_some_and(|end| end.is_err()), "still well after {taken} bytes");
}

#[tokio::test]
async fn an_idle_http2_connection_is_closed_after_idle_timeout() {
    let idle = Duration::from_millis(600);
    let server = Server::start(Limits { header_timeout: Duration::from_millis(200), idle_timeout: idle, ..limits() });
    let (mut sender, connection) = http2(server.connect().await).await;
    body(sender.send_request(get("/")).await.unwrap()).await;
    let begun = Instant::now();
    timeout(LONG, connection).await.unwrap().unwrap().unwrap();
    about(begun.elapsed(), idle);
    server.ends_by(Cause::Idle).await;
}

#[tokio::test]
async fn uploads_pass_whole_and_quickly_through_the_small_windows() {
    let server = Server::start(limits());
    let (mut sender, _connection) = http2(server.connect().await).await;
    let bytes = Bytes::from(vec![1; 64 * 1024 * 1024]);
    let begun = Instant::now();
    let request = Request::post("http://localhost/upload").body(Full::new(bytes)).unwrap();
    assert_eq!(body(sender.send_request(request).await.unwrap()).await, "67108864");
    // 20 MB/s on a debug build and a shared core; a stalled window would take minutes.
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn an_upgrade_becomes_a_tunnel_that_keeps_its_slot() {
    let server = Server::start(limits());
    let mut socket = server.connect().await;
    socket
        .write_all(b"GET /upgrade HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n")
        .await
        .unwrap();
    read_until(&mut socket, "\r\n\r\n").await;
    socket.write_all(b"ping").await.unwrap();
    assert_eq!(read_until(&mut socket, "ping").await, "ping");
    eventually(|| server.connections.open(Kind::Tunnel) == 1).await;
    drop(socket);
    eventually(|| server.open() == 0).await;
    assert_eq!(server.connections.ended(Cause::Done), 1);
}

#[tokio::test]
async fn a_client_that_comes_back_resumes_its_session_by_one_ticket() {
    let server = Server::tls(limits());
    let client = client(&server, &[]);
    for expected in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let mut stream = shake(&client, &server).await;
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        timeout(LONG, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        let (_, session) = stream.get_ref();
        assert_eq!(session.handshake_kind(), Some(expected));
        assert!(session.tls13_tickets_received() <= 1);
    }
}

#[tokio::test]
async fn a_head_beyond_the_limit_is_answered_431_on_its_stream() {
    let server = Server::start(limits());
    let (mut sender, _connection) = Box::pin(http2(server.connect().await)).await;
    let long = "a".repeat(20 * 1024);
    let request = Request::get("http://localhost/").header("x", long).body(Full::<Bytes>::default()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 431);
    assert_eq!(body(sender.send_request(get("/")).await.unwrap()).await, "hello");
}

#[tokio::test]
async fn every_worker_serves_its_share_of_one_address() {
    let listener = plan::Listener { address: "127.0.0.1:0".parse().unwrap(), tls: None, proxy_protocol: false };
    let workers = bind(&[listener], &clients(), NonZeroUsize::new(2).unwrap()).unwrap();
    let address = workers[0][0].local_address().unwrap();
    let connections = Connections::new(NonZeroUsize::new(100).unwrap(), Addresses::of(&clients()), NonZeroUsize::MIN);
    let (drain, signal) = drain();
    let services = [Arc::<Service>::default(), Arc::default()];
    let threads: Vec<_> = workers
        .into_iter()
        .zip(services.clone())
        .map(|(sockets, service)| {
            let (connections, signal) = (Arc::clone(&connections), signal.clone());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(serve(sockets, service, Arc::new(limits()), connections, signal))
            })
        })
        .collect();
    let mut held = Vec::new();
    for _ in 0..64 {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        held.push(socket);
    }
    let waiting = || services.each_ref().map(|service| service.waiting.load(Ordering::SeqCst));
    eventually(|| waiting().iter().sum::<usize>() == 64).await;
    assert!(waiting().into_iter().all(|share| share > 8), "{:?}", waiting());
    drain.begin();
    for service in &services {
        service.release.notify_waiters();
    }
    for socket in &mut held {
        assert!(read_to_close(socket).await.1.ends_with("released"));
    }
    drop(held);
    tokio::task::spawn_blocking(move || {
        for thread in threads {
            thread.join().unwrap().unwrap();
        }
    })
    .await
    .unwrap();
}
