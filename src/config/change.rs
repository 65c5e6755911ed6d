//! What differs from one plan to another, and whether a running process can follow.
//!
//! It can where only the servers of upstreams differ, and what listeners present and ask for under TLS. Everything else is part of what was built at the start: sockets, gates, buckets,
//! threads.
//!
//! **Invariants**: whatever is not looked at here by name fails to compile, or is compared as a whole.
//! **Not here**: following (`runtime`).

use rustls::RootCertStore;

use super::plan::{Listener, Plan, Upstream};

/// The tables of `next` that differ from those of `running` in more than the servers of an upstream and the TLS of a listener; each
/// once.
#[must_use]
pub fn fixed_tables(running: &Plan, next: &Plan) -> Vec<String> {
    let Plan {
        listeners,
        admin,
        clients,
        client_limits,
        dependencies,
        upstreams,
        routes,
        runtime,
        log,
        pass,
        waiting_rooms,
    } = next;
    let same_listeners = same_by(&running.listeners, listeners, same_listener);
    let tables = [
        ("[[listener]]", same_listeners),
        ("[admin]", running.admin == *admin),
        ("[clients]", running.clients == *clients),
        ("[[client_limit]]", running.client_limits == *client_limits),
        ("[[dependency]]", running.dependencies == *dependencies),
        ("[[route]]", running.routes == *routes),
        ("[pass]", running.pass == *pass),
        ("[[waiting_room]]", running.waiting_rooms == *waiting_rooms),
        ("[runtime]", running.runtime == *runtime),
        ("[log]", running.log == *log),
    ];
    let mut changed: Vec<_> = tables.iter().filter(|(_, same)| !same).map(|(table, _)| (*table).to_owned()).collect();
    if same_by(&running.upstreams, upstreams, |before, after| before.name == after.name) {
        let pairs = running.upstreams.iter().zip(upstreams).filter(|(before, after)| !same_upstream(before, after));
        changed.extend(pairs.map(|(_, after)| format!("[[upstream]] `{}`", after.name)));
        let pairs = running.upstreams.iter().zip(upstreams);
        let pairs = pairs.filter(|(before, after)| !same_roots(before.roots.as_deref(), after.roots.as_deref()));
        changed.extend(pairs.map(|(_, after)| format!("the trust anchors of [[upstream]] `{}`", after.name)));
    } else {
        changed.push("[[upstream]]: their names or order".to_owned());
    }
    changed
}

fn same_by<T>(before: &[T], after: &[T], same: impl Fn(&T, &T) -> bool) -> bool {
    before.len() == after.len() && before.iter().zip(after).all(|(before, after)| same(before, after))
}

fn same_listener(before: &Listener, after: &Listener) -> bool {
    let Listener { address, tls, proxy_protocol } = after;
    // What is presented under TLS may change.
    before.address == *address && before.proxy_protocol == *proxy_protocol && before.tls.is_some() == tls.is_some()
}

/// Whether two upstreams are the same but for their servers.
fn same_upstream(before: &Upstream, after: &Upstream) -> bool {
    let Upstream {
        name,
        servers: _,
        concurrency,
        rate,
        connect_timeout,
        response_timeout,
        abandon_timeout,
        idle_timeout,
        protocol,
        // Its own case, because the file may be as it was.
        roots: _,
        tls_name,
        idempotent,
        resolve,
        slow_start,
        health,
    } = after;
    before.name == *name
        && before.concurrency == *concurrency
        && before.rate == *rate
        && before.connect_timeout == *connect_timeout
        && before.response_timeout == *response_timeout
        && before.abandon_timeout == *abandon_timeout
        && before.idle_timeout == *idle_timeout
        && before.protocol == *protocol
        && before.tls_name == *tls_name
        && before.idempotent == *idempotent
        && before.resolve == *resolve
        && before.slow_start == *slow_start
        && before.health == *health
}

/// Whether the same is trusted, in whatever order it was read. Without an https server nothing needs to be trusted any more.
fn same_roots(before: Option<&RootCertStore>, after: Option<&RootCertStore>) -> bool {
    let (Some(before), Some(after)) = (before, after) else { return after.is_none() };
    before.roots.len() == after.roots.len() && after.roots.iter().all(|root| before.roots.contains(root))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::parse;

    const RUNNING: &str = "[[listener]]\naddress = \"127.0.0.1:0\"\n[[upstream]]\nname = \"a\"\nservers = [\"a:1\"]\n\
         [[upstream]]\nname = \"b\"\nservers = [\"b:1\"]\n[[route]]\npath = \"/*\"\nupstream = \"a\"\n\
         [[route]]\npath = \"/b\"\nupstream = \"b\"\n";

    fn changed(from: &str, to: &str) -> Vec<String> {
        assert!(from.is_empty() || RUNNING.contains(from));
        let plan = |text: &str| parse(text, Path::new("weir.toml")).unwrap().plan;
        let next = if from.is_empty() { format!("{RUNNING}{to}") } else { RUNNING.replace(from, to) };
        fixed_tables(&plan(RUNNING), &plan(&next))
    }

    #[test]
    fn servers_may_change_and_nothing_else() {
        let nothing: [&str; 0] = [];
        assert_eq!(changed("", ""), nothing);
        assert_eq!(changed("[\"a:1\"]", "[\"a:2\", \"http://c\"]"), nothing);
        for (from, to, table) in [
            ("127.0.0.1:0", "127.0.0.2:0", "[[listener]]"),
            ("", "[admin]\naddress = \"127.0.0.1:9\"", "[admin]"),
            ("", "[clients]\nidle_timeout = \"9s\"", "[clients]"),
            ("", "[[client_limit]]\nname = \"l\"\nkey = \"address\"\nrate = \"1/s\"", "[[client_limit]]"),
            ("", "[[dependency]]\nname = \"d\"\nconcurrency = 1", "[[dependency]]"),
            ("\"b:1\"]", "\"b:1\"]\nconcurrency = 7", "[[upstream]] `b`"),
            ("\"b:1\"]", "\"b:1\"]\nhealth.path = \"/\"", "[[upstream]] `b`"),
            ("\"/b\"", "\"/c\"", "[[route]]"),
            ("", "[runtime]\nworkers = 3", "[runtime]"),
            ("", "[log]\naccess = \"off\"", "[log]"),
            ("", "[[upstream]]\nname = \"c\"\nservers = [\"c:1\"]", "[[upstream]]: their names or order"),
        ] {
            assert_eq!(changed(from, to), [table], "{to}");
        }
    }
}
