use std::fmt::Write as _;

use super::verify::{Fault, Finding, verify};
use super::*;
use crate::clock::{Clock, Tick};

/// Registrations of a draw that is measured: `WEIR_DRAW_PEOPLE`, or few enough for every day.
const PEOPLE: u32 = 5_000;

const SECRET: [u8; 32] = *b"a secret of thirty-two bytes 012";

fn terms() -> Terms {
    Terms { room: "opening".to_owned(), generation: 1_775_900_000, wave: 2 }
}

/// `count` registrations; every fifth number was never seen again.
fn registrations(count: u32) -> Vec<Registration> {
    let numbers = (0_u64..).filter(|number| number % 5 != 3).take(count as usize);
    let issued = |number| std::time::Duration::from_millis(1_775_908_000_000 + number * 7);
    numbers.map(|number| Registration::new(number, issued(number), &format!("ticket of {number}"))).collect()
}

fn hold(registrations: &[Registration]) -> Draw {
    let mut roll = Roll::default();
    for registration in registrations {
        roll.enter(registration).unwrap();
    }
    Draw::hold(terms(), Secret::new(SECRET), roll)
}

fn document(draw: &Draw, registrations: &[Registration]) -> Vec<u8> {
    let mut document = Vec::new();
    draw.write(registrations.iter().copied(), &mut document).unwrap();
    document
}

fn receipt(draw: &Draw, registrations: &[Registration], index: usize) -> Receipt {
    draw.receipt(index, &registrations[draw.block(index).unwrap()]).unwrap()
}

fn found(document: &[u8], receipt: Option<&Receipt>) -> Finding {
    verify(document, receipt).unwrap()
}

/// What is said of `document` with its first `from` turned into `to`.
fn changed(document: &[u8], from: &str, to: &str) -> Vec<Fault> {
    let text = std::str::from_utf8(document).unwrap();
    assert!(text.contains(from), "{from} is in {text}");
    found(text.replacen(from, to, 1).as_bytes(), None).faults
}

#[test]
fn a_document_and_its_receipts_hold() {
    for count in [0, 1, 2, 9, 300] {
        let registrations = registrations(count);
        let draw = hold(&registrations);
        let document = document(&draw, &registrations);
        let finding = found(&document, None);
        assert_eq!((finding.terms.clone(), finding.count, finding.holds()), (Some(terms()), count, true));
        for (index, registration) in registrations.iter().enumerate() {
            let before = Receipt::before(&terms(), registration, commitment(&Secret::new(SECRET)));
            let after = receipt(&draw, &registrations, index);
            for receipt in [&before, &after] {
                let text = serde_json::to_string(receipt).unwrap();
                assert_eq!(Receipt::parse(&text).unwrap(), *receipt);
                let finding = found(&document, Some(receipt));
                assert_eq!(finding.faults, []);
                assert_eq!(finding.place, Some(draw.places()[index] + 1));
            }
        }
        assert_eq!(draw.block(registrations.len()), None);
    }
}

/// Computed by a program of a few lines in another language, from the words in the module's header alone.
#[test]
fn another_implementation_draws_the_same() {
    let registrations = registrations(12);
    let draw = hold(&registrations);
    let text = String::from_utf8(document(&draw, &registrations)).unwrap();
    assert_eq!(text, include_str!("twelve.jsonl"));
}

#[test]
fn every_changed_bit_is_caught() {
    for count in [1, 2, 5] {
        let registrations = registrations(count);
        let document = document(&hold(&registrations), &registrations);
        for at in 0..document.len() {
            for bit in 0..8 {
                let mut other = document.clone();
                other[at] ^= 1 << bit;
                assert!(!found(&other, None).holds(), "bit {bit} of byte {at}: {}", String::from_utf8_lossy(&other));
            }
            assert!(!found(&document[..at], None).holds(), "cut off at {at}");
        }
    }
}

#[test]
fn a_change_is_told_as_what_it_is() {
    let registrations = registrations(6);
    let draw = hold(&registrations);
    let document = document(&draw, &registrations);
    let head = |fault: &Vec<Fault>| matches!(fault[..], [Fault::Seed(_)]);
    assert!(head(&changed(&document, "\"opening\"", "\"Opening\"")));
    assert!(head(&changed(&document, "1775900000", "1775900001")));
    assert!(head(&changed(&document, "\"wave\":2", "\"wave\":1")));
    let counted = changed(&document, "\"count\":6", "\"count\":5");
    assert!(matches!(counted[..], [Fault::Count { stated: 5, found: 6 }, Fault::Seed(_)]), "{counted:?}");
    let commitment = commitment(&Secret::new(SECRET)).to_string();
    assert!(matches!(changed(&document, &commitment, &"0".repeat(64))[..], [Fault::Commitment(_)]));
    let secret = Hex(SECRET).to_string();
    let faults = changed(&document, &secret, &"0".repeat(64));
    assert!(matches!(faults[..], [Fault::Commitment(_), Fault::Seed(_)]), "{faults:?}");
    let root = draw.root().to_string();
    assert!(matches!(changed(&document, &root, &"0".repeat(64))[..], [Fault::Root(_), Fault::Seed(_)]));
    let issued = changed(&document, "[1,1775908000007", "[1,1775908000006");
    assert!(matches!(issued[..], [Fault::Root(_)]), "{issued:?}");
    let place = draw.places()[0] + 1;
    let stated = format!("\",{place}]");
    let faults = changed(&document, &stated, "\",99]");
    assert_eq!(faults, [Fault::Place { line: 2, stated: 99, computed: place }]);
    for (from, to) in
        [("[1,", "[ 1,"), ("\"room\"", "\"rooms\""), ("{\"weir_draw\":1", "{\"weir_draw\":2"), ("\"op", "\"\\u006fp")]
    {
        let faults = changed(&document, from, to);
        assert!(faults[0] == Fault::Head || faults[0] == Fault::Line(3), "{from}: {faults:?}");
    }
}

