//! The crowds: one of HTTP/2 streams, one of HTTP/1.1 connections. The path of a request is its number.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use hyper::client::conn::http2::handshake;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::runtime::{Builder, Runtime};

/// Those who wait for an answer.
pub(crate) enum Crowd {
    Streams { runtime: Runtime, answered: Arc<AtomicUsize>, count: usize },
    Connections(Vec<TcpStream>),
}

/// `count` requests over HTTP/2, `batch` on each connection; `arrived` waits until so many are in line.
pub(crate) fn streams(port: u16, count: usize, batch: usize, arrived: impl Fn(usize)) -> Crowd {
    // Its thread does for the connections what is to do while the others wait.
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let answered = Arc::new(AtomicUsize::new(0));
    for first in (0..count).step_by(batch) {
        runtime.block_on(connection(port, first..count.min(first + batch), &answered));
        arrived(count.min(first + batch));
    }
    Crowd::Streams { runtime, answered, count }
}

async fn connection(port: u16, numbers: std::ops::Range<usize>, answered: &Arc<AtomicUsize>) {
    let socket = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
    socket.set_nodelay(true).unwrap();
    let (mut sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    for number in numbers {
        sender.ready().await.unwrap();
        let request = Request::get(format!("http://localhost/{number}"))
            .header("accept", "text/html")
            .body(Empty::<Bytes>::new());
        let answer = sender.send_request(request.unwrap());
        let answered = Arc::clone(answered);
        tokio::spawn(async move {
            if answer.await.is_ok_and(|answer| answer.status() == 200) {
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
}

/// `count` connections with one request each, `batch` at once.
pub(crate) fn connections(port: u16, count: usize, batch: usize, arrived: impl Fn(usize)) -> Crowd {
    let mut all = Vec::with_capacity(count);
    while all.len() < count {
        for number in all.len()..count.min(all.len() + batch) {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
            write!(stream, "GET /{number} HTTP/1.1\r\nhost: localhost\r\naccept: text/html\r\n\r\n").unwrap();
            all.push(stream);
        }
        arrived(all.len());
    }
    Crowd::Connections(all)
}

impl Crowd {
    /// Waits for the answers, not longer than `patience`; how many were 200. Then they leave.
    pub(crate) fn answers(self, patience: Duration) -> usize {
        let began = Instant::now();
        match self {
            Self::Streams { runtime, answered, count } => {
                while answered.load(Ordering::Relaxed) < count && began.elapsed() < patience {
                    std::thread::sleep(Duration::from_millis(100));
                }
                runtime.shutdown_timeout(patience);
                answered.load(Ordering::Relaxed)
            }
            Self::Connections(all) => {
                let is_answered = |mut stream: &TcpStream| {
                    let mut bytes = [0; 1024];
                    stream.set_read_timeout(Some(patience)).is_ok()
                        && stream.read(&mut bytes).is_ok()
                        && bytes.starts_with(b"HTTP/1.1 200")
                };
                all.iter().filter(|stream| is_answered(stream)).count()
            }
        }
    }
}
