//! What the demonstration must show.
//!
//! **Invariants**: nothing passes by default: every check compares a number that was measured in this run.

use serde::Serialize;

use crate::crowd::tally::Account as CrowdAccount;
use crate::origin::server::Account as OriginAccount;
use crate::table;

/// An unprotected service that registers more than this has not collapsed, and the demonstration shows nothing.
const UNPROTECTED: f64 = 0.20;

/// Share of what the capacity allows that must be registered through the gateway.
const PROTECTED: f64 = 0.98;

/// Work done for people who have left, as a share of all work.
const WASTE: f64 = 0.001;

/// One half of the demonstration: what the people met and what the service did.
#[derive(Clone, Debug, Serialize)]
pub struct Half {
    /// What the people met.
    pub crowd: CrowdAccount,
    /// What the service did.
    pub service: OriginAccount,
}

/// One statement and whether it is true.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Whether it is true.
    pub pass: bool,
    /// What was to be shown.
    pub claim: String,
    /// What was measured.
    pub measured: String,
}

impl Half {
    /// Share of the service's work that reached nobody. The greater of two accounts: the ledger's (work that is not
    /// finished when the last person has left, or finished for a caller that had gone) and the sign-ups made less the
    /// people told of one, because a gateway may well listen to the end for somebody who left.
    #[must_use]
    pub fn waste(&self) -> f64 {
        let counts = self.service.service.counts;
        let heard = counts.finished_work - counts.wasted_work;
        let gone = 1.0 - heard / self.service.service.work.max(heard).max(1e-9);
        let unheard = counts.effects.saturating_sub(self.crowd.registered) as f64 / (counts.effects as f64).max(1.0);
        gone.max(unheard)
    }
}

/// Judges both halves; `allowed` is what the capacity allows, `limit` the most that may be in flight.
#[must_use]
pub fn judge(direct: &Half, gateway: &Half, allowed: u64, limit: usize) -> Vec<Check> {
    let check = |pass, claim: String, measured: String| Check { pass, claim, measured };
    let (people, registered) = (direct.crowd.people as f64, direct.crowd.registered as f64);
    let through = gateway.crowd.registered as f64;
    let counts = gateway.service.service.counts;
    let peak = gateway.service.service.max_in_flight;
    let invalid = direct.crowd.invalid().or_else(|| gateway.crowd.invalid());
    vec![
        check(
            registered < UNPROTECTED * people,
            "without a gateway the service collapses: < 20 % registered".into(),
            table::percent(registered, people),
        ),
        check(
            allowed > 0 && through >= PROTECTED * allowed as f64,
            "through weir ≥ 98 % of what the capacity allows".into(),
            table::percent(through, allowed as f64),
        ),
        check(counts.duplicates == 0, "nobody signed up twice".into(), table::count(counts.duplicates)),
        check(
            counts.unique_keys >= gateway.crowd.registered,
            "nobody told so without a sign-up in the ledger".into(),
            format!("{} told, {} entered", table::count(gateway.crowd.registered), table::count(counts.unique_keys)),
        ),
        check(
            peak <= limit,
            format!("never more in flight at the service than weir allowed: {limit}"),
            peak.to_string(),
        ),
        check(
            counts.effects > 0 && gateway.waste() < WASTE,
            "work for people who had left < 0.1 %".into(),
            format!("{:.3} %", gateway.waste() * 100.0),
        ),
        check(
            invalid.is_none(),
            "the harness kept its own time".into(),
            invalid
                .unwrap_or_else(|| format!("lag p99 {:.1} ms", direct.crowd.lag.p99.max(gateway.crowd.lag.p99) * 1e3)),
        ),
    ]
}

/// Whether the harness itself failed, so that nothing was shown either way.
#[must_use]
pub fn is_invalid(direct: &Half, gateway: &Half) -> bool {
    direct.crowd.invalid().is_some() || gateway.crowd.invalid().is_some()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::crowd::answer::Outcome;
    use crate::crowd::tally::Tally;
    use crate::origin::ledger::Counts;
    use crate::origin::service::Summary;

    fn half(registered: u64, people: u64, edit: impl FnOnce(&mut Summary)) -> Half {
        let mut tally = Tally::new().expect("histograms");
        for person in 0..people {
            let outcome = if person < registered { Outcome::Registered } else { Outcome::GaveUp };
            tally.left(outcome, Duration::from_secs(1), Duration::from_secs(1));
        }
        let counts = Counts {
            effects: registered,
            unique_keys: registered,
            finished_work: registered as f64,
            ..Counts::default()
        };
        let mut service =
            Summary { counts, in_flight: 0, max_in_flight: 40, work: registered as f64, refused: 0, elapsed: 30.0 };
        edit(&mut service);
        Half {
            crowd: tally.close(Duration::from_secs(30)),
            service: OriginAccount { service, connections: 1, accept_errors: 0 },
        }
    }

    fn failed(direct: &Half, gateway: &Half) -> Vec<usize> {
        let checks = judge(direct, gateway, 1_000, 40);
        checks.iter().enumerate().filter(|(_, check)| !check.pass).map(|(index, _)| index).collect()
    }

    #[test]
    fn a_good_run_passes_and_each_fault_fails_its_own_check() {
        let (direct, good) = (half(100, 1_000, |_| {}), half(990, 1_000, |_| {}));
        assert_eq!(failed(&direct, &good), Vec::<usize>::new());
        assert_eq!(failed(&half(200, 1_000, |_| {}), &good), [0]);
        assert_eq!(failed(&direct, &half(979, 1_000, |_| {})), [1]);
        assert_eq!(failed(&direct, &half(990, 1_000, |service| service.counts.duplicates = 1)), [2]);
        assert_eq!(failed(&direct, &half(990, 1_000, |service| service.counts.unique_keys = 989)), [3]);
        assert_eq!(failed(&direct, &half(990, 1_000, |service| service.max_in_flight = 41)), [4]);
        assert_eq!(failed(&direct, &half(990, 1_000, |service| service.counts.wasted_work = 1.0)), [5]);
        assert_eq!(failed(&direct, &half(990, 1_000, |service| service.counts.effects = 992)), [5]);
        assert_eq!(failed(&direct, &half(990, 1_000, |service| service.work = 992.0)), [5]);
    }

    #[test]
    fn nothing_registered_passes_nothing() {
        let nothing = half(0, 1_000, |_| {});
        assert_eq!(failed(&nothing, &nothing), [1, 5]);
    }
}
