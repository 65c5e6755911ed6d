//! A small scenario on real sockets: weir with the right limit passes it; a gate that is too wide, and none at all, do not.
#![expect(clippy::expect_used, reason = "a helper of a test that cannot go on says where")]

mod built;

use std::future::pending;
use std::path::PathBuf;
use std::process::{Command, Output};

use loadtest::overload::catalogue;
use loadtest::overload::room::RoomFigure;
use loadtest::overload::run::Setup;
use loadtest::overload::scenario::{
    Answers, Bound, Capacity, Crowd, Figure, Gateway, Phase, Scenario, Server, Span, Threshold, Waits,
};
use loadtest::overload::suite::{self, Report};

use crate::built::weir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_loadtest");

/// Requests in flight at which the small service does most.
const PEAK_AT: u32 = 8;

/// How often a run is made again on a machine that is too busy for it.
const TRIES: u32 = 5;

/// Five times as many requests for four seconds as a service of 83 a second can serve.
fn small() -> Scenario {
    let threshold = |figure, bound| Threshold { figure, bound };
    let steady = catalogue::all().into_iter().next().expect("steady");
    Scenario {
        name: "small".into(),
        servers: vec![Server {
            capacity: Capacity::Usl { base_time: 0.05, peak_at: PEAK_AT, contention: 0.01 },
            answers: Answers::Work,
        }],
        gateway: Gateway { queue_wait: 1.0, per_client: None },
        crowd: Crowd { phases: vec![Phase { lasts: 4.0, load: 5.0 }], ..steady.crowd },
        measured: Span { from: 1.0, until: 4.0 },
        drain: 1.5,
        thresholds: vec![
            threshold(Figure::Goodput, Bound::AtLeast(0.9)),
            threshold(Figure::WastedWork, Bound::AtMost(0.01)),
            threshold(Figure::OverLimit, Bound::AtMost(0.0)),
        ],
        ..steady
    }
}

/// Seven seconds' work of the same service comes within one, and waits for its turn.
fn room() -> Scenario {
    let threshold = |figure| Threshold { figure: Figure::Room(figure), bound: Bound::AtMost(0.0) };
    let small = small();
    Scenario {
        name: "room".into(),
        crowd: Crowd {
            phases: vec![Phase { lasts: 1.0, load: 7.0 }, Phase { lasts: 11.0, load: 0.0 }],
            waits: Some(Waits { holding: 0.5, hold: 3.0 }),
            ..small.crowd
        },
        drain: 12.0,
        thresholds: [RoomFigure::OutOfOrder, RoomFigure::Contradicted, RoomFigure::Unserved].map(threshold).into(),
        ..small
    }
}

fn judge(weir: Option<PathBuf>, concurrency: u32) -> Report {
    judge_scenario(&small(), weir, concurrency)
}

fn judge_scenario(scenario: &Scenario, weir: Option<PathBuf>, concurrency: u32) -> Report {
    let folder = tempfile::tempdir().expect("temporary folder");
    let setup = Setup { weir, concurrency: concurrency.to_string(), folder: folder.path().into(), repeats: TRIES };
    let report = suite::judge(scenario, 1..2, &setup, |line| eprintln!("{line}"), pending).expect("it runs");
    assert_eq!(report.invalid, None, "a machine that is too busy");
    report
}

fn passes(report: &Report) -> Vec<bool> {
    report.judgements.iter().map(|judgement| judgement.pass).collect()
}

#[test]
fn the_right_limit_passes_and_a_naive_gate_does_not() {
    let right = judge(Some(weir()), PEAK_AT);
    assert!(right.passed(), "{}", right.table());
    let naive = judge(Some(weir()), 100_000);
    // It keeps to its limit and does the service no good; whether anybody was served at all is a matter of luck.
    let passed = passes(&naive);
    assert!(passed.first() == Some(&false) && passed.last() == Some(&true), "{}", naive.table());
}

#[test]
fn without_a_gateway_the_service_collapses_and_nothing_is_known_of_a_limit() {
    let report = judge(None, PEAK_AT);
    let failed = passes(&report);
    assert!(failed.first() == Some(&false) && failed.last() == Some(&false), "{}", report.table());
}

#[test]
fn everybody_in_a_small_room_is_served_in_order_and_without_a_gateway_nothing_is_known_of_it() {
    let waited = judge_scenario(&room(), Some(weir()), PEAK_AT);
    assert!(waited.passed(), "{}", waited.table());
    let brief = Scenario {
        drain: 0.0,
        crowd: Crowd { phases: vec![Phase { lasts: 1.0, load: 7.0 }], ..room().crowd },
        ..room()
    };
    let straight = judge_scenario(&brief, None, PEAK_AT);
    // Nobody was told to wait, nobody says whom he called, and not everybody was served.
    assert_eq!(passes(&straight), [true, false, false], "{}", straight.table());
}

fn loadtest(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().expect("started")
}

#[test]
fn exit_status_tells_missed_thresholds_from_usage_and_trouble() {
    let status = |arguments: &[&str]| loadtest(&[&["overload"], arguments].concat()).status.code();
    assert_eq!(status(&["steady", "nonsense"]), Some(4));
    assert_eq!(status(&["--quick", "steady"]), Some(4));
    assert_eq!(status(&["--quick", "--weir", "/nowhere/weir"]), Some(3));
    let list = loadtest(&["overload", "--quick", "--list"]);
    let said = String::from_utf8_lossy(&list.stdout).into_owned();
    assert!(list.status.success() && said.contains("about 1 min") && said.contains("sink-hole"), "{said}");
    let straight = ["stall", "--no-gateway", "--seeds", "1", "--time-scale", "0.05", "--slower", "4"];
    let missed = (0..TRIES).map(|_| status(&straight)).find(|status| *status != Some(3));
    assert_eq!(missed, Some(Some(1)));
}
