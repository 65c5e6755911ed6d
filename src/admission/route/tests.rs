//! A route's client limits: what is taken, what is given back, what counts.

use std::num::NonZeroU32;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::admission::funnel::Funnel;
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

/// Routes with one permit together, where a session may have so many requests in the system and parked.
fn inside(routes: usize, requests: u32, waiting: usize, limits: &[&Arc<ClientLimit>]) -> (Vec<RouteAdmission>, Clock) {
    let (clock, gate) = (Clock::manual(), Gate::new(1, None));
    let funnel = Funnel::new([Arc::clone(&gate)]);
    let line = || Line::new(vec![Arc::clone(&gate)], 10);
    let lines: Vec<_> = (0..routes).map(|_| (line(), line())).collect();
    let all = lines.iter().flat_map(|(inside, outside)| [Arc::clone(inside), Arc::clone(outside)]).collect();
    let dispatcher = Dispatcher::new(vec![all], clock.clone());
    let requests = NonZeroU32::MIN.saturating_add(requests - 1);
    let sessions = Concurrency::new(ClientConcurrency { requests, waiting });
    let route = |(inside, outside)| {
        let queue = Queue { wait: WAIT, length: 10 };
        let limits = limits.iter().map(|limit| Arc::clone(limit)).collect();
        let inside = Inside::new(inside, 10 * WAIT, Arc::clone(&funnel), Arc::clone(&sessions));
        RouteAdmission::new(Arc::clone(&dispatcher), outside, limits, queue).with_passes(inside)
    };
    (lines.into_iter().map(route).collect(), clock)
}

/// Somebody with a pass.
fn bearer(session: u64) -> Person {
    let session = Session { client: ClientHash(session), age: Duration::from_secs(9) };
    Person { class: Class::InProgress, inside: Some(session) }
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

/// A session is bounded over all routes, and only who has a slot of it stands in line or is a visit.
#[test]
fn a_shared_pass_is_one_person() {
    let (routes, clock) = inside(2, 2, 1, &[]);
    let ask = |route: usize, person| routes[route].decide(person, clock.now(), |_| None, 0.5);
    let Verdict::Admit(first) = ask(0, bearer(1)) else { panic!("the permit is free") };
    let Verdict::Queue(second) = ask(1, bearer(1)) else { panic!("the permit is taken") };
    let Verdict::Park(third) = ask(0, bearer(1)) else { panic!("two of the session are in the system") };
    assert_eq!((third.account, third.deadline), (Account::Session, clock.now().after(10 * WAIT)));
    let Verdict::Refuse(refusal) = ask(1, bearer(1)) else { panic!("one is parked") };
    assert_eq!(refusal.reason, Reason::ClientConcurrency);
    assert_eq!(refusal.limit, Some(Exceeded { account: Account::Session, reset: None }));
    let Verdict::Queue(other) = ask(1, bearer(2)) else { panic!("another session is another person") };
    assert!(matches!(ask(0, NEWCOMER), Verdict::Queue(_)), "and a newcomer has none");
    drop(second);
    let mut third = third;
    let Poll::Ready(walk) = Pin::new(&mut third).poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("the second's slot is the third's")
    };
    drop(third);
    let verdict = routes[0].resume(walk, bearer(1), clock.now(), |_| None, 0.5);
    assert!(matches!(verdict, Verdict::Queue(_)), "{verdict:?}");
    drop((first, other, verdict));
    assert_eq!(routes[0].sessions().map(|sessions| (sessions.clients(), sessions.parked())), Some((0, 0)));
    assert_eq!((routes[0].held(), routes[1].held()), (0, 0));
}

/// Session first, then the limits of the file; whoever is refused by a later one keeps nothing of the earlier.
#[test]
fn a_session_gives_its_slot_back_when_another_limit_refuses() {
    let address = limit("address", 1, 0);
    let (routes, clock) = inside(1, 2, 0, &[&address]);
    let ask = |person| routes[0].decide(person, clock.now(), |_| Some(ClientHash(0)), 0.5);
    let Verdict::Admit(first) = ask(bearer(1)) else { panic!("the permit is free") };
    let Verdict::Refuse(refusal) = ask(bearer(2)) else { panic!("one of the address is in flight") };
    assert_eq!(refusal.limit.map(|limit| limit.account), Some(Account::Limit(0)));
    assert_eq!(routes[0].sessions().map(Concurrency::clients), Some(1), "the second keeps nothing");
    drop(first);
    assert_eq!(routes[0].sessions().map(Concurrency::clients), Some(0));
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
