use std::fs;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::super::restore;
use super::super::{Load, Look, Place, Room, RoomError, Stand};
use super::Lot;
use crate::clock::{Clock, Tick};
use crate::config::plan::{self, Class, Secret};
use crate::waiting_room::lottery::verify::verify;
use crate::waiting_room::lottery::{Draw, Registration, Roll, Terms, commitment};
use crate::waiting_room::page::Page;

/// When the room's state began, and when its wave opens; seconds since 1970.
const BEGAN: u64 = 1_775_900_000;
const OPENS: u64 = BEGAN + 1_000;

const NO_LOAD: Load = Load { rate: 100.0, held: 0, wait: Duration::ZERO, free: 1 };

/// A room whose state is in a directory, opened again as often as one likes.
struct Opening {
    directory: TempDir,
    plan: plan::WaitingRoom,
    clock: Clock,
}

impl Opening {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let opens = plan::Instant { unix: Duration::from_secs(OPENS), offset_minutes: 420 };
        let plan = plan::WaitingRoom {
            name: "opening".to_owned(),
            key: plan::Key::New(Secret([1; 32])),
            old_keys: Vec::new(),
            identity: None,
            waves: vec![plan::Wave { opens: Some(opens), closes: None, quota: None }],
            at_close: plan::AtClose::Serve,
            pace: plan::Pace::Fixed(plan::Rate { count: NonZeroU32::new(10).unwrap(), per: Duration::from_secs(1) }),
            capacity: 1 << 20,
            life: Duration::from_hours(48),
            state: directory.path().to_owned(),
            page: None,
        };
        Self { directory, plan, clock: Clock::manual() }
    }

    fn try_open(&self, at: u64, secret: u8) -> Result<Arc<Room>, RoomError> {
        let (key, lives) = (Secret([1; 32]), (Duration::from_mins(30), Duration::from_secs(10)));
        let unix = Duration::from_secs(at);
        restore::open(&self.plan, &key, Page::default(), lives, &self.clock, unix, || Some([secret; 32])).map(Arc::new)
    }

    fn open(&self, at: u64) -> Arc<Room> {
        self.try_open(at, 7).unwrap()
    }

    /// Ends the process that `room` stands for: with everything written, as `kill -9` leaves it.
    fn kill(room: Arc<Room>) {
        assert!(room.journal.close(Duration::from_secs(10)));
        drop(Arc::into_inner(room).unwrap());
    }

    fn document(&self) -> std::path::PathBuf {
        self.directory.path().join("draw-0.jsonl")
    }
}

/// One tick at `at`, with everything it records written.
fn tick(room: &Room, at: u64) {
    let now = (Tick::ZERO.after(Duration::from_secs(at - BEGAN)), Duration::from_secs(at));
    for record in room.tick(now, &NO_LOAD) {
        record.wait(Duration::from_secs(10)).unwrap().unwrap();
    }
    room.announce();
}

fn join(room: &Room, at: u64) -> Place {
    room.join(None, Class::New, Duration::from_secs(at)).unwrap().place
}

/// A visit; what is recorded is written.
fn visit(room: &Room, place: &Place, at: u64) -> Look {
    let mut look = room.look(place, Duration::from_secs(at), 0.5);
    if let Some(record) = look.recorded.take() {
        record.wait(Duration::from_secs(10)).unwrap().unwrap();
    }
    look
}

fn is_lobby(look: &Look) -> bool {
    matches!(look.stand, Stand::Lobby { wave: 0, .. })
}

/// A lobby: 40 joined early, of whom every other came back; 10 joined within the last minute, of whom 3 came back.
fn lobby(room: &Room) -> Vec<Place> {
    tick(room, BEGAN + 10);
    let mut people: Vec<Place> = (0..40).map(|_| join(room, BEGAN + 20)).collect();
    for place in people.iter().step_by(2) {
        assert!(is_lobby(&visit(room, place, BEGAN + 30)));
    }
    // Numbers settle at the grain of a second.
    (20..980).for_each(|second| tick(room, BEGAN + second));
    people.extend((0..10).map(|_| join(room, OPENS - 20)));
    for place in people.iter().skip(40).take(3) {
        assert!(is_lobby(&visit(room, place, OPENS - 10)));
    }
    tick(room, OPENS - 1);
    people
}

