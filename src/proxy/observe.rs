//! What the gateway shows in `/metrics` of its gates, servers and client limits: read where it is kept, when somebody asks.

use std::sync::Arc;

use crate::admission::client::ClientLimit;
use crate::admission::concurrency::elastic::{Phase, Reason, State};
use crate::admission::funnel::Funnel;
use crate::admission::gate::Gate;
use crate::clock::{Clock, Tick};
use crate::config::plan::{Class, Plan};
use crate::proxy::capacity::Capacity;
use crate::proxy::gateway::Gates;
use crate::telemetry::{Listing, Registry};
use crate::upstream::{Event, ServerState, Upstream};

/// Names of what a gate shows: in use, limit, in line, predicted wait, highest limit.
const UPSTREAM_GAUGES: [&str; 5] =
    ["weir_in_flight", "weir_limit", "weir_queued", "weir_predicted_wait_seconds", "weir_limit_highest"];
const DEPENDENCY_GAUGES: [&str; 5] = [
    "weir_dependency_in_flight",
    "weir_dependency_limit",
    "weir_dependency_queued",
    "weir_dependency_predicted_wait_seconds",
    "weir_dependency_limit_highest",
];

/// What is kept elsewhere and read when somebody asks.
pub(super) fn all(
    plan: &Plan,
    registry: &Registry,
    upstreams: &[Arc<Upstream>],
    gates: &Gates,
    capacities: &[Arc<Capacity>],
    client_limits: &[Arc<ClientLimit>],
    clock: &Clock,
) {
    for (upstream, gate) in plan.upstreams.iter().zip(&gates.upstreams) {
        of_gate(registry, ("upstream", &upstream.name), gate, clock);
    }
    for (dependency, gate) in plan.dependencies.iter().zip(&gates.dependencies) {
        of_gate(registry, ("dependency", &dependency.name), gate, clock);
    }
    if let Some(funnel) = &gates.funnel {
        of_funnel(plan, registry, funnel);
    }
    if let Some(sessions) = &gates.sessions {
        let active = Arc::clone(sessions);
        let help = "Sessions of passes with a request in line or in flight.";
        registry.observe_gauge("weir_sessions_active", help, &[], move || active.clients() as f64);
        let parked = Arc::clone(sessions);
        let help =
            "Requests with a pass held outside the line until an earlier one of their session has left the system.";
        registry.observe_gauge("weir_sessions_parked", help, &[], move || parked.parked() as f64);
    }
    for upstream in upstreams {
        of_servers(registry, upstream, clock);
    }
    for capacity in capacities {
        of_capacity(registry, capacity);
    }
    for limit in client_limits {
        of_client_limit(registry, limit);
    }
}

fn of_client_limit(registry: &Registry, limit: &Arc<ClientLimit>) {
    let labels = [("limit", limit.name())];
    if limit.buckets().is_some() {
        let limit = Arc::clone(limit);
        let remembered = move || limit.buckets().map_or(0.0, |buckets| buckets.remembered() as f64);
        registry.observe_gauge("weir_clients_remembered", "Clients with a bucket of their own.", &labels, remembered);
    }
    if let Some(concurrency) = limit.concurrency() {
        let clients = Arc::clone(concurrency);
        let help = "Clients with a request in line or in flight.";
        registry.observe_gauge("weir_clients_active", help, &labels, move || clients.clients() as f64);
        let parked = Arc::clone(concurrency);
        let help = "Requests held outside the line until an earlier one of their client has left the system.";
        registry.observe_gauge("weir_requests_parked", help, &labels, move || parked.parked() as f64);
    }
}

