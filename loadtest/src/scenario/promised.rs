//! What a gateway's configuration promises, as far as a run can prove it.
//!
//! **Invariants**: an upstream stands for the service of the same name; of others nothing is known.
//! **Not here**: whether it is kept (`oracle`).

use std::path::Path;
use std::time::Duration;

use weir::config::plan::{Concurrency, Identity, Plan, RateLimit};
use weir::config::{self, Report};

use super::{Scenario, ServiceIndex};
use crate::oracle::facts::{Declared, Limit};
use crate::origin::server::IDEMPOTENCY_KEY;

/// What weir's configuration at `path` promises about the services of `scenario`.
///
/// # Errors
/// weir would not take it.
pub fn promised(path: &Path, scenario: &Scenario) -> Result<Declared, Report> {
    Ok(of(&config::load(path)?.plan, scenario))
}

/// What `plan` promises about them.
#[must_use]
pub fn of(plan: &Plan, scenario: &Scenario) -> Declared {
    let held = plan.routes.iter().map(|route| route.queue.wait).max();
    let inside = plan.pass.as_ref().map(|pass| pass.wait);
    let default = Declared::default();
    let held = held.unwrap_or(default.held);
    Declared {
        limits: limits(plan, scenario),
        identity: plan.waiting_rooms.iter().any(|room| room.identity.as_ref().is_some_and(is_key)),
        held,
        held_called: default.held_called.max(held),
        held_inside: inside.unwrap_or(default.held_inside).max(held),
        ..default
    }
}

fn limits(plan: &Plan, scenario: &Scenario) -> Vec<Limit> {
    let limit = |(service, of): (ServiceIndex, &super::Service)| {
        let upstream = plan.upstreams.iter().find(|upstream| upstream.name == of.name)?;
        let concurrency = match upstream.concurrency {
            Concurrency::Fixed(limit) => Some(limit.get()),
            Concurrency::Adaptive(_) => None,
        };
        let rate = upstream.rate.as_ref().map(paced);
        (concurrency.is_some() || rate.is_some()).then_some(Limit { service, concurrency, rate })
    };
    (0..).zip(&scenario.services).filter_map(limit).collect()
}

/// Requests a second, and how many at once after a pause.
fn paced(limit: &RateLimit) -> (f64, f64) {
    let per = limit.rate.per.max(Duration::from_nanos(1)).as_secs_f64();
    (f64::from(limit.rate.count.get()) / per, f64::from(limit.burst.get()))
}

fn is_key(identity: &Identity) -> bool {
    matches!(identity, Identity::Header(name) if *name == IDEMPOTENCY_KEY)
}
