//! Digests, how they are written, and the two that concern the secret alone.
//!
//! **Invariants**: one spelling of each value; no secret in a debug form.
//! **Cost**: one SHA-256 of up to two blocks is ~0.2 µs.
//! **Not here**: what is hashed (`registration`, `merkle`, `draw`, `shuffle`).

use std::fmt;

use aws_lc_rs::digest::{self, SHA256};
use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of a SHA-256 digest.
pub(super) const DIGEST: usize = 32;

/// Ends with the version of what is computed, as every label does: another way of drawing has other labels.
const COMMITMENT: &[u8] = b"weir draw commitment 1\0";

/// `N` bytes, written as lower-case hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hex<const N: usize>(pub [u8; N]);

/// A SHA-256 digest.
pub type Digest = Hex<DIGEST>;

/// What a draw was committed to: 32 bytes from the machine's generator of random numbers.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Digest);

impl Secret {
    /// A secret of `random` bytes.
    #[must_use]
    pub const fn new(random: [u8; DIGEST]) -> Self {
        Self(Hex(random))
    }

    /// The bytes, for the journal.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; DIGEST] {
        &self.0.0
    }

    /// As it is published once it has been drawn by.
    pub(super) const fn reveal(&self) -> Digest {
        self.0
    }
}

/// What is published of `secret` before anybody registers.
#[must_use]
pub fn commitment(secret: &Secret) -> Digest {
    sha256(&[COMMITMENT, secret.bytes()].concat())
}

/// SHA-256 of `bytes`.
pub(super) fn sha256(bytes: &[u8]) -> Digest {
    let mut value = [0; DIGEST];
    value.copy_from_slice(digest::digest(&SHA256, bytes).as_ref());
    Hex(value)
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for byte in self.0 {
            let pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
            f.write_str(std::str::from_utf8(&pair).map_err(|_| fmt::Error)?)?;
        }
        Ok(())
    }
}

impl<const N: usize> fmt::Debug for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<const N: usize> Hex<N> {
    /// These bytes.
    #[must_use]
    pub const fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// The value of `text`, if it is written as this is.
    pub(super) fn read(text: &str) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; N];
        if text.len() != 2 * N {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let [high, low] = pair else { return None };
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(bytes))
    }
}

impl<const N: usize> Serialize for Hex<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Hex<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        Self::read(text).ok_or_else(|| D::Error::invalid_value(Unexpected::Str(text), &"lower-case hexadecimal digits"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_have_one_spelling() {
        let value = Hex([0, 0x1f, 0xa0, 0xff]);
        assert_eq!(value.to_string(), "001fa0ff");
        assert_eq!(Hex::read("001fa0ff"), Some(value));
        for wrong in ["", "001fa0f", "001fa0ff0", "001FA0ff", "001fa0fg", "+01fa0ff", "001fa0é"] {
            assert_eq!(Hex::<4>::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::new([65; DIGEST])), "Secret(…)");
    }
}
