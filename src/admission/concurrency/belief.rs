//! What is believed of an elasticity, and how firmly.

/// A belief: normal, by mean and variance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Belief {
    pub(super) mean: f64,
    pub(super) variance: f64,
}

/// Elasticities beyond this are noise or a change of the service, not a slope.
const STEEPEST: f64 = 4.0;

/// An observation so many standard deviations off is news of a changed service: the belief is given up.
const SURPRISE: f64 = 2.5;

/// The variance of somebody who knows nothing; elasticities lie between −4 and 1.
const IGNORANCE: f64 = 1.0;

impl Belief {
    pub(super) const fn new(mean: f64, variance: f64) -> Self {
        Self { mean, variance }
    }

    /// Next to nothing is known, and `mean` is as good a guess as any.
    pub(super) const fn vague(mean: f64) -> Self {
        Self::new(mean, IGNORANCE)
    }

    /// Whether next to nothing is known.
    pub(super) fn is_vague(&self) -> bool {
        self.variance >= IGNORANCE
    }

    /// The belief after an observation of this `variance`.
    pub(super) fn given(self, observed: f64, variance: f64) -> Self {
        let observed = observed.clamp(-STEEPEST, STEEPEST);
        let off = observed - self.mean;
        let surprising = off * off > SURPRISE * SURPRISE * (self.variance + variance);
        let prior = if surprising { self.variance.max(IGNORANCE) } else { self.variance };
        let gain = prior / (prior + variance);
        Self { mean: self.mean + gain * off, variance: (1.0 - gain) * prior }
    }

    /// Time makes it doubtful.
    pub(super) fn fade(&mut self, by: f64) {
        self.variance = (self.variance + by).min(IGNORANCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_adds_up() {
        let mut belief = Belief::vague(0.5);
        for _ in 0..50 {
            belief = belief.given(-0.5, 0.5);
        }
        assert!((belief.mean + 0.5).abs() < 0.05 && belief.variance < 0.02, "{belief:?}");
    }

    #[test]
    fn surprise_is_believed_at_once() {
        let firm = Belief::new(-1.0, 0.01);
        let moved = firm.given(1.0, 0.1);
        assert!(moved.mean > 0.5, "{moved:?}");
    }
}
