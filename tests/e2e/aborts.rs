//! 20,000 requests, each given up at a random instant: nothing leaks, and the origin never has more to do than it can.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::origin::Origin;
use crate::weir::{PATIENCE, Weir, one_route};

const REQUESTS: usize = 20_000;
/// Clients at once: enough to keep the line filled.
const CLIENTS: usize = 96;
/// Permits.
const LIMIT: u32 = 8;
const SEED: u64 = 20_260_411;
/// Sooner or later than the whole of a request takes, in the line too.
const LONGEST: u64 = 200_000;
/// A part of a large body, more than is read ahead.
const LARGE: usize = 128 << 10;

/// Works for up to 8 ms on whatever arrived completely, and is done before it answers: with little, or with much.
fn origin() -> Origin {
    let count = AtomicUsize::new(0);
    Origin::start(move |exchange| {
        exchange.body()?;
        let turn = count.fetch_add(1, Ordering::Relaxed) as u64;
        exchange.work(|| std::thread::sleep(Duration::from_micros(turn * 7919 % 8000)));
        let length = if turn.is_multiple_of(4) { 400 << 10 } else { 10 };
        exchange.respond(200, "", &vec![b'x'; length])
    })
}

#[test]
fn twenty_thousand_aborted_requests_leave_nothing_behind() {
    let origin = origin();
    let weir = Weir::start(&one_route(origin.address, LIMIT, "queue = { wait = \"2s\", length = 84 }"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let next = Arc::new(AtomicUsize::new(0));
    let address = weir.http;
    runtime.block_on(async {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (next, chance) = (Arc::clone(&next), fastrand::Rng::with_seed(SEED + number as u64));
                // A third of them speaks HTTP/2.
                tokio::spawn(async move {
                    if number % 3 == 0 {
                        http2(address, &next, chance).await;
                    } else {
                        http1(address, &next, chance).await;
                    }
                })
            })
            .collect();
        for client in clients {
            client.await.unwrap();
        }
    });
    drop(runtime);
    weir.wait_for_rest();
    let served = origin.requests();
    println!("{served} of {REQUESTS} reached the origin, at most {} at once", origin.most());
    assert!(origin.most() <= LIMIT as usize, "{} at once at an origin that can do {LIMIT}", origin.most());
    let metrics = weir.metrics();
    for line in metrics.0.lines().filter(|line| line.starts_with("weir_requests_total{") && !line.ends_with(" 0")) {
        println!("{line}");
    }
    assert_eq!(metrics.value("weir_connections_ended_total{cause=\"panicked\"}"), 0);
    assert_eq!(metrics.requests("all", "internal"), 0);
    // Else the instants were badly chosen, and little was tried.
    assert!(served > REQUESTS / 20, "the origin saw only {served}");
    for reason in ["admitted", "client_left", "body_broken"] {
        assert!(metrics.requests("all", reason) > 20, "too few ended so: {reason}");
    }
    let all = metrics.sum("weir_requests_total{");
    assert!(all <= REQUESTS as u64, "{all} counted");
    assert_eq!(crate::client::get(weir.http, "/after").status, 200);
}

/// Whether there is another request to be made.
fn another(next: &AtomicUsize) -> bool {
    next.fetch_add(1, Ordering::Relaxed) < REQUESTS
}

/// How long those may stay who want to see the end, or what they chose to see of it, however busy the machine.
const STAY: Duration = Duration::from_secs(5);

/// Most leave soon, some late.
fn pause(chance: &mut fastrand::Rng) -> Duration {
    let share = chance.u64(..1000);
    Duration::from_micros(LONGEST * share.pow(3) / 1_000_000_000)
}

