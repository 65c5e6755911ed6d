//! The scenarios that are shipped: each is read without a fault, drawn, and stands in front of a configuration that weir takes.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use loadtest::population::Population;
use loadtest::scenario::template::{Values, fill};
use loadtest::scenario::{Scenario, read, scaled};

const SHIPPED: [&str; 12] = [
    "capacity-halves",
    "connection-flood",
    "funnel",
    "greedy-clients",
    "prakerja-2020",
    "retry-storm",
    "rush-80000",
    "sabotage",
    "slowloris",
    "smoke",
    "stall",
    "step-10x",
];

/// The published counts of the first day: people in the first minute and in 21 hours, and how many got how far.
const FIRST_MINUTE: f64 = 80_000.0;
const FIRST_DAY: f64 = 1_432_133.0;
const FUNNEL: [f64; 3] = [1_063_028.0, 624_090.0, 77_834.0];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

fn shipped(name: &str) -> Scenario {
    read(&folder().join(format!("{name}.toml"))).unwrap_or_else(|report| panic!("{report}"))
}

/// `found` is within five standard deviations of what a Poisson process of that mean gives.
fn assert_poisson(found: usize, mean: f64, what: &str) {
    assert!((found as f64 - mean).abs() < 5.0 * mean.sqrt(), "{what}: {found} for {mean}");
}

fn until(population: &Population, end: Duration) -> usize {
    population.people.partition_point(|person| person.arrives < end)
}

#[test]
fn every_scenario_says_what_it_shows_and_can_be_missed() {
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .expect("the folder")
        .filter_map(|entry| entry.expect("an entry").file_name().to_str()?.strip_suffix(".toml").map(ToOwned::to_owned))
        .collect();
    assert_eq!(files, SHIPPED.map(ToOwned::to_owned).into());
    for name in SHIPPED {
        let scenario = shipped(name);
        assert_eq!(scenario.name, name);
        assert!(!scenario.shows.is_empty() && !scenario.thresholds.is_empty(), "{name}");
        let text = std::fs::read_to_string(folder().join(format!("{name}.toml"))).expect("it is there");
        assert!(text.starts_with("# ") && text.contains("# It shows "), "{name} says at its top what it shows");
    }
}

#[test]
fn everybody_can_be_drawn() {
    for name in SHIPPED {
        // The whole day has its own test.
        let scenario = scaled(shipped(name), if name == "prakerja-2020" { 60.0 } else { 1.0 });
        let population = Population::draw(&scenario, scenario.seed);
        assert_poisson(population.people.len(), scenario.people(), name);
        let kinds: BTreeSet<_> = population.people.iter().map(|person| person.persona).collect();
        assert_eq!(kinds.len(), scenario.personas.len(), "{name}: somebody of each kind comes");
    }
}

#[test]
fn the_smoke_test_ends_in_half_a_minute() {
    assert_eq!(shipped("smoke").end(), Duration::from_secs(30));
}

#[test]
fn eighty_thousand_come_in_a_minute_and_are_there_at_once() {
    let scenario = shipped("rush-80000");
    let population = Population::draw(&scenario, scenario.seed);
    assert_poisson(until(&population, Duration::from_mins(1)), 80_000.0, "the minute");
    // What the services can have done by the last arrival, at their very best.
    let served = scenario.services[0].curve.capacity() * scenario.duration.as_secs_f64();
    assert!(population.people.len() as f64 - served >= 80_000.0, "{served}");
}

#[test]
fn the_day_of_2020_has_the_published_counts() {
    let scenario = shipped("prakerja-2020");
    assert_eq!((scenario.duration, scenario.quota), (Duration::from_hours(21), Some(164_000)));
    assert!((scenario.people() - FIRST_DAY).abs() < 0.5, "{}", scenario.people());
    let population = Population::draw(&scenario, scenario.seed);
    assert_poisson(population.people.len(), FIRST_DAY, "the day");
    assert_poisson(until(&population, Duration::from_mins(1)), FIRST_MINUTE, "the opening");
    let hours: Vec<_> = (0..=21).map(|hour| until(&population, Duration::from_hours(hour))).collect();
    let last: usize = hours[21] - hours[20];
    assert!(
        hours[1..].windows(2).all(|hour| hour[1] - hour[0] <= last),
        "no later hour is busier than the last: {hours:?}"
    );
    let mut left = FIRST_DAY;
    let reached: Vec<f64> = scenario
        .stages
        .iter()
        .map(|stage| {
            left *= stage.goes_on;
            left
        })
        .collect();
    for (found, published) in reached.iter().zip(FUNNEL) {
        assert!((found / published - 1.0).abs() < 1e-4, "{reached:?}");
    }
    assert!((reached[4] - reached[2]).abs() < 1e-6, "whoever has passed the check joins");
    let shorter = scaled(scenario, 60.0);
    assert_eq!((shorter.duration, shorter.quota), (Duration::from_mins(21), Some(2_733)));
}

/// weir's own reader takes the configuration of each scenario, filled in, with nothing to warn of but where a test keeps its state.
#[test]
fn weir_takes_every_configuration() {
    let state = tempfile::tempdir().expect("a folder");
    let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
    for name in SHIPPED {
        let scenario = shipped(name);
        let template = std::fs::read_to_string(&scenario.gateway.config).expect("the reader saw it");
        let services: Vec<_> = (9_000..)
            .step_by(100)
            .zip(&scenario.services)
            .map(|(port, service)| {
                let servers = service.servers + service.reserve;
                (service.name.clone(), (0..u16::from(servers)).map(|server| address(port + server)).collect())
            })
            .collect();
        let values = Values {
            listener: address(8_080),
            tls_listener: address(8_443),
            admin: address(9_090),
            state: state.path(),
            access: &state.path().join("access.jsonl"),
            quota: scenario.quota,
            services: &services,
        };
        let text = fill(&template, &values).unwrap_or_else(|why| panic!("{name}: {why}"));
        let loaded = weir::config::parse(&text, &scenario.gateway.config).unwrap_or_else(|report| panic!("{report}"));
        let warnings: Vec<_> = loaded
            .warnings
            .into_iter()
            .filter(|warning| !warning.contains("does not outlive the machine's next restart"))
            .collect();
        assert!(warnings.is_empty(), "{name}: {warnings:?}");
        assert_eq!(loaded.plan.listeners.len(), 1 + usize::from(scenario.gateway.tls), "{name}");
        for stage in &scenario.stages {
            let service = &scenario.services[usize::from(stage.service)].name;
            let upstream = loaded.plan.upstreams.iter().find(|upstream| upstream.name == *service);
            assert!(upstream.is_some(), "{name}: reports compare the service {service} with the upstream of that name");
        }
    }
}
