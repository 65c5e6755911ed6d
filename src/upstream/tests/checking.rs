//! Active checks decide who gets requests.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::bench::{MOMENT, Permits, TestPool, eventually, fetch, plan};
use super::service::{Mood, Service};
use crate::clock::Clock;
use crate::config::plan::{HealthCheck, Protocol};
use crate::upstream::{Event, Pool, SystemResolver, Upstream};

fn checked(services: &[&Service]) -> (TestPool, Clock, tokio::task::JoinHandle<()>) {
    let addresses: Vec<_> = services.iter().map(|service| service.address).collect();
    let mut plan = plan(&addresses);
    plan.protocol = Protocol::Auto;
    plan.slow_start = Duration::ZERO;
    plan.health = Some(HealthCheck {
        path: "/healthz".parse().unwrap(),
        interval: MOMENT / 5,
        timeout: MOMENT,
        rise: NonZeroU32::new(2).unwrap(),
        fall: NonZeroU32::new(3).unwrap(),
        status: vec![200..=299, 401..=401],
    });
    let clock = Clock::machine();
    let upstream = Upstream::new(&plan, 1, &Arc::default()).unwrap();
    let tending = tokio::spawn(Arc::clone(&upstream).tend(SystemResolver, clock.clone()));
    (Pool::new(upstream, clock.clone()), clock, tending)
}

fn healthy(pool: &TestPool, clock: &Clock) -> Vec<bool> {
    pool.upstream().servers().map(|server| server.standing(clock.now()).healthy).collect()
}

#[tokio::test]
async fn a_server_whose_check_fails_gets_nothing_until_it_passes() {
    let services = [Service::start(), Service::start()];
    let (pool, clock, tending) = checked(&[&services[0], &services[1]]);
    let permits = Permits::default();
    for mood in [Mood::Full, Mood::Breaks, Mood::Silent] {
        services[0].turn(mood);
        eventually("unhealthy", || healthy(&pool, &clock) == [false, true]).await;
        let taken = services[0].log.taken();
        for _ in 0..50 {
            assert_eq!(fetch(&pool, &permits).await.unwrap(), b"ok");
        }
        assert_eq!(services[0].log.taken(), taken, "{mood:?}");
        services[0].turn(Mood::Well);
        eventually("healthy", || healthy(&pool, &clock) == [true, true]).await;
        for _ in 0..50 {
            assert_eq!(fetch(&pool, &permits).await.unwrap(), b"ok");
        }
        assert!(services[0].log.taken() > taken + 5, "{mood:?}");
    }
    let server = pool.upstream().servers().next().unwrap();
    assert!(server.count(Event::ChecksFailed) >= 9);
    assert_eq!(server.count(Event::Requests), services[0].log.taken() as u64, "checks are no requests");
    assert_eq!(server.in_flight(), 0);

    tending.abort();
    drop(tending.await);
    let checks = services[0].log.checks.load(Ordering::SeqCst);
    tokio::time::sleep(MOMENT).await;
    assert!(services[0].log.checks.load(Ordering::SeqCst) <= checks + 1, "checks end with their task");
}

#[tokio::test]
async fn with_all_unhealthy_all_are_asked() {
    let mut services = [Service::start(), Service::start()];
    for service in &services {
        service.turn(Mood::Full);
    }
    let (pool, clock, _tending) = checked(&[&services[0], &services[1]]);
    eventually("unhealthy", || healthy(&pool, &clock) == [false, false]).await;
    let permits = Permits::default();
    for _ in 0..40 {
        assert_eq!(fetch(&pool, &permits).await.unwrap(), b"full");
    }
    assert!(services.iter().all(|service| service.log.taken() > 0));
    services[0].die().await;
    for _ in 0..20 {
        assert_eq!(fetch(&pool, &permits).await.unwrap(), b"full", "one of them is dead");
    }
}

#[tokio::test]
async fn a_dead_server_is_unhealthy_and_a_new_one_is_checked() {
    let mut services = [Service::start(), Service::start()];
    let (pool, clock, _tending) = checked(&[&services[0]]);
    let plans = plan(&[services[0].address, services[1].address]).servers;
    pool.upstream().replace_servers(&plans, clock.now()).unwrap();
    eventually("checked", || services[1].log.checks.load(Ordering::SeqCst) > 2).await;
    services[1].die().await;
    eventually("unhealthy", || healthy(&pool, &clock) == [true, false]).await;
}
