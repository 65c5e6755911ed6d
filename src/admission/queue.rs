//! The line of those who need the same permits: bounded, first come first served in each class, lock-free to join and leave.
//!
//! Waiters live in slots allocated once; a ring for each class holds the slots in order of arrival, another the free ones. A
//! slot has two owners — the *line* (its number stands in a ring) and the *waiter* (who holds a [`Place`]) — and one atomic
//! state. Every race (grant, expiry, departure) is one compare-and-swap from [`WAITING`]; it takes one owner away, and the
//! other one, who is alone then, returns the slot:
//!
//! ```text
//! WAITING ── dispatcher, in time ──→ GRANTED    waiter takes the permit, returns the slot
//!    │ ├──── dispatcher, too late ─→ EXPIRED    waiter is told,          returns the slot
//!    └────── waiter leaves ────────→ CANCELLED  dispatcher passes by,    returns the slot
//! ```
//!
//! **Invariants**: a slot number is in exactly one place (free ring, class ring, head, or held by a waiter whose state is
//! final); grants within a class follow the order of [`Line::join`]; nobody granted twice; whoever left is never granted; a
//! grant is never lost. Heads are touched by the one dispatcher only (`dispatch`).
//! **Cost**: 48 bytes a slot and 80 in rings, no allocation after construction, a handful of atomic operations a step.
//! **Bound**: `capacity` slots. Who left before being reached keeps a slot until the line has passed it; so the bound holds
//! for the living and the departed together.
//! **Not here**: permits (`gate`), who is next (`dispatch`), time-outs while nobody is dispatched (the waiter's own timer).

use std::sync::Arc;
use std::task::{Context, Poll};

use crate::admission::gate::Gate;
use crate::admission::sync::{Alarm, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, Ring};
use crate::clock::Tick;
use crate::config::plan::Class;
use crate::sabotage::{self, Fault};

const FREE: u8 = 0;
const WAITING: u8 = 1;
const GRANTED: u8 = 2;
const EXPIRED: u8 = 3;
const CANCELLED: u8 = 4;

/// No slot is at the head.
const NOBODY: u32 = u32::MAX;

/// The line of those who need a permit of each of the same gates.
#[derive(Debug)]
pub struct Line {
    /// What everybody here needs, in the one order in which gates are taken everywhere: dependencies, then the upstream.
    gates: Box<[Arc<Gate>]>,
    slots: Box<[Slot]>,
    order: [Ring; Class::COUNT],
    /// Taken from the ring, not yet granted.
    heads: [AtomicU32; Class::COUNT],
    /// The last round of the dispatcher in which the first of this line could not have all he needs.
    lacked: AtomicUsize,
    free: Ring,
}

#[derive(Debug)]
struct Slot {
    state: AtomicU8,
    class: AtomicU8,
    deadline: AtomicU64,
    arrival: AtomicU64,
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
    /// An empty line for at most `capacity` waiters, each of whom needs a permit of every one of `gates`.
    ///
    /// The order of `gates` must be the same in all lines of a dispatcher; the last one is the upstream's.
    #[must_use]
    pub fn new(gates: Vec<Arc<Gate>>, capacity: usize) -> Arc<Self> {
        let capacity = capacity.min(NOBODY as usize - 1);
        let free = Ring::new(capacity);
        let slots = (0..u32::try_from(capacity).unwrap_or(NOBODY))
            .map(|number| {
                free.push(number);
                Slot::default()
            })
            .collect();
        let order = std::array::from_fn(|_| Ring::new(capacity));
        let heads = std::array::from_fn(|_| AtomicU32::new(NOBODY));
        Arc::new(Self { gates: gates.into(), slots, order, heads, lacked: AtomicUsize::new(0), free })
    }

    /// The gates, in the order in which they are taken.
    #[must_use]
    pub fn gates(&self) -> &[Arc<Gate>] {
        &self.gates
    }

