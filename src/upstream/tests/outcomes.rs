//! What a guard is told, and when.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::bench::{MOMENT, OK, Permits, Sent, fetch, get, plan, pool, post, read, send, serve};
use crate::upstream::Outcome;

#[tokio::test]
async fn answers_are_told_by_their_status_at_their_end() {
    let pushback = |seconds| Outcome::Pushback { retry_after: Some(Duration::from_secs(seconds)) };
    for (head, outcome) in [
        ("200 OK", Outcome::Success),
        ("404 Not Found", Outcome::Success),
        ("500 Oops", Outcome::ServerError),
        ("502 Oops", Outcome::ServerError),
        ("429 Slowly\r\nretry-after: 3", pushback(3)),
        ("503 Full\r\nretry-after: 31536000", pushback(60)),
    ] {
        let (address, _) = serve(move |mut peer| async move {
            peer.request().await;
            peer.say(&format!("HTTP/1.1 {head}\r\ncontent-length: 4\r\n\r\n")).await;
            sleep(MOMENT / 4).await;
            peer.say("body").await;
        });
        let (pool, permits) = (pool(&plan(&[address])), Permits::default());
        let response = send(&pool, &permits, get()).await.unwrap();
        assert!(permits.outcomes().is_empty(), "not before the end");
        read(response).await.unwrap();
        assert_eq!(permits.outcomes(), [outcome], "{head}");
    }
}

#[tokio::test]
async fn a_timeout_is_told_at_once_and_the_permit_comes_later() {
    let (address, _) = serve(async |mut peer| {
        peer.request().await;
        sleep(MOMENT * 4).await;
        peer.say(OK).await;
    });
    let mut plan = plan(&[address]);
    plan.response_timeout = MOMENT;
    let (pool, permits) = (pool(&plan), Permits::default());
    fetch(&pool, &permits).await.unwrap_err();
    assert_eq!((permits.outcomes(), permits.out()), (vec![Outcome::Timeout], 1));
    permits.all_back().await;
    assert!(permits.outcomes().is_empty(), "once");
}

#[tokio::test]
async fn what_a_caller_leaves_is_told_by_its_end() {
    for (answers, outcome) in [(true, Outcome::Success), (false, Outcome::Abandoned)] {
        let (address, _) = serve(move |mut peer| async move {
            peer.request().await;
            sleep(MOMENT * 2).await;
            if answers {
                peer.say(OK).await;
            }
            peer.closed().await;
        });
        let mut plan = plan(&[address]);
        plan.abandon_timeout = MOMENT * 3;
        let (pool, permits) = (pool(&plan), Permits::default());
        assert!(timeout(MOMENT, fetch(&pool, &permits)).await.is_err());
        assert!(permits.outcomes().is_empty());
        permits.all_back().await;
        assert_eq!(permits.outcomes(), [outcome]);
    }
}

/// Whoever leaves in the middle of a long refusal takes nothing from its meaning.
#[tokio::test]
async fn a_pushback_that_nobody_reads_to_its_end_is_one() {
    let (address, _) = serve(async |mut peer| {
        peer.request().await;
        peer.say("HTTP/1.1 429 Slowly\r\nretry-after: 3\r\ncontent-length: 10000000\r\n\r\n").await;
        peer.closed().await;
    });
    let (pool, permits) = (pool(&plan(&[address])), Permits::default());
    drop(send(&pool, &permits, get()).await.unwrap());
    permits.all_back().await;
    assert_eq!(permits.outcomes(), [Outcome::Pushback { retry_after: Some(Duration::from_secs(3)) }]);
}

#[tokio::test]
async fn a_broken_answer_is_broken_and_a_broken_question_says_nothing() {
    let (address, _) = serve(async |mut peer| {
        peer.head().await;
        peer.say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab").await;
    });
    let (broken, permits) = (pool(&plan(&[address])), Permits::default());
    fetch(&broken, &permits).await.unwrap_err();
    assert_eq!(permits.outcomes(), [Outcome::Broken]);

    let (address, _) = serve(async |mut peer| peer.closed().await);
    let pool = pool(&plan(&[address]));
    let (feed, upload) = Sent::fed();
    feed.send(Err("the client's own".into())).await.unwrap();
    send(&pool, &permits, post(upload)).await.unwrap_err();
    assert_eq!(permits.outcomes(), [Outcome::Abandoned]);
    assert_eq!(pool.upstream().servers().next().unwrap().in_flight(), 0);
}
