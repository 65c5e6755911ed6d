//! The accept loop.
//!
//! **Invariants**: a connection is taken from the kernel only with a slot in hand, so what is beyond the limit waits in the
//! backlog until one is free, which those without a request in flight are made to see to; the loop ends by a drain and by nothing else; out of descriptors or memory it
//! waits, longer each time, and neither spins nor gives up.
//! **Cost**: one system call per connection and one per burst.
//! **Not here**: what becomes of a connection.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SocketAddrAny, SocketFlags, acceptfrom_with};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, timeout};

use super::connections::Connections;
use super::drain::DrainSignal;

/// Connections taken before the other tasks of the worker have their turn: about 0.3 ms.
const BURST: usize = 32;

/// Connections taken from the backlog after the drain has begun: their clients were told that they are connected.
const LAST_BURST: usize = 1024;

/// The first and the longest wait when the machine has nothing left for another connection.
const BACKOFF_FIRST: Duration = Duration::from_millis(5);
const BACKOFF_LAST: Duration = Duration::from_secs(1);

/// How long a connection that was told to go has for it before others are told too: its task runs within a turn of its worker, but
/// one that speaks HTTP/2 has a round trip, or somebody else may have the slot.
const DISMISSAL: Duration = Duration::from_millis(10);

/// Between two log lines about the same want.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// What accept(2) gives.
type Taken = (OwnedFd, Option<SocketAddrAny>);

/// How accept(2) came out.
enum Accepted {
    Connection(TcpStream, SocketAddr),
    /// Nobody is waiting.
    Nobody,
    /// This one failed before we had it; the next may be well.
    Failed(io::Error),
    /// There is nothing to hold a connection with, or something we do not know: waiting is all that can help.
    Exhausted(io::Error),
}

/// Accepts on `socket` until the drain begins, then takes what still waits and closes the socket.
pub(super) async fn accept(
    socket: TcpListener,
    connections: &Connections,
    drain: DrainSignal,
    open: impl Fn(TcpStream, SocketAddr, OwnedSemaphorePermit),
) -> io::Result<()> {
    let socket = watched(socket)?;
    let mut want = Want::default();
    while !drain.has_begun() {
        let slot = tokio::select! {
            biased;
            () = drain.begun() => break,
            slot = next_slot(&socket, connections) => slot?,
        };
        let next = || socket.try_io(Interest::READABLE, accept_one);
        if let Some(wait) = burst(connections, slot, BURST, &mut want, next, &open) {
            tokio::select! {
                () = drain.begun() => break,
                () = sleep(wait) => {}
            }
        }
        // The other tasks of this worker, before more of the crowd.
        tokio::task::yield_now().await;
    }
    if let Ok(slot) = connections.slots().clone().try_acquire_owned() {
        // Asks the kernel, not the runtime, which may not have heard of the latest yet.
        let next = || accept_one(socket.get_ref());
        let _exhausted = burst(connections, slot, LAST_BURST, &mut want, next, &open);
    }
    Ok(())
}

#[expect(deprecated, reason = "its successor is `unsafe`; a std socket keeps the promise that one asks for")]
fn watched(socket: TcpListener) -> io::Result<AsyncFd<TcpListener>> {
    AsyncFd::with_interest(socket, Interest::READABLE)
}

/// Waits until somebody is there, and then for a slot: in this order, so that an idle worker keeps no slot from a busy one. If all are
/// taken, whoever has been without a request for longest makes room: one first, then twice as many as before for as long as none is free.
async fn next_slot(socket: &AsyncFd<TcpListener>, connections: &Connections) -> io::Result<OwnedSemaphorePermit> {
    socket.readable().await?.retain_ready();
    let slots = connections.slots();
    if let Ok(slot) = slots.clone().try_acquire_owned() {
        return Ok(slot);
    }
    let mut slot = pin!(slots.clone().acquire_owned());
    let mut leaving = 1;
    loop {
        // What the runtime knows may be old: the last of the burst before may have been the last there was.
        if is_awaited(socket.get_ref()) {
            connections.quiet.dismiss(leaving, Instant::now());
            leaving = (leaving * 2).min(BURST);
        }
        if let Ok(slot) = timeout(DISMISSAL, slot.as_mut()).await {
            return slot.map_err(io::Error::other);
        }
    }
}

