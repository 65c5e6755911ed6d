//! After `101 Switching Protocols`: bytes both ways until one side is done (WebSocket).
//!
//! **Invariants**: bytes pass only after the upstream agreed; the permit is held until the upstream has closed its side or the
//! tunnel broke, because the upstream is in service that long, and no longer, whatever the client does; a tunnel without a
//! byte in either direction for `idle` is closed.
//! **Cost**: two buffers of 8 KiB and a task each.
//! **Not here**: framing of WebSocket: not our business.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes moved at once in one direction.
const CHUNK: usize = 8 * 1024;

/// How long, once the upstream is done, the client may take to close: a socket that is closed over unread bytes is reset, and
/// a reset destroys what the client has not read yet (RFC 9112 §9.6).
const FAREWELL: Duration = Duration::from_secs(2);

/// Joins the two ends as soon as both have switched, and keeps `guard` until the upstream is done. Runs by itself.
pub fn open<G: Send + 'static>(client: OnUpgrade, upstream: OnUpgrade, idle: Duration, guard: G) {
    // Detached: it ends with either side, or by its own idleness.
    drop(tokio::spawn(async move {
        if let Err(error) = join(client, upstream, idle, guard).await {
            tracing::debug!(%error, "tunnel broke");
        }
    }));
}

async fn join<G>(client: OnUpgrade, upstream: OnUpgrade, idle: Duration, guard: G) -> io::Result<()> {
    let (client, upstream) = tokio::try_join!(client, upstream).map_err(io::Error::other)?;
    let (mut from_client, mut to_client) = tokio::io::split(TokioIo::new(client));
    let (mut from_upstream, mut to_upstream) = tokio::io::split(TokioIo::new(upstream));
    let moved = AtomicBool::new(false);
    let upwards = async {
        copy(&mut from_client, &mut to_upstream, &moved).await?;
        // The upstream may have a last word; it is told that there is nothing more to come.
        std::future::pending().await
    };
    tokio::select! {
        done = copy(&mut from_upstream, &mut to_client, &moved) => done,
        broke = upwards => broke,
        () = silence(&moved, idle) => Err(io::ErrorKind::TimedOut.into()),
    }?;
    drop((from_upstream, to_upstream));
    drop(guard);
    let mut unheard = vec![0; CHUNK];
    let farewell = async {
        while from_client.read(&mut unheard).await? > 0 {}
        Ok(())
    };
    tokio::time::timeout(FAREWELL, farewell).await.unwrap_or(Ok(()))
}

async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, moved: &AtomicBool) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = from.read(&mut chunk).await?;
        let Some(bytes) = chunk.get(..length).filter(|bytes| !bytes.is_empty()) else {
            return to.shutdown().await;
        };
        to.write_all(bytes).await?;
        moved.store(true, Ordering::Relaxed);
    }
}

/// Resolves after a whole `idle` in which nothing moved.
async fn silence(moved: &AtomicBool, idle: Duration) {
    loop {
        tokio::time::sleep(idle).await;
        if !moved.swap(false, Ordering::Relaxed) {
            return;
        }
    }
}