#[test]
fn lines_that_are_gone_new_or_elsewhere_are_caught() {
    let registrations = registrations(6);
    let draw = hold(&registrations);
    let document = String::from_utf8(document(&draw, &registrations)).unwrap();
    let lines: Vec<&str> = document.lines().collect();
    let with = |lines: &[&str]| found((lines.join("\n") + "\n").as_bytes(), None).faults;
    assert_eq!(with(&lines), []);
    for gone in 1..lines.len() {
        let mut other = lines.clone();
        let line = other.remove(gone);
        assert!(matches!(with(&other)[..], [Fault::Count { stated: 6, found: 5 }, Fault::Root(_)]), "line {gone}");
        other.insert(gone, "[18446744073709551615,1,\"0000000000000000\",1]");
        assert!(!with(&other).is_empty());
        other[gone] = line;
        other.insert(gone, line);
        assert!(matches!(with(&other)[0], Fault::Order { .. }), "twice");
    }
    for (at, last) in (1..lines.len()).flat_map(|at| (1..at).map(move |last| (at, last))) {
        let mut other = lines.clone();
        other.swap(at, last);
        assert!(matches!(with(&other)[0], Fault::Order { .. }), "{at} and {last}");
    }
    let long = format!("{document}[{}", "1".repeat(10_000));
    assert!(found(long.as_bytes(), None).faults.contains(&Fault::Line(8)));
    assert!(!found(b"\n", None).holds() && !found(b"", None).holds());
}

#[test]
fn a_draw_with_somebody_else_contradicts_the_receipts() {
    let registrations = registrations(40);
    let draw = hold(&registrations);
    let after = receipt(&draw, &registrations, 17);
    let before = Receipt { drawn: None, ..after.clone() };
    // An operator who knows the secret draws again, with one more, without one, or with one changed.
    let mut more = registrations.clone();
    more.push(Registration::new(9_999, std::time::Duration::from_secs(1), "a friend's"));
    let mut other = registrations.clone();
    other[30].tag = Hex([9; 8]);
    for list in [&more, &registrations[1..].to_vec(), &other] {
        let forged = hold(list);
        assert_ne!(forged.places()[..20], draw.places()[..20], "the whole order changes");
        let document = document(&forged, list);
        assert!(found(&document, None).holds(), "by itself it holds");
        let faults = found(&document, Some(&after)).faults;
        assert!(faults.contains(&Fault::Receipt("root")), "{faults:?}");
    }
    let without = [&registrations[..17], &registrations[18..]].concat();
    let document = document(&hold(&without), &without);
    assert_eq!(found(&document, Some(&before)).faults, [Fault::Missing(after.number)]);
}

#[test]
fn every_word_of_a_receipt_counts() {
    let registrations = registrations(40);
    let draw = hold(&registrations);
    let document = document(&draw, &registrations);
    let after = receipt(&draw, &registrations, 17);
    let before = Receipt { drawn: None, ..after.clone() };
    for (receipt, values) in [(before, 200), (after, 500)] {
        let text = serde_json::to_string(&receipt).unwrap();
        let mut readable = 0;
        for (at, bit) in (0..text.len()).flat_map(|at| (0..7).map(move |bit| (at, bit))) {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let other = String::from_utf8(bytes).unwrap();
            if let Ok(receipt) = Receipt::parse(&other) {
                readable += 1;
                assert!(!found(&document, Some(&receipt)).holds(), "{other}");
            }
        }
        assert!(readable > values, "{readable} changes were of a value");
    }
}

