//! Every arrow of the picture, alone.

use super::super::operator::{NotUnclear, Outcome};
use super::super::{NotEntered, Stand};
use super::*;
use crate::waiting_room::pace::PacePlan;

/// What is said of a request.
#[derive(Clone, Copy, Debug)]
enum Word {
    Status(u16),
    Unsent,
    Dropped,
}

const WORDS: [Word; 11] = [
    Word::Status(200),
    Word::Status(204),
    Word::Status(303),
    Word::Status(404),
    Word::Status(409),
    Word::Status(429),
    Word::Status(500),
    Word::Status(503),
    Word::Status(504),
    Word::Unsent,
    Word::Dropped,
];

fn say(mut turn: Turn, word: Word) {
    match word {
        Word::Status(status) => turn.answered(status),
        Word::Unsent => turn.unsent(),
        Word::Dropped => {}
    }
}

/// Somebody who has been called.
fn called(bench: &mut Bench) -> Place {
    let place = bench.join();
    bench.look(&place);
    bench.pass(Duration::from_secs(1));
    assert_eq!(bench.room.standing(&place), Stand::Called);
    place
}

/// What becomes of a request of one who comes in with it.
fn after(word: Word, counting: bool) -> State {
    match word {
        Word::Status(200 | 204) if counting => State::Done,
        Word::Status(500 | 504) | Word::Dropped if counting => State::Ambiguous,
        Word::Status(429 | 500 | 503 | 504) | Word::Unsent | Word::Dropped => State::Waiting,
        Word::Status(_) => State::Admitted,
    }
}

fn reserved(state: State) -> bool {
    !matches!(state, State::Waiting | State::Gone)
}

#[test]
fn whoever_comes_in_with_a_request_stands_where_it_leaves_him() {
    for word in WORDS {
        for counting in [false, true] {
            let mut bench = Bench::new(vec![wave(3)]);
            let place = called(&mut bench);
            let turn = bench.enter(&place, counting, None).unwrap();
            assert_eq!(bench.state(&place), if counting { State::Sending } else { State::Admitted });
            assert_eq!(bench.count().taken, 1);
            say(turn, word);
            let state = after(word, counting);
            assert_eq!(bench.state(&place), state, "{word:?} {counting}");
            let count = Count { taken: reserved(state).into(), done: (state == State::Done).into() };
            assert_eq!(bench.count(), count, "{word:?} {counting}");
            bench.restart();
            assert_eq!((bench.state(&place), bench.count()), (state, count), "{word:?} {counting}, after a restart");
        }
    }
}

/// The first time it was sent may have had its effect, whatever the second was answered.
#[test]
fn of_a_request_that_was_sent_once_more_only_a_success_says_anything() {
    for word in WORDS {
        let mut bench = Bench::new(vec![wave(3)]);
        let place = called(&mut bench);
        let mut turn = bench.enter(&place, true, Some(KEY)).unwrap();
        turn.repeated();
        say(turn, word);
        let state = if matches!(word, Word::Status(200 | 204)) { State::Done } else { State::Ambiguous };
        assert_eq!((bench.state(&place), bench.count().taken), (state, 1), "{word:?}");
    }
}

#[test]
fn whoever_was_inside_stays_there_when_nothing_was_done() {
    for word in WORDS {
        let mut bench = Bench::new(vec![wave(3)]);
        let place = called(&mut bench);
        say(bench.enter(&place, false, None).unwrap(), Word::Status(200));
        say(bench.enter(&place, true, None).unwrap(), word);
        let state = match after(word, true) {
            State::Waiting => State::Admitted,
            state => state,
        };
        assert_eq!((bench.state(&place), bench.count().taken), (state, 1), "{word:?}");
        // A page that fails changes nothing for him.
        let mut bench = Bench::new(vec![wave(3)]);
        let place = called(&mut bench);
        say(bench.enter(&place, false, None).unwrap(), Word::Status(200));
        say(bench.enter(&place, false, None).unwrap(), word);
        assert_eq!((bench.state(&place), bench.count().taken), (State::Admitted, 1), "{word:?}");
    }
}

