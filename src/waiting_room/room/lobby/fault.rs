//! Why a draw is not held, or not published.

use std::path::PathBuf;

use crate::waiting_room::journal::AppendError;
use crate::waiting_room::lottery::{Digest, RollError};
use crate::waiting_room::order::DrawError;

/// Why a draw is not held, or not published. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum DrawFault {
    /// The journal has no secret for it.
    #[error("wave {0} has no secret to draw by")]
    NoSecret(u8),
    /// The registrations are not those that were drawn.
    #[error(
        "the draw of wave {wave} was held with registrations of root {recorded}, and the journal has those of {computed}: \
         put back the journal that belongs to it"
    )]
    Differs {
        /// The wave.
        wave: u8,
        /// As it was drawn.
        recorded: Digest,
        /// As it would be.
        computed: Digest,
    },
    /// The roll cannot be drawn.
    #[error(transparent)]
    Roll(#[from] RollError),
    /// The order does not take it.
    #[error("the draw is not taken: {0}")]
    Order(#[from] DrawError),
    /// It is not in the journal.
    #[error(transparent)]
    Journal(#[from] AppendError),
    /// The journal does not answer.
    #[error("the journal does not answer")]
    Silent,
    /// Its document cannot be written.
    #[error("{}: {source}", path.display())]
    Document {
        /// The document.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
}
