//! Generated files: whatever they hold there is a plan or a report that points into them, and never a panic.

use std::fs;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use tempfile::TempDir;
use weir::config;

use super::{assert_well_told, parse};

/// Every key that needs no file, one a line; each value is of the kind that follows it.
const FULL: &str = r#"[[listener]]
address = "127.0.0.1:8080" # text
proxy_protocol = "v1v2" # text
[admin]
address = "127.0.0.1:9090" # text
[clients]
max_connections = 1000 # number
connections_per_address = 100 # number
ipv6_prefix = 56 # number
trusted_proxies = ["10.0.0.0/8"] # list
header_size = "16KiB" # size
header_count = 64 # number
body_size = "1MiB" # size
header_timeout = "10s" # duration
body_timeout = "10s" # duration
idle_timeout = "75s" # duration
http2_streams = 128 # number
[[client_limit]]
name = "per-person" # text
key = "cookie:sid" # text
without = "pass" # text
rate = "5/s" # rate
burst = 20 # number
capacity = 262144 # number
concurrency = 1 # number
waiting = 2 # number
[pass]
key = "file:pass.key" # text
old_keys = [] # list
life = "30m" # duration
wait = "30s" # duration
concurrency = 2 # number
waiting = 4 # number
[[upstream]]
name = "registration" # text
servers = ["127.0.0.1:9000", "http://b"] # list
concurrency = 40 # number
rate = "400/s" # rate
burst = 5 # number
connect_timeout = "3s" # duration
response_timeout = "30s" # duration
abandon_timeout = "5m" # duration
idle_timeout = "60s" # duration
protocol = "auto" # text
idempotent = true # truth
resolve = "10s" # duration
slow_start = "10s" # duration
[upstream.health]
path = "/healthz" # text
interval = "5s" # duration
timeout = "2s" # duration
rise = 2 # number
fall = 3 # number
status = ["200-299"] # list
[[route]]
name = "register" # text
host = "daftar.example" # text
path = "/register" # text
methods = ["POST"] # list
upstream = "registration" # text
client_limits = ["per-person"] # list
grants_pass = true # truth
body_size = "64KiB" # size
upgrade = false # truth
[route.queue]
wait = "4s" # duration
length = 20000 # number
[[route]]
path = "/*" # text
upstream = "registration" # text
[runtime]
workers = 2 # number
[log]
access = "off" # text
"#;

/// Pieces that mean something to a parser of TOML, or nearly.
const TOKENS: &[&str] = &[
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ".",
    ",",
    "\"",
    "'",
    "\"\"\"",
    "#",
    "\n",
    "\r\n",
    "\r",
    "\t",
    "\0",
    "\u{feff}",
    "\u{7f}",
    "\\u0000",
    "é",
    "日本",
    "👩‍👩‍👧",
    "\u{202e}",
    "0",
    "-1",
    "1e400",
    "0xffffffffffffffff",
    "99999999999999999999",
    "nan",
    "inf",
    "true",
    "1979-05-27",
    "07:32:00",
    "a",
    "[[route]]",
    "[clients]",
    "[route.queue]",
    "queue = {}",
    "tls = {}",
    "\"5s\"",
    "\"5\"",
    "5",
    "[[[[[[[[[[",
    "{a={a={a={",
];

#[derive(Clone, Debug)]
enum Change {
    DeleteBytes(Index, usize),
    InsertBytes(Index, Vec<u8>),
    InsertToken(Index, &'static str),
    ReplaceWord(Index, &'static str),
    SwapWords(Index, Index),
    DeleteLine(Index),
    DuplicateLine(Index),
    MoveLine(Index, Index),
    Truncate(Index),
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    prop_oneof![
        (at(), 1..40_usize).prop_map(|(at, length)| Change::DeleteBytes(at, length)),
        (at(), prop::collection::vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Change::InsertBytes(at, bytes)),
        (at(), select(TOKENS)).prop_map(|(at, token)| Change::InsertToken(at, token)),
        (at(), select(TOKENS)).prop_map(|(at, token)| Change::ReplaceWord(at, token)),
        (at(), at()).prop_map(|(one, other)| Change::SwapWords(one, other)),
        at().prop_map(Change::DeleteLine),
        at().prop_map(Change::DuplicateLine),
        (at(), at()).prop_map(|(from, to)| Change::MoveLine(from, to)),
        at().prop_map(Change::Truncate),
    ]
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::DeleteBytes(at, length) => {
                let at = at.index(bytes.len());
                bytes.drain(at..bytes.len().min(at + length));
            }
            Self::InsertBytes(at, new) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, new.iter().copied());
            }
            Self::InsertToken(at, token) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, token.bytes());
            }
            Self::Truncate(at) => bytes.truncate(at.index(bytes.len())),
            Self::ReplaceWord(at, token) => edit(bytes, b' ', |words| {
                let at = at.index(words.len());
                words[at] = token.as_bytes().to_vec();
            }),
            Self::SwapWords(one, other) => edit(bytes, b' ', |words| {
                let length = words.len();
                words.swap(one.index(length), other.index(length));
            }),
            Self::DeleteLine(at) => edit(bytes, b'\n', |lines| {
                lines.remove(at.index(lines.len()));
            }),
            Self::DuplicateLine(at) => edit(bytes, b'\n', |lines| {
                let at = at.index(lines.len());
                lines.insert(at, lines[at].clone());
            }),
            Self::MoveLine(from, to) => edit(bytes, b'\n', |lines| {
                let line = lines.remove(from.index(lines.len()));
                lines.insert(to.index(lines.len() + 1), line);
            }),
        }
    }
}

