//! What one connection is doing: the facts by which its clocks run.
//!
//! Written by those who see it (the stream sees bytes, the service sees requests), read by the one who keeps the time
//! (`lifetime`).
//!
//! **Invariants**: a request is in flight from the end of its head until its answer has been handed to the protocol
//! completely or dropped.
//! **Cost**: one allocation per connection; one clock reading per lull.
//! **Not here**: timers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::task::{Context, Poll};

use atomic_waker::AtomicWaker;
use tokio::time::Instant;

use super::connections::Slot;
use crate::clock::saturating_nanos;

/// Who has to make room before whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Rank {
    /// There has been no request.
    Silent,
    /// There has been one, by nobody with a pass.
    Stranger,
    /// Somebody who was let in has been answered.
    Inside,
}

impl Rank {
    /// All of them, in order.
    pub(super) const ALL: [Self; 3] = [Self::Silent, Self::Stranger, Self::Inside];
}

/// What one connection is doing.
#[derive(Debug)]
pub(super) struct Activity {
    slot: Slot,
    opened: Instant,
    in_flight: AtomicU32,
    /// Nanoseconds from `opened` to when the last request in flight ended.
    quiet_since: AtomicU64,
    requested: AtomicBool,
    head_open: AtomicBool,
    heads: AtomicU32,
    read_closed: AtomicBool,
    stalled: AtomicBool,
    flooded: AtomicBool,
    stream_gone: AtomicBool,
    inside: AtomicBool,
    /// A write waits for the peer.
    waiting: AtomicBool,
    /// A request wanted more than an answer: an upgrade.
    upgradable: AtomicBool,
    /// hyper's connection is taken apart, and its stream goes on.
    parting: AtomicBool,
    dismissed: AtomicBool,
    /// The task of the connection.
    task: AtomicWaker,
}

impl Activity {
    /// A connection that has just been accepted.
    pub(super) fn new(slot: Slot) -> Arc<Self> {
        let activity = Arc::new(Self {
            slot,
            opened: Instant::now(),
            in_flight: AtomicU32::new(0),
            quiet_since: AtomicU64::new(0),
            requested: AtomicBool::new(false),
            head_open: AtomicBool::new(false),
            heads: AtomicU32::new(0),
            read_closed: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            flooded: AtomicBool::new(false),
            stream_gone: AtomicBool::new(false),
            inside: AtomicBool::new(false),
            waiting: AtomicBool::new(false),
            upgradable: AtomicBool::new(false),
            parting: AtomicBool::new(false),
            dismissed: AtomicBool::new(false),
            task: AtomicWaker::new(),
        });
        activity.slot.connections().quiet.enter(&activity);
        activity
    }

    /// The right of this connection to be open.
    pub(super) const fn slot(&self) -> &Slot {
        &self.slot
    }

    /// When it was accepted.
    pub(super) const fn opened(&self) -> Instant {
        self.opened
    }

    /// Since when no request has been in flight; [`None`] while one is.
    pub(super) fn quiet_since(&self) -> Option<Instant> {
        // Acquire pairs with the release in `InFlight::drop`: whoever sees the zero sees the time written before it.
        (self.in_flight.load(Ordering::Acquire) == 0)
            .then(|| self.opened + std::time::Duration::from_nanos(self.quiet_since.load(Ordering::Relaxed)))
    }

    /// Whether there has been a request.
    pub(super) fn has_requested(&self) -> bool {
        self.requested.load(Ordering::Relaxed)
    }

    /// Whether somebody who was let in has been answered.
    pub(super) fn is_inside(&self) -> bool {
        self.inside.load(Ordering::Relaxed)
    }

    /// Who has to make room before it.
    pub(super) fn rank(&self) -> Rank {
        match (self.has_requested(), self.is_inside()) {
            (false, _) => Rank::Silent,
            (true, false) => Rank::Stranger,
            (true, true) => Rank::Inside,
        }
    }

    /// Whether it is to go, for somebody who waits for its slot.
    pub(super) fn is_dismissed(&self) -> bool {
        self.dismissed.load(Ordering::Acquire)
    }

