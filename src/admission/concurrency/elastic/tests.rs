//! The law against services without noise, and against readings that no service gives. With noise: `tests/limiter`.

use proptest::prelude::*;

use super::*;
use crate::admission::concurrency::meter::{Meter, Outcome, RETRY_AFTER_MAX};

const TICK: Duration = Duration::from_millis(10);

const BOUNDS: Bounds = Bounds { min: 2, max: 400, initial: 50 };

/// A service that does exactly `throughput` at each level, with somebody always or never waiting; the state at each tick.
fn drive(ticks: u32, waiting: usize, throughput: impl Fn(f64) -> f64) -> Vec<State> {
    drive_within(BOUNDS, ticks, waiting, |_| 0, throughput)
}

/// The same within other bounds, with `astray` more in flight at a tick than the level says.
fn drive_within(
    bounds: Bounds,
    ticks: u32,
    waiting: usize,
    astray: impl Fn(u32) -> i32,
    throughput: impl Fn(f64) -> f64,
) -> Vec<State> {
    let mut law = Elastic::new(bounds, Tick::ZERO);
    let mut now = Tick::ZERO;
    let mut read = Readings::default();
    let mut done = 0.0;
    let mut limit = law.state().limit;
    let mut states = Vec::new();
    for tick in 0..ticks {
        now = now.after(TICK);
        let in_flight = limit.saturating_add_signed(astray(tick)).max(1);
        let n = f64::from(in_flight);
        done += throughput(n) * TICK.as_secs_f64();
        while done >= 1.0 {
            done -= 1.0;
            answer(&mut read, 1, Duration::from_secs_f64(n / throughput(n)));
        }
        limit = law.tick(now, &read, Occupied { in_flight, waiting }).limit;
        states.push(law.state());
    }
    states
}

/// So many more requests of cost 1 were answered after `hold`.
fn answer(read: &mut Readings, requests: u64, hold: Duration) {
    let micros = crate::clock::saturating_nanos(hold) / 1_000;
    read.successes += requests;
    read.costs += requests * 1_000;
    read.cost_squares += requests * 1_000_000;
    read.held += requests * micros * 1_000;
    read.squares += requests * micros * micros * 5 / 4;
}

#[test]
fn finds_a_knee_and_says_so() {
    let states = drive(6_000, 10, |n| 10.0 * n.min(160.0 - n));
    let last = states.last().unwrap();
    assert!((70..=88).contains(&last.base), "{last:?}");
    assert!((last.throughput - 800.0).abs() < 100.0 && (last.hold - 0.1).abs() < 0.02, "{last:?}");
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
            answer(&mut read, successes, Duration::from_millis(100));
            read.drops += drops;
            read.held += drops * 100_000_000;
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
        answer(&mut read, 4, Duration::from_millis(50));
        read.drops += 2;
        read.held += 2 * 50_000_000;
        let limit = law.state().limit;
        law.tick(now, &read, Occupied { in_flight: limit, waiting: 9 });
    }
    assert!(law.state().base > BOUNDS.min && law.state().phase != Phase::Recovering, "{:?}", law.state());
}

#[test]
fn silence_leaves_probes_and_the_first_answer_thaws() {
    let mut law = Elastic::new(BOUNDS, Tick::ZERO);
    let stuck = Occupied { in_flight: 50, waiting: 9 };
    let mut now = Tick::ZERO;
    for _ in 0..200 {
        now = now.after(TICK);
        law.tick(now, &Readings::default(), stuck);
    }
    assert_eq!(law.state().phase, Phase::Stalled);
    assert!(
        (52..=54).contains(&law.state().limit),
        "who is in flight, and a probe each half second: {:?}",
        law.state()
    );
    let read = Readings { successes: 1, costs: 1_000, cost_squares: 1_000_000, held: 1, ..Readings::default() };
    assert_eq!(law.tick(now.after(TICK), &read, stuck).limit, 50);
}

