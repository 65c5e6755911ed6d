//! How well one server is at each instant, and when it listens, out of the faults of a scenario.
//!
//! **Invariants**: a pure function of time; overlapping faults multiply; between two [`Timeline::edges`] only the warm-up after a refusal
//! changes anything.
//! **Cost**: O(faults) a look.

use std::time::Duration;

use crate::origin::model::Conditions;
use crate::scenario::fault::ServiceFault;
use crate::scenario::{FaultKind, Scenario, ServiceIndex};

/// A service that was just started again takes three times as long: `1 + COLD·exp(−t/warm_up)`.
const COLD: f64 = 2.0;

/// Of the parallelism some is always left: what a model divides by.
const LEAST_PARALLELISM: f64 = 1e-6;

/// The faults of one server.
#[derive(Clone, Debug)]
pub struct Timeline {
    faults: Vec<Mine>,
    /// When it begins to listen; none: never.
    opens: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Mine {
    at: Duration,
    until: Duration,
    kind: ServiceFault,
}

impl Mine {
    fn closes(self) -> bool {
        matches!(self.kind, ServiceFault::Refuse { .. } | ServiceFault::Restart)
    }

    fn holds(self, at: Duration) -> bool {
        self.at <= at && at < self.until
    }
}

impl Timeline {
    /// What befalls the server of this number, of this service; numbers from [`Service::servers`](crate::scenario::Service::servers) on
    /// are the reserve.
    #[must_use]
    pub fn of(scenario: &Scenario, service: ServiceIndex, server: u8) -> Self {
        let there = scenario.services.get(usize::from(service)).map_or(0, |service| service.servers);
        let mut opens = (server < there).then_some(Duration::ZERO);
        let mut added = there;
        let mut faults = Vec::new();
        for fault in &scenario.faults {
            let FaultKind::Service { service: whose, server: which, kind } = fault.kind else { continue };
            if whose != service {
                continue;
            }
            if let ServiceFault::AddServers(count) = kind {
                added = added.saturating_add(count);
                opens = opens.or_else(|| (server < added).then_some(fault.at));
            } else if which.is_none_or(|which| which == server) {
                faults.push(Mine { at: fault.at, until: fault.at.saturating_add(fault.lasts), kind });
            }
        }
        Self { faults, opens }
    }

    /// How fast the server works at this instant on what it has.
    #[must_use]
    pub fn conditions(&self, at: Duration) -> Conditions {
        self.faults.iter().fold(Conditions::HEALTHY, |conditions, fault| {
            let Conditions { parallelism, speed } = conditions;
            match fault.kind {
                ServiceFault::Refuse { warm_up } if at >= fault.until => {
                    let times = at.saturating_sub(fault.until).as_secs_f64() / warm_up.as_secs_f64();
                    // A warm-up of no length is over at once: 0/0 is none.
                    let cold = if times.is_nan() { 0.0 } else { COLD * (-times).exp() };
                    Conditions { parallelism, speed: speed / (1.0 + cold) }
                }
                _ if !fault.holds(at) => conditions,
                ServiceFault::Parallelism(share) => {
                    Conditions { parallelism: (parallelism * share).max(LEAST_PARALLELISM), speed }
                }
                ServiceFault::Speed(share) => Conditions { parallelism, speed: speed * share },
                ServiceFault::Stall | ServiceFault::Refuse { .. } | ServiceFault::Restart => {
                    Conditions { parallelism, speed: 0.0 }
                }
                ServiceFault::AddServers(_) | ServiceFault::Sinkhole => conditions,
            }
        })
    }

    /// The share of its healthy capacity that there is at this instant for those who ask.
    #[must_use]
    pub fn capacity(&self, at: Duration) -> f64 {
        if self.is_open(at) && !self.is_sinkhole(at) { self.conditions(at).capacity() } else { 0.0 }
    }

    /// Whether all it does is fail.
    #[must_use]
    pub fn is_sinkhole(&self, at: Duration) -> bool {
        self.faults.iter().any(|fault| fault.kind == ServiceFault::Sinkhole && fault.holds(at))
    }

    /// Whether it listens.
    #[must_use]
    pub fn is_open(&self, at: Duration) -> bool {
        self.opens.is_some_and(|opens| opens <= at)
            && !self.faults.iter().any(|fault| fault.closes() && fault.holds(at))
    }

    /// Whether everything it holds is lost at exactly this instant.
    #[must_use]
    pub fn breaks(&self, at: Duration) -> bool {
        self.faults.iter().any(|fault| fault.closes() && fault.at == at)
    }

    /// Instants at which something begins or ends.
    pub fn edges(&self) -> impl Iterator<Item = Duration> {
        self.faults.iter().flat_map(|fault| [fault.at, fault.until]).chain(self.opens)
    }

