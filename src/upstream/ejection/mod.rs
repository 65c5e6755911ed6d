//! When a server is left out, and how it comes back: a pure state machine.
//!
//! ```text
//! serving ──5 failures in a row, or under half of ≥ 20 good──▶ ejected ──pause over──▶ trial: one request
//!    ▲                                                          ▲                        │        │
//!    └──── proven ──── returned: weight grows ◀─────────────────┼── it went well ────────┘        │
//!                              └──── fails as when serving ─────┴── it did not: twice the pause ──┘
//! ```
//!
//! **Invariants**: out for at least the pause of its round, 1 s · 2^round, at most 60 s, ± 20 %; at most one trial at a time;
//! nobody is ejected whom `may_leave` wants to keep; what was sent before the state changed does not judge the new one.
//! **Cost**: a few comparisons; called only for a failure and for a server that is not simply serving.
//! **Not here**: time and chance (arguments), how many may be out at once (`health`), active checks (`check`).
//!
//! The union of both rules, exact counts and a probation of one request are Linkerd2-proxy's; jitter keeps several gateways
//! from trying in step.

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::window::Counts;
use crate::clock::Tick;

/// Failures in a row that eject.
const FAILURES_IN_A_ROW: u32 = 5;
/// A ratio of fewer answers says nothing.
const SAMPLES_MIN: u64 = 20;
/// The first pause; each further round doubles it.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_mins(1);
/// Part of a pause by which chance makes it longer or shorter.
const PAUSE_JITTER: f64 = 0.2;
/// 1 s · 2^6 is beyond the longest pause.
const ROUND_MAX: u32 = 6;
/// A server that comes back starts with this part of its share, so that the first requests of slow start are not far apart.
const WEIGHT_MIN: f64 = 0.1;

/// What one exchange says about its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Observation {
    /// It answered.
    Success,
    /// It could not be reached, broke, stayed silent or said 502, 503 or 504.
    Failure,
    /// It answered, and said that the fault is its own (500 and its like): alive, neither good nor bad.
    Neutral,
    /// 429: alive and full. No reason to leave it out, but none to let it back in.
    Pushback,
    /// Nothing was learned.
    Nothing,
}

/// An observation with its circumstances.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    pub(super) observation: Observation,
    /// When the exchange began.
    pub(super) began: Tick,
    /// Whether the exchange was the one request of a probation.
    pub(super) is_trial: bool,
}

/// What a report changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// From serving to ejected.
    Ejected,
    /// From probation back to ejected, for longer.
    EjectedAgain,
    /// From ejected or probation back to work.
    Returned,
}

/// Where a server stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Serving,
    Ejected { since: Tick, until: Tick },
    Trial { since: Tick },
    Returned { since: Tick },
}

/// The state of one server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ejection {
    phase: Phase,
    failures: u32,
    round: u32,
    /// The pause last spent outside: so long it must serve before it counts as proven.
    pause: Duration,
    slow_start: Duration,
}

impl Ejection {
    /// A server in full service.
    pub(super) const fn serving(slow_start: Duration) -> Self {
        Self { phase: Phase::Serving, failures: 0, round: 0, pause: Duration::ZERO, slow_start }
    }

    /// A server that joins others at work.
    pub(super) const fn joining(now: Tick, slow_start: Duration) -> Self {
        let mut joining = Self::serving(slow_start);
        joining.phase = Phase::Returned { since: now };
        joining
    }

    pub(super) const fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether it is neither serving nor coming back.
    pub(super) const fn is_out(&self) -> bool {
        matches!(self.phase, Phase::Ejected { .. } | Phase::Trial { .. })
    }

    /// Whether a success would change nothing.
    pub(super) const fn is_clear(&self) -> bool {
        matches!(self.phase, Phase::Serving) && self.failures == 0
    }

