//! A draw as it is published: JSON Lines.
//!
//! ```text
//! {"weir_draw":1,"room":"opening","generation":1775900000,"wave":0,"count":2,"commitment":"…","secret":"…","root":"…","seed":"…"}
//! [0,1775908799871,"5f7c1f0b6f2d4f0e",2]
//! [1,1775908799872,"0b9d8a7c6e5f4a3b",1]
//! ```
//!
//! The head, then one line a registration: number, instant of issue, tag, place from 1. Nobody is named.
//!
//! **Invariants**: everything in it can be recomputed from the rest; each value has one spelling, so that no other bytes say the same.
//! **Cost**: ~50 bytes a person, 70 MB for 1,432,133.
//! **Not here**: whether what it says is true (`verify`).

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use super::digest::{Digest, commitment};
use super::draw::{Draw, Terms, seed};
use super::receipt::VERSION;
use super::registration::{Registration, Tag};

/// Longest line that is read, in bytes: the head with a name far longer than a room's can be.
pub(super) const LINE_MAX: u64 = 4096;

/// The first line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Head {
    weir_draw: u8,
    room: String,
    generation: u32,
    wave: u8,
    pub(super) count: u32,
    pub(super) commitment: Digest,
    pub(super) secret: Digest,
    pub(super) root: Digest,
    pub(super) seed: Digest,
}

/// Every other line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) registration: Registration,
    /// From 1.
    pub(super) place: u32,
}

impl Head {
    /// The head that `line` is, in the one spelling that there is.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let head: Self = serde_json::from_slice(line).ok()?;
        let same = serde_json::to_vec(&head).is_ok_and(|text| text == line);
        (same && head.weir_draw == VERSION).then_some(head)
    }

    pub(super) fn terms(&self) -> Terms {
        Terms { room: self.room.clone(), generation: self.generation, wave: self.wave }
    }
}

impl Entry {
    /// The entry that `line` is, in the one spelling that there is; `scratch` is overwritten.
    pub(super) fn read(line: &[u8], scratch: &mut Vec<u8>) -> Option<Self> {
        let (number, issued, tag, place): (u64, u64, Tag, u32) = serde_json::from_slice(line).ok()?;
        let entry = Self { registration: Registration { number, issued, tag }, place };
        scratch.clear();
        entry.write(scratch).ok()?;
        (scratch == line).then_some(entry)
    }

    fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let Registration { number, issued, tag } = self.registration;
        write!(to, "[{number},{issued},\"{tag}\",{}]", self.place)
    }
}

/// The registrations that `lines` of a document say; [`None`] if they are not all lines as they are written.
#[must_use]
pub fn registrations(lines: &[u8]) -> Option<Vec<Registration>> {
    let mut scratch = Vec::new();
    let lines = lines.strip_suffix(b"\n")?.split(|byte| *byte == b'\n');
    lines.map(|line| Some(Entry::read(line, &mut scratch)?.registration)).collect()
}

/// Writes the document of `draw`, whose registrations are `registrations`.
pub(super) fn write(
    draw: &Draw,
    registrations: impl IntoIterator<Item = Registration>,
    to: &mut impl Write,
) -> io::Result<()> {
    let differs = || io::Error::new(io::ErrorKind::InvalidInput, "not as many registrations as were drawn");
    let count = u32::try_from(draw.places().len()).map_err(|_| differs())?;
    let (root, secret) = (draw.root(), draw.secret.reveal());
    let Terms { room, generation, wave } = draw.terms.clone();
    let seed = seed(&secret, &root, count, &draw.terms);
    let commitment = commitment(&draw.secret);
    let head = Head { weir_draw: VERSION, room, generation, wave, count, commitment, secret, root, seed };
    serde_json::to_writer(&mut *to, &head)?;
    to.write_all(b"\n")?;
    let mut registrations = registrations.into_iter();
    for place in draw.places() {
        let registration = registrations.next().ok_or_else(differs)?;
        Entry { registration, place: place.saturating_add(1) }.write(to)?;
        to.write_all(b"\n")?;
    }
    if registrations.next().is_some() { Err(differs()) } else { to.flush() }
}
