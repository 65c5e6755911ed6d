//! One connection, from accept to close.
//!
//! **Invariants**: noted with exactly one cause; the client has a chance to read the last answer: a socket that is closed over
//! unread bytes is reset, and a reset destroys what the client has not read yet (RFC 9112 §9.6), so ours is closed in two
//! steps.
//! **Cost**: a task that holds one boxed future of its protocol.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::activity::Activity;
use super::addresses::Crowded;
use super::connections::{Cause, Connections, Kind, Slot};
use super::drain::DrainSignal;
use super::http::Session;
use super::proxy_line::{self, Header};
use super::rest::Kept;
use super::sniff::{Version, sniff};
use super::stream::Stream;
use super::terms::Terms;
use super::tls::{self, HandshakeError};
use super::{Attend, Limits};
use crate::proxy::answer::Answer;
use crate::proxy::peer::Peer;

/// How long a client that has not spoken yet may go on when a drain begins: a round trip, so that one who was just accepted
/// from the backlog is answered.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// How long a client is read on after the last answer until it closes its side: as long as nginx's `lingering_time`. A client
/// that sends a large body sees the answer only when all of it is gone, and whoever is reset before loses the answer.
const LINGER: Duration = Duration::from_secs(30);

/// How long such a client may be silent: as long as nginx's `lingering_timeout` within what a telephone's network pauses.
const LINGER_SILENCE: Duration = Duration::from_secs(2);

/// So many bytes of it are read: the largest body that is read before its turn, twice. Reading costs less than the visit of
/// somebody who was cut off.
const LINGER_BYTES: usize = 16 * 1024 * 1024;

/// Read at once.
const LINGER_PART: usize = 16 * 1024;

/// Takes note of how a connection ended, also if its task panics.
struct End {
    connections: Arc<Connections>,
    cause: Cause,
}

impl Drop for End {
    fn drop(&mut self) {
        self.connections.note_end(self.cause);
    }
}

/// A protocol at work.
type Serving = Pin<Box<dyn Future<Output = Cause> + Send>>;

/// What a connection needs from its worker.
pub(super) struct Connection<A> {
    attend: Arc<A>,
    limits: Arc<Limits>,
    connections: Arc<Connections>,
    tls: Option<Arc<Terms>>,
    proxy_line: bool,
    drain: DrainSignal,
}

impl<A: Attend> Connection<A> {
    pub(super) fn new(
        attend: &Arc<A>,
        limits: &Arc<Limits>,
        connections: &Arc<Connections>,
        (tls, proxy_line): (Option<Arc<Terms>>, bool),
        drain: DrainSignal,
    ) -> Self {
        Self {
            attend: Arc::clone(attend),
            limits: Arc::clone(limits),
            connections: Arc::clone(connections),
            tls,
            proxy_line,
            drain,
        }
    }

    /// Serves the connection until it is closed.
    ///
    /// What it is served with is made before the task is and goes with the step that needs it, and each step is boxed: the task of a
    /// connection has room for a pointer, and not for the largest of them.
    pub(super) fn run(
        self,
        socket: TcpStream,
        address: SocketAddr,
        slot: Slot,
    ) -> impl Future<Output = ()> + Send + use<A> {
        let socket = Arc::new(socket);
        let activity = Activity::new(slot);
        let (drain, patience) = (self.drain.clone(), self.limits.drain_timeout);
        let opening = Box::pin(self.open(Arc::clone(&socket), address, Arc::clone(&activity)));
        async move {
            let mut end = End { connections: Arc::clone(activity.slot().connections()), cause: Cause::Panicked };
            end.cause = match unless_dismissed(opening, &activity).await {
                Some(Ok(serving)) => serving.await,
                Some(Err(cause)) => cause,
                None => Cause::Displaced,
            };
            activity.slot().connections().quiet.leave(activity.slot());
            if end.cause == Cause::Displaced {
                // Whoever has been answered may still have to take it from the kernel.
                if !activity.has_requested() {
                    reset(&socket);
                }
            } else if !activity.is_stream_gone() {
                activity.slot().become_kind(Kind::Tunnel);
                end.cause = Box::pin(tunnel(&socket, &activity, drain, patience)).await;
            } else if closes_with_answer(end.cause) && !activity.is_read_closed() {
                activity.slot().become_kind(Kind::Closing);
                Box::pin(linger(&socket)).await;
            }
            if Arc::strong_count(&socket) > 1 {
                // Whoever still holds the peer shall not keep the connection.
                shut(&socket, Shutdown::Both);
            }
        }
    }

