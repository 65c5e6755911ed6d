//! Routes: what they refer to, which of them collide, and the order in which they are tried.
//!
//! **Invariants**: the first route that matches a request is the most specific that does: a host before any host, an
//! exact path before a prefix, a longer prefix before a shorter, methods before any method; equals keep the order of
//! the file. No request matches two routes that are equally specific.

use std::cmp::Reverse;

use http::Method;

use super::super::draft;
use super::super::explain::Faults;
use super::super::plan::{Class, ClientLimitId, DependencyId, PathPattern, Route, UpstreamId, WaitingRoomId};
use super::super::reader::Written;
use super::Names;

/// The names that routes refer to.
#[derive(Debug)]
pub(super) struct Known<'n> {
    pub(super) upstreams: &'n Names,
    pub(super) limits: &'n Names,
    pub(super) dependencies: &'n Names,
    pub(super) rooms: &'n Names,
    /// For each of them, whether it has a quota.
    pub(super) quotas: &'n [bool],
    /// Whether there is a `[pass]`.
    pub(super) has_passes: bool,
}

/// All routes in the order in which they are tried; `None` if a fault is recorded.
pub(super) fn routes(
    drafts: Vec<draft::Route>,
    known: &Known<'_>,
    body_size: u64,
    faults: &mut Faults<'_>,
) -> Option<Vec<Route>> {
    Names::of("route", drafts.iter().filter(|draft| draft.name.is_some()).map(|draft| draft.name.as_ref()), faults);
    let built: Vec<_> = drafts
        .into_iter()
        .map(|draft| {
            let span = draft.path.as_ref().map_or_else(|| draft.span.clone(), |path| path.span.clone());
            route(draft, known, body_size, faults).map(|route| Written { value: route, span })
        })
        .collect();
    let mut earlier: Vec<&Route> = Vec::with_capacity(built.len());
    for route in built.iter().flatten() {
        if let Some(other) = earlier.iter().find(|other| collide(other, &route.value)) {
            let message = format!("two routes take the same requests: `{}` and `{}`", other.name, route.value.name);
            faults.add(&route.span, message, Some("already taken above".to_owned()), None);
        }
        earlier.push(&route.value);
    }
    let mut built: Vec<Written<Route>> = built.into_iter().collect::<Option<_>>()?;
    count_successes(&mut built, known.quotas, faults);
    let mut routes: Vec<Route> = built.into_iter().map(|route| route.value).collect();
    routes.sort_by_key(specificity);
    Some(routes)
}

fn route(draft: draft::Route, known: &Known<'_>, body_size: u64, faults: &mut Faults<'_>) -> Option<Route> {
    let upstream = draft.upstream.as_ref().and_then(|name| known.upstreams.resolve(name, faults));
    let client_limits = distinct(&draft.client_limits, "client_limits", known.limits, faults);
    let uses = distinct(&draft.uses, "uses", known.dependencies, faults);
    let grants_pass = grants_pass(&draft, known.has_passes, faults);
    let room = draft.waiting_room.as_ref().map(|name| known.rooms.resolve(name, faults).ok_or(())).transpose();
    check_class(&draft, faults);
    let counts = counts(&draft, faults);
    let methods = draft.methods.map_or_else(|| Some(Vec::new()), |methods| distinct_methods(methods, faults));
    let path = draft.path?.value;
    let host = draft.host.map(|host| host.value);
    let methods = methods?;
    Some(Route {
        name: draft.name.map_or_else(|| derived_name(host.as_deref(), &path, &methods), |name| name.value),
        host,
        path,
        methods,
        upstream: UpstreamId(upstream?),
        uses: {
            // One order for all routes: whatever is taken, is taken in it.
            let mut uses: Vec<_> = uses?.into_iter().map(DependencyId).collect();
            uses.sort_unstable();
            uses
        },
        class: draft.class,
        client_limits: {
            let mut limits: Vec<_> = client_limits?.into_iter().map(ClientLimitId).collect();
            limits.sort_unstable();
            limits
        },
        grants_pass,
        waiting_room: room.ok()?.map(WaitingRoomId),
        counts,
        queue: draft.queue,
        body_size: draft.body_size.unwrap_or(body_size),
        upgrade: draft.upgrade,
    })
}

/// Whether the route grants passes; somebody must sign them, and only newcomers need one.
fn grants_pass(draft: &draft::Route, has_passes: bool, faults: &mut Faults<'_>) -> bool {
    // Whoever comes out of a waiting room is given a pass.
    let implied = draft.waiting_room.is_some() && matches!(draft.class, Class::New | Class::Bulk);
    let Some(grants) = draft.grants_pass.as_ref().filter(|grants| grants.value) else { return implied };
    if !has_passes {
        let message = "`grants_pass` needs a [pass] table: its key signs the passes".to_owned();
        let help = "write [pass] with key = \"file:pass.key\"; the file is made at the first start".to_owned();
        faults.add(&grants.span, message, None, Some(help));
    }
    if draft.class != Class::New {
        let message = format!("`grants_pass` has no meaning for the class \"{}\"", draft.class.as_str());
        faults.add(&grants.span, message, Some("passes are for newcomers".to_owned()), None);
    }
    true
}

