//! What all workers share: the plan made live.
//!
//! **Invariants**: one gate for each upstream, whatever the number of workers, so that limits are exact for the process; every
//! metric handle exists before the first request.
//! **Cost**: read-only after the start but for atomics.
//! **Not here**: what belongs to one worker (`proxy::Worker`), sockets.

use std::hash::RandomState;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Method};
use metrics::{Counter, Histogram};

use crate::admission::dispatch::Dispatcher;
use crate::admission::gate::Gate;
use crate::admission::queue::Line;
use crate::admission::rate::Bucket;
use crate::admission::rate::client::{ClientHash, ClientLimit};
use crate::admission::route::RouteAdmission;
use crate::admission::verdict::Reason;
use crate::clock::Clock;
use crate::config::plan::{self, ClientKey, Plan};
use crate::proxy::address;
use crate::proxy::answer::Answer;
use crate::proxy::capacity::Capacity;
use crate::proxy::observe;
use crate::proxy::route::{self, Match};
use crate::proxy::target::Target;
use crate::proxy::turn::WATCHERS;
use crate::proxy::upload::{Budget, READ_AHEAD_BUDGET};
use crate::telemetry::Registry;
use crate::telemetry::access::AccessLog;
use crate::upstream::{Upstream, UpstreamError};

/// Label of requests that no route took.
const NO_ROUTE: &str = "none";

/// What all workers share.
#[derive(Debug)]
pub struct Gateway {
    plan: Plan,
    clock: Clock,
    access_log: AccessLog,
    hasher: RandomState,
    budget: Arc<Budget>,
    watchers: Arc<Budget>,
    routes: Vec<Arc<Route>>,
    upstreams: Vec<Arc<Upstream>>,
    gates: Gates,
    capacities: Vec<Arc<Capacity>>,
    client_limits: Vec<Arc<ClientLimit>>,
    unrouted: Vec<Counter>,
}

/// What the whole process may have in flight.
#[derive(Debug)]
pub struct Gates {
    /// Hands out permits.
    pub dispatcher: Arc<Dispatcher>,
    /// In the order of the plan.
    pub upstreams: Vec<Arc<Gate>>,
    /// In the order of the plan.
    pub dependencies: Vec<Arc<Gate>>,
    /// For each route of the plan the line its requests wait in.
    lines: Vec<Arc<Line>>,
}

/// A route made live.
#[derive(Debug)]
pub struct Route {
    name: Arc<str>,
    /// Position in the plan.
    position: usize,
    upstream: plan::UpstreamId,
    admission: RouteAdmission,
    verdicts: Vec<Counter>,
    wait: Histogram,
    service: Histogram,
}

impl Gateway {
    /// Makes `plan` live and its metrics visible in `registry`.
    pub fn new(
        plan: Plan,
        clock: Clock,
        access_log: AccessLog,
        registry: &Registry,
    ) -> Result<Arc<Self>, UpstreamError> {
        let upstreams = plan.upstreams.iter().map(Upstream::new).collect::<Result<Vec<_>, _>>()?;
        let gates = Gates::new(&plan, clock.clone());
        let capacities: Vec<_> = plan
            .upstreams
            .iter()
            .zip(&upstreams)
            .zip(&gates.upstreams)
            .filter_map(|((plan, upstream), gate)| Capacity::new(plan, upstream, gate, clock.now()).map(Arc::new))
            .collect();
        let client_limits: Vec<_> = plan.client_limits.iter().map(|limit| Arc::new(ClientLimit::new(limit))).collect();
        let routes: Vec<_> = (0..plan.routes.len())
            .filter_map(|position| Route::new(&plan, position, &gates, &client_limits, registry))
            .map(Arc::new)
            .collect();
        let (budget, watchers) = (Budget::new(READ_AHEAD_BUDGET), Budget::new(WATCHERS));
        observe::all(&plan, registry, &upstreams, &gates, &capacities, &client_limits, &clock);
        let unrouted = verdicts(registry, NO_ROUTE);
        let hasher = RandomState::new();
        Ok(Arc::new(Self {
            plan,
            clock,
            access_log,
            hasher,
            budget,
            watchers,
            routes,
            upstreams,
            gates,
            capacities,
            client_limits,
            unrouted,
        }))
    }

    /// The plan it runs by.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Where requests are recorded.
    #[must_use]
    pub fn access_log(&self) -> &AccessLog {
        &self.access_log
    }

    /// Bytes of bodies that may be read before their turn.
    #[must_use]
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    /// Descriptors that may watch for departures.
    #[must_use]
    pub fn watchers(&self) -> &Arc<Budget> {
        &self.watchers
    }

    /// The upstreams, in the order of the plan.
    #[must_use]
    pub fn upstreams(&self) -> &[Arc<Upstream>] {
        &self.upstreams
    }

