//! A signed place: what a person holds who waits.
//!
//! A ticket says whose place it is — room, generation, number, class, wave, when it was issued — and proves it by an HMAC-SHA256
//! (RFC 2104) truncated to 128 bits (RFC 2104 §5, NIST SP 800-107 §5.3.3). So a join costs the server nothing until its first
//! return, and a ticket survives the loss of all that the server knows. It travels as 52 characters of base64url (RFC 4648 §5) without padding.
//!
//! **Invariants**: nothing but a key makes a ticket; there is no algorithm field to confuse; comparison takes the same time whatever
//! differs; 39 bytes are 13 groups of three, so no bit of the text is unused and each ticket has exactly one spelling; a label is
//! signed with it, so whatever else is signed with the same key (passes, commitments) is no ticket; old keys verify and never sign.
//! **Cost**: one HMAC (~0.4 µs) to sign, and at most one a key to verify; text of another length or with another character costs none. Nothing is
//! allocated by this code (the library copies its state on the stack).
//! **Not here**: expiry (the room knows the life), single use (`order`: one entry a number), cookies and headers (`proxy`).

use std::fmt;
use std::time::Duration;

use aws_lc_rs::{constant_time, digest, hmac};

use crate::config::plan::{Class, Secret};

/// Characters of a ticket on the wire.
pub const LENGTH: usize = BYTES / 3 * 4;

/// Bytes of a [`tag`].
pub const TAG: usize = 8;

/// Numbers are below this: 48 bits, three thousand years of 3,000 joins a second.
pub const NUMBERS: u64 = 1 << (8 * NUMBER);

const VERSION: u8 = 1;

/// Signed before every ticket and never sent: a message of any other use of the key does not begin with it.
const LABEL: &[u8] = b"weir ticket 1\n";

/// Bytes of a number, and of a moment in milliseconds: 48 bits each.
const NUMBER: usize = 6;

/// Version, flags, room, generation, wave, number, issued.
const BODY: usize = 1 + 1 + 4 + 4 + 1 + NUMBER + NUMBER;

/// Bytes of the HMAC that travel: half of it is the least that RFC 2104 allows, and 2^127 guesses are enough.
const MAC: usize = 16;

const BYTES: usize = BODY + MAC;

/// Bits of the flags: three of the class, and one for [`Ticket::identified`]; the others are zero.
const CLASS: u8 = 0b0111;
const IDENTIFIED: u8 = 0b1000;

/// The digits of RFC 4648 §5.
const ALPHABET: [u8; 64] = *b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What no digit is worth.
const NO_DIGIT: u8 = 64;

/// What each byte is worth as a digit.
const DIGITS: [u8; 256] = digits();

/// The keys of a room: the first signs, all verify.
#[derive(Debug)]
pub struct Keyring {
    current: hmac::Key,
    old: Box<[hmac::Key]>,
}

/// A place, as its holder can prove it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Which room: [`room_tag`] of its name.
    pub room: u32,
    /// Which state of the room counted the number: Unix seconds of its beginning.
    pub generation: u32,
    /// What was given at the join; below [`NUMBERS`].
    pub number: u64,
    /// Of which wave, modulo 256.
    pub wave: u8,
    /// What the request was to admission that could not be held.
    pub class: Class,
    /// An identity holds the place as well.
    pub identified: bool,
    /// When it was given: time since 1970 in whole milliseconds, below 2^48 of them.
    pub issued: Duration,
}

/// A ticket on the wire.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TicketText([u8; LENGTH]);

impl Keyring {
    /// `current` signs; it and each of `old` verify.
    #[must_use]
    pub fn new(current: &Secret, old: &[Secret]) -> Self {
        let key = |secret: &Secret| hmac::Key::new(hmac::HMAC_SHA256, &secret.0);
        Self { current: key(current), old: old.iter().map(key).collect() }
    }

    /// The text of `ticket`. What lies beyond a field's bounds is cut off: numbers are below [`NUMBERS`], and moments before the year 10889.
    #[must_use]
    pub fn sign(&self, ticket: &Ticket) -> TicketText {
        let mut bytes = [0; BYTES];
        if let Some((body, mac)) = bytes.split_first_chunk_mut::<BODY>() {
            *body = ticket.body();
            for (byte, signed) in mac.iter_mut().zip(sign(&self.current, body).as_ref()) {
                *byte = *signed;
            }
        }
        encode(&bytes)
    }

    /// The ticket that `text` is, if one of the keys has signed it.
    #[must_use]
    pub fn verify(&self, text: &[u8]) -> Option<Ticket> {
        self.recognise(text).map(|(ticket, _)| ticket)
    }

    /// The same, and its text if the current key has signed it: what [`Keyring::sign`] would make of it again.
    #[must_use]
    pub fn recognise(&self, text: &[u8]) -> Option<(Ticket, Option<TicketText>)> {
        let text: &[u8; LENGTH] = text.try_into().ok()?;
        let bytes = decode(text)?;
        let (body, mac) = bytes.split_first_chunk::<BODY>()?;
        let signed = |key: &hmac::Key| {
            let signed = sign(key, body);
            signed.as_ref().get(..MAC).is_some_and(|whole| constant_time::verify_slices_are_equal(whole, mac).is_ok())
        };
        let lasts = signed(&self.current);
        if !lasts && !self.old.iter().any(signed) {
            return None;
        }
        Some((Ticket::from_body(body)?, lasts.then_some(TicketText(*text))))
    }
}

