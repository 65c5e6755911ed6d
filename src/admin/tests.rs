use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;

/// No step of a test takes longer.
const BOUND: Duration = Duration::from_secs(10);

struct Running {
    address: SocketAddr,
    draining: Arc<AtomicBool>,
    stop: oneshot::Sender<()>,
    server: JoinHandle<io::Result<()>>,
}

fn start() -> Running {
    start_within(PATIENCE)
}

fn start_within(patience: Patience) -> Running {
    let listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let registry = Registry::new();
    registry.counter("weir_requests_total", "Requests.", &[]).increment(7);
    let draining = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&draining);
    let ready = move || {
        seen.load(Ordering::Relaxed).then_some(["draining", "listener not bound"]).into_iter().flatten().collect()
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve_within(patience, listener, Admin { registry, ready, gateway: None }, async {
        stopped.await.ok();
    }));
    Running { address, draining, stop, server }
}

impl Running {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// What comes back for `request` until the connection ends.
    async fn exchange(&self, request: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_bytes()).await.unwrap();
        read_to_end(&mut stream).await
    }

    async fn request(&self, method: &str, path: &str) -> String {
        self.exchange(&format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")).await
    }
}

async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    timeout(BOUND, stream.read_to_end(&mut answer)).await.expect("the connection stays open").unwrap();
    String::from_utf8(answer).unwrap()
}

/// One answer of a connection that stays open.
async fn read_answer(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(end.as_bytes()) {
        let read = timeout(BOUND, stream.read_buf(&mut answer)).await.expect("no answer").unwrap();
        assert_ne!(read, 0, "closed after {:?}", String::from_utf8_lossy(&answer));
    }
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn routes() {
    let running = start();
    let metrics = running.request("GET", "/metrics").await;
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
    assert!(metrics.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{metrics}");
    assert!(metrics.ends_with(
        "\r\n\r\n# HELP weir_requests_total Requests.\n# TYPE weir_requests_total counter\nweir_requests_total 7\n"
    ));
    let livez = running.request("GET", "/livez?verbose").await;
    assert!(livez.starts_with("HTTP/1.1 200 OK\r\n") && livez.ends_with("\r\n\r\nok\n"), "{livez}");
    assert!(running.request("GET", "/").await.starts_with("HTTP/1.1 404 "));
    assert!(running.request("POST", "/nothing").await.starts_with("HTTP/1.1 404 "));
    let post = running.request("POST", "/metrics").await;
    assert!(post.starts_with("HTTP/1.1 405 ") && post.contains("allow: GET, HEAD\r\n"), "{post}");
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let running = start();
    let get = running.request("GET", "/livez").await;
    let head = running.request("HEAD", "/livez").await;
    let fields =
        |answer: &str| answer.lines().filter(|line| !line.starts_with("date: ")).map(str::to_owned).collect::<Vec<_>>();
    assert!(head.contains("content-length: 3\r\n"), "{head}");
    assert_eq!(fields(&get.replace("ok\n", "")), fields(&head));
}

#[tokio::test]
async fn readyz_says_why_not() {
    let running = start();
    assert!(running.request("GET", "/readyz").await.starts_with("HTTP/1.1 200 OK\r\n"));
    running.draining.store(true, Ordering::Relaxed);
    let unready = running.request("GET", "/readyz").await;
    assert!(unready.starts_with("HTTP/1.1 503 "), "{unready}");
    assert!(unready.ends_with("\r\n\r\ndraining\nlistener not bound\n"), "{unready}");
    assert!(running.request("GET", "/livez").await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn foreign_hosts_are_misdirected() {
    let running = start();
    let answer = running.exchange("GET /metrics HTTP/1.1\r\nhost: rebind.example\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 421 ") && !answer.contains("weir_requests_total"), "{answer}");
    let answer = running.exchange("GET /metrics HTTP/1.1\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(running.exchange("GET /livez HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 200 "));
}

#[tokio::test]
async fn what_is_not_http_is_refused() {
    let running = start();
    let large = format!("GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nx: {}\r\n\r\n", "x".repeat(HEAD_SIZE));
    assert!(running.exchange(&large).await.starts_with("HTTP/1.1 431 "));
    let many = format!("GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n{}\r\n", "x: y\r\n".repeat(HEAD_FIELDS));
    assert!(running.exchange(&many).await.starts_with("HTTP/1.1 431 "));
    assert!(running.exchange("\u{16}\u{3}\u{1}\0\r\n\r\n").await.starts_with("HTTP/1.1 400 "));
    assert!(running.request("GET", "/livez").await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn a_connection_serves_more_than_one_request_and_ends_with_the_server() {
    let running = start();
    let mut stream = running.connect().await;
    for _ in 0..3 {
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        read_answer(&mut stream, "ok\n").await;
    }
    running.stop.send(()).unwrap();
    assert_eq!(read_to_end(&mut stream).await, "");
    timeout(BOUND, running.server).await.unwrap().unwrap().unwrap();
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn a_peer_in_the_middle_of_a_head_does_not_hold_the_end() {
    let running = start();
    let mut stream = running.connect().await;
    stream.write_all(b"GET /livez HTTP/1.1\r\nho").await.unwrap();
    running.request("GET", "/livez").await;
    running.stop.send(()).unwrap();
    timeout(PATIENCE.grace + BOUND, running.server).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn more_connections_than_allowed_wait_their_turn() {
    let running = start();
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        let mut stream = running.connect().await;
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        read_answer(&mut stream, "ok\n").await;
        held.push(stream);
    }
    let mut next = running.connect().await;
    next.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let unanswered = timeout(Duration::from_millis(200), next.readable()).await;
    assert!(unanswered.is_err(), "one connection too many is served");
    held.pop();
    read_answer(&mut next, "ok\n").await;
}

#[tokio::test]
async fn silent_and_idle_connections_are_closed() {
    let running = start_within(Patience { head: Duration::from_millis(100), ..PATIENCE });
    let mut silent = running.connect().await;
    let mut slow = running.connect().await;
    slow.write_all(b"GET /livez HTTP/1.1\r\nho").await.unwrap();
    let mut idle = running.connect().await;
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert!(read_to_end(&mut idle).await.starts_with("HTTP/1.1 200 OK\r\n"));
    for stream in [&mut silent, &mut slow] {
        let rest = read_to_end(stream).await;
        assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 408 "), "{rest}");
    }
}

#[tokio::test]
async fn whoever_does_not_read_is_cut() {
    let short = Duration::from_millis(100);
    let running = start_within(Patience { life: short, grace: short, ..PATIENCE });
    let mut deaf = running.connect().await;
    // Far more answers than the sockets' buffers hold.
    let requests = "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(10_000);
    let cut = async { while deaf.write_all(requests.as_bytes()).await.is_ok() {} };
    timeout(BOUND, cut).await.expect("still served");
}

#[tokio::test]
async fn curl_is_content() {
    let running = start();
    for (path, expected) in [("livez", "ok\n200"), ("readyz", "ready\n200"), ("nothing", "not found\n404")] {
        let url = format!("http://{}/{path}", running.address);
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-m", "10", "-w", "%{http_code}", &url]);
        let output = tokio::task::spawn_blocking(move || curl.output()).await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn an_address_in_use_is_an_error() {
    let held = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    assert_eq!(bind(held.local_addr().unwrap()).unwrap_err().kind(), io::ErrorKind::AddrInUse);
}
