//! Entries of a few ranks, each rank by turn: whoever has the earliest one is found at once, and anybody can move or leave.
//!
//! One table of entries without gaps, and for each rank a binary heap of their places in it (Cormen et al., *Introduction to Algorithms*,
//! ch. 6, with handles). Two arrays and no node: what is allocated is as large as what is used, and goes back when it is not; nodes of a
//! tree, 200 bytes each among all that a connection allocates and gives back, kept a page each.
//!
//! **Invariants**: an entry stands in the heap of the rank of its turn, and nowhere else; whoever is moved within the table is told his new
//! [`Seat`], or leaves if there is nobody to tell any more; a seat that somebody had before is nobody's.
//! **Cost**: 28 bytes an entry, at most four times that while a crowd leaves; the logarithm of how many there are for each change.
//! **Not here**: what a turn is (`quiet`).

/// A rank, and below it what tells who is first within the rank.
pub(super) type Turn = u64;

/// Bits below the rank: of nanoseconds, 146 years.
pub(super) const RANK_SHIFT: u32 = 62;

/// Ranks that a turn has bits for.
const RANKS: usize = 1 << (Turn::BITS - RANK_SHIFT);

/// Room for so many entries is kept.
const KEPT: usize = 256;

/// Where an entry stands. Small numbers, so that 4,294,967,295 may stand there at once: more than descriptors can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    at: u32,
    /// Tells whoever stands there from whoever stood there before.
    number: u32,
}

impl Seat {
    /// Nobody's: entries never reach that place.
    pub(super) const NONE: Self = Self { at: u32::MAX, number: 0 };

    /// As one word.
    pub(super) const fn to_bits(self) -> u64 {
        (self.at as u64) << 32 | self.number as u64
    }

    /// The inverse of [`Seat::to_bits`].
    #[expect(clippy::cast_possible_truncation, reason = "the halves of a word")]
    pub(super) const fn from_bits(bits: u64) -> Self {
        Self { at: (bits >> 32) as u32, number: bits as u32 }
    }
}

/// What can be told where it stands.
pub(super) trait Seated {
    /// Keeps it there until it is dropped, which may make it leave.
    type Told;

    /// It stands at `seat` from now on; [`None`] if it is gone.
    fn tell(&self, seat: Seat) -> Option<Self::Told>;
}

#[derive(Debug)]
struct Entry<T> {
    turn: Turn,
    item: T,
    number: u32,
    /// Its place in its heap.
    at: u32,
}

/// Entries by rank and turn.
#[derive(Debug)]
pub(super) struct Order<T> {
    entries: Vec<Entry<T>>,
    heaps: [Vec<u32>; RANKS],
    next: u32,
}

/// What has left, and who was told that he stands elsewhere. To be dropped when the order is not borrowed any more.
pub(super) type Left<T> = (Option<T>, Vec<T>, Option<<T as Seated>::Told>);

impl<T: Seated> Order<T> {
    pub(super) const fn new() -> Self {
        Self { entries: Vec::new(), heaps: [const { Vec::new() }; RANKS], next: 0 }
    }

    #[cfg(test)]
    pub(super) const fn len(&self) -> usize {
        self.entries.len()
    }

    /// Puts `item` at `turn`, behind whoever has the same.
    pub(super) fn enter(&mut self, turn: Turn, item: T) -> Seat {
        let (at, number) = (small(self.entries.len()), self.next);
        self.next = self.next.wrapping_add(1);
        self.entries.push(Entry { turn, item, number, at: 0 });
        self.push(at);
        Seat { at, number }
    }

    /// The first of `rank`, and its turn.
    pub(super) fn first(&self, rank: u64) -> Option<(Seat, Turn, &T)> {
        let at = *self.heaps.get(usize::try_from(rank).ok()?)?.first()?;
        let entry = self.entries.get(at as usize)?;
        Some((Seat { at, number: entry.number }, entry.turn, &entry.item))
    }

    /// Whoever stands at `seat` stands at `turn` from now on.
    pub(super) fn shift(&mut self, seat: Seat, turn: Turn) {
        if self.is_taken(seat) {
            self.pull(seat.at);
            if let Some(entry) = self.entries.get_mut(seat.at as usize) {
                entry.turn = turn;
            }
            self.push(seat.at);
        }
    }

