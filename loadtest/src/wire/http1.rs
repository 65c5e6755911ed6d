//! HTTP/1.1: a connection of one's own, kept while its person comes again soon.
//!
//! **Invariants**: a kept connection that the other side has closed is never used; a request that was not sent on one is sent on a new one.
//! **Cost**: a kept connection is polled by nobody: no task, some 15 KiB.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;

use http::{Request, header};
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::sync::OwnedSemaphorePermit;

use super::{Io, Reply, read};
use crate::ledger::Ending;
use crate::wire::form::Form;

/// hyper's smallest read buffer: a person reads one small answer.
const READ_BUFFER: usize = 8 * 1024;

/// What sends and receives on a connection.
type Driver = Pin<Box<Connection<TokioIo<Box<dyn Io>>, Form>>>;

/// An open connection and its place among this process's sockets.
pub struct Kept {
    /// Where it leads.
    pub to: SocketAddr,
    sender: SendRequest<Form>,
    connection: Driver,
    _socket: OwnedSemaphorePermit,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kept").field("to", &self.to).finish_non_exhaustive()
    }
}

impl Kept {
    /// Speaks HTTP/1.1 over `stream`.
    ///
    /// # Errors
    /// [`Ending::Cut`]: it broke.
    pub async fn new(stream: Box<dyn Io>, to: SocketAddr, socket: OwnedSemaphorePermit) -> Result<Self, Ending> {
        let handshake = Builder::new().max_buf_size(READ_BUFFER).handshake(TokioIo::new(stream));
        let (sender, connection) = handshake.await.map_err(|_| Ending::Cut)?;
        Ok(Self { to, sender, connection: Box::pin(connection), _socket: socket })
    }

    /// Whether it can take a request.
    pub async fn is_open(&mut self) -> bool {
        let pending = poll_fn(|cx| std::task::Poll::Ready(self.connection.as_mut().poll(cx).is_pending())).await;
        pending && self.sender.is_ready()
    }

    /// Sends `request` and reads the whole answer; the request comes back if nothing of it was sent.
    pub async fn exchange(&mut self, mut request: Request<Form>) -> Result<Reply, (Ending, Option<Request<Form>>)> {
        if let Ok(host) = self.to.to_string().try_into() {
            request.headers_mut().insert(header::HOST, host);
        }
        let answer = async {
            let response = match self.sender.try_send_request(request).await {
                Ok(response) => response,
                Err(mut failed) => return Err((Ending::Cut, failed.take_message())),
            };
            read(response).await.map_err(|ending| (ending, None))
        };
        let mut answer = std::pin::pin!(answer);
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            // It has ended: what it delivered before is still to be read.
            _ = &mut self.connection => answer.await,
        }
    }
}