async fn http1(address: SocketAddr, next: &AtomicUsize, mut chance: fastrand::Rng) {
    while another(next) {
        let Ok(Ok(mut stream)) = timeout(PATIENCE, TcpStream::connect(address)).await else { continue };
        if chance.bool() {
            // Leaves by a reset.
            stream.set_zero_linger().unwrap();
        }
        let pause = pause(&mut chance);
        // What it is cut off from, only time decides.
        let stay = if chance.u8(..4) == 0 { STAY } else { pause };
        timeout(stay, one_http1(&mut stream, &mut chance, pause)).await.ok();
    }
}

/// A request of one of the kinds there are, and its answer, up to a random part of either; stops for `pause` where it stops
/// within the request.
async fn one_http1(stream: &mut TcpStream, chance: &mut fastrand::Rng, pause: Duration) -> std::io::Result<()> {
    let host = "HTTP/1.1\r\nhost: localhost\r\n";
    let (head, body) = match chance.u8(..6) {
        0 | 1 => (format!("GET /a {host}\r\n"), 0),
        2 => (format!("POST /a {host}content-length: 2000\r\n\r\n"), 2000),
        3 => (format!("POST /a {host}content-length: {LARGE}\r\n\r\n"), LARGE),
        4 => (format!("POST /a {host}expect: 100-continue\r\ncontent-length: 2000\r\n\r\n"), 2000),
        _ => (format!("POST /a {host}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"), 5),
    };
    if chance.u8(..20) == 0 {
        stream.write_all(&head.as_bytes()[..chance.usize(..head.len())]).await?;
        sleep(pause).await;
        return Ok(());
    }
    stream.write_all(head.as_bytes()).await?;
    if head.contains("100-continue") && chance.bool() {
        stream.read_u8().await?;
    }
    let body = if head.contains("chunked") { b"0\r\n\r\n".to_vec() } else { vec![b'x'; body] };
    let sent = if chance.u8(..8) > 0 { body.len() } else { chance.usize(..=body.len()) };
    stream.write_all(&body[..sent]).await?;
    if sent < body.len() {
        sleep(pause).await;
        return Ok(());
    }
    let mut read = chance.usize(1..600_000);
    let mut buffer = vec![0; 16 << 10];
    while read > 0 {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(());
        }
        read = read.saturating_sub(length);
    }
    Ok(())
}

/// A body that says `rest` more is to come, and then says nothing more.
struct Upload {
    part: Option<Bytes>,
    ends: bool,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.part.take() {
            Some(part) => Poll::Ready(Some(Ok(Frame::data(part)))),
            None if self.ends => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ends && self.part.is_none()
    }
}

async fn http2(address: SocketAddr, next: &AtomicUsize, mut chance: fastrand::Rng) {
    let mut connection = None;
    while another(next) {
        let mut sender: SendRequest<Upload> = match connection.take() {
            Some(sender) => sender,
            None => open(address).await,
        };
        let pause = pause(&mut chance);
        let part = [None, Some(2_000), Some(40_000)][chance.usize(..3)].map(|length| Bytes::from(vec![b'x'; length]));
        let upload = Upload { ends: part.is_none() || chance.u8(..8) > 0, part };
        let stay = if upload.ends && chance.u8(..4) == 0 { STAY } else { pause };
        let request = Request::post("http://localhost/a").body(upload).unwrap();
        let read = chance.usize(..600_000);
        // Dropping the exchange resets its stream.
        timeout(stay, async {
            let Ok(response) = sender.send_request(request).await else { return };
            let (mut body, mut seen) = (response.into_body(), 0);
            while seen < read
                && let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await
            {
                seen += frame.data_ref().map_or(0, Bytes::len);
            }
        })
        .await
        .ok();
        // Some leave with the whole connection.
        if chance.u8(..20) > 0
            && !sender.is_closed()
            && timeout(PATIENCE, sender.ready()).await.is_ok_and(|up| up.is_ok())
        {
            connection = Some(sender);
        } else {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn open(address: SocketAddr) -> SendRequest<Upload> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, driver) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    // It ends with its sender, or by weir's doing.
    drop(tokio::spawn(driver));
    sender
}
