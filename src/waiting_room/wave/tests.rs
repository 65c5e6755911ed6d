use proptest::prelude::*;

use super::*;

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn wave(opens: u64, closes: u64) -> Wave {
    Wave { opens: Some(at(opens)), closes: Some(at(closes)), ..Wave::default() }
}

fn schedule(waves: &[Wave], at_close: AtClose) -> Schedule {
    Schedule::new(waves.to_vec(), at_close).unwrap()
}

/// Where a room stands that nobody looked at before `seconds`.
fn stands(schedule: &Schedule, seconds: u64) -> Standing {
    schedule.standing(schedule.advance(Progress::default(), at(seconds)))
}

#[test]
fn a_room_without_waves_is_always_open() {
    let always = schedule(&[], AtClose::Serve);
    for seconds in [0, 1, u64::MAX] {
        let open = Phase::Open { wave: 0, closes: None };
        assert_eq!(stands(&always, seconds), Standing { phase: open, calling: Some(0), ended: None, change: None });
    }
    assert_eq!(always.quota(0), None);
}

#[test]
fn a_wave_has_a_lobby_opens_and_closes() {
    let one = schedule(&[wave(100, 200)], AtClose::End);
    let lobby = Phase::Lobby { wave: 0, opens: at(100) };
    let open = Phase::Open { wave: 0, closes: Some(at(200)) };
    let closed = Phase::Closed { next: None };
    for (seconds, phase, calling, change) in [
        (0, lobby, None, Some(100)),
        (99, lobby, None, Some(100)),
        (100, open, Some(0), Some(200)),
        (199, open, Some(0), Some(200)),
        (200, closed, None, None),
        (9_999, closed, None, None),
    ] {
        let ended = (seconds >= 200).then_some((0, End::Time));
        assert_eq!(stands(&one, seconds), Standing { phase, calling, ended, change: change.map(at) }, "at {seconds}");
    }
}

#[test]
fn between_waves_the_room_is_closed_until_the_lobby_begins() {
    let second = Wave { lobby: Some(at(30)), quota: Some(7), ..wave(300, 400) };
    let two = schedule(&[wave(100, 200), second], AtClose::End);
    assert_eq!((two.quota(0), two.quota(1), two.quota(2)), (None, Some(7), None));
    for (seconds, phase, change) in [
        (200, Phase::Closed { next: Some(at(300)) }, 270),
        (269, Phase::Closed { next: Some(at(300)) }, 270),
        (270, Phase::Lobby { wave: 1, opens: at(300) }, 300),
        (300, Phase::Open { wave: 1, closes: Some(at(400)) }, 400),
    ] {
        let standing = stands(&two, seconds);
        assert_eq!((standing.phase, standing.change), (phase, Some(at(change))), "at {seconds}");
        assert_eq!(standing.ended, (seconds < 300).then_some((0, End::Time)), "at {seconds}");
    }
    // Without a span the lobby begins when the wave before has ended, and no span lets it begin earlier.
    for lobby in [None, Some(at(101)), Some(at(9_999))] {
        let two = schedule(&[wave(100, 200), Wave { lobby, ..wave(300, 400) }], AtClose::End);
        assert_eq!(stands(&two, 199).phase, Phase::Open { wave: 0, closes: Some(at(200)) });
        assert_eq!(stands(&two, 200).phase, Phase::Lobby { wave: 1, opens: at(300) });
    }
}

#[test]
fn a_wave_without_an_end_lasts_until_the_next_opens() {
    let first = Wave { opens: None, quota: Some(5), ..Wave::default() };
    let two = schedule(&[first, wave(300, 400)], AtClose::Serve);
    let standing = stands(&two, 299);
    assert_eq!(standing.phase, Phase::Open { wave: 0, closes: Some(at(300)) });
    assert_eq!(standing.change, Some(at(300)));
    assert_eq!(stands(&two, 300).phase, Phase::Open { wave: 1, closes: Some(at(400)) });
    // A spent quota ends it earlier, and the lobby of the next begins.
    let reached = two.spent(two.advance(Progress::default(), at(10)), 0);
    let standing = two.standing(two.advance(reached, at(10)));
    assert_eq!(standing.phase, Phase::Lobby { wave: 1, opens: at(300) });
    assert_eq!(standing.ended, Some((0, End::Quota)));
}

