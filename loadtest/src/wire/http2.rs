//! HTTP/2: connections that several people share, every request a stream.
//!
//! **Invariants**: a lane has one connection at a time, opened when somebody needs it, opened again when it has ended, and closed when the last
//! of its people has left. Whoever loses patience resets his stream.
//! **Cost**: one task a connection.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::Request;
use http::uri::{Authority, Parts, Scheme};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Reply, Wire, read};
use crate::ledger::Ending;
use crate::wire::form::Form;

/// Streams before the other side has said how many it allows.
const STREAMS: usize = 16_384;

/// A connection that people share.
#[derive(Debug)]
pub struct Lane {
    to: SocketAddr,
    from: Ipv4Addr,
    open: Mutex<Option<SendRequest<Form>>>,
    /// One dials, the others wait for that.
    dials: Semaphore,
    /// One waits for a socket, and the others for that: none of them has sent anything yet.
    sockets: Semaphore,
    /// Somebody has a socket and dials.
    is_dialled: AtomicBool,
}

/// A socket to dial with.
struct Dial<'l> {
    lane: &'l Lane,
    socket: Option<OwnedSemaphorePermit>,
}

impl Drop for Dial<'_> {
    fn drop(&mut self) {
        self.lane.is_dialled.store(false, Ordering::Relaxed);
    }
}

impl Lane {
    /// A lane to `to` from an address; nothing is opened yet.
    #[must_use]
    pub fn new(to: SocketAddr, from: Ipv4Addr) -> Self {
        let (dials, sockets) = (Semaphore::new(1), Semaphore::new(1));
        Self { to, from, open: Mutex::new(None), dials, sockets, is_dialled: AtomicBool::new(false) }
    }

    /// Where it leads.
    #[must_use]
    pub fn to(&self) -> SocketAddr {
        self.to
    }

    /// Sends `request` and reads the whole answer; `sent` is set as soon as this process has a socket for it.
    pub(super) async fn exchange(
        &self,
        wire: &Wire,
        request: Request<Form>,
        sent: &mut Option<Duration>,
    ) -> Result<Reply, Ending> {
        let request = absolute(request, self.to, wire.tls.is_some())?;
        let mut sender = self.sender(wire, sent).await?;
        let again = match sender.try_send_request(request).await {
            Ok(response) => return read(response).await,
            Err(mut failed) => failed.take_message().ok_or(Ending::Cut)?,
        };
        // The connection had ended before anything of it was sent.
        let mut sender = self.sender(wire, sent).await?;
        read(sender.send_request(again).await.map_err(|_| Ending::Cut)?).await
    }

    async fn sender(&self, wire: &Wire, sent: &mut Option<Duration>) -> Result<SendRequest<Form>, Ending> {
        if let Some(sender) = self.held() {
            sent.get_or_insert(wire.clock.now());
            return Ok(sender);
        }
        let mut dial = self.socket(wire).await?;
        // From here on whoever waits waits for the other side.
        sent.get_or_insert(wire.clock.now());
        let _alone = self.dials.acquire().await.map_err(|_| Ending::Harness)?;
        if let Some(sender) = self.held() {
            return Ok(sender);
        }
        let socket = match dial.as_mut().and_then(|dial| dial.socket.take()) {
            Some(socket) => socket,
            // Whoever dialled before was not taken.
            None => wire.socket().await?,
        };
        let stream = wire.open(self.from, self.to, true).await?;
        let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_max_send_streams(STREAMS)
            .max_concurrent_reset_streams(STREAMS)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|_| Ending::Cut)?;
        tokio::spawn(async move {
            // Its end shows at the senders.
            connection.await.ok();
            drop(socket);
        });
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender.clone());
        Ok(sender)
    }

    /// A socket to dial with; none: somebody else has one.
    async fn socket(&self, wire: &Wire) -> Result<Option<Dial<'_>>, Ending> {
        let _alone = self.sockets.acquire().await.map_err(|_| Ending::Harness)?;
        if self.held().is_some() || self.is_dialled.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let socket = wire.socket().await?;
        self.is_dialled.store(true, Ordering::Relaxed);
        Ok(Some(Dial { lane: self, socket: Some(socket) }))
    }

    fn held(&self) -> Option<SendRequest<Form>> {
        let held = self.open.lock().unwrap_or_else(PoisonError::into_inner).clone();
        held.filter(|sender| !sender.is_closed())
    }
}

/// With scheme and authority, as HTTP/2 wants it (RFC 9113 §8.3.1).
fn absolute(mut request: Request<Form>, to: SocketAddr, tls: bool) -> Result<Request<Form>, Ending> {
    let mut parts = Parts::default();
    parts.scheme = Some(if tls { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Authority::try_from(to.to_string()).ok();
    parts.path_and_query = request.uri().path_and_query().cloned();
    *request.uri_mut() = http::Uri::from_parts(parts).map_err(|_| Ending::Harness)?;
    Ok(request)
}