/// The numbers in the order of `document`, which holds.
fn order_of(document: &Path) -> Vec<u64> {
    let bytes = fs::read(document).unwrap();
    let finding = verify(&bytes[..], None).unwrap();
    assert!(finding.holds(), "{:?}", finding.faults);
    let text = String::from_utf8(bytes).unwrap();
    let mut people: Vec<(u64, u64)> = text
        .lines()
        .skip(1)
        .map(|line| serde_json::from_str::<(u64, u64, String, u64)>(line).unwrap())
        .map(|(number, _, _, place)| (place, number))
        .collect();
    people.sort_unstable();
    people.into_iter().map(|(_, number)| number).collect()
}

/// The numbers in which they stand in the room.
fn order_in(room: &Room, count: u64) -> Vec<u64> {
    (0..count).map(|position| room.order.number(position).unwrap()).collect()
}

#[test]
fn a_lobby_is_drawn_and_called_in_that_order() {
    let opening = Opening::new();
    let room = opening.open(BEGAN);
    let committed = room.commitment(0).unwrap();
    assert_eq!(committed, commitment(&crate::waiting_room::lottery::Secret::new([7; 32])));
    let people = lobby(&room);
    assert_eq!((room.order.serving(), room.is_draw_due()), (0, false));
    tick(&room, OPENS);
    // Being drawn: nobody is called, everybody is told to wait some seconds, and whoever comes now stands behind.
    let late = join(&room, OPENS);
    let told = visit(&room, &people[2], OPENS);
    assert!(is_lobby(&told) && told.poll_after <= Duration::from_secs(2), "{told:?}");
    assert!(matches!(visit(&room, &late, OPENS + 6).stand, Stand::Waiting { .. }));
    tick(&room, OPENS + 1);
    assert!(room.is_draw_due() && room.order.serving() == 0 && room.draw_document_path(0).is_none());
    room.hold_draws().unwrap();
    assert_eq!((room.is_draw_due(), room.draw_document_path(0)), (false, Some(opening.document())));
    // Who came back, and the last ten.
    let drawn = order_of(&opening.document());
    let mut took_part = drawn.clone();
    took_part.sort_unstable();
    assert_eq!(took_part, (0..40).step_by(2).chain(40..50).collect::<Vec<u64>>());
    let behind = (0..40).filter(|number| number % 2 == 1).chain([50]);
    assert_eq!(order_in(&room, 51), drawn.iter().copied().chain(behind).collect::<Vec<u64>>());
    tick(&room, OPENS + 2);
    let serving = room.order.serving();
    assert!((1..51).contains(&serving), "{serving}");
    for (rank, number) in (0..).zip(&drawn) {
        let place = room.inside(*number | BEGAN << 48, Duration::from_secs(OPENS)).unwrap();
        assert_eq!(matches!(room.standing(&place), Stand::Called), rank < serving, "{rank}");
    }
}

#[test]
fn receipts_hold_before_the_draw_and_after() {
    let opening = Opening::new();
    let room = opening.open(BEGAN);
    let people = lobby(&room);
    let Some(Lot::Registered(before)) = room.lot(&people[4]) else { panic!("registered") };
    let ticket = room.sign(&people[4]);
    assert_eq!(before.registration(), Registration::new(4, people[4].issued(), ticket.as_ref()));
    assert_eq!((room.receipt(&people[4]).as_ref(), room.lot(&people[5])), (Some(&before), None));
    tick(&room, OPENS);
    room.hold_draws().unwrap();
    let document = fs::read(opening.document()).unwrap();
    let drawn = order_of(&opening.document());
    for number in [4_usize, 0, 38, 42, 49] {
        let receipt = room.receipt(&people[number]).unwrap();
        let finding = verify(&document[..], Some(&receipt)).unwrap();
        assert!(finding.holds(), "{number}: {:?}", finding.faults);
        let place = 1 + drawn.iter().position(|other| *other == number as u64).unwrap() as u64;
        assert_eq!(u64::from(receipt.drawn.unwrap().place), place);
        assert!(matches!(room.lot(&people[number]), Some(Lot::Drawn { place: told, count: 30, .. }) if told == place));
    }
    assert!(verify(&document[..], Some(&before)).unwrap().holds());
    assert_eq!((room.receipt(&people[5]), room.lot(&people[5])), (None, None), "he never came back");
    // A document that is not the one that was written proves nothing.
    fs::write(opening.document(), String::from_utf8(document).unwrap().replace("\n[4,", "\n[5,")).unwrap();
    assert_eq!(room.receipt(&people[4]), None);
}

