//! `/v1/capacity`: what weir knows of the capacity behind it, and what it is doing to find out.
//!
//! **Cost**: a few microseconds a server.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::admission::concurrency::elastic::State;
use crate::admission::gate::Gate;
use crate::config::plan::Class;
use crate::proxy::capacity::Capacity;
use crate::proxy::gateway::Gateway;
use crate::upstream::{ServerState, Upstream};

/// The document: every upstream with its servers, every dependency.
pub(super) fn document(gateway: &Gateway) -> Value {
    let upstreams = gateway.upstreams().iter().zip(&gateway.gates().upstreams);
    let dependencies = gateway.plan().dependencies.iter().zip(&gateway.gates().dependencies);
    json!({
        "upstreams": upstreams.map(|(upstream, gate)| of_upstream(gateway, upstream, gate)).collect::<Vec<_>>(),
        "dependencies": dependencies.map(|(plan, gate)| of_gate(gateway, &plan.name, gate)).collect::<Vec<_>>(),
    })
}

fn of_upstream(gateway: &Gateway, upstream: &Arc<Upstream>, gate: &Gate) -> Value {
    let capacity = gateway.capacities().iter().find(|capacity| Arc::ptr_eq(capacity.upstream(), upstream));
    let states = capacity.map(|capacity| Capacity::states(capacity)).unwrap_or_default();
    let law = |server: &Arc<ServerState>| states.iter().find(|(other, _)| Arc::ptr_eq(other, server));
    let now = gateway.clock().now();
    let server = |server: Arc<ServerState>| {
        let standing = server.standing(now);
        json!({
            "server": &**server.authority(),
            "in_flight": server.in_flight(),
            "tunnels": server.quiet(),
            "healthy": standing.healthy,
            "ejected": standing.ejected,
            "weight": standing.weight,
            "law": law(&server).map(|(_, state)| of_state(state)),
        })
    };
    let mut document = of_gate(gateway, upstream.name(), gate);
    document["concurrency"] = if capacity.is_some() { "adaptive" } else { "fixed" }.into();
    document["servers"] = upstream.servers().map(server).collect();
    document
}

fn of_gate(gateway: &Gateway, name: &str, gate: &Gate) -> Value {
    let occupancy = gate.occupancy();
    let now = gateway.clock().now();
    json!({
        "name": name,
        "limit": occupancy.limit,
        "in_flight": occupancy.in_flight,
        "waiting": gate.waiting(),
        "predicted_wait_seconds": gate.predicted_wait(Class::New, now).as_secs_f64(),
        "mean_hold_seconds": gate.mean_hold().as_secs_f64(),
    })
}

/// `throughput` in successes a second at the base, by their cost; `hold_seconds` how long one takes there; 0 while unknown.
fn of_state(state: &State) -> Value {
    json!({
        "limit": state.limit,
        "base": state.base,
        "phase": state.phase.as_str(),
        "reason": state.reason.as_str(),
        "elasticity": { "up": state.elasticity_up, "down": state.elasticity_down },
        "throughput": state.throughput,
        "hold_seconds": state.hold,
    })
}
