//! A report in all its forms: nothing is fetched, nothing gets out of its place, everything is named.

use super::series::{Disturbance, Kind, Looked, Reconciled, Second, Spectrum, Used, Wait};
use super::*;
use crate::figure::{Bound, Figure, Threshold};
use crate::ledger::RequestId;
use crate::oracle::{Checked, Doubt, Finding, Invariant, Offender, State, Verdict, Who};

const EVIL: &str = "<script>alert('x')</script>&\"]]>";

/// A report of a run that went wrong in every way, with names that somebody made up to do harm.
fn report() -> Report {
    let finding = |invariant| Finding {
        invariant,
        state: State::Holds,
        count: 0,
        judged: 10,
        note: String::new(),
        offenders: Vec::new(),
    };
    let mut invariants: Vec<_> = Invariant::ALL.into_iter().map(finding).collect();
    let who = Who::Request(RequestId { person: 17, request: 3 });
    let offenders = vec![Offender { who, at: 1_500_000, what: EVIL.to_owned() }];
    invariants[0] = Finding { state: State::Broken, count: 1, offenders, ..finding(Invariant::Lost) };
    invariants[4] = Finding { state: State::NotJudged, note: EVIL.to_owned(), ..finding(Invariant::Quota) };
    let threshold = |figure, bound, value, state| Checked { threshold: Threshold { figure, bound }, value, state };
    let judgement = Judgement {
        invariants,
        figures: Figure::ALL.into_iter().map(|figure| (figure, f64::NAN)).collect(),
        thresholds: vec![
            threshold(Figure::Goodput, Bound::AtLeast(0.9), 0.5, State::Broken),
            threshold(Figure::LagP99, Bound::AtMost(0.05), 0.01, State::Holds),
        ],
        doubts: vec![Doubt::Short(3), Doubt::Busy { worker: EVIL.to_owned(), seconds: 6.0 }],
        verdict: Verdict::Invalid,
    };
    let fingerprint = Fingerprint {
        scenario: EVIL.to_owned(),
        shows: EVIL.to_owned(),
        gateway: EVIL.to_owned(),
        folder: format!("/tmp/{EVIL}"),
        versions: BTreeMap::from([("gateway".to_owned(), EVIL.to_owned())]),
        ..Fingerprint::default()
    };
    Report { fingerprint, judgement, series: series(60, 40) }
}

/// A series of so many seconds, and so many dots in each cloud.
fn series(seconds: u32, dots: u32) -> Series {
    let second = |at: u32| Second {
        arrived: at % 97,
        capacity: 60.0,
        sent: at % 89,
        outcomes: [at % 7; 9],
        ..Second::default()
    };
    let at = |index: u32| f64::from(index);
    let cloud: Vec<_> = (0..dots).map(|index| (at(index % 320), at(index / 320))).collect();
    let points: Vec<_> = (0..120).map(|step| (10_f64.powf(at(step) / 20.0), 0.5)).collect();
    Series {
        bottleneck: EVIL.to_owned(),
        faults: vec![Disturbance { from: 1.0, until: 9.0, what: EVIL.to_owned() }],
        seconds: (0..seconds).map(second).collect(),
        waits: (0..240).map(|index| Wait { at: at(index), told: 5.0, told_p90: 9.0, truth: 6.0 }).collect(),
        promises: cloud.clone(),
        order: cloud.clone(),
        slips: cloud,
        spectra: vec![Spectrum { name: EVIL.to_owned(), count: 9, points }],
        personas: vec![Kind { name: EVIL.to_owned(), people: 5, ..Kind::default() }],
        stages: vec![Reconciled { stage: EVIL.to_owned(), told_only: 1, ..Reconciled::default() }],
        processes: (0..8)
            .map(|process| {
                let used = |index: u32| Used { at: at(index), cpu: 0.5, memory: 1 << 24, descriptors: 9 };
                (format!("{EVIL}{process}"), (0..seconds).map(used).collect())
            })
            .collect(),
        gateway: (0..20)
            .map(|upstream| {
                let looked = |index| Looked { at: at(index), limit: 64.0, ..Looked::default() };
                (format!("{EVIL}{upstream}"), (0..2_000).map(looked).collect())
            })
            .collect(),
        rooms: (0..2_000).map(|index| (at(index), 9)).collect(),
        ..Series::default()
    }
}

