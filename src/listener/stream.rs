//! The byte stream of one connection, below TLS.
//!
//! Adds to a TCP stream what no layer above can add: bytes read ahead are read again, a peer that does not take our bytes
//! is given up after `body_timeout`, or when it takes less than [`SLOWEST`] over all, and what is seen is noted in the connection's [`Activity`].
//!
//! **Invariants**: after [`Stream::unread`] the reader sees every byte once, in order; a write never waits longer than
//! `body_timeout` without progress (RFC 9110 leaves it to us: *slow read*), nor do all together longer than `body_timeout` and the time that
//! their bytes take at [`SLOWEST`].
//! **Cost**: no allocation, and no timer unless a write has to wait.
//! **Not here**: a client that owes us body bytes (only the reader of a body knows that it waits for one).

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::activity::Activity;
use super::sniff::PREFACE;
// Bytes a second that a client must take over all, once `body_timeout` is over: as many as it must send of a body.
use crate::proxy::upload::SLOWEST;
use crate::upstream::{GATHERED, gathered};

/// Bytes that can be given back: the HTTP/2 preface, which is all that is ever read ahead.
pub(super) const AHEAD: usize = PREFACE.len();

/// The byte stream of one connection.
#[derive(Debug)]
pub(super) struct Stream {
    socket: Arc<TcpStream>,
    activity: Arc<Activity>,
    body_timeout: Duration,
    ahead: [u8; AHEAD],
    ahead_len: u8,
    /// Runs while a write waits.
    stall: Option<Pin<Box<Sleep>>>,
    /// How long writes have waited beyond what their bytes are worth.
    waited: Duration,
}

impl Stream {
    pub(super) const fn new(socket: Arc<TcpStream>, activity: Arc<Activity>, body_timeout: Duration) -> Self {
        Self { socket, activity, body_timeout, ahead: [0; AHEAD], ahead_len: 0, stall: None, waited: Duration::ZERO }
    }

    /// The socket below.
    pub(super) const fn socket(&self) -> &Arc<TcpStream> {
        &self.socket
    }

    /// Gives back bytes that were read, to be read again. More than [`AHEAD`] are not kept.
    pub(super) fn unread(&mut self, bytes: &[u8]) {
        let kept = bytes.len().min(AHEAD);
        for (to, from) in self.ahead.iter_mut().zip(bytes) {
            *to = *from;
        }
        self.ahead_len = u8::try_from(kept).unwrap_or(0);
    }

    /// Puts bytes that were given back into `buf`; [`None`] if there are none.
    fn read_ahead(&mut self, buf: &mut ReadBuf<'_>) -> Option<()> {
        let kept = usize::from(self.ahead_len);
        let taken = kept.min(buf.remaining());
        let bytes = self.ahead.get(..taken).filter(|bytes| !bytes.is_empty())?;
        buf.put_slice(bytes);
        self.ahead.copy_within(taken..kept, 0);
        self.ahead_len = u8::try_from(kept - taken).unwrap_or(0);
        Some(())
    }

    /// Waits until the socket takes bytes, with the deadline running.
    fn poll_writable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Poll::Ready(ready) = self.socket.poll_write_ready(cx) {
            return Poll::Ready(ready);
        }
        let patience = self.body_timeout.saturating_sub(self.waited);
        self.activity.set_waiting(true);
        ready!(self.stall.get_or_insert_with(|| Box::pin(sleep(patience))).as_mut().poll(cx));
        self.activity.note_stalled();
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not take the answer")))
    }

    /// So many bytes were taken, after a wait if there was one.
    fn settle(&mut self, written: usize) {
        if let Some(stall) = self.stall.take() {
            self.activity.set_waiting(false);
            let left = stall.deadline().saturating_duration_since(Instant::now());
            self.waited = self.body_timeout.saturating_sub(left);
        }
        self.waited = self.waited.saturating_sub(worth(written));
    }

    /// Writes by `write` as soon as the socket lets it.
    fn poll_write_by(
        &mut self,
        cx: &mut Context<'_>,
        write: impl Fn(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_writable(cx))?;
            match write(&self.socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => {
                    self.settle(done.as_ref().map_or(0, |written| *written));
                    return Poll::Ready(done);
                }
            }
        }
    }
}

/// How long `bytes` may take.
fn worth(bytes: usize) -> Duration {
    let micros = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(1_000_000) / SLOWEST;
    Duration::from_micros(micros)
}

/// Takes the socket for drained until the kernel says otherwise. A read that did not fill its buffer has emptied the socket
/// (epoll(7), edge-triggered); without this every request would cost one more `recv` that only says so.
fn forget_readiness(socket: &TcpStream) {
    let _would_block = socket.try_io(Interest::READABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into())).is_err();
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.read_ahead(buf).is_some() {
            this.activity.note_read();
            // With what follows it, if that is here: hyper, given the beginning of a head alone, moves to a buffer twice as large.
            // What is wrong with the socket is for the next read to find.
            if buf.remaining() > 0 && this.socket.poll_read_ready(cx).is_ready() {
                let _rest = this.socket.try_read_buf(buf).is_ok();
            }
            return Poll::Ready(Ok(()));
        }
        let room = buf.remaining();
        if room == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(this.socket.poll_read_ready(cx))?;
            match this.socket.try_read_buf(buf) {
                Ok(0) => this.activity.note_read_closed(),
                Ok(read) => {
                    this.activity.note_read();
                    if read < room {
                        forget_readiness(&this.socket);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Poll::Ready(Err(error)),
            }
            return Poll::Ready(Ok(()));
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_by(cx, |socket| socket.try_write(buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match gathered(bufs, &mut [0; GATHERED]) {
            Some(buf) => self.poll_write(cx, buf),
            None => self.get_mut().poll_write_by(cx, |socket| socket.try_write_vectored(bufs)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match SockRef::from(&*self.socket).shutdown(Shutdown::Write) {
            // The peer was faster.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            done => Poll::Ready(done),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.activity.note_stream_gone();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::listener::Addresses;
    use crate::listener::connections::{Connections, Roll, Slot};
    use crate::listener::tests::clients;

    #[test]
    fn a_kibibyte_is_worth_a_second() {
        assert_eq!(worth(1024), Duration::from_secs(1));
        assert_eq!(worth(0), Duration::ZERO);
        assert_eq!(worth(16 * 1024), Duration::from_secs(16));
    }

    #[tokio::test]
    async fn bytes_given_back_are_read_again_before_the_rest_also_in_small_reads() {
        let listening = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listening.local_addr().unwrap()).await.unwrap();
        let accepted = listening.accept().unwrap().0;
        accepted.set_nonblocking(true).unwrap();
        let connections =
            Connections::new(std::num::NonZeroUsize::MIN, Addresses::of(&clients()), std::num::NonZeroUsize::MIN);
        let permit = Arc::clone(connections.slots()).try_acquire_owned().unwrap();
        let activity = Activity::new(Slot::take(&connections, &Arc::<Roll>::default(), permit));
        let socket = Arc::new(TcpStream::from_std(accepted).unwrap());
        let mut stream = Stream::new(socket, activity, Duration::from_secs(10));

        client.write_all(b"abcdefghij").await.unwrap();
        let mut ahead = [0; 7];
        stream.read_exact(&mut ahead).await.unwrap();
        stream.unread(&ahead);
        let mut all = Vec::new();
        while all.len() < 10 {
            let mut few = [0; 3];
            let read = stream.read(&mut few).await.unwrap();
            all.extend_from_slice(&few[..read]);
        }
        assert_eq!(all, b"abcdefghij");
    }
}
