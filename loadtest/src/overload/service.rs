//! One emulated server: processor sharing under a timeline of faults, and a log of everything true.
//!
//! **Invariants**: every request is logged with the requests in flight at its start, itself included; a request is out of
//! that count before its answer can be written. Work goes on when the caller has gone. At each [`TICK`] the work done and the
//! capacity there was are logged, exact to the instant however late the driver is; conditions change only at ticks.
//! **Cost**: one short lock per start and completion; 48 bytes a request, 24 a tick, kept until the run has been judged.
//! **Not here**: HTTP ([`super::server`]).

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use super::scenario::Server;
use super::timeline::Timeline;
use crate::clock::Clock;
use crate::origin::model::Model;

/// Grain of the log, and of the timeline of faults.
pub const TICK: Duration = Duration::from_millis(50);

/// More in flight than any run can bring: the crowd's sockets and streams are fewer.
const IN_FLIGHT: usize = 200_000;

/// A request as the service saw it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Served {
    /// The attempt's number, from the request.
    pub attempt: u32,
    /// When it was complete here.
    pub started: Duration,
    /// When its work was done; none: lost, or unfinished at the end.
    pub done: Option<Duration>,
    /// Requests in flight with it.
    pub in_flight: u32,
    /// Its work, mean 1; 0 where the server only fails.
    pub work: f64,
    /// Whether the caller was there when the answer was ready.
    pub heard: bool,
}

/// The state at one tick.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// Work done since the start.
    pub work: f64,
    /// Work there was capacity for since the start.
    pub capacity: f64,
    /// Requests in flight.
    pub in_flight: u32,
}

/// What is left when a server has stopped.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Requests in order of their start.
    pub served: Vec<Served>,
    /// One sample a tick; the first is the start.
    pub samples: Vec<Sample>,
}

/// A running server; shared between its sockets and its driver thread.
#[derive(Debug)]
pub struct Service {
    clock: Clock,
    state: Mutex<State>,
    earlier: Condvar,
}

#[derive(Debug)]
struct State {
    model: Model<Pending>,
    timeline: Timeline,
    peak: f64,
    rng: fastrand::Rng,
    log: Log,
    next_tick: Duration,
    stopping: bool,
}

#[derive(Debug)]
struct Pending {
    entry: usize,
    reply: oneshot::Sender<()>,
}

impl Service {
    /// An idle server whose time is `clock` and whose draws come from `seed`.
    #[must_use]
    pub fn new(server: &Server, timeline: Timeline, clock: Clock, seed: u64) -> Self {
        let mut model = Model::new(server.capacity.curve(), IN_FLIGHT);
        model.set_conditions(timeline.at(0.0));
        let log = Log { served: Vec::new(), samples: vec![Sample::default()] };
        let rng = fastrand::Rng::with_seed(seed);
        let state = State { model, timeline, peak: server.peak(), rng, log, next_tick: TICK, stopping: false };
        Self { clock, state: Mutex::new(state), earlier: Condvar::new() }
    }

    /// Starts the work of `attempt`; its answer is due when the receiver says so, and never if that is closed. Dropping the
    /// receiver is how the caller goes.
    #[must_use]
    pub fn start(&self, attempt: u32) -> oneshot::Receiver<()> {
        let mut state = self.lock();
        let started = self.clock.now();
        state.settle(started);
        let due = state.model.next_due();
        let work = gamma4(&mut state.rng);
        let (reply, answer) = oneshot::channel();
        let entry = state.log.served.len();
        if let Ok(in_flight) = state.model.start(work, Pending { entry, reply }) {
            state.log.served.push(Served {
                attempt,
                started,
                done: None,
                in_flight: narrow(in_flight),
                work,
                heard: false,
            });
        }
        if state.model.next_due().is_some_and(|next| due.is_none_or(|due| next < due)) {
            self.earlier.notify_one();
        }
        answer
    }

    /// Logs an attempt that is answered with a failure and no work.
    pub fn fail(&self, attempt: u32) {
        let mut state = self.lock();
        let now = self.clock.now();
        let in_flight = narrow(state.model.in_flight()) + 1;
        state.log.served.push(Served { attempt, started: now, done: Some(now), in_flight, work: 0.0, heard: true });
    }

