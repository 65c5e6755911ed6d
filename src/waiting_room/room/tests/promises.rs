//! What people were promised: their places over days, and asleep; one place for one identity; a quota's place only for one.

use super::super::{NotEntered, Stand};
use super::*;
use crate::waiting_room::order::{CHUNK, TURN};

const DAY: Duration = Duration::from_hours(24);

fn opening(after: Duration) -> plan::Instant {
    plan::Instant { unix: BEGAN + after, offset_minutes: 0 }
}

fn known(bench: &Bench) -> Place {
    let place = bench.join();
    bench.look(&place);
    place
}

fn open(bench: &mut Bench, opens: Duration) {
    bench.pass((BEGAN + opens + Duration::from_secs(1)).saturating_sub(bench.unix()));
    bench.room.hold_draws().unwrap();
    bench.pass(Duration::from_secs(1));
}

/// Everybody is called, and all chunks but the last are full and settled.
fn call_all(bench: &mut Bench) {
    fill(bench);
    call(bench);
}

/// Two chunks of numbers are given, and settled.
fn fill(bench: &mut Bench) {
    while !bench.room.order.issued().is_multiple_of(2 * CHUNK as u64) {
        bench.room.order.issue().unwrap();
    }
    (0..70).for_each(|_| bench.pass(Duration::from_secs(1)));
}

/// Everybody is called, and then late.
fn call(bench: &mut Bench) {
    bench.room.order.advance(bench.now().0, u64::MAX);
    for _ in 0..=TURN.as_secs() / 10 {
        bench.pass(Duration::from_secs(10));
    }
}

#[test]
fn whoever_registers_days_before_the_opening_has_his_place_at_it() {
    let opens = 3 * DAY;
    let mut bench = Bench::new(vec![Wave { opens: Some(opening(opens)), ..wave(9) }]);
    let place = known(&bench);
    for _ in 0..2 {
        bench.pass(DAY + Duration::from_mins(1));
        let found = bench.find(&place).expect("he may come back at any time before");
        assert!(matches!(bench.look(&found), Stand::Lobby { .. }));
    }
    open(&mut bench, opens);
    call_all(&mut bench);
    // Asleep for minutes after his call, he has lost nothing; a day after the opening his ticket has ended.
    assert_eq!(bench.find(&place).map(|found| bench.look(&found)), Some(Stand::Called));
    bench.pass(DAY);
    assert!(bench.find(&place).is_none());
}

#[test]
fn whoever_was_called_long_after_he_came_is_remembered_from_then_on() {
    let opens = 3 * DAY;
    let mut bench = Bench::new(vec![Wave { opens: Some(opening(opens)), ..wave(9) }]);
    let place = known(&bench);
    // All numbers of his chunks are as old as his.
    fill(&mut bench);
    open(&mut bench, opens);
    call(&mut bench);
    assert_eq!(bench.find(&place).map(|found| bench.look(&found)), Some(Stand::Called));
}

#[test]
fn a_carried_place_lasts_until_the_wave_that_it_was_carried_into() {
    let (closes, opens) = (Duration::from_hours(1), 7 * DAY);
    let first = Wave { closes: Some(opening(closes)), ..Wave::default() };
    let mut bench = Bench::new(vec![first, Wave { opens: Some(opening(opens)), ..Wave::default() }]);
    bench.plan.at_close = AtClose::Carry;
    bench.restart();
    wait(bench.room.pause(true));
    let place = known(&bench);
    bench.pass(5 * DAY);
    assert!(matches!(bench.find(&place).map(|found| bench.look(&found)), Some(Stand::Over { carried: true, .. })));
    wait(bench.room.pause(false));
    open(&mut bench, opens);
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.find(&place).map(|found| bench.look(&found)), Some(Stand::Called));
}

#[test]
fn a_ticket_of_a_room_without_openings_ends_with_its_life() {
    let mut bench = Bench::new(vec![Wave::default()]);
    wait(bench.room.pause(true));
    let place = known(&bench);
    bench.pass(DAY);
    assert!(bench.find(&place).is_some());
    bench.pass(Duration::from_secs(1));
    assert!(bench.find(&place).is_none());
}