    /// When its socket listens: from, and until if ever; in order.
    #[must_use]
    pub fn open_spans(&self) -> Vec<(Duration, Option<Duration>)> {
        let Some(mut open) = self.opens else { return Vec::new() };
        let mut closures: Vec<_> = self.faults.iter().filter(|fault| fault.closes()).collect();
        closures.sort_by_key(|fault| fault.at);
        let mut spans = Vec::new();
        for closure in closures {
            if closure.at > open {
                spans.push((open, Some(closure.at)));
            }
            open = open.max(closure.until);
        }
        spans.push((open, None));
        spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::fixture::{at, fault, scenario, service};

    fn of(faults: &[(u64, u64, Option<u8>, ServiceFault)], server: u8) -> Timeline {
        let mut scenario = scenario(vec![service()]);
        scenario.services[0].servers = 2;
        scenario.services[0].reserve = 2;
        scenario.faults = faults.iter().map(|(at, lasts, server, kind)| fault(*at, *lasts, *server, *kind)).collect();
        Timeline::of(&scenario, 0, server)
    }

    #[test]
    fn faults_begin_end_and_multiply() {
        let faults = [
            (10_000, 10_000, None, ServiceFault::Parallelism(0.5)),
            (15_000, 10_000, Some(1), ServiceFault::Speed(0.5)),
            (30_000, 5_000, None, ServiceFault::Stall),
        ];
        let (first, second) = (of(&faults, 0), of(&faults, 1));
        assert_eq!(first.conditions(at(9_999)), Conditions::HEALTHY);
        assert_eq!(first.conditions(at(10_000)), Conditions { parallelism: 0.5, speed: 1.0 });
        assert!((second.capacity(at(16_000)) - 0.25).abs() < 1e-9);
        assert_eq!(first.conditions(at(20_000)), Conditions::HEALTHY);
        assert!(first.capacity(at(32_000)) < 1e-9 && first.is_open(at(32_000)));
        assert_eq!(first.open_spans(), [(Duration::ZERO, None)]);
    }

    #[test]
    fn a_refusing_server_is_closed_and_comes_back_cold_and_one_started_again_does_not() {
        let refuse = of(&[(5_000, 10_000, None, ServiceFault::Refuse { warm_up: at(5_000) })], 0);
        assert!(!refuse.is_open(at(5_000)) && !refuse.is_open(at(14_999)) && refuse.is_open(at(15_000)));
        assert!(refuse.breaks(at(5_000)) && !refuse.breaks(at(5_001)));
        assert!(refuse.capacity(at(14_999)) < 1e-9);
        assert!((refuse.capacity(at(15_000)) - 1.0 / 3.0).abs() < 1e-9);
        assert!(refuse.capacity(at(45_000)) > 0.99);
        assert_eq!(refuse.open_spans(), [(at(0), Some(at(5_000))), (at(15_000), None)]);
        let restart = of(&[(5_000, 10_000, Some(1), ServiceFault::Restart)], 1);
        assert!(!restart.is_open(at(9_000)) && (restart.capacity(at(15_000)) - 1.0).abs() < 1e-9);
        let no_warm_up = of(&[(5_000, 1_000, None, ServiceFault::Refuse { warm_up: Duration::ZERO })], 0);
        assert!((no_warm_up.capacity(at(6_000)) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_restart_of_no_length_still_breaks_what_is_there() {
        let restart = of(&[(5_000, 0, None, ServiceFault::Restart)], 0);
        assert!(restart.breaks(at(5_000)) && restart.is_open(at(5_000)));
        assert_eq!(restart.open_spans(), [(at(0), Some(at(5_000))), (at(5_000), None)]);
    }

    #[test]
    fn the_reserve_opens_in_order_as_servers_are_added() {
        let faults = [(1_000, 0, None, ServiceFault::AddServers(1)), (2_000, 0, None, ServiceFault::AddServers(1))];
        let opens = |server| of(&faults, server).open_spans();
        assert_eq!(opens(1), [(at(0), None)]);
        assert_eq!(opens(2), [(at(1_000), None)]);
        assert_eq!(opens(3), [(at(2_000), None)]);
        assert_eq!(of(&faults[..1], 3).open_spans(), []);
        assert!(of(&faults, 2).capacity(at(999)) < 1e-9 && of(&faults, 2).edges().any(|edge| edge == at(1_000)));
    }

    #[test]
    fn a_sinkhole_has_no_capacity_but_ends_what_it_holds() {
        let sinkhole = of(&[(1_000, 1_000, Some(0), ServiceFault::Sinkhole)], 0);
        assert!(sinkhole.is_sinkhole(at(1_500)) && sinkhole.is_open(at(1_500)) && !sinkhole.is_sinkhole(at(2_000)));
        assert!(sinkhole.capacity(at(1_500)) < 1e-9);
        assert_eq!(sinkhole.conditions(at(1_500)), Conditions::HEALTHY);
    }
}