/// Whether somebody waits to be accepted, by the kernel.
fn is_awaited(socket: &TcpListener) -> bool {
    let mut watched = [PollFd::new(socket, PollFlags::IN)];
    poll(&mut watched, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

/// Takes up to `size` connections from `next`, the first into `slot`. Answers how long to wait if the machine has nothing left.
fn burst(
    connections: &Connections,
    slot: OwnedSemaphorePermit,
    size: usize,
    want: &mut Want,
    next: impl Fn() -> io::Result<Taken>,
    open: &impl Fn(TcpStream, SocketAddr, OwnedSemaphorePermit),
) -> Option<Duration> {
    let mut slot = Some(slot);
    for _ in 0..size {
        let taken = slot.take().or_else(|| connections.slots().clone().try_acquire_owned().ok())?;
        match accepted(next()) {
            Accepted::Connection(stream, peer) => {
                want.over();
                open(stream, peer, taken);
            }
            Accepted::Nobody => return None,
            Accepted::Failed(error) => {
                connections.note_accept_error();
                tracing::debug!(%error, "a connection failed before it was accepted");
                slot = Some(taken);
            }
            Accepted::Exhausted(error) => {
                connections.note_exhausted();
                return Some(want.again(&error));
            }
        }
    }
    None
}

/// One accept(2).
fn accept_one(socket: &TcpListener) -> io::Result<Taken> {
    Ok(acceptfrom_with(socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?)
}

/// What accept(2) came to.
fn accepted(taken: io::Result<Taken>) -> Accepted {
    let (descriptor, peer) = match taken {
        Ok(taken) => taken,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Accepted::Nobody,
        Err(error) if concerns_one(&error) => return Accepted::Failed(error),
        Err(error) => return Accepted::Exhausted(error),
    };
    let Some(peer) = peer.and_then(|peer| SocketAddr::try_from(peer).ok()) else {
        return Accepted::Failed(io::Error::other("a peer without an address"));
    };
    // Registration with epoll can want memory, or a watch, too.
    TcpStream::from_std(std::net::TcpStream::from(descriptor))
        .map_or_else(Accepted::Exhausted, |stream| Accepted::Connection(stream, peer))
}

/// Whether `error` is about the one connection that accept(2) took from the backlog: what accept(2) of Linux lists under
/// *Error handling*, and what a firewall or an interruption leaves.
fn concerns_one(error: &io::Error) -> bool {
    const ONE: [Errno; 12] = [
        Errno::CONNABORTED,
        Errno::PERM,
        Errno::INTR,
        Errno::PROTO,
        Errno::NOPROTOOPT,
        Errno::NETDOWN,
        Errno::NETUNREACH,
        Errno::HOSTDOWN,
        Errno::HOSTUNREACH,
        Errno::NONET,
        Errno::OPNOTSUPP,
        Errno::TIMEDOUT,
    ];
    Errno::from_io_error(error).is_some_and(|errno| ONE.contains(&errno))
}

/// How long the machine has had nothing left, and what was said about it.
#[derive(Debug, Default)]
struct Want {
    times: u32,
    logged: Option<Instant>,
}

impl Want {
    /// It still has not: how long to wait now.
    fn again(&mut self, error: &io::Error) -> Duration {
        let wait = BACKOFF_FIRST.saturating_mul(2_u32.saturating_pow(self.times)).min(BACKOFF_LAST);
        self.times = self.times.saturating_add(1);
        if self.logged.is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
            self.logged = Some(Instant::now());
            tracing::error!(%error, times = self.times, "cannot accept; connections wait in the backlog");
        }
        wait
    }

    /// It has again.
    fn over(&mut self) {
        self.times = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_second_and_begin_anew() {
        let mut want = Want::default();
        let error = io::Error::from(Errno::MFILE);
        assert_eq!(want.again(&error), Duration::from_millis(5));
        assert_eq!(want.again(&error), Duration::from_millis(10));
        for _ in 0..100 {
            assert!(want.again(&error) <= BACKOFF_LAST);
        }
        assert_eq!(want.again(&error), BACKOFF_LAST);
        want.over();
        assert_eq!(want.again(&error), BACKOFF_FIRST);
    }

    #[test]
    fn an_aborted_connection_is_one_and_a_full_table_is_not() {
        assert!(concerns_one(&Errno::CONNABORTED.into()));
        assert!(!concerns_one(&Errno::MFILE.into()));
        assert!(!concerns_one(&Errno::BADF.into()));
    }
}
