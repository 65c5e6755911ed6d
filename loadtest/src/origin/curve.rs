//! How much a service does per second when `n` requests are in flight.
//!
//! **Invariants**: throughput is positive for `n ≥ 1`, is the capacity at the knee, and never above it.
//! **Cost**: a handful of floating-point operations.

/// Throughput against requests in flight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Curve {
    capacity: f64,
    knee: f64,
    shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    Kink { slope: f64 },
    Usl { lambda: f64, sigma: f64, kappa: f64 },
}

impl Curve {
    /// Linear up to the knee, then `capacity / (1 + slope·(n − knee)/knee)`: with slope 0.1 a service at eleven times
    /// its knee does half of what it could, with 0.05 two thirds.
    ///
    /// `capacity` in requests per second, positive; `knee` in requests in flight, at least 1; `slope` not negative.
    #[must_use]
    pub fn kink(capacity: f64, knee: u32, slope: f64) -> Self {
        Self { capacity, knee: f64::from(knee), shape: Shape::Kink { slope } }
    }

    /// Universal Scalability Law (Gunther 2007), `λn / (1 + σ(n − 1) + κn(n − 1))`, with contention `sigma` in 0..1 and κ
    /// and λ chosen so that the maximum is `capacity` and stands at `knee`: κ = (1 − σ)/knee².
    #[must_use]
    pub fn usl(capacity: f64, knee: u32, sigma: f64) -> Self {
        let knee = f64::from(knee);
        let kappa = (1.0 - sigma) / (knee * knee);
        let lambda = capacity * usl_divisor(knee, sigma, kappa) / knee;
        Self { capacity, knee, shape: Shape::Usl { lambda, sigma, kappa } }
    }

    /// The same law from the time one request takes alone: `base_time` in seconds is R0 = 1/λ, so the capacity is
    /// `knee / base_time` over the divisor at the knee (50 ms, 64 and 0.01 make 491.5 a second).
    #[must_use]
    pub fn usl_of_base_time(base_time: f64, knee: u32, sigma: f64) -> Self {
        let n = f64::from(knee);
        let kappa = (1.0 - sigma) / (n * n);
        Self::usl(n / base_time / usl_divisor(n, sigma, kappa), knee, sigma)
    }

    /// Requests per second at the knee: the most this service can do.
    #[must_use]
    pub fn capacity(&self) -> f64 {
        self.capacity
    }

    /// Requests in flight at which it does that.
    #[must_use]
    pub fn knee(&self) -> f64 {
        self.knee
    }

    /// Requests (of mean work) finished per second with `n` in flight; 0 for none.
    #[must_use]
    pub fn throughput(&self, n: usize) -> f64 {
        self.throughput_at(n as f64)
    }

    /// The same between whole numbers, which a service of half the parallelism needs.
    #[must_use]
    pub fn throughput_at(&self, n: f64) -> f64 {
        match self.shape {
            Shape::Kink { .. } if n <= self.knee => self.capacity * n / self.knee,
            Shape::Kink { slope } => self.capacity / (1.0 + slope * (n - self.knee) / self.knee),
            Shape::Usl { lambda, sigma, kappa } => lambda * n / usl_divisor(n, sigma, kappa),
        }
    }
}

fn usl_divisor(n: f64, sigma: f64, kappa: f64) -> f64 {
    1.0 + sigma * (n - 1.0) + kappa * n * (n - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9 * b.abs().max(1.0)
    }

    #[test]
    fn kink_is_linear_then_falls() {
        let curve = Curve::kink(400.0, 40, 0.1);
        assert!(close(curve.throughput(0), 0.0));
        assert!(close(curve.throughput(1), 10.0));
        assert!(close(curve.throughput(40), 400.0));
        assert!(close(curve.throughput(440), 200.0));
    }

    #[test]
    fn usl_peaks_at_the_knee() {
        let curve = Curve::usl(400.0, 40, 0.02);
        assert!(close(curve.throughput(40), 400.0));
        let best = (1..2_000).max_by(|a, b| curve.throughput(*a).total_cmp(&curve.throughput(*b)));
        assert_eq!(best, Some(40));
        assert!(curve.throughput(4_000) < 0.1 * 400.0);
    }

    #[test]
    fn usl_of_a_base_time_is_the_law_as_written() {
        let curve = Curve::usl_of_base_time(0.05, 64, 0.01);
        assert!((curve.capacity() - 491.5).abs() < 0.1, "{curve:?}");
        assert!(close(curve.throughput(1), 20.0));
        assert_eq!((1..2_000).max_by(|a, b| curve.throughput(*a).total_cmp(&curve.throughput(*b))), Some(64));
        // 65 % of the peak at 200 in flight, 24 % at 640.
        assert!((curve.throughput(200) / curve.capacity() - 0.65).abs() < 0.01);
        assert!((curve.throughput(640) / curve.capacity() - 0.24).abs() < 0.01);
    }
}
