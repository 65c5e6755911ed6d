//! A person's story.

use super::model::World;
use super::*;
use trace::{Story, Subject};

fn tell(subject: Subject) -> Option<String> {
    let world = World::honest();
    let run = Run { scenario: &world.scenario, people: &world.people, declared: &world.declared };
    Story::of(subject, &world.told.clone().into(), &world.ledgers.served).map(|story| story.tell(&run))
}

#[test]
fn a_story_is_in_order_and_complete() {
    let story = tell(Subject::Person(100)).expect("he was there");
    for part in [
        "Person 100 (patient) comes at 2.500 s and stays until 602.500 s at the longest.",
        "asks for join (request 100-0)",
        "is told place ",
        "and to come again in ",
        "with the ticket of before",
        "join began at join, server 1, 4 in flight",
        "finish did it and answered 201",
        "is told that it is done; status 201",
        "Registered, ",
    ] {
        assert!(story.contains(part), "{part} in\n{story}");
    }
    let times: Vec<f64> = story.lines().filter_map(|line| line.trim().split_once(" s  ")?.0.parse().ok()).collect();
    assert!(times.len() > 8 && times.is_sorted(), "{story}");
}

#[test]
fn a_request_or_a_key_leads_to_the_person() {
    let by_key = tell(Subject::Key(101)).expect("he was served");
    assert_eq!(by_key, tell(Subject::Person(100)).expect("he was there"));
    let id = crate::ledger::RequestId { person: 100, request: 1 };
    let by_request = tell(Subject::Request(id)).expect("it was sent");
    assert_eq!(by_request.matches(">> ").count(), 2, "{by_request}");
    assert!(tell(Subject::Person(9_999)).is_none() && tell(Subject::Key(7_000_000)).is_none());
}
