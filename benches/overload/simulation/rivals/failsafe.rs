//! failsafe-go's `AdaptiveLimiter`, an open relative of Uber's Cinnamon, with the defaults of its builder: the queue is
//! estimated as Vegas does, and correlations of concurrency with throughput and response time brake it.

use std::collections::VecDeque;

use super::{End, Law, Seen, whole};

/// Length of a window in seconds, and its samples at least.
const WINDOW: (f64, usize) = (1.0, 50);

/// Recent response time: this quantile of a window, ...
const QUANTILE: f64 = 0.9;

/// ... the median of so many windows, exponentially smoothed over as many; ...
const RECENT: usize = 5;

/// ... and the baseline over so many.
const BASELINE: f64 = 10.0;

/// Windows that correlations look back on.
const CORRELATED: usize = 50;

/// Limits at least, at first and at most.
const LIMITS: (f64, f64, f64) = (1.0, 20.0, 200.0);

/// The limit exceeds the highest concurrency at most so many times.
const FACTOR_MAX: f64 = 5.0;

/// Factors of the decimal logarithm of the limit: queues below and above which the limit moves.
const QUEUE: (f64, f64) = (3.0, 6.0);

/// Throughput whose coefficient of variation is less is flat.
const FLAT: f64 = 0.2;

/// Correlations: weak with throughput, strong with response time.
const CORRELATIONS: (f64, f64) = (0.3, 0.5);

/// The adaptive limiter.
#[derive(Debug)]
pub(crate) struct Failsafe {
    limit: f64,
    since: f64,
    samples: Vec<f64>,
    highest: f64,
    quantiles: VecDeque<f64>,
    recent: f64,
    baseline: f64,
    /// Concurrency, throughput and response time of the last windows.
    history: VecDeque<[f64; 3]>,
}

impl Default for Failsafe {
    fn default() -> Self {
        Self {
            limit: LIMITS.1,
            since: 0.0,
            samples: Vec::new(),
            highest: 0.0,
            quantiles: VecDeque::new(),
            recent: 0.0,
            baseline: 0.0,
            history: VecDeque::new(),
        }
    }
}

impl Failsafe {
    fn window(&mut self) {
        self.samples.sort_by(f64::total_cmp);
        let quantile = self.samples[whole(QUANTILE * self.samples.len() as f64) as usize];
        push(&mut self.quantiles, quantile, RECENT);
        let mut sorted: Vec<f64> = self.quantiles.iter().copied().collect();
        sorted.sort_by(f64::total_cmp);
        smooth(&mut self.recent, sorted[sorted.len() / 2], RECENT as f64);
        smooth(&mut self.baseline, self.recent, BASELINE);
        // As the original does: throughput is not counted but concluded.
        push(&mut self.history, [self.highest, self.highest / self.recent, self.recent], CORRELATED);
        self.decide();
    }

    fn decide(&mut self) {
        let log = self.limit.log10().max(1.0);
        let queue = (self.limit * (1.0 - self.baseline / self.recent)).ceil();
        let full = self.highest >= self.limit;
        let [concurrency, throughput, response] = [0, 1, 2].map(|of| self.history.iter().map(move |row| row[of]));
        let with_throughput = correlation(concurrency.clone(), throughput.clone());
        let with_response = correlation(concurrency, response);
        let slower = with_response > CORRELATIONS.1;
        let overloaded = full
            && (with_throughput < 0.0
                || (with_throughput < CORRELATIONS.0 && slower)
                || (variation(throughput) < FLAT && slower));
        let mut next = self.limit;
        if queue > QUEUE.1 * log || overloaded {
            next -= log;
        } else if queue < QUEUE.0 * log {
            next += log;
        }
        if next > FACTOR_MAX * self.highest {
            next = self.limit - log;
        }
        self.limit = next.clamp(LIMITS.0, LIMITS.2);
    }
}

impl Law for Failsafe {
    fn limit(&self) -> u32 {
        whole(self.limit)
    }

    fn ended(&mut self, end: End) {
        if end.success {
            self.samples.push(end.hold);
            self.highest = self.highest.max(f64::from(end.in_flight));
        }
    }

    fn tick(&mut self, now: f64, _: Seen) {
        if now - self.since >= WINDOW.0 && self.samples.len() >= WINDOW.1 {
            self.window();
            self.since = now;
            self.samples.clear();
            self.highest = 0.0;
        }
    }
}

fn push<T>(window: &mut VecDeque<T>, value: T, most: usize) {
    window.push_back(value);
    if window.len() > most {
        window.pop_front();
    }
}

/// Moves an exponential mean of so many samples; the first sample is the mean.
fn smooth(mean: &mut f64, value: f64, samples: f64) {
    let weight = if *mean == 0.0 { 1.0 } else { 2.0 / (samples + 1.0) };
    *mean += weight * (value - *mean);
}

fn mean(values: impl Iterator<Item = f64> + Clone) -> f64 {
    values.clone().sum::<f64>() / values.count() as f64
}

/// Standard deviation over mean.
fn variation(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let centre = mean(values.clone());
    mean(values.map(|value| (value - centre).powi(2))).sqrt() / centre
}

/// Pearson's; none where one of the two does not vary.
fn correlation(left: impl Iterator<Item = f64> + Clone, right: impl Iterator<Item = f64> + Clone) -> f64 {
    let (x, y) = (mean(left.clone()), mean(right.clone()));
    let covariance =
        mean(left.clone().zip(right.clone()).map(|(a, b)| (a - x) * (b - y)).collect::<Vec<_>>().into_iter());
    let product = variation(left) * x * variation(right) * y;
    if product > 0.0 { covariance / product } else { 0.0 }
}
