//! What one wave leaves behind for the next.

use super::super::{NotEntered, Stand};
use super::*;

const CLOSES: Duration = Duration::from_mins(30);
const OPENS: Duration = Duration::from_hours(1);

/// A wave of one place, and another later.
fn two(at_close: AtClose, closes: Option<Duration>) -> Bench {
    let instant = |after: Duration| plan::Instant { unix: BEGAN + after, offset_minutes: 0 };
    let next = Wave { opens: Some(instant(OPENS)), ..wave(2) };
    let mut bench = Bench::new(vec![Wave { closes: closes.map(instant), ..wave(1) }, next]);
    bench.plan.at_close = at_close;
    bench.restart();
    bench
}

/// Somebody who has come back once.
fn known(bench: &Bench) -> Place {
    let place = bench.join();
    bench.look(&place);
    place
}

fn open(bench: &mut Bench) {
    bench.pass((BEGAN + OPENS + Duration::from_secs(1)).saturating_sub(bench.unix()));
    bench.room.hold_draws().unwrap();
    bench.pass(Duration::from_secs(1));
}

/// A second wave after one that its quota ended, or its time, with people left over.
fn left_over(at_close: AtClose) -> (Bench, Vec<Place>) {
    let is_end = at_close == AtClose::End;
    let mut bench = two(at_close, is_end.then_some(CLOSES));
    if is_end {
        wait(bench.room.pause(true));
    }
    let first = known(&bench);
    bench.pass(Duration::from_secs(1));
    let old: Vec<Place> = (0..20).map(|_| known(&bench)).collect();
    if is_end {
        bench.pass(CLOSES);
        wait(bench.room.pause(false));
    } else {
        bench.enter(&first, true, None).unwrap().answered(200);
    }
    (0..3).for_each(|_| bench.pass(Duration::from_secs(1)));
    (bench, old)
}

#[test]
fn whoever_is_left_over_registers_for_the_next_wave_like_everybody_else() {
    for (at_close, restarts) in
        [(AtClose::Serve, false), (AtClose::Serve, true), (AtClose::End, false), (AtClose::End, true)]
    {
        let (mut bench, old) = left_over(at_close);
        if restarts {
            bench.restart();
        }
        for place in &old {
            let stand = bench.look(place);
            assert!(matches!(stand, Stand::Over { carried: false, next: Some(_), .. }), "{at_close:?}: {stand:?}");
        }
        assert_eq!(bench.room.order.waiting(), 0, "{at_close:?}: they are waited for no longer");
        assert!(bench.room.takes());
        let new: Vec<Place> = (0..3).map(|_| known(&bench)).collect();
        open(&mut bench);
        if restarts {
            bench.restart();
        }
        for place in &old {
            assert_eq!(bench.look(place), Stand::Unknown, "{at_close:?}: he may join the wave that is open");
            assert_eq!(bench.enter(place, true, None).unwrap_err(), NotEntered::NotCalled, "{at_close:?}");
        }
        let mut entered = 0;
        for place in &new {
            assert!(!matches!(bench.look(place), Stand::Over { .. } | Stand::Unknown), "{at_close:?}");
            if let Ok(mut turn) = bench.enter(place, true, None) {
                turn.answered(200);
                entered += 1;
            }
        }
        assert_eq!(entered, 2, "{at_close:?}: the quota is theirs");
    }
}

#[test]
fn nobody_who_registered_is_beyond_what_is_left_because_of_those_who_are_not_there() {
    let (mut bench, _old) = left_over(AtClose::Serve);
    wait(bench.room.pause(true));
    let new: Vec<Place> = (0..2).map(|_| known(&bench)).collect();
    open(&mut bench);
    let mut ahead: Vec<(u64, bool)> = new
        .iter()
        .map(|place| match bench.look(place) {
            Stand::Waiting { ahead, beyond, .. } => (ahead, beyond),
            stand => panic!("{stand:?}"),
        })
        .collect();
    ahead.sort_unstable();
    assert_eq!(ahead, [(0, false), (1, false)]);
}

#[test]
fn whoever_was_promised_to_be_served_is_served_in_the_next_wave_too() {
    let mut bench = two(AtClose::Serve, Some(CLOSES));
    wait(bench.room.pause(true));
    let old = known(&bench);
    bench.pass(CLOSES);
    let new = known(&bench);
    open(&mut bench);
    assert_eq!([old, new].map(|place| matches!(bench.look(&place), Stand::Waiting { .. })), [true; 2]);
    wait(bench.room.pause(false));
    bench.pass(Duration::from_secs(1));
    assert!([old, new].iter().all(|place| bench.enter(place, false, None).is_ok()));
}

