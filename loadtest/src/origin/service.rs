//! The model under a real clock: requests come in, a driver thread finishes them when their time has come.
//!
//! **Invariants**: a request is out of the in-flight count before its answer can be written, because whoever stands in
//! front may use the free place as soon as the answer arrives. Work goes on when the caller has gone. Everything held is
//! bounded by [`Bounds`]; what is beyond is refused and counted.
//! **Cost**: one short lock per start and completion; one thread that sleeps until the next completion (precise to about
//! 0.1 ms: an asynchronous timer would round each completion up to a millisecond and waste 1 % of the capacity).
//! **Not here**: HTTP.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::curve::Curve;
use super::ledger::{Counts, Effect, Ledger, Record};
use super::model::{Done, Model};
use crate::clock::Clock;

/// What the service holds at most.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Requests in flight, about 300 bytes each.
    pub in_flight: usize,
    /// Distinct keys in the ledger, about 100 bytes each.
    pub keys: usize,
}

/// The answer to a finished request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registered {
    /// Registration number.
    pub number: u64,
    /// What the request changed.
    pub effect: Effect,
}

/// Out of a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// Everything the service can say about itself.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Summary {
    /// Counts over the ledger.
    #[serde(flatten)]
    pub counts: Counts,
    /// Requests in flight now.
    pub in_flight: usize,
    /// The most that ever were.
    pub max_in_flight: usize,
    /// Work done, in units of the mean request, the unfinished included.
    pub work: f64,
    /// Requests refused because a bound was reached.
    pub refused: u64,
    /// Seconds since the service started.
    pub elapsed: f64,
}

/// A running service; shared between its server and its driver thread.
#[derive(Debug)]
pub struct Service {
    clock: Clock,
    state: Mutex<State>,
    earlier: Condvar,
    bounds: Bounds,
}

#[derive(Debug)]
struct State {
    model: Model<Signup>,
    ledger: Ledger,
    rng: fastrand::Rng,
    refused: u64,
    stopping: bool,
}

#[derive(Debug)]
struct Signup {
    key: Box<str>,
    attempt: u32,
    received: Duration,
    in_flight: usize,
    reply: oneshot::Sender<Registered>,
}

impl Service {
    /// An idle service whose draws of work come from `seed`.
    #[must_use]
    pub fn new(curve: Curve, bounds: Bounds, seed: u64, ledger: Ledger) -> Self {
        let model = Model::new(curve, bounds.in_flight);
        let rng = fastrand::Rng::with_seed(seed);
        let state = Mutex::new(State { model, ledger, rng, refused: 0, stopping: false });
        Self { clock: Clock::start(), state, earlier: Condvar::new(), bounds }
    }

    /// Starts the work of one sign-up. Dropping the receiver is how the caller goes; the work goes on.
    ///
    /// # Errors
    /// [`Refused`] when a bound is reached.
    pub fn register(&self, key: &str, attempt: u32) -> Result<oneshot::Receiver<Registered>, Refused> {
        let mut state = self.lock();
        let received = self.clock.now();
        state.settle(received);
        let due = state.model.next_due();
        if state.ledger.keys() + state.model.in_flight() >= self.bounds.keys {
            state.refused += 1;
            return Err(Refused);
        }
        let work = 0.5 + state.rng.f64();
        let in_flight = state.model.in_flight() + 1;
        let (reply, answer) = oneshot::channel();
        if state.model.start(work, Signup { key: key.into(), attempt, received, in_flight, reply }).is_err() {
            state.refused += 1;
            return Err(Refused);
        }
        if due.is_none_or(|due| state.model.next_due() < Some(due)) {
            self.earlier.notify_one();
        }
        Ok(answer)
    }

    /// Finishes requests as they fall due, until [`Service::stop`]. Blocks: for a thread of its own.
    pub fn drive(&self) {
        let mut state = self.lock();
        while !state.stopping {
            state.settle(self.clock.now());
            state = match state.model.next_due() {
                Some(due) => {
                    let wait = due.saturating_sub(self.clock.now());
                    self.earlier.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.earlier.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
        state.ledger.close();
    }

    /// Ends [`Service::drive`] and closes the ledger.
    pub fn stop(&self) {
        self.lock().stopping = true;
        self.earlier.notify_all();
    }

    /// The account so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let mut state = self.lock();
        let now = self.clock.now();
        state.settle(now);
        Summary {
            counts: state.ledger.counts(),
            in_flight: state.model.in_flight(),
            max_in_flight: state.model.peak(),
            work: state.model.work(),
            refused: state.refused,
            elapsed: now.as_secs_f64(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn settle(&mut self, now: Duration) {
        let Self { model, ledger, .. } = self;
        model.advance(now, |done| conclude(ledger, done));
    }
}

/// The effect first, then the answer: nobody is told what has not happened.
fn conclude(ledger: &mut Ledger, done: Done<Signup>) {
    let Signup { key, attempt, received, in_flight, reply } = done.token;
    let (effect, number) = ledger.sign_up(&key);
    let heard = reply.send(Registered { number, effect }).is_ok();
    let (received_us, done_us) = (micros(received), micros(done.at));
    ledger.enter(Record { key, attempt, received_us, done_us, in_flight, work: done.work, heard, effect });
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn service(bounds: Bounds) -> Arc<Service> {
        Arc::new(Service::new(Curve::kink(1_000.0, 20, 0.1), bounds, 1, Ledger::new(false, None)))
    }

    fn driven(service: &Arc<Service>, body: impl FnOnce()) {
        std::thread::scope(|scope| {
            scope.spawn(|| service.drive());
            body();
            service.stop();
        });
    }

    #[test]
    fn the_place_is_free_before_the_answer_is_there() {
        let service = service(Bounds { in_flight: 1, keys: 100 });
        driven(&service, || {
            for turn in 1..=20 {
                let answer = service.register("somebody", turn).expect("the place is free");
                let registered = answer.blocking_recv().expect("driven");
                assert_eq!(registered.number, u64::from(turn));
            }
        });
        assert_eq!(service.summary().max_in_flight, 1);
        assert_eq!(service.summary().counts.duplicates, 19);
    }

    #[test]
    fn work_goes_on_when_the_caller_has_gone() {
        let service = service(Bounds { in_flight: 10, keys: 100 });
        driven(&service, || {
            drop(service.register("gone", 1).expect("room"));
            service.register("there", 1).expect("room").blocking_recv().expect("driven");
            while service.summary().in_flight > 0 {
                std::thread::yield_now();
            }
        });
        let summary = service.summary();
        assert_eq!((summary.counts.effects, summary.counts.wasted), (2, 1));
        assert!(summary.counts.wasted_work >= 0.5 && summary.counts.wasted_work < summary.work);
    }

    #[test]
    fn beyond_a_bound_is_refused_and_counted() {
        let service = service(Bounds { in_flight: 2, keys: 100 });
        let held: Vec<_> = (0..3).map(|turn| service.register(&format!("p{turn}"), 1)).collect();
        assert_eq!(held.iter().filter(|answer| answer.is_ok()).count(), 2);
        let few_keys = self::service(Bounds { in_flight: 100, keys: 1 });
        assert!(few_keys.register("a", 1).is_ok() && few_keys.register("b", 1).is_err());
        assert_eq!((service.summary().refused, few_keys.summary().refused), (1, 1));
    }
}
