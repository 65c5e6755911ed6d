//! What is allowed and will disappoint: a limit that is to be found where nothing can be learned, tunnels beside requests.
//!
//! **Not here**: tables that nothing refers to (`names`), the machine (`machine`).

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

fn is_adaptive(upstream: &Upstream) -> bool {
    upstream.bounds.is_some() || matches!(upstream.concurrency, Concurrency::Adaptive(_))
}
