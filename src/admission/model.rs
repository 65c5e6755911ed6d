//! The gate under the model checker: `make loom`.
//!
//! Every interleaving of two or three threads, with the memory model's reorderings, of the steps whose races decide whether a
//! permit is lost, doubled, or granted to somebody who sleeps on. A waiter that is never woken is a deadlock, which loom
//! reports; the limit is checked by [`Inside`] at every instant.

use std::sync::Arc;

use loom::future::block_on;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

use super::dispatch::{Dispatcher, Entry};
use super::gate::{Gate, Occupancy};
use super::permit::Permit;
use super::queue::Line;
use crate::clock::{Clock, Tick};
use crate::config::plan::Class;

/// Never reached in these models.
const LATER: Tick = Tick::from_nanos(u64::MAX);

/// Counts who is inside at once.
struct Inside {
    now: AtomicUsize,
    limit: usize,
}

impl Inside {
    fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { now: AtomicUsize::new(0), limit })
    }

    fn visit(&self, permit: Permit) {
        let before = self.now.fetch_add(1, Ordering::AcqRel);
        assert!(before < self.limit, "more inside than permits");
        self.now.fetch_sub(1, Ordering::AcqRel);
        drop(permit);
    }
}

/// One upstream, one line.
#[derive(Clone)]
struct Door {
    dispatcher: Arc<Dispatcher>,
    line: Arc<Line>,
}

impl Door {
    fn new(limit: u32, capacity: usize, clock: Clock) -> Self {
        let line = Line::new(vec![Gate::new(limit, None)], capacity);
        Self { dispatcher: Dispatcher::new(vec![vec![Arc::clone(&line)]], clock), line }
    }

    fn enter(&self, deadline: Tick) -> Entry {
        self.dispatcher.enter(&self.line, Class::New, Tick::ZERO, deadline)
    }

    fn pass(&self, inside: &Inside) {
        match self.enter(LATER) {
            Entry::Full => panic!("the line has a slot for everyone here"),
            Entry::Granted(permit) => inside.visit(permit),
            Entry::Waiting(waiting) => inside.visit(block_on(waiting).expect("nobody is late here")),
        }
    }

    fn at_rest(&self, limit: u32) {
        for gate in self.line.gates() {
            assert_eq!(gate.occupancy(), Occupancy { limit, in_flight: 0 }, "a permit was lost or doubled");
            assert_eq!(gate.waiting(), 0, "somebody lives in the line though a permit is free");
        }
    }
}

fn gate(limit: u32, capacity: usize) -> Door {
    Door::new(limit, capacity, Clock::manual())
}

fn check(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    // Three involuntary switches find every known bug of this kind (CHESS, Musuvathi 2008) and keep the search in seconds.
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn nobody_sleeps_while_a_permit_is_free() {
    check(|| {
        let (gate, inside) = (gate(1, 4), Inside::new(1));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (gate, inside) = (gate.clone(), Arc::clone(&inside));
                thread::spawn(move || gate.pass(&inside))
            })
            .collect();
        gate.pass(&inside);
        for thread in threads {
            thread.join().unwrap();
        }
        gate.at_rest(1);
    });
}

#[test]
fn two_permits_and_three_people() {
    check(|| {
        let (gate, inside) = (gate(2, 4), Inside::new(2));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (gate, inside) = (gate.clone(), Arc::clone(&inside));
                thread::spawn(move || gate.pass(&inside))
            })
            .collect();
        gate.pass(&inside);
        for thread in threads {
            thread.join().unwrap();
        }
        gate.at_rest(2);
    });
}

#[test]
fn a_grant_to_somebody_who_leaves_goes_to_the_next() {
    check(|| {
        let (gate, inside) = (gate(1, 4), Inside::new(1));
        let Entry::Granted(held) = gate.enter(LATER) else { panic!("the gate was free") };
        let Entry::Waiting(leaver) = gate.enter(LATER) else { panic!("the gate was taken") };
        let Entry::Waiting(stayer) = gate.enter(LATER) else { panic!("the gate was taken") };
        let leaving = thread::spawn(move || drop(leaver));
        let staying = {
            let inside = Arc::clone(&inside);
            thread::spawn(move || inside.visit(block_on(stayer).expect("nobody is late here")))
        };
        inside.visit(held);
        leaving.join().unwrap();
        staying.join().unwrap();
        gate.at_rest(1);
    });
}

