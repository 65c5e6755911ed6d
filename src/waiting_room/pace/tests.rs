//! Goals of the pace, in virtual time, and its rules one by one.

#![expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small figures of a simulation")]

use std::time::Duration;

use super::sim::{COLD, PATIENCE, PEAK, World};
use super::{Cohort, Gauge, Pace, PacePlan};
use crate::clock::Tick;
use crate::waiting_room::eta::Jump;

/// People of the country, and as many of them as are reached here.
const COUNTRY: (u64, u64) = (1_432_133, 80_000);

/// A steady room: its crowd has been told the truth for long.
fn steady(seed: u64) -> World {
    let mut world = World::new(PacePlan::Measured, 1.0, PEAK, seed).crowd(COUNTRY.0, COUNTRY.1);
    world.run(10);
    world
}

/// The longest time in a row, in seconds begun, in which the gate starved for most of the second.
fn starved(world: &World, from: usize) -> usize {
    world.log[from..].split(|second| second.starved <= 500).map(<[_]>::len).max().unwrap_or(0)
}

#[test]
fn a_steady_service_is_kept_busy() {
    for seed in 0..3 {
        let mut world = steady(seed);
        world.run(20);
        assert!(world.goodput(10, 30) >= 0.98, "{:?}", world.log);
        assert!(world.held(10, 30) <= 2 * PEAK as usize, "held {}", world.held(10, 30));
    }
}

#[test]
fn a_limit_that_moves_is_followed() {
    let mut world = steady(4);
    for second in 0..20 {
        world.limit = if second % 2 == 0 { 58 } else { 70 };
        world.run(1);
    }
    assert!(world.goodput(10, 30) >= 0.98, "{:?}", world.log);
}

/// From one second to the next half of those called do not come, and a minute later all of them do again.
#[test]
fn no_shows_are_made_up_for() {
    for seed in 0..3 {
        let mut world = steady(seed);
        world.no_show = 0.5;
        world.run(20);
        assert!(world.goodput(12, 15) >= 0.98, "two seconds after: {:?}", world.log);
        assert!(world.goodput(10, 30) >= 0.98, "{:?}", world.log);
        assert!((world.pace.no_show() - 0.5).abs() < 0.1, "learned {}", world.pace.no_show());
        world.no_show = 0.0;
        world.run(10);
        assert!(world.goodput(30, 40) >= 0.98, "{:?}", world.log);
        assert!(world.held(30, 40) <= 3 * PEAK as usize, "held {}", world.held(30, 40));
    }
}

#[test]
fn half_a_service_and_all_of_it_again() {
    for seed in 0..3 {
        let mut world = steady(seed);
        world.scale = 0.5;
        world.run(20);
        world.scale = 1.0;
        world.run(15);
        assert!(world.goodput(10, 30) >= 0.98 && world.goodput(32, 45) >= 0.98, "{:?}", world.log);
        assert!(starved(&world, 10) <= 2, "{:?}", world.log);
        assert!(world.held(10, 45) <= 2 * PEAK as usize, "held {}", world.held(10, 45));
    }
}

/// What was on its way when the service stalled stands in line then, and nobody else does.
#[test]
fn no_stampede_after_a_stall() {
    for seed in 0..3 {
        let mut world = steady(seed);
        world.scale = 0.0;
        world.run(5);
        world.scale = 1.0;
        world.run(15);
        assert!(world.held(10, 30) <= (2.5 * PEAK) as usize, "held {}", world.held(10, 30));
        assert!(starved(&world, 15) <= 2 && world.goodput(15, 30) >= 0.98, "{:?}", world.log);
    }
}

#[test]
fn a_pause_calls_nobody_and_ends_in_seconds() {
    let mut world = steady(5);
    world.pace.follow(PacePlan::Paused);
    world.run(30);
    assert!(world.log[10..].iter().all(|second| second.called == 0), "{:?}", world.log);
    world.pace.follow(PacePlan::Measured);
    world.run(20);
    assert!(world.goodput(44, 60) >= 0.98, "{:?}", world.log);
    assert!(world.held(40, 60) <= 3 * PEAK as usize, "held {}", world.held(40, 60));
}

#[test]
fn a_fixed_pace_is_exact() {
    for pace in [200.0, 33.3, 7.0 / 60.0] {
        let mut world = World::new(PacePlan::Fixed(pace), 1.0, 0.0, 6).crowd(COUNTRY.0, 30_000);
        world.run(120);
        for from in 0..120 {
            let mut called = 0;
            for (seconds, second) in world.log[from..].iter().enumerate() {
                called += second.called;
                let due = pace * (seconds + 1) as f64;
                assert!((called as f64 - due).abs() <= 1.0 + 0.1 * pace, "{pace}/s: {called} of {due} from {from}");
            }
        }
    }
}

