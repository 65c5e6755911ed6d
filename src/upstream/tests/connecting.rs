//! From names to connections: failures, timeouts, the choice of the server, TLS.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use tokio::time::{Instant, timeout};

use super::bench::{MOMENT, OK, Permits, bind, fetch, field, get, plan, pool, read, send, serve};
use crate::upstream::{Event, Failure};

/// A listener whose backlog is full: connecting to it hangs. The other values keep it so.
pub(super) fn deaf() -> (SocketAddr, socket2::Socket, Vec<std::net::TcpStream>) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let filling = (0..4).map_while(|_| std::net::TcpStream::connect_timeout(&address, MOMENT).ok()).collect();
    (address, socket, filling)
}

/// An address where nobody listens.
fn nobody() -> SocketAddr {
    bind().0
}

#[tokio::test]
async fn unreachable_upstream_is_a_failure_before_anything_is_sent() {
    let (pool, permits) = (pool(&plan(&[nobody(), nobody(), nobody()])), Permits::default());
    let failure = fetch(&pool, &permits).await.unwrap_err();
    assert!(matches!(failure, Failure::Unreachable(_)) && !failure.was_sent(), "{failure:?}");
    assert_eq!(permits.out(), 0);
    for server in pool.upstream().servers() {
        assert_eq!((server.count(Event::Unreachable), server.in_flight()), (1, 0), "each is tried exactly once");
    }
}

#[tokio::test]
async fn connecting_is_bounded_by_its_timeout() {
    let (address, _listener, _filling) = deaf();
    let mut plan = plan(&[address]);
    plan.connect_timeout = MOMENT;
    let (pool, permits) = (pool(&plan), Permits::default());
    let start = Instant::now();
    let failure = fetch(&pool, &permits).await.unwrap_err();
    assert!(matches!(failure, Failure::ConnectTimeout) && !failure.was_sent(), "{failure:?}");
    assert!(start.elapsed() < MOMENT * 5);
    assert_eq!(permits.out(), 0);
    assert_eq!(pool.upstream().servers().next().unwrap().count(Event::ConnectTimeouts), 1);
}

#[tokio::test]
async fn dead_server_costs_a_dial_and_not_the_request() {
    let (address, _) = serve(async |mut peer| while peer.request().await.is_some() && peer.say(OK).await {});
    let (pool, permits) = (pool(&plan(&[nobody(), address, nobody()])), Permits::default());
    for _ in 0..20 {
        assert_eq!(fetch(&pool, &permits).await.unwrap(), b"ok");
    }
}

#[tokio::test]
async fn name_is_resolved() {
    let (address, _) = serve(async |mut peer| while peer.request().await.is_some() && peer.say(OK).await {});
    let mut plan = plan(&[address]);
    plan.servers[0].authority = format!("localhost:{}", address.port()).parse().unwrap();
    let (first_pool, permits) = (pool(&plan), Permits::default());
    assert_eq!(fetch(&first_pool, &permits).await.unwrap(), b"ok");
    plan.servers[0].authority = "no-such-name.invalid:80".parse().unwrap();
    let failure = fetch(&pool(&plan), &permits).await.unwrap_err();
    assert!(matches!(failure, Failure::Unreachable(_) | Failure::ConnectTimeout), "{failure:?}");
}

#[tokio::test]
async fn request_leaves_in_origin_form_with_the_host_of_its_caller() {
    let (address, _) = serve(async |mut peer| {
        while let Some((head, _)) = peer.request().await {
            peer.say(&format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{head}", head.len())).await;
        }
    });
    let (pool, permits) = (pool(&plan(&[address])), Permits::default());
    let head = String::from_utf8(fetch(&pool, &permits).await.unwrap()).unwrap();
    assert!(head.starts_with("get /path?query http/1.1\r\n"), "{head}");
    assert_eq!(field(&head, "host").unwrap(), "service.example");

    let mut request = get();
    request.headers_mut().remove("host");
    *request.uri_mut() = "http://other.example/x".parse().unwrap();
    let head = String::from_utf8(read(send(&pool, &permits, request).await.unwrap()).await.unwrap()).unwrap();
    assert!(head.starts_with("get /x http/1.1\r\n"), "{head}");
    assert_eq!(field(&head, "host").unwrap(), "other.example");

    let mut request = get();
    request.headers_mut().remove("host");
    *request.version_mut() = http::Version::HTTP_10;
    let head = String::from_utf8(read(send(&pool, &permits, request).await.unwrap()).await.unwrap()).unwrap();
    assert!(head.starts_with("get /path?query http/1.1\r\n"), "{head}");
    assert_eq!(field(&head, "host").unwrap(), address.to_string());
}

/// Two choices: the server that never answers fills up and is avoided from then on.
#[tokio::test]
async fn busy_server_is_avoided() {
    let (stuck, stuck_count) = serve(async |mut peer| {
        peer.request().await;
        peer.closed().await;
    });
    let (quick, _) = serve(async |mut peer| while peer.request().await.is_some() && peer.say(OK).await {});
    let (pool, permits) = (pool(&plan(&[stuck, quick])), Permits::default());
    let mut stuck_callers = 0;
    for _ in 0..50 {
        stuck_callers += usize::from(timeout(MOMENT, fetch(&pool, &permits)).await.is_err());
    }
    assert!(stuck_callers <= 1, "once it has one in flight, the other is always less busy");
    assert_eq!(stuck_count.load(Ordering::SeqCst), stuck_callers);
    assert_eq!(pool.upstream().servers().next().unwrap().in_flight() as usize, stuck_callers);
    assert_eq!(permits.out(), stuck_callers);
}

#[tokio::test]
async fn both_of_two_idle_servers_get_their_share() {
    let (first, first_count) = serve(async |mut peer| while peer.request().await.is_some() && peer.say(OK).await {});
    let (second, second_count) = serve(async |mut peer| while peer.request().await.is_some() && peer.say(OK).await {});
    let (pool, permits) = (pool(&plan(&[first, second])), Permits::default());
    for _ in 0..200 {
        fetch(&pool, &permits).await.unwrap();
    }
    let counts: Vec<_> = pool.upstream().servers().map(|server| server.count(Event::Requests)).collect();
    assert!(counts.iter().all(|&count| count > 50), "{counts:?}");
    assert_eq!(first_count.load(Ordering::SeqCst) + second_count.load(Ordering::SeqCst), 2);
}
