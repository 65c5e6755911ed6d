//! `weir draw verify` as whoever doubts a draw uses it: files in, words and exit codes out.

#![expect(clippy::unwrap_used, reason = "the lint's own exception covers test functions, not what they share")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use tempfile::TempDir;
use weir::waiting_room::lottery::{Draw, Receipt, Registration, Roll, Secret, Terms};

/// A directory with the document of a draw, `draw.jsonl`, and a receipt of it, `receipt.json`.
fn published() -> (TempDir, Receipt) {
    let issued = |number| Duration::from_secs(1_775_908_000 + number);
    let person = |number| Registration::new(number, issued(number), &format!("ticket {number}"));
    let people: Vec<Registration> = (100..150).map(person).collect();
    let mut roll = Roll::default();
    for registration in &people {
        roll.enter(registration).unwrap();
    }
    let terms = Terms { room: "opening".to_owned(), generation: 1_775_900_000, wave: 0 };
    let draw = Draw::hold(terms, Secret::new([7; 32]), roll);
    let receipt = draw.receipt(23, &people).unwrap();
    let directory = TempDir::new().unwrap();
    let mut document = Vec::new();
    draw.write(people, &mut document).unwrap();
    fs::write(directory.path().join("draw.jsonl"), document).unwrap();
    fs::write(directory.path().join("receipt.json"), serde_json::to_vec(&receipt).unwrap()).unwrap();
    (directory, receipt)
}

/// Exit code, what is said of success, and what of faults.
fn verify(directory: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut weir = Command::new(env!("CARGO_BIN_EXE_weir"));
    let Output { status, stdout, stderr } =
        weir.args(["draw", "verify"]).args(arguments).current_dir(directory).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_draw_that_holds_is_told_with_the_place_of_whoever_asks() {
    let (directory, receipt) = published();
    let place = receipt.drawn.unwrap().place;
    let said = "draw.jsonl: the draw of \"opening\", wave 0, among 50 registrations is as it says\n".to_owned();
    assert_eq!(verify(directory.path(), &["draw.jsonl"]), (Some(0), said.clone(), String::new()));
    let held = said + &format!("number 123 has place {place} of 50\n");
    let arguments = ["draw.jsonl", "--receipt", "receipt.json"];
    assert_eq!(verify(directory.path(), &arguments), (Some(0), held, String::new()));
}

#[test]
fn what_does_not_match_is_told_and_ends_with_1() {
    let (directory, receipt) = published();
    let path = directory.path().join("draw.jsonl");
    let document = fs::read_to_string(&path).unwrap();
    fs::write(&path, document.replace("\n[123,1775908123000,", "\n[123,1775908122999,")).unwrap();
    let (code, said, faults) = verify(directory.path(), &["draw.jsonl", "--receipt", "receipt.json"]);
    assert_eq!((code, said.as_str()), (Some(1), ""));
    assert!(faults.contains("draw.jsonl: the registrations have another root"), "{faults}");
    assert!(faults.contains("receipt: its instant of issue is not that of this draw"), "{faults}");
    // Another seed is another order, and of so many places not all are listed.
    let seed = document.find("\"seed\":\"").unwrap() + "\"seed\":\"".len();
    let mut other = document.clone();
    other.replace_range(seed..seed + 8, "00000000");
    fs::write(&path, other).unwrap();
    let (code, _, faults) = verify(directory.path(), &["draw.jsonl"]);
    assert_eq!((code, faults.lines().count()), (Some(1), 21), "{faults}");
    assert!(faults.lines().last().unwrap().ends_with(" more"), "{faults}");
    fs::write(&path, document).unwrap();
    let stranger = serde_json::to_string(&receipt).unwrap().replace("\"number\":123", "\"number\":99");
    for (text, wanted) in [(stranger.as_str(), "number 99 is not in this draw"), ("{}", "receipt.json: not a receipt")]
    {
        fs::write(directory.path().join("receipt.json"), text).unwrap();
        let (code, _, faults) = verify(directory.path(), &["draw.jsonl", "--receipt", "receipt.json"]);
        assert_eq!(code, Some(1));
        assert!(faults.contains(wanted), "{faults}");
    }
}

#[test]
fn files_that_cannot_be_read_end_with_66_and_wrong_usage_with_2() {
    let (directory, _) = published();
    for arguments in [&["nowhere"][..], &["."], &["draw.jsonl", "--receipt", "nowhere"]] {
        let (code, said, faults) = verify(directory.path(), arguments);
        assert_eq!((code, said.as_str()), (Some(66), ""), "{arguments:?}");
        assert!(faults.starts_with(&format!("cannot read {}: ", arguments.last().unwrap())), "{faults}");
    }
    for arguments in [&[][..], &["draw.jsonl", "receipt.json"], &["draw.jsonl", "--receipt"]] {
        assert_eq!(verify(directory.path(), arguments).0, Some(2), "{arguments:?}");
    }
}
