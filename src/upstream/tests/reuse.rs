//! Which connection is used again, and what happens when it was closed in the meantime.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::task::yield_now;
use tokio::time::sleep;

use super::bench::{MOMENT, OK, Permits, Sent, fetch, get, plan, pool, post, read, send, serve};
use crate::clock::Clock;
use crate::config::plan::Concurrency;
use crate::upstream::{Event, Failure, Pool, Upstream};

#[tokio::test]
async fn last_used_connection_is_used_first() {
    let (address, accepted) = serve(async |mut peer| {
        while peer.request().await.is_some() {
            sleep(MOMENT / 10).await;
            peer.say(OK).await;
        }
    });
    let (pool, permits) = (pool(&plan(&[address])), Permits::default());
    let (first, second) = tokio::join!(fetch(&pool, &permits), fetch(&pool, &permits));
    assert_eq!((first.unwrap(), second.unwrap()), (b"ok".to_vec(), b"ok".to_vec()));
    for _ in 0..10 {
        fetch(&pool, &permits).await.unwrap();
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 2);
    assert_eq!(pool.upstream().servers().next().unwrap().idle(), 2);
}

#[tokio::test]
async fn idle_connections_are_bounded_by_the_concurrency() {
    let (address, accepted) = serve(async |mut peer| {
        while peer.request().await.is_some() {
            sleep(MOMENT).await;
            peer.say(OK).await;
        }
    });
    let mut plan = plan(&[address]);
    plan.concurrency = Concurrency::Fixed(std::num::NonZeroU32::MIN);
    let (pool, permits) = (pool(&plan), Permits::default());
    let (first, second) = tokio::join!(fetch(&pool, &permits), fetch(&pool, &permits));
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(accepted.load(Ordering::SeqCst), 2);
    assert_eq!(pool.upstream().servers().next().unwrap().idle(), 1);
}

