//! Clients that other people wrote.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};

/// Runs `tool` of Debian's `package` and answers what it printed.
pub(crate) fn run(tool: &str, package: &str, arguments: &[impl AsRef<OsStr>]) -> Output {
    command(tool, package).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// `tool`, if it is there.
pub(crate) fn command(tool: &str, package: &str) -> Command {
    let there = Command::new("which").arg(tool).output().is_ok_and(|found| found.status.success());
    assert!(there, "{tool} is missing: apt-get install {package}");
    Command::new(tool)
}

/// Runs curl, which must succeed, and answers what it printed.
pub(crate) fn curl(arguments: &[impl AsRef<OsStr>]) -> String {
    let output = run(
        "curl",
        "curl",
        &[
            &[OsStr::new("-sS"), OsStr::new("--max-time"), OsStr::new("60")],
            &arguments.iter().map(AsRef::as_ref).collect::<Vec<_>>()[..],
        ]
        .concat(),
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "curl: {}\n{text}", String::from_utf8_lossy(&output.stderr));
    text
}
