//! From the draft to the plan: names resolved, contradictions found, files read, routes put in order.
//!
//! **Invariants**: every check runs whatever failed before it, so that all faults come at once; a fault that only
//! follows from another is not reported.
//! **Not here**: single values (`draft`), the machine (`machine`).

mod advice;
mod files;
mod rooms;
mod route;
mod tls;

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::Path;

use super::bounds::{DEFAULT_BOUNDS, DEFAULT_CAPACITY, DEFAULT_CLIENT_WAITING};
use super::draft::{self, Draft};
use super::explain::Faults;
use super::names::Names;
use super::pass::Pass as WrittenPass;
use super::plan::{
    AccessLog, Admin, Bounds, ClientConcurrency, ClientKey, ClientLimit, ClientRate, Clients, Concurrency, Dependency,
    HealthCheck, Log, Pass, Plan, Rate, RateLimit, Server, Upstream, Without,
};
use super::reader::Written;
use super::room::Room;
use super::secret::parent;
use files::Files;
pub(super) use files::read_bounded;

/// An upstream's bucket lets through at once, unless written, what its rate gives in a second divided by this.
const UPSTREAM_BURST_PART: u64 = 10;

/// Statuses of a server that is well, unless written: all that say success (RFC 9110 §15.3).
const HEALTHY_STATUSES: RangeInclusive<u16> = 200..=299;

/// The plan of `draft`; `None` if a fault is recorded. Relative paths start at `directory`.
pub(super) fn build(draft: Draft, directory: &Path, faults: &mut Faults<'_>) -> Option<Plan> {
    check_addresses(&draft.listeners, &draft.admin, faults);
    check_proxy_protocol(&draft.listeners, &draft.clients, faults);
    let limits = Names::of("client_limit", draft.client_limits.iter().map(|limit| limit.name.as_ref()), faults);
    let upstreams = Names::of("upstream", draft.upstreams.iter().map(|upstream| upstream.name.as_ref()), faults);
    let dependencies =
        Names::of("dependency", draft.dependencies.iter().map(|dependency| dependency.name.as_ref()), faults);
    let rooms = Names::of("waiting_room", draft.waiting_rooms.iter().map(|room| room.name.as_ref()), faults);
    advice::warn_of_unused(&draft, faults);
    advice::warn_of_adaptive(&draft, faults);
    rooms::check(&draft, directory, faults);
    let mut files = Files::new(directory);
    let clients = clients(draft.clients, faults);
    let leads: Vec<_> =
        draft.routes.iter().filter_map(|route| Some(route.waiting_room.as_ref()?.value.clone())).collect();
    let used = |room: &Room| room.name.as_ref().is_none_or(|name| leads.contains(&name.value));
    let written_pass = draft
        .pass
        .or_else(|| draft.waiting_rooms.iter().find(|room| used(room)).map(|room| WrittenPass::implied(room.span())));
    let has_passes = written_pass.is_some();
    let quotas: Vec<_> = draft.waiting_rooms.iter().map(Room::has_quota).collect();
    let known = route::Known {
        upstreams: &upstreams,
        limits: &limits,
        dependencies: &dependencies,
        rooms: &rooms,
        quotas: &quotas,
        has_passes,
    };
    let grants = draft
        .routes
        .iter()
        .any(|route| route.waiting_room.is_some() || route.grants_pass.as_ref().is_some_and(|grants| grants.value));
    let pass = written_pass.map(|pass| pass.build(grants, directory, faults).ok_or(())).transpose();
    let hosts: Vec<_> = draft.routes.iter().filter_map(|route| route.host.clone()).collect();
    let routes = route::routes(draft.routes, &known, clients.body_size, faults);

    // Each list is walked to its end before any is given up.
    let listeners: Vec<_> = draft.listeners.into_iter().map(|one| tls::listener(one, &files, faults)).collect();
    tls::warn_of_uncovered(&hosts, &listeners, faults);
    let client_limits: Vec<_> = draft.client_limits.into_iter().map(|one| client_limit(one, faults)).collect();
    let waiting_rooms: Vec<_> = draft
        .waiting_rooms
        .into_iter()
        .map(|one| (used(&one), one))
        .map(|(used, one)| one.build(used, directory, faults))
        .collect();
    let dependencies: Vec<_> = draft.dependencies.into_iter().map(|one| dependency(one, faults)).collect();
    let upstreams: Vec<_> = draft.upstreams.into_iter().map(|one| upstream(one, &mut files, faults)).collect();
    let access = draft.access_log.map_or(AccessLog::Stdout, |log| access_log(log, &files, faults));
    Some(Plan {
        listeners: listeners.into_iter().collect::<Option<_>>()?,
        admin: Admin { address: draft.admin.address },
        clients,
        client_limits: client_limits.into_iter().collect::<Option<_>>()?,
        dependencies: dependencies.into_iter().collect::<Option<_>>()?,
        pass: pass.ok()?,
        waiting_rooms: waiting_rooms.into_iter().collect::<Option<_>>()?,
        upstreams: upstreams.into_iter().collect::<Option<_>>()?,
        routes: routes?,
        runtime: draft.runtime,
        log: Log { access },
    })
}

