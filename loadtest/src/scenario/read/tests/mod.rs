//! What a file means, and how it is told what is wrong with one.

mod reference;

use std::path::Path;
use std::time::Duration;

use weir::config::Report;

use super::{Beside, parse};
use crate::figure::{Bound, Figure};
use crate::scenario::fault::{GatewayFault, NetworkFault, ServiceFault, Side};
use crate::scenario::persona::{Attack, Protocol, Source, Spread, Waits};
use crate::scenario::{Curve, FaultKind, Process, Scenario};

/// The least there is; the tests below count on its lines.
const LEAST: &str = r#"version = 1
duration = "20s"
[[service]]
name = "registration"
capacity = "400/s"
[[stage]]
name = "register"
path = "/register"
service = "registration"
[[arrivals]]
people = 8000
over = "20s"
"#;

const TOP: usize = 2;
const SERVICE: usize = 5;
const STAGE: usize = 9;
const ARRIVALS: usize = 12;

fn read(text: &str) -> Result<Scenario, Report> {
    parse(text, Path::new("rush.toml"), "rush", Beside::Trusted(Path::new("somewhere")))
}

fn good(text: &str) -> Scenario {
    read(text).unwrap_or_else(|report| panic!("{text}\n{report}"))
}

/// [`LEAST`] with `text` after its line `line`.
fn with(line: usize, text: &str) -> String {
    let mut lines: Vec<&str> = LEAST.lines().collect();
    lines.insert(line, text);
    lines.join("\n") + "\n"
}

/// [`LEAST`] with `text` instead of its last two lines.
fn coming(text: &str) -> String {
    let lines: Vec<&str> = LEAST.lines().take(ARRIVALS - 2).collect();
    lines.join("\n") + "\n" + text + "\n"
}

/// `text` has exactly one fault, at `line`, with a caret, and its report contains `said`.
fn assert_refused(text: &str, line: usize, said: &str) {
    let report = read(text).expect_err(text);
    let rendered = report.to_string();
    assert_eq!(report.faults().len(), 1, "one fault in\n{text}\n{rendered}");
    assert_eq!(report.faults().first().map(weir::config::Fault::line), Some(line), "line in\n{text}\n{rendered}");
    assert!(rendered.contains(said) && rendered.contains('^'), "{said:?} in\n{text}\n{rendered}");
}

#[test]
fn the_least_is_enough() {
    let scenario = good(LEAST);
    assert_eq!((scenario.name.as_str(), scenario.shows.as_str(), scenario.seed), ("rush", "", 20_200_411));
    assert_eq!((scenario.duration, scenario.drain), (Duration::from_secs(20), Duration::from_secs(30)));
    assert_eq!((scenario.measured_from, scenario.quota), (Duration::from_secs(5), None));
    assert_eq!(scenario.gateway.config, Path::new("somewhere/weir.toml"));
    let [service] = &scenario.services[..] else { panic!("one was written") };
    assert_eq!((service.servers, service.reserve, service.in_flight, service.work_shape), (1, 0, 10_000, 4));
    assert!((service.curve.capacity() - 400.0).abs() < 1e-9 && service.idempotent && service.needs.is_empty());
    assert!((service.curve.throughput(40) - 400.0).abs() < 1e-9, "the knee stands at a tenth of a second's requests");
    let [stage] = &scenario.stages[..] else { panic!("one was written") };
    assert_eq!((stage.service, stage.body, stage.entrance, stage.goes_on), (0, 512, true, 1.0));
    assert!((scenario.people() - 8_000.0).abs() < 1e-6, "{}", scenario.people());
    let [persona] = &scenario.personas[..] else { panic!("everybody is patient") };
    assert_eq!((persona.name.as_str(), persona.share, persona.waits), ("patient", 1.0, Waits::Poll));
    assert!(scenario.thresholds.is_empty() && scenario.faults.is_empty());
}

