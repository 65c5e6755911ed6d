//! Exactly so many successes a wave.
//!
//! A place of the quota is *reserved* when somebody is admitted, *done* when his counting request succeeded, and *released* when
//! it failed or his passage ended. Whoever's outcome is unknown keeps his reservation until it is known. What is *taken* is both
//! together, and never more than the quota: a reservation for a place that may still be needed is the price of never one more.
//!
//! **Invariants**
//! * `done ≤ taken` at every instant; a reservation is made only if `taken < quota` then, so `taken ≤ quota` unless the
//!   quota was made smaller than what was taken already: then nothing is reserved before it has shrunk below.
//! * What is done stays done. To release or to finish a place that nobody holds changes nothing and says so.
//!
//! **Cost**: one compare-and-swap a change, one load a question; 16 bytes a wave.
//! **Not here**: who holds a reservation, and whose outcome is unknown (`order`: the states of its entries, from which a restart
//! counts anew); waves (`wave`).

#[cfg(all(test, feature = "loom"))]
mod model;
#[cfg(all(test, not(feature = "loom")))]
mod tests;

#[cfg(all(test, feature = "loom"))]
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(not(all(test, feature = "loom")))]
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::sabotage::{self, Fault};

/// The two counters are halves of one word, so that no reader sees one without the other.
const HALF: u32 = u32::BITS;

/// What has become of the places of a quota, as of one instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Places that are reserved or done.
    pub taken: u32,
    /// Successes.
    pub done: u32,
}

/// What nobody knows: more than any quota, and not one of it done.
const UNKNOWN: Count = Count { taken: u32::MAX, done: 0 };

impl Count {
    /// Places whose outcome is not known yet: admitted, at the upstream, or ambiguous.
    #[must_use]
    pub const fn reserved(self) -> u32 {
        self.taken.saturating_sub(self.done)
    }

    fn is_held(self) -> bool {
        self != UNKNOWN && self.reserved() > 0
    }

    fn packed(self) -> u64 {
        (u64::from(self.taken) << HALF) | u64::from(self.done)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the halves of the word")]
    const fn unpacked(word: u64) -> Self {
        Self { taken: (word >> HALF) as u32, done: word as u32 }
    }
}

/// The places of one wave. Shared by all workers.
#[derive(Debug)]
pub struct Quota {
    /// `taken` above, `done` below.
    word: AtomicU64,
    /// How many there are.
    limit: AtomicU32,
}

impl Quota {
    /// `limit` places, of which `count` have gone already (a restart: from the journal's states). More done than taken counts as
    /// taken.
    #[must_use]
    pub fn new(limit: u32, count: Count) -> Self {
        let count = Count { taken: count.taken.max(count.done), done: count.done };
        Self { word: AtomicU64::new(count.packed()), limit: AtomicU32::new(limit) }
    }

    /// `limit` places, of which nobody knows how many have gone: none is reserved, and it is not spent, before [`Self::tell`].
    #[must_use]
    pub fn unknown(limit: u32) -> Self {
        Self { word: AtomicU64::new(UNKNOWN.packed()), limit: AtomicU32::new(limit) }
    }

    /// Whether nobody knows how many have gone.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.count() == UNKNOWN
    }

    /// So many have succeeded, whatever was counted before; what is reserved stays so. Returns what is taken then.
    pub fn tell(&self, done: u32) -> Count {
        let told = |count: Count| {
            let reserved = if count == UNKNOWN { 0 } else { count.reserved() };
            Some(Count { taken: done.saturating_add(reserved), done })
        };
        self.change(told);
        self.count()
    }

    /// Reserves a place; `false` if none is left now. One that is released may be had later, unless the quota [is spent](Self::is_spent).
    #[must_use]
    pub fn reserve(&self) -> bool {
        self.change(|count| {
            // Read again at each attempt: a reservation begun after the quota was made smaller keeps to the smaller one.
            (count.taken < self.limit() && count != UNKNOWN).then(|| Count { taken: count.taken + 1, ..count })
        })
    }

    /// Gives a reserved place back. `false` if nothing was reserved.
    pub fn release(&self) -> bool {
        self.change(|count| count.is_held().then(|| Count { taken: count.taken - 1, ..count }))
    }

    /// Turns a reservation into a success. `false` if nothing was reserved.
    pub fn finish(&self) -> bool {
        self.change(|count| count.is_held().then(|| Count { done: count.done + 1, ..count }))
    }

    /// Makes it `limit` places in all from now on (a reload; what an operator knows of successes that are not counted here).
    pub fn resize(&self, limit: u32) {
        self.limit.store(limit, Ordering::Release);
    }

    /// How many places there are in all.
    #[must_use]
    pub fn limit(&self) -> u32 {
        let more = if sabotage::is(Fault::OverQuota) { 8 } else { 0 };
        self.limit.load(Ordering::Acquire) + more
    }

    /// What has become of them.
    #[must_use]
    pub fn count(&self) -> Count {
        Count::unpacked(self.word.load(Ordering::Acquire))
    }

    /// Places nobody has taken.
    #[must_use]
    pub fn left(&self) -> u32 {
        self.limit().saturating_sub(self.count().taken)
    }

    /// All places are successes: nothing can be released any more.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.count().done >= self.limit()
    }

    /// With `ahead` people before him, somebody gets a place only if some of them, or of those inside, do not take theirs.
    #[must_use]
    pub fn is_beyond(&self, ahead: u64) -> bool {
        ahead >= u64::from(self.left())
    }

    fn change(&self, next: impl Fn(Count) -> Option<Count>) -> bool {
        let next = |word| next(Count::unpacked(word)).map(Count::packed);
        self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).is_ok()
    }
}
