//! Processor sharing in virtual time: everything in flight progresses at the same speed, and the more there is the slower.
//!
//! With `n` in flight every request gets `X(n)/n` of work per second. One number `v`, the work each has received since it
//! started counting, is enough: a request that starts at `v` with work `w` is done when `v` reaches `start + w`.
//!
//! **Invariants**: completions are delivered in order of their exact instants however late [`Model::advance`] is called;
//! in flight never exceeds the bound; work is never cancelled.
//! **Cost**: O(log n) per start and completion; about 100 bytes a request in flight.
//! **Not here**: clocks, timers, sockets: time is an argument.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::curve::Curve;

/// The service's state: what is in flight and how far it is.
#[derive(Debug)]
pub struct Model<T> {
    curve: Curve,
    bound: usize,
    now: f64,
    shared: f64,
    running: BinaryHeap<Job<T>>,
    started: u64,
    peak: usize,
    work: f64,
}

/// A request that is done.
#[derive(Debug)]
pub struct Done<T> {
    /// What [`Model::start`] was given.
    pub token: T,
    /// The exact instant of completion.
    pub at: Duration,
    /// Its work, in units of the mean request.
    pub work: f64,
}

#[derive(Debug)]
struct Job<T> {
    done_at: f64,
    sequence: u64,
    work: f64,
    token: T,
}

impl<T> Model<T> {
    /// An idle service with at most `bound` requests in flight.
    #[must_use]
    pub fn new(curve: Curve, bound: usize) -> Self {
        let running = BinaryHeap::new();
        Self { curve, bound, now: 0.0, shared: 0.0, running, started: 0, peak: 0, work: 0.0 }
    }

    /// Moves time to `now` and hands every request done by then to `done`, in order. Earlier instants are ignored.
    pub fn advance(&mut self, now: Duration, mut done: impl FnMut(Done<T>)) {
        let until = now.as_secs_f64();
        while self.now < until {
            let Some(speed) = self.speed() else {
                self.now = until;
                self.shared = 0.0;
                return;
            };
            let next = self.running.peek().map_or(f64::INFINITY, |job| job.done_at);
            let finish = self.now + (next - self.shared).max(0.0) / speed;
            if finish > until {
                let progress = (until - self.now) * speed;
                self.shared += progress;
                self.work += progress * self.running.len() as f64;
                self.now = until;
                return;
            }
            self.work += (next - self.shared).max(0.0) * self.running.len() as f64;
            self.now = finish;
            self.shared = next;
            if let Some(job) = self.running.pop() {
                done(Done { token: job.token, at: seconds(finish), work: job.work });
            }
        }
    }

    /// Starts a request of `work` (mean 1) at the instant of the last [`Model::advance`]; answers how many are in flight
    /// with it.
    ///
    /// # Errors
    /// Gives the token back when the bound is reached.
    pub fn start(&mut self, work: f64, token: T) -> Result<usize, T> {
        if self.running.len() >= self.bound {
            return Err(token);
        }
        self.running.push(Job { done_at: self.shared + work, sequence: self.started, work, token });
        self.started += 1;
        self.peak = self.peak.max(self.running.len());
        Ok(self.running.len())
    }

    /// When the next request will be done if none starts before.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        let job = self.running.peek()?;
        let speed = self.speed()?;
        Some(seconds(self.now + (job.done_at - self.shared).max(0.0) / speed))
    }

    /// Requests in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.running.len()
    }

    /// The most that ever were in flight.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.peak
    }

    /// Work done so far, in units of the mean request, the unfinished included.
    #[must_use]
    pub fn work(&self) -> f64 {
        self.work
    }

    /// Work per second that each request receives; none while idle.
    fn speed(&self) -> Option<f64> {
        let n = self.running.len();
        (n > 0).then(|| self.curve.throughput(n) / n as f64)
    }
}

fn seconds(value: f64) -> Duration {
    Duration::try_from_secs_f64(value).unwrap_or(Duration::MAX)
}

// The heap's greatest is the job that is done first; among equals the one that started first.
impl<T> Ord for Job<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.done_at.total_cmp(&self.done_at).then(other.sequence.cmp(&self.sequence))
    }
}

impl<T> PartialOrd for Job<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Job<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Job<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: f64 = 400.0;
    const KNEE: u32 = 40;

    /// Keeps `n` in flight until 20 n are done, so that no two are in step any more, and answers completions per second
    /// over the next 10,000.
    fn steady(curve: Curve, n: usize) -> f64 {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut model = Model::new(curve, n);
        for _ in 0..n {
            model.start(0.5 + rng.f64(), ()).expect("below the bound");
        }
        let mut instants = Vec::new();
        while instants.len() < 20 * n + 10_000 {
            let due = model.next_due().expect("in flight");
            let before = instants.len();
            model.advance(due + Duration::from_nanos(1), |done| instants.push(done.at.as_secs_f64()));
            for _ in before..instants.len() {
                model.start(0.5 + rng.f64(), ()).expect("one is done");
            }
        }
        let measured = &instants[20 * n..];
        (measured.len() - 1) as f64 / (measured[measured.len() - 1] - measured[0])
    }

    #[test]
    fn steady_throughput_matches_the_curve_below_at_and_above_the_knee() {
        for curve in [Curve::kink(CAPACITY, KNEE, 0.1), Curve::usl(CAPACITY, KNEE, 0.02)] {
            for n in [1, 20, 40, 80, 400] {
                let expected = curve.throughput(n);
                let measured = steady(curve, n);
                assert!((measured / expected - 1.0).abs() < 0.02, "n {n}: {measured} against {expected}");
            }
        }
    }

    #[test]
    fn a_late_call_finds_the_same_instants_as_a_punctual_one() {
        let run = |step: Duration| {
            let mut model = Model::new(Curve::kink(CAPACITY, KNEE, 0.1), 1_000);
            for index in 0..100_u32 {
                model.start(0.5 + f64::from(index) / 100.0, index).expect("below the bound");
            }
            let (mut instants, mut now) = (Vec::new(), Duration::ZERO);
            while model.in_flight() > 0 {
                now += step;
                model.advance(now, |done| instants.push((done.token, done.at.as_micros())));
            }
            instants
        };
        assert_eq!(run(Duration::from_millis(1)), run(Duration::from_secs(10)));
    }

    #[test]
    fn one_alone_takes_its_work_times_the_base_time() {
        let mut model = Model::new(Curve::kink(CAPACITY, KNEE, 0.1), 10);
        model.advance(Duration::from_secs(5), |_| unreachable!("idle"));
        model.start(1.5, ()).expect("idle");
        assert_eq!(model.next_due(), Some(Duration::from_millis(5_150)));
    }

    #[test]
    fn the_bound_holds_and_the_peak_and_the_work_are_exact() {
        let mut model = Model::new(Curve::kink(CAPACITY, KNEE, 0.1), 2);
        assert_eq!(model.start(1.0, 'a'), Ok(1));
        assert_eq!(model.start(0.5, 'b'), Ok(2));
        assert_eq!(model.start(1.0, 'c'), Err('c'));
        let mut order = Vec::new();
        model.advance(Duration::from_secs(1), |done| order.push(done.token));
        assert_eq!((order, model.peak(), model.in_flight()), (vec!['b', 'a'], 2, 0));
        assert!((model.work() - 1.5).abs() < 1e-9);
    }
}
