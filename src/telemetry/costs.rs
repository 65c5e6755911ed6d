//! What a request costs, relative to others: learned per kind, so that a change of the mix is not read as one of capacity.
//!
//! A hold of kind `k` is predicted as `c_k · s`. The scale `s`, common to all kinds, is fast: a service that slows down
//! moves it within some dozen requests. The costs `c_k` are slow: only what sets one kind apart from the others moves them.
//! `s` is the ratio of the mean hold to the mean cost, so that learning leaves the mean cost of the present mix as it is:
//! throughput in costs does not move because costs are better known. The first kind seen costs 1, and a new kind is
//! measured against the known ones before it has a say in `s` (overload §2.3, avoiding mis-detection ii).
//!
//! **Invariants**: costs are finite and within [`COST_MIN`]…[`COST_MAX`], whatever is observed; one kind alone costs 1.
//! **Cost**: two loads to know a cost; some six loads and four stores, all relaxed, to learn from a hold. Two workers that
//! learn at once may lose one of the two samples, which is noise. No lock; nothing is allocated after the start.
//! **Not here**: who is of which kind (the route says), throughput (`meter`).

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_utils::CachePadded;

/// The least that a request costs.
pub const COST_MIN: f64 = 0.01;

/// The most that a request costs.
pub const COST_MAX: f64 = 100.0;

/// Weight of a hold in the scale: the mean over some thirty requests is known within a tenth.
const FAST: f64 = 1.0 / 32.0;

/// Least weight of a hold in its kind's cost. A change of the service that all kinds share leaves `SLOW / FAST`, a
/// thirty-second of it, in the costs, until it is undone.
const SLOW: f64 = 1.0 / 1024.0;

/// Least weight of a hold in the cost of a kind that is new. Its first requests to end are its shortest: they are to be
/// forgotten before the cost counts as known.
const NEW: f64 = 1.0 / 32.0;

/// The mean cost of a mix is drawn to 1 by this share of its logarithm, each [`SLOW`]ly: within some 60,000 requests, so
/// that the bounds of costs are bounds of ratios; a mix shift is not undone in minutes.
const HOMING: f64 = 1.0 / 64.0;

/// A kind has a say in the scale after so many requests; a kind that has, but is not yet known well, would drag the scale
/// and the costs of all others with it.
const KNOWN: u32 = 128;

/// Among known kinds a hold counts at most as so many times its prediction: what hung is no cost.
const OUTLIER: f64 = 10.0;

/// Holds beyond this say that something hung, and not what a request costs.
const HOLD_MAX: Duration = Duration::from_mins(15);

/// The relative costs of a bounded number of kinds of requests at one server.
#[derive(Debug)]
pub struct Costs {
    kinds: Box<[Kind]>,
    scale: CachePadded<Scale>,
}

/// A kind of requests.
#[derive(Debug)]
struct Kind {
    cost: Real,
    /// Holds seen, saturating.
    seen: AtomicU32,
}

/// What the kinds have in common.
#[derive(Debug)]
struct Scale {
    /// Mean hold of known kinds, in seconds; 0 before the first.
    hold: Real,
    /// Mean cost of the same requests.
    cost: Real,
    /// Whether there ever was a second kind.
    mixed: AtomicU32,
}

impl Costs {
    /// Costs of the kinds `0..kinds`, all of them 1 so far.
    #[must_use]
    pub fn new(kinds: usize) -> Self {
        let kind = || Kind { cost: Real::new(1.0), seen: AtomicU32::new(0) };
        let scale = Scale { hold: Real::new(0.0), cost: Real::new(1.0), mixed: AtomicU32::new(0) };
        Self { kinds: (0..kinds).map(|_| kind()).collect(), scale: CachePadded::new(scale) }
    }

    /// What a request of this kind costs; 1 for a kind that was never seen or does not exist.
    #[must_use]
    pub fn of(&self, kind: usize) -> f64 {
        self.kinds.get(kind).map_or(1.0, |kind| kind.cost.load())
    }

    /// A request of this kind was answered after `hold`. Failures say nothing of a cost and are not to be reported.
    pub fn observe(&self, kind: usize, hold: Duration) {
        let Some(kind) = self.kinds.get(kind) else { return };
        let hold = hold.min(HOLD_MAX).as_secs_f64();
        let seen = kind.seen.load(Ordering::Relaxed);
        let first = self.scale.hold.load() <= 0.0;
        if first {
            self.scale.hold.store(hold);
        }
        kind.seen.store(if first { KNOWN } else { seen.saturating_add(1) }, Ordering::Relaxed);
        if first || seen >= KNOWN {
            self.follow(kind, hold);
        } else {
            self.scale.mixed.store(1, Ordering::Relaxed);
            kind.learn(hold / self.scale.per_cost(), (1.0 / f64::from(seen + 1)).max(NEW));
        }
    }

    /// A hold of a known kind moves the scale at once, and slowly its cost.
    fn follow(&self, kind: &Kind, hold: f64) {
        let cost = kind.cost.load();
        let before = self.scale.per_cost();
        let hold = hold.min(OUTLIER * cost * before);
        self.scale.hold.follow(hold);
        let mean = self.scale.cost.follow(cost);
        if self.scale.mixed.load(Ordering::Relaxed) > 0 {
            // Half of this hold in the scale: with none of it, or all, chance would raise or lower all costs for ever.
            let scale = f64::midpoint(before, self.scale.per_cost());
            kind.learn(hold / scale * (1.0 - HOMING * mean.ln()), SLOW);
        }
    }
}

