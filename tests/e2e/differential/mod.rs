//! The same bytes through weir, `nginx` and `HAProxy` to a service that writes down what it understands: whatever is sent, what the service
//! gets is what the gateway meant, and nobody's request is hidden in another's.
//!
//! Three readers that share no line of code judge weir: a reader by the letter of RFC 9112 says what was sent, the service's says what
//! arrived, and weir's own access log says what weir thinks it forwarded.

mod grammar;
mod judge;
mod recorder;
mod reference;
mod rivals;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use grammar::{Case, case};
use judge::{COLUMNS, Outcome, judge};
use recorder::{Heard, Recorder};
use rivals::{Rival, versions};

use crate::weir::{PATIENCE, Weir, one_route};

/// Connections, each with bytes of its own; `WEIR_LONG` makes it as many times more.
const CASES: usize = 2_700;
const LONG: usize = 20;
/// So many at once, each lane to a service of its own.
const LANES: usize = 8;
/// A gateway that says nothing for so long waits for more: the client leaves.
const SILENCE: Duration = Duration::from_millis(300);

/// Cases in a row of which a service may hear nothing: all refused.
const NEAR: usize = 16;

/// What a gateway made of everything.
struct Run {
    name: &'static str,
    outcomes: Vec<Outcome>,
}

/// Sends every case, lane by lane, and judges.
fn run(name: &'static str, cases: &[Case], ways: &[SocketAddr], origins: &[Recorder]) -> Run {
    std::thread::scope(|scope| {
        for (lane, way) in ways.iter().enumerate() {
            scope.spawn(move || cases.iter().skip(lane).step_by(LANES).for_each(|case| send(*way, case)));
        }
    });
    let mut heard: HashMap<usize, Vec<Heard>> = HashMap::new();
    for (lane, origin) in origins.iter().enumerate() {
        let mut number = lane;
        for what in origin.heard() {
            number = number_of(&what, number);
            heard.entry(number).or_default().push(what);
        }
    }
    let outcome = |case: &Case| judge(case, heard.get(&case.number).map_or(&[], Vec::as_slice));
    Run { name, outcomes: cases.iter().map(outcome).collect() }
}

/// Sends a case and waits for the end of what comes back.
fn send(way: SocketAddr, case: &Case) {
    let mut stream = TcpStream::connect(way).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    // It may be refused before it was read.
    stream.write_all(&case.bytes).ok();
    stream.read_to_end(&mut Vec::new()).ok();
}

/// The case that a request was part of: the number that its target and its field agree on, or else one of the two that is of the same
/// lane and not long after `last`. What has lost it belongs to its neighbour in time.
fn number_of(heard: &Heard, last: usize) -> usize {
    let (target, field) = match heard {
        Heard::Message(message) => (message.target.clone(), message.value("x-case").unwrap_or_default()),
        Heard::Garbage(_, bytes) => {
            let text = String::from_utf8_lossy(bytes);
            let field = text.split("x-case: ").nth(1).unwrap_or_default();
            (text.split(' ').nth(1).unwrap_or_default().to_owned(), field.to_owned())
        }
        Heard::Cut => return last,
    };
    let numbers = |text: &str| -> Vec<usize> {
        text.split(|letter: char| !letter.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
    };
    let (target, field) = (numbers(&target), numbers(&field));
    let is_near = |number: &&usize| **number % LANES == last % LANES && (last..last + NEAR * LANES).contains(*number);
    let agreed = target.iter().find(|number| field.first() == Some(number));
    *agreed.or_else(|| target.iter().chain(&field).find(is_near)).unwrap_or(&last)
}

/// Holds weir's access log of one lane against what its service got: each request that arrived was meant, once and with as many bytes; each
/// that was answered arrived.
fn what_was_meant(weir: &Weir, origin: &Recorder) -> Vec<String> {
    let log = weir.access_log();
    let mut meant: HashMap<String, serde_json::Value> = HashMap::new();
    for line in log.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        meant.insert(record["request_id"].as_str().unwrap().to_owned(), record);
    }
    let mut wrong = Vec::new();
    for heard in origin.heard() {
        let Heard::Message(message) = heard else { continue };
        let id = message.value("x-request-id").unwrap_or_default();
        let Some(record) = meant.remove(&id) else {
            wrong.push(format!("{} {} was never meant, or came twice", message.method, message.target));
            continue;
        };
        let bytes = record["bytes_in"].as_u64().unwrap();
        if record["method"] != *message.method || bytes != message.body.len() as u64 || record["verdict"] != "admit" {
            wrong.push(format!("{record} arrived as {} {}", message.method, message.target));
        }
    }
    let lost = meant.values().filter(|record| record["status"] == 200);
    wrong.extend(lost.map(|record| format!("{record} never arrived")));
    wrong
}

