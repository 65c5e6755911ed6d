//! Numbers out of numbers.
//!
//! **Invariants**: of nothing there is no number: [`f64::NAN`], which holds no bound.

/// Jain's fairness index (Jain, Chiu, Hawe 1984): `(Σx)² / (n·Σx²)`, 1 when all are equal, 1/n when one has everything.
#[must_use]
pub fn jain(shares: &[f64]) -> f64 {
    let sum: f64 = shares.iter().sum();
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    sum * sum / (shares.len() as f64 * squares)
}

/// The middle value; of an even number the mean of the two.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle).copied().unwrap_or(f64::NAN);
    if sorted.len().is_multiple_of(2) {
        let lower = middle.checked_sub(1).and_then(|below| sorted.get(below));
        lower.map_or(f64::NAN, |lower| f64::midpoint(*lower, upper))
    } else {
        upper
    }
}

/// The smallest value that `share` of all do not exceed.
#[must_use]
pub fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = (share * values.len() as f64).ceil().max(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to the length")]
    let position = rank as usize - 1;
    values.get(position).copied().unwrap_or(f64::NAN)
}

/// Change along the least-squares line through `values`, taken at equal intervals, from the first to the last, as a share of
/// their mean.
#[must_use]
pub fn drift(values: &[f64]) -> f64 {
    let count = values.len() as f64;
    let (mean_at, mean) = ((count - 1.0) / 2.0, values.iter().sum::<f64>() / count);
    let (mut covariance, mut variance) = (0.0, 0.0);
    for (at, value) in values.iter().enumerate() {
        let from_mean = at as f64 - mean_at;
        covariance += from_mean * (value - mean);
        variance += from_mean * from_mean;
    }
    covariance / variance * (count - 1.0) / mean
}

/// Of pairs `(came, began)`: how many began after one that had come more than `resolution` later, and by how much the most
/// overtaken was.
#[must_use]
pub fn overtaken(mut pairs: Vec<(f64, f64)>, resolution: f64) -> (usize, f64) {
    pairs.sort_by(|a, b| a.1.total_cmp(&b.1));
    // The latest to come among those that have begun already: whoever came before it was overtaken by it.
    let (mut latest, mut count, mut most) = (f64::NEG_INFINITY, 0, 0.0_f64);
    for (came, _) in pairs {
        most = most.max(latest - came);
        count += usize::from(latest - came > resolution);
        latest = latest.max(came);
    }
    (count, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn jain_is_1_for_equals_and_1_of_n_for_one() {
        assert!(close(jain(&[3.0; 7]), 1.0) && close(jain(&[0.0, 0.0, 5.0, 0.0]), 0.25));
        assert!(close(jain(&[1.0, 2.0, 3.0]), 36.0 / 42.0));
        assert!(jain(&[]).is_nan() && jain(&[0.0, 0.0]).is_nan());
    }

    #[test]
    fn medians_and_quantiles() {
        assert!(close(median(&[9.0, 1.0, 5.0]), 5.0) && close(median(&[4.0, 1.0]), 2.5) && median(&[]).is_nan());
        let mut hundred: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert!(close(quantile(&mut hundred, 0.9), 90.0) && close(quantile(&mut hundred, 1.0), 100.0));
        assert!(close(quantile(&mut [7.0], 0.5), 7.0) && quantile(&mut [], 0.5).is_nan());
    }

    #[test]
    fn drift_is_the_fitted_change() {
        let rising: Vec<f64> = (0..=100).map(|at| 50.0 + f64::from(at) / 10.0).collect();
        assert!(close(drift(&rising), 10.0 / 55.0));
        assert!(close(drift(&[5.0, 5.0, 5.0]), 0.0) && drift(&[1.0]).is_nan());
    }

    #[test]
    fn only_those_passed_by_later_ones_are_overtaken() {
        let in_order = (0..10).map(|at| (f64::from(at), f64::from(at) + 4.0)).collect();
        assert_eq!(overtaken(in_order, 0.0).0, 0);
        // The one that came at 1 begins after those that came at 2 and 3.
        let (count, most) = overtaken(vec![(0.0, 10.0), (1.0, 13.0), (2.0, 11.0), (3.0, 12.0)], 0.5);
        assert!(count == 1 && close(most, 2.0), "{count} {most}");
        // One that came last and begins first overtakes both of the others.
        assert_eq!(overtaken(vec![(1.0, 11.0), (2.0, 12.0), (3.0, 10.0)], 0.5).0, 2);
        assert_eq!(overtaken(vec![(0.0, 11.0), (0.3, 10.0)], 0.5).0, 0);
    }
}