#[test]
fn asking_and_going_away_takes_nothing_from_others_who_are_late() {
    let mut bench = Bench::new(vec![Wave::default()]);
    let places: Vec<Place> = (0..12).map(|_| known(&bench)).collect();
    bench.pass(Duration::from_secs(1));
    bench.pass(TURN + Duration::from_mins(30));
    for _ in 0..100 {
        assert_eq!(bench.room.approach(&places[0], bench.now().0), Ok(()));
    }
    // Ten at once, and one more by the fifth of them that they earn themselves.
    let entered = places.iter().filter(|place| bench.enter(place, false, None).is_ok()).count();
    assert!((10..=12).contains(&entered), "{entered}");
}

#[test]
fn nobody_is_late_because_the_process_was_killed() {
    let mut bench = Bench::new(vec![Wave::default()]);
    let places: Vec<Place> = (0..50).map(|_| known(&bench)).collect();
    bench.pass(Duration::from_secs(1));
    assert!(places.iter().all(|place| bench.look(place) == Stand::Called));
    bench.restart();
    assert!(places.iter().all(|place| !bench.room.order.is_late(place.number())));
    assert!(places[..20].iter().all(|place| bench.room.approach(place, bench.now().0).is_ok()));
    assert!(places[..20].iter().all(|place| bench.enter(place, false, None).is_ok()));
    bench.pass(TURN);
    assert!(places[20..].iter().all(|place| bench.room.order.is_late(place.number())), "they had as long again");
}

#[test]
fn one_ticket_is_one_identity_s() {
    let mut bench = Bench::new(vec![Wave::default()]);
    wait(bench.room.pause(true));
    let place = bench.join();
    let found = |bench: &Bench, who: &[u8]| {
        let text = bench.room.sign(&place);
        let text: &str = text.as_ref();
        bench.room.find([text.as_bytes()].into_iter(), Some(who), bench.unix()).unwrap()
    };
    for who in 0..100_u8 {
        bench.look(&found(&bench, &[who]));
    }
    let holds = |bench: &Bench, who: u8| bench.room.find(std::iter::empty(), Some(&[who]), bench.unix());
    for restarts in 0..2 {
        assert_eq!(holds(&bench, 0).map(|place| place.number()), Some(place.number()), "{restarts}");
        assert!((1..100).all(|who| holds(&bench, who).is_none()), "{restarts}");
        assert!(bench.room.identities() <= 2, "{} are remembered", bench.room.identities());
        bench.restart_paused();
        bench.look(&found(&bench, &[1]));
    }
}

#[test]
fn a_place_that_the_journal_still_gives_to_one_is_not_given_to_another() {
    let mut bench = Bench::new(vec![wave(1)]);
    let (one, other) = (known(&bench), known(&bench));
    bench.room.order.advance(bench.now().0, 2);
    bench.pass(Duration::from_secs(1));
    let mut turn = bench.enter(&one, true, None).unwrap();
    assert!(bench.room.close(Duration::from_secs(10)), "from now on the journal takes nothing");
    turn.unsent();
    bench.room.retry_releases(bench.unix());
    assert_eq!((bench.state(&one), bench.count().taken), (State::Waiting, 1), "after a kill he is inside");
    assert_eq!(bench.enter(&other, true, None).unwrap_err(), NotEntered::NoneLeft);
}

#[test]
fn a_place_that_could_not_be_released_is_released_later() {
    let mut bench = Bench::new(vec![wave(1)]);
    let one = known(&bench);
    bench.pass(Duration::from_secs(1));
    let mut held = 0;
    for _ in 0..200 {
        let mut turn = bench.enter(&one, true, None).unwrap();
        let over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let record = Record::Serving { position: 0 };
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    bench.room.journal.post(record);
                }
            });
            let before = bench.room.journal.dropped();
            while bench.room.journal.dropped() == before {
                std::hint::spin_loop();
            }
            turn.unsent();
            over.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        held += bench.count().taken;
        // The ring is still full: what is refused now is taken a moment later.
        while !is_written(bench.room.journal.append(Record::Paused(false))) {
            std::thread::yield_now();
        }
        bench.room.retry_releases(bench.unix());
        assert_eq!((bench.state(&one), bench.count().taken), (State::Waiting, 0));
        if held > 0 {
            break;
        }
    }
    assert!(held > 0, "the ring was never full");
}
