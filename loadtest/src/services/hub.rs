//! The fleet under a real clock: requests come in from the sockets, a timer makes happen what is due.
//!
//! **Invariants**: whoever touches the fleet first moves it to the present. Who waits for an answer and goes is known to have gone.
//! **Cost**: one thread does everything, so the lock is never waited for; a system call where the next instant becomes an earlier one.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::fleet::{Answer, Caller, Fleet, TICK, Visit};
use super::recorder::Recorder;
use super::timer::Timer;
use crate::clock::Clock;
use crate::scenario::Scenario;

/// The running services.
#[derive(Debug)]
pub struct Hub {
    clock: Clock,
    timer: Timer,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    fleet: Fleet<oneshot::Sender<Answer>>,
    /// When the timer goes off.
    armed: Duration,
    recorded: Duration,
}

impl Caller for oneshot::Sender<Answer> {
    fn hear(self, answer: Answer) -> bool {
        self.send(answer).is_ok()
    }

    fn is_there(&self) -> bool {
        !self.is_closed()
    }
}

/// Somebody at a socket, until the answer is there or the socket has gone.
struct Waiting {
    hub: Arc<Hub>,
    call: u64,
    answer: oneshot::Receiver<Answer>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.answer.is_terminated() {
            self.answer.close();
            let call = self.call;
            self.hub.touch(|fleet, now| fleet.gone(now, call));
        }
    }
}

impl Hub {
    /// The idle services of `scenario`; for inside a runtime.
    pub fn new(scenario: &Scenario, clock: Clock, seed: u64) -> io::Result<Self> {
        let fleet = Fleet::new(scenario, seed);
        let hub = Self {
            clock,
            timer: Timer::new()?,
            state: Mutex::new(State { fleet, armed: Duration::MAX, recorded: Duration::ZERO }),
        };
        hub.touch(|_, _| {});
        Ok(hub)
    }

    /// The server's answer, when it has one.
    pub async fn work(self: &Arc<Self>, server: usize, visit: Visit) -> Answer {
        let (caller, answer) = oneshot::channel();
        let call = self.touch(|fleet, now| fleet.arrive(now, server, visit, caller));
        let mut waiting = Waiting { hub: Arc::clone(self), call, answer };
        (&mut waiting.answer).await.unwrap_or(Answer::Lost)
    }

    /// The answer to a request that is no work.
    pub fn glance(&self, server: usize, visit: Visit, answer: Answer) -> Answer {
        self.touch(|fleet, now| fleet.glance(now, server, visit, answer))
    }

    /// Makes happen what is due by now.
    pub fn catch_up(&self) {
        self.touch(Fleet::advance);
    }

    /// Position of a server among all.
    pub fn position(&self, service: u8, number: u8) -> Option<usize> {
        self.lock().fleet.position(service, number)
    }

    /// Makes things happen at their time, and hands the records over, for ever.
    ///
    /// # Errors
    /// Nobody takes the records any more.
    pub async fn drive(&self, recorder: &Recorder) -> io::Result<()> {
        loop {
            self.timer.wait().await?;
            self.lock().armed = Duration::MAX;
            self.catch_up();
            let batch = {
                let mut state = self.lock();
                let now = self.clock.now();
                if now < state.recorded + TICK {
                    continue;
                }
                state.recorded = now;
                state.fleet.take()
            };
            recorder.record(batch)?;
        }
    }

    /// Everything in flight is lost, and what was not yet recorded is.
    pub fn end(&self, recorder: &Recorder) {
        self.touch(Fleet::end);
        let batch = self.lock().fleet.take();
        // If nobody writes any more, closing the recorder says so.
        recorder.record(batch).ok();
    }

    fn touch<R>(&self, act: impl FnOnce(&mut Fleet<oneshot::Sender<Answer>>, Duration) -> R) -> R {
        let mut state = self.lock();
        let now = self.clock.now();
        let result = act(&mut state.fleet, now);
        let due = state.fleet.next_due();
        if due < state.armed {
            state.armed = due;
            // A timer that exists takes every length.
            self.timer.set(due.saturating_sub(now)).ok();
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
