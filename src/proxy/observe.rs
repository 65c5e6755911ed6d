//! What the gateway shows in `/metrics` of its gates, servers and client limits: read where it is kept, when somebody asks.

use std::sync::Arc;

use crate::admission::concurrency::elastic::{Phase, Reason, State};
use crate::admission::gate::Gate;
use crate::admission::rate::client::ClientLimit;
use crate::clock::{Clock, Tick};
use crate::config::plan::{Class, Plan};
use crate::proxy::capacity::Capacity;
use crate::proxy::gateway::Gates;
use crate::telemetry::Registry;
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
    for upstream in upstreams {
        of_servers(registry, upstream, clock);
    }
    for capacity in capacities {
        of_capacity(registry, capacity);
    }
    for limit in client_limits {
        let labels = [("limit", limit.name())];
        let observed = Arc::clone(limit);
        let remembered = move || observed.remembered() as f64;
        registry.observe_gauge("weir_clients_remembered", "Clients with a bucket of their own.", &labels, remembered);
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

fn of_servers(registry: &Registry, upstream: &Arc<Upstream>, clock: &Clock) {
    for name in upstream.configured() {
        let labels = [("upstream", upstream.name().as_ref()), ("server", name.as_ref())];
        let gauge = |metric, help, read: fn(&ServerState, Tick) -> f64| {
            let (upstream, clock, name) = (Arc::clone(upstream), clock.clone(), Arc::clone(&name));
            let sum = move || upstream.servers_of(&name).iter().map(|server| read(server, clock.now())).sum();
            registry.observe_gauge(metric, help, &labels, sum);
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
        for event in Event::ALL {
            let labels = [labels[0], labels[1], ("event", event_word(event))];
            let (upstream, name) = (Arc::clone(upstream), Arc::clone(&name));
            // All addresses of a server share their counters.
            let count = move || upstream.servers_of(&name).first().map_or(0, |server| server.count(event));
            registry.observe_counter("weir_server_events_total", "What happened at the server.", &labels, count);
        }
    }
}

/// What the laws do; a server of several addresses has as many.
fn of_capacity(registry: &Registry, capacity: &Arc<Capacity>) {
    for name in capacity.upstream().configured() {
        let labels = [("upstream", capacity.upstream().name().as_ref()), ("server", name.as_ref())];
        let sum = |read: fn(&State) -> f64| {
            let (capacity, name) = (Arc::clone(capacity), Arc::clone(&name));
            move || {
                capacity
                    .states()
                    .iter()
                    .filter(|(server, _)| *server.configured() == name)
                    .map(|(_, state)| read(state))
                    .sum()
            }
        };
        let gauge = |metric, help, read: fn(&State) -> f64| registry.observe_gauge(metric, help, &labels, sum(read));
        gauge("weir_server_limit", "Requests that may be in flight at the server, as its law says.", |state| {
            state.limit.into()
        });
        gauge("weir_server_limit_base", "The limit that trials start from.", |state| state.base.into());
        let help = "Successes a second at that limit; 0 while unknown.";
        gauge("weir_server_goodput", help, |state| state.goodput);
        let help =
            "How throughput answers to concurrency, above and below that limit: 1 all gain, 0 none, negative a loss.";
        let side = |side, read: fn(&State) -> f64| {
            registry.observe_gauge("weir_server_elasticity", help, &[labels[0], labels[1], ("side", side)], sum(read));
        };
        side("up", |state| state.elasticity_up);
        side("down", |state| state.elasticity_down);
        let count = |is: Box<dyn Fn(&State) -> bool + Send + Sync>| {
            let (capacity, name) = (Arc::clone(capacity), Arc::clone(&name));
            move || {
                let states = capacity.states();
                states.iter().filter(|(server, state)| *server.configured() == name && is(state)).count() as f64
            }
        };
        for phase in Phase::ALL {
            let labels = [labels[0], labels[1], ("phase", phase.as_str())];
            let help = "What the law is doing: 1 for the phase it is in.";
            let is = Box::new(move |state: &State| state.phase == phase);
            registry.observe_gauge("weir_server_limit_phase", help, &labels, count(is));
        }
        for reason in Reason::ALL {
            let labels = [labels[0], labels[1], ("reason", reason.as_str())];
            let help = "Why the limit is where it is: 1 for the last reason.";
            let is = Box::new(move |state: &State| state.reason == reason);
            registry.observe_gauge("weir_server_limit_reason", help, &labels, count(is));
        }
    }
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
