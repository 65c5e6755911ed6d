//! The gate and its line against a plain model: a deque, a counter, and no concurrency.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;

use super::gate::{Entry, Gate, Occupancy};
use super::permit::{Permit, Waiting};
use crate::clock::{Clock, Tick};

#[derive(Clone, Debug)]
enum Step {
    /// Somebody comes, with this much patience in milliseconds.
    Arrive(u64),
    /// The n-th of those inside is done.
    Finish(usize),
    /// The n-th of those in line leaves.
    Leave(usize),
    /// So many milliseconds pass.
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u64..50).prop_map(Step::Arrive),
        3 => any::<usize>().prop_map(Step::Finish),
        2 => any::<usize>().prop_map(Step::Leave),
        1 => (0_u64..20).prop_map(Step::Pass),
    ]
}

/// What must happen, said plainly.
#[derive(Debug, Default)]
struct Plain {
    inside: Vec<usize>,
    line: VecDeque<(usize, Tick)>,
    expired: Vec<usize>,
}

impl Plain {
    fn serve(&mut self, limit: usize, now: Tick) {
        while self.inside.len() < limit {
            let Some((person, deadline)) = self.line.pop_front() else { return };
            if now > deadline {
                self.expired.push(person);
            } else {
                self.inside.push(person);
            }
        }
    }
}

/// The gate under test, with everybody it has spoken to.
struct Real {
    gate: Arc<Gate>,
    inside: Vec<(usize, Permit)>,
    line: Vec<(usize, Waiting)>,
    expired: Vec<usize>,
}

impl Real {
    fn settle(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        let mut rest = Vec::new();
        for (person, mut waiting) in self.line.drain(..) {
            match Pin::new(&mut waiting).poll(&mut context) {
                Poll::Pending => rest.push((person, waiting)),
                Poll::Ready(Ok(permit)) => self.inside.push((person, permit)),
                Poll::Ready(Err(_)) => self.expired.push(person),
            }
        }
        self.line = rest;
    }
}

fn people<T>(list: &[(usize, T)]) -> Vec<usize> {
    let mut people: Vec<_> = list.iter().map(|(person, _)| *person).collect();
    people.sort_unstable();
    people
}

fn sorted(list: &[usize]) -> Vec<usize> {
    let mut list = list.to_vec();
    list.sort_unstable();
    list
}

fn run(limit: u32, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let clock = Clock::manual();
    let gate = Gate::new(limit, steps.len(), None, clock.clone());
    let mut real = Real { gate, inside: Vec::new(), line: Vec::new(), expired: Vec::new() };
    let mut plain = Plain::default();
    for (person, step) in steps.into_iter().enumerate() {
        let now = clock.now();
        match step {
            Step::Arrive(patience) => {
                let deadline = now.after(Duration::from_millis(patience));
                match real.gate.enter(now, deadline) {
                    Entry::Full => prop_assert!(false, "the line has a slot for everyone"),
                    Entry::Granted(permit) => real.inside.push((person, permit)),
                    Entry::Waiting(waiting) => real.line.push((person, waiting)),
                }
                plain.line.push_back((person, deadline));
            }
            Step::Finish(which) if !plain.inside.is_empty() => {
                let person = plain.inside.remove(which % plain.inside.len());
                real.inside.retain(|(inside, _)| *inside != person);
            }
            Step::Leave(which) if !real.line.is_empty() => {
                let (person, waiting) = real.line.remove(which % real.line.len());
                drop(waiting);
                plain.line.retain(|(waiting, _)| *waiting != person);
            }
            Step::Pass(millis) => clock.advance(Duration::from_millis(millis)),
            Step::Finish(_) | Step::Leave(_) => {}
        }
        plain.serve(limit as usize, clock.now());
        real.settle();
        prop_assert_eq!(people(&real.inside), sorted(&plain.inside));
        prop_assert_eq!(people(&real.line), sorted(&plain.line.iter().map(|(person, _)| *person).collect::<Vec<_>>()));
        prop_assert_eq!(sorted(&real.expired), sorted(&plain.expired));
        prop_assert_eq!(real.gate.waiting(), plain.line.len());
        let Occupancy { in_flight, .. } = real.gate.occupancy();
        prop_assert_eq!(in_flight as usize, plain.inside.len());
    }
    drop(real.line);
    drop(real.inside);
    prop_assert_eq!(real.gate.occupancy().in_flight, 0);
    prop_assert_eq!(real.gate.waiting(), 0);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_gate_does_what_a_plain_queue_would(limit in 1_u32..5, steps in prop::collection::vec(step(), 1..120)) {
        run(limit, steps)?;
    }
}