/// Changes the parts of `bytes` between `separator`s.
fn edit(bytes: &mut Vec<u8>, separator: u8, change: impl FnOnce(&mut Vec<Vec<u8>>)) {
    let mut parts: Vec<Vec<u8>> = bytes.split(|b| *b == separator).map(<[u8]>::to_vec).collect();
    change(&mut parts);
    *bytes = parts.join(&separator);
}

/// The lines of [`FULL`] that are `key = value # kind`, by number from 1.
fn entries() -> Vec<(usize, &'static str, &'static str)> {
    let entry = |(number, line): (usize, &'static str)| {
        let (key, rest) = line.split_once(" = ")?;
        Some((number + 1, key, rest.rsplit_once(" # ")?.1))
    };
    FULL.lines().enumerate().filter_map(entry).collect()
}

/// [`FULL`] with `text` instead of line `number`.
fn full_but(number: usize, text: &str) -> String {
    let lines: Vec<&str> =
        FULL.lines().enumerate().map(|(at, line)| if at + 1 == number { text } else { line }).collect();
    lines.join("\n") + "\n"
}

/// A file that must be refused, and the line at which.
fn wrong() -> impl Strategy<Value = (String, usize)> {
    prop_oneof![unknown_key(), wrong_type(), out_of_bounds(), wrong_reference()]
}

/// After any line of any table: there is no key that starts so.
fn unknown_key() -> impl Strategy<Value = (String, usize)> {
    let value = select(&["1", "\"x\"", "true", "[]", "{}", "1.5", "1979-05-27"][..]);
    (0..=FULL.lines().count(), "x_[a-z_]{0,12}", value).prop_map(|(after, key, value)| {
        let mut lines: Vec<String> = FULL.lines().map(str::to_owned).collect();
        lines.insert(after, format!("{key} = {value}"));
        (lines.join("\n") + "\n", after + 1)
    })
}

/// None of these is right for any key, except that `truth` takes `true`.
fn wrong_type() -> impl Strategy<Value = (String, usize)> {
    let value = select(
        &["1979-05-27", "07:32:00", "-1", "1.5", "nan", "\"\"", "\" \"", "[[]]", "[{}]", "{ a = 1 }", "true"][..],
    );
    (select(entries()), value)
        .prop_filter("right", |((_, _, kind), value)| !(*kind == "truth" && *value == "true"))
        .prop_map(|((line, key, _), value)| (full_but(line, &format!("{key} = {value}")), line))
}

fn out_of_bounds() -> impl Strategy<Value = (String, usize)> {
    let bounded: Vec<_> =
        entries().into_iter().filter(|(_, _, kind)| !matches!(*kind, "text" | "list" | "truth")).collect();
    (select(bounded), any::<bool>(), 1_000_000_001..u64::MAX).prop_map(|((line, key, kind), above, count)| {
        let number = if above { count.to_string() } else { "0".to_owned() };
        let value = match kind {
            "duration" => format!("\"{number}h\""),
            "size" => format!("\"{number}GiB\""),
            "rate" => format!("\"{number}/s\""),
            // The numbers that may be 0.
            _ if matches!(key, "length" | "waiting") => format!("{count}"),
            _ => number,
        };
        (full_but(line, &format!("{key} = {value}")), line)
    })
}

fn wrong_reference() -> impl Strategy<Value = (String, usize)> {
    let references: Vec<_> =
        entries().into_iter().filter(|(_, key, _)| matches!(*key, "upstream" | "client_limits")).collect();
    (select(references), "[a-z]{1,20}").prop_map(|((line, key, kind), name)| {
        let value = if kind == "list" { format!("[\"x{name}\"]") } else { format!("\"x{name}\"") };
        (full_but(line, &format!("{key} = {value}")), line)
    })
}

#[test]
fn the_file_that_is_changed_is_right() {
    parse(FULL).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(entries().len(), FULL.lines().filter(|line| line.contains('=')).count());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_files_give_a_plan_or_a_report(changes in prop::collection::vec(change(), 1..6)) {
        let mut bytes = FULL.as_bytes().to_vec();
        for change in &changes {
            change.apply(&mut bytes);
        }
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("weir.toml");
        fs::write(&path, &bytes).expect("written");
        if let Err(report) = config::load(&path) {
            assert_well_told(&report, &String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn arbitrary_text_gives_a_report(text in "\\PC*|(\\PC|\n){0,200}|[\\[\\]{}=\"'#.,a1\n -]{0,80}") {
        let report = parse(&text).expect_err("no tables");
        assert_well_told(&report, &text);
    }

    #[test]
    fn wrong_files_are_refused_at_the_line((text, line) in wrong()) {
        let report = parse(&text).expect_err(&text);
        assert_well_told(&report, &text);
        prop_assert!(report.faults().iter().any(|fault| fault.line() == line), "line {} of\n{}\n{}", line, text, report);
    }
}