#[test]
fn only_a_success_of_the_same_request_makes_an_unknown_outcome_known() {
    for word in WORDS {
        let mut bench = Bench::new(vec![wave(3)]);
        let place = called(&mut bench);
        say(bench.enter(&place, true, Some(KEY)).unwrap(), Word::Status(500));
        for other in [None, Some(&b"another request"[..])] {
            assert_eq!(bench.enter(&place, true, other).unwrap_err(), NotEntered::Unclear);
        }
        bench.restart();
        say(bench.enter(&place, true, Some(KEY)).unwrap(), word);
        let done = after(word, true) == State::Done;
        assert_eq!(bench.state(&place), if done { State::Done } else { State::Ambiguous }, "{word:?}");
        assert_eq!(bench.count(), Count { taken: 1, done: done.into() }, "{word:?}");
    }
}

#[test]
fn what_is_done_is_done_once() {
    let mut bench = Bench::new(vec![wave(3)]);
    let place = called(&mut bench);
    say(bench.enter(&place, true, Some(KEY)).unwrap(), Word::Status(201));
    assert_eq!(bench.enter(&place, true, None).unwrap_err(), NotEntered::Done);
    assert_eq!(bench.enter(&place, true, Some(b"another")).unwrap_err(), NotEntered::Done);
    // The service recognises it, and its answer was perhaps lost on the way.
    say(bench.enter(&place, true, Some(KEY)).unwrap(), Word::Status(500));
    assert_eq!((bench.state(&place), bench.count()), (State::Done, Count { taken: 1, done: 1 }));
    assert!(!bench.room.leave(&place, bench.unix()));
}

#[test]
fn of_two_requests_at_once_one_is_sent() {
    let mut bench = Bench::new(vec![wave(3)]);
    let place = called(&mut bench);
    let page = bench.enter(&place, false, None).unwrap();
    let first = bench.enter(&place, true, Some(KEY)).unwrap();
    assert_eq!(bench.enter(&place, true, Some(KEY)).unwrap_err(), NotEntered::Sending);
    say(page, Word::Status(500));
    assert_eq!(bench.state(&place), State::Sending, "a page that fails does not take back what is sent");
    say(first, Word::Unsent);
    assert_eq!((bench.state(&place), bench.count().taken), (State::Admitted, 1));
}

#[test]
fn a_request_at_the_service_is_unclear_after_a_kill_and_keeps_what_it_took() {
    let mut bench = Bench::new(vec![wave(1)]);
    let place = called(&mut bench);
    let turn = bench.enter(&place, true, Some(KEY)).unwrap();
    bench.restart();
    assert_eq!((bench.state(&place), bench.count().taken), (State::Ambiguous, 1));
    drop(turn);
    assert_eq!(bench.room.standing(&place), Stand::Unclear);
    bench.restart();
    assert_eq!((bench.state(&place), bench.count().taken), (State::Ambiguous, 1));
    // Where nothing is counted nothing is held.
    let mut bench = Bench::new(vec![Wave::default()]);
    let place = called(&mut bench);
    let turn = bench.enter(&place, true, None).unwrap();
    bench.restart();
    assert_eq!(bench.room.standing(&place), Stand::Called);
    drop(turn);
    for word in WORDS {
        let mut bench = Bench::new(vec![Wave::default()]);
        let place = called(&mut bench);
        say(bench.enter(&place, true, None).unwrap(), word);
        assert_ne!(bench.state(&place), State::Ambiguous, "{word:?}");
    }
}

/// Also who asks while another request of his is given the number, and who is told of it at the door.
#[test]
fn a_number_of_an_identity_is_told_when_the_journal_has_it() {
    let bench = Bench::new(vec![wave(3)]);
    let first = bench.room.join(Some(b"somebody"), Class::New, bench.unix()).unwrap();
    let second = bench.room.join(Some(b"somebody"), Class::New, bench.unix()).unwrap();
    assert_eq!(first.place.number(), second.place.number());
    let straight = bench.room.welcome(Some(b"another"), Class::New, bench.now()).unwrap();
    assert!([first, second, straight].iter().all(|joined| joined.recorded.is_some()));
}

/// Killed before the tick that would have recorded his call.
#[test]
fn whoever_came_straight_in_is_inside_after_a_kill_and_listed_while_the_room_pauses() {
    let mut bench = Bench::new(vec![wave(3)]);
    let place = bench.welcome(None);
    let turn = bench.enter(&place, true, None).unwrap();
    wait(bench.room.pause(true));
    bench.restart();
    assert!(bench.room.order.is_called(place.number()));
    assert_eq!(bench.room.survey().inside.ambiguous, 1);
    assert_eq!(bench.room.unclear(0).0.first().map(|unclear| unclear.number), Some(place.number()));
    drop(turn);
}