    /// Finds the protocol; answers what is left to do, or why there is nothing.
    async fn open(
        self,
        socket: Arc<TcpStream>,
        address: SocketAddr,
        activity: Arc<Activity>,
    ) -> Result<Serving, Cause> {
        let deadline = activity.opened() + self.limits.header_timeout;
        let drain = self.drain.clone();
        let mut stream = Stream::new(Arc::clone(&socket), Arc::clone(&activity), self.limits.body_timeout);
        let named = if self.proxy_line { self.named(&mut stream, activity.slot(), deadline).await? } else { None };
        let peer = Arc::new(Peer {
            address: named.unwrap_or(address),
            // Behind a proxy that does not say for whom it speaks may be anybody.
            may_speak_for_others: named.is_some() || !self.proxy_line,
            tls: self.tls.is_some(),
            certificate: OnceLock::new(),
            inside: AtomicBool::new(false),
            socket,
        });
        let Some(terms) = self.tls.as_deref() else {
            let sniffed = or_drained(pin!(timeout_at(deadline, sniff(&mut stream))), &drain).await;
            return match sniffed.ok_or(Cause::Drained)? {
                Ok(Ok(Some(Version::Http1))) => Ok(self.http1(stream, peer, &activity)),
                Ok(Ok(Some(Version::Http2))) => Ok(self.http2(stream, peer, &activity)),
                Ok(Ok(None) | Err(_)) => Err(Cause::Departed),
                Err(_) => Err(Cause::Silent),
            };
        };
        let handshake = Box::pin(tls::handshake(stream, terms, &self.connections.handshakes));
        let shaken = or_drained(pin!(timeout_at(deadline, handshake)), &drain).await;
        match shaken.ok_or(Cause::Drained)? {
            Ok(Ok(stream)) => {
                if let Some(certificate) = tls::client_certificate(&stream) {
                    peer.note_certificate(certificate);
                }
                Ok(if tls::chose_http2(&stream) {
                    self.http2(stream, peer, &activity)
                } else {
                    self.http1(stream, peer, &activity)
                })
            }
            Ok(Err(HandshakeError::Departed)) => Err(Cause::Departed),
            Ok(Err(HandshakeError::Cleartext)) => Err(Cause::Malformed),
            Ok(Err(HandshakeError::Failed(error))) => {
                tracing::debug!(%error, "no TLS");
                Err(Cause::TlsFailed)
            }
            Err(_) => Err(Cause::TlsTimeout),
        }
    }

    /// Reads the PROXY header; the client it names, if it names one.
    async fn named(&self, stream: &mut Stream, slot: &Slot, deadline: Instant) -> Result<Option<SocketAddr>, Cause> {
        let received = timeout_at(deadline, proxy_line::receive(stream));
        match or_drained(pin!(received), &self.drain).await.ok_or(Cause::Drained)? {
            Ok(Ok(Some(Header::Client(client)))) => {
                slot.count_as(client.ip()).map_err(|Crowded| Cause::Crowded)?;
                Ok(Some(client))
            }
            Ok(Ok(Some(Header::Unnamed))) => Ok(None),
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::debug!(%error, "no PROXY header from a trusted proxy");
                Err(Cause::Unproxied)
            }
            Ok(Ok(None) | Err(_)) => Err(Cause::Departed),
            Err(_) => Err(Cause::Silent),
        }
    }

    fn session(&self, peer: Arc<Peer>, activity: &Arc<Activity>) -> Session<A> {
        Session {
            attend: Arc::clone(&self.attend),
            peer,
            activity: Arc::clone(activity),
            limits: Arc::clone(&self.limits),
            drain: self.drain.clone(),
        }
    }

    fn http1<S>(&self, stream: S, peer: Arc<Peer>, activity: &Arc<Activity>) -> Serving
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        // Boxed: it moves whenever the connection comes to rest or wakes, and under TLS it is large.
        let stream = Box::new(Kept::new(stream, Arc::clone(activity)));
        Box::pin(self.session(peer, activity).http1(stream))
    }

    fn http2<S>(&self, stream: S, peer: Arc<Peer>, activity: &Arc<Activity>) -> Serving
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        Box::pin(self.session(peer, activity).http2(stream))
    }
}