/// A fixed pace beyond the service fills its line, and no more.
#[test]
fn a_fixed_pace_beyond_the_service_waits_for_it() {
    let mut world = World::new(PacePlan::Fixed(2_000.0), 1.0, 0.0, 7).crowd(COUNTRY.0, COUNTRY.1);
    world.run(40);
    assert!(world.goodput(10, 40) >= 0.98, "{:?}", world.log);
    assert!(world.held(10, 40) <= 7 * PEAK as usize, "held {}", world.held(10, 40));
}

/// A crowd none of which can be reached for a minute: it is not called as a whole, and is served when it can be.
#[test]
fn a_crowd_out_of_reach_is_not_called_as_a_whole() {
    let mut world = steady(14);
    let before = world.called();
    world.away = true;
    world.run(60);
    let called = world.called() - before;
    assert!(called <= (61.0 * 10.0 * PEAK) as u64 + 1_000, "called {called}");
}

/// A room that believes in a hundredth of the service, at a gate that shows no better.
#[test]
fn no_death_spiral() {
    for (wrong, seed) in [(PEAK / 100.0, 8), (0.0, 9), (f64::NAN, 10)] {
        let mut world = steady(seed);
        world.pace = Pace::new(PacePlan::Measured, PATIENCE, Tick::from_nanos(10_000_000_000));
        world.rate = wrong.max(0.0);
        world.scale = 1.0;
        world.drain();
        world.run(20);
        assert!(world.goodput(16, 30) >= 0.98, "from {wrong}: {:?}", world.log);
        assert!(world.held(10, 30) <= 4 * PEAK as usize, "held {}", world.held(10, 30));
    }
}

/// Nobody knows the service, and nobody comes back sooner than two seconds after the opening.
#[test]
fn an_opening_that_knows_nothing() {
    for seed in 11..14 {
        let mut world = World::new(PacePlan::Measured, 1.0, 0.0, seed).opening(40_000);
        world.run(40);
        assert!(world.goodput(12, 40) >= 0.98, "{:?}", world.log);
        assert!(world.held(0, 40) <= 4 * PEAK as usize, "held {}", world.held(0, 40));
    }
}

/// The service is known, and nobody can come for two seconds: as many are called as come in that time, not as many as may
/// be. Four seconds of work, less than the gate holds.
#[test]
fn an_opening_that_knows_the_service() {
    for seed in 11..14 {
        let mut world = World::new(PacePlan::Measured, 1.0, PEAK, seed).opening(60_000);
        world.run(40);
        assert!(world.goodput(4, 40) >= 0.98, "{:?}", world.log);
        assert!(world.held(0, 40) <= 4 * PEAK as usize, "held {}", world.held(0, 40));
    }
}

/// 80,000 people within a minute, before a service of which nobody knows what it takes: 54 to 1,000 a second. The gate believes in 64 a second at
/// the start, or in ten times as many as there are, and holds people for four seconds; those whose patience ends leave the line at once and come again.
#[test]
fn a_rush_into_a_cold_room() {
    let worlds = [(0.11, COLD), (0.11, 540.0), (0.305, COLD), (0.6, COLD), (1.0, COLD), (2.04, COLD)];
    for (seed, (scale, rate)) in worlds.into_iter().enumerate() {
        let mut world = World::new(PacePlan::Measured, scale, rate, seed as u64);
        (world.arrivals, world.patience) = (1_333.0, Duration::from_secs(4));
        let (mut told, mut called, mut most, mut crowded) = (Vec::new(), vec![0], 0.0_f64, 0);
        for second in 1..=60_usize {
            world.run(1);
            called.push(world.called());
            // The first line is what the gate believed.
            most = most.max(if second > 5 { world.expected() / (PEAK * scale) } else { 0.0 });
            crowded += u32::from(world.waiting() > 0);
            for part in [1, 2, 4, 8].iter().filter(|_| (1..=10).contains(&crowded)) {
                let ahead = world.waiting() / part;
                told.extend(world.forecast.estimate(ahead).map(|estimate| (second, called[second] + ahead, estimate)));
            }
        }
        let name = format!("{} a second: ", PEAK * scale);
        assert!(world.goodput(0, 15) >= 0.93 && world.goodput(5, 60) >= 0.98, "{name}{:?}", world.log);
        // The first can come after two seconds; from then on the gate does not stand still for more than half a second.
        assert!(world.log[3..].iter().all(|second| second.starved <= 500), "{name}{:?}", world.log);
        assert!(most <= 6.0, "{name}{most} seconds of work called or in line");
        let truth = told.iter().filter_map(|(second, until, estimate)| {
            let at = called.iter().position(|called| called > until)?;
            let part = (*until - called[at - 1]) as f64 / (called[at] - called[at - 1]) as f64;
            let wait = (at - 1 - second) as f64 + part;
            Some((estimate.p50.as_secs_f64() / wait, estimate.p90.as_secs_f64() >= wait, wait))
        });
        let truth: Vec<_> = truth.collect();
        let within = truth.iter().filter(|(_, within, _)| *within).count();
        assert!(truth.len() > 8 && within * 100 >= truth.len() * 88, "{name}{within} of {}", truth.len());
        let absurd = |(share, _, wait): &&(f64, bool, f64)| *wait >= 5.0 && !(0.33..=3.0).contains(share);
        assert_eq!(truth.iter().filter(absurd).collect::<Vec<_>>(), Vec::<&(f64, bool, f64)>::new(), "{name}");
    }
}

