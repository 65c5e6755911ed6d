//! What the coordinator does to the gateway, and when.
//!
//! **Invariants**: in order of time; whatever began ends within the run.

use std::time::Duration;

use crate::scenario::fault::{FaultKind, GatewayFault, ServiceFault};
use crate::scenario::{Scenario, ServiceIndex};

/// One thing that is done at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// SIGKILL.
    Kill,
    /// SIGTERM; started again when it has ended.
    Restart,
    /// Started again after a kill.
    Start,
    /// SIGHUP.
    Reload,
    /// SIGSTOP.
    Pause,
    /// SIGCONT.
    Resume,
    /// So many servers more stand in its configuration, and SIGHUP.
    AddServers(ServiceIndex, u8),
}

/// What is done in `scenario`, in order.
#[must_use]
pub fn deeds(scenario: &Scenario) -> Vec<(Duration, Deed)> {
    let mut deeds = Vec::new();
    for fault in &scenario.faults {
        let ends = (fault.at + fault.lasts).min(scenario.end());
        match fault.kind {
            FaultKind::Gateway(GatewayFault::Kill) => deeds.extend([(fault.at, Deed::Kill), (ends, Deed::Start)]),
            FaultKind::Gateway(GatewayFault::Restart) => deeds.push((fault.at, Deed::Restart)),
            FaultKind::Gateway(GatewayFault::Reload) => deeds.push((fault.at, Deed::Reload)),
            FaultKind::Gateway(GatewayFault::Pause) => deeds.extend([(fault.at, Deed::Pause), (ends, Deed::Resume)]),
            FaultKind::Service { service, kind: ServiceFault::AddServers(count), .. } => {
                deeds.push((fault.at, Deed::AddServers(service, count)));
            }
            FaultKind::Service { .. } | FaultKind::Network { .. } => {}
        }
    }
    deeds.sort_by_key(|(at, _)| *at);
    deeds
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::people::tests::scenario;
    use crate::scenario::Fault;

    #[test]
    fn what_begins_ends_and_servers_are_added() {
        let mut scenario = scenario(Vec::new());
        let fault = |at, lasts, kind| Fault { at: Duration::from_secs(at), lasts: Duration::from_secs(lasts), kind };
        scenario.faults = vec![
            fault(1, 3, FaultKind::Gateway(GatewayFault::Pause)),
            fault(2, 0, FaultKind::Gateway(GatewayFault::Reload)),
            fault(3, 100, FaultKind::Gateway(GatewayFault::Kill)),
            fault(3, 0, FaultKind::Service { service: 1, server: None, kind: ServiceFault::AddServers(2) }),
            fault(3, 1, FaultKind::Service { service: 1, server: None, kind: ServiceFault::Stall }),
        ];
        let at = Duration::from_secs;
        let wanted = [
            (at(1), Deed::Pause),
            (at(2), Deed::Reload),
            (at(3), Deed::Kill),
            (at(3), Deed::AddServers(1, 2)),
            (at(4), Deed::Resume),
            (scenario.end(), Deed::Start),
        ];
        assert_eq!(deeds(&scenario), wanted);
    }
}
