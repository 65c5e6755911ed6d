//! The draw itself: from a secret and a roll to everybody's place.
//!
//! **Invariants**: a function of its arguments; held again after a restart, it is the same draw.
//! **Cost**: see `shuffle`; the roll has been hashed already.
//! **Not here**: how it is written down (`document`, `receipt`).

use std::io::{self, Write};
use std::ops::Range;

use super::digest::{Digest, Secret, commitment, sha256};
use super::document;
use super::merkle::Tree;
use super::receipt::{Drawn, Receipt};
use super::registration::{Registration, Roll};
use super::shuffle::places;

const SEED: &[u8] = b"weir draw seed 1\0";

/// Which lobby is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Name of the room.
    pub room: String,
    /// Generation of its state.
    pub generation: u32,
    /// Wave that opens.
    pub wave: u8,
}

/// A lobby that has been drawn.
#[derive(Debug)]
pub struct Draw {
    pub(super) terms: Terms,
    pub(super) secret: Secret,
    tree: Tree,
    places: Box<[u32]>,
}

impl Draw {
    /// Draws the lobby of `terms`, whose registrations are those of `roll`, by `secret`.
    #[must_use]
    pub fn hold(terms: Terms, secret: Secret, roll: Roll) -> Self {
        let count = roll.count();
        let tree = roll.close();
        let places = places(&seed(&secret.reveal(), &tree.root(), count, &terms), count);
        Self { terms, secret, tree, places }
    }

    /// The places, from 0, in order of registration: `places()[i]` is that of the `i`-th registration.
    #[must_use]
    pub fn places(&self) -> &[u32] {
        &self.places
    }

    /// The root of the registrations, for the journal.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.tree.root()
    }

    /// What `order` wants to know: the places of all numbers from `first` on, `length` of them. `numbers` are those of the
    /// registrations, in their order. Numbers that did not register come after all who did, in their own order.
    /// [`None`] if the numbers are not as many as were drawn, do not ascend, or leave the range.
    #[must_use]
    pub fn forward(&self, numbers: impl IntoIterator<Item = u64>, first: u64, length: u32) -> Option<Box<[u32]>> {
        let mut drawn = self.places.iter().copied();
        let mut others = u32::try_from(self.places.len()).ok()?..length;
        let mut forward = Vec::with_capacity(usize::try_from(length).ok()?);
        for number in numbers {
            let offset = usize::try_from(number.checked_sub(first)?).ok()?;
            // The checks hold the gap to the range before it is filled.
            if number - first >= u64::from(length) || offset < forward.len() {
                return None;
            }
            forward.extend(others.by_ref().take(offset - forward.len()));
            forward.push(drawn.next()?);
        }
        forward.extend(others);
        (drawn.next().is_none() && forward.len() == usize::try_from(length).ok()?).then(|| forward.into())
    }

    /// The registrations that [`Draw::receipt`] wants for the `index`-th; [`None`] if there is none.
    #[must_use]
    pub fn block(&self, index: usize) -> Option<Range<usize>> {
        self.tree.block(index)
    }

    /// The receipt of the `index`-th registration. `block` are the registrations of [`Draw::block`]; [`None`] if they are not
    /// those that were drawn.
    #[must_use]
    pub fn receipt(&self, index: usize, block: &[Registration]) -> Option<Receipt> {
        let start = self.tree.block(index)?.start;
        let registration = block.get(index.checked_sub(start)?)?;
        let drawn = Drawn {
            index: u32::try_from(index).ok()?,
            count: u32::try_from(self.tree.leaves()).ok()?,
            place: self.places.get(index)?.checked_add(1)?,
            root: self.tree.root(),
            secret: self.secret.reveal(),
            path: self.tree.proof(index, block.iter().map(Registration::leaf).collect())?,
        };
        Some(Receipt { drawn: Some(drawn), ..Receipt::before(&self.terms, registration, commitment(&self.secret)) })
    }

    /// Writes the document of the draw: JSON Lines, the head and then every registration with its place. `registrations` are
    /// those that were drawn, in their order.
    ///
    /// # Errors
    /// Writing fails, or there are not as many registrations as were drawn.
    pub fn write(&self, registrations: impl IntoIterator<Item = Registration>, to: &mut impl Write) -> io::Result<()> {
        document::write(self, registrations, to)
    }
}

/// What the order of a draw follows from.
pub(super) fn seed(secret: &Digest, root: &Digest, count: u32, terms: &Terms) -> Digest {
    let count = u64::from(count).to_be_bytes();
    let generation = terms.generation.to_be_bytes();
    sha256(&[SEED, &secret.0, &root.0, &count, &generation, &[terms.wave], terms.room.as_bytes()].concat())
}
