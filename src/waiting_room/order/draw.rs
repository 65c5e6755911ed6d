//! Numbers of a lobby that was drawn: each has a rank, and his position is by rank.

use std::ops::Range;

use thiserror::Error;

/// Why a draw is not installed. Nothing has changed then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DrawError {
    /// Not each rank below their count stands there exactly once, or there are more than 2^32.
    #[error("the ranks are not a permutation")]
    NotAPermutation,
    /// The numbers were not all given, are no longer remembered, or some of them were called already.
    #[error("not all of these numbers wait")]
    NotWaiting,
    /// Some of the numbers were drawn before.
    #[error("some of these numbers were drawn before")]
    DrawnBefore,
}

/// A draw among the numbers from `first` on.
#[derive(Debug)]
pub(super) struct Draw {
    first: u64,
    /// The rank of each number.
    forward: Box<[u32]>,
    /// The number of each rank.
    inverse: Box<[u32]>,
}

impl Draw {
    /// # Errors
    /// [`DrawError::NotAPermutation`].
    pub(super) fn new(first: u64, forward: Box<[u32]>) -> Result<Self, DrawError> {
        // A number that no rank has: there are at most 2^32 - 1 of them.
        const NOBODY: u32 = u32::MAX;
        let mut inverse = vec![NOBODY; forward.len()].into_boxed_slice();
        for (number, rank) in (0..NOBODY).zip(&forward) {
            let place = inverse.get_mut(*rank as usize).filter(|place| **place == NOBODY);
            *place.ok_or(DrawError::NotAPermutation)? = number;
        }
        if inverse.contains(&NOBODY) { Err(DrawError::NotAPermutation) } else { Ok(Self { first, forward, inverse }) }
    }

    /// The numbers, and their positions: the same.
    pub(super) fn range(&self) -> Range<u64> {
        self.first..self.first + self.forward.len() as u64
    }

    /// Where `number` stands, if it took part.
    pub(super) fn position(&self, number: u64) -> Option<u64> {
        self.look_up(&self.forward, number)
    }

    /// Whose `position` is.
    pub(super) fn number(&self, position: u64) -> Option<u64> {
        self.look_up(&self.inverse, position)
    }

    fn look_up(&self, table: &[u32], at: u64) -> Option<u64> {
        let index = usize::try_from(at.checked_sub(self.first)?).ok()?;
        table.get(index).map(|other| self.first + u64::from(*other))
    }
}
