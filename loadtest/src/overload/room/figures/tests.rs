//! Each figure over rooms written by hand.

use super::*;
use crate::overload::catalogue;
use crate::overload::people::Person;
use crate::overload::room::{Serving, Told};
use crate::overload::scenario::{Scenario, Span};
use crate::overload::timeline::span;
use crate::overload::visit::{Attempt, Outcome};

/// Ten people a second are called from second 10 on; the gateway is asked ten times a second.
fn run(people: u32, edit: impl FnOnce(&mut Run)) -> Run {
    let steady = catalogue::all().into_iter().next().expect("steady");
    let serving = |tick: u32| {
        let at = f64::from(tick) / 10.0;
        Serving { asked: span(at), read: span(at + 0.01), position: u64::from(tick.saturating_sub(100)) }
    };
    let mut run = Run {
        scenario: Scenario { measured: Span { from: 10.0, until: 50.0 }, ..steady },
        people: (0..people).map(|_| Person { arrives: Duration::ZERO, seed: 0, client: None }).collect(),
        attempts: Vec::new(),
        servers: Vec::new(),
        said: Vec::new(),
        asked: Vec::new(),
        serving: (0..600).map(serving).collect(),
    };
    edit(&mut run);
    run
}

/// Person and number `who` is told at `at` that it takes `p50`, and to come again in 3 s.
fn waits(who: u32, at: Seconds, p50: Seconds) -> Asked {
    let told = Told {
        number: u64::from(who),
        stand: Stand::Waiting { range: Some(Range { p50, p90: p50 + 2.0 }) },
        again: Duration::from_secs(3),
    };
    Asked { person: who, intended: span(at), sent: span(at), ended: span(at), holds: false, told }
}

fn turn(who: u32, at: Seconds) -> Asked {
    let asked = waits(who, at, 0.0);
    Asked { told: Told { stand: Stand::Turn, ..asked.told }, ..asked }
}

fn success(person: u32, sent: Seconds, ended: Seconds) -> Attempt {
    let (sent, ended) = (span(sent), Some(span(ended)));
    Attempt { person, step: 1, intended: sent, sent, ended, outcome: Outcome::Answered(200, None) }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

#[test]
fn estimates_are_compared_with_the_wait_until_the_call() {
    // Number 200 is called between 30.0 (asked, not yet) and 30.11 (read, it is).
    let judged = |asked: Vec<Asked>, figure| compute(&run(300, |run| run.asked = asked), figure);
    let wait = 30.055 - 15.0;
    let error = judged(vec![waits(200, 15.0, 16.0)], RoomFigure::EstimateMedian);
    assert!(close(error, (16.0 - wait) / wait), "{error}");
    let three = vec![waits(200, 15.0, wait), waits(200, 16.0, 2.0 * (wait - 1.0)), waits(200, 17.0, wait - 2.0)];
    assert!(close(judged(three.clone(), RoomFigure::EstimateMedian), 0.0));
    assert!(close(judged(three, RoomFigure::EstimateWorst), 1.0));
    let short = vec![waits(200, 21.0, 90.0), waits(299, 5.0, 90.0), turn(200, 30.2)];
    assert!(judged(short, RoomFigure::EstimateMedian).is_nan(), "nine seconds are short, and 5.0 is not measured");
    let within = vec![waits(200, 15.0, 14.0), waits(200, 15.0, 13.0)];
    assert!(close(judged(within, RoomFigure::WithinP90), 0.5));
}

#[test]
fn a_turn_is_noticed_by_the_answer_that_says_so() {
    // Number 200 was not called at 30.0 and learns it at 31.5, after an answer that said 3 s.
    let told = vec![waits(200, 28.5, 2.0), turn(200, 31.5), turn(200, 33.0), waits(201, 20.0, 9.0), turn(201, 30.6)];
    let held = |asked: &[Asked]| asked.iter().map(|asked| Asked { holds: true, ..*asked }).collect::<Vec<_>>();
    let judged = |asked: Vec<Asked>, figure| compute(&run(300, |run| run.asked = asked), figure);
    assert!(close(judged(told.clone(), RoomFigure::NoticeTold), 1.5));
    assert!(close(judged(told.clone(), RoomFigure::NoticeShare), 0.5));
    assert!(judged(told.clone(), RoomFigure::NoticeHeld).is_nan());
    assert!(close(judged(held(&told), RoomFigure::NoticeHeld), 1.5));
    assert!(judged(vec![waits(200, 28.5, 2.0)], RoomFigure::NoticeTold).is_infinite(), "nobody told him");
    assert!(judged(vec![turn(200, 31.5)], RoomFigure::NoticeTold).is_nan(), "he never waited");
}

#[test]
fn polls_end_with_the_turn_and_whoever_was_not_served_counts() {
    let run = run(3, |run| {
        run.asked = vec![waits(0, 1.0, 5.0), waits(1, 1.0, 5.0), waits(0, 4.0, 5.0), turn(0, 10.5), turn(0, 12.0)];
        run.attempts = vec![success(0, 12.0, 13.0), success(0, 14.0, 15.0)];
    });
    assert!(close(compute(&run, RoomFigure::Polls), 3.0));
    assert!(close(compute(&run, RoomFigure::Unserved), 2.0));
    assert!(compute(&self::run(0, |_| ()), RoomFigure::Polls).is_nan());
}

#[test]
fn whoever_waits_while_somebody_behind_him_is_in_was_overtaken() {
    let judged = |asked: Vec<Asked>, attempts: Vec<Attempt>| {
        compute(
            &run(300, |run| {
                run.asked = asked;
                run.attempts = attempts;
            }),
            RoomFigure::OutOfOrder,
        )
    };
    let in_order = vec![waits(7, 1.0, 9.0), waits(8, 1.0, 9.0), turn(7, 11.0), waits(8, 12.0, 1.0), turn(8, 13.0)];
    assert!(close(judged(in_order, vec![success(7, 11.0, 11.5), success(8, 13.0, 13.5)]), 0.0));
    // Eight is told first; seven had asked before that, which says nothing, and asks again twice.
    let passed = vec![waits(7, 10.9, 1.0), turn(8, 11.0), waits(7, 12.0, 1.0), waits(7, 14.0, 1.0), turn(7, 15.0)];
    assert!(close(judged(passed, Vec::new()), 2.0));
    // Somebody without a number, who came after seven had his, or before.
    let seven = vec![waits(7, 5.0, 1.0), waits(7, 9.0, 1.0)];
    assert!(close(judged(seven.clone(), vec![success(9, 6.0, 8.0)]), 1.0));
    assert!(close(judged(seven.clone(), vec![success(9, 4.0, 8.0)]), 0.0));
    assert!(close(judged(seven, vec![success(9, 6.0, 9.5)]), 0.0), "not known to be in when seven asked");
}

#[test]
fn answers_must_fit_what_the_gateway_says_it_has_called() {
    let judged = |asked| compute(&run(300, |run| run.asked = vec![asked]), RoomFigure::Contradicted);
    // Called between 30.0 and 30.11.
    assert!(close(judged(waits(200, 30.1, 1.0)), 0.0) && close(judged(waits(200, 30.12, 1.0)), 1.0));
    assert!(close(judged(turn(200, 30.01)), 0.0) && close(judged(turn(200, 29.99)), 1.0));
    let silent = run(1, |run| run.serving.clear());
    assert!(compute(&silent, RoomFigure::Contradicted).is_nan());
}
