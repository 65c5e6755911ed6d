//! What people notice of a kill: nothing.

use super::super::Stand;
use super::super::operator::Outcome;
use super::*;
use crate::waiting_room::order::GRACE;

/// A hundred people who joined a moment ago, of whom every other has come back; nobody is called.
fn rush(bench: &mut Bench) -> Vec<Place> {
    wait(bench.room.pause(true));
    let places: Vec<Place> = (0..100).map(|_| bench.join()).collect();
    bench.pass(Duration::from_millis(100));
    for place in places.iter().step_by(2) {
        bench.look(place);
    }
    bench.pass(Duration::from_secs(10));
    places
}

fn ahead(bench: &Bench, place: &Place) -> u64 {
    match bench.room.standing(place) {
        Stand::Waiting { ahead, .. } => ahead,
        stand => panic!("{stand:?}"),
    }
}

fn called(bench: &Bench, places: &[Place]) -> usize {
    places.iter().filter(|place| bench.room.standing(place) == Stand::Called).count()
}

/// At ten a second, as configured.
fn paced() -> Bench {
    let mut bench = Bench::new(vec![Wave::default()]);
    bench.plan.pace = Pace::Fixed(plan::Rate { count: 10.try_into().unwrap(), per: Duration::from_secs(1) });
    bench.restart();
    bench
}

#[test]
fn whoever_had_not_come_back_before_a_kill_is_called_at_the_pace_all_the_same() {
    let mut bench = paced();
    let places = rush(&mut bench);
    for kills in 0..3 {
        bench.restart_paused();
        assert_eq!([0, 50, 99].map(|who| ahead(&bench, &places[who])), [0, 50, 99], "{kills} kills before");
        let newcomer = bench.join();
        bench.pass(Duration::from_millis(100));
        assert_eq!(ahead(&bench, &newcomer), 100 + kills, "no number that nobody was given is waited for");
    }
    wait(bench.room.pause(false));
    bench.pass(Duration::from_millis(100));
    for second in 1..=5 {
        let before = called(&bench, &places);
        (0..10).for_each(|_| bench.pass(Duration::from_millis(100)));
        let now = called(&bench, &places);
        assert!((9..=11).contains(&(now - before)), "{second} s: {before} to {now}");
    }
}

#[test]
fn whoever_never_comes_back_after_a_kill_is_waited_for_no_longer_than_before_it() {
    let mut bench = paced();
    let places = rush(&mut bench);
    bench.restart_paused();
    bench.pass(GRACE.saturating_sub(Duration::from_secs(1)));
    assert_eq!(ahead(&bench, &places[99]), 99);
    bench.look(&places[51]);
    bench.pass(Duration::from_secs(1));
    assert_eq!(ahead(&bench, &places[99]), 51, "the fifty from before, and one who came in time");
    bench.restart_paused();
    assert_eq!(ahead(&bench, &places[99]), 51);
}

#[test]
fn a_room_that_was_empty_is_empty_after_a_kill() {
    let mut bench = Bench::new(vec![Wave::default()]);
    for _ in 0..3 {
        let place = bench.join();
        bench.pass(Duration::from_millis(100));
        bench.enter(&place, false, None).unwrap().answered(200);
        bench.restart();
        assert_eq!(bench.room.order.waiting(), 0);
        assert!(bench.room.lets_straight_in());
    }
}

#[test]
fn a_clean_end_leaves_the_fresh_ones_fresh() {
    let mut bench = paced();
    wait(bench.room.pause(true));
    let places: Vec<Place> = (0..10).map(|_| bench.join()).collect();
    assert!(bench.room.close(Duration::from_secs(10)));
    bench.restart_in("clean");
    bench.pass(Duration::ZERO);
    assert_eq!((bench.room.order.waiting(), ahead(&bench, &places[9])), (10, 9));
}

