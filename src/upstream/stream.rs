//! The socket under a connection: TCP or TLS, with a budget for what may come before a response head.
//!
//! hyper skips 1xx responses without counting them; the budget is what bounds a flood of them. It is set when a
//! request is sent and lifted when its head has come.
//!
//! **Invariants**: with a budget set, at most that many bytes are read, then the connection fails.
//! **Cost**: one uncontended atomic load a read.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::gather::{GATHERED, gathered};

/// Bytes an HTTP/1.1 server may send up to the end of a response head, interim responses (1xx) included; four heads of
/// the largest size, since what is read at once may contain the start of the body too.
const HEAD_BUDGET: u32 = 4 * 64 * 1024;
/// No budget: between head and next request.
const UNLIMITED: u32 = u32::MAX;

/// The handle by which the sender of a request sets and lifts the budget.
#[derive(Clone, Debug)]
pub(super) struct HeadBudget(Arc<AtomicU32>);

impl HeadBudget {
    pub(super) fn unlimited() -> Self {
        Self(Arc::new(AtomicU32::new(UNLIMITED)))
    }

    pub(super) fn set(&self) {
        self.0.store(HEAD_BUDGET, Ordering::Release);
    }

    pub(super) fn lift(&self) {
        self.0.store(UNLIMITED, Ordering::Release);
    }

    fn spend(&self, read: usize) -> io::Result<()> {
        let budget = self.0.load(Ordering::Acquire);
        if budget == UNLIMITED {
            return Ok(());
        }
        let left = u32::try_from(read).ok().and_then(|read| budget.checked_sub(read));
        let left = left.ok_or_else(|| io::Error::other("too much before the response head"))?;
        self.0.store(left, Ordering::Release);
        Ok(())
    }
}

/// A connected socket.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) socket: Socket,
    pub(super) budget: HeadBudget,
}

/// Cleartext or TLS.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(match &mut self.socket {
            Socket::Tcp(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Socket::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        })?;
        Poll::Ready(self.budget.spend(buf.filled().len() - before))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Socket::Tcp(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Socket::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Socket::Tcp(tcp) => match gathered(bufs, &mut [0; GATHERED]) {
                Some(buf) => Pin::new(tcp).poll_write(cx, buf),
                None => Pin::new(tcp).poll_write_vectored(cx, bufs),
            },
            Socket::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.socket {
            Socket::Tcp(tcp) => tcp.is_write_vectored(),
            Socket::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Tcp(tcp) => Pin::new(tcp).poll_flush(cx),
            Socket::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Tcp(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Socket::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