    /// Share of a full server's requests, from 0 to 1.
    pub(super) fn weight(&self, now: Tick) -> f64 {
        match self.phase {
            Phase::Serving => 1.0,
            Phase::Ejected { .. } | Phase::Trial { .. } => 0.0,
            Phase::Returned { .. } if self.slow_start.is_zero() => 1.0,
            Phase::Returned { since } => {
                (now.since(since).as_secs_f64() / self.slow_start.as_secs_f64()).clamp(WEIGHT_MIN, 1.0)
            }
        }
    }

    /// Whether the pause is over and nobody is on trial.
    pub(super) fn is_due(&self, now: Tick) -> bool {
        matches!(self.phase, Phase::Ejected { until, .. } if until <= now)
    }

    /// Takes the one place of the probation.
    pub(super) fn try_trial(&mut self, now: Tick) -> bool {
        match self.phase {
            Phase::Ejected { since, until } if until <= now => {
                self.phase = Phase::Trial { since };
                true
            }
            _ => false,
        }
    }

    /// It was down for another reason and comes back: slow start.
    pub(super) fn come_back(&mut self, now: Tick) {
        if !self.is_out() {
            self.phase = Phase::Returned { since: now };
        }
    }

    /// Takes note of the end of an exchange. `counts` are those of the last ten seconds, this one included; `chance` is from
    /// 0 to 1; `may_leave` is asked when it should be ejected.
    pub(super) fn note(
        &mut self,
        report: Report,
        counts: Counts,
        now: Tick,
        chance: f64,
        may_leave: impl FnOnce() -> bool,
    ) -> Change {
        match self.phase {
            Phase::Trial { since } if report.is_trial => self.judge(report.observation, since, now, chance),
            // Nobody else was left to ask, and it answered.
            Phase::Ejected { since, .. } | Phase::Trial { since }
                if report.observation == Observation::Success && report.began >= since =>
            {
                self.let_back(now)
            }
            Phase::Ejected { .. } | Phase::Trial { .. } => Change::None,
            Phase::Returned { since } if report.began < since => Change::None,
            Phase::Serving | Phase::Returned { .. } => self.serve(report.observation, counts, now, chance, may_leave),
        }
    }

    fn serve(
        &mut self,
        observation: Observation,
        counts: Counts,
        now: Tick,
        chance: f64,
        may_leave: impl FnOnce() -> bool,
    ) -> Change {
        match observation {
            Observation::Nothing => return Change::None,
            Observation::Failure => self.failures = self.failures.saturating_add(1),
            Observation::Success | Observation::Neutral | Observation::Pushback => {
                self.failures = 0;
                if let Phase::Returned { since } = self.phase
                    && now.since(since) >= self.slow_start.max(self.pause)
                {
                    (self.phase, self.round, self.pause) = (Phase::Serving, 0, Duration::ZERO);
                }
                return Change::None;
            }
        }
        let samples = counts.successes + counts.failures;
        let mostly_bad = samples >= SAMPLES_MIN && counts.successes * 2 < samples;
        if (self.failures >= FAILURES_IN_A_ROW || mostly_bad) && may_leave() {
            self.eject(now, chance);
            return Change::Ejected;
        }
        Change::None
    }

    fn judge(&mut self, observation: Observation, since: Tick, now: Tick, chance: f64) -> Change {
        match observation {
            Observation::Success | Observation::Neutral => self.let_back(now),
            Observation::Failure | Observation::Pushback => {
                self.eject(now, chance);
                Change::EjectedAgain
            }
            Observation::Nothing => {
                self.phase = Phase::Ejected { since, until: now };
                Change::None
            }
        }
    }

    fn let_back(&mut self, now: Tick) -> Change {
        (self.phase, self.failures) = (Phase::Returned { since: now }, 0);
        Change::Returned
    }

    fn eject(&mut self, now: Tick, chance: f64) {
        let pause = (PAUSE_FIRST * (1 << self.round)).min(PAUSE_MAX);
        self.pause = pause.mul_f64(1.0 + PAUSE_JITTER * (2.0 * chance.clamp(0.0, 1.0) - 1.0));
        self.round = (self.round + 1).min(ROUND_MAX);
        self.failures = 0;
        self.phase = Phase::Ejected { since: now, until: now.after(self.pause) };
    }
}
