//! Scenes of a funnel of five steps in virtual time, a crowd five times too large before it.

mod world;

use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::Funnel;
use crate::admission::client::ClientHash;
use crate::admission::client::concurrency::Concurrency;
use crate::admission::dispatch::Dispatcher;
use crate::admission::gate::Gate;
use crate::admission::permit::Permit;
use crate::admission::queue::Line;
use crate::admission::rate::Bucket;
use crate::admission::route::{Inside, Person, RouteAdmission, Session, Verdict};
use crate::admission::verdict::Reason;
use crate::clock::Clock;
use crate::config::plan::{Class, ClientConcurrency, Queue, Rate, RateLimit};
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
        found_by_trying: false,
        overload: 5.0,
        form: None,
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
    check_seeds(name, scene, longest, 1..=5);
}

fn check_seeds(name: &str, scene: &Scene, longest: f64, seeds: std::ops::RangeInclusive<u64>) {
    for seed in seeds {
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

/// A quarter of an hour for a form before the narrowest gate: whoever was let in and has not come there yet is reckoned with. How
/// many of them come at a time is chance: a standard deviation of seven seconds of the check here, fewer where more can be served.
#[test]
fn a_form_may_take_a_quarter_of_an_hour() {
    let narrow = narrow_check();
    let steps = narrow.steps.map(|step| Step { seconds: 0.4, ..step });
    let form =
        Scene { steps, capacity: 20.0, overload: 2.0, form: Some(900.0), quiet: 2_000.0, seconds: 4_200.0, ..narrow };
    check_seeds("form", &form, 15.0, 1..=1);
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

#[test]
fn limits_may_be_found_by_trying() {
    check("check, found", &Scene { found_by_trying: true, ..narrow_check() }, UNKNOWN);
    check("entrance, found", &Scene { found_by_trying: true, ..narrow_entrance() }, UNKNOWN);
}

/// A gate of ten, a route that grants passes and one that does not, and a funnel that lets in one newcomer a second.
fn slow_entrance() -> (Clock, Arc<Funnel>, [RouteAdmission; 2]) {
    let (clock, gate) = (Clock::manual(), Gate::new(10, None));
    let funnel = Funnel::new([Arc::clone(&gate)]);
    funnel.pace.set(1.0, crate::clock::Tick::ZERO);
    let line = |gates: &[&Arc<Gate>]| Line::new(gates.iter().map(|gate| Arc::clone(gate)).collect(), 100);
    let (inside, paced, plain) = (line(&[&gate]), line(&[funnel.entrance(), &gate]), line(&[&gate]));
    let lines = [&inside, &paced, &plain].map(Arc::clone).to_vec();
    let dispatcher = Dispatcher::new(vec![lines], clock.clone());
    let routes = [paced, plain].map(|outside| {
        let queue = Queue { wait: Duration::from_secs(4), length: 100 };
        let sessions = Concurrency::new(ClientConcurrency { requests: NonZeroU32::MAX, waiting: 0 });
        let people = Inside::new(Arc::clone(&inside), PASS_WAIT, Arc::clone(&funnel), sessions);
        RouteAdmission::new(Arc::clone(&dispatcher), outside, Vec::new(), queue).with_passes(people)
    });
    (clock, funnel, routes)
}

/// Somebody who was let in so many seconds ago.
fn inside(age: u64) -> Person {
    let session = Session { client: ClientHash(1), age: Duration::from_secs(age) };
    Person { class: Class::InProgress, inside: Some(session) }
}

fn decide(route: &RouteAdmission, person: Person, clock: &Clock) -> Verdict {
    route.decide(person, clock.now(), |_| None, 0.0)
}

/// The permit of somebody who is let in at once, be it through the line.
fn comes_in(verdict: Verdict) -> Option<Permit> {
    match verdict {
        Verdict::Admit(permit) => Some(permit),
        Verdict::Queue(mut held) => match Pin::new(&mut held).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => turn.ok(),
            Poll::Pending => None,
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn newcomers_wait_for_the_pace_and_are_told_so() {
    let (clock, funnel, [entrance, _]) = slow_entrance();
    let newcomer = Person::of(Class::New);
    let inside: Vec<_> = std::iter::from_fn(|| match decide(&entrance, newcomer, &clock) {
        Verdict::Admit(permit) => Some(permit),
        other => {
            assert!(matches!(other, Verdict::Queue(_)), "{other:?}");
            None
        }
    })
    .collect();
    assert_eq!(inside.len(), 1, "the pace allows one");
    let held: Vec<_> = std::iter::from_fn(|| match decide(&entrance, newcomer, &clock) {
        Verdict::Queue(held) => Some(held),
        other => {
            let Verdict::Refuse(refusal) = other else { panic!("{other:?}") };
            assert_eq!(refusal.reason, Reason::WaitTooLong);
            None
        }
    })
    .collect();
    assert_eq!(held.len(), 4, "four seconds of one a second");
    assert_eq!(funnel.holds(clock.now()), 4);
}

#[test]
fn nobody_else_waits_for_newcomers_who_wait_for_the_pace() {
    let (clock, _funnel, [entrance, plain]) = slow_entrance();
    let first = decide(&entrance, Person::of(Class::New), &clock);
    let held: Vec<_> = (0..4).map(|_| decide(&entrance, Person::of(Class::New), &clock)).collect();
    assert!(held.iter().all(|verdict| matches!(verdict, Verdict::Queue(_))));
    let person = inside(9);
    let mut others = Vec::new();
    for (route, person) in [(&entrance, person), (&plain, person), (&plain, Person::of(Class::New))].repeat(3) {
        assert_eq!(route.predicted_wait(person, clock.now()), Duration::ZERO, "{person:?}");
        let permit = comes_in(decide(route, person, &clock));
        others.push(permit.unwrap_or_else(|| panic!("{person:?} waits while permits are free")));
    }
    drop((first, held, others));
}

#[test]
fn who_was_let_in_at_the_entrance_does_not_wait_for_its_pace_at_a_second_room() {
    let (clock, _funnel, [entrance, _]) = slow_entrance();
    let held: Vec<_> = (0..3).map(|_| decide(&entrance, Person::of(Class::New), &clock)).collect();
    assert!(matches!(held[2], Verdict::Queue(_)));
    // He has the pass of another room: a newcomer of this one, or called from it.
    let mut let_in = Vec::new();
    for class in [Class::New, Class::Returning].repeat(4) {
        let person = Person { class, ..inside(9) };
        assert_eq!(entrance.predicted_wait(person, clock.now()), Duration::ZERO);
        let_in.push(comes_in(decide(&entrance, person, &clock)).unwrap_or_else(|| panic!("{class:?} waits")));
    }
    assert_eq!(
        entrance.load(clock.now()).free,
        0,
        "so far as many newcomers as others: the pace bounds those who are called"
    );
    drop(let_in);
    for _ in 0..9 {
        assert!(comes_in(decide(&entrance, Person { class: Class::Returning, ..inside(9) }, &clock)).is_some());
    }
    assert_eq!(entrance.load(clock.now()).free, 9, "mostly people who are in the funnel: the gate alone bounds them");
}

/// After a restart those come back who were let in before it, and nobody knows how many did not.
#[test]
fn who_was_let_in_before_the_start_teaches_nothing() {
    let rate = RateLimit {
        rate: Rate { count: NonZeroU32::MIN.saturating_add(99), per: Duration::from_secs(1) },
        burst: NonZeroU32::MIN,
    };
    let gates = [Gate::new(u32::MAX, Some(Bucket::new(rate)))];
    let funnel = Funnel::new(gates.iter().map(Arc::clone));
    let clock = Clock::manual();
    for second in 0..60 {
        funnel.answered(&[], true);
        for client in 0..50 {
            let session = Session { client: ClientHash(client), age: Duration::from_secs(second + 1 + client) };
            funnel.visits(&gates, session, clock.now());
        }
        clock.advance(Duration::from_secs(1));
        funnel.observe(clock.now());
        assert!(funnel.pace().is_infinite(), "{} after {second} s", funnel.pace());
    }
}

/// A funnel that people walk one a second, each with three visits to a gate of 100 a second, for `seconds`; after a minute so
/// many requests a second are made with the pass of one of them.
fn walked(seconds: u64, stolen: u64) -> f64 {
    let rate = RateLimit {
        rate: Rate { count: NonZeroU32::MIN.saturating_add(99), per: Duration::from_secs(1) },
        burst: NonZeroU32::MIN,
    };
    let gates = [Gate::new(u32::MAX, Some(Bucket::new(rate)))];
    let funnel = Funnel::new(gates.iter().map(Arc::clone));
    let clock = Clock::manual();
    for second in 0..seconds {
        funnel.answered(&[], true);
        for age in [3, 5, 8].into_iter().filter(|age| *age <= second) {
            let session = Session { client: ClientHash(second - age), age: Duration::from_secs(age) };
            funnel.visits(&gates, session, clock.now());
        }
        if let Some(age) = second.checked_sub(60) {
            let thief = Session { client: ClientHash(60), age: Duration::from_secs(age) };
            (0..stolen).for_each(|_| funnel.visits(&gates, thief, clock.now()));
        }
        for _ in 0..5 {
            clock.advance(Duration::from_millis(200));
            funnel.observe(clock.now());
        }
    }
    funnel.pace()
}

/// What is taken of a gate with a stolen pass is work, and shows in its line; but nobody else brings as much.
#[test]
fn a_pass_that_hammers_does_not_make_people_of_itself() {
    let honest = walked(240, 0);
    assert!((honest / (100.0 / 3.0) - 1.0).abs() < 0.25, "three visits each at 100 a second: {honest}");
    for stolen in [20, 400] {
        let pace = walked(240, stolen);
        assert!(pace > 0.75 * honest, "{stolen} a second: {pace} instead of {honest}");
    }
}
