//! The binary: exit codes, what is printed where, and that nothing is bound before the file is right.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::LEAST;

fn weir(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_weir")).args(arguments).current_dir(directory).output().expect("runs")
}

fn directory(text: &str) -> TempDir {
    let directory = TempDir::new().expect("a directory");
    fs::write(directory.path().join("config.toml"), text).expect("written");
    directory
}

#[test]
fn a_bad_file_ends_with_78_before_any_port_is_bound() {
    // The port is taken: whoever tried to bind it first would end with another code.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let text = LEAST.replace("127.0.0.1:8080", &address) + "[clients]\nbody_timeout = 5\n";
    let directory = directory(&text);
    for arguments in [&[][..], &["--config", "config.toml"], &["check"], &["check", "config.toml"]] {
        let output = weir(directory.path(), arguments);
        let errors = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(78), "{arguments:?}: {errors}");
        assert!(errors.contains("config.toml:10:16") && errors.contains('^'), "{errors}");
        assert!(errors.contains("did you mean \"5s\"?"), "{errors}");
        assert!(!errors.contains('\u{1b}'), "no colour unless a terminal: {errors}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_file_that_is_not_there_or_no_text() {
    let directory = directory(LEAST);
    let output = weir(directory.path(), &["--config", "missing.toml"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot read missing.toml: No such file"));
    fs::write(directory.path().join("latin.toml"), b"[log]\n# caf\xe9\n").expect("written");
    let output = weir(directory.path(), &["check", "latin.toml"]);
    assert_eq!(output.status.code(), Some(78));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("not UTF-8") && errors.contains("latin.toml:2:6"), "{errors}");
    fs::write(directory.path().join("large.toml"), vec![b'#'; weir::config::MAX_FILE + 1]).expect("written");
    assert_eq!(weir(directory.path(), &["check", "large.toml"]).status.code(), Some(78));
}

#[test]
fn check_of_a_good_file_binds_nothing_and_ends_with_0() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let directory = directory(&LEAST.replace("127.0.0.1:8080", &address));
    let output = weir(directory.path(), &["check"]);
    let said = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.lines().last().is_some_and(|line| line.starts_with("config.toml: ok, ")), "{said}");
    let warnings = said.lines().filter(|line| line.starts_with("warning: ")).count();
    assert!(said.contains(&format!("ok, {warnings} warning")), "{said}");
}

#[test]
fn check_says_that_a_key_would_be_made_and_makes_none() {
    let passes = "grants_pass = true\n[pass]\nkey = \"file:pass.key\"\n";
    let directory = directory(&(LEAST.to_owned() + passes));
    let output = weir(directory.path(), &["check"]);
    let said = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("warning: the key of [pass] is not there and is created at the start: pass.key"), "{said}");
    assert!(!directory.path().join("pass.key").exists());
}

#[test]
fn a_bare_name_is_a_file_beside_the_configuration() {
    let directory = directory(&(LEAST.to_owned() + "[log]\naccess = \"file:a.log\"\n"));
    let output = weir(directory.path(), &["check", "config.toml"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!directory.path().join("a.log").exists());
}

#[test]
fn help_and_wrong_usage() {
    let directory = directory(LEAST);
    let help = weir(directory.path(), &["--help"]);
    let text = String::from_utf8(help.stdout).expect("text");
    assert_eq!(help.status.code(), Some(0));
    assert!(text.contains("Examples:") && text.contains("78  the configuration is wrong"), "{text}");
    assert_eq!(weir(directory.path(), &["--version"]).status.code(), Some(0));
    assert_eq!(weir(directory.path(), &["--confg", "x"]).status.code(), Some(2));
}
