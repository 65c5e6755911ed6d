mod crowd;
mod model;
mod plain;
mod storm;

use super::*;
use crate::waiting_room::eta::SLEEP;

const BEGAN: u32 = 1_586_600_000;

/// A time since 1970, so many seconds after the generation began.
fn unix(secs: u64) -> Duration {
    Duration::from_secs(u64::from(BEGAN) + secs)
}

fn tick(secs: u64) -> Tick {
    Tick::ZERO.after(Duration::from_secs(secs))
}

/// An order of which so many numbers were given at once.
fn order(capacity: usize, people: u64) -> Order {
    let order = Order::new(capacity, BEGAN);
    (0..people).for_each(|number| assert_eq!(order.issue(), Some(number)));
    order
}

/// The chore at each second of `range`.
fn settle(order: &Order, range: std::ops::RangeInclusive<u64>) {
    range.for_each(|secs| order.settle(tick(secs), unix(secs)));
}

#[test]
fn a_number_is_called_in_its_turn_and_let_in_once() {
    let order = order(CHUNK, 10);
    assert_eq!((order.redeem(3, 1, tick(0), unix(0)), order.is_called(3)), (Err(NotRedeemed::NotCalled), false));
    assert_eq!(order.ahead(3), 3);
    assert_eq!(order.advance(tick(1), 3), 3);
    assert_eq!((order.ahead(3), order.is_called(3), order.is_called(2)), (0, false, true));
    assert_eq!(order.advance(tick(1), 1), 4);
    assert_eq!(order.redeem(3, 1, tick(2), unix(14)), Ok(()));
    let standing = Standing { state: State::Admitted, counted: false, wave: 1, at: Some(unix(12)) };
    assert_eq!(order.standing(3), Some(standing));
    assert_eq!(order.redeem(3, 1, tick(2), unix(2)), Err(NotRedeemed::Already(State::Admitted)));
    assert_eq!(order.redeem(10, 1, tick(2), unix(2)), Err(NotRedeemed::Unknown), "never given");
    assert_eq!((order.position(10), order.state(10), order.is_called(10)), (None, None, false));
}

#[test]
fn whoever_never_comes_back_costs_no_turn_and_keeps_his_place() {
    let order = order(CHUNK, 100);
    order.settle(tick(0), unix(0));
    for number in [10, 50, 90] {
        let returned = Returned { first: true, counted: true, early: false, state: State::Waiting };
        assert_eq!(order.returned(number, unix(8), unix(20)), Some(returned));
    }
    assert_eq!((order.waiting(), order.ahead(90)), (100, 90), "all are fresh");
    settle(&order, 1..=59);
    assert_eq!(order.waiting(), 100);
    order.settle(tick(60), unix(60));
    assert_eq!((order.waiting(), order.ahead(90)), (3, 2), "only those who came back");
    let late = Returned { first: true, counted: false, early: false, state: State::Waiting };
    assert_eq!(order.returned(30, unix(70), unix(80)), Some(late));
    assert_eq!((order.waiting(), order.ahead(50)), (3, 1), "whoever comes late is nobody's loss");
    assert_eq!(order.advance(tick(71), 1), 50, "past all between");
    assert!(order.is_called(30) && !order.is_called(50));
    assert_eq!(order.redeem(30, 0, tick(72), unix(72)), Ok(()));
    assert_eq!(order.advance(tick(73), 5), 100, "and past all behind the last");
    assert_eq!((order.waiting(), order.outstanding()), (0, 3));
}

/// Whoever joined just now was told to come later; a newcomer who finds nobody waiting is there.
#[test]
fn since_when_those_called_can_come() {
    let order = order(CHUNK, 10);
    let tenths = |tenths: u64| Tick::ZERO.after(Duration::from_millis(100 * tenths));
    let cohorts = |now| {
        let mut cohorts = Vec::new();
        order.cohorts(now, &mut cohorts);
        cohorts.into_iter().map(|cohort| (cohort.called, cohort.people, cohort.come)).collect::<Vec<_>>()
    };
    order.settle(tick(10), unix(10));
    (10..20).for_each(|number| assert_eq!(order.issue(), Some(number)));
    assert_eq!((order.asleep(tick(10)), order.advance(tick(10), 10)), (Duration::ZERO, 10));
    assert_eq!(order.asleep(tenths(105)), Duration::from_millis(1_300));
    assert_eq!((order.advance(tenths(105), 4), order.welcome(tenths(105))), (14, 15));
    assert!(order.came(14, tenths(105)).is_some());
    assert_eq!(cohorts(tenths(105)), [(tick(10), 10, 0), (tick(10).after(SLEEP), 4, 0)]);
    assert_eq!((order.advance(tick(60), 5), order.called()), (20, 20));
    assert_eq!(cohorts(tick(60)), [(tick(60), 5, 0)]);
}

