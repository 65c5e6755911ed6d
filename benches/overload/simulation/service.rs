//! The simulated service: processor sharing in virtual time, after the universal scalability law or with a sharp kink.
//!
//! A job of work `w` is done when the virtual clock, which runs at `X(n)/n`, has advanced by `w`: everybody in service gets
//! the same share of what `n` in flight let the service do. Jobs whose client has left stay (zombies), as they do in life.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Throughput as a function of how many are in flight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    /// `X(n) = (n/r0) / (1 + σ(n−1) + κn(n−1))` with its peak at `peak_at`.
    Usl {
        /// Contention σ.
        sigma: f64,
        /// Concurrency of the highest throughput.
        peak_at: f64,
        /// Response time of a lone request, in seconds.
        alone: f64,
    },
    /// Linear up to `knee`, where it does `capacity`; beyond it `capacity / (1 + slope·(n − knee)/knee)`.
    Kink {
        /// Concurrency of the highest throughput.
        knee: f64,
        /// Highest throughput, a second.
        capacity: f64,
        /// How sharply it falls beyond the knee; 0 is a pool of threads with a queue.
        slope: f64,
    },
}

impl Shape {
    /// Throughput with `n` in flight on a service with `parallelism` of its servers left.
    fn throughput(self, n: f64, parallelism: f64) -> f64 {
        match self {
            Self::Usl { sigma, peak_at, alone } => {
                let peak_at = peak_at * parallelism;
                let kappa = (1.0 - sigma) / (peak_at * peak_at);
                (n / alone) / (1.0 + sigma * (n - 1.0) + kappa * n * (n - 1.0))
            }
            Self::Kink { knee, capacity, slope } => {
                let (knee, capacity) = (knee * parallelism, capacity * parallelism);
                if n <= knee { capacity * n / knee } else { capacity / (1.0 + slope * (n - knee) / knee) }
            }
        }
    }

    /// Concurrency of the highest throughput while everything is well.
    pub(crate) fn optimum(self) -> f64 {
        match self {
            Self::Usl { peak_at, .. } => peak_at,
            Self::Kink { knee, .. } => knee,
        }
    }

    /// Highest throughput while everything is well.
    pub(crate) fn peak(self) -> f64 {
        self.throughput(self.optimum(), 1.0)
    }
}

/// How much the works of requests differ; the mean is one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Work {
    /// Gamma with four stages: a coefficient of variation of one half.
    Gamma,
    /// Uniform between one half and one and a half.
    Uniform,
    /// Exponential.
    Exponential,
}

impl Work {
    /// One draw.
    pub(crate) fn draw(self, random: &mut fastrand::Rng) -> f64 {
        match self {
            Self::Gamma => (0..4).map(|_| exponential(random)).sum::<f64>() / 4.0,
            Self::Uniform => 0.5 + random.f64(),
            Self::Exponential => exponential(random),
        }
    }
}

/// An exponential draw of mean one.
pub(crate) fn exponential(random: &mut fastrand::Rng) -> f64 {
    -(1.0 - random.f64()).ln()
}

/// What is the matter with the service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Condition {
    /// Share of its servers that are left.
    pub(crate) parallelism: f64,
    /// Speed of each, 1 when well.
    pub(crate) speed: f64,
    /// Accepts and does not answer.
    pub(crate) stalled: bool,
    /// Refuses, or fails, everything at once.
    pub(crate) failing: bool,
    /// When it started cold, in seconds of the simulation.
    pub(crate) started: Option<f64>,
}

impl Condition {
    /// All is well.
    pub(crate) const WELL: Self = Self { parallelism: 1.0, speed: 1.0, stalled: false, failing: false, started: None };

    /// Speed at `now`, with a cold start's `1 / (1 + 2·e^(−t/5 s))`.
    fn pace(&self, now: f64) -> f64 {
        let cold = self.started.map_or(0.0, |started| 2.0 * (-(now - started) / 5.0).exp());
        self.speed / (1.0 + cold)
    }
}

/// A job in service, ordered by the virtual time at which it is done; the earliest is the greatest.
#[derive(Debug)]
struct Running<J> {
    done: f64,
    job: J,
}

impl<J> PartialEq for Running<J> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<J> Eq for Running<J> {}

impl<J> PartialOrd for Running<J> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<J> Ord for Running<J> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.done.total_cmp(&self.done)
    }
}

/// The service with the jobs inside it.
#[derive(Debug)]
pub(crate) struct Service<J> {
    shape: Shape,
    /// What is the matter with it. Whoever changes this calls [`Service::advance`] first.
    pub(crate) condition: Condition,
    clock: f64,
    at: f64,
    jobs: BinaryHeap<Running<J>>,
}

impl<J> Service<J> {
    /// An idle service in good health.
    pub(crate) fn new(shape: Shape) -> Self {
        Self { shape, condition: Condition::WELL, clock: 0.0, at: 0.0, jobs: BinaryHeap::new() }
    }

    /// Lets time pass until `now`.
    pub(crate) fn advance(&mut self, now: f64) {
        self.clock += self.rate() * (now - self.at);
        self.at = now;
    }

    /// Begins a job of `work`, at the present moment.
    pub(crate) fn begin(&mut self, work: f64, job: J) {
        self.jobs.push(Running { done: self.clock + work, job });
    }

    /// When the next job is done, if nothing changes.
    pub(crate) fn next_done(&self) -> f64 {
        let rate = self.rate();
        match self.jobs.peek() {
            Some(next) if rate > 0.0 => self.at + (next.done - self.clock).max(0.0) / rate,
            _ => f64::INFINITY,
        }
    }

    /// Takes out the job that is done next.
    pub(crate) fn finish(&mut self) -> Option<J> {
        self.jobs.pop().map(|running| running.job)
    }

    /// Jobs a second, of unit work, that the service could do at this moment at its best concurrency.
    pub(crate) fn capacity(&self) -> f64 {
        if self.condition.stalled || self.condition.failing {
            return 0.0;
        }
        let optimum = self.shape.optimum() * self.condition.parallelism;
        self.shape.throughput(optimum, self.condition.parallelism) * self.condition.pace(self.at)
    }

    /// Virtual seconds a second.
    fn rate(&self) -> f64 {
        let n = self.jobs.len() as f64;
        if n < 1.0 || self.condition.stalled {
            return 0.0;
        }
        self.shape.throughput(n, self.condition.parallelism) / n * self.condition.pace(self.at)
    }
}