    /// What the whole process may have in flight.
    #[must_use]
    pub fn gates(&self) -> &Gates {
        &self.gates
    }

    /// The upstreams whose capacity is found.
    #[must_use]
    pub fn capacities(&self) -> &[Arc<Capacity>] {
        &self.capacities
    }

    /// The client limits, in the order of the plan.
    #[must_use]
    pub fn client_limits(&self) -> &[Arc<ClientLimit>] {
        &self.client_limits
    }

    /// The route of `target`, or what to answer.
    pub fn route(&self, method: &Method, target: &Target) -> Result<&Arc<Route>, Answer> {
        let found = match route::find(&self.plan.routes, method, target) {
            Match::Route(position) => self.routes.get(position),
            Match::OtherMethods(allow) => return Err(Answer { allow, ..Reason::MethodNotAllowed.into() }),
            Match::None => None,
        };
        found.ok_or_else(|| Reason::NoRoute.into())
    }

    /// Who a client is, as far as a limit with this `key` is concerned.
    #[must_use]
    pub fn client(&self, key: &ClientKey, address: IpAddr, headers: &HeaderMap) -> ClientHash {
        address::client_hash(key, address, headers, &self.hasher)
    }

    /// Counts a request that has ended.
    pub fn count(&self, route: Option<&Route>, reason: Reason) {
        let verdicts = route.map_or(&self.unrouted, |route| &route.verdicts);
        if let Some(counter) = verdicts.get(reason.index()) {
            counter.increment(1);
        }
    }
}

impl Route {
    fn new(
        plan: &Plan,
        position: usize,
        gates: &Gates,
        client_limits: &[Arc<ClientLimit>],
        registry: &Registry,
    ) -> Option<Self> {
        let route = plan.routes.get(position)?;
        let upstream = plan.upstreams.get(route.upstream.0)?;
        let limits =
            route.client_limits.iter().filter_map(|limit| client_limits.get(limit.0)).map(Arc::clone).collect();
        let line = Arc::clone(gates.lines.get(position)?);
        let labels = [("route", route.name.as_str())];
        let by_upstream = [("upstream", upstream.name.as_str())];
        Some(Self {
            name: route.name.as_str().into(),
            position,
            upstream: route.upstream,
            admission: RouteAdmission::new(Arc::clone(&gates.dispatcher), line, limits, route.queue),
            verdicts: verdicts(registry, &route.name),
            wait: registry.histogram(
                "weir_wait_seconds",
                "Time requests were held in line before they were admitted.",
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

    /// Where it leads.
    #[must_use]
    pub fn upstream(&self) -> plan::UpstreamId {
        self.upstream
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

impl Gates {
    fn new(plan: &Plan, clock: Clock) -> Self {
        let bucket = |rate: &Option<plan::RateLimit>| rate.map(Bucket::new);
        let upstreams: Vec<_> =
            plan.upstreams.iter().map(|one| Gate::new(Capacity::initial(one), bucket(&one.rate))).collect();
        let dependencies: Vec<_> = plan
            .dependencies
            .iter()
            .map(|one| Gate::new(one.concurrency.map_or(u32::MAX, NonZeroU32::get), bucket(&one.rate)))
            .collect();
        let mut groups = vec![Vec::new(); upstreams.len()];
        let mut lines: Vec<Arc<Line>> = Vec::with_capacity(plan.routes.len());
        for (position, route) in plan.routes.iter().enumerate() {
            // Routes that need the same wait in the same line, each within its own length.
            let alike = |other: &&plan::Route| other.upstream == route.upstream && other.uses == route.uses;
            let first = plan.routes.iter().take(position).position(|other| alike(&other));
            if let Some(line) = first.and_then(|first| lines.get(first)).map(Arc::clone) {
                lines.push(line);
                continue;
            }
            let capacity = plan.routes.iter().filter(alike).map(|route| route.queue.length).sum();
            let needs =
                route.uses.iter().filter_map(|id| dependencies.get(id.0)).chain(upstreams.get(route.upstream.0));
            let line = Line::new(needs.map(Arc::clone).collect(), capacity);
            if let Some(group) = groups.get_mut(route.upstream.0) {
                group.push(Arc::clone(&line));
            }
            lines.push(line);
        }
        Self { dispatcher: Dispatcher::new(groups, clock), upstreams, dependencies, lines }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Gate>> {
        self.upstreams.iter().chain(&self.dependencies)
    }
}

fn verdicts(registry: &Registry, route: &str) -> Vec<Counter> {
    let counter = |reason: Reason| {
        let labels = [("route", route), ("reason", reason.as_str())];
        registry.counter("weir_requests_total", "Requests by what became of them.", &labels)
    };
    Reason::ALL.into_iter().map(counter).collect()
}
