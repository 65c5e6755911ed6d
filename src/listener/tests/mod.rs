//! The listener over real sockets.

mod bounds;
mod draining;
mod exhaustion;
mod protocols;
mod proxied;
mod proxy_lines;
mod rest;
mod silence;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ::http::{Request, Response};
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::body::{Body, Frame, Incoming};
use rcgen::{CertifiedKey as Issued, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::{Addresses, Attend, Bound, Cause, Connections, Drain, Kind, Limits, bind, drain, serve};
use crate::config::plan;
use crate::proxy::peer::Peer;

/// Longer than anything in these tests may take.
const LONG: Duration = Duration::from_secs(20);

/// A request that is in flight until [`Service::release`].
const WAIT: &[u8] = b"GET /wait HTTP/1.1\r\nhost: a\r\n\r\n";

/// Clients' limits as a plan has them.
pub(super) fn clients() -> plan::Clients {
    plan::Clients {
        max_connections: None,
        connections_per_address: None,
        ipv6_prefix: 64,
        max_memory: None,
        trusted_proxies: Vec::new(),
        header_size: 16 * 1024,
        header_count: 64,
        body_size: 1024 * 1024,
        header_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(10),
        idle_timeout: Duration::from_secs(75),
        http2_streams: 100,
    }
}

/// The same, as the listener takes them.
fn limits() -> Limits {
    Limits::of(&clients(), &plan::Runtime { workers: None, drain_timeout: Duration::from_secs(10) })
}

/// A service: `/` says hello, `/wait` waits for [`Service::release`], `/panic` panics, `/endless` never stops,
/// `/upload` counts, `/early` does not
/// read its body and does not let go of it, `/upgrade` becomes an echo.
#[derive(Debug, Default)]
struct Service {
    release: Notify,
    waiting: AtomicUsize,
}

type Reply = UnsyncBoxBody<Bytes, Infallible>;

/// A body that never ends.
struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        static CHUNK: [u8; 16 * 1024] = [7; 16 * 1024];
        std::task::Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&CHUNK)))))
    }
}

fn text(text: impl Into<Bytes>) -> Response<Reply> {
    Response::new(Full::new(text.into()).boxed_unsync())
}

impl Attend for Service {
    type Body = Reply;

    async fn attend(&self, peer: &Arc<Peer>, request: Request<Incoming>) -> Response<Reply> {
        match request.uri().path() {
            "/wait" => {
                self.waiting.fetch_add(1, Ordering::SeqCst);
                self.release.notified().await;
                text("released")
            }
            "/inside" => {
                peer.note_inside();
                text("hello")
            }
            "/early" => {
                // Somebody still wants the body.
                tokio::spawn(async move {
                    tokio::time::sleep(LONG).await;
                    drop(request);
                });
                text("hello")
            }
            "/panic" => panic!("asked to"),
            "/endless" => Response::new(Endless.boxed_unsync()),
            "/peer" => text(format!("{} {}", peer.address, peer.tls)),
            "/upload" => {
                let mut body = request.into_body();
                let mut bytes = 0;
                while let Some(frame) = body.frame().await {
                    match frame {
                        Ok(frame) => bytes += frame.data_ref().map_or(0, Bytes::len),
                        Err(_) => return text("broken"),
                    }
                }
                text(bytes.to_string())
            }
            "/upgrade" => {
                tokio::spawn(echo(hyper::upgrade::on(request)));
                Response::builder()
                    .status(101)
                    .header("connection", "upgrade")
                    .header("upgrade", "echo")
                    .body(Empty::new().boxed_unsync())
                    .unwrap()
            }
            _ => text("hello"),
        }
    }
}

async fn echo(upgrade: hyper::upgrade::OnUpgrade) {
    let mut tunnel = hyper_util::rt::TokioIo::new(upgrade.await.unwrap());
    let mut bytes = [0; 64];
    while let Ok(read @ 1..) = tunnel.read(&mut bytes).await {
        if tunnel.write_all(&bytes[..read]).await.is_err() {
            break;
        }
    }
}

/// A listener under test, on the test's own runtime.
struct Server {
    address: SocketAddr,
    service: Arc<Service>,
    connections: Arc<Connections>,
    drain: Drain,
    running: JoinHandle<std::io::Result<()>>,
    certificate: CertificateDer<'static>,
}

impl Server {
    fn start(limits: Limits) -> Self {
        Self::with(limits, 1000, false)
    }

    fn tls(limits: Limits) -> Self {
        Self::with(limits, 1000, true)
    }