/// The number by which tickets name a room: the first 32 bits of the SHA-256 of its name.
#[must_use]
pub fn room_tag(name: &str) -> u32 {
    let digest = digest::digest(&digest::SHA256, name.as_bytes());
    digest.as_ref().first_chunk().copied().map_or(0, u32::from_be_bytes)
}

/// The first bytes of the HMAC in `text`: they tell tickets apart for whoever holds them (receipts of a draw), and say nothing of
/// the key. [`None`] for what has not the form of a ticket; nothing is verified.
#[must_use]
pub fn tag(text: &[u8]) -> Option<[u8; TAG]> {
    decode(text)?.get(BODY..)?.first_chunk().copied()
}

impl Ticket {
    fn body(&self) -> [u8; BODY] {
        let class = u8::try_from(self.class.index()).unwrap_or(CLASS) & CLASS;
        let flags = class | if self.identified { IDENTIFIED } else { 0 };
        let [r0, r1, r2, r3] = self.room.to_be_bytes();
        let [g0, g1, g2, g3] = self.generation.to_be_bytes();
        let [_, _, n0, n1, n2, n3, n4, n5] = self.number.to_be_bytes();
        let millis = u64::try_from(self.issued.as_millis()).unwrap_or(u64::MAX);
        let [_, _, i0, i1, i2, i3, i4, i5] = millis.to_be_bytes();
        [VERSION, flags, r0, r1, r2, r3, g0, g1, g2, g3, self.wave, n0, n1, n2, n3, n4, n5, i0, i1, i2, i3, i4, i5]
    }

    /// [`None`] for a later version, and for flags that this one does not know.
    fn from_body(body: &[u8; BODY]) -> Option<Self> {
        let [version, flags, r0, r1, r2, r3, g0, g1, g2, g3, wave, n0, n1, n2, n3, n4, n5, i0, i1, i2, i3, i4, i5] =
            *body;
        if version != VERSION || flags & !(CLASS | IDENTIFIED) != 0 {
            return None;
        }
        Some(Self {
            room: u32::from_be_bytes([r0, r1, r2, r3]),
            generation: u32::from_be_bytes([g0, g1, g2, g3]),
            number: u64::from_be_bytes([0, 0, n0, n1, n2, n3, n4, n5]),
            wave,
            class: *Class::ALL.get(usize::from(flags & CLASS))?,
            identified: flags & IDENTIFIED != 0,
            issued: Duration::from_millis(u64::from_be_bytes([0, 0, i0, i1, i2, i3, i4, i5])),
        })
    }
}

impl AsRef<str> for TicketText {
    fn as_ref(&self) -> &str {
        // It consists of digits of the alphabet, so this does not fail.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl AsRef<[u8]> for TicketText {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for TicketText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_ref())
    }
}

/// A ticket is a bearer's proof, so that logs shall not show one.
impl fmt::Debug for TicketText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketText(…)")
    }
}

fn sign(key: &hmac::Key, body: &[u8; BODY]) -> hmac::Tag {
    let mut message = [0; LABEL.len() + BODY];
    for (byte, part) in message.iter_mut().zip(LABEL.iter().chain(body)) {
        *byte = *part;
    }
    hmac::sign(key, &message)
}

const fn digits() -> [u8; 256] {
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0;
    while value < NO_DIGIT {
        digits[ALPHABET[value as usize] as usize] = value;
        value += 1;
    }
    digits
}

fn encode(bytes: &[u8; BYTES]) -> TicketText {
    let mut text = [0; LENGTH];
    let digit = |bits: u32| ALPHABET.get((bits & 0x3f) as usize).copied().unwrap_or_default();
    for (four, three) in text.as_chunks_mut().0.iter_mut().zip(bytes.as_chunks().0) {
        let [a, b, c] = *three;
        let bits = u32::from_be_bytes([0, a, b, c]);
        *four = [digit(bits >> 18), digit(bits >> 12), digit(bits >> 6), digit(bits)];
    }
    TicketText(text)
}

/// The bytes of a text of the right length and alphabet.
fn decode(text: &[u8]) -> Option<[u8; BYTES]> {
    let text: &[u8; LENGTH] = text.try_into().ok()?;
    let mut bytes = [0; BYTES];
    let mut seen = 0;
    for (three, four) in bytes.as_chunks_mut().0.iter_mut().zip(text.as_chunks::<4>().0) {
        let [a, b, c, d] = four.map(|character| DIGITS.get(usize::from(character)).copied().unwrap_or(NO_DIGIT));
        seen |= a | b | c | d;
        let [_, high, middle, low] =
            (u32::from(a) << 18 | u32::from(b) << 12 | u32::from(c) << 6 | u32::from(d)).to_be_bytes();
        *three = [high, middle, low];
    }
    (seen & NO_DIGIT == 0).then_some(bytes)
}

#[cfg(test)]
mod tests;
