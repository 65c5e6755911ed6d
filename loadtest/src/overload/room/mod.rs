//! A waiting room as its crowd meets it: places, what is told of them, and whether it came true.
//!
//! **Invariants**: who was called when is read from the gateway's `serving`, and held against what the crowd itself was told: neither is
//! believed alone ([`figures`]).
//! **Not here**: the gateway's configuration ([`super::gateway`]).

pub mod figure;
pub mod figures;
pub mod person;
pub mod told;
pub mod watch;

pub use self::figure::RoomFigure;
pub use self::told::{Asked, Range, Stand, Told};
pub use self::watch::Serving;
