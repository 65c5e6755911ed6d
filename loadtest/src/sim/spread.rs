//! A hash of numbers that were counted out here: nobody chooses them, so nothing has to be proof against choice.
//!
//! **Invariants**: the same in every process, unlike the hash of the standard library: nothing can depend on a draw that no seed names.
//! **Cost**: a multiplication.

use std::hash::{BuildHasherDefault, Hasher};

/// Of maps whose keys are counters.
pub(super) type Spread = BuildHasherDefault<Multiplied>;

/// The golden ratio in 64 bits (Knuth, The Art of Computer Programming 3, §6.4).
const RATIO: u64 = 0x9e37_79b9_7f4a_7c15;

/// A counter, multiplied.
#[derive(Debug, Default)]
pub(super) struct Multiplied(u64);

impl Hasher for Multiplied {
    fn finish(&self) -> u64 {
        // The low bits choose the place, and only the high ones are spread.
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(RATIO);
    }
}
