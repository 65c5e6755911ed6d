//! The fleet in virtual time.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::*;
use crate::scenario::fault::ServiceFault;
use crate::scenario::{Fault, FaultKind, service::Failures};
use crate::services::fixture::{at, fault, scenario, service};

type Heard = Rc<RefCell<Vec<(u32, Answer)>>>;

struct Person {
    number: u32,
    heard: Heard,
    there: Rc<Cell<bool>>,
}

impl Caller for Person {
    fn hear(self, answer: Answer) -> bool {
        self.heard.borrow_mut().push((self.number, answer));
        self.there.get()
    }

    fn is_there(&self) -> bool {
        self.there.get()
    }
}

/// A fleet with everybody who ever came.
struct World {
    fleet: Fleet<Person>,
    heard: Heard,
    there: Rc<Cell<bool>>,
    served: Vec<Served>,
    samples: Vec<Sample>,
}

impl World {
    fn new(scenario: &Scenario) -> Self {
        let (heard, there) = (Heard::default(), Rc::new(Cell::new(true)));
        Self { fleet: Fleet::new(scenario, 1), heard, there, served: Vec::new(), samples: Vec::new() }
    }

    fn arrive(&mut self, millis: u64, server: usize, number: u32) -> u64 {
        let id = RequestId { person: number, request: 0 };
        let caller = Person { number, heard: Rc::clone(&self.heard), there: Rc::clone(&self.there) };
        self.fleet.arrive(at(millis), server, Visit { id: Some(id), stage: 0, key: id.person.into() }, caller)
    }

    fn until(&mut self, millis: u64) {
        self.fleet.advance(at(millis));
        let (served, samples) = self.fleet.take();
        self.served.extend(served);
        self.samples.extend(samples);
    }

    fn heard(&self) -> Vec<(u32, Answer)> {
        self.heard.borrow().clone()
    }

    fn sample(&self, server: usize, millis: u64) -> Sample {
        let of = |sample: &&Sample| sample.at == millis * 1_000;
        *self.samples.iter().filter(of).nth(server).expect("a sample")
    }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-6
}

#[test]
fn one_after_the_other_gets_a_number_and_a_record() {
    let mut world = World::new(&scenario(vec![service()]));
    world.arrive(0, 0, 7);
    world.arrive(50, 0, 8);
    world.until(1_000);
    assert_eq!(world.heard(), [(7, Answer::Registered(1)), (8, Answer::Registered(2))]);
    let times: Vec<_> = world.served.iter().map(|served| (served.started, served.done, served.in_flight)).collect();
    assert_eq!(times, [(0, 100_000, 1), (50_000, 150_000, 2)]);
    let first = &world.served[0];
    assert_eq!((first.effect, first.status, first.heard, first.stage), (Effect::First, 201, true, 0));
    assert!((first.work - 1.0).abs() < 1e-6);
}

#[test]
fn beyond_its_bound_a_server_refuses_at_once() {
    let mut world = World::new(&scenario(vec![Service { in_flight: 2, ..service() }]));
    for number in 0..3 {
        world.arrive(0, 0, number);
    }
    assert_eq!(world.heard(), [(2, Answer::Later(None))]);
    world.until(200);
    assert_eq!(world.heard().len(), 3);
    assert_eq!((world.served[0].status, world.served[0].in_flight, world.served[0].heard), (503, 3, true));
    assert_eq!(world.served[0].effect, Effect::Nothing);
}

#[test]
fn what_is_needed_comes_first_and_both_hold_it_meanwhile() {
    let nik = Service { name: "nik".into(), ..service() };
    let mut world = World::new(&scenario(vec![Service { needs: vec![1], ..service() }, nik]));
    world.arrive(0, 0, 1);
    world.until(50);
    assert_eq!((world.sample(0, 50).in_flight, world.sample(1, 50).in_flight), (1, 1));
    world.until(200);
    let (of_nik, own) = (world.served[0], world.served[1]);
    assert_eq!((of_nik.service, of_nik.effect, of_nik.status, of_nik.done), (1, Effect::Nothing, 200, 100_000));
    assert_eq!((own.service, own.effect, own.started, own.done), (0, Effect::First, 0, 200_000));
    assert_eq!((world.sample(0, 150).in_flight, world.sample(1, 150).in_flight), (1, 0));
    // The place that is held while it waits does not slow others: only work does.
    assert!(close(world.sample(0, 100).work, 0.0) && close(world.sample(0, 200).work, 1.0));
}

