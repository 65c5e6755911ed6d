//! A service that can die, come back, break and refuse.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::bench::{OK, Peer};

/// What the service does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Mood {
    /// 200.
    Well,
    /// 503 with `Retry-After: 7`.
    Full,
    /// Takes the request and closes the connection.
    Breaks,
    /// Takes the request, sends the head of an answer and closes the connection.
    BreaksLate,
    /// Takes the request and says nothing.
    Silent,
    /// One of twenty as [`Mood::Breaks`].
    Moody,
}

const MOODS: [Mood; 6] = [Mood::Well, Mood::Full, Mood::Breaks, Mood::BreaksLate, Mood::Silent, Mood::Moody];

/// What it has seen.
#[derive(Debug, Default)]
pub(super) struct Log {
    mood: AtomicU8,
    pub(super) connections: AtomicUsize,
    pub(super) open: AtomicUsize,
    pub(super) checks: AtomicUsize,
    /// The body of every request it took.
    pub(super) taken: Mutex<Vec<String>>,
}

impl Log {
    pub(super) fn taken(&self) -> usize {
        self.taken.lock().unwrap().len()
    }
}

/// A service on an address of its own.
pub(super) struct Service {
    pub(super) address: SocketAddr,
    pub(super) log: Arc<Log>,
    running: Option<JoinHandle<()>>,
}

impl Service {
    pub(super) fn start() -> Self {
        Self::at(([127, 0, 0, 1], 0).into())
    }

    pub(super) fn at(address: SocketAddr) -> Self {
        let mut service = Self { address, log: Arc::default(), running: None };
        service.revive();
        service
    }

    pub(super) fn turn(&self, mood: Mood) {
        self.log.mood.store(mood as u8, Ordering::SeqCst);
    }

    /// Nobody listens any more, and every connection is closed.
    pub(super) async fn die(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
            drop(running.await);
        }
    }

    pub(super) fn revive(&mut self) {
        let listener = std::net::TcpListener::bind(self.address).unwrap();
        listener.set_nonblocking(true).unwrap();
        self.address = listener.local_addr().unwrap();
        let (listener, log) = (TcpListener::from_std(listener).unwrap(), Arc::clone(&self.log));
        self.running = Some(tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                log.connections.fetch_add(1, Ordering::SeqCst);
                connections.spawn(attend(Peer::new(stream), Arc::clone(&log)));
                while connections.try_join_next().is_some() {}
            }
        }));
    }
}

struct Open<'a>(&'a Log);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn attend(mut peer: Peer, log: Arc<Log>) {
    log.open.fetch_add(1, Ordering::SeqCst);
    let _open = Open(&log);
    while let Some((head, body)) = peer.request().await {
        let is_check = head.starts_with("get /healthz ");
        if is_check {
            log.checks.fetch_add(1, Ordering::SeqCst);
        } else {
            log.taken.lock().unwrap().push(String::from_utf8(body).unwrap());
        }
        let mood = match MOODS[usize::from(log.mood.load(Ordering::SeqCst))] {
            Mood::Moody if fastrand::u8(..20) == 0 => Mood::Breaks,
            Mood::Moody => Mood::Well,
            mood => mood,
        };
        let said = match mood {
            Mood::Full => peer.say("HTTP/1.1 503 Full\r\nretry-after: 7\r\ncontent-length: 4\r\n\r\nfull").await,
            Mood::Breaks | Mood::Moody => return,
            Mood::BreaksLate => {
                peer.say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n").await;
                return;
            }
            Mood::Silent => {
                peer.closed().await;
                return;
            }
            Mood::Well => peer.say(OK).await,
        };
        if !said {
            return;
        }
    }
}