#[test]
fn an_unused_passage_and_leaving_give_back_what_was_reserved() {
    let mut bench = Bench::new(vec![wave(1)]);
    let (first, second) = (called(&mut bench), bench.join());
    // More than are left are called only if some of them do not come.
    bench.room.order.advance(bench.now().0, 2);
    bench.pass(Duration::ZERO);
    say(bench.enter(&first, false, None).unwrap(), Word::Status(200));
    assert_eq!(bench.enter(&second, false, None).unwrap_err(), NotEntered::NoneLeft);
    assert_eq!(bench.room.standing(&second), Stand::Taken);
    bench.pass(PASSAGE + Duration::from_secs(8));
    assert_eq!((bench.state(&first), bench.count().taken), (State::Gone, 0));
    say(bench.enter(&second, false, None).unwrap(), Word::Status(200));
    bench.restart();
    assert_eq!(bench.count().taken, 1);
    assert!(bench.room.leave(&second, bench.unix()) && !bench.room.leave(&second, bench.unix()));
    assert_eq!((bench.state(&second), bench.count().taken), (State::Gone, 0));
}

#[test]
fn numbers_are_never_given_twice_and_a_clean_end_skips_none() {
    let mut bench = Bench::new(vec![Wave::default()]);
    let mut last = bench.join().number();
    for _ in 0..50 {
        bench.restart();
        let number = bench.join().number();
        assert!(number > last && number - last <= 2 * super::super::LEASE_LEAST, "{last} {number}");
        last = number;
    }
    assert!(bench.room.close(Duration::from_secs(10)));
    bench.restart_in("clean");
    bench.pass(Duration::ZERO);
    assert_eq!(bench.join().number(), last + 1);
}

#[test]
fn a_smaller_capacity_forgets_people_but_not_what_they_took() {
    let mut bench = Bench::new(vec![wave(5)]);
    bench.plan.capacity = 4 << 20;
    bench.restart();
    let place = called(&mut bench);
    say(bench.enter(&place, true, None).unwrap(), Word::Status(200));
    for _ in 0..(2 << 20) {
        bench.room.order.issue().unwrap();
    }
    bench.pass(Duration::from_secs(1));
    bench.plan.capacity = 8_192;
    bench.restart();
    assert_eq!(bench.find(&place).map(|place| bench.room.standing(&place)), Some(Stand::Unknown));
    assert_eq!(bench.count(), Count { taken: 1, done: 1 });
    bench.restart();
    assert_eq!(bench.count(), Count { taken: 1, done: 1 });
}

#[test]
fn a_long_journal_is_compacted_and_says_the_same() {
    let mut bench = Bench::new(vec![wave(4)]);
    let done = called(&mut bench);
    say(bench.enter(&done, true, None).unwrap(), Word::Status(200));
    let unclear = called(&mut bench);
    let turn = bench.enter(&unclear, true, Some(KEY)).unwrap();
    let waiting = bench.join();
    for _ in 0..100_000 {
        bench.room.journal.post(Record::Serving { position: bench.room.order.serving() });
        if fastrand::u32(..1_000) == 0 {
            bench.flush();
        }
    }
    let long = |bench: &Bench| std::fs::metadata(bench.plan.state.join("journal")).unwrap().len();
    assert!(long(&bench) > 1 << 20);
    for _ in 0..2 {
        bench.restart();
        assert!(long(&bench) < 10_000, "{} bytes", long(&bench));
        assert_eq!(
            [done, unclear, waiting].map(|place| bench.state(&place)),
            [State::Done, State::Ambiguous, State::Waiting]
        );
        assert_eq!(bench.count(), Count { taken: 2, done: 1 });
        assert!(bench.join().number() > waiting.number());
    }
    drop(turn);
    assert!(bench.enter(&unclear, true, Some(KEY)).is_ok());
}

#[test]
fn a_room_is_open_before_the_first_tick() {
    let directory = tempfile::tempdir().unwrap();
    let plan = plan(directory.path().join("0"), vec![wave(3)], Key::New(Secret([7; 32])));
    let room = Room::open(&plan, PASSAGE, PATIENCE, &Clock::manual(), BEGAN).unwrap();
    assert!(room.takes() && room.lets_straight_in());
    drop(room);
    let paused = WaitingRoom { pace: Pace::Paused, state: directory.path().join("paused"), ..plan };
    let room = Room::open(&paused, PASSAGE, PATIENCE, &Clock::manual(), BEGAN).unwrap();
    assert!(room.takes() && !room.lets_straight_in(), "nobody slips in before the chore has looked");
}