    /// Whoever stands at `seat` leaves, if anybody does; the last of the table takes his place.
    pub(super) fn leave(&mut self, seat: Seat) -> Left<T> {
        let (mut gone, mut told) = (Vec::new(), None);
        if !self.is_taken(seat) {
            return (None, gone, told);
        }
        while let Some(last) = self.entries.last() {
            let at = small(self.entries.len() - 1);
            if at == seat.at {
                break;
            }
            told = last.item.tell(Seat { at: seat.at, number: last.number });
            if told.is_some() {
                break;
            }
            // About to leave: there is nobody who could be told.
            gone.extend(self.take(at));
        }
        let left = self.take(seat.at);
        self.shrink();
        (left, gone, told)
    }

    fn is_taken(&self, seat: Seat) -> bool {
        self.entries.get(seat.at as usize).is_some_and(|entry| entry.number == seat.number)
    }

    /// Takes the entry at `at` out of the table and its heap.
    fn take(&mut self, at: u32) -> Option<T> {
        self.pull(at);
        let taken = ((at as usize) < self.entries.len()).then(|| self.entries.swap_remove(at as usize));
        if let Some(moved) = self.entries.get(at as usize) {
            let (heap, place) = (rank_of(moved.turn), moved.at as usize);
            self.set(heap, place, at);
        }
        taken.map(|entry| entry.item)
    }

    /// Puts the entry at `at` into the heap of its rank.
    fn push(&mut self, at: u32) {
        let Some(rank) = self.entries.get(at as usize).map(|entry| rank_of(entry.turn)) else { return };
        let Some(heap) = self.heaps.get_mut(rank) else { return };
        heap.push(at);
        let place = heap.len() - 1;
        self.set(rank, place, at);
        self.rise(rank, place);
    }

    /// Takes the entry at `at` out of its heap.
    fn pull(&mut self, at: u32) {
        let Some((rank, place)) = self.entries.get(at as usize).map(|entry| (rank_of(entry.turn), entry.at as usize))
        else {
            return;
        };
        let Some(last) = self.heaps.get_mut(rank).and_then(Vec::pop).filter(|last| *last != at) else { return };
        self.set(rank, place, last);
        self.rise(rank, place);
        self.sink(rank, place);
    }

    /// Moves what is at `place` of a heap towards its first, as far as it is before those above it.
    fn rise(&mut self, rank: usize, mut place: usize) {
        while place > 0 {
            let above = (place - 1) / 2;
            if self.key(rank, above) <= self.key(rank, place) {
                return;
            }
            self.swap(rank, above, place);
            place = above;
        }
    }

    /// Moves what is at `place` of a heap away from its first, as far as those below it are before it.
    fn sink(&mut self, rank: usize, mut place: usize) {
        loop {
            let below = [2 * place + 1, 2 * place + 2].into_iter().filter(|below| self.key(rank, *below).is_some());
            let Some(first) = below.min_by_key(|below| self.key(rank, *below)) else { return };
            if self.key(rank, place) <= self.key(rank, first) {
                return;
            }
            self.swap(rank, place, first);
            place = first;
        }
    }

    /// By what those in a heap are ordered; at one turn by who came first.
    fn key(&self, rank: usize, place: usize) -> Option<(Turn, u32)> {
        let entry = self.entries.get(*self.heaps.get(rank)?.get(place)? as usize)?;
        Some((entry.turn, entry.number))
    }

    fn swap(&mut self, rank: usize, one: usize, other: usize) {
        let at = |place| self.heaps.get(rank).and_then(|heap| heap.get(place)).copied();
        if let Some((first, second)) = at(one).zip(at(other)) {
            self.set(rank, one, second);
            self.set(rank, other, first);
        }
    }

    /// The entry at `at` stands at `place` of its heap.
    fn set(&mut self, rank: usize, place: usize, at: u32) {
        if let Some(slot) = self.heaps.get_mut(rank).and_then(|heap| heap.get_mut(place)) {
            *slot = at;
        }
        if let Some(entry) = self.entries.get_mut(at as usize) {
            entry.at = small(place);
        }
    }

    /// Gives back what a crowd has left.
    fn shrink(&mut self) {
        shrink(&mut self.entries);
        for heap in &mut self.heaps {
            shrink(heap);
        }
    }
}

/// Leaves as much room again as is used, once it is a quarter.
fn shrink<E>(all: &mut Vec<E>) {
    if all.capacity() > KEPT && all.len() < all.capacity() / 4 {
        all.shrink_to(KEPT.max(all.len() * 2));
    }
}

