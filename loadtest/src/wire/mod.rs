//! People's connections: HTTP/1.1, HTTP/2, TLS, slow senders and floods, from many addresses.
//!
//! **Invariants**: never more sockets than asked for; whoever finds none free waits, and that is late, which shows. Of those, half at most are for
//! connections that say nothing: a flood takes nobody's socket. What fails for want of
//! anything on this side is [`Ending::Harness`], never blamed on the other. Whoever's patience ends hangs up: his connection is closed, or his
//! stream reset. Nothing read is held beyond [`ANSWER`].
//! **Cost**: HTTP/1.1 25 µs of CPU a request and 24 KiB while one is outstanding, HTTP/2 24 µs and 10 KiB.
//! **Not here**: who sends what when (`visitor`, `people`).

pub mod form;
pub mod http1;
pub mod http2;
pub mod source;
pub mod tls;

mod early;
mod raw;
#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout_at;

use self::early::Early;
use self::form::Form;
use self::http1::Kept;
use self::http2::Lane;
use self::tls::Tls;
use crate::clock::Clock;
use crate::ledger::Ending;

/// Longest answer read; a waiting room's page is far below.
const ANSWER: usize = 256 * 1024;

/// A connection, under TLS or not.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// All that the people of one process share.
#[derive(Debug)]
pub struct Wire {
    clock: Clock,
    tls: Option<Tls>,
    sockets: Arc<Semaphore>,
    silent: Semaphore,
}

/// How a request travels.
#[derive(Debug)]
pub enum Way {
    /// Over a connection of one's own; over this one, if it is still open.
    Http1(Option<Kept>),
    /// As a stream of a shared one.
    Http2(Arc<Lane>),
    /// Its head at so many bytes a second, and no body.
    SlowHead(u64),
}

/// One request of one person.
#[derive(Debug)]
pub struct Call {
    /// Where to.
    pub to: SocketAddr,
    /// From which address.
    pub from: Ipv4Addr,
    /// How.
    pub way: Way,
    /// What, with a path and without `Host`.
    pub request: Request<Form>,
    /// When it is broken off, since the clock's start.
    pub deadline: Duration,
}

/// A whole answer.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its header.
    pub fields: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
}

/// How a request ended.
#[derive(Debug)]
pub struct Landed {
    /// When it was sent: a socket was there.
    pub sent: Duration,
    /// When it ended.
    pub ended: Duration,
    /// The answer, or how it ended without one.
    pub reply: Result<Reply, Ending>,
    /// The connection, if it can be used again.
    pub kept: Option<Kept>,
}

impl Wire {
    /// With at most so many `sockets` at once, up to half of them for silent connections if there `is_flood`.
    #[must_use]
    pub fn new(clock: Clock, tls: Option<Tls>, sockets: usize, is_flood: bool) -> Self {
        let silent = if is_flood { sockets / 2 } else { 0 };
        let pool = |sockets: usize| Semaphore::new(sockets.min(Semaphore::MAX_PERMITS));
        Self { clock, tls, sockets: Arc::new(pool(sockets - silent)), silent: pool(silent) }
    }

    /// Sockets that are free for people.
    #[must_use]
    pub fn free(&self) -> usize {
        self.sockets.available_permits()
    }

    /// Sends a request and waits for its end, at the latest its deadline.
    pub async fn carry(&self, call: Call) -> Landed {
        let deadline = self.clock.instant(call.deadline);
        let mut sent = None;
        let (reply, kept) = match timeout_at(deadline, self.exchange(call, &mut sent)).await {
            Ok(Ok((reply, kept))) => (Ok(reply), kept),
            Ok(Err(ending)) => (Err(ending), None),
            // No socket became free while he was there.
            Err(_) if sent.is_none() => (Err(Ending::Harness), None),
            Err(_) => (Err(Ending::BrokenOff), None),
        };
        let ended = self.clock.now();
        Landed { sent: sent.unwrap_or(ended), ended, reply, kept }
    }

    /// Opens a connection from an address and says nothing, again and again, until `until`.
    pub async fn keep_silent(&self, from: Ipv4Addr, to: SocketAddr, until: Duration) {
        timeout_at(self.clock.instant(until), raw::silence(self, from, to)).await.ok();
    }

    async fn exchange(&self, call: Call, sent: &mut Option<Duration>) -> Result<(Reply, Option<Kept>), Ending> {
        let Call { to, from, way, request, .. } = call;
        match way {
            Way::Http2(lane) => Box::pin(lane.exchange(self, request, sent)).await.map(|reply| (reply, None)),
            Way::Http1(kept) => Box::pin(self.exchange_http1((from, to), kept, request, sent)).await,
            Way::SlowHead(rate) => {
                let _socket = self.socket().await?;
                *sent = Some(self.clock.now());
                let stream = Box::pin(self.open(from, to, false)).await?;
                Box::pin(raw::slow_head(stream, &request, rate)).await.map(|reply| (reply, None))
            }
        }
    }

    async fn exchange_http1(
        &self,
        (from, to): (Ipv4Addr, SocketAddr),
        kept: Option<Kept>,
        mut request: Request<Form>,
        sent: &mut Option<Duration>,
    ) -> Result<(Reply, Option<Kept>), Ending> {
        if let Some(mut kept) = kept.filter(|kept| kept.to == to)
            && kept.is_open().await
        {
            *sent = Some(self.clock.now());
            request = match kept.exchange(request).await {
                Ok(reply) => return Ok((reply, Some(kept))),
                Err((_, Some(unsent))) => unsent,
                Err((ending, None)) => return Err(ending),
            };
        }
        let socket = self.socket().await?;
        sent.get_or_insert(self.clock.now());
        // A handshake's state shall not take room until the end.
        let stream = Box::pin(self.open(from, to, false)).await?;
        let mut fresh = Kept::new(stream, to, socket).await?;
        let reply = fresh.exchange(request).await.map_err(|(ending, _)| ending)?;
        Ok((reply, Some(fresh)))
    }

    /// A place among this process's sockets.
    async fn socket(&self) -> Result<OwnedSemaphorePermit, Ending> {
        Arc::clone(&self.sockets).acquire_owned().await.map_err(|_| Ending::Harness)
    }

    /// A place among those for silent connections.
    async fn silent_socket(&self) -> Result<SemaphorePermit<'_>, Ending> {
        self.silent.acquire().await.map_err(|_| Ending::Harness)
    }

    async fn open(&self, from: Ipv4Addr, to: SocketAddr, http2: bool) -> Result<Box<dyn Io>, Ending> {
        let stream = source::connect(from, to).await?;
        Ok(match &self.tls {
            None => Box::new(Early(stream)),
            Some(tls) => Box::new(Early(tls.connect(stream, http2).await?)),
        })
    }
}

/// Reads an answer to its end.
async fn read(response: Response<Incoming>) -> Result<Reply, Ending> {
    let (head, mut incoming) = response.into_parts();
    let mut body = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|_| Ending::Cut)?;
        body.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        if body.len() > ANSWER {
            return Err(Ending::Cut);
        }
    }
    Ok(Reply { status: head.status.as_u16(), fields: head.headers, body })
}