#[test]
fn a_clock_that_steps_back_opens_nothing_again() {
    let two = schedule(&[wave(100, 200), Wave { lobby: Some(at(30)), ..wave(300, 400) }], AtClose::End);
    for (reached, phase) in [
        (100, Phase::Open { wave: 0, closes: Some(at(200)) }),
        (200, Phase::Closed { next: Some(at(300)) }),
        (270, Phase::Lobby { wave: 1, opens: at(300) }),
        (400, Phase::Closed { next: None }),
    ] {
        let progress = two.advance(Progress::default(), at(reached));
        for back in [0, 50, 150, reached - 1] {
            let after = two.advance(progress, at(back));
            assert_eq!(after, progress, "from {reached} back to {back}");
            assert_eq!(two.standing(after).phase, phase);
        }
    }
}

#[test]
fn a_spent_quota_ends_only_the_wave_that_it_is_of() {
    let two = schedule(&[wave(100, 200), Wave { lobby: Some(at(30)), ..wave(300, 400) }], AtClose::Serve);
    let lobby = two.advance(Progress::default(), at(50));
    assert_eq!(two.spent(lobby, 0), lobby, "it has not opened");
    let open = two.advance(lobby, at(150));
    assert_eq!(two.spent(open, 1), open);
    let spent = two.spent(open, 0);
    let standing = two.standing(spent);
    assert_eq!((standing.phase, standing.calling), (Phase::Closed { next: Some(at(300)) }, None));
    assert_eq!(standing.ended, Some((0, End::Quota)));
    assert_eq!(two.advance(spent, at(250)), spent, "its time does not end it another time");
    // Served after its time, its people take what was left.
    let ended = two.advance(open, at(200));
    assert_eq!(two.standing(ended).calling, Some(0));
    assert_eq!(two.standing(two.spent(ended, 0)).calling, None);
    let second = two.advance(ended, at(300));
    assert_eq!(two.spent(second, 0), second, "another is open");
}

#[test]
fn who_held_a_place_is_served_carried_or_ended_as_written() {
    let waves = [wave(100, 200), wave(300, 400)];
    for (at_close, by_time, by_quota, last, calling) in [
        (AtClose::Serve, Fate::Served, Fate::Over, Fate::Served, Some(0)),
        (AtClose::Carry, Fate::Carried { into: 1 }, Fate::Carried { into: 1 }, Fate::Over, None),
        (AtClose::End, Fate::Over, Fate::Over, Fate::Over, None),
    ] {
        let two = schedule(&waves, at_close);
        assert_eq!(two.fate(0, End::Time), by_time, "{at_close:?}");
        assert_eq!(two.fate(0, End::Quota), by_quota, "{at_close:?}");
        assert_eq!(two.fate(1, End::Time), last, "{at_close:?}");
        assert_eq!(two.fate(1, End::Quota), Fate::Over, "{at_close:?}");
        assert_eq!(stands(&two, 250).calling, calling, "{at_close:?}");
        assert_eq!(stands(&two, 300).calling, Some(1), "{at_close:?}");
    }
}

