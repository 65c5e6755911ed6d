//! The gradient controller of Envoy's adaptive concurrency filter, with the constants of its documentation.

use super::{End, Law, Seen, whole};

/// The limit while the smallest response time is measured.
const PINNED: f64 = 3.0;

/// Samples that the measurement takes.
const PROBES: usize = 50;

/// Time between measurements, with up to 15 % of jitter, in seconds.
const INTERVAL: f64 = 60.0;

/// Length of a sample window, in seconds.
const WINDOW: f64 = 0.1;

/// Five windows at the smallest limit force a measurement.
const LOW_WINDOWS: u32 = 5;

/// The gradient controller, by a percentile of response times.
#[derive(Debug)]
pub(crate) struct Gradient {
    percentile: f64,
    limit: f64,
    least: f64,
    measuring: Option<f64>,
    next_measurement: f64,
    window_ends: f64,
    low: u32,
    samples: Vec<f64>,
    random: fastrand::Rng,
}

impl Gradient {
    /// By the `percentile` (0.5, 0.9); jittered by `seed`.
    pub(crate) fn new(percentile: f64, seed: u64) -> Self {
        Self {
            percentile,
            limit: PINNED,
            least: f64::INFINITY,
            measuring: Some(0.0),
            next_measurement: f64::INFINITY,
            window_ends: WINDOW,
            low: 0,
            samples: Vec::new(),
            random: fastrand::Rng::with_seed(seed),
        }
    }

    fn take(&mut self) -> Option<f64> {
        self.samples.sort_by(f64::total_cmp);
        let value = self.samples.get(whole(self.percentile * self.samples.len() as f64) as usize).copied();
        self.samples.clear();
        value
    }

    fn measured(&mut self, now: f64) {
        self.least = self.take().unwrap_or(self.least);
        self.measuring = None;
        self.next_measurement = now + INTERVAL * (1.0 + 0.15 * self.random.f64());
        self.window_ends = now + WINDOW;
    }

    fn window(&mut self, now: f64) {
        self.window_ends = now + WINDOW;
        if self.samples.len() < 5 {
            self.samples.clear();
            return;
        }
        let Some(response) = self.take() else { return };
        let gradient = (self.least * 1.25 / response).clamp(0.5, 2.0);
        let next = self.limit * gradient;
        self.limit = (next + next.sqrt()).clamp(PINNED, 1000.0);
        self.low = if self.limit <= PINNED { self.low + 1 } else { 0 };
        if self.low >= LOW_WINDOWS || now >= self.next_measurement {
            self.low = 0;
            self.limit = PINNED;
            self.measuring = Some(now);
        }
    }
}

impl Law for Gradient {
    fn limit(&self) -> u32 {
        whole(self.limit)
    }

    fn ended(&mut self, end: End) {
        if !end.success || self.measuring.is_some_and(|since| end.now - end.hold < since) {
            return;
        }
        self.samples.push(end.hold);
        if self.measuring.is_some() && self.samples.len() >= PROBES {
            self.measured(end.now);
        }
    }

    fn tick(&mut self, now: f64, _: Seen) {
        if self.measuring.is_none() && now >= self.window_ends {
            self.window(now);
        }
    }
}
