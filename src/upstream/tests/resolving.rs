//! Names that move, and lists that change, under traffic.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::bench::{MOMENT, Permits, TestPool, count, eventually, fetch, frame, get, plan, send, serve};
use super::service::{Mood, Service};
use crate::clock::Clock;
use crate::upstream::{Event, Pool, Resolve, ServerState, Upstream, UpstreamError};

/// A resolver that says what the test wants; an empty list is a failure.
#[derive(Clone, Debug, Default)]
struct Names(Arc<Mutex<Vec<IpAddr>>>, Arc<AtomicUsize>);

impl Names {
    fn say(&self, addresses: &[SocketAddr]) {
        *self.0.lock().unwrap() = addresses.iter().map(SocketAddr::ip).collect();
    }
}

impl Resolve for Names {
    async fn resolve(&self, host: &str, _: u16) -> io::Result<Vec<IpAddr>> {
        assert_eq!(host, "service.test");
        self.1.fetch_add(1, Ordering::SeqCst);
        let addresses = self.0.lock().unwrap().clone();
        if addresses.is_empty() { Err(io::Error::other("no answer")) } else { Ok(addresses) }
    }
}

/// Services on one port of two addresses, and a pool that knows them by name.
fn named() -> (Service, Service, Names, TestPool, tokio::task::JoinHandle<()>) {
    let first = Service::start();
    let second = Service::at(SocketAddr::from(([127, 0, 0, 2], first.address.port())));
    let mut plan = plan(&[]);
    let authority = format!("service.test:{}", first.address.port()).parse().unwrap();
    plan.servers.push(crate::config::plan::Server { authority, tls: false });
    plan.resolve = MOMENT / 5;
    plan.slow_start = Duration::ZERO;
    let upstream = Upstream::new(&plan, 1, &Arc::default()).unwrap();
    let names = Names::default();
    let clock = Clock::machine();
    let tending = tokio::spawn(Arc::clone(&upstream).tend(names.clone(), clock.clone()));
    (first, second, names, Pool::new(upstream, clock), tending)
}

fn addresses(pool: &TestPool) -> Vec<String> {
    pool.upstream().servers().map(|server| server.authority().to_string()).collect()
}

async fn known(pool: &TestPool, services: &[&Service]) -> Vec<Arc<ServerState>> {
    let wanted: Vec<_> = services.iter().map(|service| service.address.to_string()).collect();
    eventually("resolved", || addresses(pool) == wanted).await;
    pool.upstream().servers().collect()
}

#[tokio::test]
async fn new_addresses_are_used_and_vanished_ones_drained() {
    let (first, second, names, pool, _tending) = named();
    let permits = Permits::default();
    names.say(&[first.address]);
    known(&pool, &[&first]).await;
    for _ in 0..5 {
        assert_eq!(fetch(&pool, &permits).await.unwrap(), b"ok");
    }
    assert_eq!((first.log.taken(), first.log.open.load(Ordering::SeqCst)), (5, 1));

    names.say(&[second.address]);
    known(&pool, &[&second]).await;
    // Nobody asks: it is the sweep that closes.
    let closed = eventually("idle connections closed", || first.log.open.load(Ordering::SeqCst) == 0);
    tokio::time::timeout(Duration::from_secs(3), closed).await.unwrap();
    for _ in 0..5 {
        assert_eq!(fetch(&pool, &permits).await.unwrap(), b"ok");
    }
    assert_eq!((first.log.taken(), second.log.taken()), (5, 5));
    assert_eq!(count(&pool, Event::Requests), 10, "counters outlive addresses");
}

