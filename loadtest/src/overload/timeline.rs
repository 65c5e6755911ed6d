//! How well a server is at each instant, out of the faults of a scenario.
//!
//! **Invariants**: a pure function of time; overlapping faults multiply.
//! **Cost**: O(faults) a look.

use std::time::Duration;

use super::scenario::{Fault, FaultKind, Seconds};
use crate::origin::model::Conditions;

/// Slowest a cold service is: three times its base time.
const COLD: f64 = 2.0;

/// The faults of one server.
#[derive(Clone, Debug)]
pub struct Timeline {
    faults: Vec<Fault>,
}

impl Timeline {
    /// Those of `faults` that befall `server`.
    #[must_use]
    pub fn of(faults: &[Fault], server: usize) -> Self {
        let mine = faults.iter().filter(|fault| fault.server.is_none_or(|which| which == server));
        Self { faults: mine.copied().collect() }
    }

    /// How the server is `at` seconds after the start.
    #[must_use]
    pub fn at(&self, at: Seconds) -> Conditions {
        self.faults.iter().fold(Conditions::HEALTHY, |conditions, fault| {
            let Conditions { parallelism, speed } = conditions;
            let since_end = at - (fault.at + fault.lasts);
            match fault.kind {
                FaultKind::Refuse { warm_up } if since_end >= 0.0 => {
                    Conditions { parallelism, speed: speed / (1.0 + COLD * (-since_end / warm_up).exp()) }
                }
                _ if at < fault.at || since_end >= 0.0 => conditions,
                FaultKind::Parallelism(share) => Conditions { parallelism: parallelism * share, speed },
                FaultKind::Speed(share) => Conditions { parallelism, speed: speed * share },
                FaultKind::Stall | FaultKind::Refuse { .. } => Conditions { parallelism, speed: 0.0 },
            }
        })
    }

    /// When it refuses connections: from and until.
    pub fn closures(&self) -> impl Iterator<Item = (Duration, Duration)> {
        let closed = self.faults.iter().filter(|fault| matches!(fault.kind, FaultKind::Refuse { .. }));
        closed.map(|fault| (span(fault.at), span(fault.at + fault.lasts)))
    }

    /// Whether it refuses connections `at` seconds after the start.
    #[must_use]
    pub fn is_closed(&self, at: Seconds) -> bool {
        let at = span(at);
        self.closures().any(|(from, until)| from <= at && at < until)
    }
}

/// Seconds as a duration; what is none is nothing.
pub(super) fn span(seconds: Seconds) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_begin_end_and_multiply() {
        let fault = |at, lasts, server, kind| Fault { at, lasts, server, kind };
        let faults = [
            fault(10.0, 10.0, None, FaultKind::Parallelism(0.5)),
            fault(15.0, 10.0, Some(1), FaultKind::Speed(0.5)),
            fault(30.0, 5.0, None, FaultKind::Stall),
        ];
        let (first, second) = (Timeline::of(&faults, 0), Timeline::of(&faults, 1));
        assert_eq!(first.at(9.9), Conditions::HEALTHY);
        assert_eq!(first.at(10.0), Conditions { parallelism: 0.5, speed: 1.0 });
        assert!((second.at(16.0).capacity() - 0.25).abs() < 1e-9);
        assert_eq!(first.at(20.0), Conditions::HEALTHY);
        assert!(first.at(32.0).capacity() < 1e-9);
        assert_eq!(first.closures().count(), 0);
    }

    #[test]
    fn a_refusing_service_comes_back_cold() {
        let refuse = Fault { at: 5.0, lasts: 10.0, server: None, kind: FaultKind::Refuse { warm_up: 5.0 } };
        let timeline = Timeline::of(&[refuse], 0);
        assert!(timeline.is_closed(5.0) && timeline.is_closed(14.9) && !timeline.is_closed(15.0));
        assert!(timeline.at(14.9).capacity() < 1e-9);
        assert!((timeline.at(15.0).capacity() - 1.0 / 3.0).abs() < 1e-9);
        assert!(timeline.at(45.0).capacity() > 0.99);
    }
}
