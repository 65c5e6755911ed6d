//! A whole run on this machine: services, people, and every way in which it can end.
#![expect(clippy::expect_used, reason = "a helper of a test that cannot go on says where")]

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use loadtest::ledger::{Effect, Folder, Reader, Resources, Served, Told, Word};
use rustix::process::{Pid, Signal, kill_process};

const PROGRAM: &str = env!("CARGO_BIN_EXE_loadtest");

/// 60 people in three seconds, some of whom click twice.
const SCENARIO: &str = r#"
version = 1
shows = "a minute's worth of people, in three seconds"
duration = "3s"
drain = "20s"

[gateway]
config = "gateway.toml"

[[service]]
name = "registration"
capacity = "200/s"

[[stage]]
name = "register"
path = "/register"
service = "registration"

[[stage]]
name = "photo"
path = "/photo"
body = "100KiB"
service = "registration"

[[arrivals]]
curve = [["0s", "20/s"], ["3s", "20/s"]]

[[persona]]
like = "patient"
share = "70 %"
think = "100ms"

[[persona]]
like = "double_clicker"
share = "30 %"
think = "100ms"
"#;

/// A folder with the scenario.
fn scene() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("day.toml"), SCENARIO).expect("written");
    std::fs::write(
        folder.path().join("gateway.toml"),
        "[[listener]]\naddress = \"{listener}\"\n[admin]\naddress = \"{admin}\"\n",
    )
    .expect("written");
    folder
}

fn command(scene: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    // A busy machine takes its time to start.
    command.args(["run", "day.toml", "--out", "run", "--lead", "10s"]).args(more).current_dir(scene);
    command.stdin(Stdio::null());
    command
}

fn run(scene: &Path, more: &[&str]) -> Output {
    command(scene, more).output().expect("started")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Processes whose arguments name `folder`.
fn left(folder: &Path) -> Vec<String> {
    let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
    let processes = std::fs::read_dir("/proc").expect("processes").flatten();
    let lines = processes.filter_map(|process| {
        let line = std::fs::read(process.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&line).replace('\0', " "))
    });
    lines.filter(|line| line.contains(&name)).collect()
}

#[test]
fn a_run_without_a_gateway_leaves_ledgers_that_agree() {
    let scene = scene();
    let output = run(scene.path(), &["--without-gateway", "--workers", "2", "--seed", "7"]);
    let text = said(&output);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{text}");
    let folder = Folder::new(scene.path().join("run"));
    let told: Vec<Told> = (0..2)
        .flat_map(|worker| Reader::open(&folder.told(worker)).expect("a ledger"))
        .map(|told| told.expect("a record"))
        .collect();
    let served: Vec<Served> =
        Reader::open(&folder.served()).expect("a ledger").map(|served| served.expect("a record")).collect();
    let done = told.iter().filter(|told| told.word == Word::Done).count();
    assert!(done >= 80 && told.len() >= done, "{text}");
    // Everybody who was told so, was registered: by the request of that number.
    for told in told.iter().filter(|told| told.word == Word::Done) {
        let of = |served: &&Served| served.id == Some(told.id) && served.stage == told.stage;
        assert!(served.iter().find(of).is_some_and(|served| served.effect != Effect::Nothing), "{told:?}");
    }
    let resources = std::fs::read_to_string(folder.resources()).expect("written");
    let resources: Vec<Resources> = resources.lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
    for process in ["services", "people-0", "people-1"] {
        assert!(resources.iter().any(|used| used.process == process && used.memory > 0), "{process}");
    }
    assert_eq!(left(scene.path()), [""; 0], "nobody is left");
    handed_on(&folder);
    let again = run(scene.path(), &["--without-gateway"]);
    assert_eq!(again.status.code(), Some(3));
    assert!(said(&again).contains("has a run already"), "{}", said(&again));
}

