//! The state is gone, and the tickets are not.

use super::super::recover::SETTLING;
use super::super::{NotEntered, Stand};
use super::*;

/// Those who hold tickets of a room whose state is lost then.
fn lost(waves: Vec<Wave>, people: usize) -> (Bench, Vec<Place>) {
    let mut bench = Bench::new(waves);
    let places = (0..people).map(|_| bench.join()).collect();
    bench.lose();
    (bench, places)
}

/// Comes back with his old ticket.
fn back(bench: &Bench, old: &Place) -> Place {
    let place = bench.find(old).unwrap();
    bench.look(&place);
    assert_eq!(bench.find(old), Some(place), "one old ticket, one number");
    assert_eq!(bench.find(&place).map(|place| place.number()), Some(place.number()), "and a new one for it");
    place
}

/// In the order of service, with nobody between.
fn in_order(bench: &Bench, places: &[Place]) -> bool {
    let position = |place: &Place| bench.room.order.position(place.number()).unwrap();
    places.iter().map(position).collect::<Vec<_>>().is_sorted()
}

#[test]
fn old_tickets_come_first_and_in_their_order() {
    let (mut bench, first) = lost(vec![Wave::default()], 20);
    bench.pass(SETTLING);
    let second: Vec<Place> = (0..20).map(|_| bench.join()).collect();
    bench.lose();
    let old: Vec<Place> = first.iter().chain(&second).copied().collect();
    let mut come: Vec<usize> = (0..old.len()).collect();
    fastrand::Rng::with_seed(3).shuffle(&mut come);
    let mut now = vec![None; old.len()];
    let mut new = Vec::new();
    for (step, who) in come.into_iter().enumerate() {
        new.push(bench.join());
        bench.look(&new[step]);
        now[who] = Some(back(&bench, &old[who]));
        assert!(matches!(bench.room.standing(&now[who].unwrap()), Stand::Waiting { paused: true, .. }));
        assert!(!bench.room.lets_straight_in(), "nobody overtakes");
        bench.pass(Duration::from_millis(100));
        if step % 10 == 5 {
            bench.restart();
        }
    }
    let served: Vec<Place> = now.into_iter().flatten().chain(new).collect();
    assert!(served.iter().all(|place| !bench.room.order.is_called(place.number())));
    bench.pass(SETTLING);
    assert!(in_order(&bench, &served));
    bench.restart();
    assert!(in_order(&bench, &served), "after a restart");
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.room.standing(&served[0]), Stand::Called);
}

#[test]
fn whoever_comes_later_with_an_old_ticket_comes_in_at_the_front() {
    let (mut bench, old) = lost(vec![Wave::default()], 3);
    let new = bench.join();
    bench.look(&new);
    bench.pass(SETTLING);
    bench.pass(Duration::from_secs(1));
    bench.restart();
    let late = back(&bench, &old[1]);
    assert_eq!(bench.room.standing(&late), Stand::Called);
    assert!(bench.room.order.is_late(late.number()), "through the lane of the late");
    bench.restart();
    assert_eq!(back(&bench, &old[1]), late, "the same after a restart");
    assert_ne!(back(&bench, &old[2]).number(), late.number());
    assert!(bench.enter(&late, false, None).is_ok());
    // What was redeemed in the lost state is not known: once more, and no oftener.
    assert!(bench.room.leave(&late, bench.unix()));
    assert_eq!(bench.room.standing(&back(&bench, &old[1])), Stand::Unknown);
}

#[test]
fn more_late_ones_than_the_room_holds_stand_at_the_end() {
    let (mut bench, old) = lost(vec![Wave::default()], 1);
    bench.pass(SETTLING);
    let front = bench.room.front;
    assert_eq!(front, bench.plan.capacity as u64);
    let text = |number: u64| {
        let mut place = old[0];
        place.ticket.number = number;
        place
    };
    let mut last = None;
    for number in 0..=front {
        last = bench.find(&text(number));
        if number < front {
            assert!(last.unwrap().number() < front);
        }
    }
    assert!(last.unwrap().number() >= front);
    bench.restart();
    assert_eq!(bench.find(&text(front)), last);
    assert_eq!(bench.find(&text(0)).unwrap().number(), 0);
}

#[test]
fn a_quota_that_was_open_waits_for_the_operators_word() {
    let later = plan::Instant { unix: BEGAN + Duration::from_hours(1), offset_minutes: 0 };
    let later = Wave { opens: Some(later), quota: NonZeroU64::new(5), closes: None };
    let (mut bench, old) = lost(vec![wave(3), later], 5);
    assert_eq!((bench.room.is_untold(0), bench.room.is_untold(1)), (true, false));
    let mut places = Vec::new();
    for step in 0..3 {
        places = old.iter().map(|old| back(&bench, old)).collect::<Vec<_>>();
        if step == 1 {
            bench.pass(SETTLING);
        }
        bench.pass(Duration::from_mins(1));
        bench.restart();
        assert!(bench.room.is_untold(0) && !bench.room.lets_straight_in());
        for place in &places {
            assert!(bench.enter(place, true, None).is_err());
        }
    }
    wait(bench.room.told_taken(0, 2).unwrap());
    assert!(bench.room.told_taken(7, 2).is_none());
    bench.restart();
    bench.pass(Duration::from_secs(1));
    bench.pass(SETTLING);
    let mut turn = bench.enter(&places[0], true, None).unwrap();
    turn.answered(200);
    let none = bench.enter(&places[1], true, None).unwrap_err();
    assert!(matches!(none, NotEntered::NoneLeft | NotEntered::NotCalled), "{none:?}");
    assert_eq!(bench.count(), Count { taken: 3, done: 3 });
    bench.restart();
    assert_eq!(bench.count(), Count { taken: 3, done: 3 });
}

#[test]
fn a_first_start_is_no_loss() {
    let mut bench = Bench::new(vec![wave(3)]);
    assert!(bench.room.recovery.is_none() && !bench.room.is_untold(0));
    bench.restart();
    assert!(bench.room.recovery.is_none() && !bench.room.is_untold(0));
    let bench = Bench::with_key(vec![wave(3)], Key::Known(Secret([7; 32])));
    assert!(bench.room.recovery.is_some() && bench.room.is_untold(0), "a key that was there has perhaps signed");
}

#[test]
fn what_is_no_ticket_of_an_earlier_state_is_none() {
    let (mut bench, old) = lost(vec![Wave::default()], 1);
    let mut later = old[0];
    later.ticket.generation = bench.room.generation + 1;
    let mut early = old[0];
    early.ticket.issued = bench.unix() + super::super::calendar::SKEW + Duration::from_secs(1);
    assert_eq!(bench.find(&early), None, "signed later than any clock may be wrong");
    let mut expired = old[0];
    expired.ticket.issued = bench.unix().saturating_sub(bench.plan.life + Duration::from_secs(1));
    assert_eq!((bench.find(&later), bench.find(&expired)), (None, None));
    bench.pass(SETTLING);
    assert_eq!(bench.find(&later), None);
}
