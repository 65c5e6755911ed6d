//! The lines that requests wait in: one for all routes that need the same, and two more where there are passes.
//!
//! **Invariants**: routes that need the same gates wait in the same line, each within its own length; those with a pass have
//! slots of their own; newcomers who would be given one need the funnel's pace first.
//! **Not here**: who is next (`admission::dispatch`).

use std::sync::Arc;

use crate::admission::funnel::Funnel;
use crate::admission::gate::Gate;
use crate::admission::queue::Line;
use crate::admission::route::LEAST_INSIDE;
use crate::config::plan::{Plan, Route};

/// The lines of a route.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    /// Of those without a pass.
    pub(super) outside: Arc<Line>,
    /// Of those who have one, where there are passes.
    pub(super) inside: Option<Arc<Line>>,
}

/// What routes need: gates in the order of the plan.
#[derive(Debug)]
pub(super) struct Needs<'a> {
    pub(super) upstreams: &'a [Arc<Gate>],
    pub(super) dependencies: &'a [Arc<Gate>],
    pub(super) funnel: Option<&'a Arc<Funnel>>,
}

impl Needs<'_> {
    /// The lines of each route of `plan`, and all of them grouped by upstream.
    pub(super) fn lines(&self, plan: &Plan) -> (Vec<Lines>, Vec<Vec<Arc<Line>>>) {
        let mut groups = vec![Vec::new(); self.upstreams.len()];
        let mut lines: Vec<Lines> = Vec::with_capacity(plan.routes.len());
        for (position, route) in plan.routes.iter().enumerate() {
            let earlier = || plan.routes.iter().take(position).zip(&lines);
            let mut fresh = Vec::new();
            let outside = earlier().find(|(other, _)| same_line(route, other)).map(|(_, lines)| &lines.outside);
            let outside = outside.map_or_else(
                || {
                    let alike = plan.routes.iter().filter(|other| same_line(route, other));
                    let entrance =
                        self.funnel.filter(|_| route.grants_pass).map(|funnel| Arc::clone(funnel.entrance()));
                    let gates = entrance.into_iter().chain(self.of(route)).collect();
                    let line = Line::new(gates, alike.map(|route| route.queue.length).sum());
                    fresh.push(Arc::clone(&line));
                    line
                },
                Arc::clone,
            );
            let inside =
                earlier().find(|(other, _)| same_needs(route, other)).and_then(|(_, lines)| lines.inside.as_ref());
            let inside = inside.map(Arc::clone).or_else(|| {
                self.funnel?;
                let alike = plan.routes.iter().filter(|other| same_needs(route, other));
                let capacity = alike.map(|route| route.queue.length.max(LEAST_INSIDE)).sum();
                let line = Line::new(self.of(route).collect(), capacity);
                fresh.push(Arc::clone(&line));
                Some(line)
            });
            if let Some(group) = groups.get_mut(route.upstream.0) {
                group.extend(fresh);
            }
            lines.push(Lines { outside, inside });
        }
        (lines, groups)
    }

    /// Dependencies, then the upstream: the one order in which gates are taken everywhere.
    fn of(&self, route: &Route) -> impl Iterator<Item = Arc<Gate>> {
        let uses = route.uses.iter().filter_map(|id| self.dependencies.get(id.0));
        uses.chain(self.upstreams.get(route.upstream.0)).map(Arc::clone)
    }
}

fn same_needs(one: &Route, other: &Route) -> bool {
    one.upstream == other.upstream && one.uses == other.uses
}

fn same_line(one: &Route, other: &Route) -> bool {
    same_needs(one, other) && one.grants_pass == other.grants_pass
}
