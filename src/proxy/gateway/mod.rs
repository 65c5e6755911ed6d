//! What all workers share: the plan made live.
//!
//! **Invariants**: one gate for each upstream, whatever the number of workers, so that limits are exact for the process; every
//! metric handle exists before the first request.
//! **Cost**: read-only after the start but for atomics.
//! **Not here**: what belongs to one worker (`proxy::Worker`), sockets.

mod route;

use std::hash::RandomState;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::request::Parts;
use http::{HeaderMap, Method};
use metrics::Counter;

use crate::admission::client::concurrency::Concurrency;
use crate::admission::client::{ClientHash, ClientLimit};
use crate::admission::dispatch::Dispatcher;
use crate::admission::funnel::Funnel;
use crate::admission::gate::Gate;
use crate::admission::rate::Bucket;
use crate::admission::verdict::Reason;
use crate::clock::Clock;
use crate::config::descriptors::WATCHERS;
use crate::config::plan::{self, Class, Plan};
use crate::proxy::address;
use crate::proxy::answer::Answer;
use crate::proxy::capacity::Capacity;
use crate::proxy::lines::{Lines, Needs};
use crate::proxy::observe;
use crate::proxy::pass::{self, Bearer, Pass, Passes, unix_time};
use crate::proxy::room::held::HeldVisits;
use crate::proxy::room::{self, Doorway};
use crate::proxy::route::{self as routes, Match};
use crate::proxy::target::Target;
use crate::proxy::upload::{Budget, LARGE_BUDGET, SMALL_BUDGET};
use crate::telemetry::Registry;
use crate::telemetry::access::AccessLog;
use crate::upstream::{ReadAhead, Upstream, UpstreamError};
use crate::waiting_room::room::RoomError;

pub use route::Route;

/// Label of requests that no route took.
const NO_ROUTE: &str = "none";

/// What all workers share.
#[derive(Debug)]
pub struct Gateway {
    plan: Plan,
    clock: Clock,
    access_log: AccessLog,
    hasher: RandomState,
    small_bodies: Arc<Budget>,
    large_bodies: Arc<Budget>,
    responses: Arc<ReadAhead>,
    watchers: Arc<Budget>,
    routes: Vec<Arc<Route>>,
    upstreams: Vec<Arc<Upstream>>,
    gates: Gates,
    capacities: Vec<Arc<Capacity>>,
    client_limits: Vec<Arc<ClientLimit>>,
    passes: Option<Passes>,
    unrouted: Vec<Counter>,
    classes: Vec<Vec<Counter>>,
    doorways: Vec<Arc<Doorway>>,
    held_visits: Arc<HeldVisits>,
    memory_short: AtomicBool,
}

/// A gateway that cannot be built from its plan.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// An upstream.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// A waiting room.
    #[error("[[waiting_room]] `{name}`: {cause}")]
    Room {
        /// Which.
        name: String,
        /// Why.
        #[source]
        cause: RoomError,
    },
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
    /// What paces newcomers, where there are passes.
    pub funnel: Option<Arc<Funnel>>,
    /// What each session may have at once, where there are passes.
    pub sessions: Option<Arc<Concurrency>>,
    /// For each route of the plan the lines its requests wait in.
    lines: Vec<Lines>,
}

impl Gateway {
    /// Makes `plan` live and its metrics visible in `registry`.
    pub fn new(
        plan: Plan,
        clock: Clock,
        access_log: AccessLog,
        registry: &Registry,
    ) -> Result<Arc<Self>, GatewayError> {
        let doorways = room::open(&plan, &clock)?;
        Self::behind(plan, doorways, clock, access_log, registry)
    }

    /// The same in virtual time, which begins at `unix` (since 1970): its rooms remember nothing, it writes nothing and starts no thread.
    pub fn volatile(plan: Plan, clock: Clock, unix: std::time::Duration) -> Result<Arc<Self>, GatewayError> {
        let doorways = room::volatile(&plan, &clock, unix)?;
        Self::behind(plan, doorways, clock, AccessLog::OFF, &Registry::new())
    }

