//! `Idempotency-Key`s as people send them: `p<seed>-<person>`, and of a request of its own `-<request>` behind it.
//!
//! **Cost**: no allocation, unlike text that is formatted: one is made for each request of a day.

/// The longest: three separators, and the digits of a seed and two numbers.
const LONGEST: usize = 3 + DIGITS + 10 + 10;

/// Of the greatest number.
const DIGITS: usize = 20;

/// A key.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Key {
    /// That of a person; or of one of his requests alone.
    pub(super) fn new(seed: u64, person: u32, request: Option<u32>) -> Self {
        let mut key = Self { bytes: [0; LONGEST], length: 0 };
        key.put(b'p');
        key.number(seed);
        for number in [Some(person), request].into_iter().flatten() {
            key.put(b'-');
            key.number(number.into());
        }
        key
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    fn put(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            (*place, self.length) = (byte, self.length + 1);
        }
    }

    fn number(&mut self, number: u64) {
        // From behind, because to divide by what is not known beforehand takes ten times as long.
        let (mut digits, mut left, mut count) = ([0; DIGITS], number, 0);
        for place in digits.iter_mut().rev() {
            let [digit, ..] = (left % 10).to_le_bytes();
            (*place, left, count) = (b'0' + digit, left / 10, count + 1);
            if left == 0 {
                break;
            }
        }
        digits.iter().skip(DIGITS - count).for_each(|digit| self.put(*digit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_as_they_are_on_sockets() {
        for (seed, person, request) in [(20_200_411, 0, None), (0, 1_432_132, Some(30)), (u64::MAX, u32::MAX, Some(7))]
        {
            let own = request.map_or_else(String::new, |request| format!("-{request}"));
            let text = format!("p{seed}-{person}{own}");
            assert_eq!(Key::new(seed, person, request).as_bytes(), text.as_bytes());
        }
        assert_eq!(Key::new(u64::MAX, u32::MAX, Some(u32::MAX)).as_bytes().len(), LONGEST);
    }
}