/// Every form of the report is there and says the same.
fn handed_on(folder: &Folder) {
    let text = |name: &str| std::fs::read_to_string(folder.report(name)).expect("written");
    let json: serde_json::Value = serde_json::from_str(&text("report.json")).expect("JSON");
    let (page, suite) = (text("report.html"), text("junit.xml"));
    let verdict = if json["judgement"]["verdict"] == "invalid" { "INVALID" } else { "PASS" };
    assert!(page.contains(&format!("<b>{verdict}</b>")), "{verdict}");
    assert_eq!(suite.contains("<error "), verdict == "INVALID", "{suite}");
    for id in (1..=11).map(|number| format!("I{number} ")) {
        assert!(page.contains(&id) && suite.contains(&id) && text("report.csv").contains(&id), "{id}");
    }
    let seconds = json["series"]["seconds"].as_array().expect("seconds").len();
    assert!(seconds >= 3 && text("seconds.csv").lines().count() == seconds + 1, "{seconds}");
    let came: u64 =
        json["series"]["seconds"].as_array().expect("seconds").iter().filter_map(|it| it["arrived"].as_u64()).sum();
    let planned = json["fingerprint"]["people"].as_u64().expect("a number");
    let absent = json["judgement"]["doubts"].to_string().contains("never did");
    assert!(came <= planned && (came < planned) == absent, "{came} of {planned}: {}", json["judgement"]["doubts"]);
    let first = text("report.json");
    let again = Command::new(PROGRAM).arg("report").arg(folder.path()).output().expect("started");
    assert!(matches!(again.status.code(), Some(0 | 3)), "{}", said(&again));
    assert_eq!(text("report.json"), first, "the same folder is judged the same");
    let compared = Command::new(PROGRAM).arg("compare").args([folder.path(), folder.path()]).output().expect("started");
    assert!(said(&compared).contains("goodput"), "{}", said(&compared));
}

#[test]
fn a_gateway_that_does_not_start_is_quoted_and_nobody_is_left() {
    let scene = scene();
    let output = run(scene.path(), &["--weir", "/bin/false"]);
    let text = said(&output);
    assert!(output.status.code() == Some(3) && text.contains("weir ended at once"), "{text}");
    assert_eq!(left(scene.path()), [""; 0]);
}

#[test]
fn an_interrupted_or_killed_run_leaves_nobody() {
    for signal in [Signal::INT, Signal::KILL] {
        let scene = scene();
        let mut command = command(scene.path(), &["--without-gateway"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
        for _ in 0..500 {
            if left(scene.path()).iter().any(|line| line.contains("people")) {
                break;
            }
            thread::park_timeout(Duration::from_millis(20));
        }
        assert!(left(scene.path()).len() >= 2, "services and people: {:?}", left(scene.path()));
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
        kill_process(pid, signal).expect("sent");
        let status = child.wait().expect("ended");
        assert_eq!(status.code(), if signal == Signal::INT { Some(3) } else { None });
        for _ in 0..250 {
            if left(scene.path()).is_empty() {
                break;
            }
            thread::park_timeout(Duration::from_millis(20));
        }
        assert_eq!(left(scene.path()), [""; 0], "{signal:?}");
    }
}

#[test]
fn a_wrong_scenario_is_wrong_usage_of_every_command() {
    let scene = scene();
    std::fs::write(scene.path().join("day.toml"), SCENARIO.replace("duration", "duraton")).expect("written");
    for name in ["run", "sim", "plan", "peers", "calibrate"] {
        let output = Command::new(PROGRAM).args([name, "day.toml"]).current_dir(scene.path()).output();
        let output = output.expect("started");
        assert_eq!(output.status.code(), Some(4), "{name}: {}", said(&output));
    }
}

#[test]
fn a_wrong_scenario_is_shown_with_its_line() {
    let scene = scene();
    std::fs::write(scene.path().join("day.toml"), SCENARIO.replace("duration", "duraton")).expect("written");
    let output = run(scene.path(), &["--without-gateway"]);
    let text = said(&output);
    assert!(output.status.code() == Some(4) && text.contains("duraton") && text.contains('^'), "{text}");
}