    fn behind(
        plan: Plan,
        doorways: Vec<Arc<Doorway>>,
        clock: Clock,
        access_log: AccessLog,
        registry: &Registry,
    ) -> Result<Arc<Self>, GatewayError> {
        let responses = Arc::default();
        let upstreams = plan
            .upstreams
            .iter()
            .map(|one| Upstream::new(one, plan.routes.len(), &responses))
            .collect::<Result<Vec<_>, _>>()?;
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
            .filter_map(|position| Route::new(&plan, position, &gates, &client_limits, &doorways, registry))
            .map(Arc::new)
            .collect();
        let (small, large) = (Budget::new(SMALL_BUDGET), Budget::new(LARGE_BUDGET));
        let watchers = Budget::new(WATCHERS);
        observe::all(&plan, registry, &upstreams, &gates, &capacities, &client_limits, &clock);
        room::observe::all(registry, &doorways);
        let passes = plan.pass.as_ref().and_then(|pass| {
            let rooms = doorways.iter().map(|doorway| (doorway.tag(), &**doorway.room().name()));
            Passes::new(pass, rooms, registry)
        });
        let unrouted = verdicts(registry, NO_ROUTE);
        let classes = Class::ALL.map(|class| class_verdicts(registry, class)).into();
        let hasher = RandomState::new();
        Ok(Arc::new(Self {
            plan,
            clock,
            access_log,
            hasher,
            small_bodies: small,
            large_bodies: large,
            responses,
            watchers,
            routes,
            upstreams,
            gates,
            capacities,
            client_limits,
            passes,
            unrouted,
            classes,
            held_visits: HeldVisits::new(room::wicket::HELD),
            doorways,
            memory_short: AtomicBool::new(false),
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

    /// Bytes of small bodies that may be read before their turn.
    #[must_use]
    pub fn small_bodies(&self) -> &Arc<Budget> {
        &self.small_bodies
    }

    /// The same of large ones.
    #[must_use]
    pub fn large_bodies(&self) -> &Arc<Budget> {
        &self.large_bodies
    }

    /// Bytes of responses that their clients have not asked for yet.
    #[must_use]
    pub fn responses(&self) -> &Arc<ReadAhead> {
        &self.responses
    }

    /// Descriptors that may watch for departures.
    #[must_use]
    pub fn watchers(&self) -> &Arc<Budget> {
        &self.watchers
    }

    /// The routes, in the order of the plan.
    #[must_use]
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// The upstreams, in the order of the plan.
    #[must_use]
    pub fn upstreams(&self) -> &[Arc<Upstream>] {
        &self.upstreams
    }

    /// Leads each upstream to the servers that `next` names for it, in the order of the plan: all of them, or on an error none. Answers
    /// the names of the upstreams whose servers have changed.
    pub fn replace_servers(&self, next: &[plan::Upstream]) -> Result<Vec<Arc<str>>, UpstreamError> {
        let changed = || self.upstreams.iter().zip(next).filter(|(upstream, next)| !upstream.uses(&next.servers));
        changed().try_for_each(|(upstream, next)| upstream.check_servers(&next.servers))?;
        let now = self.clock.now();
        let replace = |(upstream, next): (&Arc<Upstream>, &plan::Upstream)| {
            upstream.replace_servers(&next.servers, now)?;
            Ok(Arc::clone(upstream.name()))
        };
        changed().map(replace).collect()
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
        let found = match routes::find(&self.plan.routes, method, target) {
            Match::Route(position) => self.routes.get(position),
            Match::OtherMethods(allow) => return Err(Answer { allow, ..Reason::MethodNotAllowed.into() }),
            Match::None => None,
        };
        found.ok_or_else(|| Reason::NoRoute.into())
    }

    /// Who a client is, as far as `limit` is concerned; [`None`] if it does not apply.
    #[must_use]
    pub fn client(&self, limit: &ClientLimit, address: IpAddr, headers: &HeaderMap) -> Option<ClientHash> {
        address::client_hash(
            limit.key(),
            limit.without(),
            (address, self.plan.clients.ipv6_prefix),
            headers,
            &self.hasher,
        )
    }

    /// Gives passes to those who are admitted, if there are any.
    #[must_use]
    pub fn passes(&self) -> Option<&Passes> {
        self.passes.as_ref()
    }

    /// Who asks with `head` on a route of `class`, which leads through `doorway`, if through any.
    #[must_use]
    pub fn bearer(&self, class: Class, doorway: Option<&Doorway>, head: &Parts) -> Bearer {
        let passes = self.passes.as_ref().filter(|_| pass::is_shown(&head.headers));
        let Some(passes) = passes else { return Bearer::without(class) };
        let unix = unix_time();
        let is_his = |pass: &Pass| !room::lent::is_anothers(&self.doorways, doorway, head, pass, unix);
        passes.bearer(class, doorway.map(Doorway::tag), &head.headers, is_his, unix)
    }

    /// The waiting rooms, in the order of the plan.
    #[must_use]
    pub fn doorways(&self) -> &[Arc<Doorway>] {
        &self.doorways
    }

    /// Visits to waiting rooms that are held until something changes.
    #[must_use]
    pub fn held_visits(&self) -> &Arc<HeldVisits> {
        &self.held_visits
    }

    /// Whether memory is short: who was not let in before is turned away.
    #[must_use]
    pub fn is_memory_short(&self) -> bool {
        self.memory_short.load(Ordering::Relaxed)
    }

    /// Turns newcomers away, or no more.
    pub fn set_memory_short(&self, is_short: bool) {
        self.memory_short.store(is_short, Ordering::Relaxed);
    }

    /// Counts a request that has ended; one that found its route has a class, unless it ended before that was asked.
    pub fn count(&self, route: Option<&Route>, class: Option<Class>, reason: Reason) {
        let verdicts = route.map_or(&self.unrouted, |route| &route.verdicts);
        let classes = class.and_then(|class| self.classes.get(class.index()));
        for counter in [Some(verdicts), classes].into_iter().flatten().filter_map(|all| all.get(reason.index())) {
            counter.increment(1);
        }
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
        let funnel = plan.pass.as_ref().map(|_| Funnel::new(upstreams.iter().chain(&dependencies).map(Arc::clone)));
        let sessions = plan.pass.as_ref().map(|pass| Concurrency::new(pass.sessions));
        let needs = Needs { upstreams: &upstreams, dependencies: &dependencies, funnel: funnel.as_ref() };
        let (lines, groups) = needs.lines(plan);
        Self { dispatcher: Dispatcher::new(groups, clock), upstreams, dependencies, funnel, sessions, lines }
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

fn class_verdicts(registry: &Registry, class: Class) -> Vec<Counter> {
    let counter = |reason: Reason| {
        let labels = [("class", class.as_str()), ("reason", reason.as_str())];
        let help = "Requests that found their route, by what they are to admission and what became of them.";
        registry.counter("weir_class_requests_total", help, &labels)
    };
    Reason::ALL.into_iter().map(counter).collect()
}
