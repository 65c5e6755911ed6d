//! Places of a quota that are given back: first in the journal, and then to whoever comes next.
//!
//! What nobody waits for can be dropped when the disk does not follow. If the place were given to somebody else all the same, a kill would
//! bring back the one who had it beside the one who has it.
//!
//! **Invariants**: a place is free only behind a record that its holder does not hold it any more.
//! **Cost**: nothing while the journal takes what it is given; else a look at each such place ten times a second.
//! **Bound**: each stands for a place of a quota that is taken.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Room;

/// Number and wave of those whose record was dropped.
#[derive(Debug, Default)]
pub(super) struct Unrecorded(Mutex<Vec<(u64, u8)>>);

impl Unrecorded {
    fn push(&self, number: u64, wave: u8) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((number, wave));
    }

    fn take(&self) -> Vec<(u64, u8)> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Room {
    /// The holder of `number`, let in in `wave` modulo 4, holds his place of the quota no longer; `recorded` if the journal took it.
    pub(super) fn release(&self, number: u64, wave: u8, recorded: bool) {
        // Behind its record: whoever takes the place is written after it.
        if recorded { self.released(number, wave) } else { self.unrecorded.push(number, wave) }
    }

    /// Tells the journal once more what it did not take.
    pub(super) fn retry_releases(&self, unix: Duration) {
        for (number, wave) in self.unrecorded.take() {
            let order = self.in_order(number);
            // Whatever he is by now: it stands behind what he was.
            let is = self.order.standing(number);
            let record = is.map(|is| self.state_record(number, is.state, is.wave, unix));
            let recorded = record.is_none_or(|record| self.journal.offer(record));
            drop(order);
            self.release(number, wave, recorded);
        }
    }
}
