//! A whole run through weir on this machine: judged, under TLS with a bad network and a gateway that is killed and reloaded, and one that dies.
#![expect(clippy::expect_used, reason = "a helper of a test that cannot go on says where")]

mod built;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use loadtest::ledger::{Folder, Kind, Reader, Served, Told};
use rustix::process::{Pid, Signal, kill_process};

use crate::built::weir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_loadtest");

/// Sixty people a second for five seconds, twice what can be served; half of them have an app and leave after one to four seconds.
const SCENARIO: &str = r#"
version = 1
shows = "more people than can be served, in five seconds"
duration = "5s"
drain = "5s"
measured_from = "4s"

[gateway]
config = "gateway.toml"

[[service]]
name = "registration"
capacity = "30/s"

[[stage]]
name = "register"
path = "/register"
service = "registration"

[[arrivals]]
curve = [["0s", "60/s"], ["5s", "60/s"]]

[[persona]]
like = "carrier_phone"
share = "50 %"
patience = ["1s", "4s"]

[[persona]]
like = "double_clicker"
share = "50 %"
"#;

/// As an operator would write it, but for the words in braces.
const GATEWAY: &str = r#"
[[listener]]
address = "{listener}"

[admin]
address = "{admin}"

[[waiting_room]]
name = "opening"
key = "file:{state}/room.key"
state = "{state}/opening.room"
identity = "header:idempotency-key"

[[upstream]]
name = "registration"
servers = {service:registration}
idempotent = true

[[route]]
path = "/register"
methods = ["POST"]
upstream = "registration"
waiting_room = "opening"

[log]
access = "file:{access}"
"#;

/// What befalls a run under TLS.
const FAULTS: &str = r#"
[[fault]]
kind = "network.delay"
at = "1s"
lasts = "2s"
by = "30ms"

[[fault]]
kind = "gateway.reload"
at = "2s"

[[fault]]
kind = "gateway.kill"
at = "3s"
lasts = "500ms"
"#;

fn scene(scenario: &str, gateway: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("day.toml"), scenario).expect("written");
    std::fs::write(folder.path().join("gateway.toml"), gateway).expect("written");
    folder
}

fn command(scene: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    // A busy machine takes its time to start.
    command.args(["run", "day.toml", "--out", "run", "--lead", "10s", "--weir"]).arg(weir()).current_dir(scene);
    command.stdin(Stdio::null());
    command
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The run passed, or says nothing because the machine is busy.
fn assert_played(scene: &Path) -> Folder {
    let output = command(scene).output().expect("started");
    assert!(matches!(output.status.code(), Some(0 | 3)), "{}", said(&output));
    let folder = Folder::new(scene.join("run"));
    assert!(folder.report("junit.xml").is_file(), "{}", said(&output));
    folder
}

#[test]
fn a_run_through_weir_passes_also_with_people_who_leave_the_line() {
    let scene = scene(SCENARIO, GATEWAY);
    let folder = assert_played(scene.path());
    let told = Reader::<Told>::open(&folder.told(0)).expect("a ledger").map(|told| told.expect("a record"));
    let told: Vec<Told> = told.collect();
    assert!(told.iter().any(|told| told.kind == Kind::Leave && told.status == 204), "{}", told.len());
    let served = Reader::<Served>::open(&folder.served()).expect("a ledger").count();
    assert!(served > 0 && folder.access().is_file() && folder.said().is_file(), "{served}");
    let judged = Command::new(PROGRAM).arg("check").arg(folder.path()).output().expect("started");
    assert!(matches!(judged.status.code(), Some(0 | 3)), "{}", said(&judged));
}

#[test]
fn under_tls_a_bad_network_a_reload_and_a_kill_break_nothing() {
    let tls = "tls = { certificate = \"{state}/cert.pem\", key = \"{state}/key.pem\" }";
    let gateway = GATEWAY.replace("address = \"{listener}\"", &format!("address = \"{{tls_listener}}\"\n{tls}"));
    let scenario = SCENARIO.replace("config = \"gateway.toml\"", "config = \"gateway.toml\"\ntls = true");
    let scene = scene(&format!("{scenario}{FAULTS}"), &gateway);
    let folder = assert_played(scene.path());
    let served = Reader::<Served>::open(&folder.served()).expect("a ledger").count();
    assert!(served > 0, "somebody came through");
}

/// weir's process in `scene`, once it has been asked something.
fn running(scene: &Path) -> Pid {
    let folder = Folder::new(scene.join("run"));
    let serves = || std::fs::read_to_string(folder.said()).is_ok_and(|said| said.lines().count() > 5);
    for _ in 0..3_000 {
        if serves() {
            break;
        }
        thread::park_timeout(Duration::from_millis(20));
    }
    let configuration = scene.file_name().expect("a name").to_string_lossy().into_owned();
    let processes = std::fs::read_dir("/proc").expect("processes").flatten();
    let pids = processes.filter_map(|process| {
        let line = String::from_utf8_lossy(&std::fs::read(process.path().join("cmdline")).ok()?).replace('\0', " ");
        let is_weir = line.contains(&configuration) && line.split(' ').next()?.ends_with("/weir");
        is_weir.then_some(process.file_name().to_str()?.parse().ok()?)
    });
    let pid = pids.into_iter().next().expect("weir runs");
    Pid::from_raw(pid).expect("a pid")
}

#[test]
fn a_gateway_that_dies_is_the_worst_verdict_and_continuous_integration_hears_of_it() {
    let scene = scene(SCENARIO, GATEWAY);
    let run = command(scene.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    kill_process(running(scene.path()), Signal::KILL).expect("sent");
    let output = run.wait_with_output().expect("ended");
    let text = said(&output);
    assert!(output.status.code() == Some(2) && text.contains("ended by itself"), "{text}");
    let suite = std::fs::read_to_string(scene.path().join("run/junit.xml")).expect("a suite");
    assert!(suite.contains("<failure") && suite.contains("ended by itself"), "{suite}");
    let run = scene.path().join("run");
    for command in [&["check"][..], &["report"], &["compare", "run"]] {
        let later = Command::new(PROGRAM).args(command).arg(&run).current_dir(scene.path()).output().expect("started");
        assert!(later.status.code() == Some(2) && said(&later).contains("ended by itself"), "{}", said(&later));
    }
    assert!(!run.join("report.json").exists(), "nothing is said of torn ledgers");
}