#[test]
fn waves_that_cannot_follow_each_other_are_refused() {
    let open = Wave { closes: None, ..wave(100, 200) };
    let unopened = Wave { opens: None, ..wave(0, 400) };
    for (waves, error) in [
        (vec![wave(100, 200), unopened], ScheduleError::NoOpening(1)),
        (vec![Wave { lobby: Some(at(5)), ..Wave::default() }], ScheduleError::LobbyWithoutOpening(0)),
        (vec![wave(100, 100)], ScheduleError::ClosesFirst(0)),
        (vec![wave(100, 200), wave(199, 300)], ScheduleError::Overlap(1)),
        (vec![wave(300, 400), wave(100, 200)], ScheduleError::Overlap(1)),
        (vec![open, wave(100, 300)], ScheduleError::Overlap(1)),
        (vec![Wave { quota: Some(0), ..wave(100, 200) }], ScheduleError::NoQuota(0)),
        ((0..257).map(|n| wave(n * 10, n * 10 + 5)).collect(), ScheduleError::TooMany),
    ] {
        assert_eq!(Schedule::new(waves, AtClose::Serve), Err(error));
    }
    assert!(Schedule::new(vec![wave(100, 200), wave(200, 300)], AtClose::Serve).is_ok(), "one after the other");
    let most: Vec<_> = (0..256).map(|n| wave(n * 10, n * 10 + 5)).collect();
    assert_eq!(
        stands(&schedule(&most, AtClose::Carry), 2_551).phase,
        Phase::Open { wave: 255, closes: Some(at(2_555)) }
    );
}

#[test]
fn a_list_that_became_shorter_panics_nowhere() {
    let three = schedule(&[wave(100, 200), wave(300, 400), wave(500, 600)], AtClose::Carry);
    let one = schedule(&[wave(100, 200)], AtClose::Carry);
    let reached = three.advance(Progress::default(), at(450));
    assert_eq!(one.standing(one.advance(reached, at(450))).phase, Phase::Closed { next: None });
}

#[test]
fn codes_that_no_progress_has_are_refused() {
    let known: Vec<u16> = (0..=u16::MAX).filter(|code| Progress::from_code(*code).is_some()).collect();
    for code in &known {
        assert_eq!(Progress::from_code(*code).map(Progress::code), Some(*code));
    }
    // Before the first: closed or lobby; of each wave: open, and closed or lobby after either end.
    assert_eq!(known.len(), 2 + 256 * 5);
}

proptest! {
    /// Whatever the clock shows and whenever quotas are spent: progress only grows, its code with it, the next change lies
    /// where the standing changes, and who looks seldom arrives where who looks often does.
    #[test]
    fn progress_only_grows(
        spans in prop::collection::vec((1_u64..50, 1_u64..50, any::<bool>(), prop::option::of(0_u64..60)), 1..6),
        clock in prop::collection::vec((0_u64..600, prop::option::weighted(0.1, 0_u8..6)), 1..40),
    ) {
        let mut end = 0;
        let waves = spans.iter().map(|(pause, open, closes, lobby)| {
            let (opens, over) = (end + pause, end + pause + open);
            end = over;
            Wave { lobby: lobby.map(at), closes: closes.then_some(at(over)), ..wave(opens, over) }
        });
        let schedule = schedule(&waves.collect::<Vec<_>>(), AtClose::Serve);
        let (mut reached, mut latest) = (Progress::default(), 0);
        for (seconds, spent) in &clock {
            let before = reached;
            reached = schedule.advance(reached, at(*seconds));
            if let Some(wave) = spent {
                reached = schedule.spent(reached, *wave);
            }
            prop_assert!(reached >= before && reached.code() >= before.code());
            prop_assert_eq!(Progress::from_code(reached.code()), Some(reached));
            latest = latest.max(*seconds);
        }
        if clock.iter().all(|(_, spent)| spent.is_none()) {
            prop_assert_eq!(reached, schedule.advance(Progress::default(), at(latest)));
        }
        if let Some(change) = schedule.standing(reached).change {
            prop_assert_eq!(schedule.advance(reached, change.saturating_sub(Duration::from_nanos(1))), schedule.advance(reached, Duration::ZERO));
            prop_assert!(schedule.advance(reached, change) > reached);
        }
    }
}
