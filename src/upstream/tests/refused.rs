//! HTTP/2 servers that say they have not processed a request: it was as good as not sent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncWriteExt;

use super::bench::{Permits, Sent, TestPool, count, plan, pool, post, read, send, serve};
use crate::config::plan::Protocol;
use crate::upstream::{DialError, Event, Failure, Outcome};

/// Frames as RFC 9113 §6 has them: length, type, flags, stream, payload.
const SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";
const SETTINGS_ACK: &[u8] = b"\0\0\0\x04\x01\0\0\0\0";
/// HEADERS on stream 1 with `:status: 200`, the end of head and stream.
const OK: &[u8] = b"\0\0\x01\x01\x05\0\0\0\x01\x88";
const RST_REFUSED: &[u8] = b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x07";
const RST_INTERNAL: &[u8] = b"\0\0\x04\x03\0\0\0\0\x01\0\0\0\x02";
/// GOAWAY without error, last stream 0: nothing was processed.
const GOAWAY_BEFORE: &[u8] = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\0";
/// GOAWAY without error, last stream 1: the request may have been processed.
const GOAWAY_AFTER: &[u8] = b"\0\0\x08\x07\0\0\0\0\0\0\0\0\x01\0\0\0\0";

/// Serves one request a connection, the first with `first` and the end of the connection, later ones well.
fn server(first: &'static [u8]) -> (SocketAddr, Arc<AtomicUsize>) {
    let connections = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&connections);
    let (address, _) = serve(move |mut peer| {
        let is_first = seen.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            peer.stream.write_all(SETTINGS).await.unwrap();
            let mut received = Vec::new();
            while !received.windows(6).any(|window| window == b"name=a") {
                if peer.more().await.is_none() {
                    return;
                }
                received.extend(peer.take_unread());
            }
            peer.stream.write_all(SETTINGS_ACK).await.unwrap();
            peer.stream.write_all(if is_first { first } else { OK }).await.unwrap();
            if !is_first {
                peer.closed().await;
            }
        }
    });
    (address, connections)
}

fn http2_pool(servers: &[SocketAddr]) -> TestPool {
    let mut plan = plan(servers);
    plan.protocol = Protocol::Http2;
    pool(&plan)
}

#[tokio::test]
async fn unprocessed_requests_are_sent_again_whatever_they_are() {
    for first in [RST_REFUSED, GOAWAY_BEFORE] {
        let (address, connections) = server(first);
        let (pool, permits) = (http2_pool(&[address]), Permits::default());
        // The first try is on a new connection, and so the last at this server.
        let failure = send(&pool, &permits, post(Sent::whole("name=a"))).await.unwrap_err();
        assert!(matches!(failure, Failure::Unreachable(DialError::Refused)), "{failure:?}");
        assert_eq!(permits.outcomes(), [Outcome::Unreachable]);
        let response = send(&pool, &permits, post(Sent::whole("name=a"))).await.unwrap();
        assert_eq!(response.status(), 200);
        read(response).await.unwrap();
        assert_eq!((connections.load(Ordering::SeqCst), count(&pool, Event::Refused)), (2, 1));
    }
}

#[tokio::test]
async fn an_unprocessed_request_goes_to_the_next_server_with_its_body() {
    for first in [RST_REFUSED, GOAWAY_BEFORE] {
        let ((refusing, refused), (well, _)) = (server(first), server(OK));
        let mut met = 0;
        for _ in 0..20 {
            let (pool, permits) = (http2_pool(&[refusing, well]), Permits::default());
            let response = send(&pool, &permits, post(Sent::whole("name=a"))).await.unwrap();
            assert_eq!(response.status(), 200);
            read(response).await.unwrap();
            assert_eq!(permits.outcomes(), [Outcome::Success]);
            met += count(&pool, Event::Refused);
            if met > 0 {
                break;
            }
        }
        assert_eq!((met, refused.load(Ordering::SeqCst)), (1, 1));
    }
}

#[tokio::test]
async fn requests_that_may_have_been_processed_are_not() {
    for first in [RST_INTERNAL, GOAWAY_AFTER] {
        let (address, connections) = server(first);
        let (pool, permits) = (http2_pool(&[address]), Permits::default());
        let failure = send(&pool, &permits, post(Sent::whole("name=a"))).await.unwrap_err();
        assert!(matches!(failure, Failure::Broken(_)), "{failure:?}");
        assert_eq!((connections.load(Ordering::SeqCst), permits.outcomes()), (1, vec![Outcome::Broken]));
    }
}
