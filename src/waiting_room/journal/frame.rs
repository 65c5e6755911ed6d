//! How a record is written: one frame of 16 to 56 bytes.
//!
//! ```text
//! byte  0..4   CRC-32C over the frame's offset in the file (8 bytes) and the frame with these four bytes zero
//!       4      kind (5 low bits), state (3 high bits)
//!       5      wave, or the flag of `Paused`
//!       6..    the fields of the kind, little-endian, then zeros to the next multiple of eight
//! ```
//!
//! **Invariants**: a kind has one length, and frames begin at multiples of eight, so frames can be found again behind a damaged
//! one; the offset is in the checksum, so a frame that was moved, repeated or cut out is found as well as one that was changed;
//! bytes that a kind does not use are zero; no file, whatever is in it, panics.
//! **Cost**: ~10 ns to write or read one; no allocation.
//! **Not here**: which frames a file may consist of (`replay`).

use super::checksum::Checksum;
use super::record::{LotSecret, NUMBERS, Record, STATES};

/// Frames begin at multiples of this many bytes.
pub(super) const ALIGNMENT: usize = 8;
/// Bytes of the longest frame, a draw's.
pub(super) const FRAME_MAX: usize = 56;
/// Bytes of a frame with one number, which most are.
const SHORT: usize = 16;

const STATE_BITS: u32 = STATES.ilog2();
const KIND_BITS: u32 = u8::BITS - STATE_BITS;
const KIND_MASK: u8 = (1 << KIND_BITS) - 1;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Record(Record),
    /// Everything before this offset was on the disk when the mark was written. A damaged frame before a mark is damage to the
    /// disk; behind the last, it is what a power cut leaves.
    Mark {
        durable: u64,
    },
}

/// What a record is of; decides the length of its frame.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Mark = 1,
    Lease = 2,
    Serving = 3,
    Returned = 4,
    Registered = 5,
    Identity = 6,
    State = 7,
    Secret = 8,
    Draw = 9,
    Wave = 10,
    Paused = 11,
    Taken = 12,
    Recovery = 13,
    Recovered = 14,
    Roll = 15,
    Fresh = 16,
    Skipped = 17,
}

impl Kind {
    pub(super) fn of(record: &Record) -> Self {
        match record {
            Record::Lease { .. } => Self::Lease,
            Record::Serving { .. } => Self::Serving,
            Record::Returned { .. } => Self::Returned,
            Record::Registered { .. } => Self::Registered,
            Record::Identity { .. } => Self::Identity,
            Record::State { .. } => Self::State,
            Record::Secret { .. } => Self::Secret,
            Record::Draw { .. } => Self::Draw,
            Record::Wave { .. } => Self::Wave,
            Record::Paused(_) => Self::Paused,
            Record::Taken { .. } => Self::Taken,
            Record::Recovery { .. } => Self::Recovery,
            Record::Recovered { .. } => Self::Recovered,
            Record::Roll { .. } => Self::Roll,
            Record::Fresh { .. } => Self::Fresh,
            Record::Skipped { .. } => Self::Skipped,
        }
    }

    fn from_head(head: u8) -> Option<Self> {
        Some(match head & KIND_MASK {
            1 => Self::Mark,
            2 => Self::Lease,
            3 => Self::Serving,
            4 => Self::Returned,
            5 => Self::Registered,
            6 => Self::Identity,
            7 => Self::State,
            8 => Self::Secret,
            9 => Self::Draw,
            10 => Self::Wave,
            11 => Self::Paused,
            12 => Self::Taken,
            13 => Self::Recovery,
            14 => Self::Recovered,
            15 => Self::Roll,
            16 => Self::Fresh,
            17 => Self::Skipped,
            _ => return None,
        })
    }