#[test]
fn leaving_hands_over_a_grant_that_was_on_its_way() {
    check(|| {
        let (gate, inside) = (gate(1, 2), Inside::new(1));
        let Entry::Granted(held) = gate.enter(LATER) else { panic!("the gate was free") };
        let Entry::Waiting(waiting) = gate.enter(LATER) else { panic!("the gate was taken") };
        let leaving = {
            let inside = Arc::clone(&inside);
            thread::spawn(move || {
                if let Some(permit) = waiting.leave() {
                    inside.visit(permit);
                }
            })
        };
        inside.visit(held);
        leaving.join().unwrap();
        gate.at_rest(1);
    });
}

#[test]
fn an_arrival_does_not_overtake_the_line() {
    check(|| {
        let gate = gate(1, 4);
        let Entry::Granted(held) = gate.enter(LATER) else { panic!("the gate was free") };
        let Entry::Waiting(first) = gate.enter(LATER) else { panic!("the gate was taken") };
        let releasing = thread::spawn(move || drop(held));
        // Whether the permit is back already or not: somebody stands in line, and the permit is theirs.
        assert!(gate.dispatcher.try_enter(&gate.line, Class::New, Tick::ZERO).is_none(), "overtook");
        drop(block_on(first).expect("nobody is late here"));
        releasing.join().unwrap();
        gate.at_rest(1);
    });
}

#[test]
fn whoever_is_too_late_is_told_and_the_permit_goes_on() {
    check(|| {
        let clock = Clock::manual();
        let gate = Door::new(1, 4, clock.clone());
        let inside = Inside::new(1);
        let Entry::Granted(held) = gate.enter(LATER) else { panic!("the gate was free") };
        let Entry::Waiting(late) = gate.enter(Tick::ZERO) else { panic!("the gate was taken") };
        let Entry::Waiting(in_time) = gate.enter(LATER) else { panic!("the gate was taken") };
        clock.advance(std::time::Duration::from_nanos(1));
        let releasing = thread::spawn(move || drop(held));
        assert!(block_on(late).is_err(), "served after the deadline");
        inside.visit(block_on(in_time).expect("in time"));
        releasing.join().unwrap();
        gate.at_rest(1);
    });
}

#[test]
fn a_slot_serves_one_waiter_after_another() {
    check(|| {
        // One slot only: the second waiter reuses what the first returned, also when it left early.
        let (gate, inside) = (gate(1, 1), Inside::new(1));
        let Entry::Granted(held) = gate.enter(LATER) else { panic!("the gate was free") };
        let other = {
            let (gate, inside) = (gate.clone(), Arc::clone(&inside));
            thread::spawn(move || match gate.enter(LATER) {
                Entry::Full => {}
                Entry::Granted(permit) => inside.visit(permit),
                Entry::Waiting(waiting) => drop(waiting),
            })
        };
        match gate.enter(LATER) {
            Entry::Full => {}
            Entry::Granted(_) => panic!("the permit is held"),
            Entry::Waiting(waiting) => drop(waiting),
        }
        inside.visit(held);
        other.join().unwrap();
        gate.at_rest(1);
    });
}

#[test]
fn all_of_several_gates_or_none_and_nobody_sleeps() {
    check(|| {
        // Two upstreams that share a dependency of one: whoever is in has both.
        let (shared, inside) = (Gate::new(1, None), Inside::new(1));
        let lines: Vec<_> = (0..2).map(|_| Line::new(vec![Arc::clone(&shared), Gate::new(1, None)], 2)).collect();
        let groups = lines.iter().map(|line| vec![Arc::clone(line)]).collect();
        let dispatcher = Dispatcher::new(groups, Clock::manual());
        let doors: Vec<_> = lines.into_iter().map(|line| Door { dispatcher: Arc::clone(&dispatcher), line }).collect();
        let other = {
            let (door, inside) = (doors[1].clone(), Arc::clone(&inside));
            thread::spawn(move || door.pass(&inside))
        };
        doors[0].pass(&inside);
        other.join().unwrap();
        doors.iter().for_each(|door| door.at_rest(1));
    });
}

#[test]
fn a_raised_limit_lets_the_line_in() {
    check(|| {
        let (gate, inside) = (gate(1, 2), Inside::new(2));
        let Entry::Granted(held) = gate.enter(LATER) else { panic!("the gate was free") };
        let raising = {
            let gate = gate.clone();
            thread::spawn(move || gate.dispatcher.adjust(&gate.line.gates()[0], 1))
        };
        // Nobody gives anything back: only the raised limit can let this one in.
        gate.pass(&inside);
        raising.join().unwrap();
        drop(held);
        gate.at_rest(2);
    });
}
