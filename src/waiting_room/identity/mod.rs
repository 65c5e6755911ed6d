//! One identity, one place: fifty tabs, retries and devices of one person have one number.
//!
//! An identity is what the operator says stands for a person (a header, a cookie). What is remembered is the first 64 bits of an HMAC-SHA256 of its value by a
//! key of the room (RFC 2104), and the number: never the value, and nothing from which it could be told without the key. The same key after a
//! restart gives the same hashes, so the journal can keep them.
//!
//! **Invariants**: one hash, one number, however many claim it at once; a number is asked for only when there is room to remember it, so
//! that none is lost; at most `capacity` identities are remembered.
//! **Cost**: one HMAC (~0.4 µs) to hash; to claim, a lock that 1 in 64 claims share and one look-up. To forget, a pass over a part, and one
//! comparison while the first number that is remembered is the same.
//! **Bound**: 25 bytes an identity at 1.4 million, and never more than 40: a table doubles when seven eighths are full.
//! **Not here**: who may claim (`proxy`), what a number is worth (`order`). That two of 1.4 million values have one hash, and share a place, has a
//! chance of 1 to 18 million.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::hmac;

use crate::config::plan::Secret;

/// Parts with a lock each: far more than there are workers.
const SHARDS: usize = 64;

/// Signed before every value, so that no other use of the key gives these hashes.
const LABEL: &[u8] = b"weir identity 1\n";

/// An identity's value under the key of the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IdentityHash(u64);

/// Whose number is whose.
#[derive(Debug)]
pub struct Identities {
    key: hmac::Key,
    capacity: usize,
    count: AtomicUsize,
    shards: Box<[Mutex<Shard>; SHARDS]>,
}

/// What a claim came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// The number was given to him now.
    New(u64),
    /// He had this number before.
    Known(u64),
    /// He has none: so many identities are remembered that there is no room for his, or there was no number to give. None was lost.
    Full,
}

/// One part.
#[derive(Debug, Default)]
struct Shard {
    numbers: HashMap<u64, u64, BuildHasherDefault<Hashed>>,
    /// No number below is remembered here.
    first: u64,
}

/// A hash of 64 bits is its own hash.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Identities {
    /// Remembers nobody yet, and at most `capacity` identities, by a key of its own that follows from `secret`.
    #[must_use]
    pub fn new(secret: &Secret, capacity: usize) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &secret.0),
            capacity,
            count: AtomicUsize::new(0),
            shards: Box::new(std::array::from_fn(|_| Mutex::default())),
        }
    }

    /// The hash of an identity's value.
    #[must_use]
    pub fn hash(&self, value: &[u8]) -> IdentityHash {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(LABEL);
        context.update(value);
        IdentityHash(context.sign().as_ref().first_chunk().copied().map_or(0, u64::from_be_bytes))
    }

    /// His number: the one he has, or what `issue` gives. `issue` is called at most once, when there is room to remember what it gives.
    pub fn claim(&self, hash: IdentityHash, issue: impl FnOnce() -> Option<u64>) -> Claimed {
        let mut shard = self.shard(hash);
        if let Some(number) = shard.numbers.get(&hash.0) {
            return Claimed::Known(*number);
        }
        if !self.count_in() {
            return Claimed::Full;
        }
        let Some(number) = issue() else {
            self.count.fetch_sub(1, Ordering::AcqRel);
            return Claimed::Full;
        };
        shard.insert(hash, number);
        Claimed::New(number)
    }

    /// The number that was claimed, if one was.
    #[must_use]
    pub fn number(&self, hash: IdentityHash) -> Option<u64> {
        self.shard(hash).numbers.get(&hash.0).copied()
    }

    /// Remembers what a journal says; a later word counts. Whether there was room.
    pub fn restore(&self, hash: IdentityHash, number: u64) -> bool {
        let mut shard = self.shard(hash);
        let room = shard.numbers.contains_key(&hash.0) || self.count_in();
        if room {
            shard.insert(hash, number);
        }
        room
    }

    /// The holder of `number` has left, so that his identity may claim another; nothing if it has done so already. Whether he was known by it.
    pub fn forget(&self, hash: IdentityHash, number: u64) -> bool {
        let mut shard = self.shard(hash);
        let his = shard.numbers.get(&hash.0) == Some(&number);
        if his {
            shard.numbers.remove(&hash.0);
            self.count.fetch_sub(1, Ordering::AcqRel);
        }
        his
    }

    /// Forgets who has a number below `first`, in one of 64 parts: the `turn`-th, modulo 64.
    pub fn sweep(&self, first: u64, turn: usize) {
        let mut shard = self.shards[turn % SHARDS].lock().unwrap_or_else(PoisonError::into_inner);
        if shard.first >= first {
            return;
        }
        let before = shard.numbers.len();
        shard.numbers.retain(|_, number| *number >= first);
        shard.first = first;
        self.count.fetch_sub(before - shard.numbers.len(), Ordering::AcqRel);
    }

    /// Identities that are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes one of the places; whether there was one.
    fn count_in(&self) -> bool {
        let more = |count| (count < self.capacity).then_some(count + 1);
        self.count.fetch_update(Ordering::AcqRel, Ordering::Acquire, more).is_ok()
    }

    fn shard(&self, hash: IdentityHash) -> MutexGuard<'_, Shard> {
        // Bits that the map does not look at: it takes the upper seven and the lower ones.
        let [_, _, bits, ..] = hash.0.to_be_bytes();
        let shard = &self.shards[usize::from(bits) % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn insert(&mut self, hash: IdentityHash, number: u64) {
        self.first = self.first.min(number);
        self.numbers.insert(hash.0, number);
    }
}

impl IdentityHash {
    /// As a journal keeps it.
    #[must_use]
    pub const fn to_u64(self) -> u64 {
        self.0
    }

    /// As a journal kept it.
    #[must_use]
    pub const fn from_u64(hash: u64) -> Self {
        Self(hash)
    }
}

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    /// Only 64-bit numbers are hashed, by [`Hashed::write_u64`]; the rest is here because the trait asks for it.
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests;
