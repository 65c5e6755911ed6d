//! Other gateways for real: nginx and `HAProxy` as they are installed, in front of the same services. `make tools` installs both.
#![expect(clippy::expect_used, reason = "a helper of a test that cannot go on says where")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

const PROGRAM: &str = env!("CARGO_BIN_EXE_loadtest");

/// Twice as many people as can be served, for five seconds.
const SCENARIO: &str = r#"
version = 1
shows = "twice as many as can be served"
duration = "5s"
drain = "10s"

[gateway]
config = "gateway.toml"

[[service]]
name = "registration"
capacity = "50/s"

[[stage]]
name = "register"
path = "/register"
service = "registration"

[[arrivals]]
curve = [["0s", "100/s"], ["5s", "100/s"]]

[[persona]]
like = "patient"
patience = "10s"
"#;

fn peers(scene: &Path, more: &[&str]) -> Output {
    std::fs::write(scene.join("day.toml"), SCENARIO).expect("written");
    let gateway = "[[listener]]\naddress = \"{listener}\"\n[admin]\naddress = \"{admin}\"\n";
    std::fs::write(scene.join("gateway.toml"), gateway).expect("written");
    // A busy machine takes its time to start.
    let arguments = ["peers", "day.toml", "--out", "runs", "--lead", "10s"];
    let mut command = Command::new(PROGRAM);
    command.args(arguments).args(more).current_dir(scene).stdin(Stdio::null()).output().expect("started")
}

#[test]
fn nginx_and_haproxy_register_people_and_nobody_is_left() {
    let scene = tempfile::tempdir().expect("a folder");
    let output = peers(scene.path(), &["--peers", "nginx,haproxy,envoy,none"]);
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let json = std::fs::read(scene.path().join("runs/peers.json")).unwrap_or_else(|_| panic!("{text}"));
    let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
    let entries = json["entries"].as_array().expect("entries");
    let names: Vec<_> = entries.iter().filter_map(|entry| entry["name"].as_str()).collect();
    for name in ["nginx (expert)", "nginx (plausible)", "haproxy (expert)", "haproxy (plausible)", "none"] {
        assert!(names.contains(&name), "{name} is not there: install nginx-light and haproxy (make tools)\n{text}");
    }
    for entry in entries {
        let value = |name: &str| entry["lines"][0]["values"][name].as_f64();
        // Some hundred can be served by who knows the knee, a few in the collapse; a busy machine serves some of them.
        let least = if entry["name"].as_str().is_some_and(|name| name.ends_with("(expert)")) { 50.0 } else { 1.0 };
        assert!(value("people_registered").is_some_and(|people| people >= least), "{entry} {text}");
        if entry["name"] != "none" {
            assert!(value("gateway_memory").is_some_and(|bytes| bytes > 1e6), "{entry} {text}");
            assert!(value("gateway_cpu").is_some_and(|seconds| seconds > 0.0), "{entry} {text}");
        }
    }
    let name = scene.path().file_name().expect("a name").to_string_lossy().into_owned();
    let processes = std::fs::read_dir("/proc").expect("processes").flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    assert!(!lines.into_iter().any(|line| String::from_utf8_lossy(&line).contains(&name)), "somebody is left");
}

#[test]
fn what_not_everybody_speaks_is_refused() {
    let scene = tempfile::tempdir().expect("a folder");
    let output = peers(scene.path(), &["--peers", "apache"]);
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there are weir, nginx, haproxy, envoy and none"));
}
