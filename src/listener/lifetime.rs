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
//! An HTTP/1 connection that has been quiet for [`REST`] is taken apart (`rest`): its clocks go on, its buffers do not. Whether
//! it can be, hyper says: asked to close, it ends at once if nothing is in flight, read or owed, and only then. So whatever is
//! left of a request that outlived its answer is never read as the next one.
//!
//! **Invariants**: there is always a timer armed no later than the next instant at which something must happen; a connection
//! is taken apart only when hyper calls it ended, and an end that this brings about is not shown to the client.
//! **Cost**: one timer per connection, moved only when it fires or must fire earlier: not once per request, but once in
//! [`REST`] while there are any.

use std::error::Error as _;
use std::future::{Future, poll_fn};
use std::num::NonZeroU64;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;
use rustix::net::{RecvFlags, recv};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::Limits;
use super::activity::Activity;
use super::connections::Cause;
use super::quiet::GRACE;
use crate::clock::saturating_nanos;

/// What drives a connection for the time being.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// HTTP/2 by hyper. Bytes between requests may be anything.
    Streams,
    /// HTTP/1 by hyper. Bytes between requests are the head of the next one.
    Awake,
    /// HTTP/1, and nothing but its socket: it ends when there is something to read.
    Asleep,
}

/// A connection in one of its forms.
pub(super) trait Protocol: Future<Output = hyper::Result<()>> {
    /// Which.
    const FORM: Form;

    /// Closes as soon as nothing is in flight, and says so to the client.
    fn close_gracefully(self: Pin<&mut Self>);
}

/// How long an HTTP/1 connection must have been quiet to be taken apart: whoever asks again at once, as a browser with a page to
/// fill does, pays nothing for it; whoever comes back later pays a microsecond or two.
const REST: Duration = Duration::from_secs(1);

/// How long a connection that we close has for it when nothing is in flight: HTTP/2 takes a round trip to settle which
/// streams are still to be answered (RFC 9113 §6.8).
const CLOSING: Duration = Duration::from_secs(5);

/// What the clock of a connection strikes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strike {
    End(Cause),
    Rest,
}

/// An instant in the life of a connection: nanoseconds since it was accepted, and one. Half as large as an [`Instant`], of which each
/// connection at rest would have four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Moment(NonZeroU64);

impl Moment {
    fn of(at: Instant, activity: &Activity) -> Self {
        Self(NonZeroU64::MIN.saturating_add(saturating_nanos(at.saturating_duration_since(activity.opened()))))
    }

    fn now(activity: &Activity) -> Self {
        Self::of(Instant::now(), activity)
    }

    fn instant(self, activity: &Activity) -> Instant {
        activity.opened() + Duration::from_nanos(self.0.get() - 1)
    }
}

/// When the clock of a connection strikes next, and for what.
struct Clock<'a> {
    activity: &'a Activity,
    socket: &'a TcpStream,
    limits: &'a Limits,
    /// When it was ready for its first request.
    ready: Moment,
    /// The head that was last seen open, and since when; apart, as a pair they would take 8 bytes more.
    head: u32,
    head_begun: Option<Moment>,
    /// Why and since when it is closing gracefully.
    closing: Option<(Cause, Moment)>,
    /// When the drain loses its patience.
    cut: Option<Moment>,
    /// Whether it has begun to make room.
    dismissed: bool,
    /// hyper was asked whether it can be taken apart, and had not done with a request.
    restless: bool,
}

impl Clock<'_> {
    /// The next instant at which something must be done if nothing changes, and what.
    fn next(&mut self, form: Form) -> Option<(Instant, Strike)> {
        let cut = self.cut.map(|at| (at.instant(self.activity), Strike::End(Cause::Cut)));
        let since = self.activity.quiet_since();
        let quiet = since.map(|since| self.quiet(since, form)).map(|(at, cause)| (at, Strike::End(cause)));
        let ready = self.ready.instant(self.activity);
        let rest = since.filter(|_| self.may_rest(form)).map(|since| (since.max(ready) + REST, Strike::Rest));
        [cut, quiet, rest].into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// When and why a connection without a request in flight ends.
    fn quiet(&mut self, since: Instant, form: Form) -> (Instant, Cause) {
        let Limits { header_timeout, idle_timeout, .. } = *self.limits;
        let first = !self.activity.has_requested();
        let ready = self.ready.instant(self.activity);
        if let Some(number) = self.activity.head_open().filter(|_| form != Form::Streams) {
            let begun = match self.head_begun {
                _ if first => ready,
                Some(begun) if self.head == number => begun.instant(self.activity),
                _ => Instant::now(),
            };
            (self.head, self.head_begun) = (number, Some(Moment::of(begun, self.activity)));
            return (begun + header_timeout, Cause::HeaderTimeout);
        }
        match self.closing.map(|(cause, asked)| (cause, asked.instant(self.activity))) {
            Some((Cause::Displaced, asked)) => (asked.max(since) + GRACE, Cause::Displaced),
            Some((cause, asked)) => (asked.max(since) + CLOSING, cause),
            None if first => (ready + header_timeout, Cause::Silent),
            // Whoever was let in could not connect anew.
            None if self.activity.slot().connections().is_memory_short() && !self.activity.is_inside() => {
                (since, Cause::Shed)
            }
            None => (since + idle_timeout, Cause::Idle),
        }
    }

    /// Whether the connection is to close from now on for somebody who waits for its slot.
    fn makes_room(&mut self, form: Form) -> bool {
        if self.dismissed || !self.activity.is_dismissed() {
            return false;
        }
        let is_quiet = self.activity.quiet_since().is_some();
        // HTTP/2 has a way to say what is still answered. In HTTP/1 the next request may have come, and the runtime not have said so
        // yet: it will, and the request is answered.
        if form != Form::Streams && is_quiet && self.activity.head_open().is_none() && has_unread(self.socket) {
            return false;
        }
        self.dismissed = true;
        // Of a request in flight the answer is announced as the last one.
        self.closing = Some((if is_quiet { Cause::Displaced } else { Cause::Done }, Moment::now(self.activity)));
        true
    }

    /// Whether a connection without a request in flight may be taken apart.
    fn may_rest(&self, form: Form) -> bool {
        form == Form::Awake
            && !self.restless
            && self.closing.is_none()
            && self.activity.head_open().is_none()
            && self.activity.may_rest()
    }
}

