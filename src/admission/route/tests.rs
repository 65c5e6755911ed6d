//! A route's client limits: what is taken, what is given back, what counts.

use std::num::NonZeroU32;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::admission::gate::Gate;
use crate::clock::Clock;
use crate::config::plan::{self, ClientConcurrency, ClientKey, Without};

const NEWCOMER: Person = Person::of(Class::New);
const WAIT: Duration = Duration::from_secs(4);

fn limit(name: &str, requests: u32, waiting: usize) -> Arc<ClientLimit> {
    let requests = NonZeroU32::MIN.saturating_add(requests - 1);
    Arc::new(ClientLimit::new(&plan::ClientLimit {
        name: name.to_owned(),
        key: ClientKey::Address,
        without: Without::Address,
        rate: None,
        concurrency: Some(ClientConcurrency { requests, waiting }),
    }))
}

/// A route with one permit, and what it counts.
fn route(limits: &[&Arc<ClientLimit>], length: usize) -> (RouteAdmission, Clock) {
    let clock = Clock::manual();
    let line = Line::new(vec![Gate::new(1, None)], 10);
    let dispatcher = Dispatcher::new(vec![vec![Arc::clone(&line)]], clock.clone());
    let limits = limits.iter().map(|limit| Arc::clone(limit)).collect();
    (RouteAdmission::new(dispatcher, line, limits, Queue { wait: WAIT, length }), clock)
}

/// Client `person` of limits by name, and one and the same of the others.
fn ask(route: &RouteAdmission, clock: &Clock, person: u64) -> Verdict {
    route.decide(NEWCOMER, clock.now(), |limit| Some(who(limit, person)), 0.5)
}

fn who(limit: &ClientLimit, person: u64) -> ClientHash {
    ClientHash(if limit.name() == "person" { person } else { u64::MAX })
}

fn go_on(route: &RouteAdmission, clock: &Clock, mut parked: Parked) -> Verdict {
    let Poll::Ready(walk) = Pin::new(&mut parked).poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("no slot has come")
    };
    route.resume(walk, NEWCOMER, clock.now(), |limit| Some(who(limit, 1)), 0.5)
}

fn reason(verdict: &Verdict) -> Option<Reason> {
    if let Verdict::Refuse(refusal) = verdict { Some(refusal.reason) } else { None }
}

#[test]
fn the_time_outside_the_line_counts() {
    for (left, is_in_time) in [(1_200, true), (3_000, false)] {
        let person = limit("person", 1, 2);
        let (route, clock) = route(&[&person], 10);
        let Verdict::Admit(_busy) = ask(&route, &clock, 2) else { panic!("the permit is free") };
        let Verdict::Queue(first) = ask(&route, &clock, 1) else { panic!("a permit is taken") };
        clock.advance(Duration::from_secs(1));
        let Verdict::Park(second) = ask(&route, &clock, 1) else { panic!("one is in line already") };
        let promised = Tick::ZERO.after(Duration::from_secs(1) + WAIT);
        assert_eq!((second.deadline, route.held()), (promised, 2));
        clock.advance(Duration::from_millis(left - 1_000));
        drop(first);
        match go_on(&route, &clock, second) {
            Verdict::Queue(held) if is_in_time => assert_eq!((held.deadline, route.held()), (promised, 1)),
            // The service stands still: a newcomer would be let into the line, but not for the two seconds left.
            verdict => assert_eq!(reason(&verdict), Some(Reason::WaitTooLong), "{verdict:?}"),
        }
        assert_eq!((route.held(), person.concurrency().map(|slots| slots.parked())), (0, Some(0)));
    }
}

/// Design rule 1: what is in flight is in the system, also when it came through the line.
#[test]
fn the_slot_stays_with_the_permit() {
    let person = limit("person", 1, 2);
    let (route, clock) = route(&[&person], 10);
    let Verdict::Admit(busy) = ask(&route, &clock, 2) else { panic!("the permit is free") };
    let Verdict::Queue(mut first) = ask(&route, &clock, 1) else { panic!("the permit is taken") };
    drop(busy);
    let turn = Pin::new(&mut first).poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Ok(permit)) = turn else { panic!("its turn has come") };
    drop(first);
    let Verdict::Park(second) = ask(&route, &clock, 1) else { panic!("one is in flight") };
    drop(permit);
    assert!(matches!(go_on(&route, &clock, second), Verdict::Admit(_)));
    assert_eq!(person.concurrency().map(|slots| slots.clients()), Some(0));
}

#[test]
fn all_slots_or_none() {
    let (person, address) = (limit("person", 1, 0), limit("address", 2, 0));
    let (route, clock) = route(&[&person, &address], 10);
    let held: Vec<Verdict> = (0..2).map(|person| ask(&route, &clock, person)).collect();
    assert_eq!(reason(&ask(&route, &clock, 7)), Some(Reason::ClientConcurrency));
    let clients = |limit: &ClientLimit| limit.concurrency().map(|slots| slots.clients());
    assert_eq!(clients(&person), Some(2), "the seventh keeps nothing");
    drop(held);
    assert_eq!((clients(&person), clients(&address), route.held()), (Some(0), Some(0), 0));
}

#[test]
fn who_is_parked_is_held() {
    let person = limit("person", 1, 5);
    let (route, clock) = route(&[&person], 1);
    let Verdict::Admit(permit) = ask(&route, &clock, 1) else { panic!("the permit is free") };
    let Verdict::Park(_second) = ask(&route, &clock, 1) else { panic!("one is in service") };
    let Verdict::Refuse(refusal) = ask(&route, &clock, 1) else { panic!("there is room for one") };
    assert_eq!(
        (refusal.reason, refusal.limit),
        (Reason::QueueFull, None),
        "the route's room is spent, not the client's"
    );
    assert!(refusal.retry_after >= SOONEST_RETURN && refusal.retry_after <= 2 * WAIT, "{refusal:?}");
    assert_eq!(reason(&ask(&route, &clock, 2)), Some(Reason::QueueFull), "another finds it full as well");
    drop(permit);
}
