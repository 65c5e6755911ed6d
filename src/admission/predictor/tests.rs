//! What is predicted, in virtual time.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn after(millis: u64) -> Tick {
    Tick::ZERO.after(Duration::from_millis(millis))
}

/// 40 permits of 100 ms each: 400 a second.
fn steady() -> Predictor {
    let predictor = Predictor::new(f64::INFINITY);
    for at in 0..200 {
        predictor.completed(after(at), Duration::from_millis(100), 40);
    }
    predictor
}

#[test]
fn learns_the_rate_from_held_permits() {
    let rate = steady().rate(40);
    assert!((rate - 400.0).abs() < 1.0, "{rate}");
}

#[test]
fn a_limit_that_has_just_moved_has_not_changed_the_pace_yet() {
    let predictor = steady();
    assert!((predictor.rate(80) - 400.0).abs() < 1.0, "{}", predictor.rate(80));
    for at in 200..600 {
        predictor.completed(after(at), Duration::from_millis(100), 80);
    }
    assert!((predictor.rate(80) - 800.0).abs() < 5.0, "{}", predictor.rate(80));
}

#[test]
fn contract_rate_caps_the_pace() {
    let predictor = Predictor::new(50.0);
    predictor.completed(after(1), Duration::from_millis(1), 40);
    assert!((predictor.rate(40) - 50.0).abs() < f64::EPSILON);
}

#[test]
fn a_stall_is_as_long_as_its_age_and_needs_no_samples() {
    let predictor = steady();
    assert_eq!(predictor.stalled(after(300), 40), Duration::ZERO);
    assert!(predictor.stalled(after(5_200), 40) > 4 * SECOND);
    assert_eq!(predictor.stalled(after(5_200), 0), Duration::ZERO, "an idle gate is not a stalled one");
}

#[test]
fn tunnels_and_what_is_stranded_do_not_pace_the_others() {
    let predictor = steady();
    (0..20).for_each(|_| predictor.fell_quiet());
    predictor.set_stranded(10);
    for at in 200..600 {
        predictor.completed(after(at), Duration::from_millis(100), 40);
    }
    assert!((predictor.rate(40) - 100.0).abs() < 1.0, "{}", predictor.rate(40));
    assert_eq!(predictor.stalled(after(9_000), 30), Duration::ZERO, "nobody is in service");
    assert!(predictor.stalled(after(9_000), 31) > SECOND);
    predictor.entered(after(9_000), 30);
    assert_eq!(predictor.stalled(after(9_100), 31), Duration::ZERO, "the first since then has just begun");
    predictor.entered(after(20_000), 31);
    assert!(predictor.stalled(after(20_000), 32) > SECOND, "one more tells nothing of the first");
    (0..20).for_each(|_| predictor.quiet_ended());
    predictor.set_stranded(0);
    for at in 600..1_000 {
        predictor.completed(after(at), Duration::from_millis(100), 40);
    }
    assert!((predictor.rate(40) - 400.0).abs() < 1.0, "{}", predictor.rate(40));
    let untried = Predictor::new(f64::INFINITY);
    (0..50).for_each(|_| untried.fell_quiet());
    assert!((untried.rate(40) - 4.0).abs() < 0.1, "at least one works: {}", untried.rate(40));
}

#[test]
fn a_short_pause_of_a_fast_service_is_no_stall() {
    let predictor = Predictor::new(f64::INFINITY);
    for at in 0..200 {
        predictor.completed(after(at), Duration::from_millis(6), 64);
    }
    assert_eq!(predictor.stalled(after(400), 64), Duration::ZERO);
}

#[test]
fn follows_a_service_that_slows_down() {
    let predictor = steady();
    for at in 200..500 {
        predictor.completed(after(at), Duration::from_millis(400), 40);
    }
    let rate = predictor.rate(40);
    assert!((rate - 100.0).abs() < 5.0, "{rate}");
}

#[test]
fn bookings_are_spaced_and_bounded() {
    let predictor = Predictor::new(f64::INFINITY);
    let rate = 100.0 / OVERBOOKING_LEAST;
    let first = predictor.book(Tick::ZERO, rate, SECOND);
    assert_eq!(first, SECOND + Duration::from_millis(10));
    let mut last = first;
    for _ in 0..100 {
        let next = predictor.book(Tick::ZERO, rate, SECOND);
        assert!(next > last);
        last = next;
    }
    assert_eq!(last, SECOND * 2 + Duration::from_millis(10));
    for _ in 0..100_000 {
        last = predictor.book(Tick::ZERO, 1.0, SECOND);
    }
    assert_eq!(last, LATEST_BOOKING);
}

