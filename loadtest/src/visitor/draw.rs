//! Draws of one person, from a generator of his own.

use std::time::Duration;

use super::Micros;
use crate::scenario::persona::Spread;

/// A length of time out of `spread`.
#[must_use]
pub fn draw(spread: &Spread, rng: &mut fastrand::Rng) -> Micros {
    let span = match *spread {
        Spread::Fixed(span) => return micros(span),
        Spread::Even(from, until) => from + until.saturating_sub(from).mul_f64(rng.f64()),
        Spread::Exponential(mean) => scaled(mean, -(1.0 - rng.f64()).ln()),
        Spread::Lognormal(median, sigma) => scaled(median, (sigma * normal(rng)).exp()),
    };
    micros(span)
}

/// Whether what has this `probability` happens.
#[must_use]
pub fn happens(probability: f64, rng: &mut fastrand::Rng) -> bool {
    rng.f64() < probability
}

/// `span` in microseconds.
#[must_use]
pub fn micros(span: Duration) -> Micros {
    Micros::try_from(span.as_micros()).unwrap_or(Micros::MAX)
}

fn scaled(span: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(span.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

/// Normal with mean 0 and variance 1 (Box and Muller 1958).
fn normal(rng: &mut fastrand::Rng) -> f64 {
    // 1 − u is never 0.
    let (radius, angle) = ((-2.0 * (1.0 - rng.f64()).ln()).sqrt(), std::f64::consts::TAU * rng.f64());
    radius * angle.cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_have_their_middles() {
        let rng = &mut fastrand::Rng::with_seed(1);
        let second = Duration::from_secs(1);
        let mut sample = |spread: Spread| {
            let mut drawn: Vec<_> = (0..20_001).map(|_| draw(&spread, rng) as f64 / 1e6).collect();
            drawn.sort_by(f64::total_cmp);
            (drawn.iter().sum::<f64>() / 20_001.0, drawn[10_000])
        };
        assert_eq!(sample(Spread::Fixed(second)), (1.0, 1.0));
        let (mean, median) = sample(Spread::Even(second, second * 3));
        assert!((mean - 2.0).abs() < 0.02 && (median - 2.0).abs() < 0.04, "{mean} {median}");
        let (mean, median) = sample(Spread::Exponential(second));
        assert!((mean - 1.0).abs() < 0.03 && (median - 0.693).abs() < 0.03, "{mean} {median}");
        let (mean, median) = sample(Spread::Lognormal(second, 0.8));
        assert!((mean - (0.32_f64).exp()).abs() < 0.05 && (median - 1.0).abs() < 0.03, "{mean} {median}");
    }

    #[test]
    fn what_is_too_long_is_very_long() {
        let rng = &mut fastrand::Rng::with_seed(1);
        assert_eq!(draw(&Spread::Lognormal(Duration::MAX, 0.0), rng), Micros::MAX);
    }
}