#[test]
fn a_quota_that_is_spent_while_the_next_lobby_is_open_ends_its_own_wave_only() {
    let mut bench = two(AtClose::Serve, Some(CLOSES));
    wait(bench.room.pause(true));
    let (old, other) = (known(&bench), known(&bench));
    bench.pass(CLOSES);
    let new = known(&bench);
    wait(bench.room.pause(false));
    bench.pass(Duration::from_secs(1));
    bench.enter(&old, true, None).unwrap().answered(200);
    (0..2).for_each(|_| bench.pass(Duration::from_secs(1)));
    assert!(matches!(bench.look(&other), Stand::Over { spent: true, carried: false, .. }));
    assert!(matches!(bench.look(&new), Stand::Lobby { wave: 1, .. }));
    assert!(!bench.room.is_draw_due(), "its lobby is not over");
    let last = known(&bench);
    open(&mut bench);
    bench.restart();
    assert!([new, last].iter().all(|place| bench.enter(place, false, None).is_ok()));
}

#[test]
fn a_wave_that_was_spent_when_the_process_ended_has_ended_by_that() {
    let mut bench = two(AtClose::Serve, None);
    let (first, old) = (known(&bench), known(&bench));
    bench.pass(Duration::from_secs(1));
    bench.enter(&first, true, None).unwrap().answered(200);
    bench.flush();
    bench.passed = OPENS + Duration::from_secs(1);
    bench.restart_in("next day");
    bench.pass(Duration::ZERO);
    assert_eq!((bench.look(&old), bench.room.order.waiting()), (Stand::Unknown, 0));
}

#[test]
fn people_are_told_that_the_next_opening_ends_a_wave_that_does_not_close_by_itself() {
    for (closes, told) in [(None, OPENS), (Some(CLOSES), CLOSES)] {
        let bench = two(AtClose::Serve, closes);
        assert_eq!(bench.room.closing().map(|closes| closes.at.unix), Some(BEGAN + told));
    }
    assert!(Bench::new(vec![wave(1)]).room.closing().is_none());
}

#[test]
fn whose_place_ends_while_the_chore_is_at_work_is_told_so() {
    let mut bench = two(AtClose::Serve, None);
    let (first, old) = (known(&bench), known(&bench));
    bench.pass(Duration::from_secs(1));
    bench.enter(&first, true, None).unwrap().answered(200);
    let (begun, unix) = (bench.room.shown(), bench.unix());
    bench.room.follow_waves(&mut bench.room.control.lock().unwrap(), unix, &mut Vec::new());
    // Also whoever's look began before.
    for shown in [begun, bench.room.shown()] {
        let stand = bench.room.stand(old.number(), &shown);
        assert!(matches!(stand, Stand::Over { spent: true, .. }), "{stand:?}");
    }
}

#[test]
fn what_the_closing_means_for_a_place_is_what_will_become_of_it() {
    for (at_close, closes, first, last) in [
        (AtClose::Serve, Some(CLOSES), Some(AtClose::Serve), None),
        (AtClose::Carry, Some(CLOSES), Some(AtClose::Carry), None),
        // Where it has no end of its own the opening of the next is one.
        (AtClose::Carry, None, Some(AtClose::Carry), None),
        (AtClose::End, None, Some(AtClose::End), None),
    ] {
        let bench = two(at_close, closes);
        let then = |wave| bench.room.closes(wave).map(|closes| closes.then);
        assert_eq!((then(0), then(1)), (first, last), "{at_close:?}");
        let told = bench.room.closes(0).unwrap();
        assert_eq!((told.at.unix, told.while_left), (BEGAN + closes.unwrap_or(OPENS), true));
    }
    let instant = |after: Duration| Some(plan::Instant { unix: BEGAN + after, offset_minutes: 0 });
    let mut bench = Bench::new(vec![Wave { closes: instant(CLOSES), ..Wave::default() }]);
    bench.plan.at_close = AtClose::Carry;
    bench.restart();
    let told = bench.room.closes(0).unwrap();
    assert_eq!((told.then, told.while_left), (AtClose::End, false), "there is nothing to carry it into");
}