#[test]
fn more_are_called_back_while_those_called_do_not_fill_the_line() {
    let predictor = Predictor::new(f64::INFINITY);
    let step = |predictor: &Predictor| {
        let first = predictor.book(Tick::ZERO, 1.0, Duration::ZERO);
        predictor.book(Tick::ZERO, 1.0, Duration::ZERO).saturating_sub(first)
    };
    let slowest = SECOND.div_f64(OVERBOOKING_LEAST);
    let faster = slowest.div_f64(OVERBOOKING_RISE);
    let is_near = |step: Duration, expected: Duration| step.abs_diff(expected) < Duration::from_micros(1);
    assert_eq!(step(&predictor), slowest);
    for _ in 0..100 {
        predictor.look(Tick::ZERO, SECOND, 4 * SECOND);
    }
    assert_eq!(step(&predictor), SECOND.mul_f64(1.0 / OVERBOOKING_MOST), "never faster than that");
    for _ in 0..100 {
        predictor.look(Tick::ZERO, 4 * SECOND, 4 * SECOND);
    }
    assert_eq!(step(&predictor), slowest, "the line is full: hardly faster than the service");
    predictor.unbook(Tick::ZERO);
    predictor.look(Tick::ZERO, SECOND, 4 * SECOND);
    assert!(is_near(step(&predictor), faster), "that bookings began anew sends nobody home");
    for _ in 0..100 {
        predictor.look(after(1_000_000), Duration::ZERO, 4 * SECOND);
    }
    assert!(is_near(step(&predictor), faster), "nobody is awaited: an empty line says nothing");
}

#[test]
fn bookings_of_a_crowd_that_has_gone_do_not_last() {
    let predictor = Predictor::new(f64::INFINITY);
    for _ in 0..100_000 {
        predictor.book(Tick::ZERO, 100.0, SECOND);
    }
    predictor.unbook(after(3_000));
    let next = predictor.book(after(3_000), 100.0, SECOND);
    assert!(next < 2 * SECOND, "{next:?}");
}

#[test]
fn one_outlier_says_nothing_about_the_others() {
    let predictor = steady();
    predictor.completed(after(201), Duration::from_mins(10), 40);
    let rate = predictor.rate(40);
    assert!(rate > 350.0, "{rate}");
}

#[test]
fn hostile_samples_keep_it_finite() {
    let predictor = Predictor::new(f64::INFINITY);
    for held in [Duration::ZERO, Duration::MAX, Duration::ZERO, Duration::MAX] {
        predictor.completed(Tick::from_nanos(u64::MAX), held, u32::MAX);
        let rate = predictor.rate(u32::MAX);
        assert!(rate.is_finite() && rate >= SLOWEST, "{rate}");
    }
}

/// 400 a second and a line of 4 s; 18,000 people come within 3 s, and of those refused a share returns, each exactly when told.
/// What the service does of what it could until it is done, and the 90th percentile of how far the visit that was let in
/// lay from the first promise, as a share of that.
fn crowd(returning: f64) -> (f64, f64) {
    const RATE: f64 = 400.0;
    const LINE: Duration = Duration::from_secs(4);
    let mut random = fastrand::Rng::with_seed(7);
    let predictor = Predictor::new(f64::INFINITY);
    let mut visits: std::collections::BTreeSet<(Tick, u32)> =
        (0..18_000).map(|person| (after(random.u64(..3_000)), person)).collect();
    let mut promised: Vec<Option<(Tick, Duration)>> = vec![None; visits.len()];
    let mut errors = Vec::new();
    let (mut line, mut served, mut now, mut steps) = (0.0_f64, 0.0, Tick::ZERO, 0_u32);
    while !visits.is_empty() || line > 0.0 {
        while let Some((at, person)) = visits.first().copied().filter(|(at, _)| *at <= now) {
            visits.pop_first();
            let wait = Duration::from_secs_f64((line + 1.0) / RATE);
            let promise = &mut promised[person as usize];
            if wait <= LINE {
                line += 1.0;
                errors.extend(promise.map(|(told, back)| at.since(told).abs_diff(back).div_duration_f64(back)));
                if wait < LINE / 2 {
                    predictor.unbook(now);
                }
                continue;
            }
            let back = predictor.book(now, RATE, wait.saturating_sub(LINE).max(SECOND));
            promise.get_or_insert((at, back));
            if random.f64() < returning {
                visits.insert((now.after(back), person));
            }
        }
        if steps % 20 == 0 {
            predictor.look(now, Duration::from_secs_f64((line + 1.0) / RATE), LINE);
        }
        let done = line.min(RATE * 0.01);
        (line, served) = (line - done, served + done);
        steps += 1;
        now = now.after(Duration::from_millis(10));
    }
    errors.sort_unstable_by(f64::total_cmp);
    (served / (RATE * 0.01 * f64::from(steps)), errors[errors.len() * 9 / 10])
}

#[test]
fn the_last_seconds_of_a_crowd_are_full_and_promises_are_kept() {
    for returning in [1.0, 0.95, 0.85] {
        let (share, error) = crowd(returning);
        assert!(share >= 0.99, "{returning}: the service did {share:.3} of what it could");
        assert!(error <= 0.15, "{returning}: {error:.3}");
    }
}
