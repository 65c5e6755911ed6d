//! A route made live.
//!
//! **Invariants**: its metric handles exist before the first request.
//! **Not here**: which requests it takes (`proxy::route`).

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Histogram};

use super::{Gates, Gateway, Lines, verdicts};
use crate::admission::client::ClientLimit;
use crate::admission::route::{Inside, RouteAdmission};
use crate::config::plan::{self, Plan};
use crate::proxy::room::Doorway;
use crate::telemetry::Registry;

/// A route made live.
#[derive(Debug)]
pub struct Route {
    name: Arc<str>,
    /// Position in the plan.
    position: usize,
    upstream: plan::UpstreamId,
    admission: RouteAdmission,
    doorway: Option<Arc<Doorway>>,
    pub(super) verdicts: Vec<Counter>,
    wait: Histogram,
    service: Histogram,
}

impl Route {
    pub(super) fn new(
        plan: &Plan,
        position: usize,
        gates: &Gates,
        client_limits: &[Arc<ClientLimit>],
        doorways: &[Arc<Doorway>],
        registry: &Registry,
    ) -> Option<Self> {
        let route = plan.routes.get(position)?;
        let upstream = plan.upstreams.get(route.upstream.0)?;
        let limits =
            route.client_limits.iter().filter_map(|limit| client_limits.get(limit.0)).map(Arc::clone).collect();
        let Lines { outside, inside } = gates.lines.get(position)?.clone();
        let labels = [("route", route.name.as_str())];
        let by_upstream = [("upstream", upstream.name.as_str())];
        let mut admission = RouteAdmission::new(Arc::clone(&gates.dispatcher), outside, limits, route.queue);
        if let (Some(pass), Some(funnel), Some(sessions), Some(inside)) =
            (&plan.pass, &gates.funnel, &gates.sessions, inside)
        {
            let inside = Inside::new(inside, pass.wait, Arc::clone(funnel), Arc::clone(sessions));
            admission = admission.with_passes(inside);
        }
        Some(Self {
            name: route.name.as_str().into(),
            position,
            upstream: route.upstream,
            admission,
            doorway: route.waiting_room.and_then(|room| doorways.get(room.0)).map(Arc::clone),
            verdicts: verdicts(registry, &route.name),
            wait: registry.histogram(
                "weir_wait_seconds",
                "Time requests were held before they were admitted, in line or behind their own client's.",
                &labels,
            ),
            service: registry.histogram(
                "weir_upstream_seconds",
                "Time a permit was held: from the request sent until the upstream was done with it.",
                &by_upstream,
            ),
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// As planned.
    #[must_use]
    pub fn plan<'a>(&self, gateway: &'a Gateway) -> Option<&'a plan::Route> {
        gateway.plan.routes.get(self.position)
    }

    /// Its position in the plan.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Where it leads.
    #[must_use]
    pub fn upstream(&self) -> plan::UpstreamId {
        self.upstream
    }

    /// The waiting room before it.
    #[must_use]
    pub fn doorway(&self) -> Option<&Arc<Doorway>> {
        self.doorway.as_ref()
    }

    /// Who may pass.
    #[must_use]
    pub fn admission(&self) -> &RouteAdmission {
        &self.admission
    }

    /// A request was held for so long before it was admitted.
    pub fn record_wait(&self, waited: Duration) {
        self.wait.record(waited.as_secs_f64());
    }

    /// A permit was held for so long.
    pub fn record_service(&self, held: Duration) {
        self.service.record(held.as_secs_f64());
    }
}
