//! What will happen when.
//!
//! **Invariants**: in order of time, and of what is due at one instant in the order in which it was planned.
//! **Cost**: 32 bytes an event; O(log n) of those of a thirtieth of a second, and once four bytes more of each timer in it.

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

impl Event {
    /// Whose timer it is.
    const fn person(&self) -> Option<u32> {
        if let Self::Timer(person, _) = self { Some(*person) } else { None }
    }
}

/// When it is due, the how-many-eth it was planned, and what.
type Planned = (Micros, u32, Event);

/// Events to come.
#[derive(Debug)]
pub(super) struct Queue {
    /// Whatever is due in the parts that were opened.
    soon: BinaryHeap<Reverse<Planned>>,
    /// The parts of the present span that were not, in no order.
    parts: [Vec<Reverse<Planned>>; PARTS],
    /// The rest by spans, in no order.
    later: BTreeMap<Micros, Vec<Reverse<Planned>>>,
    /// Faults, which are known from the start: if the day were opened up to the next one, all before it would have to be kept in order.
    faults: BinaryHeap<Reverse<Planned>>,
    /// The first part since the start that was not opened.
    next: Micros,
    planned: u32,
    /// Whose timers stand in the part that was opened last, until somebody has looked.
    opened: Vec<u32>,
}

/// So long a time is put in order at once: what is due in it fits into the nearest cache of a processor, a day does not.
const PART: Micros = 1 << 15;

/// Parts of a span: whoever comes again in a moment is put where he is due, others into a heap of the span's.
const PARTS: usize = 32;

/// About a second.
const SPAN: Micros = PART * PARTS as Micros;

impl Default for Queue {
    fn default() -> Self {
        let parts = std::array::from_fn(|_| Vec::new());
        Self {
            soon: BinaryHeap::new(),
            parts,
            later: BTreeMap::new(),
            faults: BinaryHeap::new(),
            next: 0,
            planned: 0,
            opened: Vec::new(),
        }
    }
}

impl Queue {
    /// `event` at `at`.
    pub(super) fn push(&mut self, at: Micros, event: Event) {
        // Wraps after four billion: of two events of one instant that far apart the order is another, and the same each time.
        self.planned = self.planned.wrapping_add(1);
        let planned = Reverse((at, self.planned, event));
        if matches!(event, Event::Fault(_)) {
            return self.faults.push(planned);
        }
        if at / PART < self.next {
            return self.soon.push(planned);
        }
        if at / SPAN == self.span() {
            self.put(planned);
        } else {
            self.later.entry(at / SPAN).or_default().push(planned);
        }
        self.open();
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Micros> {
        self.soon.peek().max(self.faults.peek()).map(|Reverse((at, ..))| *at)
    }

    /// The next one.
    pub(super) fn pop(&mut self) -> Option<(Micros, Event)> {
        // The greater of two that are reversed is due earlier, and nothing is less than something.
        let next = if self.soon.peek() < self.faults.peek() { self.faults.pop() } else { self.soon.pop() };
        self.open();
        next.map(|Reverse((at, _, event))| (at, event))
    }

    /// Moves into `people` whose timers were put in order since the last time.
    pub(super) fn opened(&mut self, people: &mut Vec<u32>) {
        people.append(&mut self.opened);
    }

    /// The present span: that of the part that was opened last.
    const fn span(&self) -> Micros {
        self.next.saturating_sub(1) / PARTS as Micros
    }

    fn put(&mut self, planned: Reverse<Planned>) {
        let part = usize::try_from(planned.0.0 / PART % PARTS as Micros).unwrap_or_default();
        if let Some(part) = self.parts.get_mut(part) {
            part.push(planned);
        }
    }

    /// Puts the next part in order if nothing is due before it.
    fn open(&mut self) {
        while self.soon.is_empty() {
            let end = (self.span() + 1) * PARTS as Micros;
            if self.next >= end {
                let Some((span, events)) = self.later.pop_first() else { return };
                self.next = span * PARTS as Micros;
                for planned in events {
                    self.put(planned);
                }
                self.take();
                continue;
            }
            self.take();
        }
    }

    /// Opens the next part.
    fn take(&mut self) {
        let part = usize::try_from(self.next % PARTS as Micros).unwrap_or_default();
        self.next += 1;
        if let Some(part) = self.parts.get_mut(part) {
            self.opened.extend(part.iter().filter_map(|Reverse((_, _, event))| event.person()));
            self.soon.extend(part.drain(..));
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
            // At once, within the part, within the span, and many spans away.
            let at = now + [0, rng.u64(..PART), rng.u64(..SPAN), rng.u64(..50 * SPAN)][rng.usize(..4)];
            let event = if number % 50 == 0 { Event::Fault(number) } else { Event::Timer(number, 0) };
            queue.push(at, event);
            planned.push((at, number, event));
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
        let expected: Vec<_> = planned.into_iter().map(|(at, _, event)| (at, event)).collect();
        assert_eq!(came.len(), expected.len());
        assert!(came == expected);
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn what_is_planned_for_hours_later_opens_nothing_before_it() {
        let mut queue = Queue::default();
        queue.push(14 * 3_600 * SPAN, Event::Fault(0));
        for number in 0..1_000 {
            queue.push(u64::from(number) * SPAN, Event::Timer(number, 0));
        }
        assert_eq!((queue.soon.len(), queue.next()), (1, Some(0)));
        let mut opened = Vec::new();
        queue.opened(&mut opened);
        assert_eq!(opened, [0], "who acts in a moment, and nobody of later");
        queue.pop();
        queue.opened(&mut opened);
        assert_eq!(opened, [0, 1], "each of them once");
    }
}