/// Servers share a gate: a permit freed at one is taken at another, and this one has one fewer or one more for moments.
#[test]
fn finds_a_knee_through_a_shared_gate() {
    let astray = |tick: u32| [0, -1, -1, 0, 1, -1, 0, 1][tick as usize % 8];
    let states = drive_within(BOUNDS, 6_000, 10, astray, |n| 10.0 * n.min(160.0 - n));
    let last = states.last().unwrap();
    assert!((70..=88).contains(&last.base), "{last:?}");
}

/// The upstream says how long: the cut stays that long and no longer than ten seconds, and then the way back is open.
#[test]
fn retry_after_holds_the_cut() {
    for (asked, held) in [(Duration::from_secs(3), 2..4), (Duration::from_hours(8_760), 9..11)] {
        let meter = Meter::default();
        let mut law = Elastic::new(BOUNDS, Tick::ZERO);
        let mut now = Tick::ZERO;
        let mut cut = None;
        let mut back = None;
        for tick in 0..1_500_u32 {
            now = now.after(TICK);
            let dispatched = Tick::from_nanos(now.as_nanos().saturating_sub(50_000_000));
            for _ in 0..5 {
                let failing = (50..75).contains(&tick);
                meter.ended(dispatched, now, 1.0, if failing { Outcome::Drop } else { Outcome::Success });
            }
            // Somebody is pushed back all the time; only what comes with failures prolongs a cut.
            meter.pushed_back(now, if tick < 75 || asked > RETRY_AFTER_MAX { Some(asked) } else { None });
            let limit = law.state().limit;
            law.tick(now, &meter.read(), Occupied { in_flight: limit, waiting: 9 });
            let recovering = law.state().phase == Phase::Recovering;
            cut = if recovering { cut.or(Some(now)) } else { cut };
            back = if recovering || cut.is_none() { back } else { back.or(Some(now)) };
        }
        let seconds = back.unwrap().since(cut.unwrap()).as_secs();
        assert!(held.contains(&seconds), "asked for {asked:?}, held {seconds} s");
    }
}

/// What a tick may read.
#[derive(Clone, Debug)]
enum Reading {
    /// Sums that no meter gives.
    Absurd([u64; 7]),
    /// Requests answered and dropped since the tick before, and their hold in microseconds.
    Ended(u64, u64, u64),
}

#[derive(Clone, Debug)]
struct Step {
    reading: Reading,
    /// Where the clock jumps, if it does.
    jump: Option<u64>,
    retry_at: u64,
    in_flight: u32,
    waiting: usize,
}

fn hostile() -> impl Strategy<Value = Step> {
    let number = || prop_oneof![Just(0), 0_u64..1_000, any::<u64>(), Just(u64::MAX)];
    let reading = prop_oneof![
        1 => std::array::from_fn(|_| number()).prop_map(Reading::Absurd),
        4 => (0_u64..200, prop_oneof![Just(0), 0_u64..500], number()).prop_map(|(good, bad, hold)| Reading::Ended(good, bad, hold)),
    ];
    let jump = prop_oneof![6 => Just(None), 1 => number().prop_map(Some)];
    let count = prop_oneof![Just(0), 0_u32..100, any::<u32>()];
    (reading, jump, number(), count, any::<usize>()).prop_map(|(reading, jump, retry_at, in_flight, waiting)| Step {
        reading,
        jump,
        retry_at,
        in_flight,
        waiting,
    })
}