    /// Bytes of a frame of this kind.
    pub(super) const fn frame_len(self) -> usize {
        match self {
            Self::Mark
            | Self::Lease
            | Self::Serving
            | Self::Returned
            | Self::State
            | Self::Wave
            | Self::Paused
            | Self::Taken => SHORT,
            Self::Identity | Self::Recovery | Self::Recovered | Self::Roll | Self::Fresh | Self::Skipped => 24,
            Self::Registered => 32,
            Self::Secret => 40,
            Self::Draw => FRAME_MAX,
        }
    }
}

/// Appends `frame` to `out`, as it stands at `offset` of its file.
pub(super) fn encode(out: &mut Vec<u8>, offset: u64, frame: &Frame) {
    let start = out.len();
    let kind = match frame {
        Frame::Record(record) => Kind::of(record),
        Frame::Mark { .. } => Kind::Mark,
    };
    out.extend([0; 4]);
    fields(out, kind as u8, frame);
    out.resize(start + kind.frame_len(), 0);
    let sum = out.get(start..).map_or(0, |frame| checksum(offset, frame));
    if let Some(place) = out.get_mut(start..).and_then(|frame| frame.first_chunk_mut()) {
        *place = sum.to_le_bytes();
    }
}

/// Byte 4 and all behind it.
fn fields(out: &mut Vec<u8>, kind: u8, frame: &Frame) {
    let mut start = |wave: u8, number: u64| {
        out.extend([kind, wave]);
        put_48(out, number);
    };
    let record = match frame {
        Frame::Mark { durable } => return start(0, *durable),
        Frame::Record(record) => *record,
    };
    match record {
        Record::Lease { issued_until: number } | Record::Serving { position: number } | Record::Returned { number } => {
            start(0, number);
        }
        Record::Registered { number, issued, tag } => {
            start(0, number);
            put_48(out, issued);
            out.extend(tag);
        }
        Record::Identity { hash, number } => {
            start(0, number);
            out.extend(hash.to_le_bytes());
        }
        Record::State { number, state, wave, at } => {
            let kind = kind | (state.min(STATES - 1) << KIND_BITS);
            out.extend([kind, wave]);
            put_48(out, number);
            out.extend(at.to_le_bytes());
        }
        Record::Secret { wave, secret } => {
            out.extend([kind, wave]);
            out.extend(secret.0);
        }
        Record::Draw { wave, first, count, opens, root } => {
            start(wave, first);
            out.extend(count.to_le_bytes());
            out.extend(opens.to_le_bytes());
            out.extend(root);
        }
        Record::Wave { code, first } => {
            start(0, first);
            out.extend(code.to_le_bytes());
        }
        Record::Roll { wave, first, fresh, end } => {
            start(wave, first);
            put_48(out, fresh);
            put_48(out, end);
        }
        Record::Fresh { from, until } | Record::Skipped { from, until } => {
            start(0, from);
            put_48(out, until);
        }
        Record::Paused(paused) => start(u8::from(paused), 0),
        Record::Taken { wave, count } => {
            out.extend([kind, wave]);
            out.extend(count.to_le_bytes());
        }
        Record::Recovery { front, ordered } => {
            start(u8::from(ordered.is_some()), front);
            put_48(out, ordered.unwrap_or_default());
        }
        Record::Recovered { number, generation, old } => {
            start(0, number);
            put_48(out, old);
            out.extend(generation.to_le_bytes());
        }
    }
}