#[test]
fn whoever_was_told_that_his_turn_has_come_is_told_so_after_a_kill_at_that_instant() {
    for _ in 0..20 {
        let mut bench = Bench::new(vec![Wave::default()]);
        let place = bench.join();
        bench.look(&place);
        bench.clock.advance(Duration::from_secs(1));
        bench.passed += Duration::from_secs(1);
        let records = bench.room.tick(bench.now(), &FREE);
        assert!(bench.room.order.is_called(place.number()));
        let before = bench.room.standing(&place);
        assert!(matches!(before, Stand::Waiting { ahead: 0, .. }), "{before:?}: not before it is in the journal");
        records.into_iter().for_each(wait);
        bench.room.announce();
        assert_eq!(bench.room.standing(&place), Stand::Called);
        bench.restart_in("killed");
        assert_eq!(bench.room.standing(&place), Stand::Called);
    }
}

#[test]
fn whoever_went_straight_in_is_known_to_have_been_called() {
    let mut bench = Bench::new(vec![wave(3)]);
    let place = bench.welcome(None);
    let failed = bench.welcome(None);
    bench.enter(&failed, false, None).unwrap().answered(502);
    assert_eq!(bench.room.standing(&failed), Stand::Called, "at the front, and at once");
    let turn = bench.enter(&place, true, None).unwrap();
    bench.restart_in("killed");
    assert_eq!(bench.room.standing(&place), Stand::Unclear);
    let (unclear, _) = bench.room.unclear(0);
    assert_eq!(
        unclear.iter().map(|unclear| unclear.number).collect::<Vec<_>>(),
        [place.number()],
        "an operator sees him"
    );
    drop(turn);
}

/// Six waves of three places, an hour each and an hour apart.
fn six_waves() -> Vec<Wave> {
    let at = |hours| plan::Instant { unix: BEGAN + Duration::from_hours(hours), offset_minutes: 0 };
    let wave = |wave: u64| Wave {
        opens: (wave > 0).then(|| at(2 * wave)),
        closes: Some(at(2 * wave + 1)),
        quota: NonZeroU64::new(3),
    };
    (0..6).map(wave).collect()
}

#[test]
fn what_is_found_out_about_a_request_counts_in_the_wave_in_which_it_was_sent() {
    let mut bench = Bench::new(six_waves());
    let mut unclear = Vec::new();
    for wave in 0..5 {
        bench.pass(Duration::from_hours(2 * wave).saturating_sub(bench.passed));
        bench.pass(Duration::from_secs(1));
        let place = bench.join();
        bench.look(&place);
        bench.pass(Duration::from_secs(1));
        drop(bench.enter(&place, true, Some(KEY)).unwrap());
        unclear.push(place);
    }
    let counts = |bench: &Bench| [0, 1, 4].map(|wave| bench.room.quota_of(wave).unwrap().count());
    let [none, taken, done] = [(0, 0), (1, 0), (1, 1)].map(|(taken, done)| Count { taken, done });
    assert_eq!(counts(&bench), [taken; 3]);
    bench.restart();
    assert_eq!(counts(&bench), [taken; 3]);
    for (place, outcome) in [(0, Outcome::Failed), (1, Outcome::Done)] {
        let (resolution, record) = bench.room.resolve(unclear[place].number(), outcome, bench.unix()).unwrap();
        wait(record);
        resolution.apply().unwrap();
    }
    assert_eq!(counts(&bench), [none, done, taken]);
    bench.restart();
    assert_eq!(counts(&bench), [none, done, taken]);
}

#[test]
fn a_small_room_keeps_everybody_over_many_kills() {
    let mut bench = paced();
    bench.plan.capacity = 4_096;
    bench.restart_paused();
    let places = rush(&mut bench);
    for _ in 0..40 {
        bench.restart_paused();
    }
    assert_eq!([0, 50, 99].map(|who| ahead(&bench, &places[who])), [0, 50, 99]);
    // Two seconds' worth of the rush, and then little at each kill.
    let skipped = bench.room.order.issued() - 100;
    assert!(skipped < 100 * 20 + 40 * 8, "{skipped} numbers were skipped");
}
