//! The bare proxy: hyper on both sides and a pool, and nothing else. What it costs, no proxy on hyper is below.

use std::cell::RefCell;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

type Sender = SendRequest<Incoming>;

thread_local! {
    /// Connections that wait for a request. There is one thread.
    static IDLE: RefCell<Vec<Sender>> = const { RefCell::new(Vec::new()) };
}

/// Forwards from `port` to `origin` until it is killed.
pub(crate) fn serve(port: &str, origin: &str) {
    let origin = origin.parse().unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port.parse().unwrap())).await.unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let service = service_fn(move |request| forward(request, origin));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
}

async fn forward(request: Request<Incoming>, origin: u16) -> hyper::Result<Response<Passing>> {
    let idle = IDLE.with_borrow_mut(Vec::pop);
    let mut sender = match idle {
        Some(sender) => sender,
        None => dial(origin).await?,
    };
    let response = sender.send_request(request).await?;
    Ok(response.map(|body| Passing { body, sender: Some(sender) }))
}

async fn dial(origin: u16) -> hyper::Result<Sender> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, origin)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

/// A body that gives its connection back.
struct Passing {
    body: Incoming,
    sender: Option<Sender>,
}

impl Body for Passing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take().filter(|sender| !sender.is_closed()) {
            IDLE.with_borrow_mut(|idle| idle.push(sender));
        }
    }
}
