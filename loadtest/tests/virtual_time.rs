//! `loadtest sim` and `loadtest plan` as commands: no socket, the same bytes each time, and a forecast that agrees with the ledgers.
#![expect(clippy::expect_used, reason = "a helper of a test that cannot go on says where")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PROGRAM: &str = env!("CARGO_BIN_EXE_loadtest");

/// What a run leaves of which nothing is of the machine.
const LEDGERS: [&str; 6] = ["run.json", "said.jsonl", "samples", "served", "told.0", "weir.toml"];

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(name)
}

fn loadtest(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().expect("it runs")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The number that stands before `what`.
fn number_before(text: &str, what: &str) -> u64 {
    let (before, _) = text.split_once(what).unwrap_or_else(|| panic!("no {what:?} in {text}"));
    let word = before.rsplit(' ').next().expect("a word");
    word.replace(',', "").parse().unwrap_or_else(|_| panic!("no number before {what:?} in {text}"))
}

#[test]
fn two_processes_write_the_same_ledgers_and_another_seed_writes_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let scenario = shipped("smoke.toml");
    let simulate = |name: &str, seed: &str| {
        let out = folder.path().join(name);
        let named = out.to_str().expect("a name");
        let output = loadtest(&["sim", scenario.to_str().expect("a name"), "--seed", seed, "--out", named]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        LEDGERS.map(|ledger| fs::read(out.join(ledger)).unwrap_or_else(|error| panic!("{ledger}: {error}")))
    };
    let [one, same, other] = [("one", "7"), ("same", "7"), ("other", "8")].map(|(name, seed)| simulate(name, seed));
    for (ledger, (one, same)) in LEDGERS.iter().zip(one.iter().zip(&same)) {
        assert!(one == same, "{ledger} is another");
    }
    assert!(one[4].len() > 100_000 && one[4] != other[4]);
    let judged = loadtest(&["check", folder.path().join("one").to_str().expect("a name")]);
    assert_eq!(judged.status.code(), Some(0), "{}", text(&judged));
}

#[test]
fn a_plan_says_what_an_operator_asks_before_the_day() {
    let output = loadtest(&["plan", shipped("smoke.toml").to_str().expect("a name")]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    // 500 a second come for five seconds where 200 are served, less whom the line at the gate takes.
    let longest = number_before(&said, " people after");
    assert!((500..=1_500).contains(&longest), "{said}");
    for what in
        ["room opening: the line is longest with", "the last of it is called after 0:00:1", "100.0 % are served"]
    {
        assert!(said.contains(what), "{what:?}: {said}");
    }
    let busiest = number_before(&said, " requests in the busiest second");
    assert!((500..=1_500).contains(&busiest), "{said}");
    assert!(said.contains("MiB of weir") && said.contains("over HTTP/2"), "{said}");
}

#[test]
fn what_cannot_be_planned_is_wrong_usage() {
    let output = loadtest(&["plan", "no-such-scenario.toml"]);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output));
}
