//! Frames of HTTP/2 that cost us something and bring nothing: how many of them a connection may send.
//!
//! h2 bounds what it keeps, and some of what is sent (`http` lists it), but answers every PING and SETTINGS, and reads PRIORITY,
//! `WINDOW_UPDATE` and unknown frames as fast as they come: one connection could keep a worker from everybody else. So the frames are
//! counted on their way to h2, before it reads them.
//!
//! Each frame that is neither the beginning of a request nor a body takes a token; trailers do. There are [`BURST`] of them, [`RATE`] a second come back, and one for each
//! [`WRITTEN`] bytes that the client took from us, since a client may answer each frame of a download with two updates of its windows.
//!
//! **Invariants**: no more than `BURST + RATE · t` idle frames, and one for each KiB written, are read in any time `t`; a connection that
//! sends more is closed. Bodies and heads are not counted: flow control, `header_size` and the limits on streams bound them.
//! **Cost**: a comparison for each frame; the clock is read when the tokens run out.
//! **Not here**: whether frames are well-formed (h2).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::activity::Activity;

/// Idle frames at once. Browsers send some ten when they connect; a load balancer whose crowd leaves resets a stream for each.
pub(super) const BURST: u64 = 4_000;

/// Idle frames a second after that: some 2 ms of a processor.
pub(super) const RATE: u64 = 2_000;

/// Bytes written that earn another.
const WRITTEN: u64 = 1024;

/// A body in pieces smaller than this is not a body: a frame's head alone is 9 bytes.
const LEAST_DATA: u32 = 16;

/// Frame types and flags (RFC 9113 §6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;

/// Bits of a stream's number; the first is reserved (RFC 9113 §4.1).
const STREAM: u32 = u32::MAX >> 1;

/// Length of the preface (RFC 9113 §3.4), and of the head of a frame (§4.1).
const PREFACE: u32 = 24;
const HEAD: usize = 9;

/// Follows the frames of one connection.
#[derive(Debug)]
struct Frames {
    /// The head that is being read, and how much of it has been.
    head: [u8; HEAD],
    head_len: usize,
    /// The highest stream that has been begun.
    highest: u32,
    /// Bytes to pass over before the next head.
    payload: u32,
    /// Tokens, times [`WRITTEN`].
    credit: u64,
    refilled: Instant,
}

/// More idle frames than a connection may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a flood of frames")]
struct Flood;

impl Frames {
    fn new(now: Instant) -> Self {
        Self { head: [0; HEAD], head_len: 0, highest: 0, payload: PREFACE, credit: BURST * WRITTEN, refilled: now }
    }

    /// Takes note of `bytes` from the client.
    fn read(&mut self, mut bytes: &[u8], now: impl Fn() -> Instant) -> Result<(), Flood> {
        while !bytes.is_empty() {
            let passed = bytes.len().min(usize::try_from(self.payload).unwrap_or(usize::MAX));
            self.payload -= u32::try_from(passed).unwrap_or(self.payload);
            bytes = bytes.get(passed..).unwrap_or_default();
            let taken = bytes.len().min(HEAD - self.head_len);
            for (to, from) in self.head.iter_mut().skip(self.head_len).zip(bytes) {
                *to = *from;
            }
            bytes = bytes.get(taken..).unwrap_or_default();
            self.head_len += taken;
            if self.head_len == HEAD {
                self.head_len = 0;
                self.begun(&now)?;
            }
        }
        Ok(())
    }

    /// A frame has begun.
    fn begun(&mut self, now: &impl Fn() -> Instant) -> Result<(), Flood> {
        let [high, middle, low, kind, flags, stream @ ..] = self.head;
        self.payload = u32::from_be_bytes([0, high, middle, low]);
        let is_idle = match kind {
            DATA => self.payload < LEAST_DATA && flags & END_STREAM == 0,
            HEADERS => {
                let (before, stream) = (self.highest, u32::from_be_bytes(stream) & STREAM);
                self.highest = before.max(stream);
                stream <= before
            }
            CONTINUATION => self.payload < LEAST_DATA,
            _ => true,
        };
        if !is_idle {
            return Ok(());
        }
        if self.credit == BURST * WRITTEN {
            // Full: the time until now has earned nothing.
            self.refilled = now();
        } else if self.credit < WRITTEN {
            self.refill(now());
        }
        self.credit = self.credit.checked_sub(WRITTEN).ok_or(Flood)?;
        Ok(())
    }