#[test]
fn a_full_or_closed_need_fails_the_request_that_needs_it() {
    let nik = Service { in_flight: 1, servers: 1, ..service() };
    let mut scenario = scenario(vec![Service { needs: vec![1], ..service() }, nik]);
    let closed = FaultKind::Service { service: 1, server: None, kind: ServiceFault::Restart };
    scenario.faults = vec![Fault { at: at(50), lasts: at(50), kind: closed }];
    let mut world = World::new(&scenario);
    world.arrive(0, 0, 1);
    world.arrive(10, 0, 2);
    assert_eq!(world.heard(), [(2, Answer::Later(None))]);
    world.until(60);
    // What was in flight there is lost, and its caller knows.
    assert_eq!(world.heard()[1..], [(1, Answer::Failed(502))]);
    world.arrive(70, 0, 3);
    assert_eq!(world.heard()[2..], [(3, Answer::Failed(502))]);
    world.until(1_000);
    let statuses: Vec<_> = world.served.iter().map(|served| (served.service, served.status)).collect();
    assert_eq!(statuses, [(1, 503), (0, 503), (1, 0), (0, 502), (0, 502)]);
    assert_eq!(world.sample(0, 1_000).in_flight, 0);
}

#[test]
fn a_restart_loses_what_is_in_flight_and_keeps_the_keys() {
    let mut scenario = scenario(vec![service()]);
    scenario.faults = vec![fault(120, 100, None, ServiceFault::Restart)];
    let mut world = World::new(&scenario);
    world.arrive(0, 0, 1);
    world.arrive(60, 0, 2);
    world.until(150);
    assert_eq!(world.heard(), [(1, Answer::Registered(1))]);
    let lost = world.served[1];
    assert_eq!((lost.status, lost.effect, lost.heard, lost.done), (0, Effect::Nothing, false, 120_000));
    // Too early: the socket is about to close.
    world.arrive(160, 0, 3);
    assert_eq!(world.heard()[1..], [(3, Answer::Lost)]);
    world.arrive(230, 0, 1);
    world.until(400);
    assert_eq!(world.heard()[2..], [(1, Answer::Registered(2))]);
    assert_eq!(world.served[3].effect, Effect::Duplicate);
    // 120 ms, and from 220 on.
    assert!(close(world.sample(0, 400).capacity, 400.0 * (0.120 + 0.180)), "{:?}", world.sample(0, 400));
}

#[test]
fn who_hangs_holds_a_place_until_he_goes() {
    let failures = Failures { hang: 1.0, ..Failures::default() };
    let mut world = World::new(&scenario(vec![
        Service { needs: vec![1], ..service() },
        Service { failures, in_flight: 2, ..service() },
    ]));
    let first = world.arrive(0, 0, 1);
    world.arrive(0, 0, 2);
    world.until(5_000);
    assert_eq!((world.heard(), world.sample(0, 5_000).in_flight, world.sample(1, 5_000).in_flight), (vec![], 2, 2));
    world.there.set(false);
    world.fleet.gone(at(5_010), first);
    world.until(5_050);
    assert_eq!((world.sample(0, 5_050).in_flight, world.sample(1, 5_050).in_flight), (1, 1));
    let ended: Vec<_> = world.served.iter().map(|served| (served.service, served.effect, served.heard)).collect();
    assert_eq!(ended, [(1, Effect::Nothing, false), (0, Effect::Nothing, false)]);
    // Whoever has gone before it hangs holds nothing for ever.
    world.arrive(5_060, 0, 3);
    world.until(5_100);
    assert_eq!(world.sample(0, 5_100).in_flight, 1);
}

#[test]
fn work_goes_on_when_the_caller_has_gone_and_nobody_hears() {
    let mut world = World::new(&scenario(vec![service()]));
    let call = world.arrive(0, 0, 1);
    world.there.set(false);
    world.fleet.gone(at(10), call);
    world.until(100);
    world.until(101);
    let served = world.served[0];
    assert_eq!((served.effect, served.heard, served.done), (Effect::First, false, 100_000));
}