/// Sockets share ports among workers (`SO_REUSEPORT`), so the kernel would not refuse two users of one port: it would
/// split the connections between them.
fn check_addresses(listeners: &[draft::Listener], admin: &draft::Admin, faults: &mut Faults<'_>) {
    let mut earlier: Vec<SocketAddr> = Vec::new();
    for address in listeners.iter().filter_map(|listener| listener.address.as_ref()) {
        if let Some(other) = earlier.iter().find(|other| overlap(**other, address.value)) {
            let message = format!("two [[listener]]s share a port: {other} and {}", address.value);
            faults.add(&address.span, message, Some("already taken above".to_owned()), None);
        }
        earlier.push(address.value);
        if overlap(admin.address, address.value) {
            let message = format!("[admin] ({}) and a [[listener]] ({}) share a port", admin.address, address.value);
            let help = "metrics and health must not be public: give [admin] a port of its own".to_owned();
            let span = admin.written.as_ref().unwrap_or(&address.span);
            faults.add(span, message, Some("choose another port".to_owned()), Some(help));
        }
    }
    if let Some(span) = admin.written.as_ref().filter(|_| !admin.address.ip().is_loopback()) {
        faults.warn(span, "[admin] is not on a loopback address: whoever reaches it reads metrics and state");
    }
}

/// A listener that takes connections of trusted proxies only, where none is trusted, takes none.
fn check_proxy_protocol(listeners: &[draft::Listener], clients: &draft::Clients, faults: &mut Faults<'_>) {
    let expected =
        listeners.iter().filter_map(|listener| listener.proxy_protocol.as_ref()).filter(|written| written.value);
    for written in expected.filter(|_| clients.trusted_proxies.is_empty()) {
        let message = "`proxy_protocol` is believed from `trusted_proxies` only, and there are none".to_owned();
        let help = "name the networks of your load balancers in `trusted_proxies` of [clients]".to_owned();
        faults.add(&written.span, message, Some("nobody could connect".to_owned()), Some(help));
    }
}

/// Whether a connection could reach both; port 0 is a free port, each time another.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let same_family = one.is_ipv4() == other.is_ipv4();
    let any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.port() != 0 && (one.ip() == other.ip() || (same_family && any))
}

fn clients(draft: draft::Clients, faults: &mut Faults<'_>) -> Clients {
    for net in draft.trusted_proxies.iter().filter(|net| net.value.prefix_len() == 0) {
        faults.warn(&net.span, "every client may claim any address: trust only the networks of your proxies");
    }
    Clients {
        max_connections: draft.max_connections,
        connections_per_address: draft.connections_per_address,
        ipv6_prefix: draft.ipv6_prefix,
        max_memory: draft.max_memory,
        trusted_proxies: draft.trusted_proxies.into_iter().map(|net| net.value).collect(),
        header_size: draft.header_size,
        header_count: draft.header_count,
        body_size: draft.body_size,
        header_timeout: draft.header_timeout,
        body_timeout: draft.body_timeout,
        idle_timeout: draft.idle_timeout,
        http2_streams: draft.http2_streams,
    }
}

