//! Changes of a corpus, for tests that have a second and no fuzzer.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use fastrand::Rng;

/// The files of a corpus, in order.
pub(crate) fn corpus(directory: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", directory.display());
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Runs `target` on `data`, which is shown if it breaks.
pub(crate) fn check(name: &str, target: fn(&[u8]), data: &[u8]) {
    if let Err(broken) = catch_unwind(AssertUnwindSafe(|| target(data))) {
        eprintln!("{name} breaks on {} bytes: \"{}\"", data.len(), data.escape_ascii());
        resume_unwind(broken);
    }
}

/// One of `corpus` with bytes changed, left out, doubled, or followed by a part of another.
pub(crate) fn changed(rng: &mut Rng, corpus: &[Vec<u8>]) -> Vec<u8> {
    const ODD: &[u8] = b"\0\t\n\r ,:;=/%?#&.@[]{}\"'\\_-+09afAFxX\x7f\x80\xc3\xa9\xff";
    let mut data = corpus[rng.usize(..corpus.len())].clone();
    for _ in 0..rng.usize(1..=4) {
        let at = rng.usize(..=data.len());
        let end = (at + rng.usize(..16)).min(data.len());
        match rng.u8(..6) {
            0 => data.insert(at, ODD[rng.usize(..ODD.len())]),
            1 => drop(data.drain(at..end)),
            2 => {
                let twice = data[at..end].repeat(2);
                data.splice(at..end, twice);
            }
            3 if at < data.len() => data[at] = ODD[rng.usize(..ODD.len())],
            4 if at < data.len() => data[at] ^= 1 << rng.u8(..8),
            _ => {
                let other = &corpus[rng.usize(..corpus.len())];
                let from = rng.usize(..=other.len());
                data.truncate(at);
                data.extend_from_slice(&other[from..]);
            }
        }
    }
    data
}