#[test]
fn what_a_receipt_says_otherwise_is_told() {
    let registrations = registrations(40);
    let draw = hold(&registrations);
    let document = document(&draw, &registrations);
    let held = receipt(&draw, &registrations, 17);
    let told = |change: &dyn Fn(&mut Receipt, &mut Drawn)| {
        let (mut receipt, mut drawn) = (held.clone(), held.drawn.clone().unwrap());
        change(&mut receipt, &mut drawn);
        found(&document, Some(&Receipt { drawn: Some(drawn), ..receipt })).faults
    };
    assert_eq!(told(&|_, drawn| drawn.place += 1), [Fault::Receipt("place")]);
    assert_eq!(told(&|_, drawn| drawn.secret.0[0] ^= 1), [Fault::Receipt("secret")]);
    assert_eq!(told(&|_, drawn| drawn.root.0[0] ^= 1), [Fault::Receipt("root"), Fault::Path]);
    assert_eq!(told(&|_, drawn| drawn.index += 1), [Fault::Receipt("index"), Fault::Path]);
    assert_eq!(told(&|_, drawn| drawn.count = 4), [Fault::Receipt("count"), Fault::Path]);
    assert_eq!(told(&|receipt, _| receipt.issued += 1), [Fault::Receipt("instant of issue"), Fault::Path]);
    assert_eq!(told(&|receipt, _| receipt.tag.0[0] ^= 1), [Fault::Receipt("tag"), Fault::Path]);
    assert_eq!(told(&|receipt, _| receipt.commitment.0[0] ^= 1), [Fault::Receipt("commitment")]);
    assert_eq!(told(&|receipt, _| receipt.wave += 1), [Fault::Receipt("room, generation or wave")]);
    assert_eq!(told(&|receipt, _| receipt.number = 1_000), [Fault::Missing(1_000)]);
    let other = receipt(&draw, &registrations, 16).drawn.unwrap().path;
    assert_eq!(told(&|_, drawn| drawn.path = other.clone()), [Fault::Path]);
}

#[test]
fn who_did_not_register_comes_after_all_who_did() {
    let registrations = registrations(8);
    let draw = hold(&registrations);
    let numbers = || registrations.iter().map(|registration| registration.number + 100);
    let forward = draw.forward(numbers(), 100, 13).unwrap();
    let mut others = 8_u32..;
    let mut drawn = draw.places().iter().copied();
    for (number, place) in (0_u64..).zip(&forward) {
        let registered = registrations.iter().any(|registration| registration.number == number);
        let expected = if registered { drawn.next() } else { others.next() };
        assert_eq!(Some(*place), expected, "number {number}");
    }
    let mut all = forward.to_vec();
    all.sort_unstable();
    assert_eq!(all, (0..13).collect::<Vec<_>>());
    assert_eq!(draw.forward(numbers(), 101, 13), None, "before the range");
    assert_eq!(draw.forward(numbers(), 100, 9), None, "behind the range");
    assert_eq!(draw.forward(numbers().take(7), 100, 13), None, "one too few");
    assert_eq!(draw.forward(numbers().chain([111]), 100, 13), None, "one too many");
    assert_eq!(draw.forward(numbers().map(|_| 100), 100, 13), None, "not ascending");
}

#[test]
fn numbers_that_do_not_ascend_are_not_entered() {
    let mut roll = Roll::default();
    let [first, second, third] = registrations(3)[..] else { panic!("three") };
    assert_eq!([roll.enter(&second), roll.enter(&third)], [Ok(()), Ok(())]);
    assert_eq!(roll.enter(&third), Err(RollError::Order { number: 2, last: 2 }));
    assert_eq!(roll.enter(&first), Err(RollError::Order { number: 0, last: 2 }));
    assert_eq!(roll.count(), 2);
    let registrations = registrations(3);
    let draw = hold(&registrations);
    for wrong in [&registrations[..2], &[&registrations[..], &[third]].concat()] {
        assert!(draw.write(wrong.iter().copied(), &mut Vec::new()).is_err(), "{} registrations", wrong.len());
    }
    assert_eq!(draw.receipt(1, &registrations[..2]), None);
}

/// With `WEIR_DRAW_PEOPLE=1432133`, in a release build and with `--nocapture`, this measures the day.
#[test]
fn a_large_draw_holds() {
    let people = std::env::var("WEIR_DRAW_PEOPLE").map_or(PEOPLE, |people| people.parse().unwrap());
    let registrations = registrations(people);
    let clock = Clock::machine();
    let draw = hold(&registrations);
    let held = clock.now();
    let document = document(&draw, &registrations);
    let written = clock.now();
    let first = receipt(&draw, &registrations, 0);
    let given = clock.now();
    let finding = found(&document, Some(&first));
    let verified = clock.now();
    assert_eq!((finding.faults, finding.count), (Vec::new(), people));
    let text = serde_json::to_string(&first).unwrap();
    assert!(text.len() <= 1_536, "a receipt of {} bytes", text.len());
    let path = serde_json::to_string(&first.drawn.unwrap().path).unwrap();
    assert!(path.len() <= 1_024, "a path of {} bytes", path.len());
    let mut said = format!("{people} people: document {} bytes, receipt {} bytes", document.len(), text.len());
    for (what, from, to) in [
        ("drawn", Tick::ZERO, held),
        ("written", held, written),
        ("receipt", written, given),
        ("verified", given, verified),
    ] {
        write!(said, "; {what} {:?}", to.since(from)).unwrap();
    }
    println!("{said}");
}
