//! Out of slots, out of descriptors.

use super::*;

#[tokio::test]
async fn beyond_max_connections_clients_wait_in_the_backlog_and_are_served_when_a_slot_is_free() {
    let server = Server::with(limits(), 2, false);
    let mut first = server.connect().await;
    let mut second = server.connect().await;
    exchange(&mut first).await;
    exchange(&mut second).await;
    let mut third = server.connect().await;
    third.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut byte = [0; 1];
    assert!(timeout(Duration::from_millis(300), third.peek(&mut byte)).await.is_err(), "served beyond the limit");
    assert_eq!((server.connections.accepted(), server.open()), (2, 2));
    drop(first);
    read_until(&mut third, "hello").await;
    assert_eq!((server.connections.accepted(), server.open()), (3, 2));
}

#[tokio::test]
async fn a_client_that_left_while_it_waited_in_the_backlog_harms_nobody() {
    let server = Server::with(limits(), 1, false);
    let mut first = server.connect().await;
    exchange(&mut first).await;
    for _ in 0..20 {
        let left = std::net::TcpStream::connect(server.address).unwrap();
        socket2::SockRef::from(&left).set_linger(Some(Duration::ZERO)).unwrap();
    }
    let mut last = server.connect().await;
    drop(first);
    exchange(&mut last).await;
}
