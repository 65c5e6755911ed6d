//! The laws of Netflix concurrency-limits, with the defaults of its code.

use super::{End, Law, Seen, whole};

/// A request that takes longer counts as dropped by [`Aimd`], in seconds.
const TIMEOUT: f64 = 5.0;

/// Sums over a window of one second and at least ten samples.
#[derive(Debug, Default)]
struct Window {
    since: f64,
    count: u32,
    sum: f64,
    least: f64,
    in_flight: u32,
    dropped: bool,
}

impl Window {
    /// Adds a sample; gives the window when it is full, and begins the next.
    fn add(&mut self, end: End) -> Option<Self> {
        self.count += 1;
        self.sum += end.hold;
        self.least = if self.count == 1 { end.hold } else { self.least.min(end.hold) };
        self.in_flight = self.in_flight.max(end.in_flight);
        self.dropped |= !end.success;
        let full = end.now - self.since >= 1.0 && self.count >= 10;
        full.then(|| std::mem::replace(self, Self { since: end.now, ..Self::default() }))
    }

    fn mean(&self) -> f64 {
        self.sum / f64::from(self.count)
    }
}

/// Additive increase, multiplicative decrease on drops and timeouts.
#[derive(Debug)]
pub(crate) struct Aimd(f64);

impl Default for Aimd {
    fn default() -> Self {
        Self(20.0)
    }
}

impl Law for Aimd {
    fn limit(&self) -> u32 {
        whole(self.0)
    }

    fn ended(&mut self, end: End) {
        if !end.success || end.hold > TIMEOUT {
            self.0 *= 0.9;
        } else if f64::from(end.in_flight) * 2.0 >= self.0 {
            self.0 += 1.0;
        }
        self.0 = self.0.clamp(20.0, 200.0);
    }

    fn tick(&mut self, _: f64, _: Seen) {}
}

/// TCP Vegas: the queue is estimated from the ratio to the smallest response time.
#[derive(Debug)]
pub(crate) struct Vegas {
    limit: f64,
    base: f64,
    updates: f64,
    probe_at: f64,
    window: Window,
    random: fastrand::Rng,
}

impl Vegas {
    /// Its probes are jittered by `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        Self { limit: 20.0, base: 0.0, updates: 0.0, probe_at: 450.0, window: Window::default(), random }
    }
}

impl Law for Vegas {
    fn limit(&self) -> u32 {
        whole(self.limit)
    }

    fn ended(&mut self, end: End) {
        let Some(window) = self.window.add(end) else { return };
        let mean = window.mean();
        self.updates += 1.0;
        if self.updates >= self.probe_at {
            self.updates = 0.0;
            self.probe_at = (0.5 + 0.5 * self.random.f64()) * 30.0 * self.limit;
            self.base = mean;
            return;
        }
        if self.base == 0.0 || mean < self.base {
            self.base = mean;
            return;
        }
        if f64::from(window.in_flight) * 2.0 < self.limit {
            return;
        }
        let log = self.limit.log10().max(1.0);
        let queue = (self.limit * (1.0 - self.base / mean)).ceil();
        let (alpha, beta) = (3.0 * log, 6.0 * log);
        if window.dropped || queue > beta {
            self.limit -= log;
        } else if queue <= log {
            self.limit += beta;
        } else if queue < alpha {
            self.limit += log;
        }
        self.limit = self.limit.clamp(1.0, 1000.0);
    }

    fn tick(&mut self, _: f64, _: Seen) {}
}

/// The ratio of a long mean of response times to a short one.
#[derive(Debug)]
pub(crate) struct Gradient2 {
    limit: f64,
    long: f64,
    samples: u32,
    window: Window,
}

impl Default for Gradient2 {
    fn default() -> Self {
        Self { limit: 20.0, long: 0.0, samples: 0, window: Window::default() }
    }
}

impl Gradient2 {
    /// An exponential mean over 600 samples that begins as the plain mean of ten.
    fn follow(&mut self, short: f64) {
        self.samples += 1;
        let weight = if self.samples < 10 { 1.0 / f64::from(self.samples) } else { 2.0 / 601.0 };
        self.long += weight * (short - self.long);
    }
}

impl Law for Gradient2 {
    fn limit(&self) -> u32 {
        whole(self.limit)
    }

    fn ended(&mut self, end: End) {
        let Some(window) = self.window.add(end) else { return };
        let short = window.mean();
        self.follow(short);
        if self.long / short > 2.0 {
            self.long *= 0.95;
        }
        if f64::from(window.in_flight) < self.limit / 2.0 {
            return;
        }
        let gradient = (1.5 * self.long / short).clamp(0.5, 1.0);
        let next = self.limit * gradient + 4.0;
        self.limit = (0.8 * self.limit + 0.2 * next).clamp(20.0, 200.0);
    }

    fn tick(&mut self, _: f64, _: Seen) {}
}
