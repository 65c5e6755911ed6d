//! Which route takes a request.
//!
//! **Invariants**: the plan lists routes with the most specific first, so the first that matches is the one; host and path of
//! a [`Target`] are normalised, so no spelling of a path escapes the route written for it.
//! **Cost**: one comparison a route; a gateway has a handful.
//! **Not here**: what the route leads to.

use http::Method;

use crate::config::plan::{PathPattern, Route};
use crate::proxy::target::Target;

/// The outcome of the search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// Position of the route in the plan.
    Route(usize),
    /// Host and path are routed, the method is not; these are.
    OtherMethods(Vec<Method>),
    /// Nothing is routed there.
    None,
}

/// Finds the route of `target`.
#[must_use]
pub fn find(routes: &[Route], method: &Method, target: &Target) -> Match {
    let mut others = Vec::new();
    for (position, route) in routes.iter().enumerate() {
        if !takes(route, target) {
            continue;
        }
        if route.methods.is_empty() || route.methods.contains(method) {
            return Match::Route(position);
        }
        others.extend(route.methods.iter().cloned());
    }
    if others.is_empty() { Match::None } else { Match::OtherMethods(others) }
}

fn takes(route: &Route, target: &Target) -> bool {
    route.host.as_ref().is_none_or(|host| *host == target.host) && matches(&route.path, &target.path)
}

fn matches(pattern: &PathPattern, path: &str) -> bool {
    match pattern {
        PathPattern::Exact(exact) => path == exact,
        PathPattern::Prefix(prefix) => {
            path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_at_a_slash() {
        let below = PathPattern::Prefix("/api".to_owned());
        assert!(matches(&below, "/api"));
        assert!(matches(&below, "/api/"));
        assert!(matches(&below, "/api/v1"));
        assert!(!matches(&below, "/apis"));
        assert!(!matches(&below, "/"));
        let everything = PathPattern::Prefix(String::new());
        assert!(matches(&everything, "/"));
        assert!(matches(&everything, "/x/y"));
        let exact = PathPattern::Exact("/register".to_owned());
        assert!(matches(&exact, "/register"));
        assert!(!matches(&exact, "/register/"));
    }
}
