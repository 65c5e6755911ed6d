//! Servers that do not speak HTTP, or not one that two recipients would read alike.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, sleep};

use super::bench::{MOMENT, OK, Permits, Sent, fetch, plan, pool, post, send, serve};
use crate::upstream::{BoxError, Event, Failure, Fault};

#[tokio::test]
async fn bad_answer_is_a_failure_and_its_connection_is_never_used_again() {
    let big = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "x".repeat(70_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", "x: y\r\n".repeat(101));
    let answers = [
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551616\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, gzip\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: xchunked\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nok\r\n",
        "HTTP/1.1 200 OK\r\na : b\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\na: b\r\n c\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
        &big,
        &many,
    ];
    for answer in answers {
        let said = answer.to_owned();
        let (address, _) = serve(move |mut peer| {
            let said = said.clone();
            async move {
                peer.request().await;
                peer.say(&said).await;
                peer.closed().await;
            }
        });
        let (pool, permits) = (pool(&plan(&[address])), Permits::default());
        let start: String = answer.chars().take(90).collect();
        let failure = fetch(&pool, &permits).await.expect_err(&start);
        assert!(matches!(failure, Failure::Broken(_)) && failure.was_sent(), "{start}: {failure:?}");
        let server = pool.upstream().servers().next().unwrap();
        assert_eq!((permits.out(), server.idle(), server.count(Event::Broken)), (0, 0, 1), "{start}");
    }
}

#[tokio::test]
async fn ambiguous_framing_is_told_by_its_name() {
    let (address, _) = serve(async |mut peer| {
        peer.request().await;
        peer.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n").await;
        peer.closed().await;
    });
    let failure = fetch(&pool(&plan(&[address])), &Permits::default()).await.unwrap_err();
    assert!(matches!(failure, Failure::Broken(Fault::Framing)), "{failure:?}");
}

#[tokio::test]
async fn few_interim_responses_pass_and_a_flood_ends() {
    let (address, _) = serve(async |mut peer| {
        while peer.request().await.is_some() {
            peer.say(&"HTTP/1.1 102 Processing\r\n\r\n".repeat(20)).await;
            peer.say(OK).await;
        }
    });
    let permits = Permits::default();
    let polite = pool(&plan(&[address]));
    for _ in 0..3 {
        assert_eq!(fetch(&polite, &permits).await.unwrap(), b"ok");
    }
    let (address, _) = serve(async |mut peer| {
        peer.request().await;
        while peer.say("HTTP/1.1 102 Processing\r\n\r\n").await {}
    });
    let start = Instant::now();
    let failure = fetch(&pool(&plan(&[address])), &permits).await.unwrap_err();
    assert!(matches!(failure, Failure::Broken(_)), "{failure:?}");
    assert!(start.elapsed() < Duration::from_secs(4), "by the byte budget, not by the response timeout");
    assert_eq!(permits.out(), 0);
}

#[tokio::test]
async fn callers_own_error_comes_back_to_the_caller() {
    #[derive(Debug, PartialEq, thiserror::Error)]
    #[error("too large")]
    struct TooLarge;

    let (address, _) = serve(async |mut peer| peer.closed().await);
    let (pool, permits) = (pool(&plan(&[address])), Permits::default());
    let (feed, upload) = Sent::fed();
    tokio::spawn(async move {
        feed.send(Ok(Bytes::from_static(b"part"))).await.unwrap();
        sleep(MOMENT / 4).await;
        feed.send(Err(BoxError::from(TooLarge))).await.unwrap();
    });
    match send(&pool, &permits, post(upload)).await {
        Err(Failure::RequestBody(error)) => assert_eq!(error.downcast_ref(), Some(&TooLarge)),
        other => panic!("{other:?}"),
    }
    let server = pool.upstream().servers().next().unwrap();
    assert_eq!((permits.out(), server.idle()), (0, 0));
    assert_eq!((server.count(Event::RequestBodies), server.count(Event::Broken)), (1, 0));
}
