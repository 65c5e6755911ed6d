//! Figures of the honest run, and of runs that differ in one thing.

use super::broken::past;
use super::model::{MS, PEOPLE, QUOTA, World};
use super::*;
use crate::ledger::{Ending, Kind, Word};

fn about(value: f64, wanted: f64, within: f64) -> bool {
    (value - wanted).abs() <= within
}

#[test]
fn figures_of_a_correct_run() {
    let judgement = World::honest().judge();
    let of = |figure| judgement.value(figure);
    assert!(about(of(Figure::Goodput), 1.0, 0.02), "{judgement:?}");
    assert!(about(of(Figure::Registered), 1.0, 0.01), "{}", of(Figure::Registered));
    assert!(of(Figure::ColdStart) < 0.5 && of(Figure::Recovery).is_nan(), "nothing changed");
    let nothing = [Figure::WastedWork, Figure::Overtaken, Figure::FunnelRefusals, Figure::Silence];
    assert_eq!(nothing.map(|figure| of(figure).to_bits()), [0; 4]);
    assert!(about(of(Figure::FunnelFinished), 1.0, 0.0) && about(of(Figure::PlaceKept), 1.0, 0.0));
    assert!(of(Figure::SlipP99) < 31.0, "those called come within a visit: {}", of(Figure::SlipP99));
    assert!(of(Figure::EtaErrorP50) < 0.2 && of(Figure::EtaErrorP95) < 0.5 && of(Figure::EtaCoverage) > 0.95);
    assert!(of(Figure::TurnNoticedP99) < 2.5, "{}", of(Figure::TurnNoticedP99));
    assert!(about(of(Figure::Amplification), 1.0, 0.0) && of(Figure::RequestsPerPerson) > 2.0);
    assert!(about(of(Figure::AnswerP50), 0.001, 1e-4) && of(Figure::AnswerP99) < 3.0);
    assert!(about(of(Figure::LagP99), 0.0002, 1e-6));
    assert!(about(of(Figure::GatewayMemory), f64::from(50 << 20), 0.0));
    assert!(about(of(Figure::HarnessMemory), f64::from(20 << 20), 0.0));
    // 3.9 s of processor time for some thousand requests.
    assert!(of(Figure::GatewayCpu) > 0.0001 && of(Figure::GatewayCpu) < 0.01);
    // The first half by arrival got the places.
    assert!(of(Figure::JainDeciles) < 0.8 && of(Figure::JainDeciles) > 0.4, "{}", of(Figure::JainDeciles));
}

#[test]
fn work_nobody_heard_of_is_wasted() {
    let mut world = World::honest();
    let id = world.served(40, 0).id.expect("a number");
    let told = world.told(id.person, id.request);
    (told.ending, told.word, told.status) = (Ending::BrokenOff, Word::Nothing, 0);
    let judgement = world.judge();
    assert!(about(judgement.value(Figure::WastedWork), 1.0 / (2.0 * QUOTA as f64), 1e-9));
    world.told(id.person, id.request).ending = Ending::Open;
    assert!(about(world.judge().value(Figure::WastedWork), 0.0, 0.0), "he still waited");
}

#[test]
fn a_capacity_that_comes_back_is_recovered_from() {
    use crate::scenario::fault::{Fault, FaultKind, ServiceFault};
    let mut world = World::honest();
    let seconds = std::time::Duration::from_secs;
    let kind = FaultKind::Service { service: 0, server: None, kind: ServiceFault::Stall };
    world.scenario.faults = vec![Fault { at: seconds(5), lasts: seconds(2), kind }];
    // It does nothing from 5 s to 8 s, and could do nothing from 5 s to 7 s.
    let gone = |at: u64, from: u64, until: u64| (at.clamp(from, until) - from) as f64 / 1e6 * 20.0;
    for sample in world.ledgers.samples.iter_mut().filter(|sample| sample.service == 0) {
        sample.capacity -= gone(sample.at, 5_000 * MS, 7_000 * MS);
        sample.work -= gone(sample.at, 5_000 * MS, 8_000 * MS);
    }
    assert!(about(world.judge().value(Figure::Recovery), 1.0, 0.11), "{}", world.judge().value(Figure::Recovery));
}

#[test]
fn who_came_long_before_and_is_not_through_was_overtaken() {
    let coming = |world: &World| {
        let run = Run { scenario: &world.scenario, people: &world.people, declared: &world.declared };
        coming(&run, world.ledgers())
    };
    let honest = coming(&World::honest());
    assert!(honest.overtaken < 0.05 && honest.later_p99 < 2.0, "those called come within a visit: {honest:?}");
    // He came at 6.25 s, and those whose turn it is came some seconds before.
    let walked_past = coming(&past());
    assert!(walked_past.overtaken > honest.overtaken + 0.05 && walked_past.later_p99 > 2.0, "{walked_past:?}");
    // The last of all is through: everybody who was never served was overtaken.
    let mut world = World::honest();
    let told = world.told(PEOPLE - 1, 0);
    (told.word, told.status, told.stage, told.kind) = (Word::Done, 201, 0, Kind::Submit);
    let unserved = coming(&world);
    assert!(unserved.overtaken > 0.4 && unserved.later_p99 > 9.0, "{unserved:?}");
    // Who had given up by then was not overtaken.
    for person in &mut world.people {
        person.leaves = person.arrives + 100 * MS;
    }
    assert!(about(coming(&world).overtaken, 0.0, 0.0));
}

#[test]
fn a_summary_shows_it_all() {
    let text = table::summary(&World::honest().judge());
    for figure in Figure::ALL {
        assert!(text.contains(figure.name()), "{text}");
    }
    assert!(text.contains("PASS\n") && !text.contains("FAIL") && text.contains("–"), "{text}");
    let mut world = World::honest();
    world.served(40, 0).in_flight = 5;
    let text = table::summary(&world.judge());
    assert!(text.contains("I4: service 0, at") && text.contains("5 in flight, of 4"), "{text}");
    assert!(text.ends_with("FAIL: an invariant is broken\n"), "{text}");
}
