//! After `101 Switching Protocols`: bytes both ways until one side is done (WebSocket).
//!
//! **Invariants**: bytes pass only after the upstream agreed; the permit is held until the tunnel closes, because the upstream
//! is in service that long; a tunnel without a byte in either direction for `idle` is closed.
//! **Cost**: two buffers of 8 KiB and a task each.
//! **Not here**: framing of WebSocket: not our business.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes moved at once in one direction.
const CHUNK: usize = 8 * 1024;

/// Joins the two ends as soon as both have switched, and keeps `guard` until they part. Runs by itself.
pub fn open<G: Send + 'static>(client: OnUpgrade, upstream: OnUpgrade, idle: Duration, guard: G) {
    // Detached: it ends with either side, or by its own idleness.
    drop(tokio::spawn(async move {
        if let Err(error) = join(client, upstream, idle).await {
            tracing::debug!(%error, "tunnel broke");
        }
        drop(guard);
    }));
}

async fn join(client: OnUpgrade, upstream: OnUpgrade, idle: Duration) -> io::Result<()> {
    let (client, upstream) = tokio::try_join!(client, upstream).map_err(io::Error::other)?;
    let (from_client, to_client) = tokio::io::split(TokioIo::new(client));
    let (from_upstream, to_upstream) = tokio::io::split(TokioIo::new(upstream));
    let moved = Arc::new(AtomicBool::new(false));
    tokio::select! {
        both = async { tokio::try_join!(
            copy(from_client, to_upstream, &moved),
            copy(from_upstream, to_client, &moved),
        ) } => both.map(|_| ()),
        () = silence(&moved, idle) => Err(io::ErrorKind::TimedOut.into()),
    }
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