/// Whether a connection of `address` may go on to where the first byte is read, and why not. Whoever is to be named by a PROXY header
/// is counted when it has been read.
pub(super) fn may_open(address: IpAddr, proxy_line: bool, slot: &Slot) -> Result<(), Cause> {
    if proxy_line {
        let is_trusted = slot.connections().addresses.trusts(address);
        return if is_trusted { Ok(()) } else { Err(Cause::Untrusted) };
    }
    slot.count_as(address).map_err(|Crowded| Cause::Crowded)
}

/// Ends a connection that has had nothing from us, by a reset: a flood shall not leave the kernel with connections to close.
pub(super) fn reject(socket: &TcpStream, slot: &Slot, cause: Cause) {
    slot.connections().note_end(cause);
    reset(socket);
}

/// Has the socket reset its connection when it is closed.
fn reset(socket: &TcpStream) {
    // A socket that cannot be told is closed in the usual way.
    let _usual = SockRef::from(socket).set_linger(Some(Duration::ZERO)).is_err();
}

/// Opens a connection; [`None`] if it must make room before that is done.
fn unless_dismissed<F: Future + Unpin>(mut opening: F, activity: &Activity) -> impl Future<Output = Option<F::Output>> {
    poll_fn(move |cx| {
        // Each time, which is seldom: a note that it has been done would be room in every task.
        activity.watch(cx);
        match Pin::new(&mut opening).poll(cx) {
            Poll::Ready(opened) => Poll::Ready(Some(opened)),
            Poll::Pending if activity.is_dismissed() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
}

/// Turns a newcomer away, whatever he wants. Who speaks TLS is told nothing: a handshake takes the memory that is short.
pub(super) async fn refuse(socket: TcpStream, slot: Slot, is_tls: bool) {
    let _end = End { connections: Arc::clone(slot.connections()), cause: Cause::Refused };
    slot.become_kind(Kind::Closing);
    // A socket that was just accepted takes as much at once.
    if !is_tls && socket.writable().await.is_ok() && socket.try_write(refusal().as_bytes()).is_ok() {
        linger(&socket).await;
    }
}

/// The words of `proxy` for it; nothing was read, so there is neither a preference for HTML nor an id.
fn refusal() -> String {
    let (retry_after, problem) = Answer::overloaded(fastrand::f64()).unread();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nretry-after: \
         {retry_after}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n{problem}",
        problem.len()
    )
}

/// Waits for `opening`; [`None`] if a drain comes first and it does not end within the last words.
async fn or_drained<F: Future>(mut opening: Pin<&mut F>, drain: &DrainSignal) -> Option<F::Output> {
    tokio::select! {
        biased;
        opened = &mut opening => Some(opened),
        () = drain.begun() => timeout(LAST_WORDS, opening).await.ok(),
    }
}

/// Waits until the upgraded stream is given up, or cuts it when a drain loses its patience.
async fn tunnel(socket: &TcpStream, activity: &Activity, drain: DrainSignal, patience: Duration) -> Cause {
    let cut = async {
        drain.begun().await;
        sleep(patience).await;
    };
    let gone = tokio::select! {
        () = poll_fn(|cx| activity.poll_stream_gone(cx)) => return Cause::Done,
        () = cut => poll_fn(|cx| activity.poll_stream_gone(cx)),
    };
    // Both ends of the tunnel see the end of the stream and go.
    shut(socket, Shutdown::Both);
    gone.await;
    Cause::Cut
}

/// Whether the client may still have an answer to read.
const fn closes_with_answer(cause: Cause) -> bool {
    matches!(cause, Cause::Done | Cause::Drained | Cause::Malformed | Cause::Idle | Cause::Shed)
}

/// Tells the client that we are done and reads on, unheard, until it is too.
async fn linger(socket: &TcpStream) {
    shut(socket, Shutdown::Write);
    let deadline = Instant::now() + LINGER;
    let mut unheard = 0;
    while unheard < LINGER_BYTES {
        let patience = deadline.min(Instant::now() + LINGER_SILENCE);
        if !matches!(timeout_at(patience, socket.readable()).await, Ok(Ok(()))) {
            return;
        }
        let mut bytes = [0; LINGER_PART];
        match socket.try_read(&mut bytes) {
            Ok(0) => return,
            Ok(read) => unheard += read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

fn shut(socket: &TcpStream, how: Shutdown) {
    // A peer that was faster leaves nothing to shut.
    let _closed = SockRef::from(socket).shutdown(how).is_err();
}
