//! Servers that fail are left out and come back by degrees: real sockets, time turned by hand.

use std::time::Duration;

use super::bench::{Permits, TestPool, count, fetch, get, plan, send};
use super::service::{Mood, Service};
use crate::clock::{Clock, Tick};
use crate::config::plan::{Bounds, Concurrency, Upstream as Plan};
use crate::upstream::balance::Candidate;
use crate::upstream::health::Thresholds;
use crate::upstream::{Event, Failure, InFlight, Outcome, Pool, Upstream};

const STEP: Duration = Duration::from_millis(10);

fn fleet(size: usize) -> (Vec<Service>, TestPool, Clock) {
    let services: Vec<_> = (0..size).map(|_| Service::start()).collect();
    let addresses: Vec<_> = services.iter().map(|service| service.address).collect();
    let clock = Clock::manual();
    let pool = Pool::new(Upstream::new(&plan(&addresses), 1, &std::sync::Arc::default()).unwrap(), clock.clone());
    (services, pool, clock)
}

/// Dials and requests that the server has cost so far.
fn touches(pool: &TestPool, index: usize) -> u64 {
    let server = pool.upstream().servers().nth(index).unwrap();
    server.count(Event::Requests) + server.count(Event::Unreachable)
}

/// `count` requests, a step of time after each; how many failed.
async fn run(pool: &TestPool, clock: &Clock, count: usize) -> usize {
    let permits = Permits::default();
    let mut failed = 0;
    for _ in 0..count {
        failed += usize::from(fetch(pool, &permits).await.is_err());
        clock.advance(STEP);
    }
    failed
}

#[test]
fn what_is_held_at_a_server_that_is_out_is_stranded_unless_all_are() {
    let addresses = [1, 2].map(|port| ([127, 0, 0, 1], port).into());
    let upstream = Upstream::new(&plan(&addresses), 1, &std::sync::Arc::default()).unwrap();
    let servers: Vec<_> = upstream.servers().collect();
    let permits = Permits::default();
    let mut held: Vec<_> = (0..5).map(|_| InFlight::new(&servers[0], permits.take(), false)).collect();
    held.push(InFlight::new(&servers[1], permits.take(), false));
    held[0].fall_quiet();
    assert_eq!(upstream.stranded(Tick::ZERO), 0);
    let once = Thresholds { rise: 1, fall: 1 };
    assert!(servers[0].health.checked(false, once, Tick::ZERO).is_some());
    assert_eq!(upstream.stranded(Tick::ZERO), 4, "a tunnel is counted elsewhere");
    assert!(servers[1].health.checked(false, once, Tick::ZERO).is_some());
    assert_eq!(upstream.stranded(Tick::ZERO), 0, "with nobody else left both are asked");
}

#[test]
fn a_new_server_begins_with_the_initial_limit() {
    let address = ([127, 0, 0, 1], 1).into();
    let mut plan = plan(&[address]);
    let full = |plan: &Plan| {
        let upstream = Upstream::new(plan, 1, &std::sync::Arc::default()).unwrap();
        let server = upstream.servers().next().unwrap();
        let permits = Permits::default();
        let mut held = Vec::new();
        while server.has_room() && held.len() < 100 {
            held.push(InFlight::new(&server, permits.take(), false));
        }
        held.len()
    };
    assert_eq!(full(&plan), 100, "where the limit is told, the gate alone keeps it");
    let [min, initial, max] = [2, 16, 1_000].map(|number| std::num::NonZeroU32::new(number).unwrap());
    plan.concurrency = Concurrency::Adaptive(Bounds { min, max, initial });
    assert_eq!(full(&plan), 16);
}