fn weirs(cases: &[Case], origins: &[Recorder]) -> Run {
    let weirs: Vec<Weir> =
        origins.iter().map(|origin| Weir::start(&one_route(origin.address, 64, "upgrade = true"))).collect();
    let ways: Vec<SocketAddr> = weirs.iter().map(|weir| weir.http).collect();
    let run = run("weir", cases, &ways, origins);
    for (weir, origin) in weirs.iter().zip(origins) {
        weir.wait_for_rest();
        // The log is written behind the answers.
        let is_told = crate::weir::within(PATIENCE, || what_was_meant(weir, origin).is_empty());
        assert!(is_told, "{}", what_was_meant(weir, origin).join("\n"));
        let metrics = weir.metrics();
        assert_eq!(metrics.value("weir_connections_ended_total{cause=\"panicked\"}"), 0);
        assert_eq!(metrics.sum("weir_requests_total{reason=\"internal\""), 0);
        assert_eq!(crate::client::get(weir.http, "/after").status, 200, "it still serves");
    }
    run
}

fn through(rival: fn(&[SocketAddr]) -> Rival, name: &'static str, cases: &[Case]) -> Run {
    let origins: Vec<Recorder> = (0..LANES).map(|_| Recorder::start()).collect();
    let rival = rival(&origins.iter().map(|origin| origin.address).collect::<Vec<_>>());
    run(name, cases, &rival.ways_in, &origins)
}

/// Outcomes by family and gateway, and where the gateways differ.
fn table(cases: &[Case], runs: &[Run]) -> String {
    let mut text = format!("{} connections; {}\n\n", cases.len(), versions());
    writeln!(text, "{:<16}{:<10}{}", "family", "gateway", COLUMNS.map(|name| format!("{name:>11}")).concat()).unwrap();
    let mut counts: BTreeMap<(&str, usize), [usize; COLUMNS.len()]> = BTreeMap::new();
    let mut differences: BTreeMap<(&str, String), (usize, usize)> = BTreeMap::new();
    for (at, case) in cases.iter().enumerate() {
        for (gateway, run) in runs.iter().enumerate() {
            counts.entry((case.family, gateway)).or_default()[run.outcomes[at].column()] += 1;
        }
        let columns: Vec<_> = runs.iter().map(|run| run.outcomes[at].column()).collect();
        if columns.iter().any(|column| *column != columns[0]) {
            let what: Vec<_> =
                runs.iter().zip(columns).map(|(run, column)| format!("{} {}", run.name, COLUMNS[column])).collect();
            differences.entry((case.family, what.join(", "))).or_insert((0, case.number)).0 += 1;
        }
    }
    for ((family, gateway), counts) in &counts {
        let counts = counts.map(|count| format!("{count:>11}")).concat();
        writeln!(text, "{family:<16}{:<10}{counts}", runs[*gateway].name).unwrap();
    }
    text.push_str("\nWhere they differ, how often, and the number of one such case:\n");
    for ((family, what), (count, number)) in differences {
        writeln!(text, "{family:<16}{count:>5}  {what} (case {number})").unwrap();
    }
    text
}

/// Those of `run` that ended so, with their bytes.
fn list(run: &Run, cases: &[Case], is_listed: impl Fn(&Outcome) -> bool) -> Vec<String> {
    let listed = cases.iter().zip(&run.outcomes).filter(|(_, outcome)| is_listed(outcome));
    listed
        .map(|(case, how)| format!("case {} ({}): {how:?}\n  {}", case.number, case.family, case.bytes.escape_ascii()))
        .collect()
}

#[test]
fn what_arrives_is_what_was_sent_and_meant() {
    let times = if std::env::var_os("WEIR_LONG").is_some() { LONG } else { 1 };
    let cases: Vec<Case> = (0..CASES * times).map(case).collect();
    let origins: Vec<Recorder> = (0..LANES).map(|_| Recorder::start()).collect();
    let runs =
        [weirs(&cases, &origins), through(Rival::nginx, "nginx", &cases), through(Rival::haproxy, "haproxy", &cases)];
    let table = table(&cases, &runs);
    println!("{table}");
    let wrong = list(&runs[0], &cases, |outcome| *outcome > Outcome::Tolerated);
    let odd = runs.each_ref().map(|run| [run.name, &list(run, &cases, |o| o.column() > 1).join("\n"), ""].join("\n"));
    // To be read by whoever wants to know more than that it passed.
    std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/differential.txt"), table + &odd.concat()).unwrap();
    assert!(wrong.is_empty(), "weir:\n{}", wrong.join("\n"));
    let [ours, nginx, haproxy] =
        runs.each_ref().map(|run| run.outcomes.iter().filter(|o| **o == Outcome::Exact).count());
    assert!(ours * 2 > nginx.max(haproxy), "it refuses what is clear: {ours} of {nginx} and {haproxy}");
}
