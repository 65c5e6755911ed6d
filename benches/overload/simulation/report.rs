//! What a run came to: goodput against what the service could have done, tenth of a second by tenth of a second.

/// Length of a bucket, in seconds.
const BUCKET: f64 = 0.1;

/// Goodput over this long must reach the goal before a service counts as recovered, in buckets.
const SUSTAINED: usize = 10;

/// The log of one run.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    good: Vec<f64>,
    possible: Vec<f64>,
    limit: Vec<u32>,
    holds: Vec<f64>,
}

impl Report {
    /// An empty log of `seconds`.
    pub(crate) fn new(seconds: f64) -> Self {
        let buckets = bucket(seconds) + 2;
        Self { good: vec![0.0; buckets], possible: vec![0.0; buckets], limit: vec![0; buckets], holds: Vec::new() }
    }

    /// A request of `cost` was answered in time after `hold` seconds in service.
    pub(crate) fn good(&mut self, now: f64, cost: f64, hold: f64) {
        self.good[bucket(now)] += cost;
        self.holds.push(hold);
    }

    /// The service could have done `possible` since the tick before; `limit` is in force.
    pub(crate) fn tick(&mut self, now: f64, possible: f64, limit: u32) {
        self.possible[bucket(now)] += possible;
        self.limit[bucket(now)] = limit;
    }

    /// Goodput as a share of what was possible between `from` and `to`, in seconds.
    pub(crate) fn share(&self, from: f64, to: f64) -> f64 {
        let range = bucket(from)..bucket(to);
        self.good[range.clone()].iter().sum::<f64>() / self.possible[range].iter().sum::<f64>().max(1e-9)
    }

    /// Seconds from `from` until goodput was `goal` of the possible for a second; [`None`] if it never was before `to`.
    pub(crate) fn recovery(&self, from: f64, to: f64, goal: f64) -> Option<f64> {
        (bucket(from)..bucket(to).saturating_sub(SUSTAINED)).find_map(|start| {
            let range = start..start + SUSTAINED;
            let possible: f64 = self.possible[range.clone()].iter().sum();
            let good: f64 = self.good[range].iter().sum();
            (possible > 0.0 && good >= goal * possible).then(|| (start - bucket(from)) as f64 * BUCKET)
        })
    }

    /// Mean limit between `from` and `to`.
    pub(crate) fn mean_limit(&self, from: f64, to: f64) -> f64 {
        let limits = &self.limit[bucket(from)..bucket(to)];
        limits.iter().map(|limit| f64::from(*limit)).sum::<f64>() / limits.len() as f64
    }

    /// 99th percentile of the time in service, in seconds.
    pub(crate) fn service_p99(&self) -> f64 {
        let mut holds = self.holds.clone();
        holds.sort_by(f64::total_cmp);
        holds.get(holds.len() * 99 / 100).copied().unwrap_or(f64::NAN)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an hour of simulated time")]
fn bucket(seconds: f64) -> usize {
    (seconds / BUCKET + 1e-6) as usize
}
