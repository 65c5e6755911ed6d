//! How far two means may be apart by chance.

use super::RUNS;

/// Values of one figure on one side.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) count: usize,
    pub(super) mean: f64,
    /// Of one run, unbiased; not a number for a single one.
    variance: f64,
}

impl Sample {
    /// Of what is a number; [`None`] if nothing is.
    pub(super) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (!values.is_empty()).then_some(Self { count: values.len(), mean, variance })
    }

    /// Variance of the mean of so many runs, and its degrees of freedom.
    fn spread(&self) -> Option<(f64, f64)> {
        let count = self.count as f64;
        (self.count >= RUNS).then(|| (self.variance / count, count - 1.0))
    }
}

/// Half the width of the 99 % interval of the difference of the means; [`None`] if neither side has runs enough.
pub(super) fn band(one: &Sample, other: &Sample) -> Option<f64> {
    let (variance, freedom) = match (one.spread(), other.spread()) {
        (Some((a, free_a)), Some((b, free_b))) => {
            let sum = a + b;
            // Welch and Satterthwaite; without any spread, the smaller of the two.
            let freedom = sum.powi(2) / (a.powi(2) / free_a + b.powi(2) / free_b);
            (sum, if freedom.is_finite() { freedom } else { free_a.min(free_b) })
        }
        (Some((a, freedom)), None) => (a + one.variance / other.count as f64, freedom),
        (None, Some((b, freedom))) => (b + other.variance / one.count as f64, freedom),
        (None, None) => return None,
    };
    Some(quantile(freedom) * variance.sqrt())
}

/// Student's t at 99.5 %, from one degree of freedom on; NIST/SEMATECH e-Handbook of Statistical Methods §1.3.6.7.2.
const QUANTILES: [f64; 30] = [
    63.657, 9.925, 5.841, 4.604, 4.032, 3.707, 3.499, 3.355, 3.250, 3.169, 3.106, 3.055, 3.012, 2.977, 2.947, 2.921,
    2.898, 2.878, 2.861, 2.845, 2.831, 2.819, 2.807, 2.797, 2.787, 2.779, 2.771, 2.763, 2.756, 2.750,
];

/// … at 60, and beyond, where it is 2.576 at the least.
const SIXTY: f64 = 2.660;

/// The same of the normal distribution.
#[cfg(test)]
const NORMAL: f64 = 2.576;

/// At the whole number of degrees of freedom below: never too narrow.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to some hundred")]
fn quantile(freedom: f64) -> f64 {
    let whole = freedom.max(1.0).floor() as usize;
    QUANTILES.get(whole - 1).copied().unwrap_or(if whole < 60 { 2.750 } else { SIXTY })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(values: &[f64]) -> Sample {
        Sample::of(values.iter().copied()).expect("values")
    }

    #[test]
    fn the_band_is_that_of_the_textbook() {
        // Two sides of three, each with variance 1: standard error √(2/3), 4 degrees of freedom.
        let of_three = band(&sample(&[1.0, 2.0, 3.0]), &sample(&[4.0, 5.0, 6.0])).expect("a band");
        assert!((of_three - 4.604 * (2.0_f64 / 3.0).sqrt()).abs() < 1e-9, "{of_three}");
        // One new run: it may stray by itself.
        let of_one = band(&sample(&[1.0, 2.0, 3.0]), &sample(&[5.0])).expect("a band");
        assert!((of_one - 9.925 * (4.0_f64 / 3.0).sqrt()).abs() < 1e-9, "{of_one}");
        assert_eq!(band(&sample(&[1.0, 2.0]), &sample(&[5.0, 6.0])), None);
        assert_eq!(band(&sample(&[1.0; 3]), &sample(&[2.0; 3])), Some(0.0));
    }

    #[test]
    fn what_is_not_a_number_is_no_run() {
        assert_eq!(Sample::of([f64::NAN].into_iter()), None);
        assert_eq!(sample(&[1.0, f64::NAN, 3.0]).count, 2);
    }

    #[test]
    fn quantiles_fall_to_the_normal_one() {
        let all: Vec<_> = (1..200).map(|freedom| quantile(f64::from(freedom))).collect();
        assert!(all.iter().zip(all.iter().skip(1)).all(|(a, b)| a >= b));
        assert!(all.iter().all(|it| *it > NORMAL) && quantile(4.9).to_bits() == 4.604_f64.to_bits());
    }
}
