//! What is believed of an elasticity, and how firmly.

/// A belief: normal, by mean and variance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Belief {
    pub(super) mean: f64,
    pub(super) variance: f64,
}

/// Elasticities beyond this are noise or a change of regime, not a slope.
pub(super) const STEEPEST: f64 = 4.0;

const SURPRISE: f64 = 2.5;

impl Belief {
    pub(super) const fn new(mean: f64, variance: f64) -> Self {
        Self { mean, variance }
    }

    /// The belief after an observation.
    pub(super) fn given(self, observed: f64, variance: f64) -> Self {
        let observed = observed.clamp(-STEEPEST, STEEPEST);
        let mut prior = self;
        let innovation = (observed - prior.mean).powi(2) / (prior.variance + variance);
        if innovation > SURPRISE * SURPRISE {
            prior.variance = prior.variance.max(1.0);
        }
        let gain = prior.variance / (prior.variance + variance);
        Self { mean: prior.mean + gain * (observed - prior.mean), variance: (1.0 - gain) * prior.variance }
    }

    /// Grows doubtful.
    pub(super) fn fade(&mut self, by: f64) {
        self.variance = (self.variance + by).min(1.0);
    }

    /// By how many standard deviations it lies above `value`.
    pub(super) fn above(self, value: f64) -> f64 {
        (self.mean - value) / self.variance.max(1e-6).sqrt()
    }
}