#[test]
fn those_behind_the_last_who_is_awaited_are_called_without_anybodys_turn() {
    let order = order(CHUNK, 10);
    settle(&order, 0..=60);
    assert!(!order.returned(4, unix(61), unix(65)).unwrap().counted);
    assert_eq!((order.waiting(), order.advance(tick(62), 0)), (0, 10));
    assert_eq!(order.redeem(4, 0, tick(63), unix(63)), Ok(()));
    assert!(order.no_show().abs() < 1e-9);
}

#[test]
fn whoever_asks_too_early_is_told_so_and_nothing_else_changes() {
    let order = order(CHUNK, 1);
    let ask = |at, due| order.returned(0, unix(at), unix(due)).unwrap();
    let asked = Returned { first: false, counted: true, early: false, state: State::Waiting };
    assert_eq!(ask(5, 20), Returned { first: true, ..asked });
    assert_eq!(ask(19, 40), Returned { early: true, ..asked });
    assert_eq!(order.standing(0).unwrap().at, Some(unix(20)));
    assert_eq!(ask(20, 40), asked);
    assert_eq!(order.standing(0).unwrap().at, Some(unix(40)));
    order.advance(tick(41), 1);
    assert_eq!(order.redeem(0, 0, tick(41), unix(41)), Ok(()));
    assert_eq!(ask(100, 200), Returned { state: State::Admitted, ..asked });
    assert_eq!(order.standing(0).unwrap().at, Some(unix(100)), "when he was last seen");
}

#[test]
fn states_follow_each_other_as_they_may() {
    let order = order(CHUNK, 1);
    let set = |from, to| order.set(0, from, to, unix(9));
    assert!(!set(State::Waiting, State::Admitted), "only redemption lets in");
    order.advance(tick(0), 1);
    assert!(!set(State::Admitted, State::Sending), "not admitted yet");
    for _ in 0..2 {
        assert_eq!(order.redeem(0, 2, tick(0), unix(0)), Ok(()));
        assert!(set(State::Admitted, State::Sending) && !set(State::Admitted, State::Sending));
        assert!(set(State::Sending, State::Waiting), "the upstream failed him: to the front");
        assert!(order.is_called(0) && order.waiting() == 0);
    }
    assert_eq!(order.redeem(0, 2, tick(0), unix(0)), Ok(()));
    assert!(set(State::Admitted, State::Sending) && set(State::Sending, State::Ambiguous));
    assert!(set(State::Ambiguous, State::Done) && !set(State::Done, State::Waiting));
    assert_eq!(order.standing(0).unwrap().wave, 2);
}

#[test]
fn there_is_room_for_so_many_and_then_for_nobody_until_some_are_forgotten() {
    let people = 2 * CHUNK as u64;
    let order = order(2 * CHUNK, people);
    assert_eq!((order.issue(), order.issued()), (None, people), "no number is lost");
    let life = Duration::from_secs(1_000);
    settle(&order, 0..=60);
    assert_eq!(order.retire(tick(2_000), unix(2_000), life), 0, "nobody was called");
    order.advance(tick(100), 0);
    order.settle(tick(100).after(TURN), unix(130));
    assert_eq!(order.retire(tick(1_100), unix(1_059), life), 0, "tickets are still good");
    assert_eq!(order.retire(tick(1_100), unix(1_060), life), people);
    assert_eq!(order.issue(), Some(people));
    assert_eq!((order.state(7), order.position(7), order.is_called(7)), (Some(State::Gone), Some(7), true));
    assert_eq!(order.redeem(7, 0, tick(1), unix(1)), Err(NotRedeemed::Already(State::Gone)));
    assert_eq!(order.returned(7, unix(1), unix(1)).unwrap().state, State::Gone);
    assert_eq!((order.state(people), order.ahead(people), order.waiting()), (Some(State::Waiting), 0, 1));
}

