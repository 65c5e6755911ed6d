use std::path::Path;
use std::time::Duration;

use super::world::World;
use super::*;
use crate::oracle::{self, Invariant, Judgement, Verdict};
use crate::population::Population;
use crate::scenario::fault::{Fault, FaultKind, ServiceFault};
use crate::scenario::{self, Scenario};

fn smoke() -> Scenario {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/smoke.toml");
    scenario::read(&path).expect("a scenario")
}

fn world(scenario: &Scenario, people: &[Person], seed: u64, overtakes: bool) -> Simulated {
    let configured = configured(scenario, None, seed).expect("a template");
    let mut world = World::new(scenario, people, seed, configured).expect("a gateway");
    world.gateway.overtakes = overtakes;
    world.run()
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
