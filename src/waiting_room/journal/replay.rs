//! Reading a journal from its beginning: the header, every record in order, and where to go on writing.
//!
//! A process that is killed leaves a prefix of what it wrote. A power cut may take back everything behind the last *mark*, in any
//! order, as the kernel had not yet put it on the disk; what is damaged before a mark was on the disk once, and the disk lost it.
//!
//! **Invariants**: records are visited in the order in which they were written, each whole, none twice. The first damaged frame
//! ends the journal if no mark covers it, and is [`Damage::Corrupt`] if one does: a journal is never patched over a hole.
//! No input panics.
//! **Cost**: ~15 ns a record; one buffer of [`CHUNK`].
//! **Not here**: files and locks (`disk`), what a record means.

use std::io::{self, Read};

use super::checksum::Checksum;
use super::frame::{self, ALIGNMENT, FRAME_MAX, Frame};
use super::record::Record;

/// Bytes of the header.
pub(super) const HEADER: usize = 24;

/// First bytes of every journal; the last is the version.
const MAGIC: [u8; 8] = *b"weirjnl\x01";

/// Bytes read at once: large enough that the calls do not count, small enough for a cache.
const CHUNK: u64 = 128 * 1024;

/// Why a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Damage {
    #[error("not a journal of weir")]
    Foreign,
    #[error("a journal of version {0}")]
    Version(u8),
    /// From this offset on, although it was on the disk once.
    #[error("damaged at byte {0}")]
    Corrupt(u64),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Whose journal it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) room: u32,
    pub(super) generation: u32,
}

impl Header {
    /// Magic and version, room, generation, checksum, four zeros.
    pub(super) fn encode(self) -> [u8; HEADER] {
        let second = (u64::from(self.room) | (u64::from(self.generation) << u32::BITS)).to_le_bytes();
        let sum = Checksum::NEW.with(MAGIC).with(second).value();
        let mut header = [0; HEADER];
        for (to, from) in header.iter_mut().zip(MAGIC.into_iter().chain(second).chain(sum.to_le_bytes())) {
            *to = from;
        }
        header
    }

    fn decode(bytes: &[u8]) -> Result<Self, Damage> {
        let [name @ .., own_version] = MAGIC;
        let Some(([.., version], rest)) = bytes.split_first_chunk::<8>().filter(|_| bytes.starts_with(&name)) else {
            return Err(Damage::Foreign);
        };
        if *version != own_version {
            return Err(Damage::Version(*version));
        }
        let [room, generation, ..] = rest.as_chunks::<4>().0 else { return Err(Damage::Corrupt(0)) };
        let header = Self { room: u32::from_le_bytes(*room), generation: u32::from_le_bytes(*generation) };
        if bytes.starts_with(&header.encode()) { Ok(header) } else { Err(Damage::Corrupt(0)) }
    }
}

/// What a journal consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) header: Header,
    /// Records visited.
    pub(super) records: u64,
    /// Length of what is whole; the next frame goes here.
    pub(super) end: u64,
    /// Bytes behind it that are nothing.
    pub(super) torn: u64,
}

/// Gives every record of `source`, a journal from its first byte, to `visit`. Records before a damage are given as well.
pub(super) fn replay(source: impl Read, mut visit: impl FnMut(Record)) -> Result<Extent, Damage> {
    let mut window = Window { source, buffer: Vec::new(), used: 0, offset: 0, ended: false };
    let header = Header::decode(window.rest()?)?;
    window.skip(HEADER);
    let mut records = 0;
    loop {
        let offset = window.offset;
        match frame::decode(window.rest()?, offset) {
            Some((Frame::Record(record), length)) => {
                visit(record);
                records += 1;
                window.skip(length);
            }
            Some((Frame::Mark { durable }, length)) if durable <= offset => window.skip(length),
            _ => break,
        }
    }
    let end = window.offset;
    loop {
        let offset = window.offset;
        let rest = window.rest()?;
        let length = rest.len();
        match frame::decode(rest, offset) {
            _ if length == 0 => break,
            Some((Frame::Mark { durable }, _)) if durable > end => return Err(Damage::Corrupt(end)),
            _ => window.skip(length.min(ALIGNMENT)),
        }
    }
    Ok(Extent { header, records, end, torn: window.offset - end })
}

/// A stretch of the source that moves forward.
struct Window<R> {
    source: R,
    buffer: Vec<u8>,
    /// Bytes of the buffer that are behind us.
    used: usize,
    /// Of the first byte that is not.
    offset: u64,
    ended: bool,
}

impl<R: Read> Window<R> {
    /// What comes next: a whole frame, if there is one.
    fn rest(&mut self) -> io::Result<&[u8]> {
        const { assert!(HEADER <= FRAME_MAX) }
        while !self.ended && self.buffer.len() - self.used < FRAME_MAX {
            self.buffer.drain(..self.used);
            self.used = 0;
            self.ended = self.source.by_ref().take(CHUNK).read_to_end(&mut self.buffer)? == 0;
        }
        Ok(self.buffer.get(self.used..).unwrap_or_default())
    }

    /// Goes on by `length` bytes, at most those that [`Self::rest`] gave.
    fn skip(&mut self, length: usize) {
        self.used += length;
        self.offset += length as u64;
    }
}
