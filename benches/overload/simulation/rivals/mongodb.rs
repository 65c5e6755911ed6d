//! Throughput probing as the `MongoDB` server does it (7.0 and later, `throughput_probing.cpp`), with the defaults of its
//! parameters: the number of tickets is tried higher, or lower when some are free, and any improvement is followed.

use super::{End, Law, Seen, whole};

/// Between two looks at throughput, in seconds (`throughputProbingConcurrencyAdjustmentIntervalMillis`).
const INTERVAL: f64 = 0.1;

/// Width of a probe (`throughputProbingStepMultiple`).
const STEP: f64 = 0.1;

/// Weight of a better level (`throughputProbingConcurrencyMovingAverageWeight`).
const WEIGHT: f64 = 0.2;

/// Tickets at least (`throughputProbingMinConcurrency`), at first and at most; the same bounds as the other laws.
const TICKETS: (f64, f64, f64) = (4.0, 16.0, 1000.0);

#[derive(Clone, Copy, Debug)]
enum Probe {
    Stable,
    Up,
    Down,
}

/// Throughput probing.
#[derive(Debug)]
pub(crate) struct Probing {
    stable: f64,
    stable_throughput: f64,
    probe: Probe,
    limit: f64,
    finished: f64,
    since: f64,
    exhausted: bool,
}

impl Default for Probing {
    fn default() -> Self {
        Self {
            stable: TICKETS.1,
            stable_throughput: 0.0,
            probe: Probe::Stable,
            limit: TICKETS.1,
            finished: 0.0,
            since: 0.0,
            exhausted: false,
        }
    }
}

impl Probing {
    fn look(&mut self, throughput: f64) {
        match self.probe {
            Probe::Stable => {
                self.stable_throughput = throughput;
                let up = self.exhausted && self.limit < TICKETS.2;
                let step = if up { STEP } else { -STEP };
                let level = (self.stable * (1.0 + step)).round();
                let moved = if whole(level) == self.limit() { level + step.signum() } else { level };
                self.probe = if up { Probe::Up } else { Probe::Down };
                self.limit = moved.clamp(TICKETS.0, TICKETS.2);
                self.exhausted = false;
            }
            Probe::Up | Probe::Down => {
                if throughput > self.stable_throughput {
                    self.stable = WEIGHT * self.limit + (1.0 - WEIGHT) * self.stable;
                }
                self.probe = Probe::Stable;
                self.limit = self.stable.round().clamp(TICKETS.0, TICKETS.2);
            }
        }
    }
}

impl Law for Probing {
    fn limit(&self) -> u32 {
        whole(self.limit)
    }

    fn ended(&mut self, _: End) {
        self.finished += 1.0;
    }

    fn tick(&mut self, now: f64, seen: Seen) {
        self.exhausted |= seen.in_flight >= self.limit();
        if now - self.since >= INTERVAL {
            self.look(self.finished / (now - self.since));
            self.finished = 0.0;
            self.since = now;
        }
    }
}