#[test]
fn every_form_of_arrivals() {
    let curve = |text: &str| good(&coming(text)).arrivals.remove(0).curve;
    let secs = Duration::from_secs;
    assert_eq!(curve("people = 80000\nat = \"5s\""), Curve::AtOnce { at: secs(5), people: 80_000 });
    assert_eq!(curve("people = 60\nover = \"10s\"\nat = \"1s\""), Curve::Points(vec![(secs(1), 6.0), (secs(11), 6.0)]));
    assert_eq!(
        curve("curve = [[\"0s\", \"60/m\"], [\"5s\", \"60/m\"], [\"5s\", \"0/s\"], [\"20s\", \"7200/h\"]]"),
        Curve::Points(vec![(secs(0), 1.0), (secs(5), 1.0), (secs(5), 0.0), (secs(20), 2.0)])
    );
    let trace = good(&coming("trace = [[\"0s\", 3], [\"7s\", 0], [\"8s\", 12]]\nprocess = \"uniform\""));
    assert_eq!(trace.arrivals[0].curve, Curve::Trace(vec![(secs(0), 3), (secs(7), 0), (secs(8), 12)]));
    assert_eq!(trace.arrivals[0].process, Process::Uniform);
    assert!((trace.people() - 15.0).abs() < 1e-9);
}

#[test]
fn every_form_of_a_persona() {
    let text = r#"[[persona]]
like = "carrier_phone"
share = "60 %"
patience = { median = "8m", sigma = 0.8 }
answer_patience = ["5s", "20s"]
think = { mean = "2s" }
impatience = "1s"
waits = { hold = "20s" }
protocol = { http2 = 250 }
upload = "64KiB/s"
keeps.cookie = "90 %"
[[persona]]
name = "bot"
like = "retry_bot"
share = 0.399
attack = { slow_head = "10B/s" }
source = { office = 30 }
tabs = { probability = 0.5, further = 3 }
[[persona]]
name = "third"
share = "0.1 %"
attack = { flood = 9 }
"#;
    let scenario = good(&(LEAST.to_owned() + text));
    let [phone, bot, third] = &scenario.personas[..] else { panic!("three were written") };
    assert_eq!((phone.name.as_str(), phone.source), ("carrier_phone", Source::Shared(5_000)));
    assert_eq!(phone.patience, Spread::Lognormal(Duration::from_mins(8), 0.8));
    assert_eq!(phone.answer_patience, Spread::Even(Duration::from_secs(5), Duration::from_secs(20)));
    assert_eq!(phone.think, Spread::Exponential(Duration::from_secs(2)));
    assert_eq!(phone.impatience, Spread::Fixed(Duration::from_secs(1)));
    assert_eq!((phone.waits, phone.protocol), (Waits::Hold(Duration::from_secs(20)), Protocol::Http2 { people: 250 }));
    assert_eq!((phone.upload, phone.keeps.cookie, phone.keeps.ticket_header), (Some(64 << 10), 0.9, true));
    assert_eq!((bot.name.as_str(), bot.honours_retry_after, bot.fastest), ("bot", 0.0, 5.0));
    assert_eq!((bot.attack, bot.source), (Some(Attack::SlowHead { rate: 10 }), Source::Office(30)));
    assert_eq!((bot.tabs.probability, bot.tabs.further), (0.5, 3));
    assert_eq!(third.attack, Some(Attack::Flood { connections: 9 }));
}

#[test]
fn faults_are_put_in_order_of_time() {
    let text = r#"[[fault]]
kind = "network.delay"
at = "9s"
lasts = "2s"
by = "50ms"
side = "services"
[[fault]]
kind = "gateway.kill"
at = "5s"
lasts = "1s"
[[fault]]
kind = "service.add_servers"
at = "7s"
service = "registration"
servers = 2
[[fault]]
kind = "service.speed"
at = "7s"
lasts = "1s"
service = "registration"
server = 2
left = 0.5
"#;
    let scenario = good(&(with(SERVICE, "reserve = 2") + text));
    let kinds: Vec<_> =
        scenario.faults.iter().map(|fault| (fault.at.as_secs(), fault.lasts.as_secs(), fault.kind)).collect();
    let delay = NetworkFault::Delay { by: Duration::from_millis(50), jitter: Duration::ZERO };
    assert_eq!(
        kinds,
        [
            (5, 1, FaultKind::Gateway(GatewayFault::Kill)),
            (7, 0, FaultKind::Service { service: 0, server: None, kind: ServiceFault::AddServers(2) }),
            (7, 1, FaultKind::Service { service: 0, server: Some(2), kind: ServiceFault::Speed(0.5) }),
            (9, 2, FaultKind::Network { side: Side::Services, kind: delay }),
        ]
    );
}

