//! The guard is dropped when the upstream is done: never earlier, never not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::bench::{MOMENT, OK, Permits, Sent, fetch, frame, get, plan, pool, post, read, send, serve};
use crate::upstream::{Event, Failure};

#[tokio::test]
async fn response_read_to_its_end_gives_the_permit_back() {
    let (address, _) = serve(async |mut peer| {
        peer.request().await;
        peer.say("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nab").await;
        sleep(MOMENT).await;
        peer.say("cd").await;
        peer.closed().await;
    });
    let (pool, permits) = (pool(&plan(&[address])), Permits::default());
    let mut body = send(&pool, &permits, get()).await.unwrap().into_body();
    let server = pool.upstream().servers().next().unwrap();
    assert_eq!(frame(&mut body).await.unwrap().unwrap().into_data().unwrap(), "ab");
    assert_eq!((permits.out(), server.in_flight()), (1, 1), "half the body is still to come");
    assert_eq!(frame(&mut body).await.unwrap().unwrap().into_data().unwrap(), "cd");
    assert_eq!(
        (permits.out(), server.in_flight(), server.idle()),
        (0, 0, 1),
        "known with the last byte, not a poll later"
    );
    assert!(frame(&mut body).await.is_none());
}

#[tokio::test]
async fn empty_response_gives_the_permit_back_unpolled() {
    let heads = ["HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"];
    for head in heads {
        let (address, accepted) =
            serve(async move |mut peer| while peer.request().await.is_some() && peer.say(head).await {});
        let (pool, permits) = (pool(&plan(&[address])), Permits::default());
        for _ in 0..3 {
            let response = send(&pool, &permits, get()).await.unwrap();
            assert!(http_body::Body::is_end_stream(response.body()));
            assert_eq!(permits.out(), 0);
        }
        assert_eq!(accepted.load(Ordering::SeqCst), 1);
    }
}