/// Whether every tag of `text` is closed in order and has no bare `<` or `&` about it.
fn well_formed(text: &str) -> bool {
    let body = text.strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>").expect("a declaration");
    let (mut open, mut rest) = (Vec::new(), body);
    while let Some((before, after)) = rest.split_once('<') {
        let (tag, next) = after.split_once('>').expect("a tag ends");
        assert!(!tag.contains('<') && !before.contains('>'), "{before} <{tag}");
        for reference in before.split('&').skip(1).chain(tag.split('&').skip(1)) {
            let name = reference.split(';').next().expect("a part");
            assert!(["amp", "lt", "gt", "quot", "#39"].contains(&name), "{reference}");
        }
        let name = tag.trim_start_matches('/').split([' ', '/']).next().expect("a name");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(name);
        }
        assert!(tag.matches('"').count() % 2 == 0, "{tag}");
        rest = next;
    }
    open.is_empty()
}

#[test]
fn programs_that_build_read_each_invariant_and_threshold() {
    let suite = junit::suite(&report());
    assert!(well_formed(&suite), "{suite}");
    for invariant in Invariant::ALL {
        assert!(suite.contains(&format!("name=\"{} {}:", invariant.id(), invariant.name())), "{suite}");
    }
    assert!(suite.contains("tests=\"14\" failures=\"2\" errors=\"1\" skipped=\"1\""), "{suite}");
    assert!(suite.contains("loadtest trace") && suite.contains(" 17-3") && suite.contains("goodput ≥ 90.00 %"));
    assert!(well_formed(&died("a<b", "\u{1}&")));
}

#[test]
fn the_page_stands_alone_and_names_everything() {
    let page = html::page(&report());
    for wanted in ["http:", "https:", "url(", "src=", "@import", "<link", "<script"] {
        assert!(!page.contains(wanted), "{wanted}");
    }
    for name in Invariant::ALL.map(Invariant::name).into_iter().chain(Figure::ALL.map(Figure::name)) {
        assert!(page.contains(name), "{name}");
    }
    assert!(page.contains("INVALID") && page.contains("BROKEN") && page.contains("MISSED"));
    assert!(page.contains("prefers-color-scheme:dark") && page.contains("@media print"));
    // The command is one word of a shell, and then text of the page.
    assert!(page.contains("loadtest trace &#39;/tmp/&lt;script&gt;"), "{page}");
}

#[test]
fn the_page_of_any_run_is_short() {
    let longest = Report { series: series(172_800, 320 * 90), ..report() };
    let length = html::page(&longest).len();
    assert!(length <= PAGE_MAX, "{length}");
}

#[test]
fn what_is_written_down_is_read_again() {
    let report = report();
    let json = serde_json::to_value(&report).expect("JSON");
    let series: Series = serde_json::from_value(json["series"].clone()).expect("a series");
    assert_eq!(series, report.series);
    assert_eq!(json["judgement"]["verdict"], "invalid");
    assert_eq!(json["judgement"]["invariants"][0]["offenders"][0]["who"], "request 17-3");
}

#[test]
fn a_table_has_a_line_a_figure_and_one_a_second() {
    let report = report();
    let figures = csv::figures(&report);
    assert_eq!(figures.lines().count(), 1 + Figure::ALL.len() + Invariant::ALL.len());
    assert!(figures.contains("\ngoodput,,>=,0.9,false\n") && figures.contains("\nI1 lost,1,<=,0,false\n"), "{figures}");
    let seconds = csv::seconds(&report.series);
    assert_eq!(seconds.lines().count(), 61);
    let columns = |line: &str| line.split(',').count();
    assert!(seconds.lines().all(|line| columns(line) == 19), "{seconds}");
}
