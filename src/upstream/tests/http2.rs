//! HTTP/2 and TLS towards the upstream.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::RootCertStore;
use rustls::pki_types::PrivateKeyDer;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::bench::{MOMENT, Permits, Sent, bind, eventually, fetch, get, plan, pool, post, read, send};
use crate::config::plan::{self, Protocol};
use crate::upstream::{Event, Failure, Outcome};

/// What a test server has seen.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    working: AtomicUsize,
    cancelled: AtomicUsize,
    goaway: Notify,
}

struct Working<'a>(&'a Seen, bool);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.working.fetch_sub(1, Ordering::SeqCst);
        self.0.cancelled.fetch_add(usize::from(!self.1), Ordering::SeqCst);
    }
}

/// Bytes with which a server says at length that it is full.
const FULL: usize = 60 * 1024;

/// Answers after 30 ms with what it got, on `/early` at once, on `/full` 429 at once, on `/never` never.
async fn answer(seen: Arc<Seen>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    seen.working.fetch_add(1, Ordering::SeqCst);
    let mut working = Working(&seen, false);
    if request.uri().path() == "/early" {
        working.1 = true;
        return Ok(Response::new(Full::default()));
    }
    if request.uri().path() == "/never" {
        std::future::pending::<()>().await;
    }
    if request.uri().path() == "/full" {
        working.1 = true;
        let full = Response::builder().status(429).header("retry-after", "3").body(Full::from(vec![b'x'; FULL]));
        return Ok(full.unwrap());
    }
    sleep(Duration::from_millis(30)).await;
    let host = request.headers().get("host").map(|host| host.to_str().unwrap().to_owned());
    let text = format!("{:?} {} {host:?} {:?}", request.version(), request.uri(), request.headers().get("connection"));
    working.1 = true;
    Ok(Response::new(Full::from(text)))
}

fn serve_hyper(tls: Option<TlsAcceptor>, protocol: Protocol) -> (SocketAddr, Arc<Seen>) {
    let (address, listener) = bind();
    let seen = Arc::new(Seen::default());
    let shared = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (seen, tls) = (Arc::clone(&shared), tls.clone());
            seen.connections.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let Some(tls) = tls else {
                    return Box::pin(serve_connection(tcp, seen, protocol == Protocol::Http2)).await;
                };
                if let Ok(stream) = tls.accept(tcp).await {
                    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    Box::pin(serve_connection(stream, seen, http2)).await;
                }
            });
        }
    });
    (address, seen)
}

async fn serve_connection<S>(stream: S, seen: Arc<Seen>, is_http2: bool)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let shared = Arc::clone(&seen);
    let service = service_fn(move |request| answer(Arc::clone(&shared), request));
    let io = TokioIo::new(stream);
    if is_http2 {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        let mut connection = std::pin::pin!(builder.timer(TokioTimer::new()).serve_connection(io, service));
        tokio::select! {
            _ = connection.as_mut() => return,
            () = seen.goaway.notified() => connection.as_mut().graceful_shutdown(),
        }
        drop(connection.await);
    } else {
        drop(http1::Builder::new().serve_connection(io, service).await);
    }
}

fn tls(alpn: &[&[u8]]) -> (TlsAcceptor, Arc<RootCertStore>) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let mut config =
        rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    (TlsAcceptor::from(Arc::new(config)), Arc::new(roots))
}

fn tls_plan(address: SocketAddr, roots: &Arc<RootCertStore>, protocol: Protocol) -> plan::Upstream {
    let mut plan = plan(&[address]);
    plan.servers[0].authority = format!("localhost:{}", address.port()).parse().unwrap();
    plan.servers[0].tls = true;
    (plan.roots, plan.protocol) = (Some(Arc::clone(roots)), protocol);
    plan
}

fn http2_plan(address: SocketAddr) -> plan::Upstream {
    let mut plan = plan(&[address]);
    plan.protocol = Protocol::Http2;
    plan
}

fn never() -> Request<Sent> {
    let mut request = get();
    *request.uri_mut() = "/never".parse().unwrap();
    request
}

