//! The line in front of a gate: bounded, first come first served, lock-free.
//!
//! Waiters live in slots allocated once; a ring holds the slots in order of arrival, another the free ones. A slot has two
//! owners — the *line* (its number stands in the ring) and the *waiter* (who holds a [`Place`]) — and one atomic state. Every
//! race (grant, expiry, departure) is one compare-and-swap from [`WAITING`]; it takes one owner away, and the other one, who
//! is alone then, returns the slot:
//!
//! ```text
//! WAITING ── dispatcher, in time ──→ GRANTED    waiter takes the permit, returns the slot
//!    │ ├──── dispatcher, too late ─→ EXPIRED    waiter is told,          returns the slot
//!    └────── waiter leaves ────────→ CANCELLED  dispatcher passes by,    returns the slot
//! ```
//!
//! **Invariants**: a slot number is in exactly one place (free ring, order ring, or held by a waiter whose state is final);
//! grants follow the order of [`Line::join`]; nobody granted twice; whoever left is never granted; a grant is never lost.
//! **Cost**: 40 bytes a slot, no allocation after construction, a handful of atomic operations a step.
//! **Bound**: `capacity` slots. Who left before being reached keeps a slot until the line has passed it; so the bound holds
//! for the living and the departed together.
//! **Not here**: permits, time-outs while nobody is dispatched (the waiter's own timer), prediction.

use std::sync::Arc;
use std::task::{Context, Poll};

use crate::admission::sync::{Alarm, AtomicU8, AtomicU64, AtomicUsize, Ordering, Ring};
use crate::clock::Tick;

const FREE: u8 = 0;
const WAITING: u8 = 1;
const GRANTED: u8 = 2;
const EXPIRED: u8 = 3;
const CANCELLED: u8 = 4;

/// A bounded first-come-first-served line.
#[derive(Debug)]
pub(in crate::admission) struct Line {
    slots: Box<[Slot]>,
    order: Ring,
    free: Ring,
    live: AtomicUsize,
}

#[derive(Debug)]
struct Slot {
    state: AtomicU8,
    deadline: AtomicU64,
    alarm: Alarm,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::admission) enum Outcome {
    /// The waiter left before being reached.
    Cancelled,
    /// Reached after the deadline.
    Expired,
    /// Reached in time: what the dispatcher held is the waiter's now.
    Granted,
}

/// A waiter's hold on a slot: poll until settled, then (or at any time before) [`Place::leave`], which tells how it ended.
///
/// Without a `Drop` of its own: its holder must call `leave`, because a grant may be on its way and is the holder's.
#[must_use]
#[derive(Debug)]
pub(in crate::admission) struct Place {
    line: Arc<Line>,
    slot: u32,
}

impl Line {
    /// An empty line for at most `capacity` waiters.
    pub(in crate::admission) fn new(capacity: usize) -> Self {
        let capacity = capacity.min(u32::MAX as usize);
        let free = Ring::new(capacity);
        let slots = (0..u32::try_from(capacity).unwrap_or(u32::MAX))
            .map(|number| {
                free.push(number);
                Slot { state: AtomicU8::new(FREE), deadline: AtomicU64::new(0), alarm: Alarm::default() }
            })
            .collect();
        Self { slots, order: Ring::new(capacity), free, live: AtomicUsize::new(0) }
    }

    /// Takes the next place; [`None`] when no slot is free.
    pub(in crate::admission) fn join(self: &Arc<Self>, deadline: Tick) -> Option<Place> {
        let number = self.free.pop()?;
        let slot = self.slot(number)?;
        slot.deadline.store(deadline.as_nanos(), Ordering::Relaxed);
        slot.state.store(WAITING, Ordering::Release);
        self.live.fetch_add(1, Ordering::Relaxed);
        self.order.push(number);
        Some(Place { line: Arc::clone(self), slot: number })
    }

    /// Hands what the caller holds to the first living waiter whose deadline is not past; `false` if there is none.
    pub(in crate::admission) fn grant(&self, now: Tick) -> bool {
        while let Some(number) = self.order.pop() {
            let Some(slot) = self.slot(number) else { continue };
            let late = now.as_nanos() > slot.deadline.load(Ordering::Relaxed);
            let verdict = if late { EXPIRED } else { GRANTED };
            if slot.settle(verdict) {
                self.live.fetch_sub(1, Ordering::Relaxed);
                slot.alarm.ring();
                if !late {
                    return true;
                }
            } else {
                self.release(number, slot);
            }
        }
        false
    }

    /// Whether nobody, living or departed, stands in it.
    pub(in crate::admission) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Living waiters.
    pub(in crate::admission) fn live(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }

    fn slot(&self, number: u32) -> Option<&Slot> {
        self.slots.get(number as usize)
    }

    fn release(&self, number: u32, slot: &Slot) {
        // A task that is gone must not be kept alive by the slot it once stood in.
        slot.alarm.clear();
        slot.state.store(FREE, Ordering::Release);
        self.free.push(number);
    }
}

impl Slot {
    /// Ends the wait with `verdict`; `false` if it has ended otherwise.
    fn settle(&self, verdict: u8) -> bool {
        self.state.compare_exchange(WAITING, verdict, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl Place {
    /// Ready when the line has settled this place.
    pub(in crate::admission) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let Some(slot) = self.line.slot(self.slot) else { return Poll::Ready(()) };
        slot.alarm.set(context.waker());
        if slot.state.load(Ordering::Acquire) == WAITING { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Leaves the line and tells how the wait ended.
    pub(in crate::admission) fn leave(self) -> Outcome {
        let Some(slot) = self.line.slot(self.slot) else { return Outcome::Cancelled };
        if slot.settle(CANCELLED) {
            self.line.live.fetch_sub(1, Ordering::Relaxed);
            return Outcome::Cancelled;
        }
        let granted = slot.state.load(Ordering::Acquire) == GRANTED;
        self.line.release(self.slot, slot);
        if granted { Outcome::Granted } else { Outcome::Expired }
    }
}
