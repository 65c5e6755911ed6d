//! The laws of ejection, in examples and over any life of a server.

use proptest::prelude::*;

use super::*;

const SLOW: Duration = Duration::from_secs(10);
const FEW: Counts = Counts { successes: 3, failures: 3 };

fn at(millis: u64) -> Tick {
    Tick::from_nanos(millis * 1_000_000)
}

fn report(observation: Observation, began: Tick) -> Report {
    Report { observation, began, is_trial: false }
}

fn ejected_at(now: Tick) -> Ejection {
    let mut server = Ejection::serving(SLOW);
    for _ in 0..FAILURES_IN_A_ROW {
        server.note(report(Observation::Failure, now), FEW, now, 0.5, || true);
    }
    assert!(server.is_out());
    server
}

#[test]
fn five_failures_in_a_row_eject_and_an_answer_between_does_not() {
    for between in [Observation::Success, Observation::Neutral, Observation::Pushback] {
        let mut server = Ejection::serving(SLOW);
        for turn in 0..40 {
            let seen = if turn % 5 == 4 { between } else { Observation::Failure };
            assert_eq!(server.note(report(seen, at(1)), FEW, at(1), 0.5, || true), Change::None);
        }
    }
    let server = ejected_at(at(1));
    assert_eq!(server.phase(), Phase::Ejected { since: at(1), until: at(1001) });
}

#[test]
fn under_half_of_enough_answers_ejects() {
    for (successes, failures, out) in [(9, 10, false), (10, 10, false), (9, 11, true), (499, 501, true)] {
        let mut server = Ejection::serving(SLOW);
        let counts = Counts { successes, failures };
        server.note(report(Observation::Failure, at(1)), counts, at(1), 0.5, || true);
        assert_eq!(server.is_out(), out, "{counts:?}");
    }
}

#[test]
fn who_may_not_leave_stays() {
    let mut server = Ejection::serving(SLOW);
    for _ in 0..100 {
        server.note(report(Observation::Failure, at(1)), FEW, at(1), 0.5, || false);
    }
    assert_eq!(server.phase(), Phase::Serving);
}

#[test]
fn probation_is_one_request_and_its_failure_doubles_the_pause() {
    let mut server = ejected_at(at(0));
    let mut now = at(0);
    for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
        assert!(!server.try_trial(now.after(Duration::from_millis(pause * 1000 - 1))));
        now = now.after(Duration::from_secs(pause));
        assert!(server.try_trial(now) && !server.try_trial(now));
        let bad = if pause % 3 == 0 { Observation::Pushback } else { Observation::Failure };
        let trial = Report { observation: bad, began: now, is_trial: true };
        assert_eq!(server.note(trial, FEW, now, 0.5, || false), Change::EjectedAgain);
    }
}

#[test]
fn a_trial_that_taught_nothing_is_repeated_at_once() {
    let mut server = ejected_at(at(0));
    assert!(server.try_trial(at(1000)));
    let trial = Report { observation: Observation::Nothing, began: at(1000), is_trial: true };
    assert_eq!(server.note(trial, FEW, at(1000), 0.5, || true), Change::None);
    assert!(server.try_trial(at(1000)));
}

#[test]
fn slow_start_grows_evenly_and_only_a_proven_server_is_forgiven() {
    let mut server = ejected_at(at(0));
    assert!(server.try_trial(at(1000)));
    let trial = Report { observation: Observation::Success, began: at(1000), is_trial: true };
    assert_eq!(server.note(trial, FEW, at(1000), 0.5, || true), Change::Returned);
    for (millis, weight) in [(1000, 0.1), (2000, 0.1), (6000, 0.5), (11_000, 1.0), (30_000, 1.0)] {
        assert!((server.weight(at(millis)) - weight).abs() < 1e-9, "{millis} ms");
    }
    let mut early = server;
    for _ in 0..FAILURES_IN_A_ROW {
        early.note(report(Observation::Failure, at(5000)), FEW, at(5000), 0.5, || true);
    }
    assert_eq!(early.phase(), Phase::Ejected { since: at(5000), until: at(7000) }, "the second round");
    server.note(report(Observation::Success, at(11_000)), FEW, at(11_000), 0.5, || true);
    assert_eq!(server.phase(), Phase::Serving);
}

#[test]
fn what_was_sent_before_does_not_judge_what_is_now() {
    let mut server = ejected_at(at(500));
    server.note(report(Observation::Success, at(100)), FEW, at(600), 0.5, || true);
    assert!(server.is_out(), "an old answer readmits nobody");
    server.note(report(Observation::Success, at(700)), FEW, at(800), 0.5, || true);
    assert!(!server.is_out(), "asked as the last resort, it answered");
    for _ in 0..20 {
        server.note(report(Observation::Failure, at(400)), FEW, at(900), 0.5, || true);
    }
    assert!(!server.is_out(), "old failures eject nobody");
}

proptest! {
    /// Any life of a server: never out shorter than its pause allows, one trial at a time, weight within bounds.
    #[test]
    fn laws_hold_in_any_life(steps in proptest::collection::vec((0_u8..7, 0_u64..5_000, 0.0_f64..1.0), 1..300)) {
        let (mut server, mut now, mut on_trial, mut out) = (Ejection::serving(SLOW), Tick::ZERO, false, false);
        let mut ejected = Tick::ZERO;
        for (step, millis, chance) in steps {
            now = now.after(Duration::from_millis(millis));
            let seen = match step {
                0 | 1 => Observation::Success,
                2 | 3 => Observation::Failure,
                4 => Observation::Pushback,
                5 => Observation::Nothing,
                _ => {
                    let taken = server.try_trial(now);
                    prop_assert!(!(taken && on_trial));
                    prop_assert!(!taken || now.since(ejected) >= PAUSE_FIRST.mul_f64(1.0 - PAUSE_JITTER));
                    on_trial |= taken;
                    continue;
                }
            };
            let is_trial = on_trial;
            on_trial = false;
            let change = server.note(Report { observation: seen, began: now, is_trial }, FEW, now, chance, || !out);
            if matches!(change, Change::Ejected | Change::EjectedAgain) {
                ejected = now;
                let Phase::Ejected { until, .. } = server.phase() else { panic!("{server:?}") };
                prop_assert!(until.since(now) <= PAUSE_MAX.mul_f64(1.0 + PAUSE_JITTER));
            }
            match change {
                Change::Ejected => prop_assert!(!std::mem::replace(&mut out, true)),
                Change::Returned => prop_assert!(std::mem::replace(&mut out, false)),
                Change::EjectedAgain => prop_assert!(out && is_trial),
                Change::None => {}
            }
            prop_assert_eq!(server.is_out(), out);
            let weight = server.weight(now);
            let bounds = if out { 0.0..=0.0 } else { WEIGHT_MIN..=1.0 };
            prop_assert!(bounds.contains(&weight));
        }
    }
}