    /// The number of the request head that has begun and not ended, if there is one. Numbers tell two of them apart.
    pub(super) fn head_open(&self) -> Option<u32> {
        self.head_open.load(Ordering::Relaxed).then(|| self.heads.load(Ordering::Relaxed))
    }

    /// Whether the peer has closed its side.
    pub(super) fn is_read_closed(&self) -> bool {
        self.read_closed.load(Ordering::Relaxed)
    }

    /// Whether the peer did not take our bytes in time.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed)
    }

    /// Whether the peer sent more frames than it may.
    pub(super) fn is_flooded(&self) -> bool {
        self.flooded.load(Ordering::Relaxed)
    }

    /// Whether nothing of what has been seen keeps the connection from being taken apart between requests. Of one that may be upgraded hyper
    /// would give the stream to nobody.
    pub(super) fn may_rest(&self) -> bool {
        !(self.waiting.load(Ordering::Relaxed) || self.upgradable.load(Ordering::Relaxed) || self.is_read_closed())
    }

    /// Whether the stream outlives what is using it now: its end is none for the peer.
    pub(super) fn is_parting(&self) -> bool {
        self.parting.load(Ordering::Relaxed)
    }

    pub(super) fn set_parting(&self, is_parting: bool) {
        self.parting.store(is_parting, Ordering::Relaxed);
    }

    pub(super) fn set_waiting(&self, is_waiting: bool) {
        self.waiting.store(is_waiting, Ordering::Relaxed);
    }

    pub(super) fn note_upgradable(&self) {
        self.upgradable.store(true, Ordering::Relaxed);
    }

    /// From now on the task of the connection is woken when it is to go. Only that task waits for anything here, and a task of tokio
    /// has one waker all its life, so once is enough.
    pub(super) fn watch(&self, cx: &Context<'_>) {
        self.task.register(cx.waker());
    }

    /// Ready once the stream has been dropped, for the task of the connection.
    pub(super) fn poll_stream_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.task.register(cx.waker());
        if self.stream_gone.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether the stream has been dropped.
    pub(super) fn is_stream_gone(&self) -> bool {
        self.stream_gone.load(Ordering::Acquire)
    }

    /// The stream is open for HTTP: what came in before was no head.
    pub(super) fn note_ready(&self) {
        self.head_open.store(false, Ordering::Relaxed);
    }

    /// Bytes came in. Between requests they begin the head of the next one.
    pub(super) fn note_read(&self) {
        if self.in_flight.load(Ordering::Relaxed) == 0 && !self.head_open.load(Ordering::Relaxed) {
            self.heads.fetch_add(1, Ordering::Relaxed);
            self.head_open.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn note_read_closed(&self) {
        self.read_closed.store(true, Ordering::Relaxed);
    }

    pub(super) fn note_stalled(&self) {
        self.stalled.store(true, Ordering::Relaxed);
    }

    pub(super) fn note_flooded(&self) {
        self.flooded.store(true, Ordering::Relaxed);
    }

    /// It is to go.
    pub(super) fn dismiss(&self) {
        self.dismissed.store(true, Ordering::Release);
        self.task.wake();
    }

    pub(super) fn note_stream_gone(&self) {
        self.stream_gone.store(true, Ordering::Release);
        self.task.wake();
    }

    /// A request head has ended. The request is in flight until the answer is dropped.
    pub(super) fn begin_request(self: &Arc<Self>) -> InFlight {
        self.requested.store(true, Ordering::Relaxed);
        self.head_open.store(false, Ordering::Relaxed);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }
}

/// A request in flight.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Activity>);

impl InFlight {
    /// It is one of somebody who was let in.
    pub(super) fn note_inside(&self) {
        self.0.inside.store(true, Ordering::Relaxed);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let activity = &self.0;
        activity.quiet_since.store(saturating_nanos(activity.opened.elapsed()), Ordering::Relaxed);
        activity.in_flight.fetch_sub(1, Ordering::Release);
    }
}
