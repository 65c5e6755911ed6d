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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SLOW: Duration = Duration::from_secs(10);
    const FEW: Counts = Counts { successes: 3, failures: 3 };

    fn at(millis: u64) -> Tick {
        Tick::from_nanos(millis * 1_000_000)
    }

    fn report(observation: Observation, began: Tick) -> Report {
        Report { observation, began, is_trial: false }
    }

    fn ejected_at(now: Tick) -> Ejection {
        let mut server = Ejection::serving(SLOW);
        for _ in 0..FAILURES_IN_A_ROW {
            server.note(report(Observation::Failure, now), FEW, now, 0.5, || true);
        }
        assert!(server.is_out());
        server
    }

    #[test]
    fn five_failures_in_a_row_eject_and_an_answer_between_does_not() {
        for between in [Observation::Success, Observation::Neutral, Observation::Pushback] {
            let mut server = Ejection::serving(SLOW);
            for turn in 0..40 {
                let seen = if turn % 5 == 4 { between } else { Observation::Failure };
                assert_eq!(server.note(report(seen, at(1)), FEW, at(1), 0.5, || true), Change::None);
            }
        }
        let server = ejected_at(at(1));
        assert_eq!(server.phase(), Phase::Ejected { since: at(1), until: at(1001) });
    }

    #[test]
    fn under_half_of_enough_answers_ejects() {
        for (successes, failures, out) in [(9, 10, false), (10, 10, false), (9, 11, true), (499, 501, true)] {
            let mut server = Ejection::serving(SLOW);
            let counts = Counts { successes, failures };
            server.note(report(Observation::Failure, at(1)), counts, at(1), 0.5, || true);
            assert_eq!(server.is_out(), out, "{counts:?}");
        }
    }

    #[test]
    fn who_may_not_leave_stays() {
        let mut server = Ejection::serving(SLOW);
        for _ in 0..100 {
            server.note(report(Observation::Failure, at(1)), FEW, at(1), 0.5, || false);
        }
        assert_eq!(server.phase(), Phase::Serving);
    }

    #[test]
    fn probation_is_one_request_and_its_failure_doubles_the_pause() {
        let mut server = ejected_at(at(0));
        let mut now = at(0);
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert!(!server.try_trial(now.after(Duration::from_millis(pause * 1000 - 1))));
            now = now.after(Duration::from_secs(pause));
            assert!(server.try_trial(now) && !server.try_trial(now));
            let bad = if pause % 3 == 0 { Observation::Pushback } else { Observation::Failure };
            let trial = Report { observation: bad, began: now, is_trial: true };
            assert_eq!(server.note(trial, FEW, now, 0.5, || false), Change::EjectedAgain);
        }
    }

    #[test]
    fn a_trial_that_taught_nothing_is_repeated_at_once() {
        let mut server = ejected_at(at(0));
        assert!(server.try_trial(at(1000)));
        let trial = Report { observation: Observation::Nothing, began: at(1000), is_trial: true };
        assert_eq!(server.note(trial, FEW, at(1000), 0.5, || true), Change::None);
        assert!(server.try_trial(at(1000)));
    }

    #[test]
    fn slow_start_grows_evenly_and_only_a_proven_server_is_forgiven() {
        let mut server = ejected_at(at(0));
        assert!(server.try_trial(at(1000)));
        let trial = Report { observation: Observation::Success, began: at(1000), is_trial: true };
        assert_eq!(server.note(trial, FEW, at(1000), 0.5, || true), Change::Returned);
        for (millis, weight) in [(1000, 0.1), (2000, 0.1), (6000, 0.5), (11_000, 1.0), (30_000, 1.0)] {
            assert!((server.weight(at(millis)) - weight).abs() < 1e-9, "{millis} ms");
        }
        let mut early = server;
        for _ in 0..FAILURES_IN_A_ROW {
            early.note(report(Observation::Failure, at(5000)), FEW, at(5000), 0.5, || true);
        }
        assert_eq!(early.phase(), Phase::Ejected { since: at(5000), until: at(7000) }, "the second round");
        server.note(report(Observation::Success, at(11_000)), FEW, at(11_000), 0.5, || true);
        assert_eq!(server.phase(), Phase::Serving);
    }

    #[test]
    fn what_was_sent_before_does_not_judge_what_is_now() {
        let mut server = ejected_at(at(500));
        server.note(report(Observation::Success, at(100)), FEW, at(600), 0.5, || true);
        assert!(server.is_out(), "an old answer readmits nobody");
        server.note(report(Observation::Success, at(700)), FEW, at(800), 0.5, || true);
        assert!(!server.is_out(), "asked as the last resort, it answered");
        for _ in 0..20 {
            server.note(report(Observation::Failure, at(400)), FEW, at(900), 0.5, || true);
        }
        assert!(!server.is_out(), "old failures eject nobody");
    }

    proptest! {
        /// Any life of a server: never out shorter than its pause allows, one trial at a time, weight within bounds.
        #[test]
        fn laws_hold_in_any_life(steps in proptest::collection::vec((0_u8..7, 0_u64..5_000, 0.0_f64..1.0), 1..300)) {
            let (mut server, mut now, mut on_trial, mut out) = (Ejection::serving(SLOW), Tick::ZERO, false, false);
            let mut ejected = Tick::ZERO;
            for (step, millis, chance) in steps {
                now = now.after(Duration::from_millis(millis));
                let seen = match step {
                    0 | 1 => Observation::Success,
                    2 | 3 => Observation::Failure,
                    4 => Observation::Pushback,
                    5 => Observation::Nothing,
                    _ => {
                        let taken = server.try_trial(now);
                        prop_assert!(!(taken && on_trial));
                        prop_assert!(!taken || now.since(ejected) >= PAUSE_FIRST.mul_f64(1.0 - PAUSE_JITTER));
                        on_trial |= taken;
                        continue;
                    }
                };
                let is_trial = on_trial;
                on_trial = false;
                let change = server.note(Report { observation: seen, began: now, is_trial }, FEW, now, chance, || !out);
                if matches!(change, Change::Ejected | Change::EjectedAgain) {
                    ejected = now;
                    let Phase::Ejected { until, .. } = server.phase() else { panic!("{server:?}") };
                    prop_assert!(until.since(now) <= PAUSE_MAX.mul_f64(1.0 + PAUSE_JITTER));
                }
                match change {
                    Change::Ejected => prop_assert!(!std::mem::replace(&mut out, true)),
                    Change::Returned => prop_assert!(std::mem::replace(&mut out, false)),
                    Change::EjectedAgain => prop_assert!(out && is_trial),
                    Change::None => {}
                }
                prop_assert_eq!(server.is_out(), out);
                let weight = server.weight(now);
                let bounds = if out { 0.0..=0.0 } else { WEIGHT_MIN..=1.0 };
                prop_assert!(bounds.contains(&weight));
            }
        }
    }
}
