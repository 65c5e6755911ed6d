use std::path::Path;
use std::time::Duration;

use super::world::World;
use super::*;
use crate::oracle::{self, Invariant, Judgement, Verdict};
use crate::population::Population;
use crate::scenario::fault::{Fault, FaultKind, ServiceFault};
use crate::scenario::persona::Spread;
use crate::scenario::{self, Scenario};

fn shipped(name: &str) -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios").join(name);
    scenario::read(&path).expect("a scenario")
}

fn smoke() -> Scenario {
    shipped("smoke.toml")
}

fn world(scenario: &Scenario, people: &[Person], seed: u64, overtakes: bool) -> Simulated {
    let configured = configured(scenario, None, seed).expect("a template");
    let mut world = World::new(scenario, people, seed, configured).expect("a gateway");
    world.gateway.overtakes = overtakes;
    world.run().expect("a day")
}

fn simulated(scenario: &Scenario, seed: u64) -> Simulated {
    world(scenario, &Population::draw(scenario, seed).people, seed, false)
}

fn judgement(scenario: &Scenario, seed: u64, overtakes: bool) -> Judgement {
    let people = Population::draw(scenario, seed).people;
    let simulated = world(scenario, &people, seed, overtakes);
    let promises = configured(scenario, None, seed).expect("a template").promises(scenario).expect("a plan");
    let facts = crate::coordinator::recall::simulated(scenario.clone(), &people, promises);
    oracle::judge(&facts.run(), simulated.ledgers)
}

#[test]
fn the_same_seed_is_the_same_day_and_another_is_not() {
    let scenario = smoke();
    let [one, same, other] = [7, 7, 8].map(|seed| simulated(&scenario, seed));
    assert!(one.ledgers.told.len() > 5_000, "{}", one.ledgers.told.len());
    assert!(one.ledgers.told == same.ledgers.told && one.ledgers.served == same.ledgers.served);
    assert!(one.ledgers.samples == same.ledgers.samples && one.ledgers.said == same.ledgers.said);
    assert!(one.ledgers.told != other.ledgers.told);
}

/// A program that keeps nothing and asks four times a second, instead of people who press F5.
fn with_bots(mut scenario: Scenario) -> Scenario {
    for persona in scenario.personas.iter_mut().filter(|persona| persona.name == "refresher") {
        persona.keeps.cookie = 0.0;
        (persona.fastest, persona.honours_retry_after) = (5.0, 0.0);
        persona.impatience = Spread::Even(Duration::from_millis(100), Duration::from_millis(300));
    }
    scenario
}

/// What a simulation takes, by counts that are the same on every machine: who makes a second of nothing, or a visit, dearer by far is seen here.
#[test]
fn a_day_takes_a_few_turns_and_bytes_a_request() {
    let scenario = scenario::scaled(shipped("prakerja-2020.toml"), 400.0);
    let day = simulated(&scenario, 1);
    let (requests, seconds) = (day.progress.requests, day.progress.at / 1_000_000);
    let most = 5 * requests + 150 * seconds;
    assert!(requests > 5_000 && day.turns <= most, "{} turns of {most}: {requests} requests, {seconds} s", day.turns);
    let (bytes, most) = (day.ledgers.told.bytes() as u64, 32 * requests);
    assert!(bytes <= most, "{bytes} bytes of {most}");
}

#[test]
fn whoever_is_remembered_is_told_the_same() {
    let scenario = with_bots(smoke());
    let people = Population::draw(&scenario, 7).people;
    let day = |is_off: bool| {
        let configured = configured(&scenario, None, 7).expect("a template");
        let mut world = World::new(&scenario, &people, 7, configured).expect("a gateway");
        world.gateway.acquaintances.is_off = is_off;
        world.run().expect("a day")
    };
    let [with, without] = [false, true].map(day);
    assert!(with.progress.requests > 10_000, "{}", with.progress.outcome());
    assert!(with.ledgers.told == without.ledgers.told && with.ledgers.served == without.ledgers.served);
    assert!(with.ledgers.said == without.ledgers.said && with.progress == without.progress);
}

#[test]
fn a_rush_passes_the_judge_and_newcomers_who_overtake_do_not() {
    let scenario = smoke();
    let honest = judgement(&scenario, scenario.seed, false);
    assert_eq!(honest.verdict, Verdict::Pass, "{}", oracle::table::summary(&honest));
    let broken = judgement(&scenario, scenario.seed, true);
    assert!(
        broken.broken().any(|finding| finding.invariant == Invariant::Order),
        "{}",
        oracle::table::summary(&broken)
    );
}

#[test]
fn a_service_that_loses_half_of_itself_serves_half_as_many() {
    let mut scenario = smoke();
    let between = |simulated: &Simulated| {
        let done = simulated.ledgers.served.iter().filter(|served| (200..300).contains(&served.status));
        done.filter(|served| (8_000_000..14_000_000).contains(&served.done)).count()
    };
    let whole = between(&simulated(&scenario, 1));
    let kind = FaultKind::Service { service: 0, server: None, kind: ServiceFault::Parallelism(0.5) };
    scenario.faults.push(Fault { at: Duration::from_secs(7), lasts: Duration::from_secs(10), kind });
    let half = between(&simulated(&scenario, 1));
    assert!(whole > 1_100, "six seconds of 200 a second: {whole}");
    assert!((half as f64 / whole as f64 - 0.5).abs() < 0.1, "{half} of {whole}");
}
