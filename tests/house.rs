//! The house rules that a compiler does not check: who may use whom, and how long a file may grow.

#![expect(clippy::unwrap_used, clippy::string_slice, reason = "a test that cannot read the sources has failed")]

use std::fs;
use std::path::{Path, PathBuf};

/// Modules by rank: each uses only what stands before it. A new module needs a place here.
const RANKS: [&[&str]; 7] = [
    &["clock", "sabotage"],
    &["config"],
    &["telemetry"],
    &["admission", "upstream", "waiting_room"],
    &["proxy"],
    &["admin", "listener"],
    &["runtime"],
];

/// A longer file wants to be two.
const LINES_MAX: usize = 400;

/// Rust files under `directory`.
fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rank(module: &str) -> usize {
    RANKS
        .iter()
        .position(|modules| modules.contains(&module))
        .unwrap_or_else(|| panic!("module `{module}` has no rank: give it one in tests/house.rs"))
}

/// The module of the library that `path` belongs to; `None` for `lib.rs`, `main.rs` and the binary's own files.
fn module(path: &Path) -> Option<String> {
    let inside = path.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    match first {
        "lib.rs" | "main.rs" | "cli.rs" => None,
        _ => Some(first.trim_end_matches(".rs").to_owned()),
    }
}

/// The modules that `text` names by `crate::`, also inside braces.
fn used(text: &str) -> Vec<String> {
    let mut modules = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let names: Vec<_> = match rest.strip_prefix('{') {
            Some(group) => group.split('}').next().unwrap().split(',').collect(),
            None => vec![rest],
        };
        for name in names {
            let name: String = name.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if name.starts_with(|c: char| c.is_ascii_lowercase()) {
                modules.push(name);
            }
        }
    }
    modules
}

#[test]
fn a_module_uses_only_what_ranks_below_it() {
    let mut upward = Vec::new();
    for path in sources(&root().join("src")) {
        let Some(own) = module(&path) else { continue };
        let text = fs::read_to_string(&path).unwrap();
        for other in used(&text) {
            if other != own && rank(&other) >= rank(&own) {
                upward.push(format!("{}: `{own}` uses `{other}`", path.display()));
            }
        }
    }
    assert!(upward.is_empty(), "against the ranks:\n{}", upward.join("\n"));
}

#[test]
fn every_module_of_the_library_has_a_rank() {
    let library = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let declared: Vec<_> = library
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ").or_else(|| line.strip_prefix("mod ")))
        .map(|name| name.trim_end_matches(';'))
        .collect();
    assert!(declared.len() >= RANKS.iter().flat_map(|modules| modules.iter()).count());
    for name in declared {
        rank(name);
    }
}

/// What people, services and the oracle find out about the gateway they find out from outside.
#[test]
fn the_harness_does_not_look_inside() {
    let harness = root().join("loadtest/src");
    let inside: Vec<_> = sources(&harness)
        .into_iter()
        .filter(|path| !path.starts_with(harness.join("scenario")) && !path.starts_with(harness.join("sim")))
        .filter(|path| {
            fs::read_to_string(path).unwrap().lines().any(|line| !line.contains("//") && line.contains("weir::"))
        })
        .collect();
    assert!(inside.is_empty(), "these link weir: {inside:?}");
}

#[test]
fn every_sabotage_is_tried() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    for fault in weir::sabotage::Fault::ALL {
        assert!(
            makefile.contains(&format!("{}:I", fault.as_str()))
                || makefile.contains(&format!("{}:eta", fault.as_str())),
            "`make sabotage` does not try {}",
            fault.as_str()
        );
    }
    // Tests are of the honest gateway.
    assert!(weir::sabotage::Fault::ALL.into_iter().all(|fault| !weir::sabotage::is(fault)));
}

#[test]
fn files_stay_readable() {
    let long: Vec<_> = [root().join("src"), root().join("loadtest/src")]
        .iter()
        .flat_map(|directory| sources(directory))
        .filter(|path| !path.components().any(|part| part.as_os_str() == "tests"))
        .filter_map(|path| {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            (lines > LINES_MAX).then(|| format!("{}: {lines} lines", path.display()))
        })
        .collect();
    assert!(long.is_empty(), "longer than {LINES_MAX} lines:\n{}", long.join("\n"));
}

#[test]
fn uses_are_found_in_every_form() {
    let text = "use crate::clock::Tick; let x = crate::config::plan(); use crate::{admission::gate, proxy::Worker};";
    assert_eq!(used(text), ["clock", "config", "admission", "proxy"]);
}
