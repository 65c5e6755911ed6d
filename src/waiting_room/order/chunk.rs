//! The entries of 4,096 neighbouring positions, and one bit each: *live*.
//!
//! A position is live while somebody is awaited there: its number is fresh, or its holder came back in time, and he has neither left nor come
//! in. Bits are set when the chunk is made and only ever cleared, so what is counted by them never grows.
//!
//! **Invariants**: `alive` is never less than the bits that are set; each bit is cleared once, by whoever is told so.
//! **Cost**: 16.6 KiB; to count a part of it, at most 64 words; to look for passages that ended, 4,096 entries, and one number while none can have.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::entry::{Entry, State, Unit};

/// Positions in a chunk.
pub const CHUNK: usize = 4_096;

/// Bits of a word of the map.
const WORD: usize = 64;

#[derive(Debug)]
pub(super) struct Chunk {
    entries: Box<[AtomicU32]>,
    live: [AtomicU64; CHUNK / WORD],
    alive: AtomicU32,
    /// Nobody here was admitted, or seen since, before this time.
    oldest: AtomicU32,
}

impl Chunk {
    /// A chunk of which nothing was heard; its first `settled` positions are too late to be counted.
    pub(super) fn new(settled: usize) -> Self {
        let settled = settled.min(CHUNK);
        let entry = |index| if index < settled { Entry::ABSENT } else { Entry::UNHEARD };
        let live = std::array::from_fn(|word| AtomicU64::new(mask(&(settled..CHUNK), word)));
        let alive = AtomicU32::new(u32::try_from(CHUNK - settled).unwrap_or_default());
        let entries = (0..CHUNK).map(|index| AtomicU32::new(entry(index).0)).collect();
        Self { entries, live, alive, oldest: AtomicU32::new(0) }
    }

    /// The entry at `index`.
    pub(super) fn entry(&self, index: usize) -> Entry {
        self.entries.get(index).map_or(Entry::ABSENT, |entry| Entry(entry.load(Ordering::Acquire)))
    }

    /// Changes the entry at `index` as `change` says, by one compare-and-swap, and tells what it was; what `change` declines stays.
    pub(super) fn update(&self, index: usize, change: impl Fn(Entry) -> Option<Entry>) -> Result<Entry, Entry> {
        let Some(entry) = self.entries.get(index) else { return Err(Entry::ABSENT) };
        entry
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| change(Entry(word)).map(|entry| entry.0))
            .map(Entry)
            .map_err(Entry)
    }

    /// Nobody is awaited at `index` from now on; whether somebody was.
    pub(super) fn forget(&self, index: usize) -> bool {
        let Some(word) = self.live.get(index / WORD) else { return false };
        let bit = 1 << (index % WORD);
        let was = word.fetch_and(!bit, Ordering::AcqRel) & bit != 0;
        if was {
            self.alive.fetch_sub(1, Ordering::AcqRel);
        }
        was
    }

    /// Puts back what stood elsewhere, or in a journal. Only while nobody else has the chunk.
    pub(super) fn place(&mut self, index: usize, entry: Entry, live: bool) {
        if let Some(old) = self.entries.get_mut(index) {
            *old.get_mut() = entry.0;
        }
        if let Some(word) = self.live.get_mut(index / WORD) {
            let (word, bit) = (word.get_mut(), 1 << (index % WORD));
            let was = *word & bit != 0;
            *word = if live { *word | bit } else { *word & !bit };
            *self.alive.get_mut() += u32::from(live);
            *self.alive.get_mut() -= u32::from(was);
        }
        *self.oldest.get_mut() = 0;
    }

    /// Gives up whoever was admitted and has not been seen for `life` at `now`, and tells where he stood and what he was. Entries are looked at only if
    /// somebody may be among them: whoever is admitted later is so at a later time.
    pub(super) fn sweep(&self, now: Unit, life: Duration) -> Vec<(usize, Entry)> {
        if !Unit(self.oldest.load(Ordering::Acquire)).is_older(life, now) {
            return Vec::new();
        }
        let idle = |entry: Entry| entry.state() == State::Admitted && entry.time().is_older(life, now);
        let (mut swept, mut oldest) = (Vec::new(), now);
        for index in 0..CHUNK {
            let entry = self.entry(index);
            if entry.state() != State::Admitted {
                continue;
            }
            match self.update(index, |entry| idle(entry).then(|| entry.in_state(State::Gone))) {
                Ok(entry) => swept.push((index, entry)),
                Err(entry) => oldest = oldest.min(entry.time()),
            }
        }
        self.oldest.store(oldest.0, Ordering::Release);
        swept
    }

    /// The numbers at `range` are no longer fresh: of whom nothing was heard, he is not awaited.
    pub(super) fn settle(&self, range: Range<usize>) {
        for index in range {
            let unheard = |entry| (entry == Entry::UNHEARD).then_some(Entry::ABSENT);
            if self.update(index, unheard).is_ok() {
                self.forget(index);
            }
        }
    }

    /// Whether somebody is awaited at `index`.
    pub(super) fn is_live(&self, index: usize) -> bool {
        let word = self.live.get(index / WORD).map_or(0, |word| word.load(Ordering::Acquire));
        word & 1 << (index % WORD) != 0
    }

    /// How many are awaited at `range`.
    pub(super) fn count(&self, range: &Range<usize>) -> u64 {
        if *range == (0..CHUNK) {
            return u64::from(self.alive.load(Ordering::Acquire));
        }
        let (first, last) = (range.start / WORD, range.end / WORD);
        let load = |word: &AtomicU64| word.load(Ordering::Acquire);
        let part = |word: usize| self.live.get(word).map_or(0, |bits| (load(bits) & mask(range, word)).count_ones());
        if first == last {
            return part(first).into();
        }
        // Of the words between nothing is left out, which is asked of each word for every visit.
        let between = self.live.get(first + 1..last).unwrap_or_default();
        let whole: u32 = between.iter().map(|bits| load(bits).count_ones()).sum();
        u64::from(part(first) + whole + part(last))
    }

    /// The index of the live one in `range` that has `before` live ones before it there; else how many there are.
    pub(super) fn after(&self, range: &Range<usize>, before: u64) -> Result<usize, u64> {
        let mut left = before;
        for (word, bits) in self.live.iter().enumerate().skip(range.start / WORD) {
            let mut bits = bits.load(Ordering::Acquire) & mask(range, word);
            let here = u64::from(bits.count_ones());
            if here <= left {
                left -= here;
                continue;
            }
            for _ in 0..left {
                bits &= bits - 1;
            }
            return Ok(word * WORD + bits.trailing_zeros() as usize);
        }
        Err(before - left)
    }
}

