//! The corpus of the fuzz targets, and changes of it, through the same functions (`fuzz/src`).
//!
//! A fuzzer runs for hours and needs a nightly compiler; this takes a second for each target and finds what comes back.

#![expect(clippy::unwrap_used, reason = "a test may panic, and its steps are functions")]
#![expect(clippy::disallowed_methods, reason = "a test that lasts for a second needs a clock")]

#[path = "../fuzz/src/gateway.rs"]
#[expect(
    clippy::pedantic,
    unreachable_pub,
    reason = "written for the fuzzer's crate: what it asserts is what it is for"
)]
mod gateway;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// A fuzz target: its name, which is its corpus's, and what it does.
type Target = (&'static str, fn(&[u8]));
const TARGETS: [Target; 10] = [
    ("proxy_line", gateway::proxy_line),
    ("sniff", gateway::sniff),
    ("ticket", gateway::ticket),
    ("pass", gateway::pass),
    ("config", gateway::config),
    ("path", gateway::path),
    ("target", gateway::target),
    ("headers", gateway::headers),
    ("forwarded", gateway::forwarded),
    ("carried", gateway::carried),
];

/// For each target.
const TIME: Duration = Duration::from_secs(1);
/// Changes before the clock is looked at.
const ROUND: usize = 64;

#[path = "../fuzz/src/changes.rs"]
mod changes;

#[test]
fn nothing_in_the_corpus_or_near_it_breaks_a_parser() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (name, target) in TARGETS {
        let corpus = changes::corpus(&root.join("fuzz/corpus").join(name));
        let mut rng = fastrand::Rng::with_seed(1);
        let (began, mut tried) = (Instant::now(), corpus.len());
        for data in &corpus {
            changes::check(name, target, data);
        }
        while began.elapsed() < TIME {
            for _ in 0..ROUND {
                changes::check(name, target, &changes::changed(&mut rng, &corpus));
            }
            tried += ROUND;
        }
        println!("{name}: {} seeds, {tried} tried", corpus.len());
    }
}

#[test]
fn what_is_good_in_the_corpus_is_good() {
    let seed = |name| fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name)).unwrap();
    let keys = weir::waiting_room::ticket::Keyring::new(&weir::config::plan::Secret(gateway::KEY), &[]);
    assert!(keys.verify(&seed("ticket/good")).is_some() && keys.verify(&seed("ticket/forged")).is_none());
    let passes = gateway::passes().unwrap();
    assert!(passes.verify(&seed("pass/good"), gateway::NOW).is_some());
    assert!(passes.verify(&seed("pass/expired"), gateway::NOW).is_none());
}

#[test]
fn every_target_is_built_and_has_a_corpus() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("fuzz/Cargo.toml")).unwrap();
    let mut names: Vec<_> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    names.push("scenario".to_owned());
    names.sort();
    let mut folders: Vec<_> = fs::read_dir(root.join("fuzz/corpus"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort();
    assert_eq!(folders, names);
    for name in names {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is no target");
        assert!(root.join(format!("fuzz/fuzz_targets/{name}.rs")).exists(), "{name} has no program");
    }
}