/// Threads instead of steps: nothing may be left over, whatever the interleaving was.
#[test]
fn a_storm_of_threads_leaves_nothing_behind() {
    const LIMIT: u32 = 3;
    let gate = Gate::new(LIMIT, 64, None, Clock::machine());
    let inside = std::sync::atomic::AtomicU32::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (gate, inside) = (&gate, &inside);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(thread);
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                for _ in 0..5_000 {
                    let now = Clock::manual().now();
                    let permit = match gate.enter(now, Tick::from_nanos(u64::MAX)) {
                        Entry::Full => None,
                        Entry::Granted(permit) => Some(permit),
                        Entry::Waiting(waiting) if random.bool() => waiting.leave(),
                        Entry::Waiting(waiting) => runtime.block_on(waiting).ok(),
                    };
                    if permit.is_some() {
                        assert!(inside.fetch_add(1, std::sync::atomic::Ordering::AcqRel) < LIMIT);
                        std::hint::spin_loop();
                        inside.fetch_sub(1, std::sync::atomic::Ordering::AcqRel);
                    }
                }
            });
        }
    });
    assert_eq!(gate.occupancy(), Occupancy { limit: LIMIT, in_flight: 0 });
    assert_eq!(gate.waiting(), 0);
}

/// A contract rate holds people in line until tokens come; the driver of [`Gate::due`] lets them go on time.
#[test]
fn a_paced_gate_serves_the_line_as_tokens_come() {
    use super::rate::Bucket;
    use crate::config::plan::{Rate, RateLimit};
    use std::num::NonZeroU32;

    let clock = Clock::manual();
    let count = NonZeroU32::new(10).unwrap();
    let limit = RateLimit { rate: Rate { count, per: Duration::from_secs(1) }, burst: NonZeroU32::MIN };
    let gate = Gate::new(100, 10, Some(Bucket::new(limit)), clock.clone());
    let far = Tick::from_nanos(u64::MAX);
    let mut context = Context::from_waker(Waker::noop());
    let Entry::Granted(_first) = gate.enter(clock.now(), far) else { panic!("the bucket was full") };
    let mut line: Vec<_> = (0..3)
        .map(|_| match gate.enter(clock.now(), far) {
            Entry::Waiting(waiting) => waiting,
            other => panic!("no token has come: {other:?}"),
        })
        .collect();
    for turn in 1..=3_u64 {
        let due = {
            let mut due = std::pin::pin!(gate.due());
            let Poll::Ready(due) = due.as_mut().poll(&mut context) else { panic!("somebody waits for a token") };
            due
        };
        assert_eq!(due, Tick::ZERO.after(Duration::from_millis(100 * turn)));
        clock.advance(due.since(clock.now()));
        gate.pace();
        let mut first = line.remove(0);
        assert!(Pin::new(&mut first).poll(&mut context).is_ready(), "turn {turn} is not kept");
        assert!(line.iter_mut().all(|later| Pin::new(later).poll(&mut context).is_pending()), "overtaking");
    }
    assert!(std::pin::pin!(gate.due()).as_mut().poll(&mut context).is_pending(), "nobody waits any more");
}
