//! How far predictions are off: predictions of its own, made now and looked at when their time has come.
//!
//! Of each length of a wait some are under way. Whenever one has come true, the quantile of its length moves: up a long step if it
//! took longer than its p90, down a short one if not. In the long run one in ten takes longer, whatever the services do (adaptive conformal
//! inference: Gibbs & Candès 2021). Where they swing within the length of a wait, two in ten may.

use super::speed::Reading;

/// Lengths of waits that have quantiles of their own: their ends in seconds, and beyond.
const ENDS: [f64; BUCKETS - 1] = [60.0, 300.0, 1_800.0, 7_200.0];

/// Predictions of a length made at a time, staggered.
const UNDER_WAY: usize = 8;

/// How many lengths there are.
pub(super) const BUCKETS: usize = 5;

/// The 90 % quantile of the normal distribution, before anything is known.
pub(super) const NORMAL: f64 = 1.2816;

/// The waits that are predicted, in seconds: one a length, the last not so long that it never comes true.
const WAITS: [f64; BUCKETS] = [30.0, 150.0, 900.0, 3_600.0, 10_800.0];

/// What the logarithm of a quantile moves by when a prediction was too short.
const STEP: f64 = 0.08;

/// It moves back by this part of [`STEP`] when not. One in ten would be a ninth; waits that overlap are off together, so what they teach
/// comes late, and one in ten it is with somewhat less (found by the simulation beside).
const EASE: f64 = 0.085 / 0.915;

/// Logarithms of quantiles stay this near to that of [`NORMAL`]: a factor of fifty.
const RANGE: f64 = 3.9;

/// The length of a wait of so many seconds.
pub(super) fn bucket(seconds: f64) -> usize {
    ENDS.iter().take_while(|end| seconds >= **end).count()
}

/// A prediction under way: when it is checked (people called in all), when it was made, and what was told.
#[derive(Clone, Copy, Debug)]
struct Probe {
    called: u64,
    made: f64,
    half: f64,
    deviation: f64,
}

#[derive(Debug, Default)]
struct Length {
    probes: Vec<Probe>,
    /// When the last was made.
    made: f64,
    /// Logarithm of the quantile over [`NORMAL`], if any has come true.
    moved: Option<f64>,
}

/// Predictions, and what they taught.
#[derive(Debug, Default)]
pub(super) struct Spread {
    lengths: [Length; BUCKETS],
    /// The last look: when, and how many had been called.
    looked: (f64, u64),
}

impl Spread {
    /// At `clock` (seconds without pauses) `called` people have been called in all.
    pub(super) fn observe(&mut self, clock: f64, called: u64, reading: Reading) {
        let before = std::mem::replace(&mut self.looked, (clock, called));
        let mut shorter = 0.0;
        for (length, wait) in self.lengths.iter_mut().zip(WAITS) {
            length.check(before, (clock, called), shorter);
            shorter = length.moved.unwrap_or(shorter);
            let due = length.probes.is_empty() || clock - length.made >= wait / UNDER_WAY as f64;
            if due && length.probes.len() < UNDER_WAY && reading.people > 0.0 {
                length.made = clock;
                let people = (wait * reading.speed).max(1.0).round();
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it saturates")]
                let due = called.saturating_add(people as u64);
                length.probes.push(Probe {
                    called: due,
                    made: clock,
                    half: people / reading.speed,
                    deviation: reading.deviation(people),
                });
            }
        }
    }

    pub(super) fn quantiles(&self) -> [f64; BUCKETS] {
        let mut shorter = 0.0;
        self.lengths.each_ref().map(|length| {
            shorter = length.moved.unwrap_or(shorter);
            NORMAL * f64::exp(shorter)
        })
    }
}

impl Length {
    /// Between two looks people were called evenly. What a longer wait has not taught yet, a `shorter` one has.
    fn check(&mut self, before: (f64, u64), now: (f64, u64), shorter: f64) {
        let mut moved = self.moved.unwrap_or(shorter);
        let under_way = self.probes.len();
        self.probes.retain(|probe| {
            let late = probe.half * (NORMAL * f64::exp(moved) * probe.deviation).exp();
            let come = now.1 >= probe.called;
            let part = probe.called.saturating_sub(before.1) as f64 / now.1.saturating_sub(before.1).max(1) as f64;
            let took = before.0 + (now.0 - before.0) * if come { part } else { 1.0 } - probe.made;
            let over = took > late;
            if come || over {
                moved = (moved + if over { STEP } else { -STEP * EASE }).clamp(-RANGE, RANGE);
            }
            !(come || over)
        });
        if self.probes.len() < under_way {
            self.moved = Some(moved);
        }
    }
}