/// The bits of the `word`-th word that stand for indices in `range`.
fn mask(range: &Range<usize>, word: usize) -> u64 {
    let below = |end: usize| match end.saturating_sub(word * WORD) {
        bits @ 0..WORD => (1 << bits) - 1,
        _ => u64::MAX,
    };
    below(range.end) & !below(range.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_counted_as_bit_by_bit() {
        let chunk = Chunk::new(100);
        let mut chance = fastrand::Rng::with_seed(1);
        for _ in 0..2_000 {
            chunk.forget(chance.usize(..CHUNK));
        }
        let live: Vec<bool> = (0..CHUNK).map(|index| chunk.is_live(index)).collect();
        let plain = |range: &Range<usize>| live[range.clone()].iter().filter(|live| **live).count() as u64;
        assert_eq!(chunk.count(&(0..CHUNK)), plain(&(0..CHUNK)), "the sum kept beside the bits");
        for _ in 0..500 {
            let [a, b] = [chance.usize(..=CHUNK), chance.usize(..=CHUNK)];
            let range = a.min(b)..a.max(b);
            assert_eq!(chunk.count(&range), plain(&range), "{range:?}");
            let before = chance.u64(..=1_500);
            let found = range.clone().filter(|index| live[*index]).nth(usize::try_from(before).unwrap());
            assert_eq!(chunk.after(&range, before).ok(), found, "{range:?} {before}");
            if found.is_none() {
                assert_eq!(chunk.after(&range, before), Err(plain(&range)));
            }
        }
        assert_eq!(chunk.count(&(0..100)), 0, "too late from the beginning");
    }

    #[test]
    fn a_bit_is_cleared_once() {
        let chunk = Chunk::new(0);
        assert!(chunk.forget(77) && !chunk.forget(77));
        assert_eq!(chunk.count(&(0..CHUNK)), CHUNK as u64 - 1);
        assert!(!chunk.forget(CHUNK) && chunk.update(CHUNK, Some).is_err(), "beyond the end there is nobody");
    }
}