/// Feeds `steps` to a law that has seen `honest` ticks of an ordinary service; the states after each step.
fn suffer(honest: u32, waiting: Option<usize>, steps: Vec<Step>) -> Vec<State> {
    let mut law = Elastic::new(BOUNDS, Tick::ZERO);
    let mut now = Tick::ZERO;
    let mut read = Readings::default();
    for _ in 0..honest {
        now = now.after(TICK);
        answer(&mut read, 5, Duration::from_millis(100));
        let limit = law.state().limit;
        law.tick(now, &read, Occupied { in_flight: limit, waiting: waiting.unwrap_or(1) });
    }
    let mut states = Vec::new();
    for step in steps {
        now = step.jump.map_or_else(|| now.after(TICK), Tick::from_nanos);
        match step.reading {
            Reading::Absurd([successes, drops, costs, cost_squares, held, before, squares]) => {
                read = Readings { successes, drops, costs, cost_squares, held, before, squares, ..read };
            }
            Reading::Ended(good, bad, hold) => {
                read.successes = read.successes.wrapping_add(good);
                read.costs = read.costs.wrapping_add(good * 1_000);
                read.cost_squares = read.cost_squares.wrapping_add(good * 1_000_000);
                read.drops = read.drops.wrapping_add(bad);
                read.held = read.held.wrapping_add((good + bad).wrapping_mul(hold).wrapping_mul(1_000));
                read.squares = read.squares.wrapping_add((good + bad).wrapping_mul(hold).wrapping_mul(hold));
            }
        }
        read.retry_at = Tick::from_nanos(step.retry_at);
        let waiting = waiting.unwrap_or(step.waiting);
        let decision = law.tick(now, &read, Occupied { in_flight: step.in_flight, waiting });
        assert_eq!(decision.limit, law.state().limit);
        states.push(law.state());
    }
    states
}

proptest! {
    /// I15: no readings, no clock and no gate move the limit out of its bounds or the state out of the numbers.
    #[test]
    fn hostile_readings_stay_within_bounds(steps in prop::collection::vec(hostile(), 1..300), honest in 0_u32..200) {
        for state in suffer(honest, None, steps) {
            prop_assert!((BOUNDS.min..=BOUNDS.max).contains(&state.limit), "{:?}", state);
            prop_assert!((BOUNDS.min..=BOUNDS.max).contains(&state.base), "{:?}", state);
            let numbers =
                [state.elasticity, state.elasticity_up, state.elasticity_down, state.throughput, state.hold];
            prop_assert!(numbers.iter().all(|number| number.is_finite()), "{:?}", state);
        }
    }

    /// I16: while nobody waits, nothing that is read raises the limit.
    #[test]
    fn nobody_waiting_never_raises(steps in prop::collection::vec(hostile(), 1..300), honest in 0_u32..200) {
        let states = suffer(honest, Some(0), steps);
        prop_assert!(states.iter().all(|state| state.limit <= BOUNDS.initial), "{:?}", states.last());
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

    /// I17 on the law of scalability, from far above its peak and from far below it.
    #[test]
    fn the_peak_is_approached_from_either_side(
        peak_at in 20.0..60.0_f64,
        sigma in 0.0..0.05_f64,
        alone in 0.01..0.05_f64,
        above in any::<bool>(),
    ) {
        let kappa = (1.0 - sigma) / (peak_at * peak_at);
        let usl = |n: f64| (n / alone) / (1.0 + sigma * (n - 1.0) + kappa * n * (n - 1.0));
        let bounds = Bounds { initial: if above { BOUNDS.clamp(4.0 * peak_at) } else { 4 }, ..BOUNDS };
        let states = drive_within(bounds, 6_000, 10, |_| 0, usl);
        let bases: Vec<f64> = states.iter().step_by(100).map(|state| f64::from(state.base)).collect();
        for pair in bases.windows(2) {
            // One step of the curve, or one permit, may be lost to looking.
            let least = (0.1 * pair[0]).max(1.0);
            prop_assert!(pair[0] < 1.5 * peak_at || pair[1] <= pair[0] + least, "{bases:?}");
            prop_assert!(pair[0] > 0.6 * peak_at || pair[1] >= pair[0] - least, "{bases:?}");
        }
        let last = bases.last().copied().unwrap_or_default();
        prop_assert!(usl(last) > 0.9 * usl(peak_at), "{last} for {peak_at}: {bases:?}");
    }
}