fn client_limit(draft: draft::ClientLimit, faults: &mut Faults<'_>) -> Option<ClientLimit> {
    let (rated, bounded) = (draft.rate_is_written, draft.concurrency_is_written);
    check_belongs(draft.burst.as_ref(), ("burst", "rate"), rated, faults);
    check_belongs(draft.capacity.as_ref(), ("capacity", "rate"), rated, faults);
    check_belongs(draft.waiting.as_ref(), ("waiting", "concurrency"), bounded, faults);
    if !rated && !bounded {
        let message = "a [[client_limit]] needs `rate` or `concurrency`, or both".to_owned();
        faults.add(&draft.span, message, Some("bounds nothing".to_owned()), None);
    }
    let named = draft.key.as_ref().map(|key| key.value != ClientKey::Address);
    if let (Some(without), Some(false)) = (&draft.without, named) {
        let message = "`without` has no meaning with key = \"address\": every request has one".to_owned();
        faults.add(&without.span, message, Some("leave this out".to_owned()), None);
    }
    if let (Some(concurrency), None, Some(true)) = (&draft.concurrency, &draft.without, named) {
        faults.warn(
            &concurrency.span,
            "all requests from one address that lack the header or cookie share this: write `without`",
        );
    }
    if let Some(key) = draft.key.as_ref().filter(|key| is_pass(&key.value)) {
        let message = "`key` cannot be the pass: what one session may have at once is bounded by [pass]".to_owned();
        let help =
            "write `concurrency` and `waiting` in [pass]; a cookie or header can carry more than one pass".to_owned();
        faults.add(&key.span, message, Some("choose another key".to_owned()), Some(help));
    }
    Some(ClientLimit {
        name: draft.name?.value,
        key: draft.key?.value,
        without: draft.without.map_or(Without::Address, |without| without.value),
        rate: draft.rate.map(|rate| ClientRate {
            rate: rate.value,
            burst: draft.burst.map_or_else(|| burst_of(rate.value, 1), |burst| burst.value),
            capacity: draft.capacity.map_or(DEFAULT_CAPACITY, |capacity| capacity.value),
        }),
        concurrency: draft.concurrency.map(|requests| ClientConcurrency {
            requests: requests.value,
            waiting: draft.waiting.map_or(DEFAULT_CLIENT_WAITING, |waiting| waiting.value),
        }),
    })
}

/// Whether clients are told apart by their pass as it is spelt: whoever adds another cookie of the name would be somebody else.
fn is_pass(key: &ClientKey) -> bool {
    match key {
        ClientKey::Address => false,
        ClientKey::Cookie(name) => {
            name.strip_prefix(Pass::COOKIE).is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        }
        ClientKey::Header(name) => name == Pass::HEADER,
    }
}

/// What `rate` gives in a second divided by `part`, rounded up, at least one.
fn burst_of(rate: Rate, part: u64) -> NonZeroU32 {
    let cells = u64::from(rate.count.get()).div_ceil(rate.per.as_secs().max(1) * part);
    u32::try_from(cells).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN)
}

/// A burst without a rate bounds nothing, and the like: the first of `keys` belongs to the second.
fn check_belongs<T>(written: Option<&Written<T>>, keys: (&str, &str), has_other: bool, faults: &mut Faults<'_>) {
    let (key, other) = keys;
    if let Some(written) = written.filter(|_| !has_other) {
        let message = format!("`{key}` has no meaning without `{other}`");
        faults.add(&written.span, message, Some(format!("write `{other}` too, or leave this out")), None);
    }
}

fn contract(rate: Option<Written<Rate>>, burst: Option<Written<NonZeroU32>>) -> Option<RateLimit> {
    rate.map(|rate| RateLimit {
        rate: rate.value,
        burst: burst.map_or_else(|| burst_of(rate.value, UPSTREAM_BURST_PART), |burst| burst.value),
    })
}

fn dependency(draft: draft::Dependency, faults: &mut Faults<'_>) -> Option<Dependency> {
    check_belongs(draft.burst.as_ref(), ("burst", "rate"), draft.rate_is_written, faults);
    if !draft.rate_is_written && !draft.concurrency_is_written {
        let message = "a [[dependency]] needs `rate` or `concurrency`, or both".to_owned();
        faults.add(&draft.span, message, Some("bounds nothing".to_owned()), None);
    }
    Some(Dependency {
        name: draft.name?.value,
        concurrency: draft.concurrency,
        rate: contract(draft.rate, draft.burst),
    })
}

