//! What one person holds of a draw.
//!
//! **Invariants**: a receipt from before the draw and one from after it agree in everything that both say.
//! **Bound**: about 250 bytes before the draw. After it about 1,300 among two million people, of which the path, the proof that one
//! is among them, is 896.
//! **Not here**: comparing it with a draw (`verify`).

use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::draw::Terms;
use super::merkle::Proof;
use super::registration::{Registration, Tag};

/// Version of receipts and of the document.
pub(super) const VERSION: u8 = 1;

/// Longest receipt that is read, in bytes: one of 2³² people with a long name of its room, and some white space.
pub(super) const RECEIPT_MAX: usize = 4096;

/// A person's receipt, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    #[serde(rename = "weir_receipt")]
    pub(super) version: u8,
    /// Name of the room.
    pub room: String,
    /// Generation of its state.
    pub generation: u32,
    /// Wave whose lobby it is.
    pub wave: u8,
    /// The number that was given.
    pub number: u64,
    /// When, in milliseconds since 1970.
    pub issued: u64,
    /// Of the ticket.
    pub tag: Tag,
    /// To the secret.
    pub commitment: Digest,
    /// What there is to say after the draw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drawn: Option<Drawn>,
}

/// What a receipt says after the draw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drawn {
    /// The registration's place among all by number, from 0.
    pub index: u32,
    /// How many were drawn.
    pub count: u32,
    /// The place that was drawn, from 1.
    pub place: u32,
    /// Of all registrations.
    pub root: Digest,
    /// What was committed to.
    pub secret: Digest,
    /// From the registration to the root.
    pub path: Proof,
}

/// Why a receipt cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// It is not a receipt as weir writes it.
    #[error("not a receipt: {0}")]
    Malformed(#[from] serde_json::Error),
    /// It is of another version of weir.
    #[error("a receipt of version {0}, and this reads version {VERSION}")]
    Version(u8),
}

impl Receipt {
    /// The receipt of `registration` before the lobby of `terms` is drawn.
    #[must_use]
    pub fn before(terms: &Terms, registration: &Registration, commitment: Digest) -> Self {
        Self {
            version: VERSION,
            room: terms.room.clone(),
            generation: terms.generation,
            wave: terms.wave,
            number: registration.number,
            issued: registration.issued,
            tag: registration.tag,
            commitment,
            drawn: None,
        }
    }

    /// The receipt that `text` is.
    ///
    /// # Errors
    /// It is none, or of another version.
    pub fn parse(text: &str) -> Result<Self, ReceiptError> {
        let receipt: Self = serde_json::from_str(text)?;
        if receipt.version == VERSION { Ok(receipt) } else { Err(ReceiptError::Version(receipt.version)) }
    }

    /// The registration that it is for.
    #[must_use]
    pub fn registration(&self) -> Registration {
        Registration { number: self.number, issued: self.issued, tag: self.tag }
    }
}
