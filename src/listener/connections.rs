//! Connections: who may be open, who is, and how they ended.
//!
//! **Invariants**: nobody is accepted while the limit is reached, or was lowered below what is open; each accepted connection ends
//! with exactly one [`Cause`]; a connection counts as open, and keeps its slot, until its socket is no longer used by anything here: also as a
//! tunnel after an upgrade.
//! **Cost**: a few relaxed atomic additions per connection, none per request; a change of the limit waits in line with those who
//! accept.
//! **Not here**: names and types of metrics (`telemetry`), how many of them an address has (`addresses`).

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::addresses::{Addresses, Crowded};
use super::quiet::{Quiet, Seat};
use super::tls;

/// What an open connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Before its protocol is known: TLS handshake, or waiting for the first bytes.
    Opening,
    /// HTTP/1.
    Http1,
    /// HTTP/2.
    Http2,
    /// Handed over after an upgrade (WebSocket).
    Tunnel,
    /// Answered for the last time, waiting for the client to take it.
    Closing,
}

impl Kind {
    /// All of them, in the order of a connection's life.
    pub const ALL: [Self; 5] = [Self::Opening, Self::Http1, Self::Http2, Self::Tunnel, Self::Closing];

    /// Name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Http1 => "http1",
            Self::Http2 => "http2",
            Self::Tunnel => "tunnel",
            Self::Closing => "closing",
        }
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cause {
    /// As HTTP ends: by the client after its last answer, or by us as announced.
    Done,
    /// The client closed or reset before it had sent anything we could answer.
    Departed,
    /// The connection broke while a request or an answer was under way.
    Broken,
    /// Not the protocol: a head that cannot be parsed or is too large, broken HTTP/2 frames.
    Malformed,
    /// No request within `header_timeout` of accept.
    Silent,
    /// A request head that did not end within `header_timeout` of its first byte.
    HeaderTimeout,
    /// No request for `idle_timeout`.
    Idle,
    /// The client did not take what we sent for `body_timeout`.
    Stalled,
    /// More frames, resets or malformed requests than a client has a use for.
    Flooded,
    /// No TLS that we speak.
    TlsFailed,
    /// The TLS handshake did not end within `header_timeout`.
    TlsTimeout,
    /// Closed by a drain before a request, or between two.
    Drained,
    /// Still busy `drain_timeout` after the drain began.
    Cut,
    /// Turned away because memory was short.
    Refused,
    /// Turned away because its address had as many connections as it may.
    Crowded,
    /// Without a request for longest when all connections were taken and another came.
    Displaced,
    /// Turned away because a PROXY header is expected, and not from this peer.
    Untrusted,
    /// A trusted proxy sent no PROXY header, where one is expected.
    Unproxied,
    /// Idle while memory was short, and nobody who was let in had spoken on it.
    Shed,
    /// The task of the connection panicked: a bug.
    Panicked,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::Done,
        Self::Departed,
        Self::Broken,
        Self::Malformed,
        Self::Silent,
        Self::HeaderTimeout,
        Self::Idle,
        Self::Stalled,
        Self::Flooded,
        Self::TlsFailed,
        Self::TlsTimeout,
        Self::Drained,
        Self::Cut,
        Self::Refused,
        Self::Crowded,
        Self::Displaced,
        Self::Untrusted,
        Self::Unproxied,
        Self::Shed,
        Self::Panicked,
    ];

    /// Name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Departed => "departed",
            Self::Broken => "broken",
            Self::Malformed => "malformed",
            Self::Silent => "silent",
            Self::HeaderTimeout => "header_timeout",
            Self::Idle => "idle",
            Self::Stalled => "stalled",
            Self::Flooded => "flooded",
            Self::TlsFailed => "tls_failed",
            Self::TlsTimeout => "tls_timeout",
            Self::Drained => "drained",
            Self::Cut => "cut",
            Self::Refused => "refused",
            Self::Crowded => "crowded",
            Self::Displaced => "displaced",
            Self::Untrusted => "untrusted",
            Self::Unproxied => "unproxied",
            Self::Shed => "shed",
            Self::Panicked => "panicked",
        }
    }
}

/// The connections of a process, shared by its workers.
#[derive(Debug)]
pub struct Connections {
    limit: AtomicUsize,
    /// Slots in use and free; more than the limit while a lowered one waits for them.
    existing: AtomicUsize,
    slots: Arc<Semaphore>,
    pub(super) addresses: Addresses,
    /// Who is to make room first.
    pub(super) quiet: Quiet,
    /// Key exchanges under way.
    pub(super) handshakes: Semaphore,
    accepted: AtomicU64,
    accept_errors: AtomicU64,
    exhausted: AtomicU64,
    memory_short: AtomicBool,
    refused_streams: AtomicU64,
    open: [AtomicU64; Kind::ALL.len()],
    ended: [AtomicU64; Cause::ALL.len()],
}

impl Connections {
    /// No connections yet, and no more than `limit` at once until [`Connections::set_limit`] says otherwise; handshakes rationed for `cores` processors.
    #[must_use]
    pub fn new(limit: NonZeroUsize, addresses: Addresses, cores: NonZeroUsize) -> Arc<Self> {
        let limit = limit.get().min(Semaphore::MAX_PERMITS);
        Arc::new(Self {
            limit: AtomicUsize::new(limit),
            existing: AtomicUsize::new(limit),
            slots: Arc::new(Semaphore::new(limit)),
            addresses,
            quiet: Quiet::new(Instant::now()),
            handshakes: Semaphore::new(tls::handshakes_at_once(cores.get()).min(Semaphore::MAX_PERMITS)),
            accepted: AtomicU64::new(0),
            accept_errors: AtomicU64::new(0),
            exhausted: AtomicU64::new(0),
            memory_short: AtomicBool::new(false),
            refused_streams: AtomicU64::new(0),
            open: Default::default(),
            ended: Default::default(),
        })
    }