fn of_gate(registry: &Registry, label: (&'static str, &str), gate: &Arc<Gate>, clock: &Clock) {
    let names = if label.0 == "upstream" { &UPSTREAM_GAUGES } else { &DEPENDENCY_GAUGES };
    let labels = [label];
    let read = |value: fn(&Gate, &Clock) -> f64| {
        let (gate, clock) = (Arc::clone(gate), clock.clone());
        move || value(&gate, &clock)
    };
    let in_flight = read(|gate, _| f64::from(gate.occupancy().in_flight));
    registry.observe_gauge(names[0], "Permits in use.", &labels, in_flight);
    let limit = read(|gate, _| f64::from(gate.occupancy().limit));
    registry.observe_gauge(names[1], "Permits there are.", &labels, limit);
    let queued = read(|gate, _| gate.waiting() as f64);
    registry.observe_gauge(names[2], "Requests held in line.", &labels, queued);
    let wait = read(|gate, clock| gate.predicted_wait(Class::New, clock.now()).as_secs_f64());
    let help = "How long a newcomer's request would be held in line if it came now.";
    registry.observe_gauge(names[3], help, &labels, wait);
    let highest = read(|gate, _| gate.highest() as f64);
    registry.observe_gauge(names[4], "The most permits there have been since the start.", &labels, highest);
}

fn of_funnel(plan: &Plan, registry: &Registry, funnel: &Arc<Funnel>) {
    let gauge = |name, help, labels: &[(&'static str, &str)], read: Box<dyn Fn(&Funnel) -> f64 + Send + Sync>| {
        let funnel = Arc::clone(funnel);
        registry.observe_gauge(name, help, labels, move || read(&funnel));
    };
    let help = "Newcomers a second that are let into the funnel at most; infinite while nothing binds.";
    gauge("weir_funnel_pace", help, &[], Box::new(Funnel::pace));
    let help = "Newcomers held before the funnel.";
    gauge("weir_funnel_queued", help, &[], Box::new(|funnel| funnel.entrance().waiting() as f64));
    let upstreams = plan.upstreams.iter().map(|upstream| ("upstream", upstream.name.as_str()));
    let dependencies = plan.dependencies.iter().map(|dependency| ("dependency", dependency.name.as_str()));
    for (position, (kind, name)) in upstreams.chain(dependencies).enumerate() {
        let binds = move |funnel: &Funnel| f64::from(u8::from(funnel.binding() == Some(position)));
        let help = "Whether the pace of the funnel is what this upstream or dependency leaves.";
        gauge("weir_funnel_binding", help, &[("kind", kind), ("name", name)], Box::new(binds));
    }
}

/// Listed anew at each scrape: servers come and go.
fn of_servers(registry: &Registry, upstream: &Arc<Upstream>, clock: &Clock) {
    let gauge = |metric, help, read: fn(&ServerState, Tick) -> f64| {
        let (upstream, clock) = (Arc::clone(upstream), clock.clone());
        registry.list_gauges(metric, help, move |series| {
            for name in upstream.configured() {
                let sum = upstream.servers_of(&name).iter().map(|server| read(server, clock.now())).sum();
                series(&[("upstream", upstream.name()), ("server", &name)], sum);
            }
        });
    };
    gauge("weir_server_in_flight", "Exchanges under way at the server.", |server, _| f64::from(server.in_flight()));
    let help = "Connections to the server that are kept for reuse.";
    gauge("weir_server_idle_connections", help, |server, _| f64::from(server.idle()));
    let help = "Addresses of the server that are left out after failures.";
    gauge("weir_server_ejected", help, |server, now| f64::from(u8::from(server.standing(now).ejected)));
    let help = "Addresses of the server that are left out until one request has gone well.";
    gauge("weir_server_probation", help, |server, now| f64::from(u8::from(server.standing(now).probation)));
    let help = "Addresses of the server whose active checks pass, or all without such checks.";
    gauge("weir_server_healthy", help, |server, now| f64::from(u8::from(server.standing(now).healthy)));
    let help = "Share of a full server's requests, summed over the addresses of the server.";
    gauge("weir_server_weight", help, |server, now| server.standing(now).weight);
    let counted = Arc::clone(upstream);
    registry.list_counters("weir_server_events_total", "What happened at the server.", move |series| {
        for name in counted.configured() {
            // All addresses of a server share their counters.
            let Some(server) = counted.servers_of(&name).into_iter().next() else { continue };
            for event in Event::ALL {
                let labels = [("upstream", &**counted.name()), ("server", &*name), ("event", event_word(event))];
                series(&labels, server.count(event));
            }
        }
    });
}

/// What the laws do, summed over the addresses of a server: each has a law of its own.
fn of_capacity(registry: &Registry, capacity: &Arc<Capacity>) {
    law(
        registry,
        capacity,
        "weir_server_limit",
        "Requests that may be in flight at the server, as its law says.",
        |sums| {
            sums.one(|state| state.limit.into());
        },
    );
    law(registry, capacity, "weir_server_limit_base", "The limit that trials start from.", |sums| {
        sums.one(|state| state.base.into());
    });
    law(
        registry,
        capacity,
        "weir_server_throughput",
        "Successes a second at that limit, by their cost; 0 while unknown.",
        |sums| {
            sums.one(|state| state.throughput);
        },
    );
    let help = "How throughput answers to concurrency above and below that limit: 1 all gain, 0 none, negative a loss.";
    law(registry, capacity, "weir_server_elasticity", help, |sums| {
        sums.with("side", "up", |state| state.elasticity_up);
        sums.with("side", "down", |state| state.elasticity_down);
    });
    law(registry, capacity, "weir_server_limit_phase", "What the law is doing: 1 for the phase it is in.", |sums| {
        for phase in Phase::ALL {
            sums.with("phase", phase.as_str(), |state| f64::from(u8::from(state.phase == phase)));
        }
    });
    law(
        registry,
        capacity,
        "weir_server_limit_reason",
        "Why the limit is where it is: 1 for the last reason.",
        |sums| {
            for reason in Reason::ALL {
                sums.with("reason", reason.as_str(), |state| f64::from(u8::from(state.reason == reason)));
            }
        },
    );
}

/// The laws of one server's addresses, and where their sums go.
struct Sums<'a, 'b> {
    upstream: &'a str,
    server: &'a str,
    states: Vec<State>,
    series: &'a mut Listing<'b, f64>,
}

impl Sums<'_, '_> {
    fn one(&mut self, read: impl Fn(&State) -> f64) {
        let labels = [("upstream", self.upstream), ("server", self.server)];
        (self.series)(&labels, self.states.iter().map(read).sum());
    }

    fn with(&mut self, label: &'static str, value: &str, read: impl Fn(&State) -> f64) {
        let labels = [("upstream", self.upstream), ("server", self.server), (label, value)];
        (self.series)(&labels, self.states.iter().map(read).sum());
    }
}

fn law(
    registry: &Registry,
    capacity: &Arc<Capacity>,
    metric: &'static str,
    help: &'static str,
    tell: impl Fn(&mut Sums<'_, '_>) + Send + Sync + 'static,
) {
    let capacity = Arc::clone(capacity);
    registry.list_gauges(metric, help, move |series| {
        let states = capacity.states();
        for server in capacity.upstream().configured() {
            let of_this = states.iter().filter(|(state, _)| *state.configured() == server);
            let states = of_this.map(|(_, state)| *state).collect();
            tell(&mut Sums { upstream: capacity.upstream().name(), server: &server, states, series });
        }
    });
}

const fn event_word(event: Event) -> &'static str {
    match event {
        Event::Requests => "request",
        Event::Connections => "connection",
        Event::Unreachable => "unreachable",
        Event::ConnectTimeouts => "connect_timeout",
        Event::ResponseTimeouts => "response_timeout",
        Event::RequestBodies => "request_body_failed",
        Event::Broken => "broken",
        Event::Abandoned => "abandoned",
        Event::Pushbacks => "pushback",
        Event::Refused => "refused",
        Event::Ejections => "ejection",
        Event::Probations => "probation",
        Event::Retries => "retry",
        Event::RetryBudgetExhausted => "retry_budget_exhausted",
        Event::ChecksFailed => "check_failed",
        Event::ResolveFailures => "resolve_failure",
    }
}
