//! What will happen when.
//!
//! **Invariants**: in order of time, and of what is due at one instant in the order in which it was planned.
//! **Cost**: 24 bytes an event; O(log n).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::visitor::{Micros, Slot};

/// Something that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Event {
    /// Somebody's timer.
    Timer(u32, Slot),
    /// A request is broken off by its person, unless it has ended.
    BreakOff(u64),
    /// The body of a request is whole.
    Uploaded(u64),
    /// The wait of a request for its turn ends.
    Expire(u64),
    /// A visit that is held is looked at.
    Look(u64),
    /// The service has been silent for too long.
    Silence(u64),
    /// Its connection is cut.
    Abandon(u64),
    /// A fault of the gateway, or of its list of servers, begins.
    Fault(u32),
}

/// Events to come.
#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Reverse<(Micros, u32, Event)>>,
    planned: u32,
}

impl Queue {
    /// `event` at `at`.
    pub(super) fn push(&mut self, at: Micros, event: Event) {
        // Wraps after four billion: of two events of one instant that far apart the order is another, and the same each time.
        self.planned = self.planned.wrapping_add(1);
        self.heap.push(Reverse((at, self.planned, event)));
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Micros> {
        self.heap.peek().map(|Reverse((at, ..))| *at)
    }

    /// The next one.
    pub(super) fn pop(&mut self) -> Option<(Micros, Event)> {
        self.heap.pop().map(|Reverse((at, _, event))| (at, event))
    }
}
