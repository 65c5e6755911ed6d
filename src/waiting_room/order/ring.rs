//! Where the chunks are: a ring of slots, so that the span of numbers held at once is bounded.
//!
//! **Why a lock a slot**: a chunk that is dropped, or whose entries a draw moves, must not be under somebody's hands. Requests only ever read-lock
//! the slot of their own number, for less than a microsecond; a chunk comes into being inside that. What writes is the chore, for an instant
//! and by `try_write`, so that no request waits behind a writer that waits; only a draw waits for its slots and then holds them
//! for as long as it moves entries. No two slots are read-locked at once by one thread, and nothing is awaited under a lock.
//!
//! **Invariants**: the slot of a position in the window `[low, low + slots)` of chunks holds no other chunk; a chunk that was made
//! while its numbers settled has them settled.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};

use super::chunk::{CHUNK, Chunk};
use super::draw::Draw;

/// [`CHUNK`] as positions are counted.
pub(super) const SPAN: u64 = CHUNK as u64;

#[derive(Debug)]
pub(super) struct Ring {
    slots: Box<[Slot]>,
    /// The first chunk that is remembered.
    low: AtomicU64,
    /// Numbers below are no longer fresh.
    settled: AtomicU64,
}

#[derive(Debug, Default)]
struct Slot {
    page: RwLock<Page>,
    /// When the last number of the chunk was settled, in units of `entry`.
    filled: AtomicU32,
    /// How many are awaited between serving and the chunk, as of the last tick.
    before: AtomicU64,
}

/// What stands in a slot.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) chunk: OnceLock<Box<Chunk>>,
    /// The draws that numbers of the chunk took part in.
    pub(super) draws: Vec<Arc<Draw>>,
}

impl Ring {
    /// Room for `capacity` positions, rounded up to whole chunks; two at least, so that one can be dropped while the other is filled.
    pub(super) fn new(capacity: usize) -> Self {
        let slots = capacity.div_ceil(CHUNK).max(2);
        Self {
            slots: (0..slots).map(|_| Slot::default()).collect(),
            low: AtomicU64::new(0),
            settled: AtomicU64::new(0),
        }
    }

    /// The first position that is remembered.
    pub(super) fn start(&self) -> u64 {
        self.low.load(Ordering::Acquire) * SPAN
    }

    /// The position after the last there is room for.
    pub(super) fn end(&self) -> u64 {
        self.start() + self.slots.len() as u64 * SPAN
    }

    pub(super) fn settled(&self) -> u64 {
        self.settled.load(Ordering::Acquire)
    }