#[tokio::test]
async fn alpn_chooses_the_version() {
    let both: &[&[u8]] = &[b"h2", b"http/1.1"];
    let cases: [(&[&[u8]], Protocol, &str); 5] = [
        (both, Protocol::Auto, "HTTP/2.0"),
        (both, Protocol::Http1, "HTTP/1.1"),
        (both, Protocol::Http2, "HTTP/2.0"),
        (&[b"http/1.1"], Protocol::Auto, "HTTP/1.1"),
        (&[], Protocol::Auto, "HTTP/1.1"),
    ];
    for (alpn, protocol, version) in cases {
        let (acceptor, roots) = tls(alpn);
        let (address, seen) = serve_hyper(Some(acceptor), protocol);
        let (pool, permits) = (pool(&tls_plan(address, &roots, protocol)), Permits::default());
        for _ in 0..3 {
            let text = String::from_utf8(fetch(&pool, &permits).await.unwrap()).unwrap();
            assert!(text.starts_with(version), "{alpn:?} {protocol:?}: {text}");
            assert!(text.contains("service.example"), "{text}");
        }
        assert_eq!(seen.connections.load(Ordering::SeqCst), 1, "{alpn:?} {protocol:?}");
        assert_eq!(permits.out(), 0);
    }
}

#[tokio::test]
async fn server_without_http2_is_unreachable_where_http2_is_demanded() {
    for alpn in [&[b"http/1.1".as_slice()][..], &[]] {
        let (acceptor, roots) = tls(alpn);
        let (address, _) = serve_hyper(Some(acceptor), Protocol::Http1);
        let failure = fetch(&pool(&tls_plan(address, &roots, Protocol::Http2)), &Permits::default()).await.unwrap_err();
        assert!(matches!(failure, Failure::Unreachable(_)), "{failure:?}");
    }
}

#[tokio::test]
async fn unverified_server_gets_nothing() {
    let (acceptor, roots) = tls(&[b"http/1.1"]);
    let (_, strangers) = tls(&[]);
    let (address, seen) = serve_hyper(Some(acceptor), Protocol::Http1);
    let mut wrong_name = tls_plan(address, &roots, Protocol::Auto);
    wrong_name.servers[0].authority = address.to_string().parse().unwrap();
    for plan in [tls_plan(address, &strangers, Protocol::Auto), wrong_name] {
        let failure = fetch(&pool(&plan), &Permits::default()).await.unwrap_err();
        assert!(matches!(failure, Failure::Unreachable(_)) && !failure.was_sent(), "{failure:?}");
    }
    assert_eq!(seen.working.load(Ordering::SeqCst) + seen.cancelled.load(Ordering::SeqCst), 0);
}

/// Fifty requests at once, cold: one dial, one connection, all multiplexed.
#[tokio::test]
async fn one_connection_is_dialled_once_and_shared() {
    let (address, seen) = serve_hyper(None, Protocol::Http2);
    let (pool, permits) = (pool(&http2_plan(address)), Permits::default());
    let mut callers = Vec::new();
    for _ in 0..50 {
        let (pool, permits) = (pool.clone(), permits.clone());
        callers.push(tokio::spawn(async move { fetch(&pool, &permits).await }));
    }
    for caller in callers {
        let text = String::from_utf8(caller.await.unwrap().unwrap()).unwrap();
        assert_eq!(text, "HTTP/2.0 http://service.example/path?query None None");
    }
    assert_eq!(seen.connections.load(Ordering::SeqCst), 1);
    let server = pool.upstream().servers().next().unwrap();
    assert_eq!((server.count(Event::Connections), server.in_flight(), permits.out()), (1, 0, 0));
}

#[tokio::test]
async fn failed_shared_dial_fails_everyone_who_waits_for_it() {
    let (address, _listener, _filling) = super::connecting::deaf();
    let mut plan = http2_plan(address);
    plan.connect_timeout = MOMENT * 2;
    let (pool, permits) = (pool(&plan), Permits::default());
    let (first, second) = tokio::join!(fetch(&pool, &permits), fetch(&pool, &permits));
    assert!(matches!((first, second), (Err(Failure::ConnectTimeout), Err(Failure::ConnectTimeout))));
    assert_eq!(pool.upstream().servers().next().unwrap().count(Event::ConnectTimeouts), 1);
    assert!(timeout(MOMENT, fetch(&pool, &permits)).await.is_err(), "a new dial is under way");
    assert_eq!(permits.out(), 0);
    sleep(MOMENT * 2).await;
    let count = pool.upstream().servers().next().unwrap().count(Event::ConnectTimeouts);
    assert_eq!(count, 1, "a dial that nobody waits for is given up");
}

