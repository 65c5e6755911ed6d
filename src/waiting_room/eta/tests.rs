//! What people are told against what became of them, in virtual time.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::similar_names,
    reason = "small figures of a simulation"
)]

use std::time::Duration;

use super::{Estimate, Eta, Forecast, Jump, REMEMBERED, Seen, first_return, opening_visit};
use crate::clock::Tick;

/// A room that calls at a speed which a function of the second says, by chance.
struct Room {
    eta: Eta,
    forecast: Forecast,
    chance: fastrand::Rng,
    second: u64,
    seen: Seen,
    /// Called in all, by the second.
    history: Vec<u64>,
}

impl Room {
    fn new(expected: f64, seed: u64) -> Self {
        let mut eta = Eta::new(Tick::ZERO);
        let seen = Seen {
            called: 0,
            pending: 0.0,
            surplus: 0.0,
            expected,
            stated: false,
            no_show: 0.0,
            paused: false,
            idle: false,
        };
        let forecast = eta.observe(Tick::ZERO, &seen);
        Self { eta, forecast, chance: fastrand::Rng::with_seed(seed), second: 0, seen, history: vec![0] }
    }

    /// One second in which `speed` people are called, more or less.
    fn second(&mut self, speed: f64) {
        let normal = (0..12).map(|_| self.chance.f64()).sum::<f64>() - 6.0;
        let people = if speed > 30.0 { speed + normal * speed.sqrt() } else { poisson(&mut self.chance, speed) };
        self.seen.called += people.max(0.0).round() as u64;
        self.second += 1;
        self.history.push(self.seen.called);
        self.forecast = self.eta.observe(Tick::ZERO.after(Duration::from_secs(self.second)), &self.seen);
    }
}

fn poisson(chance: &mut fastrand::Rng, mean: f64) -> f64 {
    let (mut count, mut product) = (0, chance.f64());
    while product > (-mean).exp() {
        count += 1;
        product *= chance.f64();
    }
    f64::from(count)
}

/// What somebody was told, and how many people were called then.
struct Told {
    at: u64,
    until: u64,
    estimate: Estimate,
}

/// Relative errors of p50, sorted, and the share that was called within p90.
fn judged(told: &[Told], history: &[u64]) -> (Vec<f64>, f64) {
    let (mut errors, mut within) = (Vec::new(), 0.0);
    for told in told {
        let called = history.partition_point(|called| *called < told.until);
        if called == history.len() {
            continue;
        }
        // Within a second people are called evenly.
        let (before, after) = (history[called - 1], history[called]);
        let part = (told.until - before) as f64 / (after - before) as f64;
        let took = ((called - 1) as f64 + part - told.at as f64).max(0.1);
        errors.push((told.estimate.p50.as_secs_f64() / took - 1.0).abs());
        within += f64::from(u8::from(told.estimate.p90.as_secs_f64() >= took));
    }
    errors.sort_by(f64::total_cmp);
    let share = within / errors.len() as f64;
    (errors, share)
}

fn quantile(sorted: &[f64], part: f64) -> f64 {
    sorted[(part * (sorted.len() - 1) as f64) as usize]
}

/// Runs `speed` and asks every few seconds for people that far from their turn, in seconds.
fn watch(seconds: u64, waits: &[f64], seed: u64, mut speed: impl FnMut(u64) -> f64) -> (Vec<Told>, Room) {
    let mut room = Room::new(speed(0), seed);
    let mut told = Vec::new();
    for second in 0..seconds {
        room.second(speed(second));
        for wait in waits.iter().filter(|_| second > 60 && second % 7 == 0) {
            let ahead = (wait * room.forecast.speed()) as u64;
            let until = room.seen.called + ahead + 1;
            let estimate = room.forecast.estimate(ahead);
            told.extend(estimate.map(|estimate| Told { at: second + 1, until, estimate }));
        }
    }
    (told, room)
}

