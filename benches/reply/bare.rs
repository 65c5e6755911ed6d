//! The bare server: hyper, and an answer for each of its sockets that is always the same.

use std::convert::Infallible;
use std::fs;
use std::future::ready;
use std::io::{Read, stdin};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, DATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime;

use crate::crowd::Answer;

struct Reply {
    status: StatusCode,
    fields: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

impl Reply {
    fn of(answer: &Answer) -> Self {
        let field = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.parse().unwrap(), value.parse().unwrap())
        };
        let fields = answer.fields().lines().map(field);
        Self {
            status: answer.status().parse().unwrap(),
            // hyper writes these two itself.
            fields: fields.filter(|(name, _)| ![CONTENT_LENGTH, DATE].contains(name)).collect(),
            body: Bytes::copy_from_slice(answer.body()),
        }
    }

    fn response(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body.clone()));
        *response.status_mut() = self.status;
        for (name, value) in &self.fields {
            response.headers_mut().insert(name, value.clone());
        }
        response
    }
}

/// Serves the answer in each of `files` at a socket of its own, and says where on standard output. Ends with its parent.
pub(crate) fn serve(files: impl Iterator<Item = PathBuf>) -> ! {
    let replies: Vec<_> = files.map(|file| Arc::new(Reply::of(&Answer::new(fs::read(file).unwrap())))).collect();
    std::thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut loops = tokio::task::JoinSet::new();
            for reply in replies {
                let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
                println!("{}", socket.local_addr().unwrap());
                loops.spawn(accept(socket, reply));
            }
            loops.join_all().await;
        });
    });
    stdin().read_to_end(&mut Vec::new()).unwrap();
    std::process::exit(0)
}

async fn accept(socket: TcpListener, reply: Arc<Reply>) {
    loop {
        let (stream, _) = socket.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let reply = Arc::clone(&reply);
        let service = service_fn(move |_request| ready(Ok::<_, Infallible>(reply.response())));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}
