//! What will happen when.
//!
//! **Invariants**: in order of time, and of what is due at one instant in the order in which it was planned.
//! **Cost**: 40 bytes an event; O(log n) of those of one second.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

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

/// When it is due, the how-many-eth it was planned, and what.
type Planned = (Micros, u32, Event);

/// Events to come.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// Whatever is due before the first span in `later`.
    soon: BinaryHeap<Reverse<Planned>>,
    /// The rest, by [`SPAN`]s, in no order.
    later: BTreeMap<Micros, Vec<Reverse<Planned>>>,
    /// Spans before this one are in `soon`.
    opened: Micros,
    planned: u32,
}

/// So long a time is put in order at once: a second's events fit into a processor's cache, a day's do not.
const SPAN: Micros = 1_000_000;

impl Queue {
    /// `event` at `at`.
    pub(super) fn push(&mut self, at: Micros, event: Event) {
        // Wraps after four billion: of two events of one instant that far apart the order is another, and the same each time.
        self.planned = self.planned.wrapping_add(1);
        let planned = Reverse((at, self.planned, event));
        if at / SPAN < self.opened {
            self.soon.push(planned);
        } else {
            self.later.entry(at / SPAN).or_default().push(planned);
            self.open();
        }
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Micros> {
        self.soon.peek().map(|Reverse((at, ..))| *at)
    }

    /// The next one.
    pub(super) fn pop(&mut self) -> Option<(Micros, Event)> {
        let next = self.soon.pop().map(|Reverse((at, _, event))| (at, event));
        self.open();
        next
    }

    /// Puts the next span in order if nothing is due before it.
    fn open(&mut self) {
        if self.soon.is_empty()
            && let Some((span, events)) = self.later.pop_first()
        {
            self.opened = span + 1;
            self.soon = BinaryHeap::from(events);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_comes_in_order_of_time_and_then_of_planning() {
        let mut rng = fastrand::Rng::with_seed(3);
        let (mut queue, mut planned, mut came) = (Queue::default(), Vec::new(), Vec::new());
        let mut now = 0;
        for number in 0..20_000_u32 {
            // At once, within the span, and many spans away.
            let at = now + [0, rng.u64(..SPAN), rng.u64(..50 * SPAN)][rng.usize(..3)];
            queue.push(at, Event::Fault(number));
            planned.push((at, number));
            if rng.bool() {
                let next = queue.next();
                let (at, event) = queue.pop().expect("one was planned");
                assert!(next == Some(at) && at >= now);
                now = at;
                came.push((at, event));
            }
        }
        while let Some((at, event)) = queue.pop() {
            assert!(at >= now);
            now = at;
            came.push((at, event));
        }
        planned.sort_unstable();
        let expected: Vec<_> = planned.into_iter().map(|(at, number)| (at, Event::Fault(number))).collect();
        assert_eq!(came.len(), expected.len());
        assert!(came == expected);
        assert_eq!(queue.next(), None);
    }
}