/// The frame at the beginning of `bytes`, which stand at `offset` of their file, and its length; nothing if it is damaged, not
/// all there, or none of ours.
pub(super) fn decode(bytes: &[u8], offset: u64) -> Option<(Frame, usize)> {
    let kind = Kind::from_head(*bytes.get(4)?)?;
    let length = kind.frame_len();
    let frame = bytes.get(..length)?;
    let mut fields = Fields(frame);
    if u32::from_le_bytes(fields.take()?) != checksum(offset, frame) {
        return None;
    }
    let [head, wave] = fields.take()?;
    let state = head >> KIND_BITS;
    let (frame, own_state, own_wave) = match kind {
        Kind::Mark => (Frame::Mark { durable: fields.number()? }, 0, 0),
        Kind::Lease => (Frame::Record(Record::Lease { issued_until: fields.number()? }), 0, 0),
        Kind::Serving => (Frame::Record(Record::Serving { position: fields.number()? }), 0, 0),
        Kind::Returned => (Frame::Record(Record::Returned { number: fields.number()? }), 0, 0),
        Kind::Registered => {
            let (number, issued, tag) = (fields.number()?, fields.number()?, fields.take()?);
            (Frame::Record(Record::Registered { number, issued, tag }), 0, 0)
        }
        Kind::Identity => {
            let (number, hash) = (fields.number()?, u64::from_le_bytes(fields.take()?));
            (Frame::Record(Record::Identity { hash, number }), 0, 0)
        }
        Kind::State => {
            let (number, at) = (fields.number()?, u32::from_le_bytes(fields.take()?));
            (Frame::Record(Record::State { number, state, wave, at }), state, wave)
        }
        Kind::Secret => (Frame::Record(Record::Secret { wave, secret: LotSecret(fields.take()?) }), 0, wave),
        Kind::Draw => {
            let (first, count) = (fields.number()?, u32::from_le_bytes(fields.take()?));
            let (opens, root) = (u64::from_le_bytes(fields.take()?), fields.take()?);
            (Frame::Record(Record::Draw { wave, first, count, opens, root }), 0, wave)
        }
        Kind::Wave => {
            let (first, code) = (fields.number()?, u16::from_le_bytes(fields.take()?));
            (Frame::Record(Record::Wave { code, first }), 0, 0)
        }
        Kind::Roll => {
            let (first, fresh, end) = (fields.number()?, fields.number()?, fields.number()?);
            (Frame::Record(Record::Roll { wave, first, fresh, end }), 0, wave)
        }
        Kind::Fresh => (Frame::Record(Record::Fresh { from: fields.number()?, until: fields.number()? }), 0, 0),
        Kind::Skipped => (Frame::Record(Record::Skipped { from: fields.number()?, until: fields.number()? }), 0, 0),
        Kind::Paused => (Frame::Record(Record::Paused(wave == 1)), 0, wave & 1),
        Kind::Taken => (Frame::Record(Record::Taken { wave, count: u64::from_le_bytes(fields.take()?) }), 0, wave),
        Kind::Recovery => {
            let (front, count) = (fields.number()?, fields.number()?);
            let ordered = (wave == 1).then_some(count);
            let flag = if count == 0 { wave & 1 } else { 1 };
            (Frame::Record(Record::Recovery { front, ordered }), 0, flag)
        }
        Kind::Recovered => {
            let (number, old, generation) = (fields.number()?, fields.number()?, u32::from_le_bytes(fields.take()?));
            (Frame::Record(Record::Recovered { number, generation, old }), 0, 0)
        }
    };
    let unused_is_zero = state == own_state && wave == own_wave && fields.0.iter().all(|byte| *byte == 0);
    unused_is_zero.then_some((frame, length))
}

fn checksum(offset: u64, frame: &[u8]) -> u32 {
    let (words, _) = frame.as_chunks::<ALIGNMENT>();
    let mut sum = Checksum::NEW.with(offset.to_le_bytes());
    if let Some(([_, _, _, _, head @ ..], rest)) = words.split_first() {
        let [a, b, c, d] = *head;
        sum = rest.iter().fold(sum.with([0, 0, 0, 0, a, b, c, d]), |sum, word| sum.with(*word));
    }
    sum.value()
}

fn put_48(out: &mut Vec<u8>, number: u64) {
    out.extend(number.min(NUMBERS - 1).to_le_bytes().into_iter().take(6));
}

/// What is left of a frame.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn number(&mut self) -> Option<u64> {
        let low = u32::from_le_bytes(self.take()?);
        let high = u16::from_le_bytes(self.take()?);
        Some(u64::from(low) | (u64::from(high) << u32::BITS))
    }
}