pin_project! {
    /// The time of a connection, from its first form to its last.
    pub(super) struct Life<'a, D> {
        clock: Clock<'a>,
        #[pin]
        timer: Sleep,
        #[pin]
        drained: D,
    }
}

impl<'a, D: Future<Output = ()>> Life<'a, D> {
    /// Begins now, of a connection which is on `socket`; `drained` ends when a drain begins.
    pub(super) fn new(activity: &'a Activity, socket: &'a TcpStream, limits: &'a Limits, drained: D) -> Self {
        activity.note_ready();
        let ready = Instant::now();
        let clock = Clock {
            activity,
            socket,
            limits,
            ready: Moment::of(ready, activity),
            head: 0,
            head_begun: None,
            closing: None,
            cut: None,
            dismissed: false,
            restless: false,
        };
        Self { clock, timer: sleep_until(ready + limits.header_timeout), drained }
    }
}

/// Drives `connection` until it goes on in another form, or to its end, and answers why it ended.
///
/// Not an `async fn`: it would keep its arguments twice for as long as the connection is open.
pub(super) fn live<P: Protocol, D: Future<Output = ()>>(
    mut connection: Pin<&mut P>,
    mut life: Pin<&mut Life<'_, D>>,
) -> impl Future<Output = ControlFlow<Cause>> {
    poll_fn(move |cx| {
        let mut life = life.as_mut().project();
        let clock = life.clock;
        loop {
            // First, so that a client that has already spoken is answered, whatever the clocks say.
            if let Poll::Ready(end) = connection.as_mut().poll(cx) {
                let goes_on = P::FORM == Form::Asleep && clock.closing.is_none();
                return Poll::Ready(if goes_on { ControlFlow::Continue(()) } else { ended(end, clock) });
            }
            if clock.cut.is_none() && life.drained.as_mut().poll(cx).is_ready() {
                let now = Instant::now();
                clock.cut = Some(Moment::of(now + clock.limits.drain_timeout, clock.activity));
                clock.closing.get_or_insert_with(|| (Cause::Drained, Moment::of(now, clock.activity)));
                connection.as_mut().close_gracefully();
                continue;
            }
            if clock.activity.is_dismissed() && !clock.activity.has_requested() {
                return Poll::Ready(ControlFlow::Break(Cause::Displaced));
            }
            if clock.makes_room(P::FORM) {
                connection.as_mut().close_gracefully();
                continue;
            }
            let next = clock.next(P::FORM);
            match next {
                Some((at, _)) if at < life.timer.deadline() || life.timer.is_elapsed() => life.timer.as_mut().reset(at),
                None if life.timer.is_elapsed() => {
                    life.timer.as_mut().reset(Instant::now() + clock.limits.idle_timeout);
                }
                _ => {}
            }
            if life.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            match next {
                Some((at, _)) if at > Instant::now() => {}
                Some((_, Strike::Rest)) => {
                    if let Poll::Ready(end) = rest(connection.as_mut(), clock, cx) {
                        return Poll::Ready(end);
                    }
                }
                Some((at, Strike::End(cause @ (Cause::Idle | Cause::Shed | Cause::Silent))))
                    if clock.closing.is_none() =>
                {
                    clock.closing = Some((cause, Moment::of(at, clock.activity)));
                    connection.as_mut().close_gracefully();
                }
                Some((_, Strike::End(cause))) => return Poll::Ready(ControlFlow::Break(cause)),
                None => {}
            }
        }
    })
}

/// Has hyper end the connection, if it is idle as hyper sees it; the client shall not notice.
fn rest<P: Protocol>(
    mut connection: Pin<&mut P>,
    clock: &mut Clock<'_>,
    cx: &mut Context<'_>,
) -> Poll<ControlFlow<Cause>> {
    clock.activity.set_parting(true);
    connection.as_mut().close_gracefully();
    let end = connection.poll(cx);
    clock.activity.set_parting(false);
    clock.restless = end.is_pending();
    end.map(|end| if end.is_ok() { ControlFlow::Continue(()) } else { ended(end, clock) })
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
fn ended(end: hyper::Result<()>, clock: &Clock<'_>) -> ControlFlow<Cause> {
    let activity = clock.activity;
    ControlFlow::Break(match end {
        _ if activity.is_stalled() => Cause::Stalled,
        _ if activity.is_flooded() => Cause::Flooded,
        Err(error) if says_calm(&error) => Cause::Flooded,
        Ok(()) => clock.closing.map_or(Cause::Done, |(cause, _)| cause),
        Err(error) if error.is_parse() && !error.is_incomplete_message() => Cause::Malformed,
        Err(_) if !activity.has_requested() => Cause::Departed,
        Err(_) => Cause::Broken,
    })
}