#[test]
fn thresholds_in_every_unit() {
    let text = "[thresholds]\ngoodput = \">= 98 %\"\nover_limit = \"<= 0\"\ncold_start = \"<= 3s\"\ngateway_cpu = \"<= 25us\"\n\
                gateway_memory = \"<= 400MiB\"\namplification = \"<= 1.02\"\nwasted_work = \"<= 0.1%\"\nanswer_p99 = \"<= 1.5s\"\n";
    let scenario = good(&(LEAST.to_owned() + text));
    let bound = |figure| scenario.thresholds.iter().find(|one| one.figure == figure).map(|one| one.bound);
    assert_eq!(scenario.thresholds.len(), 8);
    assert_eq!(bound(Figure::Goodput), Some(Bound::AtLeast(0.98)));
    assert_eq!(bound(Figure::OverLimit), Some(Bound::AtMost(0.0)));
    assert_eq!(bound(Figure::ColdStart), Some(Bound::AtMost(3.0)));
    assert_eq!(bound(Figure::GatewayCpu), Some(Bound::AtMost(25.0 * 1e-6)));
    assert_eq!(bound(Figure::GatewayMemory), Some(Bound::AtMost(419_430_400.0)));
    assert_eq!(bound(Figure::Amplification), Some(Bound::AtMost(1.02)));
    assert_eq!(bound(Figure::WastedWork), Some(Bound::AtMost(0.001)));
    assert_eq!(bound(Figure::AnswerP99), Some(Bound::AtMost(1.5)));
}

#[test]
fn single_values() {
    let cases = [
        (TOP, "drain = 5", 3, "did you mean \"5s\"?"),
        (TOP, "sede = 5", 3, "did you mean `seed`?"),
        (TOP, "measured_from = \"20s\"", 3, "nothing would be measured"),
        (TOP, "quota = 0", 3, "a whole number from 1 to 67108864"),
        (SERVICE, "law = \"us\"", 6, "did you mean \"usl\"?"),
        (SERVICE, "slope = 0.1", 6, "unknown key `slope`"),
        (SERVICE, "law = \"kink\"\ncontention = 0.1", 7, "unknown key `contention`"),
        (SERVICE, "contention = 1.5", 6, "a number from 0 to 0.9"),
        (SERVICE, "failures = { hang = 5 }", 6, "did you mean \"5 %\"?"),
        (SERVICE, "failures = { hang = \"5\" }", 6, "with \" %\", or without the quotes"),
        (SERVICE, "failures = { hang = \"60 %\", lost_reply = 0.5 }", 3, "sum to 110.0 %"),
        (SERVICE, "needs = [\"nik\"]", 6, "there is no [[service]] with the name \"nik\""),
        (SERVICE, "needs = [\"registration\"]", 6, "needs itself"),
        (STAGE, "body = \"3 MiB\"", 10, "did you mean \"3MiB\"?"),
        (STAGE, "goes_on = 0.5", 10, "there is nothing to go on to"),
        (ARRIVALS, "curve = [[\"0s\", \"1/s\"], [\"9s\", \"1/s\"]]", 11, "unknown key `people`"),
        (ARRIVALS, "process = \"poison\"", 13, "did you mean \"poisson\"?"),
        (ARRIVALS, "at = \"1s\"", 13, "nobody would come so late"),
        (ARRIVALS, "personas = [\"bot\"]", 13, "there is no [[persona]] with the name \"bot\""),
        (ARRIVALS, "[thresholds]\ngoodput = \"98 %\"", 14, "begins with \">=\" or \"<=\""),
        (ARRIVALS, "[thresholds]\ngoodput = \"> 98 %\"", 14, "did you mean \">= 98 %\"?"),
        (ARRIVALS, "[thresholds]\ngoodput = \"<= 100 %\"", 14, "always holds"),
        (ARRIVALS, "[thresholds]\nover_limit = \">= 0\"", 14, "always holds"),
        (ARRIVALS, "[thresholds]\ncold_start = \"<= 3\"", 14, "a bound such as \"<= 2s\""),
        (ARRIVALS, "[thresholds]\ngodput = \">= 98 %\"", 14, "did you mean `goodput`?"),
    ];
    for (after, text, line, said) in cases {
        let text = with(after, text);
        if said.contains("`people`") {
            // `over` is in the way as well.
            assert_eq!(read(&text).expect_err(&text).faults().len(), 2);
            continue;
        }
        assert_refused(&text, line, said);
    }
}

