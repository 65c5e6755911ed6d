//! Who has registered for a draw that is not published yet: what the leaves of its tree are made of, by number.
//!
//! **Invariants**: a number is registered once, and what was said first holds; of numbers below the last closed roll nobody registers any
//! more; whoever is entered is in the journal before the roll is closed, as both happen under one lock.
//! **Cost**: a visit in a lobby two locks and one look; made in chunks of 4,096 at the first registration in them.
//! **Bound**: 16 bytes a number of a lobby, until its document is written; numbers are bounded by `order`.
//! **Not here**: the draw (`lottery`), when a roll is closed (`lobby`).

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::waiting_room::lottery::{Registration, Tag};

/// Numbers of a chunk: as many as the order keeps together.
const CHUNK: u64 = 4_096;

/// Which numbers take part in a draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rolled {
    /// The wave whose lobby it is.
    pub(super) wave: u8,
    /// The first number of the lobby.
    pub(super) first: u64,
    /// From here on everybody takes part, also without having come back.
    pub(super) fresh: u64,
    /// The first number that came after it.
    pub(super) end: u64,
}

/// All registrations that are still needed.
#[derive(Debug, Default)]
pub(super) struct Roll(RwLock<Open>);

#[derive(Debug, Default)]
struct Open {
    /// Numbers below register no more.
    closed: u64,
    chunks: BTreeMap<u64, Mutex<Box<[Slot]>>>,
}

/// What is known of a number; all zero if nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Slot {
    issued: u64,
    tag: [u8; 8],
}

impl Rolled {
    /// All its numbers.
    pub(super) const fn numbers(&self) -> Range<u64> {
        self.first..self.end
    }
}

impl Roll {
    /// Registers `number` as `registration` says, unless it is registered or its roll is closed; what `record` makes of it then.
    pub(super) fn enter<R>(
        &self,
        number: u64,
        registration: impl FnOnce() -> Registration,
        record: impl FnOnce(&Registration) -> R,
    ) -> Option<R> {
        let (chunk, index) = (number / CHUNK, index(number));
        if !self.read().chunks.contains_key(&chunk) {
            self.write().chunks.entry(chunk).or_insert_with(empty);
        }
        let open = self.read();
        if number < open.closed {
            return None;
        }
        let mut slots = open.chunks.get(&chunk)?.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots.get_mut(index).filter(|slot| **slot == Slot::default())?;
        let registration = registration();
        *slot = Slot { issued: registration.issued, tag: registration.tag.0 };
        Some(record(&registration))
    }

    /// Registers what a journal remembers.
    pub(super) fn restore(&mut self, registration: &Registration) {
        let open = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        let chunk = open.chunks.entry(registration.number / CHUNK).or_insert_with(empty);
        let slots = chunk.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get_mut(index(registration.number)).filter(|slot| **slot == Slot::default()) {
            *slot = Slot { issued: registration.issued, tag: registration.tag.0 };
        }
    }

    /// The registration of `number`.
    pub(super) fn get(&self, number: u64) -> Option<Registration> {
        let open = self.read();
        let slots = open.chunks.get(&(number / CHUNK))?.lock().unwrap_or_else(PoisonError::into_inner);
        slots.get(index(number)).filter(|slot| **slot != Slot::default()).map(|slot| slot.of(number))
    }

    /// Nobody below `end` registers any more; what `record` makes of it before anybody else can.
    pub(super) fn close<R>(&self, end: u64, record: impl FnOnce() -> R) -> R {
        let mut open = self.write();
        open.closed = open.closed.max(end);
        record()
    }

    /// Those who take part in `rolled`, by number. Whoever has not come back and takes part all the same stands there with his
    /// number alone.
    pub(super) fn of(&self, rolled: Rolled) -> impl Iterator<Item = Registration> {
        let chunks = rolled.first / CHUNK..rolled.end.div_ceil(CHUNK);
        chunks.flat_map(move |chunk| {
            // Copied: whoever registers for another wave is not kept waiting by what is made of these.
            let open = self.read();
            let slots =
                open.chunks.get(&chunk).map(|slots| slots.lock().unwrap_or_else(PoisonError::into_inner).clone());
            let slots = slots.unwrap_or_else(|| Box::new([]));
            let start = chunk * CHUNK;
            let numbers = start.max(rolled.first)..(start + CHUNK).min(rolled.end);
            numbers.filter_map(move |number| {
                let slot = slots.get(index(number)).copied().unwrap_or_default();
                (slot != Slot::default() || number >= rolled.fresh).then(|| slot.of(number))
            })
        })
    }

    /// Forgets all below `end`.
    pub(super) fn forget(&self, end: u64) {
        let mut open = self.write();
        open.chunks = open.chunks.split_off(&(end / CHUNK));
        if let Some(slots) = open.chunks.get_mut(&(end / CHUNK)) {
            let slots = slots.get_mut().unwrap_or_else(PoisonError::into_inner);
            slots.iter_mut().take(index(end)).for_each(|slot| *slot = Slot::default());
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Open> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Open> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    const fn of(self, number: u64) -> Registration {
        Registration { number, issued: self.issued, tag: Tag::new(self.tag) }
    }
}

fn empty() -> Mutex<Box<[Slot]>> {
    Mutex::new(vec![Slot::default(); index(CHUNK - 1) + 1].into())
}

/// Where `number` stands in its chunk.
fn index(number: u64) -> usize {
    usize::try_from(number % CHUNK).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(number: u64) -> Registration {
        Registration { number, issued: 1_000 + number, tag: Tag::new(number.to_be_bytes()) }
    }

    fn enter(roll: &Roll, number: u64) -> bool {
        roll.enter(number, || person(number), |_| ()).is_some()
    }

    #[test]
    fn a_number_registers_once_and_before_its_roll_is_closed() {
        let roll = Roll::default();
        assert!(enter(&roll, 10) && enter(&roll, 5_000) && !enter(&roll, 10));
        roll.close(6_000, || ());
        assert!(!enter(&roll, 11) && !enter(&roll, 5_999) && enter(&roll, 6_000));
        assert_eq!((roll.get(10), roll.get(11), roll.get(6_000)), (Some(person(10)), None, Some(person(6_000))));
    }

    #[test]
    fn who_came_back_takes_part_and_who_joined_last_without() {
        let roll = Roll::default();
        for number in [3, 10, 4_097, 5_000, 9_000] {
            assert!(enter(&roll, number));
        }
        let bare = |number| Registration { number, issued: 0, tag: Tag::new([0; 8]) };
        let rolled = Rolled { wave: 0, first: 10, fresh: 4_999, end: 5_002 };
        let all: Vec<_> = roll.of(rolled).collect();
        assert_eq!(all, [person(10), person(4_097), bare(4_999), person(5_000), bare(5_001)]);
        // Of chunks in which nobody registered.
        let rolled = Rolled { wave: 0, first: 12_287, fresh: 12_287, end: 12_290 };
        assert!(roll.of(rolled).eq([bare(12_287), bare(12_288), bare(12_289)]));
    }

    #[test]
    fn what_is_published_is_forgotten_and_nothing_else() {
        let roll = Roll::default();
        assert!([1, 4_200, 4_201].into_iter().all(|number| enter(&roll, number)));
        roll.forget(4_201);
        assert_eq!([1, 4_200, 4_201].map(|number| roll.get(number)), [None, None, Some(person(4_201))]);
    }
}
