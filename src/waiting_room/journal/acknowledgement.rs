//! Who waits for a record to be written: a fixed number of slots, so that an append allocates nothing.
//!
//! **Invariants**: a slot belongs to one append from [`Slots::claim`] until its future and the writer have both done with it; whoever
//! is the second of the two gives it back, and one compare-and-swap decides who that is. A future that is dropped disturbs nothing.
//! **Cost**: 32 bytes a slot, one push and one pop of a ring, two compare-and-swaps an append.
//! **Not here**: the record itself.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use atomic_waker::AtomicWaker;
use crossbeam_queue::ArrayQueue;

use super::AppendError;

/// The record is on its way.
const PENDING: u64 = 0;
/// Nobody waits for it any more.
const ABANDONED: u64 = 1;
/// It is in the journal.
const WRITTEN: u64 = 2;
/// The writer has ended.
const CLOSED: u64 = 3;
/// The disk refused; the error's number in the upper half.
const REFUSED: u64 = 4;

/// A thread that waits looks so often: it may be woken for other reasons, and no clock is needed to bound the wait.
const LOOKS: u32 = 32;

/// All slots of a journal.
#[derive(Debug)]
pub(super) struct Slots {
    slots: Box<[Slot]>,
    free: ArrayQueue<usize>,
}

#[derive(Debug, Default)]
struct Slot {
    state: AtomicU64,
    waker: AtomicWaker,
}

/// The writer's end of a slot: names it in the ring.
#[derive(Debug)]
pub(super) struct Claim(usize);

impl Slots {
    pub(super) fn new(count: usize) -> Self {
        let free = ArrayQueue::new(count);
        for index in 0..count {
            // A ring of this size has room for each index once.
            free.push(index).ok();
        }
        Self { slots: (0..count).map(|_| Slot::default()).collect(), free }
    }

    /// A slot for one append, if one is free, with the future that waits for it.
    pub(super) fn claim(self: &Arc<Self>) -> Option<(Claim, Appended)> {
        let index = self.free.pop()?;
        let slot = self.slots.get(index)?;
        slot.state.store(PENDING, Ordering::Relaxed);
        Some((Claim(index), Appended(State::Waiting(Arc::clone(self), index))))
    }

    /// Tells whoever waits how it went. Wakes him.
    pub(super) fn complete(&self, Claim(index): Claim, result: Result<(), AppendError>) {
        let Some(slot) = self.slots.get(index) else { return };
        let outcome = encode(result);
        // Release: what the writer did happens before what follows the acknowledgement. Acquire: the waiter has let go.
        match slot.state.compare_exchange(PENDING, outcome, Ordering::AcqRel, Ordering::Acquire) {
            // A waker of the slot's next holder may be woken for nothing; it looks again.
            Ok(_) => slot.waker.wake(),
            Err(_) => self.give_back(index),
        }
    }

    fn give_back(&self, index: usize) {
        // A waker left behind would keep its task alive.
        drop(self.slots.get(index).and_then(|slot| slot.waker.take()));
        // Has room: each index is out once.
        self.free.push(index).ok();
    }

    /// Slots that nobody holds.
    #[cfg(test)]
    pub(super) fn free(&self) -> usize {
        self.free.len()
    }
}

/// Ready when the record is in the journal, or will not be.
#[derive(Debug)]
#[must_use = "a record that nobody waits for may be lost: post it"]
pub struct Appended(State);

#[derive(Debug)]
enum State {
    Ready(Result<(), AppendError>),
    Waiting(Arc<Slots>, usize),
}

impl Appended {
    /// Ready at once.
    pub(super) fn ready(result: Result<(), AppendError>) -> Self {
        Self(State::Ready(result))
    }
}

impl Appended {
    /// Waits for it on this thread, at most for `bound`, and not on a worker's: [`None`] if it is still on its way.
    #[must_use]
    pub fn wait(mut self, bound: Duration) -> Option<Result<(), AppendError>> {
        struct Unpark(Thread);
        impl Wake for Unpark {
            fn wake(self: Arc<Self>) {
                self.0.unpark();
            }
        }
        let waker = Waker::from(Arc::new(Unpark(thread::current())));
        let mut context = Context::from_waker(&waker);
        for _ in 0..LOOKS {
            if let Poll::Ready(result) = Pin::new(&mut self).poll(&mut context) {
                return Some(result);
            }
            thread::park_timeout(bound / LOOKS);
        }
        None
    }
}

impl Future for Appended {
    type Output = Result<(), AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match &self.0 {
            State::Ready(result) => return Poll::Ready(*result),
            State::Waiting(slots, index) => {
                // Its index is one of the slots'.
                let Some(slot) = slots.slots.get(*index) else { return Poll::Ready(Err(AppendError::Closed)) };
                slot.waker.register(context.waker());
                let Some(result) = decode(slot.state.load(Ordering::Acquire)) else { return Poll::Pending };
                slots.give_back(*index);
                result
            }
        };
        self.0 = State::Ready(result);
        Poll::Ready(result)
    }
}

impl Drop for Appended {
    fn drop(&mut self) {
        let State::Waiting(slots, index) = &self.0 else { return };
        let Some(slot) = slots.slots.get(*index) else { return };
        if slot.state.compare_exchange(PENDING, ABANDONED, Ordering::AcqRel, Ordering::Acquire).is_err() {
            slots.give_back(*index);
        }
    }
}

fn encode(result: Result<(), AppendError>) -> u64 {
    match result {
        Ok(()) => WRITTEN,
        Err(AppendError::Disk(number)) => REFUSED | (u64::from(number.cast_unsigned()) << u32::BITS),
        Err(AppendError::Closed | AppendError::Full) => CLOSED,
    }
}

fn decode(state: u64) -> Option<Result<(), AppendError>> {
    match state & u64::from(u32::MAX) {
        PENDING => None,
        WRITTEN => Some(Ok(())),
        REFUSED => Some(Err(AppendError::Disk(((state >> u32::BITS) as u32).cast_signed()))),
        _ => Some(Err(AppendError::Closed)),
    }
}