/// Only newcomers and what can wait are told to wait; of others a room would know neither the place nor what they have used of its quota.
fn check_class(draft: &draft::Route, faults: &mut Faults<'_>) {
    if let Some(room) = draft.waiting_room.as_ref().filter(|_| !matches!(draft.class, Class::New | Class::Bulk)) {
        let message =
            format!("`waiting_room` has no meaning for the class \"{}\": nobody of it waits", draft.class.as_str());
        let help = "leave `class` out: on routes of the class \"new\" whoever has a pass of the room is in progress"
            .to_owned();
        faults.add(&room.span, message, Some("nobody waits here".to_owned()), Some(help));
    }
}

/// Whether a success counts; only a room has a quota.
fn counts(draft: &draft::Route, faults: &mut Faults<'_>) -> bool {
    let Some(counts) = draft.counts.as_ref().filter(|counts| counts.value) else { return false };
    if draft.waiting_room.is_none() {
        let message = "`counts` has no meaning without `waiting_room`: its quota counts".to_owned();
        faults.add(&counts.span, message, Some("write `waiting_room` too, or leave this out".to_owned()), None);
    }
    true
}

/// Sees to it that each quota counts something: the only route of a room needs not say so.
fn count_successes(routes: &mut [Written<Route>], quotas: &[bool], faults: &mut Faults<'_>) {
    for room in quotas.iter().enumerate().filter(|(_, has_quota)| **has_quota).map(|(room, _)| WaitingRoomId(room)) {
        let mut inside: Vec<_> = routes.iter_mut().filter(|route| route.value.waiting_room == Some(room)).collect();
        if inside.iter().any(|route| route.value.counts) {
            continue;
        }
        match inside.as_mut_slice() {
            [] => {}
            [only] => only.value.counts = true,
            [first, ..] => {
                let message = "none of the routes into a waiting room with a `quota` counts".to_owned();
                let help = "write `counts = true` in the route whose success is a registration".to_owned();
                faults.add(&first.span, message, Some("this one?".to_owned()), Some(help));
            }
        }
    }
}

/// The positions of the tables that the list `key` names, each once.
fn distinct(names: &[Written<String>], key: &str, known: &Names, faults: &mut Faults<'_>) -> Option<Vec<usize>> {
    let mut positions: Vec<Option<usize>> = Vec::with_capacity(names.len());
    for name in names {
        let position = known.resolve(name, faults);
        if position.is_some() && positions.contains(&position) {
            let message = format!("`{key}` names \"{}\" twice", name.value);
            faults.add(&name.span, message, Some("already in the list".to_owned()), None);
        }
        positions.push(position);
    }
    positions.into_iter().collect()
}

fn distinct_methods(list: Written<Vec<Written<Method>>>, faults: &mut Faults<'_>) -> Option<Vec<Method>> {
    let mut methods: Vec<Method> = Vec::with_capacity(list.value.len());
    for method in list.value {
        if methods.contains(&method.value) {
            let message = format!("`methods` names {} twice", method.value);
            faults.add(&method.span, message, Some("already in the list".to_owned()), None);
        } else {
            methods.push(method.value);
        }
    }
    (!methods.is_empty()).then_some(methods)
}

/// `POST,PUT daftar.example.org/register/*`
fn derived_name(host: Option<&str>, path: &PathPattern, methods: &[Method]) -> String {
    let methods: Vec<&str> = methods.iter().map(Method::as_str).collect();
    let (path, below) = match path {
        PathPattern::Exact(path) => (path, ""),
        PathPattern::Prefix(path) => (path, "/*"),
    };
    let space = if methods.is_empty() { "" } else { " " };
    format!("{}{space}{}{path}{below}", methods.join(","), host.unwrap_or_default())
}

/// Whether some request is taken by both and neither is more specific.
fn collide(one: &Route, other: &Route) -> bool {
    let methods = match (one.methods.is_empty(), other.methods.is_empty()) {
        (true, true) => true,
        (false, false) => one.methods.iter().any(|method| other.methods.contains(method)),
        _ => false,
    };
    methods && one.host == other.host && same_paths(&one.path, &other.path)
}

/// An exact path takes the same with a slash at its end.
fn same_paths(one: &PathPattern, other: &PathPattern) -> bool {
    match (one, other) {
        (PathPattern::Exact(one), PathPattern::Exact(other)) => {
            one.strip_suffix('/').unwrap_or(one) == other.strip_suffix('/').unwrap_or(other)
        }
        _ => one == other,
    }
}

/// Sorts the most specific first.
fn specificity(route: &Route) -> (bool, bool, Reverse<usize>, bool) {
    let (prefix, length) = match &route.path {
        PathPattern::Exact(path) => (false, path.len()),
        PathPattern::Prefix(path) => (true, path.len()),
    };
    // The length of exact paths decides nothing: two different ones never match the same request.
    let length = if prefix { length } else { 0 };
    (route.host.is_none(), prefix, Reverse(length), route.methods.is_empty())
}
