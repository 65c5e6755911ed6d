//! The clocks of one HTTP connection.
//!
//! hyper has one: `header_read_timeout`. It starts whenever hyper waits for a head, so it also runs while a kept-alive
//! connection is idle and would close it after `header_timeout` instead of `idle_timeout`; on HTTP/2 there is none at all. It
//! is therefore off, and the clocks are here, by what the stream and the service have seen ([`Activity`]):
//!
//! | the connection | ends | by |
//! |---|---|---|
//! | has had no request | `header_timeout` after it was ready | silence, or a slow first head |
//! | has had no request since it was accepted, for longer than any other, and all connections are taken | as soon as another comes | the newcomer (`quiet`); hard |
//! | is between requests, for longer than any other, all connections are taken, and all have had one | as soon as another comes | the newcomer; gracefully, within a quarter of a second |
//! | is between requests | `idle_timeout` after the last answer | idleness; gracefully |
//! | is between requests, memory is short, and nobody with a pass has spoken on it | at once | what it holds; gracefully |
//! | HTTP/1: has begun a head | `header_timeout` after its first byte | a slow head; hard |
//! | has a request in flight | – | the proxy's deadlines, and the stall clocks of stream and answer |
//! | is being drained | `drain_timeout` after the drain began | cut |
//!
//! The beginning of a head that came in the same read as the end of the request before it is not seen as such; it is bounded
//! by `idle_timeout`, and by `header_timeout` from its next byte.
//!
//! **Invariants**: there is always a timer armed no later than the next instant at which something must happen.
//! **Cost**: one timer per connection, moved only when it fires or must fire earlier: not once per request.

use std::error::Error as _;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use rustix::net::{RecvFlags, recv};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use super::Limits;
use super::activity::Activity;
use super::connections::Cause;
use super::drain::DrainSignal;
use super::quiet::GRACE;

/// A connection of either version, as hyper drives it.
pub(super) trait Protocol: Future<Output = hyper::Result<()>> {
    /// Whether bytes between requests are the head of the next one. On HTTP/2 they may be anything.
    const HEADS: bool;

    /// Closes as soon as nothing is in flight, and says so to the client.
    fn close_gracefully(self: Pin<&mut Self>);
}

/// How long a connection that we close has for it when nothing is in flight: HTTP/2 takes a round trip to settle which
/// streams are still to be answered (RFC 9113 §6.8).
const CLOSING: Duration = Duration::from_secs(5);

/// When the clock of a connection strikes next, and for what.
struct Clock<'a> {
    activity: &'a Activity,
    limits: &'a Limits,
    heads: bool,
    /// When it was ready for its first request.
    ready: Instant,
    /// The head that was last seen open, and since when.
    head: Option<(u32, Instant)>,
    /// Why and since when it is closing gracefully.
    closing: Option<(Cause, Instant)>,
    /// When the drain loses its patience.
    cut: Option<Instant>,
    /// Whether it has begun to make room.
    dismissed: bool,
}

impl Clock<'_> {
    /// The next instant at which the connection ends if nothing changes, and the cause.
    fn next(&mut self) -> Option<(Instant, Cause)> {
        let cut = self.cut.map(|at| (at, Cause::Cut));
        let quiet = self.activity.quiet_since().map(|since| self.quiet(since));
        [cut, quiet].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// The same for a connection without a request in flight.
    fn quiet(&mut self, since: Instant) -> (Instant, Cause) {
        let Limits { header_timeout, idle_timeout, .. } = *self.limits;
        let first = !self.activity.has_requested();
        if let Some(number) = self.activity.head_open().filter(|_| self.heads) {
            let begun = match self.head {
                _ if first => self.ready,
                Some((seen, begun)) if seen == number => begun,
                _ => Instant::now(),
            };
            self.head = Some((number, begun));
            return (begun + header_timeout, Cause::HeaderTimeout);
        }
        match self.closing {
            Some((Cause::Displaced, asked)) => (asked.max(since) + GRACE, Cause::Displaced),
            Some((cause, asked)) => (asked.max(since) + CLOSING, cause),
            None if first => (self.ready + header_timeout, Cause::Silent),
            // Whoever was let in could not connect anew.
            None if self.activity.slot().connections().is_memory_short() && !self.activity.is_inside() => {
                (since, Cause::Shed)
            }
            None => (since + idle_timeout, Cause::Idle),
        }
    }

    /// Whether the connection, which is on `socket`, is to close from now on for somebody who waits for its slot.
    fn makes_room(&mut self, socket: &TcpStream) -> bool {
        if self.dismissed || !self.activity.is_dismissed() {
            return false;
        }
        let is_quiet = self.activity.quiet_since().is_some();
        // HTTP/2 has a way to say what is still answered. In HTTP/1 the next request may have come, and the runtime not have said so
        // yet: it will, and the request is answered.
        if self.heads && is_quiet && self.activity.head_open().is_none() && has_unread(socket) {
            return false;
        }
        self.dismissed = true;
        // Of a request in flight the answer is announced as the last one.
        self.closing = Some((if is_quiet { Cause::Displaced } else { Cause::Done }, Instant::now()));
        true
    }
}

