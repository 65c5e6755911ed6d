//! HTTP/2: connections that several people share, every request a stream.
//!
//! **Invariants**: a lane has one connection at a time, opened when somebody needs it, opened again when it has ended, and closed when the last
//! of its people has left. Whoever loses patience resets his stream.
//! **Cost**: one task a connection.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::Request;
use http::uri::{Authority, Parts, Scheme};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::sync::Semaphore;

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
    /// The connection, and since when it has had a socket.
    open: Mutex<Option<(SendRequest<Form>, Duration)>>,
    /// One dials, the others wait for that.
    dials: Semaphore,
}

impl Lane {
    /// A lane to `to` from an address; nothing is opened yet.
    #[must_use]
    pub fn new(to: SocketAddr, from: Ipv4Addr) -> Self {
        Self { to, from, open: Mutex::new(None), dials: Semaphore::new(1) }
    }

    /// Where it leads.
    #[must_use]
    pub fn to(&self) -> SocketAddr {
        self.to
    }

    /// Sends `request` and reads the whole answer. It was not `sent` before there was a socket: until then nobody could have it.
    pub(super) async fn exchange(
        &self,
        wire: &Wire,
        request: Request<Form>,
        sent: &mut Option<Duration>,
    ) -> Result<Reply, Ending> {
        let request = absolute(request, self.to, wire.tls.is_some())?;
        let (mut sender, since) = self.sender(wire).await?;
        *sent = (*sent).max(Some(since));
        let again = match sender.try_send_request(request).await {
            Ok(response) => return read(response).await,
            Err(mut failed) => failed.take_message().ok_or(Ending::Cut)?,
        };
        // The connection had ended before anything of it was sent.
        let (mut sender, _) = self.sender(wire).await?;
        read(sender.send_request(again).await.map_err(|_| Ending::Cut)?).await
    }

    async fn sender(&self, wire: &Wire) -> Result<(SendRequest<Form>, Duration), Ending> {
        if let Some(sender) = self.held() {
            return Ok(sender);
        }
        let _alone = self.dials.acquire().await.map_err(|_| Ending::Harness)?;
        if let Some(sender) = self.held() {
            return Ok(sender);
        }
        let socket = wire.socket().await?;
        let since = wire.clock.now();
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
        *self.open.lock().unwrap_or_else(PoisonError::into_inner) = Some((sender.clone(), since));
        Ok((sender, since))
    }

    fn held(&self) -> Option<(SendRequest<Form>, Duration)> {
        let held = self.open.lock().unwrap_or_else(PoisonError::into_inner).clone();
        held.filter(|(sender, _)| !sender.is_closed())
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