/// A hundred people at a small service, and the country at the same one.
#[test]
fn a_hundred_and_a_million_alike() {
    let mut few = World::new(PacePlan::Measured, 0.02, 0.0, 15).opening(100);
    few.kept = 100;
    let mut many = World::new(PacePlan::Measured, 0.02, 0.0, 15).opening(20_000);
    many.issued = COUNTRY.0;
    for world in [&mut few, &mut many] {
        world.run(120);
        assert!(world.goodput(30, 120) >= 0.98, "{:?}", world.log);
        assert!(world.held(0, 120) <= 180, "held {}", world.held(0, 120));
    }
}

/// What the crowd is told while this pace calls it.
#[test]
fn what_people_are_told_comes_true() {
    let mut world = steady(16);
    world.run(30);
    let mut told = Vec::new();
    let mut called: Vec<u64> = Vec::new();
    for second in 0..60_usize {
        world.run(1);
        called.push(world.called());
        for ahead in [5_000, 10_000] {
            told.push((second, world.called() + ahead, world.forecast.estimate(ahead).unwrap().p50.as_secs_f64()));
        }
    }
    let errors = told.iter().filter_map(|(second, until, p50)| {
        // Within a second people are called evenly.
        let at = called.iter().position(|called| called > until)?;
        let (before, after) = (called[at - 1] as f64, called[at] as f64);
        let took = (at - 1 - second) as f64 + (*until as f64 - before) / (after - before);
        Some((p50 / took - 1.0).abs())
    });
    let mut errors: Vec<f64> = errors.collect();
    errors.sort_by(f64::total_cmp);
    let (half, most) = (errors[errors.len() / 2], errors[errors.len() * 95 / 100]);
    assert!(errors.len() > 60 && half <= 0.05 && most <= 0.15, "median {half}, p95 {most}");
    world.no_show = 0.5;
    world.run(40);
    assert_eq!(world.forecast.estimate(5_000).unwrap().reason, Some(Jump::NoShows));
}

fn gauge(cohorts: &[Cohort]) -> Gauge<'_> {
    Gauge {
        rate: 100.0,
        held: 0,
        wait: Duration::ZERO,
        free: 0,
        waiting: 1_000_000,
        awake: f64::INFINITY,
        asleep: Duration::ZERO,
        cohorts,
        owed: &[],
        left: None,
    }
}

fn pace() -> Pace {
    Pace::new(PacePlan::Measured, PATIENCE, Tick::ZERO)
}

#[test]
fn never_more_than_wait_or_than_the_quota_has_left() {
    assert_eq!(pace().step(Tick::ZERO, &Gauge { waiting: 3, ..gauge(&[]) }), 3);
    assert_eq!(pace().step(Tick::ZERO, &Gauge { left: Some(7), ..gauge(&[]) }), 7);
    let out = [Cohort { called: Tick::ZERO, people: 5, come: 2 }];
    assert_eq!(pace().step(Tick::ZERO, &Gauge { left: Some(7), held: 3, ..gauge(&out) }), 1);
    assert_eq!(pace().step(Tick::ZERO, &Gauge { left: Some(0), ..gauge(&[]) }), 0);
}

/// Whatever is read, a gate with room gets people, and one with less room gets no more.
#[test]
fn a_gate_with_room_is_never_left_alone() {
    let mut chance = fastrand::Rng::with_seed(1);
    for _ in 0..20_000 {
        let rate = [f64::NAN, f64::INFINITY, -1.0, 0.0, chance.f64() * 1e4][chance.usize(0..5)];
        let wait = Duration::from_millis(chance.u64(0..20_000));
        let (free, waiting) = (chance.u64(1..100), chance.u64(1..2_000_000));
        let starving = Gauge { rate, wait, free, waiting, ..gauge(&[]) };
        let called = pace().step(Tick::ZERO, &starving);
        assert!(called >= waiting.min(free), "{called}: {starving:?}");
        let busy = Gauge { free: 0, held: chance.u64(1..1_000), ..starving };
        assert!(pace().step(Tick::ZERO, &busy) <= called, "{busy:?}");
    }
}

/// A line longer than it shall be, or whose wait is, gets nobody.
#[test]
fn a_long_line_gets_nobody() {
    assert_eq!(pace().step(Tick::ZERO, &Gauge { held: 1_000, ..gauge(&[]) }), 0);
    assert_eq!(pace().step(Tick::ZERO, &Gauge { held: 1, wait: Duration::from_secs(3), ..gauge(&[]) }), 0);
}