    /// Finishes requests as they fall due, until [`Service::stop`]. Blocks: for a thread of its own.
    pub fn drive(&self) {
        let mut state = self.lock();
        while !state.stopping {
            state.settle(self.clock.now());
            let due = state.model.next_due().map_or(state.next_tick, |due| due.min(state.next_tick));
            let wait = due.saturating_sub(self.clock.now());
            state = self.earlier.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Ends [`Service::drive`] and gives the log away.
    #[must_use]
    pub fn stop(&self) -> Log {
        let mut state = self.lock();
        state.settle(self.clock.now());
        state.stopping = true;
        self.earlier.notify_all();
        std::mem::take(&mut state.log)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn settle(&mut self, now: Duration) {
        while self.next_tick <= now {
            let tick = self.next_tick;
            let before = tick.saturating_sub(TICK).as_secs_f64();
            self.advance(tick);
            let last = self.log.samples.last().copied().unwrap_or_default();
            let capacity = last.capacity + self.peak * self.timeline.at(before).capacity() * TICK.as_secs_f64();
            let in_flight = narrow(self.model.in_flight());
            self.log.samples.push(Sample { work: self.model.work(), capacity, in_flight });
            self.model.set_conditions(self.timeline.at(tick.as_secs_f64()));
            if self.timeline.is_closed(tick.as_secs_f64()) {
                self.model.break_off();
            }
            self.next_tick = tick + TICK;
        }
        self.advance(now);
    }

    fn advance(&mut self, now: Duration) {
        let Self { model, log, .. } = self;
        model.advance(now, |done| {
            let heard = done.token.reply.send(()).is_ok();
            if let Some(entry) = log.served.get_mut(done.token.entry) {
                (entry.done, entry.heard) = (Some(done.at), heard);
            }
        });
    }
}

fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Work of a request: Gamma with shape 4 and mean 1, the sum of four exponentials.
fn gamma4(rng: &mut fastrand::Rng) -> f64 {
    // 1 − u is never 0.
    -(0..4).map(|_| (1.0 - rng.f64()).ln()).sum::<f64>() / 4.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overload::scenario::{Answers, Capacity, Fault, FaultKind};

    fn service(faults: &[Fault]) -> Service {
        let capacity = Capacity::Usl { base_time: 0.05, peak_at: 64, contention: 0.01 };
        let server = Server { capacity, answers: Answers::Work };
        Service::new(&server, Timeline::of(faults, 0), Clock::start(), 1)
    }

    #[test]
    fn work_is_gamma_of_shape_4() {
        let mut rng = fastrand::Rng::with_seed(3);
        let draws: Vec<f64> = (0..100_000).map(|_| gamma4(&mut rng)).collect();
        let mean = draws.iter().sum::<f64>() / 1e5;
        let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / 1e5;
        assert!((mean - 1.0).abs() < 0.01 && (variance - 0.25).abs() < 0.01, "{mean} {variance}");
    }

    #[test]
    fn the_log_has_capacity_work_and_departures() {
        let stall = Fault { at: 0.1, lasts: 0.1, server: None, kind: FaultKind::Stall };
        let service = service(&[stall]);
        let log = std::thread::scope(|scope| {
            scope.spawn(|| service.drive());
            let (stays, goes) = (service.start(7), service.start(8));
            drop(goes);
            stays.blocking_recv().expect("driven");
            while service.clock.now() < Duration::from_millis(700) {
                std::thread::yield_now();
            }
            service.stop()
        });
        let heard: Vec<_> = log.served.iter().map(|served| (served.attempt, served.in_flight, served.heard)).collect();
        assert_eq!(heard, [(7, 1, true), (8, 2, false)]);
        // Half a second of the capacity of 491.5, less the tenth that it stood still.
        let at = |tick: usize| log.samples.get(tick).copied().expect("a sample");
        assert!((at(10).capacity - 491.5 * 0.4).abs() < 0.1, "{:?}", at(10));
        assert!((at(3).work - at(2).work).abs() < 1e-9, "it stood still");
        let done: f64 = log.served.iter().map(|served| served.work).sum();
        assert!((at(12).work - done).abs() < 1e-9 && at(12).in_flight == 0, "{:?} {done}", at(12));
    }

    #[test]
    fn what_was_in_flight_when_it_died_is_lost() {
        let die = Fault { at: 0.05, lasts: 0.1, server: None, kind: FaultKind::Refuse { warm_up: 5.0 } };
        let service = service(&[die]);
        let lost: Vec<_> = (0..500).map(|attempt| service.start(attempt)).collect();
        let log = std::thread::scope(|scope| {
            scope.spawn(|| service.drive());
            for answer in lost {
                answer.blocking_recv().ok();
            }
            service.stop()
        });
        assert!(log.served.iter().filter(|served| served.done.is_none()).count() > 400);
    }
}