#[tokio::test]
async fn answer_to_head_ends_with_its_head() {
    let (address, accepted) = serve(async |mut peer| {
        while peer.request().await.is_some() {
            peer.say("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").await;
        }
    });
    let (pool, permits) = (pool(&plan(&[address])), Permits::default());
    for _ in 0..3 {
        let mut request = get();
        *request.method_mut() = http::Method::HEAD;
        let response = send(&pool, &permits, request).await.unwrap();
        assert_eq!((permits.out(), &response.headers()["content-length"]), (0, &"5".parse().unwrap()));
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn connection_closed_by_the_upstream_gives_the_permit_back() {
    for said in ["", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab"] {
        let (address, _) = serve(async move |mut peer| {
            peer.request().await;
            peer.say(said).await;
        });
        let (pool, permits) = (pool(&plan(&[address])), Permits::default());
        let failure = fetch(&pool, &permits).await.unwrap_err();
        assert!(matches!(failure, Failure::Broken(_)) && failure.was_sent(), "{failure:?}");
        assert_eq!(permits.out(), 0);
        assert_eq!(pool.upstream().servers().next().unwrap().count(Event::Broken), 1);
    }
}

/// The answer comes long after the caller has given up: the permit comes back with the answer, and the connection is used
/// for the next request.
#[tokio::test]
async fn timed_out_exchange_keeps_its_permit_until_the_late_answer() {
    let answered = Arc::new(AtomicBool::new(false));
    let (said, answer) = (Arc::clone(&answered), Arc::new(Notify::new()));
    let go = Arc::clone(&answer);
    let (address, accepted) = serve(move |mut peer| {
        let (said, go) = (Arc::clone(&said), Arc::clone(&go));
        async move {
            peer.request().await;
            go.notified().await;
            said.store(true, Ordering::SeqCst);
            peer.say(OK).await;
            while peer.request().await.is_some() && peer.say(OK).await {}
        }
    });
    let mut plan = plan(&[address]);
    plan.response_timeout = MOMENT;
    let (pool, permits) = (pool(&plan), Permits::default());
    let start = Instant::now();
    let failure = fetch(&pool, &permits).await.unwrap_err();
    assert!(matches!(failure, Failure::ResponseTimeout), "{failure:?}");
    assert!(start.elapsed() >= MOMENT && start.elapsed() < MOMENT * 3, "{:?}", start.elapsed());
    sleep(MOMENT * 2).await;
    assert_eq!(permits.out(), 1, "the upstream is still working");
    assert!(!answered.load(Ordering::SeqCst));
    answer.notify_one();
    permits.all_back().await;
    assert!(answered.load(Ordering::SeqCst));
    assert_eq!(fetch(&pool, &permits).await.unwrap(), b"ok");
    assert_eq!(accepted.load(Ordering::SeqCst), 1, "the connection survived");
    let server = pool.upstream().servers().next().unwrap();
    assert_eq!((server.count(Event::ResponseTimeouts), server.count(Event::Abandoned)), (1, 0));
}

#[tokio::test]
async fn abandoned_exchange_is_cut_at_the_abandon_timeout() {
    let closed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&closed);
    let (address, _) = serve(move |mut peer| {
        let seen = Arc::clone(&seen);
        async move {
            peer.request().await;
            peer.closed().await;
            seen.store(true, Ordering::SeqCst);
        }
    });
    let mut plan = plan(&[address]);
    plan.abandon_timeout = MOMENT * 3;
    let (pool, permits) = (pool(&plan), Permits::default());
    let start = Instant::now();
    assert!(timeout(MOMENT, fetch(&pool, &permits)).await.is_err(), "the client leaves");
    assert_eq!(permits.out(), 1);
    permits.all_back().await;
    assert!(start.elapsed() >= MOMENT * 3, "{:?}: earlier than the abandon timeout", start.elapsed());
    eventually_closed(&closed).await;
    assert_eq!(pool.upstream().servers().next().unwrap().count(Event::Abandoned), 1);
}

/// The caller gives up while it is itself the one who is awaited: its error ends the exchange, and is not the server's.
#[tokio::test]
async fn upload_that_fails_after_its_caller_has_left_ends_the_exchange() {
    let (address, _) = serve(async |mut peer| peer.closed().await);
    let (pool, permits) = (pool(&plan(&[address])), Permits::default());
    let (feed, upload) = Sent::fed();
    assert!(timeout(MOMENT, send(&pool, &permits, post(upload))).await.is_err());
    assert_eq!(permits.out(), 1);
    feed.send(Err("client left".into())).await.unwrap();
    permits.all_back().await;
    let server = pool.upstream().servers().next().unwrap();
    assert_eq!((server.count(Event::RequestBodies), server.count(Event::Broken)), (1, 0));
}

async fn eventually_closed(closed: &AtomicBool) {
    super::bench::eventually("connection closed", || closed.load(Ordering::SeqCst)).await;
}

#[tokio::test]
async fn caller_who_leaves_after_dispatch_leaves_the_permit_with_the_upstream() {
    let (address, accepted) = serve(async |mut peer| {
        while peer.request().await.is_some() {
            sleep(MOMENT * 2).await;
            peer.say(OK).await;
        }
    });
    let (pool, permits) = (pool(&plan(&[address])), Permits::default());
    assert!(timeout(MOMENT, fetch(&pool, &permits)).await.is_err());
    assert_eq!(permits.out(), 1);
    permits.all_back().await;
    assert_eq!(fetch(&pool, &permits).await.unwrap(), b"ok");
    assert_eq!(accepted.load(Ordering::SeqCst), 1, "the connection was used again");
}

#[tokio::test]
async fn body_dropped_early_is_drained_when_small() {
    let (address, accepted) = serve(async |mut peer| {
        while peer.request().await.is_some() {
            peer.say("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await;
            sleep(MOMENT).await;
            peer.say(&"x".repeat(100_000)).await;
        }
    });
    let (pool, permits) = (pool(&plan(&[address])), Permits::default());
    drop(send(&pool, &permits, get()).await.unwrap());
    assert_eq!(permits.out(), 1, "the upstream is still sending");
    permits.all_back().await;
    assert_eq!(fetch(&pool, &permits).await.unwrap().len(), 100_000);
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn body_dropped_early_closes_the_connection_when_large() {
    let heads = ["content-length: 10000000\r\n\r\n", "transfer-encoding: chunked\r\n\r\n"];
    for head in heads {
        let closed = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&closed);
        let (address, _) = serve(move |mut peer| {
            let seen = Arc::clone(&seen);
            async move {
                peer.request().await;
                peer.say("HTTP/1.1 200 OK\r\n").await;
                peer.say(head).await;
                while peer.say(&format!("400\r\n{}\r\n", "x".repeat(0x400))).await {}
                seen.store(true, Ordering::SeqCst);
            }
        });
        let (pool, permits) = (pool(&plan(&[address])), Permits::default());
        let start = Instant::now();
        drop(send(&pool, &permits, get()).await.unwrap());
        permits.all_back().await;
        assert!(start.elapsed() < Duration::from_secs(4), "by the bound of bytes, not of time");
        eventually_closed(&closed).await;
        let server = pool.upstream().servers().next().unwrap();
        assert_eq!((server.count(Event::Abandoned), server.idle()), (1, 0));
    }
}

#[tokio::test]
async fn caller_who_leaves_before_dispatch_leaves_nothing_behind() {
    // A full backlog: connecting never ends.
    let (address, _listener, _filling) = super::connecting::deaf();
    let (pool, permits) = (pool(&plan(&[address])), Permits::default());
    assert!(timeout(MOMENT, fetch(&pool, &permits)).await.is_err());
    assert_eq!(permits.out(), 0, "nothing was sent: the permit is free at once");
    assert_eq!(pool.upstream().servers().next().unwrap().in_flight(), 0);
}

#[test]
fn end_of_the_runtime_gives_every_permit_back() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let permits = Permits::default();
    let held = runtime.block_on(async {
        let (address, _) = serve(async |mut peer| {
            peer.head().await;
            peer.say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n").await;
            peer.closed().await;
        });
        let pool = pool(&plan(&[address]));
        drop(send(&pool, &permits, get()).await.unwrap());
        let (task_pool, task_permits) = (pool.clone(), permits.clone());
        tokio::spawn(async move { drop(read(send(&task_pool, &task_permits, get()).await.unwrap()).await) });
        let (feed, upload) = Sent::fed();
        let response = send(&pool, &permits, post(upload)).await.unwrap();
        sleep(MOMENT).await;
        assert_eq!(permits.out(), 3, "one draining, one reading, one held");
        (response, feed)
    });
    drop(runtime);
    assert_eq!(permits.out(), 1);
    // Without a runtime there is nobody to drain it.
    drop(held);
    assert_eq!(permits.out(), 0);
}

#[tokio::test]
async fn panic_of_the_caller_gives_the_permit_back() {
    let (address, _) = serve(async |mut peer| while peer.request().await.is_some() && peer.say(OK).await {});
    let (pool, permits) = (pool(&plan(&[address])), Permits::default());
    let (task_pool, task_permits) = (pool.clone(), permits.clone());
    let task = tokio::spawn(async move {
        let _response = send(&task_pool, &task_permits, get()).await.unwrap();
        panic!("on purpose");
    });
    assert!(task.await.unwrap_err().is_panic());
    permits.all_back().await;
    assert_eq!(fetch(&pool, &permits).await.unwrap(), b"ok");
}

/// A thousand callers, each gone at a random instant: while connecting, sent, in the body, done.
#[tokio::test]
async fn no_permit_leaks_over_a_thousand_aborted_exchanges() {
    let working = Arc::new(AtomicUsize::new(0));
    let busy = Arc::clone(&working);
    let (address, _) = serve(move |mut peer| {
        let busy = Arc::clone(&busy);
        async move {
            while peer.request().await.is_some() {
                busy.fetch_add(1, Ordering::SeqCst);
                sleep(Duration::from_millis(fastrand::u64(0..20))).await;
                busy.fetch_sub(1, Ordering::SeqCst);
                let whole = peer.say("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc").await;
                sleep(Duration::from_millis(fastrand::u64(0..10))).await;
                if !whole || !peer.say("def").await {
                    break;
                }
            }
        }
    });
    let mut plan = plan(&[address]);
    plan.response_timeout = Duration::from_millis(15);
    let (pool, permits) = (pool(&plan), Permits::default());
    let mut callers = Vec::new();
    for _ in 0..1000 {
        let (pool, caller_permits) = (pool.clone(), permits.clone());
        let caller = tokio::spawn(async move {
            let patience = Duration::from_micros(fastrand::u64(0..40_000));
            let request = post(Sent::whole("name=a"));
            drop(timeout(patience, async { read(send(&pool, &caller_permits, request).await?).await }).await);
        });
        callers.push(caller);
        if callers.len() % 20 == 0 {
            sleep(Duration::from_millis(2)).await;
            assert!(working.load(Ordering::SeqCst) <= permits.out(), "somebody works without a permit");
        }
    }
    for caller in callers {
        caller.await.unwrap();
    }
    permits.all_back().await;
    let server = pool.upstream().servers().next().unwrap();
    assert_eq!(server.in_flight(), 0);
    assert!(server.count(Event::Requests) > 500, "most were sent");
}
