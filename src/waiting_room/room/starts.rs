//! For which wave a number was given, and in which one its holder was let in.
//!
//! An entry tells the wave in which somebody was let in modulo 4. He is let in in the wave for which he joined, or in a later one that carried his
//! place; so it is the first of that kind from his own on. However many waves have begun since then: what an operator finds out about a request
//! of long ago counts where it was made. Only of a place that was carried over four waves or more would it be the wrong one.
//!
//! **Cost**: a binary search.
//! **Not here**: when waves begin (`wave`), what is taken of them (`quota`).

/// Waves that an entry tells apart.
const RESIDUES: u8 = 4;

/// The first number of those who joined for each wave that has begun, or whose lobby has.
#[derive(Clone, Debug, Default)]
pub(super) struct Starts(Vec<u64>);

impl Starts {
    /// Those who join for `wave`, at its lobby or at its opening, begin at `first`.
    pub(super) fn begin(&mut self, wave: u8, first: u64) {
        while self.0.len() <= usize::from(wave) {
            self.0.push(first);
        }
    }

    /// The first number that was given for `wave`, if it or its lobby has begun.
    pub(super) fn first_of(&self, wave: u8) -> Option<u64> {
        self.0.get(usize::from(wave)).copied()
    }

    /// The wave for which `number` was given.
    pub(super) fn wave_of(&self, number: u64) -> u8 {
        let after = self.0.partition_point(|first| *first <= number);
        u8::try_from(after.saturating_sub(1)).unwrap_or(u8::MAX)
    }

    /// The wave in which the holder of `number` was let in, which is told modulo 4, if `begun` was the last that had begun.
    pub(super) fn admitted(&self, number: u64, told: u8, begun: u8) -> Option<u8> {
        let alike = |wave: &u8| wave % RESIDUES == told % RESIDUES;
        (self.wave_of(number)..=begun).find(alike).or_else(|| (0..=begun).rev().find(alike))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wave_is_found_from_the_number_on() {
        let mut starts = Starts::default();
        assert_eq!((starts.wave_of(7), starts.admitted(7, 0, 0), starts.admitted(7, 1, 0)), (0, Some(0), None));
        (0..10).for_each(|wave| starts.begin(wave, u64::from(wave) * 100));
        assert_eq!([0, 99, 100, 950].map(|number| starts.wave_of(number)), [0, 0, 1, 9]);
        for begun in 1..10 {
            assert_eq!(starts.admitted(150, 1, begun), Some(1), "his own, whatever has begun since");
        }
        assert_eq!((starts.admitted(150, 2, 9), starts.admitted(150, 0, 9)), (Some(2), Some(4)), "carried");
        assert_eq!(starts.admitted(950, 0, 9), Some(8), "as good as can be told");
    }
}