    /// The page of the chunk that `position` is in, while it is remembered.
    pub(super) fn page(&self, position: u64) -> Option<RwLockReadGuard<'_, Page>> {
        let page = self.slot(position)?.page.read().unwrap_or_else(PoisonError::into_inner);
        // Looked at under the lock: whoever drops the chunk moves the window before he lets go.
        (self.start()..self.end()).contains(&position).then_some(page)
    }

    /// The same, to change it; whoever asks waits for those who read.
    pub(super) fn page_to_change(&self, position: u64) -> Option<RwLockWriteGuard<'_, Page>> {
        Some(self.slot(position)?.page.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn try_page_to_change(&self, position: u64) -> Option<RwLockWriteGuard<'_, Page>> {
        match self.slot(position)?.page.try_write() {
            Ok(page) => Some(page),
            Err(TryLockError::Poisoned(page)) => Some(page.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// The chunk of `position` in its `page`, made if it is not there.
    pub(super) fn chunk<'page>(&self, page: &'page Page, position: u64) -> &'page Chunk {
        page.chunk.get_or_init(|| Box::new(self.fresh(position)))
    }

    /// Nothing was heard of the chunk of `position`. The page is held meanwhile, so its numbers do not settle.
    pub(super) fn fresh(&self, position: u64) -> Chunk {
        Chunk::new(index(self.settled().saturating_sub(chunk_start(position)).min(SPAN)))
    }

    /// How many are awaited at `positions`.
    pub(super) fn count(&self, positions: Range<u64>) -> u64 {
        parts(positions).map(|(start, range)| self.count_in(start, &range)).sum()
    }

    /// How many are awaited at the indices `range` of the chunk that starts at `start`.
    pub(super) fn count_in(&self, start: u64, range: &Range<usize>) -> u64 {
        if range.is_empty() || start < self.start() {
            return 0;
        }
        match self.page(start).as_ref().and_then(|page| page.chunk.get()) {
            Some(chunk) => chunk.count(range),
            // Nothing was heard of the whole chunk: whoever is still fresh is awaited.
            None => (start + range.end as u64).saturating_sub(self.settled().max(start + range.start as u64)),
        }
    }

    /// The index of the live one in `range` of the chunk at `start` that has `before` live ones before it there; else how many there are.
    pub(super) fn after(&self, start: u64, range: &Range<usize>, before: u64) -> Result<usize, u64> {
        if let Some(chunk) = self.page(start).as_ref().and_then(|page| page.chunk.get()) {
            return chunk.after(range, before);
        }
        let fresh = self.settled().max(start + range.start as u64) - start;
        let end = range.end as u64;
        if fresh + before < end { Ok(index(fresh + before)) } else { Err(end.saturating_sub(fresh)) }
    }

    /// How many are awaited before the chunk of `position`, as of the last tick.
    pub(super) fn before(&self, position: u64) -> u64 {
        self.slot(position).map_or(0, |slot| slot.before.load(Ordering::Acquire))
    }

    pub(super) fn set_before(&self, position: u64, count: u64) {
        if let Some(slot) = self.slot(position) {
            slot.before.store(count, Ordering::Release);
        }
    }

    /// Numbers below `target` are settled, as far as their slots are free at this moment; `settle` does the same to what stands
    /// elsewhere since a draw. Called by the chore alone.
    pub(super) fn settle(&self, target: u64, filled: u32, settle_drawn: impl Fn(u64)) {
        while self.settled() < target {
            let from = self.settled();
            let start = chunk_start(from);
            let to = target.min(start + SPAN);
            // While nobody reads it, so that a chunk is either made before, and found below, or sees the new bound.
            let Some(page) = self.try_page_to_change(from) else { return };
            self.settled.store(to, Ordering::Release);
            drop(page);
            if let Some(page) = self.page(from) {
                if page.draws.is_empty() {
                    if let Some(chunk) = page.chunk.get() {
                        chunk.settle(index(from - start)..index(to - start));
                    }
                } else {
                    drop(page);
                    (from..to).for_each(&settle_drawn);
                }
            }
            if to == start + SPAN
                && let Some(slot) = self.slot(from)
            {
                slot.filled.store(filled, Ordering::Release);
            }
        }
    }

    /// When the last number of the chunk of `position` was settled, once it is.
    pub(super) fn filled(&self, position: u64) -> Option<u32> {
        let whole = chunk_start(position) + SPAN <= self.settled();
        self.slot(position).filter(|_| whole).map(|slot| slot.filled.load(Ordering::Acquire))
    }

    /// Forgets the first chunk, unless somebody has it in hand at this moment.
    pub(super) fn drop_first(&self) -> bool {
        let start = self.start();
        let Some(mut page) = self.try_page_to_change(start) else { return false };
        *page = Page::default();
        self.low.store(start / SPAN + 1, Ordering::Release);
        true
    }

    fn slot(&self, position: u64) -> Option<&Slot> {
        self.slots.get(index(position / SPAN % (self.slots.len() as u64)))
    }
}

/// The first position of the chunk that `position` is in.
pub(super) const fn chunk_start(position: u64) -> u64 {
    position - position % SPAN
}

/// The parts of `positions` by chunks: the chunk's start, and indices in it.
pub(super) fn parts(positions: Range<u64>) -> impl Iterator<Item = (u64, Range<usize>)> {
    let Range { start: mut at, end } = positions;
    std::iter::from_fn(move || {
        let start = chunk_start(at);
        let to = end.min(start + SPAN);
        let part = (at < end).then(|| (start, index(at - start)..index(to.saturating_sub(start))));
        at = to;
        part
    })
}

/// A number that is at most [`CHUNK`], or below the slots, as an index.
pub(super) fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
