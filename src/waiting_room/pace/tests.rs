//! Goals of the pace, in virtual time.

use super::PacePlan;
use super::sim::{PEAK, World};

fn show(name: &str, w: &World) {
    println!("== {name}");
    for (i, s) in w.log.iter().enumerate() {
        println!("{i:3} done {:4} of {:5.0} starved {:4} held {:5} called {:5}", s.done, s.possible, s.starved, s.held, s.called);
    }
}

#[test]
fn explore() {
    let mut w = World::new(PacePlan::Measured, 1.0, PEAK, 1).crowd(1_432_133, 60_000);
    w.run(20);
    w.no_show = 0.5;
    w.run(20);
    w.no_show = 0.0;
    w.run(10);
    show("no-show", &w);
    let mut w = World::new(PacePlan::Measured, 1.0, PEAK, 1).crowd(1_432_133, 60_000);
    w.run(15);
    w.scale = 0.5;
    w.run(15);
    w.scale = 1.0;
    w.run(15);
    w.scale = 0.0;
    w.run(5);
    w.scale = 1.0;
    w.run(15);
    show("half, full, stall", &w);
    let mut w = World::new(PacePlan::Measured, 1.0, PEAK / 100.0, 1).crowd(1_432_133, 60_000);
    w.run(20);
    show("spiral", &w);
    let mut w = World::new(PacePlan::Measured, 1.0, 0.0, 1).opening(60_000);
    w.run(30);
    show("opening", &w);
    let mut w = World::new(PacePlan::Measured, 0.02, 0.0, 1).crowd(100, 100);
    w.kept = 100;
    w.run(40);
    show("hundred", &w);
}