#[test]
fn personas_and_faults() {
    let cases = [
        ("[[persona]]\nshare = 1", 13, "[[persona]] has no `name`"),
        ("[[persona]]\nlike = \"patien\"", 14, "did you mean \"patient\"?"),
        ("[[persona]]\nlike = \"patient\"\nshare = \"90 %\"", 15, "sum to 90.0 %, not 100 %"),
        ("[[persona]]\nlike = \"tabs\"\nshare = 0.5\n[[persona]]\nlike = \"forger\"", 16, "has no `share`"),
        ("[[persona]]\nname = \"a\"\npatience = { mean = \"2s\", sigma = 1 }", 15, "unknown key `sigma`"),
        ("[[persona]]\nname = \"a\"\npatience = { median = \"2s\" }", 15, "has no `sigma`"),
        ("[[persona]]\nname = \"a\"\npatience = [\"9s\", \"2s\"]", 15, "the lesser one first"),
        ("[[persona]]\nname = \"a\"\npatience = [\"9s\"]", 15, "two values"),
        ("[[persona]]\nname = \"a\"\npatience = 9", 15, "a duration, [\"5s\""),
        ("[[persona]]\nname = \"a\"\nsource = { nat = 5 }", 15, "unknown key `nat`"),
        ("[[persona]]\nname = \"a\"\ntabs = { probability = 1, further = 6 }", 15, "a whole number from 1 to 5"),
        ("[[persona]]\nname = \"a\"\nupload = \"5KiB\"", 15, "did you mean \"5KiB/s\"?"),
        ("[[persona]]\nname = \"a\"\nattack = \"forget\"", 15, "did you mean \"forge\"?"),
        ("[[persona]]\nname = \"a\"\nfastest = \"0/s\"", 15, "a rate such as"),
        ("[[fault]]\nkind = \"gateway.kil\"\nat = \"1s\"\nlasts = \"1s\"", 14, "did you mean \"gateway.kill\"?"),
        ("[[fault]]\nkind = \"gateway.kill\"\nat = \"1s\"", 13, "[[fault]] has no `lasts`"),
        ("[[fault]]\nkind = \"gateway.reload\"\nat = \"1s\"\nlasts = \"1s\"", 16, "unknown key `lasts`"),
        ("[[fault]]\nkind = \"gateway.reload\"\nat = \"20s\"", 15, "is not before the end, 20s"),
        ("[[fault]]\nkind = \"gateway.pause\"\nat = \"19s\"\nlasts = \"2s\"", 16, "the fault ends at 21s"),
        (
            "[[fault]]\nkind = \"service.stall\"\nat = \"1s\"\nlasts = \"1s\"\nservice = \"regis\"",
            17,
            "did you mean \"registration\"?",
        ),
        (
            "[[fault]]\nkind = \"service.stall\"\nat = \"1s\"\nlasts = \"1s\"\nservice = \"registration\"\nserver = 1",
            18,
            "counted from 0 to 0",
        ),
        (
            "[[fault]]\nkind = \"service.add_servers\"\nat = \"1s\"\nservice = \"registration\"\nservers = 1",
            14,
            "has 0 in reserve, not 1",
        ),
        (
            "[[fault]]\nkind = \"service.speed\"\nat = \"1s\"\nlasts = \"1s\"\nservice = \"registration\"\nleft = 0",
            18,
            "a number from 0.01 to 10",
        ),
    ];
    for (text, line, said) in cases {
        let text = LEAST.to_owned() + text + "\n";
        if said.contains("`nat`") {
            assert!(read(&text).expect_err(&text).to_string().contains("known here: shared"));
            continue;
        }
        assert_refused(&text, line, said);
    }
}

#[test]
fn times_of_a_curve() {
    let cases = [
        ("curve = [[\"0s\", \"9/s\"], [\"21s\", \"9/s\"]]", 11, "21s is after the end of the arrivals, 20s"),
        ("curve = [[\"9s\", \"9/s\"], [\"2s\", \"9/s\"], [\"10s\", \"9/s\"]]", 11, "2s comes before 9s"),
        ("curve = [[\"0s\", \"9/s\"], [\"2s\", \"9/s\"], [\"2s\", \"8/s\"], [\"2s\", \"7/s\"]]", 11, "two make a step"),
        ("curve = [[\"0s\", \"0/s\"], [\"9s\", \"0/s\"]]", 10, "nobody comes"),
        ("curve = [[\"0s\", \"9/s\"]]", 10, "nobody comes"),
        ("curve = [[\"0s\", \"9000000/s\"], [\"9s\", \"9000000/s\"]]", 10, "81000000 people come, more than 10000000"),
        ("curve = [[\"0s\", 9], [\"9s\", \"9/s\"]]", 11, "did you mean \"9/s\"?"),
        ("curve = [\"0s\", \"9s\"]", 11, "a point such as"),
        ("curve = []", 11, "found an empty list"),
        ("trace = [[\"0s\", 3], [\"0s\", 4]]", 11, "once is enough"),
        ("trace = [[\"0s\", -3]]", 11, "a whole number from 0"),
        ("people = 8", 11, ""),
    ];
    for (text, line, said) in cases {
        let text = coming(text);
        match said {
            "" => assert!((good(&text).people() - 8.0).abs() < 1e-9),
            said if text.contains("\"0s\", \"9s\"") => {
                assert!(read(&text).expect_err(&text).to_string().contains(said));
            }
            said => assert_refused(&text, line, said),
        }
    }
}

