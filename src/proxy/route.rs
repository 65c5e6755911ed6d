//! Which route takes a request.
//!
//! **Invariants**: the plan lists routes with the most specific first, so the first that matches is the one. A path is compared
//! as most services read it: normalised (`path`), without the `;parameters` of its segments, and to an exact route with or
//! without one trailing slash. What a service takes for the same beyond that — upper and lower case, suffixes such as
//! `.json` — nobody here can know: a route for all below, `/x/*`, covers it only where it is below.
//! **Cost**: one comparison a route; a gateway has a handful. An allocation for a path with `;`.
//! **Not here**: what the route leads to.

use http::Method;

use crate::config::path::without_parameters;
use crate::config::plan::{PathPattern, Route};
use crate::proxy::target::Target;

/// The outcome of the search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// Position of the route in the plan.
    Route(usize),
    /// Host and path are routed, the method is not; these are, each once.
    OtherMethods(Vec<Method>),
    /// Nothing is routed there.
    None,
}

/// Finds the route of `target`.
#[must_use]
pub fn find(routes: &[Route], method: &Method, target: &Target) -> Match {
    let path = without_parameters(&target.path);
    let mut others = Vec::new();
    for (position, route) in routes.iter().enumerate() {
        if !(route.host.as_ref().is_none_or(|host| *host == target.host) && matches(&route.path, &path)) {
            continue;
        }
        if route.methods.is_empty() || route.methods.contains(method) {
            return Match::Route(position);
        }
        for method in &route.methods {
            if !others.contains(method) {
                others.push(method.clone());
            }
        }
    }
    if others.is_empty() { Match::None } else { Match::OtherMethods(others) }
}

fn matches(pattern: &PathPattern, path: &str) -> bool {
    match pattern {
        PathPattern::Exact(exact) => without_slash(path) == without_slash(exact),
        PathPattern::Prefix(prefix) => {
            path.strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
    }
}

/// Most services serve a path and the same with a slash at its end alike, or redirect from one to the other.
fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// What becomes of a request to `/register` and the like: 0 is its own route, 1 the rest.
    fn found(method: &Method, path: &str) -> Match {
        let text = "[[listener]]\naddress = \"127.0.0.1:1\"\n[[upstream]]\nname = \"u\"\nservers = [\"127.0.0.1:2\"]\n\
                    [[route]]\npath = \"/*\"\nupstream = \"u\"\nmethods = [\"GET\", \"POST\"]\n\
                    [[route]]\npath = \"/register\"\nupstream = \"u\"\nmethods = [\"POST\", \"PUT\"]\n";
        let plan = crate::config::parse(text, Path::new("weir.toml")).unwrap().plan;
        let target = Target { host: String::new(), authority: None, path: path.to_owned() };
        find(&plan.routes, method, &target)
    }

    #[test]
    fn no_spelling_that_services_read_alike_escapes_its_route() {
        for path in ["/register", "/register/", "/register;x=1", "/register;x/;y", "/register/;"] {
            assert_eq!(found(&Method::POST, path), Match::Route(0), "{path}");
        }
        for path in ["/registers", "/register/x", "/register;x/y", "/Register", "/;register"] {
            assert_eq!(found(&Method::POST, path), Match::Route(1), "{path}");
        }
    }

    #[test]
    fn each_other_method_is_named_once() {
        let others = Match::OtherMethods(vec![Method::POST, Method::PUT, Method::GET]);
        assert_eq!(found(&Method::DELETE, "/register"), others);
    }

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
        assert!(matches(&exact, "/register/"));
        assert!(!matches(&exact, "/register/x"));
        assert!(!matches(&exact, "/"));
        let slashed = PathPattern::Exact("/register/".to_owned());
        assert!(matches(&slashed, "/register"));
        assert!(matches(&slashed, "/register/"));
        let root = PathPattern::Exact("/".to_owned());
        assert!(matches(&root, "/"));
        assert!(!matches(&root, "/x"));
    }
}