#[test]
fn whoever_was_let_in_and_is_not_seen_for_a_pass_is_given_up_once() {
    let order = order(8 * CHUNK, 30_000);
    order.advance(tick(0), 30_000);
    for number in 0..30_000 {
        assert_eq!(order.redeem(number, 3, tick(0), unix(8)), Ok(()));
    }
    for number in (0..30_000).filter(|number| number % 3 != 0) {
        order.returned(number, unix(1_000), unix(0));
    }
    assert!(order.set(1, State::Admitted, State::Sending, unix(8)));
    let life = Duration::from_mins(30);
    let sweep = |secs| (0..2).flat_map(|_| order.sweep(unix(secs), life)).collect::<Vec<_>>();
    assert_eq!(sweep(1_807), []);
    let given_up = sweep(1_808);
    let wanted = (0..30_000).filter(|number| number % 3 == 0).map(|number| Swept { number, wave: 3 });
    assert_eq!(given_up, wanted.collect::<Vec<_>>());
    assert_eq!(sweep(1_808), []);
    assert_eq!(sweep(10_000).len(), 19_999, "but for the one whose request is under way");
}

#[test]
fn who_left_is_found_while_ever_more_people_are_called() {
    let order = order(8 * CHUNK, 30_000);
    let life = Duration::from_mins(30);
    let mut swept = Vec::new();
    // One more is let in at each tick, for longer than a pass lives; nobody is seen again.
    for number in 0..30_000 {
        order.advance(tick(number), 1);
        assert_eq!(order.redeem(number, 0, tick(number), unix(number)), Ok(()));
        swept.extend(order.sweep(unix(number), life));
    }
    // A unit of time, and a lap of the sweep: two ticks of five chunks and a bit.
    let wanted = 30_000 - life.as_secs() - 10;
    assert!(swept.len() as u64 >= wanted, "{} of {wanted}", swept.len());
    assert!(swept.is_sorted_by_key(|swept| swept.number), "each once");
}

#[test]
fn a_draw_puts_everybody_where_the_lot_says_with_what_is_known_of_him() {
    let people = 3 * CHUNK as u64;
    let order = order(4 * CHUNK, people);
    let [first, count] = [1_000, 9_000];
    let mut forward: Vec<u32> = (0..9_000).collect();
    fastrand::Rng::with_seed(1).shuffle(&mut forward);
    for number in (0..people).step_by(3) {
        order.returned(number, unix(1), unix(40 + number % 100));
    }
    assert!(order.set(first + 3, State::Waiting, State::Gone, unix(2)));
    settle(&order, 0..=60);
    let before: Vec<_> = (0..people).map(|number| order.standing(number)).collect();
    let waiting = order.waiting();
    assert_eq!(order.drawn(first, forward.clone().into()), Ok(()));
    assert_eq!(order.waiting(), waiting);
    let mut live: Vec<u64> = (0..people).filter(|number| number.is_multiple_of(3) && *number != first + 3).collect();
    for number in 0..people {
        let drawn = (first..first + count).contains(&number);
        let position =
            if drawn { first + u64::from(forward[usize::try_from(number - first).unwrap()]) } else { number };
        assert_eq!((order.position(number), order.number(position)), (Some(position), Some(number)));
        assert_eq!(order.standing(number), before[usize::try_from(number).unwrap()]);
    }
    live.sort_by_key(|number| order.position(*number));
    for (rank, number) in live.iter().enumerate().step_by(37) {
        assert_eq!(order.ahead(order.position(*number).unwrap()), rank as u64);
    }
    assert_eq!(order.drawn(500, (0..600).collect()), Err(DrawError::DrawnBefore));
    assert_eq!(order.drawn(first + count, (0..1_000_000).collect()), Err(DrawError::NotWaiting));
    assert_eq!(order.drawn(10_000, [0, 2].into()), Err(DrawError::NotAPermutation));
    assert_eq!(order.drawn(10_000, [1, 1].into()), Err(DrawError::NotAPermutation));
    order.advance(tick(61), 1);
    assert_eq!(order.drawn(0, [0].into()), Err(DrawError::NotWaiting), "called already");
}

#[test]
fn numbers_of_a_draw_settle_where_they_stand() {
    let order = order(2 * CHUNK, 6_000);
    order.settle(tick(0), unix(0));
    let forward: Box<[u32]> = (0..6_000).rev().collect();
    assert_eq!(order.drawn(0, forward), Ok(()));
    order.returned(5_999, unix(1), unix(30));
    assert_eq!((order.position(5_999), order.ahead(6_000)), (Some(0), 6_000));
    settle(&order, 1..=60);
    assert_eq!((order.waiting(), order.ahead(1), order.ahead(6_000)), (1, 1, 1));
    assert_eq!(order.advance(tick(60), 1), 6_000);
    assert_eq!(order.redeem(5_999, 0, tick(61), unix(61)), Ok(()));
}