    fn refill(&mut self, now: Instant) {
        let millis = now.duration_since(self.refilled).as_millis();
        let earned = u64::try_from(millis).unwrap_or(u64::MAX).saturating_mul(RATE * WRITTEN / 1000);
        if earned > 0 {
            self.refilled = now;
            self.earn(earned);
        }
    }

    fn earn(&mut self, credit: u64) {
        self.credit = self.credit.saturating_add(credit).min(BURST * WRITTEN);
    }
}

/// An HTTP/2 connection whose frames are counted.
#[derive(Debug)]
pub(super) struct Guarded<S> {
    stream: S,
    frames: Frames,
    activity: Arc<Activity>,
}

impl<S> Guarded<S> {
    /// `stream` stands before the client's preface.
    pub(super) fn new(stream: S, activity: Arc<Activity>) -> Self {
        Self { stream, frames: Frames::new(Instant::now()), activity }
    }

    fn earn(&mut self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.frames.earn(u64::try_from(*bytes).unwrap_or(u64::MAX));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let bytes = buf.filled().get(before..).unwrap_or_default();
        Poll::Ready(this.frames.read(bytes, Instant::now).map_err(|flood| {
            this.activity.note_flooded();
            io::Error::new(io::ErrorKind::InvalidData, flood)
        }))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.earn(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.earn(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const PING: u8 = 6;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        on(1, kind, flags, length)
    }

    fn on(stream: u64, kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let [_, high, middle, low] = u32::try_from(length).unwrap().to_be_bytes();
        let stream = u32::try_from(stream).unwrap().to_be_bytes();
        [&[high, middle, low, kind, flags][..], &stream, &vec![7; length]].concat()
    }

    /// Frames behind a preface, at `now`.
    fn begun(now: Instant) -> Frames {
        let mut frames = Frames::new(now);
        frames.read(&[b'P'; 24], || now).unwrap();
        frames
    }

    #[test]
    fn so_many_idle_frames_at_once_and_so_many_a_second_in_any_pieces() {
        let began = Instant::now();
        for piece in [1, 5, 9, 17, 4096] {
            let mut frames = begun(began);
            let burst: Vec<u8> = (0..BURST).flat_map(|_| frame(PING, 0, 8)).collect();
            for bytes in burst.chunks(piece) {
                assert_eq!(frames.read(bytes, || began), Ok(()));
            }
            assert_eq!(frames.read(&frame(PING, 0, 8), || began), Err(Flood));
        }
        let mut frames = begun(began);
        let mut sent = 0;
        for millis in 0..3_000 {
            let now = began + Duration::from_millis(millis);
            while sent < BURST + RATE * millis / 1000 {
                assert_eq!(frames.read(&frame(8, 0, 4), || now), Ok(()), "{sent} after {millis} ms");
                sent += 1;
            }
        }
        let last = began + Duration::from_millis(2_999);
        assert_eq!(frames.read(&frame(8, 0, 4), || last), Err(Flood));
    }

    #[test]
    fn requests_and_bodies_are_not_counted_and_what_is_written_earns() {
        let now = Instant::now();
        let mut frames = begun(now);
        for number in 0..10 * BURST {
            for frame in
                [on(2 * number + 1, HEADERS, 5, 0), frame(DATA, 0, 100), frame(DATA, END_STREAM, 0), frame(9, 4, 16)]
            {
                assert_eq!(frames.read(&frame, || now), Ok(()));
            }
        }
        for _ in 0..10 * BURST {
            frames.earn(16 * 1024);
            assert_eq!(frames.read(&[frame(8, 0, 4), frame(8, 0, 4)].concat(), || now), Ok(()));
        }
        let mut trailers = begun(now);
        assert_eq!(trailers.read(&frame(HEADERS, 4, 30), || now), Ok(()));
        assert!((0..=BURST).any(|_| trailers.read(&frame(HEADERS, 5, 30), || now).is_err()));
        for idle in
            [frame(DATA, 0, 0), frame(DATA, 0, 1), frame(9, 0, 0), frame(2, 0, 5), frame(3, 0, 4), frame(77, 0, 0)]
        {
            let mut frames = begun(now);
            let taken = (0..2 * BURST).take_while(|_| frames.read(&idle, || now).is_ok()).count();
            assert_eq!(u64::try_from(taken).unwrap(), BURST, "{idle:?}");
        }
    }
}