#[test]
fn a_restart_at_any_step_gives_the_same_draw() {
    let mut documents = Vec::new();
    // Killed before anything, in the lobby, at the opening, when it was drawn, and when people were called.
    for step in 0..5 {
        let opening = Opening::new();
        let mut room = opening.open(BEGAN);
        let again = |room: Arc<Room>, at| {
            Opening::kill(room);
            // Another secret would be made, if the one that was committed to were not there.
            opening.try_open(at, 8).unwrap()
        };
        if step == 0 {
            room = again(room, BEGAN + 1);
        }
        let people = lobby(&room);
        tick(&room, OPENS);
        if step == 1 {
            room = again(room, OPENS);
            assert!(is_lobby(&visit(&room, &people[2], OPENS + 1)) && room.is_draw_due());
        }
        tick(&room, OPENS + 1);
        assert_eq!(room.order.serving(), 0, "step {step}");
        room.hold_draws().unwrap();
        if step == 2 {
            fs::remove_file(opening.document()).unwrap();
            room = again(room, OPENS + 2);
            assert_eq!(room.order.serving(), 0);
            room.hold_draws().unwrap();
        }
        tick(&room, OPENS + 3);
        tick(&room, OPENS + 4);
        let serving = room.order.serving();
        if step == 3 {
            room = again(room, OPENS + 5);
            assert_eq!(room.order.serving(), serving);
            room.hold_draws().unwrap();
        }
        let drawn = order_of(&opening.document());
        assert_eq!(order_in(&room, 30), drawn, "step {step}");
        assert!(room.receipt(&people[4]).unwrap().drawn.is_some());
        documents.push(fs::read(opening.document()).unwrap());
    }
    assert!(documents.iter().all(|document| *document == documents[0]));
}

#[test]
fn whoever_registered_before_a_restart_in_the_lobby_takes_part_and_so_does_who_comes_back_after_it() {
    let opening = Opening::new();
    let room = opening.open(BEGAN);
    tick(&room, BEGAN + 10);
    let people: Vec<Place> = (0..10).map(|_| join(&room, BEGAN + 20)).collect();
    people.iter().take(5).for_each(|place| assert!(is_lobby(&visit(&room, place, BEGAN + 30))));
    let Some(Lot::Registered(before)) = room.lot(&people[1]) else { panic!("registered") };
    Opening::kill(room);
    let room = opening.open(BEGAN + 100);
    tick(&room, BEGAN + 101);
    assert_eq!(room.lot(&people[1]), Some(Lot::Registered(before)));
    // His number is not fresh any more; he takes part all the same.
    assert!(is_lobby(&visit(&room, &people[7], BEGAN + 110)));
    let late = join(&room, BEGAN + 110);
    assert!(is_lobby(&visit(&room, &late, BEGAN + 120)));
    Opening::kill(room);
    let room = opening.open(OPENS + 100);
    tick(&room, OPENS + 100);
    room.hold_draws().unwrap();
    let mut took_part = order_of(&opening.document());
    took_part.sort_unstable();
    assert_eq!(took_part, [0, 1, 2, 3, 4, 7, late.number()]);
}

#[test]
fn a_room_whose_registrations_are_not_those_that_were_drawn_does_not_open() {
    let opening = Opening::new();
    let room = opening.open(BEGAN);
    let people = lobby(&room);
    tick(&room, OPENS);
    // One more in the journal than in the roll: as if somebody had written it there afterwards.
    let record = super::recorded(&Registration::new(people[5].number(), people[5].issued(), "forged"));
    room.journal.append(record).wait(Duration::from_secs(10)).unwrap().unwrap();
    room.hold_draws().unwrap();
    Opening::kill(room);
    let error = opening.try_open(OPENS + 1, 7).unwrap_err().to_string();
    assert!(error.contains("wave 0") && error.contains("root"), "{error}");
}