#[test]
fn a_steady_speed_is_known_to_a_few_percent() {
    for (speed, seed) in [(491.0, 1), (40.0, 2), (18.9, 3)] {
        let (told, room) = watch(4_000, &[60.0, 300.0, 1_200.0], seed, |_| speed);
        let (errors, within) = judged(&told, &room.history);
        let (half, most) = (quantile(&errors, 0.5), quantile(&errors, 0.95));
        println!("{speed}/s: median {half:.3}, p95 {most:.3}, within p90 {within:.3}");
        assert!(half <= 0.05 && most <= 0.15, "{speed}/s: {half} {most}");
    }
}

/// Of those who were told a p90, nine in ten are called within it: at steady speeds, fast and slow, and at one that wanders; at one that
/// swings more often than people wait, eight at least.
#[test]
fn nine_in_ten_are_called_within_the_p90() {
    type Law = Box<dyn FnMut(u64) -> f64>;
    let mut drift = 0.0;
    let mut wander = fastrand::Rng::with_seed(9);
    let speeds: [(&str, Law); 4] = [
        ("fast", Box::new(|_| 491.0)),
        ("slow", Box::new(|_| 2.0)),
        ("bursts", Box::new(|second| if second % 60 < 20 { 200.0 } else { 80.0 })),
        (
            "wandering",
            Box::new(move |_| {
                drift = 0.998 * drift + 0.01 * (wander.f64() - 0.5);
                100.0 * f64::exp(drift)
            }),
        ),
    ];
    for (seed, (name, speed)) in speeds.into_iter().enumerate() {
        let (told, room) = watch(40_000, &[20.0, 120.0, 600.0], seed as u64, speed);
        let (errors, within) = judged(&told, &room.history);
        println!("{name}: median {:.3}, within {within:.3}", quantile(&errors, 0.5));
        let least = if name == "bursts" { 0.80 } else { 0.88 };
        assert!((least..=0.92).contains(&within), "{name}: {within}");
    }
}

/// The speed halves, or is half as much again: half a minute later what is told is right.
#[test]
fn a_step_is_followed_in_half_a_minute() {
    for (seed, after) in [(5, 0.5), (6, 1.5)] {
        for speed in [491.0, 40.0] {
            let step = |second| if second < 600 { speed } else { speed * after };
            let (mut told, room) = watch(1_400, &[60.0, 300.0], seed, step);
            told.retain(|told| told.at >= 630);
            let (errors, _) = judged(&told, &room.history);
            let (half, most) = (quantile(&errors, 0.5), quantile(&errors, 0.95));
            println!("{speed}/s times {after}: median {half:.3}, p95 {most:.3}");
            assert!(half <= 0.15 && most <= 0.30, "{half} {most}");
        }
    }
}

/// A reason is given exactly as long as somebody may have been told something else, and it is the right one.
#[test]
fn a_jump_has_a_reason() {
    let mut room = Room::new(100.0, 7);
    (0..700).for_each(|_| room.second(100.0));
    assert_eq!(room.forecast.estimate(6_000).unwrap().reason, None);
    (0..60).for_each(|_| room.second(50.0));
    assert_eq!(room.forecast.estimate(6_000).unwrap().reason, Some(Jump::ServiceSlower));
    (0..700).for_each(|_| room.second(50.0));
    assert_eq!(room.forecast.estimate(6_000).unwrap().reason, None, "long ago");
    (0..60).for_each(|_| room.second(150.0));
    assert_eq!(room.forecast.estimate(6_000).unwrap().reason, Some(Jump::ServiceFaster));
    (0..700).for_each(|_| room.second(150.0));
    room.seen.no_show = 0.5;
    (0..60).for_each(|_| room.second(300.0));
    assert_eq!(room.forecast.estimate(6_000).unwrap().reason, Some(Jump::NoShows));
}

