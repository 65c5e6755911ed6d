//! A uniform order from a seed.
//!
//! **Invariants**: with words that are uniform and independent, each order is exactly equally likely: what a word has too much for
//! a bound is thrown away, never folded in.
//! **Cost**: a word a person and now and then one more, an eighth of a hash each: ~50 ns.
//! **Not here**: what the seed is made of (`draw`).

use super::digest::{DIGEST, Digest, sha256};

const WORDS: &[u8] = b"weir draw words 1\0";

/// Bytes of a word. Of four, so that words are thrown away in every large draw (one in 3,000 at a million people) and whoever
/// recomputes a draw and forgot that finds out.
const WORD: usize = 4;

/// Words of one digest.
const EACH: usize = DIGEST / WORD;

/// The words that follow from a seed.
#[derive(Debug)]
struct Words {
    /// Label, seed and counter.
    input: [u8; WORDS.len() + DIGEST + 8],
    counter: u64,
    ready: [u32; EACH],
    used: usize,
}

/// The places of `count` people, in order of registration, from 0.
pub(super) fn places(seed: &Digest, count: u32) -> Box<[u32]> {
    let mut words = Words::new(seed);
    shuffled(count, || words.next())
}

/// 0 to `count` − 1 in the order that `word` gives.
fn shuffled(count: u32, mut word: impl FnMut() -> u32) -> Box<[u32]> {
    let mut list: Box<[u32]> = (0..count).collect();
    for high in (1..list.len()).rev() {
        let bound = u32::try_from(high + 1).unwrap_or(u32::MAX);
        let low = below(bound, &mut word);
        list.swap(high, usize::try_from(low).unwrap_or(high));
    }
    list
}

/// A number below `bound`, which is not 0.
fn below(bound: u32, mut word: impl FnMut() -> u32) -> u32 {
    let last = last_fair(bound);
    // More than half of all words are fair, so this ends; a bound on it would make the order uneven.
    loop {
        let word = word();
        if word <= last {
            return word % bound;
        }
    }
}

/// The greatest word up to which every remainder of `bound` occurs equally often: 2³² − (2³² mod `bound`) − 1.
const fn last_fair(bound: u32) -> u32 {
    u32::MAX - bound.wrapping_neg() % bound
}

impl Words {
    fn new(seed: &Digest) -> Self {
        let mut input = [0; WORDS.len() + DIGEST + 8];
        input.iter_mut().zip(WORDS.iter().chain(&seed.0)).for_each(|(byte, value)| *byte = *value);
        Self { input, counter: 0, ready: [0; EACH], used: EACH }
    }