/// Drives `connection`, which is on `socket`, to its end and answers why it ended.
pub(super) async fn live<P: Protocol>(
    mut connection: Pin<&mut P>,
    socket: &TcpStream,
    activity: &Activity,
    limits: &Limits,
    drain: &mut DrainSignal,
) -> Cause {
    activity.note_ready();
    let ready = Instant::now();
    let mut clock =
        Clock { activity, limits, heads: P::HEADS, ready, head: None, closing: None, cut: None, dismissed: false };
    let mut timer = pin!(sleep_until(ready + limits.header_timeout));
    let mut begun = pin!(drain.begun());
    poll_fn(move |cx| {
        loop {
            // First, so that a client that has already spoken is answered, whatever the clocks say.
            if let Poll::Ready(end) = connection.as_mut().poll(cx) {
                return Poll::Ready(ended(end, clock.closing, activity));
            }
            if clock.cut.is_none() && begun.as_mut().poll(cx).is_ready() {
                let now = Instant::now();
                clock.cut = Some(now + limits.drain_timeout);
                clock.closing.get_or_insert((Cause::Drained, now));
                connection.as_mut().close_gracefully();
                continue;
            }
            if activity.is_dismissed() && !activity.has_requested() {
                return Poll::Ready(Cause::Displaced);
            }
            if clock.makes_room(socket) {
                connection.as_mut().close_gracefully();
                continue;
            }
            let next = clock.next();
            match next {
                Some((at, _)) if at < timer.deadline() || timer.is_elapsed() => timer.as_mut().reset(at),
                None if timer.is_elapsed() => timer.as_mut().reset(Instant::now() + limits.idle_timeout),
                _ => {}
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            match next {
                Some((at, _)) if at > Instant::now() => {}
                Some((at, cause @ (Cause::Idle | Cause::Shed | Cause::Silent))) if clock.closing.is_none() => {
                    clock.closing = Some((cause, at));
                    connection.as_mut().close_gracefully();
                }
                Some((_, cause)) => return Poll::Ready(cause),
                None => {}
            }
        }
    })
    .await
}

/// Whether bytes have come that nobody has read.
fn has_unread(socket: &TcpStream) -> bool {
    recv(socket, &mut [0_u8; 1], RecvFlags::PEEK | RecvFlags::DONTWAIT).is_ok_and(|(_, seen)| seen > 0)
}

/// Whether h2 ended it because its client overdid something (RFC 9113 §7).
fn says_calm(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.and_then(h2::Error::reason) == Some(h2::Reason::ENHANCE_YOUR_CALM)
}

/// Why a connection that hyper calls ended did so.
fn ended(end: hyper::Result<()>, closing: Option<(Cause, Instant)>, activity: &Activity) -> Cause {
    match end {
        _ if activity.is_stalled() => Cause::Stalled,
        _ if activity.is_flooded() => Cause::Flooded,
        Err(error) if says_calm(&error) => Cause::Flooded,
        Ok(()) => closing.map_or(Cause::Done, |(cause, _)| cause),
        Err(error) if error.is_parse() && !error.is_incomplete_message() => Cause::Malformed,
        Err(_) if !activity.has_requested() => Cause::Departed,
        Err(_) => Cause::Broken,
    }
}