#[test]
fn who_needs_whom() {
    let service =
        |name: &str, needs: &str| format!("[[service]]\nname = \"{name}\"\ncapacity = \"9/s\"\nneeds = [{needs}]\n");
    let ministries = service("nik", "\"dukcapil\", \"dtks\"") + &service("dukcapil", "") + &service("dtks", "");
    let scenario = good(&(with(SERVICE, "needs = [\"nik\"]") + &ministries));
    assert_eq!(scenario.services[0].needs, [1]);
    assert_eq!(scenario.services[1].needs, [2, 3]);
    let circle = with(SERVICE, "needs = [\"a\"]") + &service("a", "\"b\"") + &service("b", "\"a\"");
    assert_refused(&circle, 21, "needs itself");
    assert_refused(&(LEAST.to_owned() + &service("idle", "")), 14, "no stage and no other service uses");
}

#[test]
fn stages_have_one_path_each_and_one_entrance() {
    let stage = |name: &str, path: &str, more: &str| {
        format!("[[stage]]\nname = \"{name}\"\npath = \"{path}\"\nservice = \"registration\"\n{more}\n")
    };
    assert_refused(&(LEAST.to_owned() + &stage("two", "/register?step=2", "")), 15, "knows the stage by its path");
    assert_refused(&(LEAST.to_owned() + &stage("register", "/2", "")), 14, "two [[stage]] have the name");
    let two = with(STAGE, "entrance = true") + &stage("two", "/2", "entrance = true");
    assert_refused(&two, 18, "there are two entrances");
    let none = good(&(with(STAGE, "entrance = false\ngoes_on = \"74.2 %\"") + &stage("two", "/2", "")));
    assert!(none.stages.iter().all(|stage| !stage.entrance));
    assert_eq!(none.stages.iter().map(|stage| stage.goes_on).collect::<Vec<_>>(), [0.742, 1.0]);
    let later = good(&(LEAST.to_owned() + &stage("two", "/2", "entrance = true")));
    assert_eq!(later.stages.iter().map(|stage| stage.entrance).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn everything_wrong_at_once() {
    let text = "verson = 1\nduration = 20\n[[service]]\nname = \"a b\"\ncapacity = 400\n[[stage]]\nname = \"s\"\npath = \"s\"\n\
                service = \"x\"\n[[arrivals]]\npeople = 0\n[thresholds]\ngoodput = 98\n";
    let report = read(text).expect_err("nothing is right");
    let lines: Vec<usize> = report.faults().iter().map(weir::config::Fault::line).collect();
    assert_eq!(lines, [1, 1, 2, 4, 5, 8, 11, 13], "{report}");
    assert_eq!(read("").expect_err("nothing").faults().len(), 5);
    assert!(read("a = [").expect_err("no TOML").to_string().contains("this is not TOML"));
}

#[test]
fn the_gateways_configuration_must_be_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rush.toml");
    std::fs::write(&path, LEAST.to_owned() + "[gateway]\nconfig = \"mine.toml\"\n").expect("written");
    let report = super::read(&path).expect_err("it is not there");
    assert_eq!(report.faults().first().map(weir::config::Fault::line), Some(14), "{report}");
    assert_eq!(super::read_copy(&path, "other").expect("a copy").name, "other");
    std::fs::write(folder.path().join("mine.toml"), "{service:nik}").expect("written");
    let report = super::read(&path).expect_err("it asks for a service that is not there").to_string();
    assert!(report.contains("rush.toml:14:10") && report.contains("no such service"), "{report}");
    std::fs::write(folder.path().join("mine.toml"), "{listener} {service:registration}").expect("written");
    let scenario = super::read(&path).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!((scenario.name.as_str(), scenario.gateway.config), ("rush", folder.path().join("mine.toml")));
    assert!(super::read(&folder.path().join("none.toml")).is_err());
}
