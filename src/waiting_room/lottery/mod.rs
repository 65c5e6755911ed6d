//! The draw of a lobby that anyone can recompute.
//!
//! **Before the lobby opens** a [`Secret`] of 32 random bytes is made and kept (journalled), and its [`commitment`] is published: on
//! the page, in the answer to every question about a place, in every receipt. **Whoever registers** can fetch a [`Receipt`]: his
//! number, when it was issued, the tag of his ticket, and the commitment. **At the opening** the registrations are closed ([`Roll`]),
//! and the order follows from the secret and all of them ([`Draw`]). **After it** everybody's receipt also has his place, the
//! secret, the root of the registrations and the path from his own to it, and the operator publishes the document
//! (`Draw::write`), which `weir draw verify` recomputes.
//!
//! # What is computed
//!
//! Integers are unsigned and big-endian; `‖` joins bytes; a label ends in a zero byte. SHA-256 throughout (FIPS 180-4).
//!
//! ```text
//! commitment   SHA-256("weir draw commitment 1\0" ‖ secret)
//! tag          first 8 bytes of SHA-256("weir draw ticket 1\0" ‖ the ticket as its holder has it, 52 characters)
//! leaf         SHA-256(00 ‖ "weir draw registration 1\0" ‖ number, 8 ‖ issued in ms since 1970, 8 ‖ tag)
//! node         SHA-256(01 ‖ left ‖ right)
//! root         the Merkle tree of RFC 9162 §2.1.1 over the leaves, in ascending order of number
//! seed         SHA-256("weir draw seed 1\0" ‖ secret ‖ root ‖ count, 8 ‖ generation, 4 ‖ wave, 1 ‖ name of the room)
//! words        SHA-256("weir draw words 1\0" ‖ seed ‖ i, 8) for i = 0, 1, 2, …: eight words of 4 bytes each, one after the other
//! below(n)     the next word that is less than 2³² − (2³² mod n), modulo n; words that are not are thrown away
//! places       0 … count−1 in a list; for high = count−1 down to 1: swap [high] and [below(high + 1)]
//!              (Durstenfeld's Fisher–Yates: Knuth, The Art of Computer Programming, vol. 2, §3.4.2, algorithm P).
//!              The i-th registration, by number, gets the i-th of the list; people are told it plus one.
//! ```
//!
//! A tag says nothing of the ticket's own signature, so a published one is no help in forging a ticket.
//! The instant of the opening is not part of the seed: it can be moved, and whoever knows the secret could try instants.
//!
//! # What it proves, and what not
//!
//! Nobody outside can know or steer the order, as nobody knows the secret. The operator cannot choose the secret after he has seen
//! the registrations, nor leave out, change or add one, nor change a place, without contradicting the commitment, or the root in
//! the receipts.
//!
//! It does not prove that every registration is a person, nor that the operator, who knows the secret, added none at the last
//! instant before the opening: he could compute what the order would then be, and choose. The same holds if he throws a room's
//! state away before he publishes, so that a new generation draws anew. Both need other means (who holds the secret; a secret of
//! several parties). A receipt is not signed: it shows its holder what has changed, and the operator, who can verify the ticket,
//! that it is true.
//!
//! **Invariants**: the same secret, terms and registrations give the same draw on every machine and after every restart; each
//! of the `count!` orders is equally likely for a random seed.
//! **Cost**: for 1,432,133 people a second or so on one core: for a thread of its own, not for a worker. Kept after it: 4 bytes a
//! person for the places, 1/4 byte for the tree. A receipt is at most 511 hashes (~0.1 ms).
//! **Not here**: when a lobby opens and closes (`wave`), who is registered and where that is kept (`order`, `journal`).

pub mod command;
mod digest;
mod document;
mod draw;
mod merkle;
mod receipt;
mod registration;
mod shuffle;
#[cfg(test)]
mod tests;
pub mod verify;

pub use digest::{Digest, Hex, Secret, commitment};
pub use document::registrations;
pub use draw::{Draw, Terms};
pub use merkle::Proof;
pub use receipt::{Drawn, Receipt, ReceiptError};
pub use registration::{Registration, Roll, RollError, Tag};
