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

/// How well the service is: what is left of its parallelism and of its speed.
///
/// A service with the share `p` of its servers finishes `p·X(n/p)` a second: half the capacity with half the requests in
/// flight, at the same response time. One of speed `s` finishes `s·X(n)`: all of it takes longer, the knee stays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conditions {
    /// Share of the parallelism, above 0 and at most 1.
    pub parallelism: f64,
    /// Factor on the speed; at 0 everything in flight stands still.
    pub speed: f64,
}

impl Conditions {
    /// Nothing is wrong.
    pub const HEALTHY: Self = Self { parallelism: 1.0, speed: 1.0 };

    /// The share of its capacity that is left.
    #[must_use]
    pub fn capacity(self) -> f64 {
        self.parallelism * self.speed
    }
}

/// The service's state: what is in flight and how far it is.
#[derive(Debug)]
pub struct Model<T> {
    curve: Curve,
    conditions: Conditions,
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
        Self {
            curve,
            conditions: Conditions::HEALTHY,
            bound,
            now: 0.0,
            shared: 0.0,
            running,
            started: 0,
            peak: 0,
            work: 0.0,
        }
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
            if speed <= 0.0 {
                self.now = until;
                return;
            }
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

    /// From the instant of the last [`Model::advance`] on, it is as well as this.
    pub fn set_conditions(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    /// Everything in flight is lost, as when the service dies; its work so far stays counted.
    pub fn break_off(&mut self) {
        self.running.clear();
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

    /// When the next request will be done if none starts before and the conditions stay; never while it stands still.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        let job = self.running.peek()?;
        let speed = self.speed().filter(|speed| *speed > 0.0)?;
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
        let (n, Conditions { parallelism, speed }) = (self.running.len() as f64, self.conditions);
        (n > 0.0).then(|| speed * parallelism * self.curve.throughput_at(n / parallelism) / n)
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
    fn conditions_change_what_is_in_flight_from_their_instant_on() {
        let at = Duration::from_millis;
        let mut model = Model::new(Curve::kink(CAPACITY, KNEE, 0.1), 100);
        model.start(1.0, ()).expect("idle");
        model.advance(at(50), |_| unreachable!("half done"));
        model.set_conditions(Conditions { parallelism: 1.0, speed: 0.0 });
        assert_eq!(model.next_due(), None);
        model.advance(at(1_050), |_| unreachable!("it stands still"));
        model.set_conditions(Conditions { parallelism: 1.0, speed: 0.5 });
        assert_eq!(model.next_due(), Some(at(1_150)));
        // Half the parallelism: one alone is as fast as ever, 40 do what 80 did, halved.
        model.set_conditions(Conditions { parallelism: 0.5, speed: 1.0 });
        assert_eq!(model.next_due(), Some(at(1_100)));
        for _ in 1..40 {
            model.start(1.0, ()).expect("below the bound");
        }
        let speed = model.speed().expect("in flight");
        assert!((speed * 40.0 - CAPACITY / 1.1 / 2.0).abs() < 1e-9, "{speed}");
        model.break_off();
        assert_eq!((model.in_flight(), model.next_due()), (0, None));
    }

    /// M/M/1-PS: with a service that does 100 a second however many are in flight, Poisson arrivals of 70 a second and
    /// exponential work, the mean response time is 1/(μ − λ) = 33.3 ms (Kleinrock 1967), and it is proportional to the
    /// work: that of requests of more than twice the mean is three times the mean of all.
    #[test]
    fn mean_response_times_are_those_of_processor_sharing() {
        let mut rng = fastrand::Rng::with_seed(11);
        let mut model = Model::new(Curve::kink(100.0, 1, 0.0), 100_000);
        let (mut now, mut all, mut long) = (0.0, (0.0, 0.0), (0.0, 0.0));
        for _ in 0..200_000 {
            now += -(1.0 - rng.f64()).ln() / 70.0;
            model.advance(Duration::from_secs_f64(now), |done| {
                let took = done.at.as_secs_f64() - done.token;
                all = (all.0 + took, all.1 + 1.0);
                if done.work > 2.0 {
                    long = (long.0 + took, long.1 + 1.0);
                }
            });
            model.start(-(1.0 - rng.f64()).ln(), now).expect("below the bound");
        }
        let (mean, long) = (all.0 / all.1, long.0 / long.1);
        assert!((mean / (1.0 / 30.0) - 1.0).abs() < 0.05, "{mean}");
        assert!((long / (3.0 / 30.0) - 1.0).abs() < 0.05, "{long}");
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