#[test]
fn a_draw_is_forgotten_as_a_whole() {
    let order = order(3 * CHUNK, 6_000);
    settle(&order, 0..=60);
    let forward: Box<[u32]> = (0..6_000).rev().collect();
    assert_eq!(order.drawn(0, forward), Ok(()));
    order.advance(tick(61), 0);
    order.settle(tick(61).after(TURN), unix(100));
    let life = Duration::from_secs(1_000);
    assert_eq!(order.retire(tick(5_000), unix(5_000), life), 0, "the other part of it is not full yet");
    assert_eq!(order.position(10), Some(5_989));
    (6_000..2 * CHUNK).for_each(|_| assert!(order.issue().is_some()));
    settle(&order, 5_000..=5_060);
    order.advance(tick(5_060), 0);
    order.settle(tick(5_060).after(TURN), unix(5_100));
    assert_eq!(order.retire(tick(6_060), unix(6_059), life), 0, "and then not old enough");
    assert_eq!(order.retire(tick(6_060), unix(6_060), life), 2 * CHUNK as u64);
}

#[test]
fn what_a_journal_remembers_is_as_it_was() {
    let mut order = Order::new(4 * CHUNK, BEGAN);
    assert!(!order.restore(Restored::Returned(5), unix(500)), "never given");
    assert!(order.restore(Restored::Issued(9_000), unix(500)) && order.restore(Restored::Settled(9_000), unix(500)));
    for number in (0..9_000).step_by(10) {
        assert!(order.restore(Restored::Returned(number), unix(500)));
    }
    let forward: Box<[u32]> = (0..5_000).rev().collect();
    assert_eq!(order.drawn(0, forward), Ok(()));
    assert!(order.restore(Restored::Returned(8_001), unix(500)));
    assert!(order.restore(Restored::Serving(100), unix(500)));
    let admitted = Restored::State { number: 4_950, state: State::Done, wave: 2, at: unix(400) };
    assert!(order.restore(admitted, unix(500)));
    assert!(!order.restore(Restored::Serving(9_001), unix(500)), "more than was given");
    assert_eq!(order.serving(), 9_000);
    let mut order_again = Order::new(4 * CHUNK, BEGAN);
    assert!(order_again.restore(Restored::Issued(9_000), unix(500)) && order_again.issue() == Some(9_000));
    assert!(order_again.restore(Restored::Settled(9_000), unix(500)));
    for number in (0..9_000).step_by(10) {
        assert!(order_again.restore(Restored::Returned(number), unix(500)));
    }
    assert_eq!((order_again.waiting(), order_again.ahead(8_000)), (901, 800), "and one who is fresh");
    order_again.settle(tick(0), unix(500));
    assert_eq!((order_again.waiting(), order_again.ahead(8_000), order_again.outstanding()), (901, 800, 0));
    let left = Restored::State { number: 20, state: State::Gone, wave: 0, at: unix(400) };
    assert!(order_again.restore(left, unix(500)));
    order_again.settle(tick(1), unix(501));
    assert_eq!((order_again.waiting(), order_again.ahead(30)), (900, 2), "whoever left is nobody's loss");
    let standing = Standing { state: State::Done, counted: true, wave: 2, at: Some(unix(400)) };
    assert_eq!(order.standing(4_950), Some(standing));
    assert_eq!((order.position(4_950), order.is_late(4_950)), (Some(49), true));
    assert_eq!(order.called_at(49), None);
}

#[test]
fn whoever_was_fresh_when_the_process_ended_is_fresh_for_another_while() {
    let mut order = Order::new(4 * CHUNK, BEGAN);
    let restored =
        [Restored::Issued(9_000), Restored::Settled(5_000), Restored::Returned(4_000), Restored::Skipped(7_000..9_000)];
    assert!(restored.into_iter().all(|record| order.restore(record, unix(500))));
    assert!(order.restore(Restored::Serving(100), unix(500)));
    let waits = |order: &Order| (order.waiting(), order.ahead(9_000), order.ahead(6_000), order.settled());
    settle(&order, 500..=500);
    assert_eq!(waits(&order), (2_001, 2_001, 1_001, 5_000), "and nobody where nobody was given a number");
    assert_eq!(order.issue(), Some(9_000));
    assert!(order.returned(6_999, unix(520), unix(530)).unwrap().counted, "as if nothing had happened");
    assert!(!order.returned(8_000, unix(520), unix(530)).unwrap().counted, "he keeps his place");
    settle(&order, 501..=559);
    assert_eq!(waits(&order), (2_002, 2_001, 1_001, 5_000));
    settle(&order, 560..=620);
    assert_eq!(waits(&order), (2, 2, 1, 9_001), "those who came back, and nobody is waited for any longer");
    assert_eq!(order.advance(tick(621), 2), 9_001);
}