#[test]
fn failures_do_what_they_say() {
    let fate = |failures: Failures| {
        let mut world = World::new(&scenario(vec![Service { failures, ..service() }]));
        world.arrive(0, 0, 1);
        world.until(200);
        let served = world.served[0];
        (world.heard()[0].1, served.effect, served.heard, served.done)
    };
    let none = Failures::default();
    let (first, nothing) = (Effect::First, Effect::Nothing);
    assert_eq!(fate(Failures { before_effect: 1.0, ..none }), (Answer::Failed(500), nothing, true, 100_000));
    assert_eq!(fate(Failures { after_effect: 1.0, ..none }), (Answer::Failed(500), first, true, 100_000));
    assert_eq!(fate(Failures { lost_reply: 1.0, ..none }), (Answer::Lost, first, false, 100_000));
    assert_eq!(fate(Failures { cut_reply: 1.0, ..none }), (Answer::Cut(1), first, false, 100_000));
    let pushback = Failures { pushback: 1.0, pushback_for: at(2_000), ..none };
    assert_eq!(fate(pushback), (Answer::Later(Some(at(2_000))), nothing, true, 0));
}

#[test]
fn a_sinkhole_answers_at_once_and_ends_what_it_has() {
    let mut scenario = scenario(vec![service()]);
    scenario.faults = vec![fault(50, 100, None, ServiceFault::Sinkhole)];
    let mut world = World::new(&scenario);
    world.arrive(0, 0, 1);
    world.arrive(60, 0, 2);
    let probe = Visit { id: None, stage: NO_STAGE, key: 0 };
    assert_eq!(world.fleet.glance(at(70), 0, probe, Answer::Known(0)), Answer::Failed(500));
    assert_eq!(world.fleet.glance(at(160), 0, probe, Answer::Known(0)), Answer::Known(0));
    world.until(200);
    assert_eq!(world.heard(), [(2, Answer::Failed(500)), (1, Answer::Registered(1))]);
    assert!(close(world.sample(0, 200).capacity, 400.0 * 0.1));
}

#[test]
fn samples_are_exact_however_late_anybody_looks() {
    let mut scenario = scenario(vec![Service { work_shape: 4, servers: 2, ..service() }]);
    scenario.faults = vec![
        fault(130, 170, None, ServiceFault::Stall),
        fault(420, 200, Some(1), ServiceFault::Refuse { warm_up: at(500) }),
    ];
    let micro = |work: f64| format!("{work:.6}");
    let run = |step: u64| {
        let mut world = World::new(&scenario);
        for number in 0..60 {
            world.arrive(0, usize::from(number % 2 == 0), number);
        }
        (step..=2_000).step_by(usize::try_from(step).expect("a step")).for_each(|millis| world.until(millis));
        let samples: Vec<_> = world
            .samples
            .iter()
            .map(|sample| (sample.at, sample.in_flight, micro(sample.work), micro(sample.capacity)))
            .collect();
        (samples, world.served.iter().map(|served| (served.id, served.done, served.status)).collect::<Vec<_>>())
    };
    let punctual = run(1);
    assert_eq!(punctual, run(2_000));
    assert_eq!(punctual.0.len(), 41 * 2);
}

#[test]
fn the_reserve_takes_nobody_until_it_is_added() {
    let mut scenario = scenario(vec![
        Service { needs: vec![1], ..service() },
        Service { servers: 1, reserve: 1, in_flight: 1, ..service() },
    ]);
    let added = FaultKind::Service { service: 1, server: None, kind: ServiceFault::AddServers(1) };
    scenario.faults = vec![Fault { at: at(500), lasts: at(0), kind: added }];
    let mut world = World::new(&scenario);
    world.arrive(0, 0, 1);
    world.arrive(0, 0, 2);
    assert_eq!(world.heard(), [(2, Answer::Later(None))]);
    world.arrive(600, 0, 3);
    world.arrive(600, 0, 4);
    world.until(1_000);
    assert_eq!(world.heard()[2..], [(3, Answer::Registered(2)), (4, Answer::Registered(3))]);
    assert!(close(world.sample(2, 1_000).capacity, 200.0) && close(world.sample(1, 1_000).capacity, 400.0));
}

#[test]
fn the_end_loses_what_is_in_flight() {
    let mut world = World::new(&scenario(vec![service()]));
    world.arrive(0, 0, 1);
    world.fleet.end(at(30));
    world.until(30);
    assert_eq!((world.heard(), world.served[0].done, world.served[0].status), (vec![], 30_000, 0));
}
