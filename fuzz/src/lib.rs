//! What is fuzzed: a function for each parser of ours, which takes any bytes and asserts what must hold of the outcome.
//!
//! `cargo +nightly fuzz run TARGET` (in the repository's root) looks for bytes that break one; `make test` sends the corpus and changes
//! of it through the same functions (`tests/corpus.rs`, `loadtest/tests/corpus.rs`).

pub mod gateway;
pub mod scenario;
