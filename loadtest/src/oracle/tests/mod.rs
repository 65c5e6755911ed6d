//! A correct run of a little honest gateway, and the same with one thing broken at a time: exactly that must turn red.

mod broken;
mod drawn;
mod figures;
mod judged;
mod leaving;
mod model;
mod story;

use super::*;
use model::World;

/// The invariants that are broken in `world`.
fn broken(world: &World) -> Vec<&'static str> {
    world.judge().broken().map(|finding| finding.invariant.id()).collect()
}

#[test]
fn a_correct_run_passes_and_everything_is_judged() {
    let judgement = World::honest().judge();
    for finding in &judgement.invariants {
        let forged = finding.invariant == Invariant::Forged;
        let wanted = if forged { State::NotJudged } else { State::Holds };
        assert_eq!((finding.state, finding.judged == 0), (wanted, forged), "{finding:?}");
    }
    assert_eq!((judgement.verdict, judgement.verdict.code()), (Verdict::Pass, 0));
    assert!(judgement.doubts.is_empty(), "{:?}", judgement.doubts);
}

#[test]
fn an_empty_run_is_invalid_and_nothing_is_green() {
    let mut world = World::honest();
    world.ledgers = Ledgers::default();
    let judgement = world.judge();
    assert_eq!(judgement.verdict, Verdict::Invalid);
    let green = judgement.invariants.iter().filter(|finding| finding.state == State::Holds);
    // Of a quota nobody took, none was given too much.
    assert_eq!(green.map(|finding| finding.invariant.id()).collect::<Vec<_>>(), ["I5"]);
    assert!(judgement.figures.iter().all(|(_, value)| !value.is_finite() || *value == 0.0), "{:?}", judgement.figures);
}
