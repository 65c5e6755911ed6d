//! The law against services without noise, and against readings that no service gives. With noise: `tests/limiter`.

use proptest::prelude::*;

use super::*;

const TICK: Duration = Duration::from_millis(10);

const BOUNDS: Bounds = Bounds { min: 2, max: 400, initial: 50 };

/// A service that does exactly `throughput` at each level, with somebody always or never waiting; the state at each tick.
fn drive(ticks: u32, waiting: usize, throughput: impl Fn(f64) -> f64) -> Vec<State> {
    let mut law = Elastic::new(BOUNDS, Tick::ZERO);
    let mut now = Tick::ZERO;
    let mut read = Readings::default();
    let mut done = 0.0;
    let mut limit = law.state().limit;
    let mut states = Vec::new();
    for _ in 0..ticks {
        now = now.after(TICK);
        let in_flight = f64::from(limit);
        done += throughput(in_flight) * TICK.as_secs_f64();
        let hold = in_flight / throughput(in_flight);
        while done >= 1.0 {
            done -= 1.0;
            read.successes += 1;
            read.costs += 1_000;
            read.cost_squares += 1_000_000;
            let micros = crate::clock::saturating_nanos(Duration::from_secs_f64(hold)) / 1_000;
            read.held += 1_000 * micros;
            read.squares += micros * micros * 5 / 4;
        }
        limit = law.tick(now, &read, Occupied { in_flight: limit, waiting }).limit;
        states.push(law.state());
    }
    states
}

#[test]
fn finds_a_knee_and_says_so() {
    let states = drive(6_000, 10, |n| 10.0 * n.min(160.0 - n));
    let last = states.last().unwrap();
    assert!((70..=88).contains(&last.base), "{last:?}");
    assert!((last.goodput - 800.0).abs() < 100.0 && (last.hold - 0.1).abs() < 0.02, "{last:?}");
}

#[test]
fn nobody_waiting_teaches_nothing() {
    let states = drive(3_000, 0, |n| 10.0 * n);
    assert!(states.iter().all(|state| state.limit == BOUNDS.initial && state.base == BOUNDS.initial));
    assert_eq!(states.last().unwrap().reason, Reason::NobodyWaits);
}

#[test]
fn failures_are_backed_off_from_and_returned_from() {
    let mut law = Elastic::new(BOUNDS, Tick::ZERO);
    let mut now = Tick::ZERO;
    let mut read = Readings::default();
    let mut run = |law: &mut Elastic, ticks: u32, successes: u64, drops: u64| {
        let mut highest = 0;
        for _ in 0..ticks {
            now = now.after(TICK);
            read.successes += successes;
            read.costs += successes * 1_000;
            read.cost_squares += successes * 1_000_000;
            read.drops += drops;
            read.held += (successes + drops) * 100_000_000;
            let limit = law.state().limit;
            highest = highest.max(law.tick(now, &read, Occupied { in_flight: limit, waiting: 9 }).limit);
        }
        highest
    };
    run(&mut law, 20, 5, 0);
    run(&mut law, 11, 0, 5);
    let highest = run(&mut law, 300, 0, 5);
    assert!(highest < BOUNDS.initial, "it attracted: {highest}");
    assert_eq!((law.state().limit, law.state().phase), (BOUNDS.min, Phase::Recovering));
    run(&mut law, 100, 5, 0);
    assert!(law.state().base >= 35, "not back: {:?}", law.state());
}

/// A third of the answers are errors whatever the load: backing off for ever would close the service.
#[test]
fn errors_that_load_does_not_cause_are_tolerated() {
    let mut law = Elastic::new(BOUNDS, Tick::ZERO);
    let mut now = Tick::ZERO;
    let mut read = Readings::default();
    for _ in 0..1_000 {
        now = now.after(TICK);
        read.successes += 4;
        read.costs += 4_000;
        read.cost_squares += 4_000_000;
        read.drops += 2;
        read.held += 6 * 50_000_000;
        let limit = law.state().limit;
        law.tick(now, &read, Occupied { in_flight: limit, waiting: 9 });
    }
    assert!(law.state().base > BOUNDS.min && law.state().phase != Phase::Recovering, "{:?}", law.state());
}

#[test]
fn silence_freezes_and_the_first_answer_thaws() {
    let mut law = Elastic::new(BOUNDS, Tick::ZERO);
    let stuck = Occupied { in_flight: 50, waiting: 9 };
    let mut now = Tick::ZERO;
    for _ in 0..200 {
        now = now.after(TICK);
        law.tick(now, &Readings::default(), stuck);
    }
    assert_eq!((law.state().limit, law.state().phase), (BOUNDS.min, Phase::Stalled));
    let read = Readings { successes: 1, costs: 1_000, cost_squares: 1_000_000, held: 1, ..Readings::default() };
    assert_eq!(law.tick(now.after(TICK), &read, stuck).limit, 50);
}

fn hostile() -> impl Strategy<Value = (u64, [u64; 7], u32, usize)> {
    let number = || prop_oneof![Just(0), 0_u64..1_000, any::<u64>(), Just(u64::MAX)];
    let count = prop_oneof![Just(0), 0_u32..100, any::<u32>()];
    (number(), std::array::from_fn(|_| number()), count, any::<usize>())
}

proptest! {
    /// I15: no readings, no clock and no gate move the limit out of its bounds or the state out of the numbers.
    #[test]
    fn hostile_readings_stay_within_bounds(steps in prop::collection::vec(hostile(), 1..200), honest in 0_u32..200) {
        let mut law = Elastic::new(BOUNDS, Tick::ZERO);
        let mut now = Tick::ZERO;
        let mut read = Readings::default();
        for _ in 0..honest {
            now = now.after(TICK);
            read.successes += 5;
            read.costs += 5_000;
            read.cost_squares += 5_000_000;
            read.held += 500_000_000;
            let limit = law.state().limit;
            law.tick(now, &read, Occupied { in_flight: limit, waiting: 1 });
        }
        for (at, [successes, drops, costs, cost_squares, held, before, squares], in_flight, waiting) in steps {
            now = if at % 3 == 0 { Tick::from_nanos(at) } else { now.after(TICK) };
            let read = Readings { successes, drops, costs, cost_squares, held, before, squares };
            let decision = law.tick(now, &read, Occupied { in_flight, waiting });
            prop_assert!((BOUNDS.min..=BOUNDS.max).contains(&decision.limit));
            let state = law.state();
            prop_assert!([state.elasticity_up, state.elasticity_down, state.hold].iter().all(|value| value.is_finite()));
            prop_assert!(state.goodput >= 0.0, "{:?}", state);
        }
    }

    /// I17: where more does less at every level, the base sinks; where more does more, it rises. A peak between two levels
    /// that were tried is possible until it is looked for, so the base may go the other way by one step of the curve.
    #[test]
    fn sustained_elasticity_is_followed(
        elasticity in prop_oneof![-2.0..-0.4_f64, 0.3..1.0_f64],
        scale in 200.0..2_000.0_f64,
    ) {
        let states = drive(1_500, 10, |n| scale * (n / 50.0).powf(elasticity));
        let bases: Vec<u32> = states.iter().step_by(300).map(|state| state.base).collect();
        for pair in bases.windows(2) {
            let change = f64::from(pair[1]) / f64::from(pair[0]);
            prop_assert!(if elasticity < 0.0 { change <= 1.1 } else { change >= 0.9 }, "{bases:?}");
        }
        let last = states.last().map(|state| state.base).unwrap_or_default();
        prop_assert!(if elasticity < 0.0 { last < 50 } else { last > 60 }, "{last}");
    }
}
