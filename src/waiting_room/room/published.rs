//! The document of a draw as it lies on the disk, and the receipts that are proved from it.
//!
//! **Invariants**: at its path there is the whole document or none, over `kill -9` and power cuts: it is written beside and renamed. A receipt
//! is given only if what was read is what was drawn.
//! **Cost**: a receipt one read of some 12 KiB and 511 hashes.
//! **Bound**: 24 bytes for each 256 people, beside the draw.
//! **Not here**: what the lines say (`lottery`).

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::roll::Rolled;
use crate::waiting_room::lottery::{Draw, Receipt, Registration, registrations};

/// A document that was written.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) rolled: Rolled,
    pub(super) draw: Arc<Draw>,
    pub(super) path: PathBuf,
    blocks: Vec<Block>,
    length: u64,
}

/// Registrations whose receipts need each other.
#[derive(Clone, Copy, Debug)]
struct Block {
    /// The first of them.
    number: u64,
    index: usize,
    /// Where its line begins.
    offset: u64,
}

/// Counts what goes through.
struct Counted<'c, W> {
    to: W,
    bytes: &'c Cell<u64>,
}

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.to.write(buffer)?;
        self.bytes.set(self.bytes.get() + written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl Published {
    /// Writes the document of `draw`, which is of `rolled` and of `people`, to `path`.
    pub(super) fn write(
        path: PathBuf,
        rolled: Rolled,
        draw: Arc<Draw>,
        people: impl Iterator<Item = Registration>,
    ) -> io::Result<Self> {
        let beside = path.with_extension("jsonl.new");
        let bytes = Cell::new(0);
        let mut blocks = Vec::new();
        let mut to = Counted { to: BufWriter::new(File::create(&beside)?), bytes: &bytes };
        let people = people.enumerate().map(|(index, registration)| {
            if draw.block(index).is_some_and(|block| block.start == index) {
                blocks.push(Block { number: registration.number, index, offset: bytes.get() });
            }
            registration
        });
        draw.write(people, &mut to)?;
        to.to.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        fs::rename(&beside, &path)?;
        if let Some(directory) = path.parent() {
            File::open(directory)?.sync_all()?;
        }
        Ok(Self { rolled, draw, path, blocks, length: bytes.get() })
    }

    /// The receipt of `number`; [`None`] if it did not take part, or the document is not there as it was written.
    pub(super) fn receipt(&self, number: u64) -> Option<Receipt> {
        let next = self.blocks.partition_point(|block| block.number <= number);
        let block = self.blocks.get(next.checked_sub(1)?)?;
        let end = self.blocks.get(next).map_or(self.length, |next| next.offset);
        let mut lines = vec![0; usize::try_from(end.checked_sub(block.offset)?).ok()?];
        File::open(&self.path).ok()?.read_exact_at(&mut lines, block.offset).ok()?;
        let people = registrations(&lines)?;
        let within = people.iter().position(|registration| registration.number == number)?;
        self.draw.receipt(block.index + within, &people)
    }
}
