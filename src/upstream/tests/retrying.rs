//! What is sent twice, and what never.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::time::timeout;

use super::bench::{MOMENT, Permits, Sent, TestPool, count, get, keyed, plan, pool, post, read, send};
use super::service::{Mood, Service};
use crate::upstream::{Event, Outcome};

fn idempotent(services: &[&Service]) -> TestPool {
    let addresses: Vec<_> = services.iter().map(|service| service.address).collect();
    let mut plan = plan(&addresses);
    plan.idempotent = true;
    plan.response_timeout = MOMENT * 3;
    pool(&plan)
}

/// `count` sign-ups with keys, twenty at a time; how many were answered.
async fn storm(pool: &TestPool, permits: &Permits, count: usize) -> usize {
    let (next, answered) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (pool, permits) = (pool.clone(), permits.clone());
        let (next, answered) = (Arc::clone(&next), Arc::clone(&answered));
        callers.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::SeqCst);
                if number >= count {
                    return;
                }
                let request = keyed(Sent::whole(format!("person={number}")));
                if let Ok(response) = send(&pool, &permits, request).await {
                    answered.fetch_add(usize::from(read(response).await.is_ok()), Ordering::SeqCst);
                }
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    answered.load(Ordering::SeqCst)
}

/// How often each sign-up was taken.
fn times(service: &Service) -> HashMap<String, usize> {
    let mut times = HashMap::new();
    for body in service.log.taken.lock().unwrap().iter() {
        *times.entry(body.clone()).or_default() += 1;
    }
    times
}

/// A guard hears of the attempt that counted, once.
#[tokio::test]
async fn the_outcome_of_what_was_sent_twice_is_that_of_the_second() {
    let (broken, full) = (Service::start(), Service::start());
    broken.turn(Mood::Breaks);
    full.turn(Mood::Full);
    let (pool, permits) = (idempotent(&[&broken, &full]), Permits::default());
    while broken.log.taken() == 0 {
        let response = send(&pool, &permits, keyed(Sent::whole("person=1"))).await.unwrap();
        assert_eq!(read(response).await.unwrap(), b"full");
        assert_eq!(permits.outcomes(), [Outcome::Pushback { retry_after: Some(Duration::from_secs(7)) }]);
        assert!(full.log.taken() < 100, "the other is never asked");
    }
}

#[tokio::test]
async fn nothing_is_sent_twice_unless_the_operator_says_so() {
    let service = Service::start();
    service.turn(Mood::Moody);
    let (pool, permits) = (pool(&plan(&[service.address])), Permits::default());
    let answered = storm(&pool, &permits, 2000).await;
    let times = times(&service);
    assert!(times.values().all(|times| *times == 1));
    assert_eq!((times.len(), count(&pool, Event::Retries)), (2000, 0));
    assert!(answered < 1990, "it did break: {answered}");
    let broken = permits.outcomes().into_iter().filter(|outcome| *outcome == Outcome::Broken).count();
    assert_eq!((broken, permits.out()), (2000 - answered, 0));
}

#[tokio::test]
async fn idempotent_requests_are_sent_twice_within_the_budget() {
    let service = Service::start();
    service.turn(Mood::Moody);
    let (pool, permits) = (idempotent(&[&service]), Permits::default());
    let answered = storm(&pool, &permits, 2000).await;
    let times = times(&service);
    let twice = times.values().filter(|times| **times == 2).count();
    assert_eq!((times.len(), times.values().all(|times| *times <= 2)), (2000, true));
    assert!((30..=230).contains(&twice), "{twice}");
    assert_eq!(count(&pool, Event::Retries), twice as u64);
    assert!(answered > 1970, "only who was broken twice is lost: {answered}");
    assert_eq!((permits.outcomes().len(), permits.out()), (2000, 0), "a permit each, told once");
}

#[tokio::test]
async fn a_storm_is_not_amplified() {
    let service = Service::start();
    service.turn(Mood::Breaks);
    let (pool, permits) = (idempotent(&[&service]), Permits::default());
    assert_eq!(storm(&pool, &permits, 1000).await, 0);
    let (taken, retries) = (service.log.taken(), count(&pool, Event::Retries));
    assert!(taken <= 1100 && taken as u64 == 1000 + retries, "{taken} for 1,000, {retries} retries");
    assert_eq!(count(&pool, Event::RetryBudgetExhausted), 1000 - retries);
    assert!(permits.outcomes().iter().all(|outcome| *outcome == Outcome::Broken));
}

#[tokio::test]
async fn the_second_time_it_goes_elsewhere() {
    let services = [Service::start(), Service::start()];
    services[0].turn(Mood::Breaks);
    let (pool, permits) = (idempotent(&[&services[0], &services[1]]), Permits::default());
    for number in 0..30 {
        let request = if number % 2 == 0 { get() } else { keyed(Sent::whole("name=a")) };
        assert_eq!(read(send(&pool, &permits, request).await.unwrap()).await.unwrap(), b"ok");
    }
    assert_eq!(services[1].log.taken(), 30);
    assert_eq!(services[0].log.taken() as u64, count(&pool, Event::Retries));
    assert!(services[0].log.taken() > 0);
    assert_eq!(permits.outcomes(), [Outcome::Success; 30]);
}

#[tokio::test]
async fn what_was_answered_or_timed_out_or_is_not_all_here_is_sent_once() {
    let large = || Sent::whole(vec![b'x'; 16 * 1024 + 1]);
    let cases: [(Mood, Request<Sent>); 6] = [
        (Mood::BreaksLate, keyed(Sent::whole("name=a"))),
        (Mood::Silent, keyed(Sent::whole("name=a"))),
        (Mood::Breaks, post(Sent::whole("name=a"))),
        (Mood::Breaks, keyed(large())),
        (Mood::Full, keyed(Sent::whole("name=a"))),
        (Mood::Breaks, {
            let mut request = get();
            request.headers_mut().insert("connection", "upgrade".parse().unwrap());
            request.headers_mut().insert("upgrade", "websocket".parse().unwrap());
            request
        }),
    ];
    for (mood, request) in cases {
        let service = Service::start();
        service.turn(mood);
        let (pool, permits) = (idempotent(&[&service]), Permits::default());
        let told = format!("{mood:?} {request:?}").chars().take(60).collect::<String>();
        if let Ok(response) = send(&pool, &permits, request).await {
            drop(read(response).await);
        }
        tokio::time::sleep(MOMENT).await;
        assert_eq!((service.log.taken(), count(&pool, Event::Retries)), (1, 0), "{told}");
    }
}

#[tokio::test]
async fn a_body_that_was_not_sent_to_its_end_is_not_repeated() {
    let (address, accepted) = super::bench::serve(async |mut peer| {
        peer.head().await;
    });
    let mut plan = plan(&[address]);
    plan.idempotent = true;
    let (pool, permits) = (pool(&plan), Permits::default());
    let (feed, upload) = Sent::fed();
    feed.send(Ok(Bytes::from_static(b"part"))).await.unwrap();
    let sent = timeout(Duration::from_secs(4), send(&pool, &permits, keyed(upload))).await.unwrap();
    assert!(sent.is_err());
    assert_eq!((accepted.load(Ordering::SeqCst), count(&pool, Event::Retries), permits.out()), (1, 0, 0));
}
