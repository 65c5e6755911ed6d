//! The words that metrics are counted in, behind the handles of the `metrics` crate.
//!
//! **Invariants**: fixed size from registration on; an increment is never lost.
//! **Cost**: counter one relaxed add; gauge one CAS loop; histogram a search over [`BOUNDS_NANOS`] and two relaxed adds.
//! Every cell that different workers write stands on cache lines of its own.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use metrics::{CounterFn, GaugeFn, HistogramFn};

/// A number that only grows.
#[derive(Debug, Default)]
pub(super) struct CounterCell(CachePadded<AtomicU64>);

impl CounterCell {
    pub(super) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl CounterFn for CounterCell {
    fn increment(&self, value: u64) {
        self.0.fetch_add(value, Ordering::Relaxed);
    }

    fn absolute(&self, value: u64) {
        self.0.fetch_max(value, Ordering::Relaxed);
    }
}

/// A number that goes up and down, as the bits of an `f64`.
#[derive(Debug, Default)]
pub(super) struct GaugeCell(CachePadded<AtomicU64>);

impl GaugeCell {
    pub(super) fn value(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    fn add(&self, value: f64) {
        let mut bits = self.0.load(Ordering::Relaxed);
        loop {
            let sum = (f64::from_bits(bits) + value).to_bits();
            match self.0.compare_exchange_weak(bits, sum, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(now) => bits = now,
            }
        }
    }
}

impl GaugeFn for GaugeCell {
    fn increment(&self, value: f64) {
        self.add(value);
    }

    fn decrement(&self, value: f64) {
        self.add(-value);
    }

    fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }
}

/// Bounds of a decade: every bucket is at most half as wide as its lower bound, and the thresholds people write into
/// alerts (0.1, 0.5, 1, 5, 10 s) are bounds.
const STEPS: [u64; 7] = [10, 15, 20, 30, 40, 50, 70];
/// From 100 µs, below which a client sees no difference, to 70 s, beyond every wait a plan should allow.
const DECADES: usize = 6;
/// Ten times this is the first bound: 100 µs.
const FIRST_STEP_NANOS: u64 = 10_000;
/// Buckets that have an upper bound.
pub(super) const BOUNDS: usize = STEPS.len() * DECADES;

/// Upper bounds of the buckets, inclusive, in nanoseconds: 100, 150, 200, 300, 400, 500, 700 µs, 1 ms … 50 s, 70 s.
pub(super) const BOUNDS_NANOS: [u64; BOUNDS] = bounds();

const fn bounds() -> [u64; BOUNDS] {
    let mut bounds = [0; BOUNDS];
    let mut decade = FIRST_STEP_NANOS;
    let mut next = 0;
    while next < BOUNDS {
        bounds[next] = STEPS[next % STEPS.len()] * decade;
        next += 1;
        if next.is_multiple_of(STEPS.len()) {
            decade *= 10;
        }
    }
    bounds
}

/// Durations in seconds, counted by size.
#[derive(Debug)]
pub(super) struct HistogramCell {
    /// One count for each bound, and one for everything above.
    buckets: CachePadded<[AtomicU64; BOUNDS + 1]>,
    /// Microseconds: the sum of 80,000 requests that wait all the time passes the end of the word after seven years,
    /// which a scraper takes for a restart. In nanoseconds it would be three days.
    sum_micros: CachePadded<AtomicU64>,
}

/// What a histogram held at one moment. Records that arrive during the reading are in the sum or in the buckets first.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// Records up to each bound, that bound included; the last is all of them.
    pub(super) cumulative: [u64; BOUNDS + 1],
    /// Seconds.
    pub(super) sum: f64,
}

impl Default for HistogramCell {
    fn default() -> Self {
        Self {
            buckets: CachePadded::new([const { AtomicU64::new(0) }; BOUNDS + 1]),
            sum_micros: CachePadded::default(),
        }
    }
}

impl HistogramCell {
    pub(super) fn snapshot(&self) -> Snapshot {
        let mut total = 0;
        let cumulative = self.buckets.each_ref().map(|bucket| {
            total += bucket.load(Ordering::Relaxed);
            total
        });
        Snapshot { cumulative, sum: self.sum_micros.load(Ordering::Relaxed) as f64 / 1e6 }
    }
}

impl HistogramFn for HistogramCell {
    fn record(&self, seconds: f64) {
        self.record_many(seconds, 1);
    }

    fn record_many(&self, seconds: f64, count: usize) {
        let nanos = nanos(seconds);
        let count = count as u64;
        let index = BOUNDS_NANOS.partition_point(|bound| *bound < nanos);
        if let Some(bucket) = self.buckets.get(index) {
            bucket.fetch_add(count, Ordering::Relaxed);
        }
        let micros = nanos.saturating_add(500) / 1000;
        self.sum_micros.fetch_add(micros.saturating_mul(count), Ordering::Relaxed);
    }
}

/// Nearest nanosecond; negative numbers and NaN count as zero, what is too long as 584 years.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, which is what is wanted")]
fn nanos(seconds: f64) -> u64 {
    (seconds * 1e9).round() as u64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn bounds_rise_by_half_at_most_from_100_us_to_70_s() {
        assert_eq!(BOUNDS_NANOS.first(), Some(&100_000));
        assert_eq!(BOUNDS_NANOS.last(), Some(&70_000_000_000));
        for pair in BOUNDS_NANOS.windows(2) {
            assert!(pair[0] < pair[1] && pair[1] * 2 <= pair[0] * 3, "{pair:?}");
        }
    }

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        for (index, bound) in BOUNDS_NANOS.iter().enumerate() {
            let cell = HistogramCell::default();
            let seconds = *bound as f64 / 1e9;
            cell.record(seconds);
            cell.record(seconds + 2e-9);
            let counts = cell.snapshot().cumulative;
            assert_eq!(counts[index], 1, "{seconds} s");
            assert_eq!(counts[index + 1], 2, "{seconds} s and a little");
        }
    }

    #[test]
    fn nothing_recorded_can_break_a_histogram() {
        let cell = HistogramCell::default();
        for odd in [f64::NAN, -1.0, f64::NEG_INFINITY, 0.0] {
            cell.record(odd);
        }
        assert_eq!(cell.snapshot().cumulative[0], 4);
        cell.record(f64::INFINITY);
        let snapshot = cell.snapshot();
        assert_eq!(snapshot.cumulative[BOUNDS - 1], 4);
        assert_eq!(snapshot.cumulative[BOUNDS], 5);
    }

    #[test]
    fn threads_lose_no_record() {
        const THREADS: usize = 4;
        const RECORDS: usize = 10_000;
        let histogram = Arc::new(HistogramCell::default());
        let gauge = Arc::new(GaugeCell::default());
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..RECORDS {
                        histogram.record(0.001_5);
                        gauge.increment(2.0);
                        gauge.decrement(1.0);
                    }
                });
            }
        });
        let total = THREADS * RECORDS;
        assert_eq!(histogram.snapshot().cumulative[BOUNDS], total as u64);
        assert!((histogram.snapshot().sum - total as f64 * 0.001_5).abs() < 1e-9);
        assert!((gauge.value() - total as f64).abs() < f64::EPSILON);
    }
}
