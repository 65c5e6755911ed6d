//! How far predictions are off: predictions of its own, made now and looked at when their time has come.
//!
//! Of each length of a wait some are under way. Whenever one has come true, the quantile of its length moves: up by nine parts if it
//! took longer than the p90 that was told then, down by one if not. In the long run one in ten takes longer, whatever the services do (adaptive conformal
//! inference: Gibbs & Candès 2021).

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

/// What a quantile moves by when a prediction was too short; a ninth of it when not.
const STEP: f64 = 0.09;

/// Quantiles stay within this.
const RANGE: (f64, f64) = (0.8, 6.0);

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
    made: f64,
    moved: f64,
}

/// Predictions, and what they taught.
#[derive(Debug, Default)]
pub(super) struct Spread {
    lengths: [Length; BUCKETS],
}

impl Spread {
    /// At `clock` (seconds without pauses) `called` people have been called in all.
    pub(super) fn observe(&mut self, clock: f64, called: u64, reading: Reading) {
        for (length, wait) in self.lengths.iter_mut().zip(WAITS) {
            length.check(clock, called);
            let due = length.probes.is_empty() || clock - length.made >= wait / UNDER_WAY as f64;
            if due && length.probes.len() < UNDER_WAY && reading.people > 0.0 {
                length.made = clock;
                let people = (wait * reading.speed).max(1.0).round();
                length.probes.push(Probe {
                    called: called.saturating_add(people as u64),
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
            // What a longer wait has not taught yet, a shorter one has.
            if length.moved != 0.0 {
                shorter = length.moved;
            }
            NORMAL + shorter
        })
    }
}

impl Length {
    fn check(&mut self, clock: f64, called: u64) {
        let mut moved = self.moved;
        self.probes.retain(|probe| {
            let late = probe.half * ((NORMAL + moved) * probe.deviation).exp();
            let took = clock - probe.made;
            let over = took > late;
            let come = called >= probe.called;
            if come || over {
                moved += if over { STEP } else { -STEP / 9.0 };
                moved = moved.clamp(RANGE.0 - NORMAL, RANGE.1 - NORMAL);
            }
            !(come || over)
        });
        self.moved = moved;
    }
}
