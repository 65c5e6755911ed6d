//! Clients that other people wrote.

use std::ffi::OsStr;
use std::io::Write as _;
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

/// promtool finds nothing to say of `text`, the answer of `/metrics`.
pub(crate) fn promtool_has_nothing_to_say(text: &str) {
    let mut promtool = command("promtool", "prometheus")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}\n{text}", String::from_utf8_lossy(&said));
}
