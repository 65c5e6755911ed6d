//! A call centre asks about one of 1.4 million people: the answer is there at once.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

use weir::clock::Clock;
use weir::config;
use weir::config::plan::{Class, Key, Secret};
use weir::waiting_room::room::operator::NotExplained;
use weir::waiting_room::room::{Load, Room, Stand};

/// Who registered for Kartu Prakerja in the first 21 hours.
const PEOPLE: u64 = 1_432_133;

/// Answers that the issue allows one explanation.
const AT_MOST: Duration = Duration::from_millis(10);

const BEGAN: Duration = Duration::from_secs(1_586_600_000);

const PLAN: &str = "[[listener]]\naddress = \"127.0.0.1:1\"\n[[upstream]]\nname = \"u\"\nservers = [\"127.0.0.1:2\"]\n\
    [[route]]\npath = \"/*\"\nupstream = \"u\"\nwaiting_room = \"r\"\n\
    [[waiting_room]]\nname = \"r\"\nkey = \"file:room.key\"\ncapacity = 1500000\nquota = 164000\n";

fn open(directory: &std::path::Path, clock: &Clock) -> Arc<Room> {
    let mut plan = config::parse(PLAN, &directory.join("weir.toml")).unwrap().plan.waiting_rooms.remove(0);
    plan.key = Key::New(Secret([7; 32]));
    assert_eq!(plan.waves[0].quota, NonZeroU64::new(164_000));
    Room::open(&plan, Duration::from_mins(10), Duration::from_secs(10), clock, BEGAN).unwrap()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it measures real time")]
fn one_of_a_million_is_explained_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let clock = Clock::manual();
    let room = open(directory.path(), &clock);
    let unix = BEGAN + Duration::from_secs(8);
    let mut tickets = Vec::new();
    for number in 0..PEOPLE {
        let place = room.join(None, Class::New, unix).unwrap().place;
        assert_eq!(place.number(), number);
        if number % 3 != 0 {
            room.order().returned(number, unix, unix).unwrap();
        }
        if number % 100_000 == 7 {
            tickets.push(room.sign(&place).to_string());
        }
    }
    let load = Load { rate: 2_000.0, held: 0, wait: Duration::ZERO, free: 500 };
    drop(room.tick((clock.now(), unix), &load));
    room.announce();
    let now = (clock.now(), unix + Duration::from_secs(4));
    let numbers = (0..PEOPLE).step_by(9_973).map(|number| number.to_string());
    let asked: Vec<String> = tickets.iter().cloned().chain(numbers).collect();
    let mut longest = Duration::ZERO;
    for who in &asked {
        let began = Instant::now();
        let known = room.explain(who, now).unwrap();
        longest = longest.max(began.elapsed());
        let called = known.number < room.order().serving();
        assert_eq!(matches!(known.stand, Stand::Called), called, "{known:?}");
        assert_eq!(known.line.is_some(), !called, "{known:?}");
        assert_eq!(known.called.is_some(), called, "{known:?}");
        if let Some((ahead, _)) = known.line {
            assert!(ahead <= known.number && ahead + room.order().serving() >= known.number, "{known:?}");
        }
        assert_eq!(known.returned.0, !known.number.is_multiple_of(3), "{known:?}");
    }
    println!("the longest of {} explanations: {longest:?}", asked.len());
    assert!(longest <= AT_MOST, "{longest:?}");
    let began = Instant::now();
    let survey = room.survey();
    println!("a survey: {:?}", began.elapsed());
    assert_eq!((survey.issued, survey.inside.admitted), (PEOPLE, 0));

    let expired = room.explain(&tickets[0], (now.0, unix + Duration::from_hours(24 * 400))).unwrap();
    assert_eq!(expired.ticket, Some((unix, true)), "an old ticket is explained, and said to be old");
    for (who, why) in [
        (PEOPLE.to_string(), NotExplained::NotGiven),
        ("99999999999999999999".to_owned(), NotExplained::NotOurs),
        (String::new(), NotExplained::NotOurs),
        (tickets[0].to_uppercase(), NotExplained::NotOurs),
    ] {
        assert_eq!(room.explain(&who, now).unwrap_err(), why, "{who:?}");
    }
}