#[test]
fn a_journal_of_more_numbers_than_there_is_room_for_keeps_the_last() {
    let mut order = Order::new(2 * CHUNK, BEGAN);
    let issued = 5 * CHUNK as u64 + 7;
    assert!(order.restore(Restored::Issued(issued), unix(9)) && order.restore(Restored::Settled(issued), unix(9)));
    assert!(!order.restore(Restored::Returned(0), unix(9)));
    assert!(order.restore(Restored::Returned(issued - 1), unix(9)));
    assert!(order.restore(Restored::Serving(issued - 5), unix(9)));
    assert_eq!((order.state(0), order.waiting(), order.ahead(issued)), (Some(State::Gone), 1, 1));
    assert_eq!(order.issue(), Some(issued));
}

#[test]
fn whoever_comes_is_awaited_no_more_and_who_does_not_is_late() {
    let order = order(CHUNK, 10);
    assert_eq!(order.came(0, tick(0)), None, "not called");
    order.advance(tick(1), 4);
    assert_eq!((order.outstanding(), order.called_at(3)), (4, Some(tick(1))));
    assert_eq!(order.came(1, tick(3)), Some(Duration::from_secs(2)));
    assert_eq!((order.came(1, tick(4)), order.outstanding()), (None, 3), "once");
    assert_eq!(order.redeem(2, 0, tick(4), unix(4)), Ok(()));
    assert!(order.set(3, State::Waiting, State::Gone, unix(4)));
    assert_eq!((order.outstanding(), order.is_late(0)), (1, false));
    order.settle(tick(1).after(TURN), unix(31));
    assert_eq!((order.outstanding(), order.is_late(0), order.is_called(0)), (0, true, true));
    assert!((order.no_show() - 0.5).abs() < 1e-9, "one came, one was let in, one left, one is not there");
    assert_eq!((order.came(0, tick(40)), order.redeem(0, 0, tick(40), unix(40))), (None, Ok(())), "his place is his");
}

#[test]
fn nobody_behind_the_fence_is_called_until_it_falls() {
    let order = order(CHUNK, 10);
    order.fence(4);
    assert_eq!((order.callable(), order.waiting()), (4, 10));
    assert_eq!((order.advance(tick(1), 3), order.callable()), (3, 1));
    assert_eq!((order.advance(tick(2), 5), order.callable(), order.waiting()), (4, 0, 6));
    assert_eq!(order.advance(tick(3), 0), 4);
    order.fence(2);
    assert_eq!((order.advance(tick(4), 1), order.callable()), (4, 0), "whoever was called stays so");
    order.fence(u64::MAX);
    assert_eq!((order.advance(tick(5), 1), order.callable()), (5, 5));
}

#[test]
fn whoever_comes_when_an_opening_told_him_is_not_late_and_the_pace_hears_of_half_a_minute() {
    // As many as can be told to come within a turn.
    let people = 1_432_133;
    let told = crate::waiting_room::eta::opening_visit(Duration::ZERO, people, 1.0);
    assert!(told < TURN, "{told:?}");
    let order = order(CHUNK, 4_000);
    for second in 1..=299 {
        // Ten ticks a second.
        for tenth in 0..10 {
            order.advance(tick(second).after(Duration::from_millis(tenth * 100)), 1);
        }
    }
    let now = tick(1).after(told);
    order.settle(now, unix(290));
    assert!(!order.is_late(0) && order.came(0, now) == Some(told));
    let mut cohorts = Vec::new();
    order.cohorts(tick(300), &mut cohorts);
    assert_eq!((cohorts.len(), cohorts.first().map(|cohort| cohort.people)), (299, Some(1)));
    assert!(cohorts.iter().all(|cohort| tick(300).since(cohort.called) < Duration::from_secs(30)));
    assert_eq!(order.outstanding(), 2_989);
}

#[test]
fn how_many_are_ahead_is_right_at_once_after_a_restart_behind_a_draw() {
    let mut order = Order::new(3 * CHUNK, BEGAN);
    order.restore(Restored::Issued(5_000), unix(500));
    order.restore(Restored::Settled(5_000), unix(500));
    for number in (0..100).chain([4_500]) {
        order.restore(Restored::Returned(number), unix(500));
    }
    order.drawn(0, (0..4_200).collect()).unwrap();
    order.restore(Restored::Serving(90), unix(500));
    assert_eq!((order.ahead(4_400), order.waiting()), (10, 11));
}