#[test]
fn what_the_document_says_follows_from_secret_and_tickets() {
    let opening = Opening::new();
    let room = opening.open(BEGAN);
    let people = lobby(&room);
    tick(&room, OPENS);
    room.hold_draws().unwrap();
    let terms = Terms { room: "opening".to_owned(), generation: u32::try_from(BEGAN).unwrap(), wave: 0 };
    let mut roll = Roll::default();
    let mut took_part: Vec<Registration> = Vec::new();
    for (index, place) in people.iter().enumerate() {
        let bare = Registration { number: place.number(), issued: 0, tag: super::Tag::new([0; 8]) };
        let whole = || Registration::new(place.number(), place.issued(), room.sign(place).as_ref());
        match index {
            0..40 if index % 2 == 0 => took_part.push(whole()),
            0..40 => {}
            40..43 => took_part.push(whole()),
            _ => took_part.push(bare),
        }
    }
    for registration in &took_part {
        roll.enter(registration).unwrap();
    }
    let draw = Draw::hold(terms, crate::waiting_room::lottery::Secret::new([7; 32]), roll);
    let mut document = Vec::new();
    draw.write(took_part, &mut document).unwrap();
    assert!(document == fs::read(opening.document()).unwrap());
}

#[test]
fn a_lobby_without_people_is_not_drawn_and_one_in_which_nobody_came_back_keeps_its_order() {
    let opening = Opening::new();
    let room = opening.open(BEGAN);
    tick(&room, BEGAN + 10);
    tick(&room, OPENS);
    assert!(!room.is_draw_due() && room.lets_straight_in());
    let opening = Opening::new();
    let room = opening.open(BEGAN);
    tick(&room, BEGAN + 10);
    let people: Vec<Place> = (0..3).map(|_| join(&room, BEGAN + 20)).collect();
    (20..100).for_each(|second| tick(&room, BEGAN + second));
    tick(&room, OPENS);
    room.hold_draws().unwrap();
    assert_eq!(order_of(&opening.document()), [0; 0]);
    assert_eq!(order_in(&room, 3), [0, 1, 2]);
    assert_eq!(room.receipt(&people[1]), None);
    tick(&room, OPENS + 1);
    assert_eq!(room.order.serving(), 3);
}

#[test]
fn nobody_of_a_lobby_is_called_while_the_wave_before_is_served() {
    let mut opening = Opening::new();
    let at = |secs| Some(plan::Instant { unix: Duration::from_secs(secs), offset_minutes: 0 });
    opening.plan.waves = vec![
        plan::Wave { opens: None, closes: at(BEGAN + 100), quota: None },
        plan::Wave { opens: at(OPENS), closes: None, quota: None },
    ];
    let room = opening.open(BEGAN);
    assert!(room.commitment(0).is_none() && room.commitment(1).is_some());
    tick(&room, BEGAN + 1);
    let before: Vec<Place> = (0..5).map(|_| join(&room, BEGAN + 90)).collect();
    for place in &before {
        drop(visit(&room, place, BEGAN + 95));
    }
    tick(&room, BEGAN + 101);
    let people: Vec<Place> = (0..5).map(|_| join(&room, BEGAN + 102)).collect();
    for place in &people {
        assert!(matches!(visit(&room, place, BEGAN + 110).stand, Stand::Lobby { wave: 1, .. }));
    }
    (111..130).for_each(|second| tick(&room, BEGAN + second));
    assert_eq!(room.order.serving(), 5, "all before the lobby, nobody of it");
    tick(&room, OPENS);
    room.hold_draws().unwrap();
    assert_eq!(room.draw_document_path(1), Some(opening.directory.path().join("draw-1.jsonl")));
    tick(&room, OPENS + 1);
    assert!(room.order.serving() > 5);
}