/// The rank of a turn.
const fn rank_of(turn: Turn) -> usize {
    (turn >> RANK_SHIFT) as usize
}

/// A place in the table, of which there are no more than descriptors.
fn small(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::{Rc, Weak};

    use proptest::prelude::*;

    use super::*;

    impl Seated for Weak<Cell<Seat>> {
        type Told = Rc<Cell<Seat>>;

        fn tell(&self, seat: Seat) -> Option<Rc<Cell<Seat>>> {
            self.upgrade().inspect(|told| told.set(seat))
        }
    }

    /// An order, and who is in it, with his turn, in a plain list.
    #[derive(Default)]
    struct Model {
        order: Order<Weak<Cell<Seat>>>,
        present: Vec<(Turn, Rc<Cell<Seat>>)>,
        /// Gone without having left.
        dead: usize,
    }

    impl Model {
        fn enter(&mut self, turn: Turn) {
            let seat = Rc::new(Cell::new(Seat::NONE));
            seat.set(self.order.enter(turn, Rc::downgrade(&seat)));
            self.present.push((turn, seat));
        }

        fn leave(&mut self, nth: usize) {
            let (_, gone) = self.present.remove(nth % self.present.len());
            let seat = gone.get();
            drop(self.order.leave(seat));
            drop(self.order.leave(seat));
        }

        fn shift(&mut self, nth: usize, turn: Turn) {
            let count = self.present.len();
            let (before, seat) = &mut self.present[nth % count];
            *before = turn;
            self.order.shift(seat.get(), turn);
        }

        /// Whoever has died stays in the order until it is found that he has.
        fn check(&self) {
            assert!(self.order.len() >= self.present.len() && self.order.len() <= self.present.len() + self.dead);
            for (turn, seat) in &self.present {
                let entry = &self.order.entries[seat.get().at as usize];
                assert_eq!((entry.turn, entry.number), (*turn, seat.get().number));
                assert!(std::ptr::eq(entry.item.as_ptr(), Rc::as_ptr(seat)));
            }
            for rank in 0..RANKS {
                let heap = &self.order.heaps[rank];
                for (place, at) in heap.iter().enumerate() {
                    let entry = &self.order.entries[*at as usize];
                    assert_eq!((rank_of(entry.turn), entry.at as usize), (rank, place));
                    assert!(self.order.key(rank, place.saturating_sub(1) / 2) <= self.order.key(rank, place));
                }
            }
            assert_eq!(self.order.heaps.iter().map(Vec::len).sum::<usize>(), self.order.len());
        }
    }

    impl<T: Seated> Default for Order<T> {
        fn default() -> Self {
            Self::new()
        }
    }

    fn turns() -> impl Strategy<Value = Turn> {
        (0..3_u64, 0..20_u64).prop_map(|(rank, time)| rank << RANK_SHIFT | time)
    }

    proptest! {
        #[test]
        fn as_a_plain_list(changes in prop::collection::vec((0..8_u8, any::<usize>(), turns()), 1..200)) {
            let mut model = Model::default();
            for (what, nth, turn) in changes {
                match what {
                    _ if model.present.is_empty() => model.enter(turn),
                    0..4 => model.enter(turn),
                    4 | 5 => model.shift(nth, turn),
                    6 => model.leave(nth),
                    _ => {
                        let at = nth % model.present.len();
                        drop(model.present.remove(at));
                        model.dead += 1;
                    }
                }
                model.check();
            }
        }
    }

    #[test]
    fn whoever_came_first_is_first_at_one_turn() {
        let mut model = Model::default();
        for _ in 0..9 {
            model.enter(7);
        }
        for expected in 0..9 {
            let (seat, _, _) = model.order.first(0).unwrap();
            assert_eq!(seat, model.present[0].1.get());
            assert_eq!(seat.number, expected);
            model.leave(0);
        }
    }

    #[test]
    fn what_a_crowd_has_left_is_given_back() {
        let mut model = Model::default();
        for turn in 0..10_000 {
            model.enter(turn);
        }
        while model.present.len() > 10 {
            model.leave(model.present.len() / 2);
        }
        model.check();
        let room = [model.order.entries.capacity(), model.order.heaps[0].capacity()];
        assert!(room.iter().all(|room| *room <= KEPT), "{room:?}");
        assert!(size_of::<Entry<Weak<Cell<Seat>>>>() + size_of::<u32>() <= 28);
    }
}
