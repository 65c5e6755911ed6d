//! Instructions of what is done for a request, against those that are written down.
//!
//! `cargo bench --bench instructions`, as part of `make bench`. Each operation of `operations` runs under callgrind (valgrind), in a process of
//! its own, [`FEW`] times and [`MANY`] times; what they differ by is what the operations took, whatever came before them. Other
//! than time this hardly depends on what else the machine does. What is more than [`WORSE`] above the figure of `baseline.toml`
//! fails.
//!
//! `make baseline` writes the figures of this build there. They are those of one compiler and one kind of processor: a new compiler
//! is a reason to renew them, in a commit of its own.

#![expect(clippy::unwrap_used, reason = "a benchmark may panic")]

mod operations;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use operations::ALL;

/// Times that an operation is done.
const FEW: u32 = 500;
const MANY: u32 = 2_500;

/// How much more than it was is a failure, in percent.
const WORSE: f64 = 3.0;

/// Set to write the baseline and not to compare with it.
const RENEW: &str = "WEIR_BASELINE";

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some("do") {
        perform(&words.next().unwrap(), words.next().unwrap().parse().unwrap());
        return ExitCode::SUCCESS;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/instructions/baseline.toml");
    let counts: BTreeMap<&str, f64> = ALL.iter().map(|(name, _)| (*name, count(name))).collect();
    if std::env::var_os(RENEW).is_some() {
        let figures: String = counts.iter().map(|(name, count)| format!("\"{name}\" = {count:.0}\n")).collect();
        fs::write(&path, format!("# Instructions of one operation; `make baseline` writes this.\n{figures}")).unwrap();
    }
    compare(&counts, &fs::read_to_string(path).unwrap())
}

/// In a child: does `name` so many times.
fn perform(name: &str, times: u32) {
    let (_, ready) = ALL.iter().find(|(known, _)| *known == name).unwrap();
    let mut operation = ready();
    (0..times).for_each(|_| operation());
}

/// Instructions of one `name`.
fn count(name: &str) -> f64 {
    let [few, many] = [FEW, MANY].map(|times| instructions(name, times));
    many.saturating_sub(few) as f64 / f64::from(MANY - FEW)
}

/// Instructions of a process that does `name` so many times.
fn instructions(name: &str, times: u32) -> u64 {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(std::env::current_exe().unwrap());
    let output = command.args(["do", name, &times.to_string()]).output().expect("valgrind is not installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {said}");
    let collected = said.lines().find_map(|line| line.split_once("Collected : ")).unwrap().1;
    collected.trim().parse().unwrap()
}

/// Prints them beside the baseline, and fails if one is worse.
fn compare(counts: &BTreeMap<&str, f64>, baseline: &str) -> ExitCode {
    let baseline: BTreeMap<String, f64> = toml::from_str::<BTreeMap<String, u64>>(baseline)
        .unwrap()
        .into_iter()
        .map(|(name, count)| (name, count as f64))
        .collect();
    let mut worse = Vec::new();
    println!("| instructions of one | were | are | |\n|---|---:|---:|---:|");
    for (name, count) in counts {
        let Some(before) = baseline.get(*name) else {
            println!("| {name} | | {count:.0} | |");
            worse.push(*name);
            continue;
        };
        let change = (count / before - 1.0) * 100.0;
        println!("| {name} | {before:.0} | {count:.0} | {change:+.1} % |");
        if change > WORSE {
            worse.push(name);
        }
    }
    if worse.is_empty() {
        println!("\ninstructions: none is more than {WORSE} % above its baseline");
        return ExitCode::SUCCESS;
    }
    println!("\ninstructions: FAILED, above the baseline by more than {WORSE} % or not in it: {}", worse.join(", "));
    ExitCode::FAILURE
}