    fn next(&mut self) -> u32 {
        if self.used == EACH {
            self.input[WORDS.len() + DIGEST..].copy_from_slice(&self.counter.to_be_bytes());
            let digest = sha256(&self.input);
            for (word, bytes) in self.ready.iter_mut().zip(digest.0.chunks_exact(WORD)) {
                *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
            }
            self.counter = self.counter.wrapping_add(1);
            self.used = 0;
        }
        let word = self.ready[self.used];
        self.used += 1;
        word
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Standard deviations that a fair draw exceeds once in a thousand tests, on either side.
    const RARE: f64 = 3.29;

    /// Seeds of each test.
    const SEEDS: u32 = 1_000;

    fn seed(number: u32) -> Digest {
        sha256(&[b"seed".as_slice(), &number.to_be_bytes()].concat())
    }

    /// Chi-square of `counts` against equal ones, as deviations of a normal distribution (Wilson and Hilferty, 1931).
    fn deviation(counts: &[f64], freedom: f64) -> f64 {
        let expected = counts.iter().sum::<f64>() / counts.len() as f64;
        let square: f64 = counts.iter().map(|count| (count - expected).powi(2) / expected).sum();
        let spread = 2.0 / (9.0 * freedom);
        ((square / freedom).cbrt() - (1.0 - spread)) / spread.sqrt()
    }

    #[test]
    fn every_order_of_a_few_people_is_equally_likely() {
        for (people, orders) in [(2, 2), (3, 6), (4, 24), (5, 120)] {
            let mut seen: HashMap<Box<[u32]>, f64> = HashMap::new();
            for number in 0..SEEDS {
                *seen.entry(places(&seed(number), people)).or_default() += 1.0;
            }
            assert_eq!(seen.len(), orders, "orders of {people}");
            let counts: Vec<f64> = seen.into_values().collect();
            let deviation = deviation(&counts, orders as f64 - 1.0);
            assert!(deviation.abs() < RARE, "{people} people: {deviation}");
        }
    }

    #[test]
    fn everybody_gets_every_place_equally_often() {
        const PEOPLE: usize = 50;
        let mut counts = vec![0.0; PEOPLE * PEOPLE];
        for number in 0..SEEDS {
            for (person, place) in places(&seed(number), 50).iter().enumerate() {
                counts[person * PEOPLE + *place as usize] += 1.0;
            }
        }
        // Rows and columns have fixed sums.
        let deviation_of_all = deviation(&counts, ((PEOPLE - 1) * (PEOPLE - 1)) as f64);
        assert!(deviation_of_all.abs() < RARE, "{deviation_of_all}");
        let worst =
            counts.chunks(PEOPLE).map(|row| deviation(row, (PEOPLE - 1) as f64)).fold(0.0, |a: f64, b| a.max(b.abs()));
        // The worst of fifty: 3.29 would be exceeded once in twenty.
        assert!(worst < 4.4, "{worst}");
    }

    #[test]
    fn a_place_says_nothing_about_the_next() {
        // Products of neighbouring deviations from the mean; for a random order their mean is −(n + 1)/12.
        const PEOPLE: u32 = 200;
        let middle = f64::from(PEOPLE - 1) / 2.0;
        let variance = (f64::from(PEOPLE).powi(2) - 1.0) / 12.0;
        let lag = |number| {
            let places = places(&seed(number), PEOPLE);
            let products = places.windows(2).map(|pair| (f64::from(pair[0]) - middle) * (f64::from(pair[1]) - middle));
            products.sum::<f64>() / variance / f64::from(PEOPLE - 1)
        };
        let mean = (0..SEEDS).map(lag).sum::<f64>() / f64::from(SEEDS);
        let expected = -1.0 / f64::from(PEOPLE - 1);
        let spread = (1.0 / f64::from(PEOPLE) / f64::from(SEEDS)).sqrt();
        assert!(((mean - expected) / spread).abs() < RARE, "{mean} where {expected} ± {spread} is fair");
    }

    #[test]
    fn unfair_words_are_thrown_away() {
        for bound in (1..2_000).chain([65_536, 1_432_133, 1 << 31, (1 << 31) + 1, u32::MAX]) {
            let fair = u64::from(last_fair(bound)) + 1;
            assert_eq!(fair % u64::from(bound), 0, "{bound}");
            assert!(fair + u64::from(bound) > 1 << 32, "{bound} throws away more than it must");
        }
        let mut words = [u32::MAX, u32::MAX, 7].into_iter();
        assert_eq!(below(3, || words.next().unwrap()), 1, "2³² − 1 is one too many for three");
        assert_eq!(below(2, || u32::MAX), 1, "and none too many for two");
        assert_eq!(below(1, || 5), 0);
    }

    #[test]
    fn it_is_algorithm_p() {
        // The last takes the place of the first, the one before it stays, and so on.
        let mut words = [0, 2, 1, 0].into_iter();
        assert_eq!(*shuffled(5, || words.next().unwrap()), [3, 4, 1, 2, 0][..].to_vec()[..]);
        assert!(places(&seed(0), 0).is_empty());
        assert_eq!(*places(&seed(0), 1), [0]);
    }
}