impl Kind {
    fn learn(&self, ratio: f64, weight: f64) {
        let cost = self.cost.load();
        let ratio = ratio.clamp(COST_MIN, COST_MAX);
        self.cost.store(cost + weight * (ratio - cost));
    }
}

impl Scale {
    /// Seconds that a request of cost 1 takes.
    fn per_cost(&self) -> f64 {
        (self.hold.load() / self.cost.load()).max(f64::MIN_POSITIVE)
    }
}

/// A finite number that several workers write, the last one wins.
#[derive(Debug)]
struct Real(AtomicU64);

impl Real {
    fn new(value: f64) -> Self {
        Self(AtomicU64::new(value.to_bits()))
    }

    fn load(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }

    fn store(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// The mean after another `value`.
    fn follow(&self, value: f64) -> f64 {
        let mean = self.load();
        let mean = mean + FAST * (value - mean);
        self.store(mean);
        mean
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reports holds of kind 0, of `base` on average, and of kind 1, `times` as long, a quarter of all.
    fn mixed(costs: &Costs, requests: usize, base: f64, times: f64) {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..requests {
            let kind = usize::from(random.f64() < 0.25);
            let work = -0.5 * (random.f64() * random.f64()).max(1e-9).ln();
            costs.observe(kind, Duration::from_secs_f64(base * work * if kind == 1 { times } else { 1.0 }));
        }
    }

    fn ratio(costs: &Costs) -> f64 {
        costs.of(1) / costs.of(0)
    }

    #[test]
    fn one_kind_alone_costs_one() {
        let costs = Costs::new(3);
        for request in 0..10_000_u64 {
            costs.observe(2, Duration::from_millis(request * request % 977));
        }
        assert_eq!([0, 1, 2, 3].map(|kind| costs.of(kind).to_bits()), [1.0_f64.to_bits(); 4]);
    }

    #[test]
    fn a_new_kind_is_measured_against_the_known_one() {
        let costs = Costs::new(2);
        for _ in 0..1_000 {
            costs.observe(0, Duration::from_millis(50));
        }
        // Those that end first are short.
        mixed(&costs, 60, 0.05, 3.0);
        mixed(&costs, 600, 0.05, 10.0);
        assert!((8.5..11.5).contains(&ratio(&costs)), "{}", ratio(&costs));
        assert!((costs.of(0) - 1.0).abs() < 0.1, "the known one keeps its cost: {}", costs.of(0));
    }

    #[test]
    fn a_common_slowdown_is_not_a_cost() {
        let costs = Costs::new(2);
        mixed(&costs, 4_000, 0.05, 10.0);
        let before = [costs.of(0), costs.of(1)];
        mixed(&costs, 4_000, 0.25, 10.0);
        for (kind, before) in before.iter().enumerate() {
            assert!((costs.of(kind) / before - 1.0).abs() < 0.1, "{kind}: {before} to {}", costs.of(kind));
        }
        assert!((9.0..11.0).contains(&ratio(&costs)), "{}", ratio(&costs));
    }

    #[test]
    fn a_kind_that_becomes_cheap_is_learned_in_time_and_the_mean_stays() {
        let costs = Costs::new(2);
        mixed(&costs, 4_000, 0.05, 10.0);
        let mean = |costs: &Costs| 0.75 * costs.of(0) + 0.25 * costs.of(1);
        let before = mean(&costs);
        mixed(&costs, 40_000, 0.05, 2.0);
        assert!((1.8..2.2).contains(&ratio(&costs)), "{}", ratio(&costs));
        assert!((mean(&costs) / before - 1.0).abs() < 0.15, "{before} to {}", mean(&costs));
    }

    #[test]
    fn days_do_not_wear_costs_out() {
        let costs = Costs::new(2);
        mixed(&costs, 3_000_000, 0.05, 10.0);
        let mean = 0.75 * costs.of(0) + 0.25 * costs.of(1);
        assert!((0.7..1.4).contains(&mean), "{mean}");
        assert!((9.0..11.0).contains(&ratio(&costs)), "{}", ratio(&costs));
    }

    #[test]
    fn what_hung_is_no_cost() {
        let costs = Costs::new(2);
        mixed(&costs, 4_000, 0.05, 10.0);
        let before = [costs.of(0), costs.of(1)];
        for _ in 0..10 {
            costs.observe(0, Duration::from_hours(1));
            mixed(&costs, 200, 0.05, 10.0);
        }
        for (kind, before) in before.iter().enumerate() {
            assert!((costs.of(kind) / before - 1.0).abs() < 0.1, "{kind}: {before} to {}", costs.of(kind));
        }
    }

    proptest! {
        /// Whatever is observed, costs are finite and bounded.
        #[test]
        fn costs_are_bounded(holds in prop::collection::vec((0_usize..5, prop_oneof![
            Just(0), Just(1), 0..1_000_000_000_u64, any::<u64>(), Just(u64::MAX),
        ]), 1..300)) {
            let costs = Costs::new(4);
            for (kind, nanos) in holds {
                costs.observe(kind, Duration::from_nanos(nanos));
                let cost = costs.of(kind);
                prop_assert!((COST_MIN..=COST_MAX).contains(&cost), "{}", cost);
                prop_assert!(costs.scale.per_cost().is_finite());
            }
        }
    }
}
