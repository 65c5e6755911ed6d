//! The order as a journal tells it.

use std::ops::Range;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use super::Order;
use super::calls::Calls;
use super::entry::{Entry, State, Unit};
use super::ring::{chunk_start, index};
use crate::clock::Tick;

/// What a journal remembers, in the order in which it was written; draws come between by [`Order::drawn`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restored {
    /// Numbers below may have been given.
    Issued(u64),
    /// Numbers below are no longer fresh; all others are for another [`GRACE`](super::GRACE).
    Settled(u64),
    /// Nobody was given these numbers, as far as is known: nobody is awaited there.
    Skipped(Range<u64>),
    /// Positions below were called; nobody of them is awaited any more.
    Serving(u64),
    /// The holder of the number had come back in time.
    Returned(u64),
    /// The holder of the number was in this state, of this wave modulo 4, at this time since 1970.
    State {
        /// Whose.
        number: u64,
        /// What had become of him.
        state: State,
        /// In which wave he was admitted.
        wave: u8,
        /// Since when.
        at: Duration,
    },
}

impl Order {
    /// Restores one record; `unix` is the time at which it is restored (since 1970), from which tickets are taken to have been issued. Whether
    /// there was room for it: what is said of numbers that were never given or are forgotten is not remembered.
    pub fn restore(&mut self, record: Restored, unix: Duration) -> bool {
        match record {
            Restored::Issued(issued) => {
                while self.ring.end() < issued && self.ring.drop_first() {}
                *self.issued.get_mut() = issued.max(self.issued());
                self.ring.end() >= issued
            }
            Restored::Settled(settled) => {
                self.settle_to(settled.min(self.issued()), unix);
                self.ring.settled() >= settled
            }
            Restored::Skipped(numbers) => {
                // The others are not awaited without being told so.
                let unsettled = numbers.start.max(self.ring.settled())..numbers.end.min(self.issued());
                for number in unsettled {
                    self.place(number, |entry| if entry.is_unheard() { Entry::ABSENT } else { entry });
                }
                numbers.end <= self.issued()
            }
            Restored::Serving(position) => {
                let serving = position.min(self.issued()).max(self.serving());
                *self.serving.get_mut() = serving;
                *self.overdue.get_mut() = serving;
                self.calls = RwLock::new(Calls::new(serving));
                // A draw on the way here has counted from where nobody had been called.
                self.count();
                serving >= position
            }
            Restored::Returned(number) => {
                let waiting = Entry::waiting(true, Unit::of(Duration::ZERO, self.generation));
                self.place(number, |entry| if entry.is_unheard() { waiting } else { entry })
            }
            Restored::State { number, state, wave, at } => {
                let time = Unit::of(at, self.generation);
                self.place(number, |entry| {
                    Entry::waiting(entry.is_counted() || state != State::Waiting, time).in_state(state).of_wave(wave)
                })
            }
        }
    }

    /// Whoever was called and has a position from `front` on is not late for another [`TURN`](super::TURN), from `now` on: while no process
    /// ran he could not come.
    pub fn recall(&mut self, front: u64, now: Tick) {
        let start = front.max(self.ring.start());
        let calls = self.calls.get_mut().unwrap_or_else(PoisonError::into_inner);
        calls.recall(start, now);
        *self.overdue.get_mut() = calls.start();
    }

    /// Changes the entry of `number`, and who is awaited with it.
    fn place(&mut self, number: u64, change: impl FnOnce(Entry) -> Entry) -> bool {
        let Some(position) = self.position(number) else { return false };
        if position < self.ring.start() {
            return false;
        }
        let start = chunk_start(position);
        let Some(mut page) = self.ring.page_to_change(position) else { return false };
        self.ring.chunk(&page, start);
        let Some(chunk) = page.chunk.get_mut() else { return false };
        let at = index(position - start);
        let entry = change(chunk.entry(at));
        chunk.place(at, entry, entry.state() == State::Waiting && entry.is_counted());
        true
    }
}