/// An hour of a pause teaches nothing.
#[test]
fn a_pause_changes_no_estimate_but_says_so() {
    let mut room = Room::new(100.0, 8);
    (0..300).for_each(|_| room.second(100.0));
    let before = room.forecast.estimate(6_000).unwrap();
    room.seen.paused = true;
    (0..3_600).for_each(|_| room.second(0.0));
    let paused = room.forecast.estimate(6_000).unwrap();
    assert_eq!((paused.p50, paused.reason), (before.p50, Some(Jump::Paused)));
    room.seen.paused = false;
    (0..10).for_each(|_| room.second(100.0));
    let resumed = room.forecast.estimate(6_000).unwrap();
    assert_eq!(resumed.reason, Some(Jump::Resumed));
    assert!((resumed.p50.as_secs_f64() / 60.0 - 1.0).abs() < 0.05, "{resumed:?}");
    (0..REMEMBERED.as_secs()).for_each(|_| room.second(100.0));
    assert_eq!(room.forecast.estimate(6_000).unwrap().reason, None);
}

/// Whatever is seen, a range is one, and who is behind waits longer.
#[test]
fn every_range_is_finite_and_in_order() {
    let mut chance = fastrand::Rng::with_seed(3);
    let wild =
        |chance: &mut fastrand::Rng| [0.0, f64::NAN, f64::INFINITY, -5.0, 1e300, chance.f64()][chance.usize(0..6)];
    for _ in 0..200 {
        let mut eta = Eta::new(Tick::ZERO);
        let mut now = Tick::ZERO;
        let mut called = 0;
        for _ in 0..100 {
            now = now.after(Duration::from_millis(chance.u64(0..5_000)));
            called += chance.u64(0..1_000) * chance.u64(0..2);
            let (expected, no_show) = (wild(&mut chance), chance.f64());
            let (pending, surplus) = (chance.f64() * 2_000.0, wild(&mut chance));
            let (stated, paused, idle) = (chance.bool(), chance.bool(), chance.bool());
            let seen = Seen { called, pending, surplus, expected, stated, no_show, paused, idle };
            let forecast = eta.observe(now, &seen);
            let mut before = Duration::ZERO;
            for ahead in [0, 1, 100, 164_000, 1_432_132, u64::MAX] {
                let Some(estimate) = forecast.estimate(ahead) else { continue };
                assert!(estimate.p50 >= before && estimate.p90 >= estimate.p50, "{seen:?}: {estimate:?}");
                let poll = forecast.poll_after(ahead, chance.f64());
                assert!(poll >= Duration::from_millis(1_800) && poll <= Duration::from_hours(6), "{poll:?}");
                before = estimate.p50;
            }
        }
    }
}

/// Visits of one person from his joining to his call, `wait` seconds at `speed` people a second.
fn visits(forecast: &Forecast, wait: f64, chance: &mut fastrand::Rng) -> u32 {
    let mut left = wait - first_return(chance.f64()).as_secs_f64();
    let mut visits = 1;
    while left > 0.0 {
        let ahead = (left * forecast.speed()) as u64;
        left -= forecast.poll_after(ahead, chance.f64()).as_secs_f64();
        visits += 1;
    }
    visits
}

/// At most thirty visits for any wait up to 21 hours, and in all a small multiple of the pace.
#[test]
fn nobody_asks_more_than_thirty_times() {
    let mut chance = fastrand::Rng::with_seed(4);
    for speed in [18.9, 491.0] {
        let mut room = Room::new(speed, 4);
        (0..600).for_each(|_| room.second(speed));
        let mut most = (0, 0.0);
        let mut wait = 60.0;
        while wait <= 75_600.0 {
            (0..20).for_each(|_| most = max(most, (visits(&room.forecast, wait, &mut chance), wait)));
            wait *= 1.02;
        }
        println!("{speed}/s: {most:?} visits");
        assert!(most.0 <= 30, "{most:?}");
        let waiting = (75_600.0 * speed) as u64;
        let polls: f64 =
            (0..waiting).step_by(101).map(|ahead| 101.0 / room.forecast.poll_after(ahead, 0.5).as_secs_f64()).sum();
        println!("{waiting} waiting: {polls:.0} polls/s");
        assert!(polls <= 40.0 * speed, "{polls} polls a second at {speed}/s");
    }
}

fn max(a: (u32, f64), b: (u32, f64)) -> (u32, f64) {
    if b.0 > a.0 { b } else { a }
}