    /// Connections that may be open at once.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Lets `limit` connections be open at once from now on, and resolves when no more are. Those that are open stay; until
    /// enough of them have left nobody is accepted. One caller at a time; dropped before its end it may be called again.
    pub async fn set_limit(&self, limit: NonZeroUsize) {
        let limit = limit.get().min(Semaphore::MAX_PERMITS);
        self.limit.store(limit, Ordering::Relaxed);
        loop {
            let existing = self.existing.load(Ordering::Relaxed);
            let Some(excess) = existing.checked_sub(limit).filter(|excess| *excess > 0) else {
                self.existing.store(limit, Ordering::Relaxed);
                self.slots.add_permits(limit.saturating_sub(existing));
                return;
            };
            // First come, first served: whoever accepts after this waits behind it.
            let part = u32::try_from(excess).unwrap_or(u32::MAX);
            let Ok(taken) = self.slots.acquire_many(part).await else { return };
            self.existing.fetch_sub(taken.num_permits(), Ordering::Relaxed);
            taken.forget();
        }
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections that failed before we had them.
    #[must_use]
    pub fn accept_errors(&self) -> u64 {
        self.accept_errors.load(Ordering::Relaxed)
    }

    /// Times that the machine had no descriptor or memory for another connection.
    #[must_use]
    pub fn exhausted(&self) -> u64 {
        self.exhausted.load(Ordering::Relaxed)
    }

    /// Connections open now as `kind`.
    #[must_use]
    pub fn open(&self, kind: Kind) -> u64 {
        self.open.get(kind as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Connections that ended by `cause`.
    #[must_use]
    pub fn ended(&self, cause: Cause) -> u64 {
        self.ended.get(cause as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Addresses that have connections open and are counted.
    #[must_use]
    pub fn addresses(&self) -> usize {
        self.addresses.len()
    }

    /// Whether newcomers are turned away because memory is short.
    #[must_use]
    pub fn is_memory_short(&self) -> bool {
        self.memory_short.load(Ordering::Relaxed)
    }

    /// Turns newcomers away, or no more.
    pub fn set_memory_short(&self, is_short: bool) {
        self.memory_short.store(is_short, Ordering::Relaxed);
    }

    /// Requests on open HTTP/2 connections that were refused because memory was short.
    #[must_use]
    pub fn refused_streams(&self) -> u64 {
        self.refused_streams.load(Ordering::Relaxed)
    }

    pub(super) fn note_refused_stream(&self) {
        self.refused_streams.fetch_add(1, Ordering::Relaxed);
    }

    /// Slots for connections.
    pub(super) const fn slots(&self) -> &Arc<Semaphore> {
        &self.slots
    }

    pub(super) fn note_accept_error(&self) {
        self.accept_errors.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn note_exhausted(&self) {
        self.exhausted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn note_end(&self, cause: Cause) {
        add(&self.ended, cause as u8);
    }
}

fn add(counts: &[AtomicU64], at: u8) {
    if let Some(count) = counts.get(usize::from(at)) {
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Connections of one worker, to know when the last is gone.
#[derive(Debug, Default)]
pub(super) struct Roll {
    open: AtomicUsize,
    empty: Notify,
}

impl Roll {
    /// Waits until no connection of this worker is open.
    pub(super) async fn emptied(&self) {
        loop {
            let emptied = self.empty.notified();
            if self.open.load(Ordering::Acquire) == 0 {
                return;
            }
            emptied.await;
        }
    }
}

/// The right to be open. Given back when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    connections: Arc<Connections>,
    roll: Arc<Roll>,
    kind: AtomicU8,
    /// What the connection is counted as, once it is.
    address: OnceLock<IpAddr>,
    /// Where it stands among those who may have to make room.
    pub(super) seat: Seat,
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    /// An accepted connection takes its slot.
    pub(super) fn take(connections: &Arc<Connections>, roll: &Arc<Roll>, permit: OwnedSemaphorePermit) -> Self {
        connections.accepted.fetch_add(1, Ordering::Relaxed);
        add(&connections.open, Kind::Opening as u8);
        roll.open.fetch_add(1, Ordering::Relaxed);
        Self {
            connections: Arc::clone(connections),
            roll: Arc::clone(roll),
            kind: AtomicU8::new(Kind::Opening as u8),
            address: OnceLock::new(),
            seat: Seat::new(),
            _permit: permit,
        }
    }

    /// All connections of the process.
    pub(super) const fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    /// Counts the connection as one of `address`, once.
    pub(super) fn count_as(&self, address: IpAddr) -> Result<(), Crowded> {
        let addresses = &self.connections.addresses;
        if let Some(key) = addresses.enter(address, self.connections.limit())?
            && let Err(second) = self.address.set(key)
        {
            addresses.leave(second);
        }
        Ok(())
    }

    /// The connection is now of another kind.
    pub(super) fn become_kind(&self, kind: Kind) {
        let before = self.kind.swap(kind as u8, Ordering::Relaxed);
        add(&self.connections.open, kind as u8);
        self.leave(before);
    }

    fn leave(&self, kind: u8) {
        if let Some(count) = self.connections.open.get(usize::from(kind)) {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.leave(self.kind.load(Ordering::Relaxed));
        self.connections.quiet.leave(self);
        if let Some(address) = self.address.get() {
            self.connections.addresses.leave(*address);
        }
        if self.roll.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.roll.empty.notify_waiters();
        }
    }
}
