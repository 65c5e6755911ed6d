//! Who takes part, with what, and how it is shown.

use std::path::Path;

use super::*;
use crate::coordinator::foreign::{Behind, Place, fill};
use crate::coordinator::plan::Machine;
use crate::oracle::Verdict;
use crate::peers::report::{Entry, Report};
use crate::people::tests::{persona, scenario};
use crate::scenario::promised::promised;

const OTHERS: [Product; 3] = [Product::Nginx, Product::Haproxy, Product::Envoy];

#[test]
fn every_template_is_filled() {
    let at = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let service = |name: &str, port| Behind { name: name.into(), servers: vec![at(port)], capacity: 200.0, knee: 20.0 };
    let services = [service("sign-up", 2), service("nik", 3)];
    let stages = [("/register".to_owned(), 0), ("/check".to_owned(), 1)];
    for product in OTHERS {
        for (setting, least) in [(Setting::Expert, "20"), (Setting::Plausible, "100")] {
            let text = template(product, setting).expect("there is one");
            let (state, listener) = (Path::new("/state"), at(1));
            let place = Place { product, listener, admin: None, state, services: &services, stages: &stages };
            let filled = fill(text, place).unwrap_or_else(|why| panic!("{product:?} {setting:?}: {why}"));
            let code: String = filled.lines().map(|line| line.split('#').next().unwrap_or(line)).collect();
            for wanted in ["/register", "/check", "sign-up", "nik", "127.0.0.1"] {
                assert!(code.contains(wanted), "{product:?} {setting:?}: {wanted}");
            }
            let told = code.contains(least) || product == Product::Envoy;
            assert!(told && code.contains("18000"), "{product:?} {setting:?}");
        }
    }
    assert_eq!(template(Product::Weir, Setting::Expert), None);
    assert_eq!(template(Product::Nginx, Setting::Line), None);
}

#[test]
fn weir_takes_its_line_only() {
    let at = |port| std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let service = |name: &str, ports: [u16; 2]| {
        let servers = ports.map(at).into();
        Behind { name: name.into(), servers, capacity: 200.0, knee: 20.0 }
    };
    let services = [service("sign-up", [2, 3]), service("nik", [4, 5])];
    let stages = [("/register".to_owned(), 0), ("/check".to_owned(), 1)];
    let folder = tempfile::tempdir().expect("a folder");
    let (product, listener, state) = (Product::Weir, at(1), folder.path());
    let place = Place { product, listener, admin: Some(at(9)), state, services: &services, stages: &stages };
    let text = template(product, Setting::Line).expect("there is one");
    let path = state.join("weir.toml");
    std::fs::write(&path, fill(text, place).expect("filled")).expect("written");
    let declared = promised(&path, &scenario(vec![persona()])).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!((declared.held, declared.identity), (std::time::Duration::from_secs(8), false));
}

#[test]
fn who_is_not_installed_is_named() {
    let (there, missing) = contestants(&Asked::ALL, Path::new("/nowhere/weir"), &[]);
    assert_eq!(missing, ["weir", "nginx", "haproxy", "envoy"]);
    assert_eq!(there.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["none"]);
    let (there, missing) = contestants(&[Asked::Gateway(Product::Weir)], Path::new("/bin/true"), &[]);
    let names: Vec<_> = there.iter().map(|one| one.name.as_str()).collect();
    assert!(missing.is_empty() && names == ["weir", "weir (line only)"], "{names:?}");
}

#[test]
fn each_round_begins_with_another() {
    assert_eq!([order(0, 3), order(1, 3), order(2, 3), order(3, 3)].map(|order| order[0]), [0, 1, 2, 0]);
    assert_eq!(order(1, 3), [1, 2, 0]);
    assert!(order(1, 0).is_empty());
}

#[test]
fn only_what_all_of_them_speak_is_played() {
    let mut http1 = persona();
    http1.protocol = Protocol::Http1;
    let mut day = scenario(vec![http1.clone()]);
    assert!(fits(&day).is_ok());
    day.gateway.tls = true;
    assert!(matches!(fits(&day), Err(Unfit::Tls)));
    http1.protocol = Protocol::Http2 { people: 2 };
    assert!(matches!(fits(&scenario(vec![http1])), Err(Unfit::Http2(_))));
}

#[test]
fn the_table_names_everybody_and_says_what_is_invalid() {
    let line = |value: f64, verdict| Line {
        outcome: Outcome::Judged(verdict),
        remarks: vec!["late".into()],
        values: [value; Column::ALL.len()],
    };
    let entry = |name: &str, lines| Entry { name: name.into(), version: "1.2".into(), lines };
    let report = Report {
        scenario: "day".into(),
        shows: "a day".into(),
        people: 20_000,
        date: "today".into(),
        machine: Machine::default(),
        load_before: 0.5,
        rounds: 3,
        entries: vec![
            entry("weir", [0.25, 0.5, 0.75].map(|value| line(value, Verdict::Pass)).into()),
            entry("nginx (expert)", vec![line(0.125, Verdict::Invalid)]),
            entry("haproxy (expert)", vec![Line::failed("no such port".into())]),
        ],
        not_found: vec!["envoy".into()],
    };
    let text = report.text();
    assert!(text.contains("3 rounds, medians") && text.contains("20,000 people"), "{text}");
    let row =
        |name: &str| text.lines().find(|row| row.starts_with(&format!("| {name}"))).unwrap_or_else(|| panic!("{text}"));
    assert!(row("weir").contains("50.00 %") && !row("weir").contains("75.00 %"), "{text}");
    assert!(row("nginx").contains('–') && !row("nginx").contains("12.50"), "what is invalid has no figures: {text}");
    assert!(row("envoy").contains("not found"), "{text}");
    assert!(text.contains("nginx (expert): INVALID: late") && text.contains("FAILED: no such port"), "{text}");
    let json = serde_json::to_value(&report).expect("JSON");
    assert_eq!(json.pointer("/entries/0/lines/1/values/goodput"), Some(&0.5.into()));
    assert_eq!(json.pointer("/entries/2/lines/0/values/goodput"), Some(&serde_json::Value::Null));
}
