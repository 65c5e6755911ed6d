//! Tunnels: the permit is the tunnel's from the 101 on.

use std::sync::atomic::Ordering;

use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use super::bench::{MOMENT, Permits, fetch, get, plan, pool, serve};
use crate::upstream::{Exchanged, exchange};

#[tokio::test]
async fn upgraded_connection_carries_bytes_and_keeps_the_permit() {
    let (address, accepted) = serve(async |mut peer| {
        let head = peer.head().await.unwrap();
        if !head.contains("upgrade: echo") {
            peer.say(super::bench::OK).await;
            return;
        }
        peer.say("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nhello").await;
        let mut buffer = [0; 64];
        while let Ok(read @ 1..) = peer.stream.read(&mut buffer).await {
            peer.stream.write_all(&buffer[..read]).await.unwrap();
        }
    });
    let (pool, permits) = (pool(&plan(&[address])), Permits::default());
    let mut request = get();
    request.headers_mut().insert("connection", "upgrade".parse().unwrap());
    request.headers_mut().insert("upgrade", "echo".parse().unwrap());
    let answer = exchange(&pool, request, permits.take()).await.unwrap();
    let Exchanged::Upgraded { response, upgraded, guard } = answer else { panic!("{answer:?}") };
    assert_eq!((response.status().as_u16(), &response.headers()["upgrade"]), (101, &"echo".parse().unwrap()));
    let mut tunnel = TokioIo::new(upgraded.await.unwrap());
    let mut buffer = [0; 5];
    tunnel.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"hello", "bytes that came with the head are not lost");
    tunnel.write_all(b"there").await.unwrap();
    tunnel.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"there");
    sleep(MOMENT).await;
    let server = std::sync::Arc::clone(guard.server());
    assert_eq!((permits.out(), server.in_flight(), server.idle()), (1, 1, 0));
    assert_eq!((server.quiet(), server.busy(), server.lend(9), server.busy()), (1, 1, 1, 0));
    drop((tunnel, guard));
    assert_eq!((permits.out(), server.quiet(), server.lent()), (0, 0, 0));
    assert_eq!(fetch(&pool, &permits).await.unwrap(), b"ok");
    assert_eq!(accepted.load(Ordering::SeqCst), 2, "a tunnel is never pooled");
}

#[tokio::test]
async fn refused_upgrade_is_a_plain_response() {
    let (address, accepted) =
        serve(async |mut peer| while peer.request().await.is_some() && peer.say(super::bench::OK).await {});
    let (pool, permits) = (pool(&plan(&[address])), Permits::default());
    for _ in 0..2 {
        let mut request = get();
        request.headers_mut().insert("connection", "upgrade".parse().unwrap());
        request.headers_mut().insert("upgrade", "echo".parse().unwrap());
        let response = super::bench::send(&pool, &permits, request).await.unwrap();
        assert_eq!(super::bench::read(response).await.unwrap(), b"ok");
    }
    assert_eq!(accepted.load(Ordering::SeqCst), 1);
}