/// The country in a lobby for an hour: no hundred milliseconds with far more visits than the mean, neither before the opening nor after.
#[test]
fn a_lobby_does_not_come_at_one_moment() {
    let (people, opens) = (200_000_u64, 3_600.0);
    let mut chance = fastrand::Rng::with_seed(5);
    let mut moments = vec![0_u32; 60_000];
    for _ in 0..people {
        let mut now = chance.f64() * 1_000.0;
        while now < opens {
            now += opening_visit(Duration::from_secs_f64(opens - now), people, chance.f64()).as_secs_f64();
            moments[(now * 10.0) as usize] += 1;
        }
    }
    let after = &moments[36_000..36_400];
    let mean = after.iter().sum::<u32>() / 400;
    assert_eq!(after.iter().sum::<u32>(), people as u32, "all come within {people}/5,000 seconds");
    assert!(after.iter().all(|visits| f64::from(*visits) <= 1.5 * f64::from(mean)), "{mean}: {after:?}");
    let before = moments[..36_000].iter().max();
    assert!(before.is_some_and(|most| f64::from(*most) <= 1.5 * f64::from(mean)), "{before:?} of {mean}");
}

/// Before a second was counted nobody is told anything; then the range is wide, and becomes narrow.
#[test]
fn what_nobody_knows_is_not_told() {
    let mut room = Room::new(64.0, 10);
    assert_eq!(room.forecast.estimate(600), None);
    let width = |room: &Room| {
        let estimate = room.forecast.estimate(600).unwrap();
        estimate.p90.as_secs_f64() / estimate.p50.as_secs_f64()
    };
    let widths = [1, 3, 12, 44].map(|seconds| {
        (0..seconds).for_each(|_| room.second(100.0));
        width(&room)
    });
    assert!(widths.is_sorted_by(|wider, narrower| wider > narrower), "{widths:?}");
    assert!(widths[0] >= 1.8 && widths[3] <= 1.1, "{widths:?}");
    // An operator's word is one from the beginning.
    let stated = Seen { expected: 10.0, stated: true, ..room.seen };
    let told = Eta::new(Tick::ZERO).observe(Tick::ZERO, &stated).estimate(599).unwrap();
    assert_eq!(told.p50, Duration::from_mins(1));
}

/// Whoever was called too early comes before those who wait: they are called later by as much. Whose turn it is stands in line all the same.
#[test]
fn those_called_too_early_are_waited_for() {
    let mut room = Room::new(100.0, 11);
    (0..60).for_each(|_| room.second(100.0));
    let told = |room: &Room| room.forecast.estimate(1_000).map(|told| [told.p50, told.p90].map(|at| at.as_secs_f64()));
    let before = told(&room).unwrap();
    let now = Tick::ZERO.after(Duration::from_secs(room.second));
    room.forecast = room.eta.observe(now, &Seen { surplus: 500.0, ..room.seen });
    let after = told(&room).unwrap();
    assert!((after[0] - before[0] - 5.0).abs() < 0.5, "{before:?} {after:?}");
    room.forecast = room.eta.observe(now, &Seen { pending: 200.0, ..room.seen });
    let after = told(&room).unwrap();
    assert!((after[1] - before[1] - 2.0).abs() < 0.1, "{before:?} {after:?}");
}

/// At an opening whose speed nobody knows the front comes again soon, and the country does not all at once.
#[test]
fn a_guess_is_not_slept_upon() {
    let mut room = Room::new(0.0, 6);
    room.seen.idle = true;
    (0..3_600).for_each(|_| room.second(0.0));
    assert!(
        room.forecast.poll_after(2_000, 1.0) <= Duration::from_millis(2_200),
        "the first before the services stand still"
    );
    assert!(room.forecast.poll_after(20_000, 1.0) <= Duration::from_secs(22));
    let polls: f64 =
        (0..1_432_133).step_by(101).map(|ahead| 101.0 / room.forecast.poll_after(ahead, 0.5).as_secs_f64()).sum();
    assert!(polls <= 10_000.0, "{polls} polls a second");
}
