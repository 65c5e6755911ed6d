//! The gate and its line against a plain model: a deque, a counter, and no concurrency.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use proptest::prelude::*;

use super::dispatch::{Dispatcher, Entry};
use super::gate::{Gate, Occupancy};
use super::permit::{Permit, Waiting};
use super::queue::Line;
use crate::clock::{Clock, Tick};
use crate::config::plan::Class;

/// Kinds of requests: what each needs. Two upstreams, two dependencies; the first kind needs an upstream alone.
const NEEDS: [&[usize]; 4] = [&[2], &[0, 2], &[0, 1, 2], &[0, 3]];
/// Gates 0 and 1 are dependencies, 2 and 3 upstreams.
const UPSTREAM_OF: [usize; 4] = [2, 2, 2, 3];

#[derive(Clone, Debug)]
enum Step {
    /// Somebody comes: what he needs, his class, and his patience in milliseconds.
    Arrive(usize, Class, u64),
    /// The n-th of those inside is done.
    Finish(usize),
    /// The same, and nobody else gets his permit of the upstream.
    Withdraw(usize),
    /// A gate may have so many inside from now on.
    Limit(usize, u32),
    /// The n-th of those in line leaves.
    Leave(usize),
    /// So many milliseconds pass.
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..NEEDS.len(), prop::sample::select(&Class::ALL[..]), 0_u64..50)
            .prop_map(|(kind, class, patience)| Step::Arrive(kind, class, patience)),
        3 => any::<usize>().prop_map(Step::Finish),
        1 => any::<usize>().prop_map(Step::Withdraw),
        1 => (0_usize..4, 0_u32..6).prop_map(|(gate, limit)| Step::Limit(gate, limit)),
        2 => any::<usize>().prop_map(Step::Leave),
        1 => (0_u64..20).prop_map(Step::Pass),
    ]
}

/// Somebody, as the plain model sees him.
#[derive(Clone, Debug)]
struct Person {
    id: usize,
    kind: usize,
    class: Class,
    deadline: Tick,
}

/// What must happen, said plainly: lists and searches, no atomics.
#[derive(Debug)]
struct Plain {
    limits: [u32; 4],
    used: [u32; 4],
    inside: Vec<Person>,
    line: Vec<Person>,
    expired: Vec<usize>,
    grants: [u64; 4],
    rounds: usize,
}

impl Plain {
    fn free(&self, kind: usize) -> bool {
        NEEDS[kind].iter().all(|gate| self.used[*gate] < self.limits[*gate])
    }

    fn admit(&mut self, person: Person) {
        NEEDS[person.kind].iter().for_each(|gate| self.used[*gate] += 1);
        self.inside.push(person);
    }

    /// Directly, if nobody stands in line for any of the same gates; otherwise into the line.
    fn arrive(&mut self, person: Person) -> bool {
        let shares = |other: &Person| NEEDS[other.kind].iter().any(|gate| NEEDS[person.kind].contains(gate));
        if !self.line.iter().any(shares) && self.free(person.kind) {
            self.admit(person);
            return true;
        }
        self.line.push(person);
        false
    }

    fn leave(&mut self, id: usize) {
        self.line.retain(|person| person.id != id);
    }

    fn finish(&mut self, which: usize) -> Person {
        let person = self.inside.remove(which % self.inside.len());
        NEEDS[person.kind].iter().for_each(|gate| self.used[*gate] -= 1);
        person
    }

    /// Serves until nobody more can be served.
    fn serve(&mut self, now: Tick) {
        self.rounds += 1;
        for offset in 0..2 {
            let upstream = 2 + (self.rounds + offset) % 2;
            while self.serve_one(upstream, now) {}
        }
    }

