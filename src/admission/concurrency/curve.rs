//! What the last legs, taken together, say of throughput around the base.
//!
//! One leg says little; some dozens say where throughput bends. The model, in logarithms, is a line that bends once: slope
//! `left` up to a knee, slope `right` beyond it. For every knee of a grid the slopes are fitted by least squares with weak
//! priors; the fits are averaged by how well each explains the legs (Bayesian model averaging); the best level is where the
//! averaged curve is highest. A sharp kink is found within a permit or two, and on a smooth curve, where no knee is much
//! better than its neighbours, the average is smooth too.
//!
//! **Invariants**: a curve is finite; at most [`LEGS`] legs are remembered, and old ones fade.
//! **Cost**: some ten microseconds a fit, once per leg on the base; nothing at a tick.

use crate::admission::concurrency::leg::Sample;
use crate::clock::Tick;

/// Legs remembered: more than fade within [`HORIZON`] seconds at four legs a second.
const LEGS: usize = 64;

/// A leg's weight falls to 1/e in so many seconds: long enough to add up to thousands of requests, short enough to follow
/// a service that warms up.
const HORIZON: f64 = 12.0;

/// Legs farther from the base than this, in logarithms, say nothing about the slopes at it.
const NEAR: f64 = 0.5;

/// Fewer legs make no curve: it has four parameters, three of them with priors.
const LEGS_LEAST: usize = 3;

/// Knees tried on either side of the base, ...
const KNEES: i32 = 8;

/// ... this far apart in logarithms, or half a permit if that is more.
const GRID: f64 = 0.02;

/// Variance of a leg's throughput beyond what its requests explain: services do not keep to models within 2 %.
const MODEL_VARIANCE: f64 = 0.02 * 0.02;

/// Prior of the slope below the knee: between none and proportional. Mean, variance.
const LEFT: (f64, f64) = (0.7, 0.16);

/// Prior of the slope beyond the knee: flat (a pool of threads) to steep (thrashing). Mean, variance.
const RIGHT: (f64, f64) = (-0.7, 0.64);

/// Prior precision of the height; next to none.
const HEIGHT_PRECISION: f64 = 0.01;

/// No level is best on a side of the base of which no leg was farther from it than this: priors are no evidence.
const TRIED: f64 = 0.01;

/// Slopes are told over this distance from the base, in logarithms, or two steps of the grid if that is more.
const SPAN: f64 = 0.06;

#[derive(Clone, Copy, Debug)]
struct Entry {
    sample: Sample,
    at: Tick,
}

/// The last legs.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    entries: Vec<Entry>,
    oldest: usize,
}

/// Throughput around the base.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Curve {
    /// Logarithm of the best level.
    pub(super) best_n: f64,
    /// Logarithm of the throughput there.
    pub(super) best_x: f64,
    /// Elasticity above the base.
    pub(super) up: f64,
    /// Elasticity below it.
    pub(super) down: f64,
}

/// A leg seen from the base: distance, throughput, precision.
#[derive(Clone, Copy, Debug)]
struct Point {
    x: f64,
    y: f64,
    precision: f64,
}

impl Memory {
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.oldest = 0;
    }

    /// Remembers a leg that ended `at`.
    pub(super) fn push(&mut self, at: Tick, sample: &Sample) {
        let entry = Entry { sample: *sample, at };
        if self.entries.len() < LEGS {
            self.entries.push(entry);
        } else if let Some(slot) = self.entries.get_mut(self.oldest) {
            *slot = entry;
            self.oldest = (self.oldest + 1) % LEGS;
        }
    }

    /// The curve around `base` for requests of this `noise` (variance of the logarithm of throughput, times requests).
    /// `target` is the elasticity below which more concurrency is not worth having.
    pub(super) fn curve(&self, now: Tick, base: u32, noise: f64, target: f64) -> Option<Curve> {
        let base = f64::from(base.max(1));
        let centre = base.ln();
        let grid = GRID.max(0.5 / base);
        let (points, mean) = self.points(now, centre, noise)?;
        let fits: Vec<Fit> =
            (-KNEES..=KNEES).filter_map(|step| Fit::new(&points, mean, f64::from(step) * grid)).collect();
        let top = fits.iter().map(|fit| fit.evidence).fold(f64::NEG_INFINITY, f64::max);
        let mass: f64 = fits.iter().map(|fit| (fit.evidence - top).exp()).sum();
        let height = |x: f64| fits.iter().map(|fit| (fit.evidence - top).exp() * fit.height(x)).sum::<f64>() / mass;
        let worth = |x: f64| height(x) - target * x;
        let tried = |side: f64| points.iter().any(|point| point.x * side > TRIED);
        let lowest = if tried(-1.0) { -KNEES } else { 0 };
        let highest = if tried(1.0) { KNEES } else { 0 };
        let best =
            (lowest..=highest).map(|step| f64::from(step) * grid).max_by(|a, b| worth(*a).total_cmp(&worth(*b)))?;
        let span = SPAN.max(2.0 * grid);
        let here = height(0.0);
        let curve = Curve {
            best_n: centre + best,
            best_x: mean + height(best),
            up: (height(span) - here) / span,
            down: (here - height(-span)) / span,
        };
        [curve.best_x, curve.up, curve.down].iter().all(|value| value.is_finite()).then_some(curve)
    }

    /// The legs near `centre`, and their mean throughput.
    fn points(&self, now: Tick, centre: f64, noise: f64) -> Option<(Vec<Point>, f64)> {
        let points: Vec<Point> = self
            .entries
            .iter()
            .filter(|entry| (entry.sample.ln_n - centre).abs() < NEAR)
            .map(|entry| {
                let age = now.since(entry.at).as_secs_f64();
                let variance = noise / entry.sample.weight.max(1.0) + MODEL_VARIANCE;
                let precision = (-age / HORIZON).exp() / variance;
                Point { x: entry.sample.ln_n - centre, y: entry.sample.ln_x, precision }
            })
            .collect();
        let total: f64 = points.iter().map(|point| point.precision).sum();
        if points.len() < LEGS_LEAST || total < 1.0 {
            return None;
        }
        let mean = points.iter().map(|point| point.y * point.precision).sum::<f64>() / total;
        Some((points, mean))
    }
}