#[tokio::test]
async fn a_server_dies_comes_back_and_gets_its_share_again() {
    let (mut services, pool, clock) = fleet(3);
    assert_eq!(run(&pool, &clock, 300).await, 0);
    services[0].die().await;
    // Requests on their way to it when it died are lost, no more.
    assert!(run(&pool, &clock, 40).await <= 5);
    let server = pool.upstream().servers().next().unwrap();
    assert!(server.standing(clock.now()).ejected);

    let before = touches(&pool, 0);
    assert_eq!(run(&pool, &clock, 3000).await, 0, "thirty seconds without a failure");
    let touched = touches(&pool, 0) - before;
    assert!((1..30).contains(&touched), "probations only, under 1 %: {touched}");

    services[0].revive();
    let mut waited = 0;
    while server.standing(clock.now()).ejected {
        assert_eq!(run(&pool, &clock, 10).await, 0);
        waited += 1;
        assert!(waited < 500, "at most the next pause");
    }
    let taken = services[0].log.taken();
    run(&pool, &clock, 100).await;
    let early = services[0].log.taken() - taken;
    assert!(early < 20, "slow start: {early} of 100 in the first second");
    run(&pool, &clock, 1000).await;
    let taken = services[0].log.taken();
    run(&pool, &clock, 600).await;
    let full = services[0].log.taken() - taken;
    assert!((140..260).contains(&full), "a third: {full} of 600");
}

#[tokio::test]
async fn a_flapping_server_costs_ever_less() {
    let (mut services, pool, clock) = fleet(2);
    run(&pool, &clock, 20).await;
    let mut failed = 0;
    for _ in 0..10 {
        services[1].die().await;
        failed += run(&pool, &clock, 300).await;
        services[1].revive();
        failed += run(&pool, &clock, 300).await;
    }
    assert!(failed <= 10, "{failed} of 6,000 were lost");
    assert!(touches(&pool, 1) < 1000, "{} of 6,000", touches(&pool, 1));
    assert!(count(&pool, Event::Ejections) >= 3);
}

#[tokio::test]
async fn with_all_dead_all_are_tried_and_the_first_to_return_is_found_at_once() {
    let (mut services, pool, clock) = fleet(3);
    let permits = Permits::default();
    for service in &mut services {
        service.die().await;
    }
    for _ in 0..50 {
        let failure = fetch(&pool, &permits).await.unwrap_err();
        assert!(matches!(failure, Failure::Unreachable(_)), "{failure:?}");
    }
    assert!(permits.outcomes().iter().all(|outcome| *outcome == Outcome::Unreachable));
    let ejected = pool.upstream().servers().filter(|server| server.standing(clock.now()).ejected).count();
    assert_eq!(ejected, 1, "at most half");
    for service in &mut services {
        service.revive();
        for _ in 0..10 {
            assert_eq!(fetch(&pool, &permits).await.unwrap(), b"ok", "no pause stands in the way");
        }
        service.die().await;
        // What its connections were is over.
        run(&pool, &clock, 5).await;
    }
}

#[tokio::test]
async fn a_full_server_is_passed_on_unchanged_and_left_out() {
    let (services, pool, clock) = fleet(3);
    let permits = Permits::default();
    services[2].turn(Mood::Full);
    let mut refused = 0;
    for _ in 0..200 {
        let response = send(&pool, &permits, get()).await.unwrap();
        if response.status() == 503 {
            assert_eq!(response.headers()["retry-after"], "7");
            refused += 1;
        }
        drop(super::bench::read(response).await);
    }
    assert_eq!(refused, 5);
    let server = pool.upstream().servers().nth(2).unwrap();
    assert_eq!((server.count(Event::Pushbacks), server.standing(clock.now()).ejected), (5, true));
    let told = permits.outcomes();
    let pushback = Outcome::Pushback { retry_after: Some(Duration::from_secs(7)) };
    assert_eq!(told.iter().filter(|outcome| **outcome == pushback).count(), 5);
    assert_eq!(told.iter().filter(|outcome| **outcome == Outcome::Success).count(), 195);

    clock.advance(Duration::from_millis(1300));
    for _ in 0..20 {
        drop(fetch(&pool, &permits).await);
    }
    assert_eq!((server.count(Event::Probations), server.count(Event::Ejections)), (1, 2), "503 fails a probation");
}

#[tokio::test]
async fn a_lone_server_is_never_left_out() {
    let (services, pool, clock) = fleet(1);
    services[0].turn(Mood::Full);
    assert_eq!(run(&pool, &clock, 100).await, 0);
    assert_eq!((services[0].log.taken(), count(&pool, Event::Ejections)), (100, 0));
}
