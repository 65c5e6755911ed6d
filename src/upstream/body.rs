//! The response body on its way to the client: it holds the exchange, and thereby the guard, until the upstream is done.
//!
//! It is read at the pace of the upstream as far as that fits (`ahead`), and at the pace of its reader beyond. A body that is complete
//! with its head is just its bytes. Of others, the upstream wakes whoever is there: the reader if he waits, otherwise a
//! short task that reads on.
//!
//! **Invariants**: nothing is lost, added or put out of order; a failure comes after the bytes that came before it, and never looks like
//! an end; before it the reader has a pause to write them in. Only the upstream's silence is timed, from its own last byte: while it is not asked for more, it is not blamed. After its end or
//! failure the body holds nothing but bytes.
//! **Cost**: nothing for a body that comes with its head; otherwise one allocation, and one clock reading for each pause of the upstream. A
//! task only for what comes while the reader does not wait for it.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use atomic_waker::AtomicWaker;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;

use super::ahead::Ahead;
use super::detached::detach;
use super::failure::Failure;
use super::flight::Flight;
use super::outcome::Guard;
use super::upload::Payload;
use crate::clock::Tick;

/// The body of an upstream's response. Dropped before its end, the rest is drained within bounds by a task of its own.
#[derive(Debug)]
pub struct Body<B: Payload, G: Guard>(Source<B, G>);

#[derive(Debug)]
enum Source<B: Payload, G: Guard> {
    /// All there is; nothing of it is with the upstream any more.
    Whole(Bytes),
    Coming(Arc<Coming<B, G>>),
}

/// A body that was not complete with its head. Wakes are the upstream's.
#[derive(Debug)]
struct Coming<B: Payload, G: Guard> {
    state: Mutex<State<B, G>>,
    /// Who waits for the next frame.
    reader: AtomicWaker,
    /// A task that reads on is on its way.
    is_called: AtomicBool,
}

#[derive(Debug)]
struct State<B: Payload, G: Guard> {
    /// [`None`] once the upstream is done.
    running: Option<Running<B, G>>,
    ahead: Ahead,
    /// What comes after what was read ahead.
    failure: Option<Failure>,
    /// The reader has just been given bytes, and has not paused since.
    is_passing: bool,
}

#[derive(Debug)]
struct Running<B: Payload, G: Guard> {
    incoming: Incoming,
    flight: Flight<B, G>,
    /// When the upstream was last heard; [`None`] while it has not paused since.
    heard: Option<Tick>,
}

type Polled = Poll<Option<Result<Frame<Bytes>, Failure>>>;

impl<B: Payload, G: Guard> Body<B, G> {
    pub(super) fn new(incoming: Incoming, flight: Flight<B, G>) -> Self {
        if incoming.is_end_stream() {
            // Nobody may ever poll it: hyper's server does not poll a body that says it has ended.
            flight.finish();
            return Self(Source::Whole(Bytes::new()));
        }
        let ahead = Ahead::new(&flight.pool.upstream().ahead);
        let mut state =
            State { running: Some(Running { incoming, flight, heard: None }), ahead, failure: None, is_passing: false };
        if state.has_room() {
            // Nobody needs to be woken: it is asked again at once if this is not all.
            match state.poll_upstream(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Some(Ok(frame))) if state.running.is_none() && frame.is_data() => {
                    return Self(Source::Whole(frame.into_data().unwrap_or_default()));
                }
                polled => state.keep(polled),
            }
        }
        let coming = Arc::new(Coming {
            state: Mutex::new(state),
            reader: AtomicWaker::new(),
            is_called: AtomicBool::new(false),
        });
        coming.read_ahead(&mut coming.state());
        Self(Source::Coming(coming))
    }
}

impl<B: Payload, G: Guard> Coming<B, G> {
    fn state(&self) -> MutexGuard<'_, State<B, G>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poll_frame(self: &Arc<Self>, cx: &mut Context<'_>) -> Polled {
        let mut state = self.state();
        let mut next = state.ahead.take();
        if next.is_none() && state.running.is_some() {
            self.reader.register(cx.waker());
            match state.poll_upstream(&mut Context::from_waker(&Waker::from(Arc::clone(self)))) {
                Poll::Pending => {
                    state.is_passing = false;
                    return state.poll_silence(cx).map(|failure| Some(Err(failure)));
                }
                Poll::Ready(Some(Ok(frame))) => next = Some(frame),
                failed_or_over @ Poll::Ready(_) => state.keep(failed_or_over),
            }
            drop(self.reader.take());
        }
        if next.is_none() {
            return state.poll_failure(cx);
        }
        state.is_passing = true;
        self.read_ahead(&mut state);
        Poll::Ready(next.map(Ok))
    }

    /// Takes what has come, as far as it fits, and asks to be woken by more.
    fn read_ahead(self: &Arc<Self>, state: &mut State<B, G>) {
        let mut waker = None;
        while state.has_room() {
            let waker = waker.get_or_insert_with(|| Waker::from(Arc::clone(self)));
            let polled = state.poll_upstream(&mut Context::from_waker(waker));
            if polled.is_pending() {
                return;
            }
            state.keep(polled);
        }
    }
}

