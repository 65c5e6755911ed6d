//! An HTTP/1 connection at rest between requests: its stream and its socket, and nobody who reads.
//!
//! hyper keeps two buffers of 8 KiB and a parser for each connection, whatever it does. Most of a crowd that stays connected does
//! nothing most of the time: after a moment (`lifetime` says when) its connections are taken apart, and put together again when
//! the socket has something to read.
//!
//! **Invariants**: whoever reads a stream after its rest sees every byte once, in order, also those that hyper had read ahead; the peer
//! sees neither the end of what was taken apart nor a difference in what comes after.
//! **Cost**: at rest no buffer, no timer of its own; the waking is an allocation of hyper's connection and of its buffers.
//! **Not here**: what TLS keeps for itself (4 KiB of rustls to read into, and its keys).

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::activity::Activity;
use super::lifetime::{Form, Protocol};

/// A stream that outlives who uses it.
#[derive(Debug)]
pub(super) struct Kept<S> {
    stream: S,
    /// What was read ahead of its last user.
    ahead: Bytes,
    activity: Arc<Activity>,
}

impl<S> Kept<S> {
    pub(super) const fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, ahead: Bytes::new(), activity }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Kept<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, buf);
        }
        let taken = this.ahead.len().min(buf.remaining());
        buf.put_slice(this.ahead.get(..taken).unwrap_or_default());
        this.ahead.advance(taken);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Kept<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.activity.is_parting() {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}

/// A connection at rest. Ends when there is something to read.
#[derive(Debug)]
pub(super) struct Asleep<'a, S> {
    /// To be read on.
    pub(super) stream: Box<Kept<S>>,
    socket: &'a TcpStream,
    closing: bool,
}

impl<'a, S> Asleep<'a, S> {
    /// `stream` over `socket`, of which everything but `ahead` has been used.
    pub(super) fn new(mut stream: Box<Kept<S>>, ahead: &[u8], socket: &'a TcpStream) -> Self {
        if !ahead.is_empty() {
            // The head of the next request has begun, in the same read as the end of the last.
            stream.activity.note_read();
            // A copy: it stands in a buffer that hyper has just let go of.
            stream.ahead = Bytes::copy_from_slice(ahead);
        }
        Self { stream, socket, closing: false }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Future for Asleep<'_, S> {
    type Output = hyper::Result<()>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<hyper::Result<()>> {
        let this = self.get_mut();
        if this.closing {
            // A peer that was faster leaves nothing to shut.
            let _closed = ready!(Pin::new(&mut this.stream).poll_shutdown(cx)).is_err();
            return Poll::Ready(Ok(()));
        }
        if !this.stream.ahead.is_empty() {
            return Poll::Ready(Ok(()));
        }
        // What is wrong with the socket is for its reader to find.
        this.socket.poll_read_ready(cx).map(|_ready| Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Protocol for Asleep<'_, S> {
    const FORM: Form = Form::Asleep;

    fn close_gracefully(self: Pin<&mut Self>) {
        self.get_mut().closing = true;
    }
}