    fn with(limits: Limits, max_connections: usize, tls: bool) -> Self {
        Self::of(limits, max_connections, (tls, false), clients())
    }

    /// A listener that speaks TLS or expects a PROXY header, or both.
    fn of(limits: Limits, max_connections: usize, (tls, proxy_protocol): (bool, bool), clients: plan::Clients) -> Self {
        let (certificate, key) = certificate();
        let address = "127.0.0.1:0".parse().unwrap();
        let listener = plan::Listener { address, tls: tls.then(|| presented(key)), proxy_protocol };
        let clients = plan::Clients { body_timeout: limits.body_timeout, ..clients };
        let sockets: Vec<Bound> = bind(&[listener], &clients, NonZeroUsize::MIN).unwrap().remove(0);
        let address = sockets[0].local_address().unwrap();
        let service = Arc::<Service>::default();
        let connections =
            Connections::new(NonZeroUsize::new(max_connections).unwrap(), Addresses::of(&clients), NonZeroUsize::MIN);
        let (drain, signal) = drain();
        let running =
            tokio::spawn(serve(sockets, Arc::clone(&service), Arc::new(limits), Arc::clone(&connections), signal));
        Self { address, service, connections, drain, running, certificate }
    }

    async fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).await.unwrap();
        // As browsers and curl do.
        socket.set_nodelay(true).unwrap();
        socket
    }

    /// A connection with a request in flight, when so many are.
    async fn busy(&self, requests: usize) -> TcpStream {
        let mut socket = self.connect().await;
        socket.write_all(WAIT).await.unwrap();
        self.held(requests).await;
        socket
    }

    /// Waits until so many requests have come to `/wait`.
    async fn held(&self, requests: usize) {
        eventually(|| self.service.waiting.load(Ordering::SeqCst) == requests).await;
    }

    /// Waits until a connection has ended by `cause`.
    async fn ends_by(&self, cause: Cause) {
        eventually(|| self.connections.ended(cause) > 0).await;
    }

    fn open(&self) -> u64 {
        Kind::ALL.into_iter().map(|kind| self.connections.open(kind)).sum()
    }
}

/// One certificate for all clients, who need none.
fn presented(pair: Arc<CertifiedKey>) -> plan::Tls {
    let certificate = plan::Certificate { file: "cert.pem".into(), pair, names: Vec::new(), valid: 0..=u64::MAX };
    plan::Tls {
        certificates: vec![certificate],
        unknown_names: plan::UnknownNames::Default,
        clients: plan::ClientCertificates::Off,
    }
}

/// Waits until `holds`, and panics if it takes too long.
async fn eventually(holds: impl Fn() -> bool) {
    let waiting = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, waiting).await.expect("never came true");
}

/// A certificate for `localhost` and its key.
fn certificate() -> (CertificateDer<'static>, Arc<CertifiedKey>) {
    let Issued { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let certified = CertifiedKey::from_der(vec![cert.der().clone()], key, &provider).unwrap();
    (cert.der().clone(), Arc::new(certified))
}

/// The body of `answer`, which must be whole and small.
async fn body(answer: Response<Incoming>) -> Bytes {
    #[expect(clippy::disallowed_methods, reason = "it is limited")]
    let body = Limited::new(answer.into_body(), 1024).collect();
    timeout(LONG, body).await.unwrap().unwrap().to_bytes()
}

/// Reads until the peer closes; the time it took comes with it.
async fn read_to_close(socket: &mut TcpStream) -> (Duration, String) {
    let begun = Instant::now();
    let mut bytes = Vec::new();
    // A reset closes too.
    let _reset = timeout(LONG, socket.read_to_end(&mut bytes)).await.expect("stays open").is_err();
    (begun.elapsed(), String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads one answer with a body whose end is `end`.
async fn read_until(socket: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    let reading = async {
        while !bytes.ends_with(end.as_bytes()) {
            assert_ne!(socket.read_buf(&mut bytes).await.unwrap(), 0, "closed after {bytes:?}");
        }
    };
    timeout(LONG, reading).await.expect("no answer");
    String::from_utf8(bytes).unwrap()
}

/// One HTTP/1 exchange on a connection that stays open.
async fn exchange(socket: &mut TcpStream) {
    socket.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let answer = read_until(socket, "hello").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Asserts that `took` is about `expected`.
#[track_caller]
fn about(took: Duration, expected: Duration) {
    assert!(took + Duration::from_millis(50) >= expected && took < expected + Duration::from_millis(900), "{took:?}");
}