    /// Takes the next place of `class`; [`None`] when no slot is free. `arrival` orders lines of one class among each other.
    pub(in crate::admission) fn join(self: &Arc<Self>, class: Class, arrival: u64, deadline: Tick) -> Option<Place> {
        let number = self.free.pop()?;
        let slot = self.slot(number)?;
        slot.deadline.store(deadline.as_nanos(), Ordering::Relaxed);
        slot.arrival.store(arrival, Ordering::Relaxed);
        #[expect(clippy::cast_possible_truncation, reason = "there are five classes")]
        slot.class.store(class.index() as u8, Ordering::Relaxed);
        slot.state.store(WAITING, Ordering::Release);
        for gate in &self.gates {
            gate.joined(class);
        }
        if let Some(ring) = self.order.get(class.index()) {
            ring.push(number);
            if sabotage::is(Fault::Lifo) {
                ring.turn();
            }
        }
        Some(Place { line: Arc::clone(self), slot: number })
    }

    /// When the first living waiter of `class` came; clears away those who left or are too late. For the dispatcher.
    pub(in crate::admission) fn first(&self, class: Class, now: Tick) -> Option<u64> {
        let (head, ring) = (self.heads.get(class.index())?, self.order.get(class.index())?);
        loop {
            let mut number = head.load(Ordering::Relaxed);
            if number == NOBODY {
                number = ring.pop()?;
                head.store(number, Ordering::Relaxed);
            }
            let slot = self.slot(number)?;
            let late = now.as_nanos() > slot.deadline.load(Ordering::Relaxed);
            if late && slot.settle(EXPIRED) {
                self.pass(class, true);
                slot.alarm.ring();
            } else if slot.state.load(Ordering::Acquire) == CANCELLED {
                self.pass(class, false);
                self.release(number, slot);
            } else {
                return Some(slot.arrival.load(Ordering::Relaxed));
            }
        }
    }

    /// The first of this line cannot have all he needs in this round. For the dispatcher.
    pub(in crate::admission) fn lacks(&self, round: usize) {
        self.lacked.store(round, Ordering::Relaxed);
    }

    /// Whether that is known of this round already.
    pub(in crate::admission) fn is_lacking(&self, round: usize) -> bool {
        self.lacked.load(Ordering::Relaxed) == round
    }

    /// Hands what the dispatcher holds to the first waiter of `class`; `false` if that one has just left.
    pub(in crate::admission) fn grant(&self, class: Class) -> bool {
        let head = self.heads.get(class.index()).map_or(NOBODY, |head| head.load(Ordering::Relaxed));
        let Some(slot) = self.slot(head) else { return false };
        if !slot.settle(GRANTED) {
            return false;
        }
        self.pass(class, true);
        for gate in &self.gates {
            gate.granted(class);
        }
        slot.alarm.ring();
        true
    }

    /// The head of `class` has been dealt with; if it was alive until now, it is not waiting any more.
    fn pass(&self, class: Class, alive: bool) {
        if let Some(head) = self.heads.get(class.index()) {
            head.store(NOBODY, Ordering::Relaxed);
        }
        for gate in &self.gates {
            if alive {
                gate.settled(class);
            }
            gate.passed();
        }
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

impl Default for Slot {
    fn default() -> Self {
        Self {
            state: AtomicU8::new(FREE),
            class: AtomicU8::new(0),
            deadline: AtomicU64::new(0),
            arrival: AtomicU64::new(0),
            alarm: Alarm::default(),
        }
    }
}

impl Slot {
    /// Ends the wait with `verdict`; `false` if it has ended otherwise.
    fn settle(&self, verdict: u8) -> bool {
        self.state.compare_exchange(WAITING, verdict, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    fn class(&self) -> Class {
        Class::ALL.get(usize::from(self.class.load(Ordering::Relaxed))).copied().unwrap_or(Class::Bulk)
    }
}

impl Place {
    /// The line it is in.
    pub(in crate::admission) fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// Ready when the line has settled this place.
    pub(in crate::admission) fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let Some(slot) = self.line.slot(self.slot) else { return Poll::Ready(()) };
        slot.alarm.set(context.waker());
        if slot.state.load(Ordering::Acquire) == WAITING { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Leaves the line and tells how the wait ended.
    pub(in crate::admission) fn leave(self) -> Outcome {
        let Some(slot) = self.line.slot(self.slot) else { return Outcome::Cancelled };
        // Read before the slot is given up: afterwards it may be somebody else's.
        let class = slot.class();
        if slot.settle(CANCELLED) {
            for gate in &self.line.gates {
                gate.settled(class);
            }
            return Outcome::Cancelled;
        }
        let granted = slot.state.load(Ordering::Acquire) == GRANTED;
        self.line.release(self.slot, slot);
        if granted { Outcome::Granted } else { Outcome::Expired }
    }
}
