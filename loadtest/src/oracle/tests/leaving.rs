//! Who gives his place back is told that this is done, and is not registered by it.

use super::broken::but;
use super::model::World;
use super::*;
use crate::ledger::{Kind, RequestId, Word};
use crate::report::series::Series;
use trace::{Story, Subject};

/// The last who was told that it is over leaves the line before.
fn left() -> (World, RequestId) {
    let mut who = RequestId { person: 0, request: 0 };
    let world = but(|world| {
        let over = world.ledgers.told.iter_mut().filter(|told| told.word == Word::Over);
        let told = over.max_by_key(|told| told.id).expect("somebody was told so");
        (told.kind, told.word, told.status) = (Kind::Leave, Word::Done, 204);
        who = told.id;
    });
    (world, who)
}

#[test]
fn nothing_was_promised_to_who_leaves() {
    assert_eq!(broken(&left().0), [""; 0]);
}

#[test]
fn who_leaves_is_counted_as_registered_nowhere() {
    let (mut world, id) = left();
    let series = |world: &World| {
        let run = Run { scenario: &world.scenario, people: &world.people, declared: &world.declared };
        Series::of(&run, &world.ledgers, &[])
    };
    assert!(series(&world).stages.iter().all(|stage| stage.told_only == 0), "{:?}", series(&world).stages);
    // Where the entrance is the last stage, too.
    world.scenario.stages.truncate(1);
    let counts = |world: &World| {
        let series = series(world);
        let seconds: u32 = series.seconds.iter().map(|second| second.registered).sum();
        let kinds: u64 = series.personas.iter().map(|kind| kind.registered).sum();
        (seconds, kinds)
    };
    let mut without = world.clone();
    without.ledgers.told.retain(|told| told.id != id);
    assert_eq!(counts(&world), counts(&without));
    let run = Run { scenario: &world.scenario, people: &world.people, declared: &world.declared };
    let story =
        Story::of(Subject::Person(id.person), &world.ledgers.told, &world.ledgers.served).expect("he was there");
    let story = story.tell(&run);
    assert!(story.contains("Not registered when") && story.contains("told that the place is given back"), "{story}");
}
