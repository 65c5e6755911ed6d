//! The reference in prose names every key that the reader takes and no other, and its defaults are the reader's.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use super::{ARRIVALS, LEAST, SERVICE, STAGE, TOP, coming, good, read, with};
use crate::figure::Figure;
use crate::scenario::read::{fault, persona};
use crate::scenario::template::{Values, fill};

const REFERENCE: &str = include_str!("../../../../scenarios/README.md");

/// The cells of the table under `heading`, without its first two lines.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let section = REFERENCE.split("\n## ").find(|section| section.starts_with(heading)).expect(heading);
    let cells = |line: &'static str| line.split('|').map(str::trim).skip(1).collect();
    section.lines().filter(|line| line.starts_with("| ")).skip(1).map(cells).collect()
}

/// What stands in backticks in `cell`.
fn quoted(cell: &'static str) -> BTreeSet<&'static str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The keys that a report of one unknown key knows of.
fn known(text: &str) -> BTreeSet<String> {
    let report = read(text).expect_err(text).to_string();
    let lines: Vec<_> = report.split("known here: ").skip(1).filter_map(|rest| rest.lines().next()).collect();
    assert_eq!(lines.len(), 1, "one unknown key in\n{text}\n{report}");
    lines[0].split(", ").map(ToOwned::to_owned).collect()
}

/// Files in which a key may stand in `table`, one for each form the table has.
fn forms(table: &str, line: &str) -> Vec<String> {
    let more = |text: &str| vec![format!("{LEAST}{text}\n{line}\n")];
    match table {
        "the file" => vec![with(TOP, line)],
        "`[[service]]`" => {
            let alone = LEAST.replace("capacity = \"400/s\"", &format!("base_time = \"50ms\"\nknee = 9\n{line}"));
            vec![with(SERVICE, line), with(SERVICE, &format!("law = \"kink\"\n{line}")), alone]
        }
        "`[service.failures]`" => vec![with(SERVICE, &format!("[service.failures]\n{line}"))],
        "`[[stage]]`" => {
            let second = "[[stage]]\nname = \"two\"\npath = \"/2\"\nservice = \"registration\"";
            vec![with(STAGE, &format!("{line}\n{second}"))]
        }
        "`[[arrivals]]`" => vec![
            with(ARRIVALS, line),
            coming(&format!("people = 8\n{line}")),
            coming(&format!("curve = [[\"0s\", \"9/s\"], [\"9s\", \"9/s\"]]\n{line}")),
            coming(&format!("trace = [[\"0s\", 9]]\n{line}")),
        ],
        "`[[persona]]`" => more("[[persona]]\nname = \"a\""),
        "`[persona.keeps]`" | "`[persona.tabs]`" => {
            let title = table.trim_matches('`');
            let usual = if title.contains("tabs") { "probability = 1\nfurther = 1" } else { "" };
            more(&format!("[[persona]]\nname = \"a\"\n{title}\n{usual}"))
        }
        "`[[fault]]`" => {
            let some = with(SERVICE, "reserve = 1");
            rows("Faults").iter().map(|row| format!("{some}{}{line}\n", fault_of(row))).collect()
        }
        title => more(title.trim_matches('`')),
    }
}

/// A fault with the keys that the reference says it takes.
fn fault_of(row: &[&'static str]) -> String {
    let mut text = format!("[[fault]]\nkind = {}\nat = \"1s\"\n", row[0].replace('`', "\""));
    for key in quoted(row[1]) {
        let value = match key {
            "lasts" | "by" => "\"1s\"",
            "service" => "\"registration\"",
            "left" => "0.5",
            "servers" => "1",
            "rate" => "\"9B/s\"",
            _ => continue,
        };
        text.extend([key, " = ", value, "\n"]);
    }
    text
}

#[test]
fn every_key_is_there_and_no_other() {
    let keys = rows("Every key");
    let tables: BTreeSet<&str> = keys.iter().map(|row| row[0]).collect();
    assert_eq!(tables.len(), 10, "{tables:?}");
    for table in tables {
        let forms = forms(table, "zzzz = 1");
        let taken: BTreeSet<String> = forms.iter().flat_map(|text| known(text)).collect();
        let written: BTreeSet<String> =
            keys.iter().filter(|row| row[0] == table).flat_map(|row| quoted(row[1])).map(ToOwned::to_owned).collect();
        assert_eq!(taken, written, "keys of {table}");
    }
}

#[test]
fn each_kind_of_fault_takes_what_is_written() {
    let kinds: BTreeSet<String> = rows("Faults").iter().map(|row| row[0].trim_matches('`').to_owned()).collect();
    assert_eq!(kinds, fault::KINDS.map(|(word, _)| word.to_owned()).into());
    for row in rows("Faults") {
        let text = with(SERVICE, "reserve = 1") + &fault_of(&row) + "zzzz = 1\n";
        let mut taken = known(&text);
        assert!(taken.remove("kind") && taken.remove("at"));
        assert_eq!(taken, quoted(row[1]).into_iter().map(ToOwned::to_owned).collect(), "{}", row[0]);
    }
}

#[test]
fn defaults_are_those_of_the_code() {
    let mut compared = 0;
    for row in rows("Every key") {
        let default = row[2].trim_matches('`');
        // A default in backticks is a value; it is compared where the key stands alone.
        if !row[2].starts_with('`')
            || row[2].contains(' ')
            || row[0] == "`[[fault]]`"
            || row[0] == "`[gateway]`" && row[1] == "`config`"
        {
            continue;
        }
        let key = row[1].trim_matches('`');
        let index = usize::from(key == "slope") + usize::from(key == "at");
        let form = |line: &str| forms(row[0], line).swap_remove(index);
        let (left_out, written) = (good(&form("")), good(&form(&format!("{key} = {default}"))));
        assert_eq!(left_out, written, "default of {} {key}", row[0]);
        compared += 1;
    }
    assert_eq!(compared, 24, "defaults compared");
}

#[test]
fn kinds_of_people_and_figures_are_all_there() {
    let kinds: Vec<_> = rows("Kinds of people").iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(kinds, persona::KINDS.map(|(word, _)| word));
    let figures: BTreeSet<_> = rows("Thresholds").iter().flat_map(|row| quoted(row[0])).collect();
    assert_eq!(figures, Figure::ALL.map(Figure::name).into());
}

/// The example in prose is one, and so is the configuration beside it.
#[test]
fn the_example_is_read() {
    let mut examples = REFERENCE.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let (scenario, gateway) = (examples.next().expect("the scenario"), examples.next().expect("weir's"));
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("ours.toml"), scenario).expect("written");
    std::fs::write(folder.path().join("weir.toml"), gateway).expect("written");
    let scenario = crate::scenario::read(&folder.path().join("ours.toml")).unwrap_or_else(|report| panic!("{report}"));
    assert!((scenario.people() - 8_000.0).abs() < 1e-6);
    let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let values = Values {
        listener: address(1),
        tls_listener: address(2),
        admin: address(3),
        state: folder.path(),
        access: &folder.path().join("access.jsonl"),
        quota: scenario.quota,
        services: &[("registration".to_owned(), vec![address(4)])],
    };
    let text = fill(gateway, &values).expect("filled");
    let loaded = weir::config::parse(&text, Path::new("weir.toml")).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(loaded.plan.upstreams.iter().map(|it| &*it.name).collect::<Vec<_>>(), ["registration"]);
}