#[tokio::test]
async fn old_connection_is_not_checked_out() {
    let (address, accepted) = serve(async |mut peer| while peer.request().await.is_some() && peer.say(OK).await {});
    let (clock, permits) = (Clock::manual(), Permits::default());
    let plan = plan(&[address]);
    let pool = Pool::new(Upstream::new(&plan, 1, &Arc::default()).unwrap(), clock.clone());
    fetch(&pool, &permits).await.unwrap();
    clock.advance(plan.idle_timeout.saturating_sub(Duration::from_nanos(1)));
    fetch(&pool, &permits).await.unwrap();
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
    clock.advance(plan.idle_timeout);
    fetch(&pool, &permits).await.unwrap();
    assert_eq!(accepted.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn sweep_closes_old_connections_and_ends_with_the_pool() {
    let open = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&open);
    let (address, _) = serve(move |mut peer| {
        let count = Arc::clone(&count);
        async move {
            count.fetch_add(1, Ordering::SeqCst);
            while peer.request().await.is_some() && peer.say(OK).await {}
            count.fetch_sub(1, Ordering::SeqCst);
        }
    });
    let mut plan = plan(&[address]);
    plan.idle_timeout = MOMENT;
    let (pool, permits) = (pool(&plan), Permits::default());
    fetch(&pool, &permits).await.unwrap();
    let server = pool.upstream().servers().next().unwrap();
    assert_eq!((open.load(Ordering::SeqCst), server.idle()), (1, 1));
    super::bench::eventually("swept", || open.load(Ordering::SeqCst) == 0 && server.idle() == 0).await;
    fetch(&pool, &permits).await.unwrap();
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    drop(pool);
    super::bench::eventually("sweep ended", || {
        tokio::runtime::Handle::current().metrics().num_alive_tasks() < tasks && open.load(Ordering::SeqCst) == 0
    })
    .await;
    assert_eq!(server.idle(), 0);
}

#[tokio::test]
async fn server_that_says_close_is_not_asked_again_on_that_connection() {
    let (address, accepted) = serve(async |mut peer| {
        while peer.request().await.is_some() {
            peer.say("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok").await;
        }
    });
    let (pool, permits) = (pool(&plan(&[address])), Permits::default());
    for _ in 0..3 {
        assert_eq!(fetch(&pool, &permits).await.unwrap(), b"ok");
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 3);
    assert_eq!(pool.upstream().servers().next().unwrap().idle(), 0);
}

#[tokio::test]
async fn early_answer_with_an_unfinished_request_ends_the_connection() {
    let closed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&closed);
    let (address, accepted) = serve(move |mut peer| {
        let count = Arc::clone(&count);
        async move {
            peer.head().await;
            peer.say("HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n").await;
            peer.closed().await;
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let (pool, permits) = (pool(&plan(&[address])), Permits::default());
    let (feed, upload) = Sent::fed();
    feed.send(Ok(Bytes::from_static(b"first part"))).await.unwrap();
    let response = send(&pool, &permits, post(upload)).await.unwrap();
    assert_eq!(response.status(), 413);
    assert_eq!(permits.out(), 0);
    // Its end comes too late to make the connection a good one.
    drop(feed.send(Ok(Bytes::from_static(b"last part"))).await);
    drop(feed);
    super::bench::eventually("connection closed", || closed.load(Ordering::SeqCst) == 1).await;
    assert_eq!((accepted.load(Ordering::SeqCst), pool.upstream().servers().next().unwrap().idle()), (1, 0));
}

/// Answers that come with bytes nobody asked for poison nothing.
#[tokio::test]
async fn surplus_bytes_never_become_the_next_answer() {
    let (address, _) = serve(async |mut peer| {
        peer.request().await;
        peer.say(&format!("{OK}HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison")).await;
        peer.closed().await;
    });
    let (pool, permits) = (pool(&plan(&[address])), Permits::default());
    for _ in 0..20 {
        assert_eq!(fetch(&pool, &permits).await.unwrap(), b"ok");
    }
}

/// The server closes every connection right after its answer, without saying so. A request that was not written goes to
/// another connection; one that was is not sent again.
#[tokio::test]
async fn stale_connections_neither_lose_nor_double_a_request() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let (address, _) = serve(move |mut peer| {
        let log = Arc::clone(&log);
        async move {
            if let Some((head, _)) = peer.request().await {
                log.lock().unwrap().push(super::bench::field(&head, "idempotency-key").unwrap());
                peer.say(OK).await;
                for _ in 0..fastrand::u32(0..8) {
                    yield_now().await;
                }
            }
        }
    });
    let (pool, permits) = (pool(&plan(&[address])), Permits::default());
    let (mut answered, mut broken) = (HashSet::new(), 0);
    for key in 0..2000 {
        let mut request = post(Sent::whole("name=a"));
        request.headers_mut().insert("idempotency-key", key.into());
        for _ in 0..fastrand::u32(0..8) {
            yield_now().await;
        }
        let outcome = match send(&pool, &permits, request).await {
            Ok(response) => read(response).await,
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok(body) => {
                assert_eq!(body, b"ok");
                answered.insert(key.to_string());
            }
            Err(failure) => {
                assert!(matches!(failure, Failure::Broken(_)), "{failure:?}: nothing was written, so it is no failure");
                broken += 1;
            }
        }
    }
    let seen = seen.lock().unwrap();
    let distinct: HashSet<_> = seen.iter().cloned().collect();
    assert_eq!(distinct.len(), seen.len(), "a request was sent twice");
    assert!(answered.is_subset(&distinct));
    assert_eq!(answered.len() + broken, 2000);
    let server = pool.upstream().servers().next().unwrap();
    let given_back = server.count(Event::Requests) - 2000;
    println!("{broken} broken after they were written, {given_back} given back unsent and sent elsewhere");
    assert!(answered.len() > 1000);
    assert_eq!(permits.out(), 0);
}

/// The same race on purpose: the connection is closed, but the pool has not heard of it.
#[tokio::test]
async fn request_given_back_unsent_goes_to_a_new_connection() {
    let (address, accepted) = serve(async |mut peer| {
        peer.request().await;
        peer.say(OK).await;
    });
    let (pool, permits) = (pool(&plan(&[address])), Permits::default());
    fetch(&pool, &permits).await.unwrap();
    for _ in 0..50 {
        let response = send(&pool, &permits, get()).await;
        assert_eq!(read(response.unwrap()).await.unwrap(), b"ok");
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 51);
}

/// With several threads the reader of a response can be ahead of the task that drives its connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connection_that_becomes_ready_late_is_kept_all_the_same() {
    let (address, accepted) = serve(async |mut peer| while peer.request().await.is_some() && peer.say(OK).await {});
    let (pool, permits) = (pool(&plan(&[address])), Permits::default());
    for _ in 0..500 {
        assert_eq!(fetch(&pool, &permits).await.unwrap(), b"ok");
    }
    let server = pool.upstream().servers().next().unwrap();
    let opened = u32::try_from(accepted.load(Ordering::SeqCst)).unwrap();
    super::bench::eventually("every connection kept", || server.idle() == opened).await;
    assert!(opened < 50, "{opened} connections for one request at a time");
    assert_eq!(permits.out(), 0);
}