/// The best line with a bend at `knee`.
#[derive(Clone, Copy, Debug)]
struct Fit {
    knee: f64,
    level: f64,
    left: f64,
    right: f64,
    /// Logarithm of the marginal likelihood, but for a constant.
    evidence: f64,
}

impl Fit {
    /// Ridge regression of height, left and right slope on `points`, less `mean`; the three normal equations are solved
    /// by the square-root-free Cholesky method. [`None`] if they are singular.
    fn new(points: &[Point], mean: f64, knee: f64) -> Option<Self> {
        let (mut a00, mut a10, mut a20) = (HEIGHT_PRECISION, 0.0, 0.0);
        let (mut a11, mut a21, mut a22) = (1.0 / LEFT.1, 0.0, 1.0 / RIGHT.1);
        let (mut b0, mut b1, mut b2, mut squares) = (0.0, 0.0, 0.0, 0.0);
        for Point { x, y, precision: w } in points {
            let (left, right) = ((x - knee).min(0.0), (x - knee).max(0.0));
            let y = y - mean - LEFT.0 * left - RIGHT.0 * right;
            a00 += w;
            a10 += w * left;
            a20 += w * right;
            a11 += w * left * left;
            a21 += w * left * right;
            a22 += w * right * right;
            b0 += w * y;
            b1 += w * left * y;
            b2 += w * right * y;
            squares += w * y * y;
        }
        let (l10, l20) = (a10 / a00, a20 / a00);
        let d1 = a11 - l10 * a10;
        let l21 = (a21 - l20 * a10) / d1;
        let d2 = a22 - l20 * a20 - l21 * l21 * d1;
        let determinant = a00 * d1 * d2;
        if !(d1 > 0.0 && d2 > 0.0 && determinant.is_finite()) {
            return None;
        }
        let z1 = b1 - l10 * b0;
        let z2 = b2 - l20 * b0 - l21 * z1;
        let c2 = z2 / d2;
        let c1 = z1 / d1 - l21 * c2;
        let c0 = b0 / a00 - l10 * c1 - l20 * c2;
        let unexplained = squares - (b0 * c0 + b1 * c1 + b2 * c2);
        let evidence = -0.5 * (unexplained + determinant.ln());
        Some(Self { knee, level: c0, left: LEFT.0 + c1, right: RIGHT.0 + c2, evidence })
    }

    fn height(&self, x: f64) -> f64 {
        let from = x - self.knee;
        self.level + self.left * from.min(0.0) + self.right * from.max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remember(levels: impl IntoIterator<Item = u32>, throughput: impl Fn(f64) -> f64) -> Memory {
        let mut memory = Memory::default();
        for level in levels {
            let n = f64::from(level);
            let sample = Sample {
                ln_n: n.ln(),
                ln_x: throughput(n).ln(),
                weight: 200.0,
                speed: 1.0,
                cost: 1.0,
                grain: 1.0,
                spread: 0.25,
            };
            memory.push(Tick::ZERO, &sample);
        }
        memory
    }

    #[test]
    fn finds_a_kink_to_the_permit() {
        let kink = |n: f64| if n <= 40.0 { 10.0 * n } else { 400.0 / (1.0 + 3.0 * (n - 40.0) / 40.0) };
        for base in [37, 40, 43] {
            let memory = remember((34..48).chain(34..48), kink);
            let curve = memory.curve(Tick::ZERO, base, 0.25, 0.05).unwrap();
            assert!((curve.best_n.exp() - 40.0).abs() < 1.0, "from {base}: {curve:?}");
        }
    }

    #[test]
    fn tells_slopes_apart() {
        let memory = remember((30..45).chain(30..45), |n| 10.0 * n);
        let curve = memory.curve(Tick::ZERO, 36, 0.25, 0.05).unwrap();
        assert!(curve.up > 0.5 && curve.down > 0.7 && curve.best_n > 36.0_f64.ln(), "{curve:?}");
    }

    #[test]
    fn knows_nothing_from_nothing() {
        assert_eq!(remember([40, 41], |n| n).curve(Tick::ZERO, 40, 0.25, 0.05), None);
        let old = Tick::from_nanos(u64::MAX);
        assert_eq!(remember(30..50, |n| n).curve(old, 40, 0.25, 0.05), None, "all of it has faded");
    }

    #[test]
    fn memory_is_bounded() {
        assert_eq!(remember((1..=10).cycle().take(1_000), |n| n).entries.len(), LEGS);
    }
}