    fn serve_one(&mut self, upstream: usize, now: Tick) -> bool {
        for class in super::class::order(self.grants[upstream] + 1) {
            let of_class = |person: &&Person| UPSTREAM_OF[person.kind] == upstream && person.class == class;
            // The first of each kind only: nobody passes another of the same kind and class.
            let mut firsts: Vec<Person> = Vec::new();
            for person in self.line.iter().filter(of_class) {
                if !firsts.iter().any(|first| first.kind == person.kind) {
                    firsts.push(person.clone());
                }
            }
            for person in firsts {
                if now > person.deadline {
                    self.expired.push(person.id);
                    self.leave(person.id);
                    return true;
                }
                if self.free(person.kind) {
                    self.leave(person.id);
                    self.admit(person);
                    self.grants[upstream] += 1;
                    return true;
                }
            }
        }
        false
    }
}

/// The dispatcher under test, with everybody it has spoken to.
struct Real {
    dispatcher: Arc<Dispatcher>,
    gates: Vec<Arc<Gate>>,
    lines: Vec<Arc<Line>>,
    inside: Vec<(usize, Permit)>,
    line: Vec<(usize, Waiting)>,
    expired: Vec<usize>,
}

impl Real {
    fn new(limits: [u32; 4], capacity: usize, clock: &Clock) -> Self {
        let gates: Vec<_> = limits.iter().map(|limit| Gate::new(*limit, None)).collect();
        let line = |needs: &&[usize]| Line::new(needs.iter().map(|gate| Arc::clone(&gates[*gate])).collect(), capacity);
        let lines: Vec<_> = NEEDS.iter().map(line).collect();
        let group = |upstream| {
            let of_this = |kind: &usize| UPSTREAM_OF[*kind] == upstream;
            (0..NEEDS.len()).filter(of_this).map(|kind| Arc::clone(&lines[kind])).collect()
        };
        let dispatcher = Dispatcher::new(vec![group(2), group(3)], clock.clone());
        Self { dispatcher, gates, lines, inside: Vec::new(), line: Vec::new(), expired: Vec::new() }
    }

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

fn ids(list: &[Person]) -> Vec<usize> {
    sorted(&list.iter().map(|person| person.id).collect::<Vec<_>>())
}

fn run(limits: [u32; 4], steps: Vec<Step>) -> Result<(), TestCaseError> {
    let clock = Clock::manual();
    let mut real = Real::new(limits, steps.len(), &clock);
    let mut plain = Plain {
        limits,
        used: [0; 4],
        inside: Vec::new(),
        line: Vec::new(),
        expired: Vec::new(),
        grants: [0; 4],
        rounds: 0,
    };
    for (id, step) in steps.into_iter().enumerate() {
        let now = clock.now();
        match step {
            Step::Arrive(kind, class, patience) => {
                let deadline = now.after(Duration::from_millis(patience));
                let line = &real.lines[kind];
                match real.dispatcher.enter(line, class, now, deadline) {
                    Entry::Full => prop_assert!(false, "the line has a slot for everyone"),
                    Entry::Granted(permit) => real.inside.push((id, permit)),
                    Entry::Waiting(waiting) => real.line.push((id, waiting)),
                }
                plain.arrive(Person { id, kind, class, deadline });
            }
            Step::Finish(which) if !plain.inside.is_empty() => {
                let person = plain.finish(which);
                real.inside.retain(|(inside, _)| *inside != person.id);
            }
            Step::Withdraw(which) if !plain.inside.is_empty() => {
                let person = plain.finish(which);
                real.inside.iter().filter(|(inside, _)| *inside == person.id).for_each(|(_, permit)| permit.withdraw());
                real.inside.retain(|(inside, _)| *inside != person.id);
                let limit = &mut plain.limits[UPSTREAM_OF[person.kind]];
                *limit = limit.saturating_sub(1);
            }
            Step::Limit(gate, limit) => {
                let change = i64::from(limit) - i64::from(plain.limits[gate]);
                real.dispatcher.adjust(&real.gates[gate], change);
                plain.limits[gate] = limit;
            }
            Step::Leave(which) if !real.line.is_empty() => {
                let (id, waiting) = real.line.remove(which % real.line.len());
                drop(waiting);
                plain.leave(id);
                plain.expired.retain(|expired| *expired != id);
            }
            Step::Pass(millis) => clock.advance(Duration::from_millis(millis)),
            Step::Finish(_) | Step::Withdraw(_) | Step::Leave(_) => {}
        }
        real.dispatcher.look();
        real.settle();
        compare(&real, &mut plain, clock.now())?;
    }
    drop(std::mem::take(&mut real.line));
    drop(std::mem::take(&mut real.inside));
    for gate in &real.gates {
        prop_assert_eq!((gate.occupancy().in_flight, gate.waiting()), (0, 0));
    }
    Ok(())
}

/// The same people are inside, in line and expired. Which of two upstreams is asked first for a dependency they share is the
/// dispatcher's affair: the plain model may ask in either order.
fn compare(real: &Real, plain: &mut Plain, now: Tick) -> Result<(), TestCaseError> {
    let before = (plain.rounds, plain.used, plain.grants);
    let (inside, line, expired) = (plain.inside.clone(), plain.line.clone(), plain.expired.clone());
    plain.serve(now);
    if people(&real.inside) != ids(&plain.inside) {
        (plain.rounds, plain.used, plain.grants) = before;
        (plain.inside, plain.line, plain.expired) = (inside, line, expired);
        plain.rounds += 1;
        plain.serve(now);
    }
    prop_assert_eq!(people(&real.inside), ids(&plain.inside));
    // Who is too late is told when the line comes to him, or by his own timer: not at one instant.
    let outside = [people(&real.line), real.expired.clone()].concat();
    prop_assert_eq!(sorted(&outside), sorted(&[ids(&plain.line), plain.expired.clone()].concat()));
    let in_time = |person: &&Person| now <= person.deadline;
    prop_assert!(plain.line.iter().filter(in_time).all(|person| !real.expired.contains(&person.id)));
    for (gate, used) in real.gates.iter().zip(plain.used) {
        prop_assert_eq!(gate.occupancy().in_flight, used);
    }
    for (gate, limit) in real.gates.iter().zip(plain.limits) {
        prop_assert_eq!(gate.occupancy().limit, limit);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn the_gates_do_what_a_plain_list_would(
        limits in prop::array::uniform4(1_u32..5),
        steps in prop::collection::vec(step(), 1..120),
    ) {
        run(limits, steps)?;
    }
}

/// Threads instead of steps: nothing may be left over, whatever the interleaving was.
#[test]
fn a_storm_of_threads_leaves_nothing_behind() {
    const LIMITS: [u32; 4] = [3, 2, 4, 2];
    let real = Real::new(LIMITS, 64, &Clock::machine());
    let inside: [std::sync::atomic::AtomicU32; 4] = std::array::from_fn(|_| std::sync::atomic::AtomicU32::new(0));
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (real, inside) = (&real, &inside);
            scope.spawn(move || {
                let mut random = fastrand::Rng::with_seed(thread);
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                for _ in 0..5_000 {
                    let (kind, class) = (random.usize(..NEEDS.len()), Class::ALL[random.usize(..Class::COUNT)]);
                    let entry = real.dispatcher.enter(&real.lines[kind], class, Tick::ZERO, Tick::from_nanos(u64::MAX));
                    let permit = match entry {
                        Entry::Full => None,
                        Entry::Granted(permit) => Some(permit),
                        Entry::Waiting(waiting) if random.bool() => waiting.leave(),
                        Entry::Waiting(waiting) => runtime.block_on(waiting).ok(),
                    };
                    if permit.is_some() {
                        for gate in NEEDS[kind] {
                            let others = inside[*gate].fetch_add(1, std::sync::atomic::Ordering::AcqRel);
                            assert!(others < LIMITS[*gate], "gate {gate}");
                        }
                        std::hint::spin_loop();
                        for gate in NEEDS[kind] {
                            inside[*gate].fetch_sub(1, std::sync::atomic::Ordering::AcqRel);
                        }
                    }
                }
            });
        }
    });
    for (gate, limit) in real.gates.iter().zip(LIMITS) {
        assert_eq!(gate.occupancy(), Occupancy { limit, in_flight: 0 });
        assert_eq!(gate.waiting(), 0);
    }
}
