//! Scenes of a funnel of five steps in virtual time, a crowd five times too large before it.

mod world;

use world::{CHECK, FIRST, PASS_WAIT, SECOND, Scene, Step, World};

/// The third and fourth steps need a check that does 80 a second; the entrance could do 400.
fn narrow_check() -> Scene {
    Scene {
        limits: [40, 40, 16],
        steps: [
            Step { gates: &[FIRST], seconds: 0.1 },
            Step { gates: &[SECOND], seconds: 0.1 },
            Step { gates: &[CHECK, SECOND], seconds: 0.1 },
            Step { gates: &[CHECK, FIRST], seconds: 0.1 },
            Step { gates: &[SECOND], seconds: 0.1 },
        ],
        capacity: 80.0,
        narrowest: CHECK,
        halves_at: None,
        quiet: 0.0,
        seconds: 100.0,
    }
}

/// The entrance itself is the narrowest: three of five steps.
fn narrow_entrance() -> Scene {
    Scene {
        limits: [24, 60, 60],
        steps: [
            Step { gates: &[FIRST], seconds: 0.1 },
            Step { gates: &[SECOND], seconds: 0.1 },
            Step { gates: &[CHECK, FIRST], seconds: 0.1 },
            Step { gates: &[SECOND], seconds: 0.1 },
            Step { gates: &[FIRST], seconds: 0.1 },
        ],
        narrowest: FIRST,
        ..narrow_check()
    }
}

fn check(name: &str, scene: &Scene, longest: f64) {
    for seed in 1..=5 {
        let (tally, used) = World::new(scene.clone(), seed).run();
        let told = format!("{name}, seed {seed}: the narrowest gate was used to {used:.3}; {tally:?}");
        println!("{told}");
        assert_eq!(tally.refused_inside, 0, "{told}");
        assert!(tally.finished as f64 >= 0.999 * tally.entered as f64, "{told}");
        assert!(used >= 0.95, "{told}");
        assert!(tally.longest < longest.min(PASS_WAIT.as_secs_f64()), "{told}");
    }
}

/// Nobody knows where people will go before the first of them went: those who came meanwhile wait.
const UNKNOWN: f64 = 15.0;

#[test]
fn whoever_is_let_in_finishes_and_the_narrowest_gate_is_full() {
    check("check", &narrow_check(), UNKNOWN);
}

#[test]
fn a_quiet_hour_teaches_what_the_rush_needs() {
    check("after a quiet minute", &Scene { quiet: 60.0, seconds: 130.0, ..narrow_check() }, 3.0);
}

#[test]
fn the_narrowest_gate_may_be_the_entrance() {
    check("entrance", &narrow_entrance(), 1.0);
}

#[test]
fn the_narrowest_gate_may_halve_in_the_middle() {
    check("check halves", &Scene { halves_at: Some(50.0), ..narrow_check() }, UNKNOWN);
    check("entrance halves", &Scene { halves_at: Some(50.0), ..narrow_entrance() }, UNKNOWN);
}
