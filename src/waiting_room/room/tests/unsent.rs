//! Requests of people who were let in that no connection had, or that one gave back.

use super::*;

#[test]
fn what_no_connection_had_is_never_unknown() {
    let is_back = |bench: &Bench, place: &Place| (bench.state(place), bench.count().taken) == (State::Waiting, 0);
    let mut bench = Bench::new(vec![wave(1)]);
    let place = bench.join();
    bench.look(&place);
    bench.pass(Duration::from_secs(1));
    let enter = |bench: &Bench| bench.room.enter(&place, true, Some(KEY), bench.now()).unwrap().turn;
    drop(enter(&bench));
    assert!(is_back(&bench, &place), "its client left while it was being connected");
    let mut turn = enter(&bench);
    turn.handed(true);
    turn.handed(false);
    drop(turn);
    assert!(is_back(&bench, &place), "given back unsent");
    let mut turn = enter(&bench);
    turn.handed(true);
    turn.repeated();
    turn.handed(false);
    drop(turn);
    assert_eq!((bench.state(&place), bench.count().taken), (State::Ambiguous, 1), "it was sent before");
}