fn upstream(draft: draft::Upstream, files: &mut Files<'_>, faults: &mut Faults<'_>) -> Option<Upstream> {
    check_belongs(draft.burst.as_ref(), ("burst", "rate"), draft.rate_is_written, faults);
    let servers = draft.servers.and_then(|servers| distinct_servers(servers, faults));
    // Its faults are recorded already.
    let health = draft.health.map(|health| health_check(health).ok_or(())).transpose();
    let https = servers.as_ref().is_some_and(|servers| servers.iter().any(|server| server.tls));
    let roots = match &draft.ca {
        Some(ca) => {
            if servers.is_some() && !https {
                faults.warn(&ca.span, "`ca` is not used: no server of this upstream is https");
            }
            Some(files.trust_anchors("ca", ca, faults)?)
        }
        None if https => Some(files.machine_trust_anchors(&draft.span, faults)?),
        None => None,
    };
    if let Some(name) = draft.tls_name.as_ref().filter(|_| servers.is_some() && !https) {
        faults.warn(&name.span, "`tls_name` is not used: no server of this upstream is https");
    }
    Some(Upstream {
        name: draft.name?.value,
        servers: servers?,
        concurrency: draft.bounds.map_or(draft.concurrency, |bounds| adaptive(&bounds, faults)),
        rate: contract(draft.rate, draft.burst),
        connect_timeout: draft.connect_timeout,
        response_timeout: draft.response_timeout,
        abandon_timeout: draft.abandon_timeout,
        idle_timeout: draft.idle_timeout,
        protocol: draft.protocol,
        roots: roots.filter(|_| https),
        tls_name: draft.tls_name.map(|name| name.value),
        idempotent: draft.idempotent,
        resolve: draft.resolve,
        slow_start: draft.slow_start,
        health: health.ok()?,
    })
}

fn adaptive(draft: &draft::Adaptive, faults: &mut Faults<'_>) -> Concurrency {
    let draft::Adaptive { min, max, .. } = *draft;
    // Unless written, it begins as usual, or as near to that as the bounds allow.
    let initial = draft.initial.unwrap_or_else(|| DEFAULT_BOUNDS.initial.min(max).max(min));
    if min > initial || initial > max {
        let message = format!("`min` ≤ `initial` ≤ `max` does not hold for {min}, {initial} and {max}");
        faults.add(&draft.span, message, None, None);
    }
    Concurrency::Adaptive(Bounds { min, max, initial })
}

fn health_check(draft: draft::Health) -> Option<HealthCheck> {
    let status = draft
        .status
        .map_or_else(|| vec![HEALTHY_STATUSES], |status| status.value.into_iter().map(|range| range.value).collect());
    Some(HealthCheck {
        path: draft.path?.value,
        interval: draft.interval,
        timeout: draft.timeout,
        rise: draft.rise,
        fall: draft.fall,
        status,
    })
}

fn distinct_servers(list: Written<Vec<Written<Server>>>, faults: &mut Faults<'_>) -> Option<Vec<Server>> {
    let mut servers: Vec<Server> = Vec::with_capacity(list.value.len());
    for server in list.value {
        if servers.iter().any(|other| other.authority == server.value.authority) {
            let message = format!("`servers` names {} twice", server.value.authority);
            faults.add(&server.span, message, Some("already in the list".to_owned()), None);
        } else {
            servers.push(server.value);
        }
    }
    (!servers.is_empty()).then_some(servers)
}

fn access_log(draft: Written<AccessLog>, files: &Files<'_>, faults: &mut Faults<'_>) -> AccessLog {
    let AccessLog::File(path) = draft.value else { return draft.value };
    let path = files.resolve(&path);
    if !parent(&path).is_dir() || path.is_dir() {
        let message = format!("`access` cannot be written: {} is not in an existing directory", path.display());
        let message = if path.is_dir() { format!("`access` is a directory: {}", path.display()) } else { message };
        faults.add(&draft.span, message, None, None);
    }
    AccessLog::File(path)
}