#[tokio::test]
async fn connection_that_goes_away_is_replaced() {
    let (address, seen) = serve_hyper(None, Protocol::Http2);
    let (pool, permits) = (pool(&http2_plan(address)), Permits::default());
    for round in 1..=3 {
        let (task_pool, task_permits) = (pool.clone(), permits.clone());
        let in_flight = tokio::spawn(async move { fetch(&task_pool, &task_permits).await });
        eventually("working", || seen.working.load(Ordering::SeqCst) == 1).await;
        seen.goaway.notify_waiters();
        assert!(in_flight.await.unwrap().is_ok(), "what was in flight is finished");
        fetch(&pool, &permits).await.unwrap();
        assert_eq!(seen.connections.load(Ordering::SeqCst), round + 1);
    }
}

#[tokio::test]
async fn abandoned_stream_is_reset_and_its_connection_lives() {
    let (address, seen) = serve_hyper(None, Protocol::Http2);
    let mut plan = http2_plan(address);
    (plan.response_timeout, plan.abandon_timeout) = (MOMENT, MOMENT * 3);
    let (pool, permits) = (pool(&plan), Permits::default());
    let failure = send(&pool, &permits, never()).await.unwrap_err();
    assert!(matches!(failure, Failure::ResponseTimeout), "{failure:?}");
    assert_eq!((permits.out(), seen.cancelled.load(Ordering::SeqCst)), (1, 0));
    permits.all_back().await;
    eventually("stream reset", || seen.cancelled.load(Ordering::SeqCst) == 1).await;
    fetch(&pool, &permits).await.unwrap();
    assert_eq!(seen.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn idle_shared_connection_is_swept() {
    let (address, seen) = serve_hyper(None, Protocol::Http2);
    let mut plan = http2_plan(address);
    plan.idle_timeout = MOMENT;
    let (pool, permits) = (pool(&plan), Permits::default());
    fetch(&pool, &permits).await.unwrap();
    sleep(MOMENT * 3).await;
    fetch(&pool, &permits).await.unwrap();
    assert_eq!(seen.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn fields_of_a_connection_do_not_cross_into_http2() {
    let (address, _) = serve_hyper(None, Protocol::Http2);
    let (pool, permits) = (pool(&http2_plan(address)), Permits::default());
    let mut request = post(Sent::whole("name=a"));
    *request.version_mut() = Version::HTTP_11;
    for (name, value) in [("connection", "upgrade"), ("upgrade", "echo"), ("keep-alive", "5"), ("te", "gzip")] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let text = String::from_utf8(read(send(&pool, &permits, request).await.unwrap()).await.unwrap()).unwrap();
    assert_eq!(text, "HTTP/2.0 http://service.example/register None None");
}

#[tokio::test]
async fn early_answer_ends_the_upload_and_leaves_the_connection() {
    let (address, seen) = serve_hyper(None, Protocol::Http2);
    let (pool, permits) = (pool(&http2_plan(address)), Permits::default());
    let (feed, upload) = Sent::fed();
    let mut request = post(upload);
    *request.uri_mut() = "/early".parse().unwrap();
    read(send(&pool, &permits, request).await.unwrap()).await.unwrap();
    assert_eq!(permits.out(), 0);
    eventually("nobody reads the caller's body any longer", || feed.is_closed()).await;
    fetch(&pool, &permits).await.unwrap();
    assert_eq!(seen.connections.load(Ordering::SeqCst), 1);
}

/// Also over HTTP/2: read ahead of a reader who waits, and told for what it is.
#[tokio::test]
async fn a_long_refusal_that_nobody_reads_gives_the_permit_back_as_a_pushback() {
    let (address, _) = serve_hyper(None, Protocol::Http2);
    let (pool, permits) = (pool(&http2_plan(address)), Permits::default());
    let mut request = get();
    *request.uri_mut() = "/full".parse().unwrap();
    let response = send(&pool, &permits, request).await.unwrap();
    permits.all_back().await;
    assert_eq!(permits.outcomes(), [Outcome::Pushback { retry_after: Some(Duration::from_secs(3)) }]);
    assert_eq!(read(response).await.unwrap().len(), FULL);
}
