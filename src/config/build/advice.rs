//! What is allowed and will disappoint: a limit that is to be found where nothing can be learned, tunnels beside requests, tables that
//! nothing refers to.
//!
//! **Not here**: the machine (`machine`).

use std::collections::BTreeSet;

use super::super::draft::{Draft, Upstream};
use super::super::explain::{Faults, quoted};
use super::super::plan::Concurrency;

/// Warns of upstreams whose limit is to be found, where that cannot go well.
pub(super) fn warn_of_adaptive(draft: &Draft, faults: &mut Faults<'_>) {
    for upstream in draft.upstreams.iter().filter(|upstream| is_adaptive(upstream)) {
        let Some(name) = &upstream.name else { continue };
        let of_this =
            draft.routes.iter().filter(|route| route.upstream.as_ref().is_some_and(|other| other.value == name.value));
        // Those with a pass have a line of their own, which teaches.
        let mut lines = of_this.clone().map(|route| route.queue.length).peekable();
        if draft.pass.is_none() && lines.peek().is_some() && lines.all(|length| length == 0) {
            let message = format!(
                "nobody ever waits for the upstream {}: with queue.length = 0 nothing is learned, and its limit stays where it \
                 begins; give a route a line, or write the limit",
                quoted(&name.value)
            );
            faults.warn(&name.span, &message);
        }
        for route in of_this.filter(|route| route.upgrade) {
            let message = format!(
                "tunnels hold permits of the upstream {} for as long as people like, up to `max` a server together with the \
                 requests: many of them need an upstream of their own, or a larger `max`",
                quoted(&name.value)
            );
            faults.warn(&route.span, &message);
        }
    }
}

/// Warns of upstreams, dependencies and client limits that no route refers to.
pub(super) fn warn_of_unused(draft: &Draft, faults: &mut Faults<'_>) {
    let upstreams: BTreeSet<&str> =
        draft.routes.iter().filter_map(|route| route.upstream.as_ref()).map(|name| name.value.as_str()).collect();
    let limits: BTreeSet<&str> =
        draft.routes.iter().flat_map(|route| &route.client_limits).map(|name| name.value.as_str()).collect();
    let named_upstreams = draft.upstreams.iter().filter_map(|upstream| upstream.name.as_ref());
    for name in named_upstreams.filter(|name| !upstreams.contains(name.value.as_str())) {
        faults.warn(&name.span, &format!("no route uses the upstream {}", quoted(&name.value)));
    }
    let named_limits = draft.client_limits.iter().filter_map(|limit| limit.name.as_ref());
    for name in named_limits.filter(|name| !limits.contains(name.value.as_str())) {
        faults.warn(&name.span, &format!("no route uses the client limit {}", quoted(&name.value)));
    }
    let used: BTreeSet<&str> =
        draft.routes.iter().flat_map(|route| &route.uses).map(|name| name.value.as_str()).collect();
    let named_dependencies = draft.dependencies.iter().filter_map(|dependency| dependency.name.as_ref());
    for name in named_dependencies.filter(|name| !used.contains(name.value.as_str())) {
        faults.warn(&name.span, &format!("no route uses the dependency {}", quoted(&name.value)));
    }
}

fn is_adaptive(upstream: &Upstream) -> bool {
    upstream.bounds.is_some() || matches!(upstream.concurrency, Concurrency::Adaptive(_))
}