#[test]
fn a_place_that_an_identity_finds_is_as_old_as_it_is() {
    let mut bench = Bench::new(vec![Wave::default()]);
    wait(bench.room.pause(true));
    let joined = bench.unix();
    let one = bench.room.join(Some(b"one"), Class::New, joined).unwrap();
    one.recorded.into_iter().for_each(wait);
    (0..300).for_each(|_| bench.pass(Duration::from_secs(1)));
    let find = |bench: &Bench| bench.room.find(std::iter::empty(), Some(b"one"), bench.unix()).unwrap();
    let waited = |bench: &Bench| bench.unix().saturating_sub(find(bench).issued());
    assert!((299..=300).contains(&waited(&bench).as_secs()), "{:?}", waited(&bench));
    // His ticket alone is as old, so it ends when the one he was given first does.
    assert_eq!(bench.find(&find(&bench)).map(|place| place.issued()), Some(find(&bench).issued()));
    bench.restart_paused();
    (0..60).for_each(|_| bench.pass(Duration::from_secs(1)));
    assert_eq!(waited(&bench).as_secs(), 60, "of before a restart nothing is known but that it was before");
}

#[test]
fn a_ticket_is_good_for_its_life_and_no_longer_than_clocks_may_differ_before_it() {
    let mut bench = Bench::new(vec![Wave::default()]);
    wait(bench.room.pause(true));
    let place = bench.join();
    let issued_at = |unix: Duration| {
        let mut place = place;
        place.ticket.issued = unix;
        place
    };
    let (now, second) = (bench.unix(), Duration::from_secs(1));
    let (life, skew) = (bench.plan.life, super::super::SKEW);
    let oldest = now.saturating_sub(life);
    for (issued, good) in
        [(oldest, true), (oldest.saturating_sub(second), false), (now + skew, true), (now + skew + second, false)]
    {
        assert_eq!(bench.find(&issued_at(issued)).is_some(), good, "{issued:?}");
    }
    // As long as it is good, it is remembered who he is: of those who joined with him as well, and then of none.
    (0..8_191).for_each(|_| assert!(bench.room.order.issue().is_some()));
    bench.look(&place);
    wait(bench.room.pause(false));
    for _ in 0..70 {
        bench.pass(Duration::from_secs(1));
    }
    bench.room.order.advance(bench.now().0, 8_192);
    bench.pass(Duration::from_mins(6));
    assert_eq!((bench.room.order.remembered().start, bench.room.standing(&place)), (0, Stand::Called));
    bench.pass(life);
    assert_eq!((bench.find(&place), bench.room.order.remembered().start), (None, 8_192));
}

#[test]
fn a_pause_is_one_at_once_and_a_pace_does_not_end_it() {
    let mut bench = Bench::new(vec![Wave::default()]);
    let ten = PacePlan::Fixed(10.0);
    wait(bench.room.pause(true));
    assert!(!bench.room.lets_straight_in(), "not from the next tick on");
    bench.room.set_pace(ten);
    bench.pass(Duration::from_secs(1));
    assert!(bench.room.pacing().paused && !bench.room.lets_straight_in());
    wait(bench.room.pause(false));
    assert_eq!((bench.room.pacing().plan, bench.room.pacing().paused), (ten, false), "what was said meanwhile");
    // A room that is configured to pause goes on at the measured pace.
    bench.room.set_pace(PacePlan::Paused);
    wait(bench.room.pause(false));
    assert_eq!((bench.room.pacing().plan, bench.room.pacing().paused), (PacePlan::Measured, false));
}

#[test]
fn an_operators_word_that_comes_too_late_is_not_what_a_restart_believes() {
    let mut bench = Bench::new(vec![wave(3)]);
    let place = called(&mut bench);
    say(bench.enter(&place, true, Some(KEY)).unwrap(), Word::Status(500));
    let (resolution, record) = bench.room.resolve(place.number(), Outcome::Failed, bench.unix()).unwrap();
    wait(record);
    // Between his word and its effect the same request comes again, and succeeds.
    say(bench.enter(&place, true, Some(KEY)).unwrap(), Word::Status(200));
    assert_eq!(resolution.apply(), Err(NotUnclear(Some(State::Done))));
    assert_eq!(bench.count(), Count { taken: 1, done: 1 });
    bench.restart();
    assert_eq!((bench.state(&place), bench.count()), (State::Done, Count { taken: 1, done: 1 }));
}
