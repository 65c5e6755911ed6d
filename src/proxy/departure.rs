//! Seeing that a client has left.
//!
//! hyper notices when it reads; while a request body is unread it does not, and pipelined bytes hide it too. So a waiting
//! HTTP/1.1 request whose body stays unread watches the socket by itself: a duplicate of the descriptor, registered for
//! its own readiness, so that clearing it never takes a wake-up away from hyper.
//!
//! **Invariants**: reads nothing from the socket; a client that closed only its sending side counts as gone, as it does for
//! hyper (`half_close` is off).
//! **Cost**: one descriptor and three system calls while watching; one for [`has_left`].
//! **Not here**: HTTP/2, whose streams are reset one by one and noticed by hyper.

use std::future::{Future, pending};
use std::io;
use std::os::fd::AsFd;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use rustix::net::{RecvFlags, recv};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Resolves when the client has closed or reset the connection. Out of descriptors it never resolves: the wait is bounded
/// otherwise.
pub async fn departed(socket: &TcpStream) {
    let Ok(watch) = watch(socket) else { return pending().await };
    loop {
        let Ok(ready) = watch.ready(Interest::READABLE).await else { return };
        if ready.is_read_closed() {
            return;
        }
        // Bytes of the body: not ours to read, and edge-triggered, so the next event is news again.
        watch.try_io(Interest::READABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into())).ok();
    }
}

/// Whether the client has left, as far as can be seen without reading what it sent.
#[must_use]
pub fn has_left(socket: &TcpStream) -> bool {
    // What it pipelined stands before the end in the queue of the socket, and hides it from whoever peeks.
    let ready = pin!(socket.ready(Interest::READABLE)).poll(&mut Context::from_waker(Waker::noop()));
    if matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed()) {
        return true;
    }
    match recv(socket, &mut [0_u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((_, 0)) => true,
        Ok(_) => false,
        Err(error) => error != rustix::io::Errno::AGAIN && error != rustix::io::Errno::INTR,
    }
}

fn watch(socket: &TcpStream) -> io::Result<TcpStream> {
    TcpStream::from_std(socket.as_fd().try_clone_to_owned()?.into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::timeout;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        (client, TcpStream::from_std(server).unwrap())
    }

    const SOON: Duration = Duration::from_secs(5);
    const A_WHILE: Duration = Duration::from_millis(150);

    #[tokio::test]
    async fn unread_bytes_do_not_hide_the_departure() {
        let (mut client, server) = pair().await;
        client.write_all(b"a body nobody reads").await.unwrap();
        assert!(timeout(A_WHILE, departed(&server)).await.is_err(), "still there");
        assert!(!has_left(&server));
        client.write_all(b"more of it").await.unwrap();
        let (gone, ()) = tokio::join!(timeout(SOON, departed(&server)), async {
            tokio::time::sleep(A_WHILE).await;
            drop(client);
        });
        gone.unwrap();
    }

    #[tokio::test]
    async fn watching_takes_no_wakeup_from_the_reader() {
        let (mut client, mut server) = pair().await;
        client.write_all(b"first").await.unwrap();
        assert!(timeout(A_WHILE, departed(&server)).await.is_err());
        let mut bytes = [0; 5];
        timeout(SOON, server.read_exact(&mut bytes)).await.unwrap().unwrap();
        assert_eq!(&bytes, b"first");
    }

    #[tokio::test]
    async fn a_look_sees_past_unread_bytes() {
        let (mut client, server) = pair().await;
        client.write_all(b"the next request").await.unwrap();
        assert!(timeout(A_WHILE, departed(&server)).await.is_err());
        assert!(!has_left(&server));
        drop(client);
        timeout(SOON, departed(&server)).await.unwrap();
        assert!(has_left(&server));
    }

    #[tokio::test]
    async fn a_look_sees_a_quiet_departure() {
        let (client, server) = pair().await;
        assert!(!has_left(&server));
        drop(client);
        timeout(SOON, departed(&server)).await.unwrap();
        assert!(has_left(&server));
    }
}