/// Something has come from the upstream. Called in the middle of its connection's work: nothing is done here.
impl<B: Payload, G: Guard> Wake for Coming<B, G> {
    fn wake(self: Arc<Self>) {
        match self.reader.take() {
            Some(reader) => reader.wake(),
            None if !self.is_called.swap(true, Ordering::AcqRel) => detach(async move {
                self.is_called.store(false, Ordering::Release);
                self.read_ahead(&mut self.state());
            }),
            None => {}
        }
    }
}

impl<B: Payload, G: Guard> State<B, G> {
    /// Whether the upstream is to be asked for more than the reader wants now.
    fn has_room(&self) -> bool {
        self.running.as_ref().is_some_and(|running| self.ahead.has_room(running.incoming.size_hint().lower()))
    }

    /// The next frame of the upstream. At its end the exchange ends.
    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Polled {
        let Some(mut running) = self.running.take() else {
            return Poll::Ready(None);
        };
        match Pin::new(&mut running.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                // Trailers are the last: hyper's server does not poll again after them.
                if frame.is_trailers() || running.incoming.is_end_stream() {
                    running.flight.finish();
                } else {
                    running.heard = None;
                    self.running = Some(running);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(running.flight.failed(error)))),
            Poll::Ready(None) => {
                running.flight.finish();
                Poll::Ready(None)
            }
            Poll::Pending => {
                running.heard.get_or_insert_with(|| running.flight.now());
                self.running = Some(running);
                Poll::Pending
            }
        }
    }

    /// Ready once the upstream has been silent for too long, while its reader waits.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        let Some(mut running) = self.running.take() else { return Poll::Pending };
        if running.flight.poll_silence(cx, running.heard).is_pending() {
            self.running = Some(running);
            return Poll::Pending;
        }
        running.flight.timed_out();
        // We stop waiting, the service does not stop working: the guard stays until it does.
        running.flight.drain_later(running.incoming);
        Poll::Ready(Failure::ResponseTimeout)
    }

    fn keep(&mut self, polled: Polled) {
        match polled {
            Poll::Ready(Some(Ok(frame))) => self.ahead.push(frame),
            Poll::Ready(Some(Err(failure))) => self.failure = Some(failure),
            Poll::Ready(None) | Poll::Pending => {}
        }
    }

    /// The failure after all that came, if there is one. hyper's server forgets what it has not written yet when a body fails, and
    /// writes when it pauses: so it gets a pause first.
    fn poll_failure(&mut self, cx: &Context<'_>) -> Polled {
        if self.failure.is_some() && std::mem::take(&mut self.is_passing) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.failure.take().map(Err))
    }

    fn is_empty(&self) -> bool {
        self.ahead.len() == 0 && !self.ahead.has_trailers() && self.failure.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let read = self.ahead.len() as u64;
        let coming = match &self.running {
            Some(running) => running.incoming.size_hint(),
            None if self.ahead.has_trailers() || self.failure.is_some() => SizeHint::new(),
            None => SizeHint::with_exact(0),
        };
        let mut hint = SizeHint::new();
        hint.set_lower(coming.lower().saturating_add(read));
        if let Some(upper) = coming.upper() {
            hint.set_upper(upper.saturating_add(read));
        }
        hint
    }
}

impl<B: Payload, G: Guard> http_body::Body for Body<B, G> {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        match &mut self.0 {
            Source::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Source::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Source::Coming(coming) => coming.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Whole(bytes) => bytes.is_empty(),
            Source::Coming(coming) => {
                let state = coming.state();
                state.running.is_none() && state.is_empty()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Source::Coming(coming) => coming.state().size_hint(),
        }
    }
}

/// Nothing in it is pinned: the parts are moved to the task that drains.
impl<B: Payload, G: Guard> Unpin for Body<B, G> {}

impl<B: Payload, G: Guard> Drop for Body<B, G> {
    fn drop(&mut self) {
        let Source::Coming(coming) = &self.0 else { return };
        let mut state = coming.state();
        state.ahead.clear();
        // The upstream wakes us, and is ours: taken apart here, or neither would ever be dropped.
        if let Some(Running { incoming, flight, .. }) = state.running.take() {
            flight.drain_later(incoming);
        }
    }
}