#[tokio::test]
async fn both_of_two_addresses_are_used_and_keep_their_state() {
    let (first, second, names, pool, _tending) = named();
    names.say(&[second.address, first.address, second.address]);
    let before = known(&pool, &[&first, &second]).await;
    let permits = Permits::default();
    for _ in 0..100 {
        assert_eq!(fetch(&pool, &permits).await.unwrap(), b"ok");
    }
    assert!(first.log.taken() > 20 && second.log.taken() > 20);
    second.turn(Mood::Full);
    for _ in 0..100 {
        drop(fetch(&pool, &permits).await);
    }
    let lookups = names.1.load(Ordering::SeqCst);
    eventually("more lookups", || names.1.load(Ordering::SeqCst) > lookups + 3).await;
    let after = known(&pool, &[&first, &second]).await;
    assert!(before.iter().zip(&after).all(|(before, after)| Arc::ptr_eq(before, after)));
    assert!(after[1].standing(Clock::machine().now()).ejected);

    names.say(&[second.address]);
    let left = known(&pool, &[&second]).await;
    assert!(Arc::ptr_eq(&left[0], &after[1]));
}

#[tokio::test]
async fn a_failed_lookup_changes_nothing() {
    let (first, _second, names, pool, tending) = named();
    assert_eq!(addresses(&pool), [format!("service.test:{}", first.address.port())], "not yet known");
    names.say(&[first.address]);
    let before = known(&pool, &[&first]).await;
    names.say(&[]);
    eventually("failures", || count(&pool, Event::ResolveFailures) >= 3).await;
    assert!(Arc::ptr_eq(&before[0], &pool.upstream().servers().next().unwrap()));
    assert_eq!(fetch(&pool, &Permits::default()).await.unwrap(), b"ok");
    tending.abort();
    drop(tending.await);
    let lookups = names.1.load(Ordering::SeqCst);
    tokio::time::sleep(MOMENT).await;
    assert_eq!(names.1.load(Ordering::SeqCst), lookups, "lookups end with their task");
}

#[tokio::test]
async fn a_removed_server_finishes_what_it_has() {
    let go = Arc::new(tokio::sync::Notify::new());
    let gate = Arc::clone(&go);
    let (slow, _) = serve(move |mut peer| {
        let gate = Arc::clone(&gate);
        async move {
            peer.request().await;
            peer.say("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab").await;
            gate.notified().await;
            peer.say("cd").await;
            peer.closed().await;
        }
    });
    let other = Service::start();
    let pool = super::bench::pool(&plan(&[slow]));
    let permits = Permits::default();
    let mut body = send(&pool, &permits, get()).await.unwrap().into_body();
    let removed = pool.upstream().servers().next().unwrap();

    pool.upstream().replace_servers(&plan(&[other.address]).servers, pool.clock().now()).unwrap();
    for _ in 0..5 {
        assert_eq!(fetch(&pool, &permits).await.unwrap(), b"ok", "the other one");
    }
    assert_eq!((permits.out(), removed.in_flight(), removed.count(Event::Requests)), (1, 1, 1));
    go.notify_one();
    assert_eq!(frame(&mut body).await.unwrap().unwrap().into_data().unwrap(), "ab");
    assert_eq!(frame(&mut body).await.unwrap().unwrap().into_data().unwrap(), "cd");
    assert_eq!((permits.out(), removed.in_flight(), removed.idle()), (0, 0, 0), "finished, and not kept");
}

#[tokio::test]
async fn a_list_is_replaced_whole_or_not_at_all() {
    let services = [Service::start(), Service::start()];
    let pool = super::bench::pool(&plan(&[services[0].address]));
    let before = pool.upstream().servers().next().unwrap();
    let upstream = pool.upstream();
    let now = pool.clock().now();
    assert!(matches!(upstream.replace_servers(&[], now), Err(UpstreamError::NoServers)));
    let mut tls = plan(&[services[0].address, services[1].address]).servers;
    tls[1].tls = true;
    assert!(matches!(upstream.replace_servers(&tls, now), Err(UpstreamError::NoRoots(_))));
    assert_eq!(upstream.configured().len(), 1);

    tls[1].tls = false;
    upstream.replace_servers(&tls, now).unwrap();
    let after: Vec<_> = upstream.servers().collect();
    assert!(Arc::ptr_eq(&after[0], &before));
    assert!(after[1].standing(now).weight < 0.5, "who joins starts slowly");
}
