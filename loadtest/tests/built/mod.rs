//! The real weir, for tests that put it in front of something.

use std::path::{Path, PathBuf};
use std::process::Command;

/// weir beside this package's program; it is built if need be, with the profile of this test.
pub(crate) fn weir() -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_loadtest")).parent().expect("a folder");
    let profile = folder.ends_with("release").then_some("--release");
    let build = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--package", "weir", "--bin", "weir"])
        .args(profile)
        .status();
    assert!(build.expect("cargo").success());
    folder.join("weir")
}
