//! The atomics of the gate: the machine's, or the model checker's in `make loom` builds.
//!
//! **Why a ring of our own naming**: `crossbeam_queue::ArrayQueue` cannot be looked into by loom. Under the model the ring
//! is a locked deque. Nothing relies on the ring for synchronisation across a race: whether somebody waits is a counter of
//! its own (`gate`), whose orderings the model does explore.

#[cfg(not(all(test, feature = "loom")))]
mod machine {
    pub(in crate::admission) use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

    use std::task::Waker;

    use crossbeam_queue::ArrayQueue;

    /// The task to wake when a slot is settled.
    #[derive(Debug, Default)]
    pub(in crate::admission) struct Alarm(atomic_waker::AtomicWaker);

    impl Alarm {
        /// Replaces the task to wake. A wake-up that races with it is delivered.
        pub(in crate::admission) fn set(&self, waker: &Waker) {
            self.0.register(waker);
        }

        /// Wakes the task, once.
        pub(in crate::admission) fn ring(&self) {
            self.0.wake();
        }

        /// Forgets the task.
        pub(in crate::admission) fn clear(&self) {
            drop(self.0.take());
        }
    }

    /// A bounded lock-free FIFO of slot numbers.
    #[derive(Debug)]
    pub(in crate::admission) struct Ring(ArrayQueue<u32>);

    impl Ring {
        /// An empty ring for at most `capacity` numbers; at least one, because a ring of none does not exist.
        pub(in crate::admission) fn new(capacity: usize) -> Self {
            Self(ArrayQueue::new(capacity.max(1)))
        }

        /// Appends. A ring is made as large as there are slots, and a slot stands in one place only, so there is room.
        pub(in crate::admission) fn push(&self, slot: u32) {
            let pushed = self.0.push(slot);
            debug_assert!(pushed.is_ok(), "slot {slot} stands in two places");
        }

        /// Takes the oldest.
        pub(in crate::admission) fn pop(&self) -> Option<u32> {
            self.0.pop()
        }

        /// The newest becomes the oldest: what [`crate::sabotage::Fault::Lifo`] does.
        pub(in crate::admission) fn turn(&self) {
            for _ in 1..self.0.len() {
                self.0.pop().into_iter().for_each(|slot| self.push(slot));
            }
        }
    }
}

#[cfg(not(all(test, feature = "loom")))]
pub(in crate::admission) use machine::*;

#[cfg(all(test, feature = "loom"))]
mod model {
    use std::collections::VecDeque;

    use std::task::Waker;

    use loom::future::AtomicWaker;
    use loom::sync::Mutex;
    pub(in crate::admission) use loom::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

    #[derive(Debug, Default)]
    pub(in crate::admission) struct Alarm(AtomicWaker);

    impl Alarm {
        pub(in crate::admission) fn set(&self, waker: &Waker) {
            self.0.register_by_ref(waker);
        }

        pub(in crate::admission) fn ring(&self) {
            self.0.wake();
        }

        pub(in crate::admission) fn clear(&self) {
            drop(self.0.take_waker());
        }
    }

    #[derive(Debug)]
    pub(in crate::admission) struct Ring {
        numbers: Mutex<VecDeque<u32>>,
        capacity: usize,
    }

    impl Ring {
        pub(in crate::admission) fn new(capacity: usize) -> Self {
            Self { numbers: Mutex::new(VecDeque::new()), capacity: capacity.max(1) }
        }

        pub(in crate::admission) fn push(&self, slot: u32) {
            let mut numbers = self.numbers.lock().unwrap();
            assert!(numbers.len() < self.capacity, "slot {slot} stands in two places");
            numbers.push_back(slot);
        }

        pub(in crate::admission) fn pop(&self) -> Option<u32> {
            self.numbers.lock().unwrap().pop_front()
        }

        pub(in crate::admission) fn turn(&self) {
            self.numbers.lock().unwrap().rotate_right(1);
        }
    }
}

#[cfg(all(test, feature = "loom"))]
pub(in crate::admission) use model::*;
