//! A reader who takes his time does not keep the service: what fits is read ahead of him, and the permit comes back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body::Body as _;
use tokio::time::{sleep, timeout};

use super::bench::{MOMENT, Permits, eventually, frame, get, plan, read, send, serve};
use crate::clock::Clock;
use crate::upstream::{Event, Failure, Outcome, Pool, ReadAhead, Upstream};

/// The most that is read ahead, and more.
const FITS: usize = 64 * 1024;
const LARGE: usize = 1024 * 1024;

/// A response of `length` bytes in two parts, of a length that is told or not.
fn parts(length: usize, is_told: bool) -> [String; 2] {
    let (head, tail) = ("x".repeat(10), "y".repeat(length - 10));
    if is_told {
        [format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{head}"), tail]
    } else {
        let (first, rest) = (head.len(), tail.len());
        [
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{first:x}\r\n{head}\r\n"),
            format!("{rest:x}\r\n{tail}\r\n0\r\nsum: 1\r\n\r\n"),
        ]
    }
}

/// A service that sends what fits in two parts, a moment apart.
fn serve_in_parts(is_told: bool) -> (SocketAddr, Arc<AtomicUsize>) {
    serve(move |mut peer| async move {
        while peer.request().await.is_some() {
            let [head, tail] = parts(FITS, is_told);
            peer.say(&head).await;
            sleep(MOMENT).await;
            peer.say(&tail).await;
        }
    })
}

#[tokio::test]
async fn a_response_that_fits_gives_the_permit_back_unread() {
    for is_told in [true, false] {
        let (address, accepted) = serve_in_parts(is_told);
        let all = Arc::new(ReadAhead::default());
        let pool = Pool::new(Upstream::new(&plan(&[address]), 1, &all).unwrap(), Clock::machine());
        let permits = Permits::default();
        for _ in 0..2 {
            let response = send(&pool, &permits, get()).await.unwrap();
            assert_eq!(permits.out(), 1, "the upstream is still sending");
            permits.all_back().await;
            assert_eq!(permits.outcomes(), [Outcome::Success]);
            assert_eq!(all.bytes(), FITS);
            assert!(!response.body().is_end_stream());
            let mut body = response.into_body();
            let mut all_of_it = Vec::new();
            let mut trailers = None;
            while let Some(frame) = frame(&mut body).await {
                match frame.unwrap().into_data() {
                    Ok(data) => all_of_it.extend_from_slice(&data),
                    Err(frame) => trailers = frame.into_trailers().ok(),
                }
            }
            let expected = "x".repeat(10) + &"y".repeat(FITS - 10);
            assert!(all_of_it == expected.as_bytes(), "in order and once: {} bytes", all_of_it.len());
            assert_eq!(trailers.is_some(), !is_told);
            assert_eq!((all.bytes(), body.is_end_stream()), (0, true));
        }
        assert_eq!(accepted.load(Ordering::SeqCst), 1, "the connection was used again");
    }
}

#[tokio::test]
async fn a_larger_response_keeps_the_permit_until_its_last_byte() {
    for is_told in [true, false] {
        let (address, _) = serve(move |mut peer| async move {
            peer.request().await;
            let [head, tail] = parts(LARGE, is_told);
            peer.say(&head).await;
            peer.say(&tail).await;
            peer.closed().await;
        });
        let all = Arc::new(ReadAhead::default());
        let pool = Pool::new(Upstream::new(&plan(&[address]), 1, &all).unwrap(), Clock::machine());
        let permits = Permits::default();
        let mut body = send(&pool, &permits, get()).await.unwrap().into_body();
        sleep(MOMENT * 2).await;
        assert_eq!(permits.out(), 1);
        assert!(all.bytes() <= 2 * FITS, "{} bytes read ahead", all.bytes());
        let mut taken = 0;
        while permits.out() == 1 {
            taken += frame(&mut body).await.unwrap().unwrap().into_data().unwrap().len();
            // Slower than the upstream.
            sleep(MOMENT / 20).await;
        }
        assert!((LARGE - 2 * FITS..LARGE).contains(&taken), "{taken} bytes taken when the upstream was done");
        while let Some(frame) = frame(&mut body).await {
            taken += frame.unwrap().into_data().map_or(0, |data| data.len());
        }
        assert_eq!((taken, all.bytes()), (LARGE, 0));
    }
}

#[tokio::test]
async fn a_break_is_seen_after_the_bytes_that_came() {
    for is_told in [true, false] {
        let (address, _) = serve(move |mut peer| async move {
            peer.request().await;
            let [head, mut tail] = parts(FITS / 2, is_told);
            tail.truncate(100);
            peer.say(&head).await;
            sleep(MOMENT / 2).await;
            peer.say(&tail).await;
        });
        let pool = Pool::new(Upstream::new(&plan(&[address]), 1, &Arc::default()).unwrap(), Clock::machine());
        let permits = Permits::default();
        let response = send(&pool, &permits, get()).await.unwrap();
        permits.all_back().await;
        assert_eq!(permits.outcomes(), [Outcome::Broken], "told once, and at once");
        let mut body = response.into_body();
        assert!(!body.is_end_stream() && body.size_hint().exact().is_none(), "this is not all of it");
        let mut taken = 0;
        let failure = loop {
            match frame(&mut body).await.expect("not an end") {
                Ok(frame) => taken += frame.into_data().unwrap().len(),
                Err(failure) => break failure,
            }
        };
        assert!(matches!(failure, Failure::Broken(_)), "{failure:?}");
        assert!(taken > 10, "{taken} bytes before the break");
        assert!(frame(&mut body).await.is_none());
        assert_eq!(pool.upstream().servers().next().unwrap().count(Event::Broken), 1);
    }
}

/// The upstream is blamed from its own last byte, and only by somebody who waits.
#[tokio::test]
async fn silence_counts_from_the_last_byte_and_only_for_who_waits() {
    let (address, _) = serve(async |mut peer| {
        peer.request().await;
        peer.say("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nab").await;
        peer.closed().await;
    });
    let mut plan = plan(&[address]);
    plan.response_timeout = MOMENT;
    let pool = Pool::new(Upstream::new(&plan, 1, &Arc::default()).unwrap(), Clock::machine());
    let permits = Permits::default();
    let mut body = send(&pool, &permits, get()).await.unwrap().into_body();
    sleep(MOMENT * 2).await;
    assert!(permits.outcomes().is_empty(), "nobody waits");
    assert_eq!(frame(&mut body).await.unwrap().unwrap().into_data().unwrap(), "ab");
    let failure = timeout(MOMENT / 2, frame(&mut body)).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(failure, Failure::ResponseTimeout), "{failure:?}");
    assert_eq!((permits.outcomes(), permits.out()), (vec![Outcome::Timeout], 1));
}

#[tokio::test]
async fn a_reader_who_leaves_leaves_no_bytes_behind() {
    for is_complete in [true, false] {
        let (address, accepted) = serve_in_parts(true);
        let all = Arc::new(ReadAhead::default());
        let pool = Pool::new(Upstream::new(&plan(&[address]), 1, &all).unwrap(), Clock::machine());
        let permits = Permits::default();
        let response = send(&pool, &permits, get()).await.unwrap();
        if is_complete {
            permits.all_back().await;
        }
        drop(response);
        assert_eq!(permits.out(), usize::from(!is_complete));
        permits.all_back().await;
        eventually("nothing is held", || all.bytes() == 0).await;
        assert_eq!(permits.outcomes(), [Outcome::Success]);
        assert_eq!(read(send(&pool, &permits, get()).await.unwrap()).await.unwrap().len(), FITS);
        assert_eq!(accepted.load(Ordering::SeqCst), 1);
    }
}
