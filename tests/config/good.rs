//! What is accepted, and what it means.

use std::fs;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;
use weir::config::plan::{
    AccessLog, Bounds, ClientKey, ClientLimit, ClientLimitId, Concurrency, Key, PathPattern, Protocol, Queue, Rate,
    Without,
};
use weir::config::{self, Plan};

use super::{LEAST, LISTENER, ROUTE, UPSTREAM, least_but, least_with, parse};

fn plan(text: &str) -> Plan {
    parse(text).unwrap_or_else(|report| panic!("{text}\n{report}")).plan
}

#[test]
fn defaults() {
    let plan = plan(&format!("{LEAST}[[client_limit]]\nname = \"l\"\nkey = \"address\"\nrate = \"100/m\"\n"));
    assert!(plan.listeners[0].tls.is_none());
    assert_eq!(plan.admin.address.to_string(), "127.0.0.1:9090");
    assert_eq!((plan.clients.max_connections, plan.clients.max_memory), (None, None));
    assert!(plan.clients.trusted_proxies.is_empty());
    assert_eq!((plan.clients.connections_per_address, plan.clients.ipv6_prefix), (None, 64));
    assert!(!plan.listeners[0].proxy_protocol);
    assert_eq!(plan.clients.header_size, 16 << 10);
    assert_eq!(plan.clients.header_count, 64);
    assert_eq!(plan.clients.body_size, 1 << 20);
    assert_eq!(plan.clients.header_timeout, Duration::from_secs(10));
    assert_eq!(plan.clients.body_timeout, Duration::from_secs(10));
    assert_eq!(plan.clients.idle_timeout, Duration::from_secs(75));
    assert_eq!(plan.clients.http2_streams, 128);
    let limit = &plan.client_limits[0];
    let rate = limit.rate.expect("written");
    assert_eq!((rate.burst.get(), rate.capacity.get()), (2, 262_144));
    assert_eq!((limit.without, limit.concurrency), (Without::Address, None));
    let upstream = &plan.upstreams[0];
    let bounds = |min, max, initial| {
        let permits = |count| NonZeroU32::new(count).expect("at least one");
        Concurrency::Adaptive(Bounds { min: permits(min), max: permits(max), initial: permits(initial) })
    };
    assert_eq!(upstream.concurrency, bounds(2, 1000, 16));
    assert_eq!(upstream.rate, None);
    assert_eq!(upstream.connect_timeout, Duration::from_secs(3));
    assert_eq!(upstream.response_timeout, Duration::from_secs(30));
    assert_eq!(upstream.abandon_timeout, Duration::from_mins(5));
    assert_eq!(upstream.idle_timeout, Duration::from_mins(1));
    assert_eq!(upstream.protocol, Protocol::Auto);
    assert!(upstream.roots.is_none() && !upstream.idempotent && upstream.health.is_none());
    assert_eq!((upstream.resolve, upstream.slow_start), (Duration::from_secs(10), Duration::from_secs(10)));
    let route = &plan.routes[0];
    assert_eq!(route.name, "/*");
    assert_eq!(route.host, None);
    assert_eq!(route.path, PathPattern::Prefix(String::new()));
    assert!(route.methods.is_empty() && route.client_limits.is_empty() && !route.upgrade);
    assert_eq!(route.queue, Queue { wait: Duration::from_secs(4), length: 20_000 });
    assert_eq!(route.body_size, 1 << 20);
    assert!(!route.grants_pass && plan.pass.is_none());
    assert_eq!(plan.runtime.workers, None);
    assert_eq!(plan.runtime.drain_timeout, Duration::from_secs(30));
    assert_eq!(plan.log.access, AccessLog::Stdout);
}

#[test]
fn values() {
    let text = least_with(
        UPSTREAM,
        "rate = \"400/s\"\n[[client_limit]]\nname = \"l\"\nkey = \"header:X-Id\"\nrate = \"20/m\"\nburst = 7\ncapacity = 5",
    );
    let text = text.replacen("[[upstream]]", "proxy_protocol = \"v1v2\"\n[[upstream]]", 1);
    let plan = plan(&format!(
        "{text}client_limits = [\"l\"]\nqueue.length = 0\nbody_size = \"2MB\"\nmethods = [\"POST\", \"PUT\"]\n\
         host = \"Daftar.Example\"\n[clients]\nbody_size = \"3KiB\"\nmax_connections = 7\nconnections_per_address = 50\nipv6_prefix = 56\nmax_memory = \"2GiB\"\n\
         trusted_proxies = [\"10.0.0.0/8\", \"::1/128\"]\n[log]\naccess = \"off\"\n"
    ));
    let rate = plan.upstreams[0].rate.expect("written");
    assert_eq!((rate.rate.count.get(), rate.rate.per, rate.burst.get()), (400, Duration::from_secs(1), 40));
    let limit = &plan.client_limits[0];
    assert_eq!(limit.key, ClientKey::Header("x-id".parse().expect("a name")));
    let bucket = limit.rate.expect("written");
    assert_eq!(bucket.rate, Rate { count: NonZeroU32::new(20).expect("not zero"), per: Duration::from_mins(1) });
    assert_eq!((bucket.burst.get(), bucket.capacity.get()), (7, 5));
    let route = &plan.routes[0];
    assert_eq!(route.name, "POST,PUT daftar.example/*");
    assert_eq!((route.queue.length, route.body_size), (0, 2_000_000));
    assert_eq!(route.client_limits.len(), 1);
    assert_eq!(plan.clients.body_size, 3 << 10);
    assert_eq!(plan.clients.max_connections.map(NonZeroUsize::get), Some(7));
    assert_eq!(plan.clients.max_memory, Some(2 << 30));
    assert_eq!(plan.clients.connections_per_address.map(NonZeroUsize::get), Some(50));
    assert_eq!(plan.clients.ipv6_prefix, 56);
    assert!(plan.listeners[0].proxy_protocol);
    assert_eq!(plan.clients.trusted_proxies.len(), 2);
    assert_eq!(plan.log.access, AccessLog::Off);
}

#[test]
fn a_limit_of_concurrency_needs_no_rate() {
    let limit = |name, more: &str| format!("[[client_limit]]\nname = \"{name}\"\nkey = \"cookie:sid\"\n{more}\n");
    let [few, more] = [
        limit("few", "concurrency = 1\nwithout = \"pass\""),
        limit("more", "concurrency = 3\nwaiting = 0\nwithout = \"address\""),
    ];
    let plan = plan(&least_with(ROUTE, &format!("client_limits = [\"more\", \"few\"]\n{few}{more}")));
    let [few, more] = &plan.client_limits[..] else { panic!("two were written") };
    assert_eq!((few.rate, few.without, more.without), (None, Without::Pass, Without::Address));
    let numbers = |limit: &ClientLimit| limit.concurrency.map(|bound| (bound.requests.get(), bound.waiting));
    assert_eq!((numbers(few), numbers(more)), (Some((1, 2)), Some((3, 0))));
    // One order for all routes, whatever they write: two requests that need both never hold one each.
    assert_eq!(plan.routes[0].client_limits, [ClientLimitId(0), ClientLimitId(1)]);
}

#[test]
fn servers() {
    let written = ["a:1", "http://b", "http://c:8", "[::1]:9", "A.b-c:80", "my_service:1"];
    let plan = plan(&least_but(5, &format!("servers = {written:?}")));
    let read: Vec<&str> = plan.upstreams[0].servers.iter().map(|server| server.authority.as_str()).collect();
    assert_eq!(read, ["a:1", "b:80", "c:8", "[::1]:9", "a.b-c:80", "my_service:1"]);
    assert!(plan.upstreams[0].servers.iter().all(|server| !server.tls));
}

#[test]
fn health() {
    let plan = plan(&least_with(
        UPSTREAM,
        "health = { path = \"/healthz?deep=1\", interval = \"1s\", rise = 1, status = [\"200\", \"300-399\"] }\nslow_start = \"1ms\"",
    ));
    let health = plan.upstreams[0].health.as_ref().expect("written");
    assert_eq!((health.path.as_str(), &*health.status), ("/healthz?deep=1", &[200..=200, 300..=399][..]));
    assert_eq!((health.interval, health.timeout), (Duration::from_secs(1), Duration::from_secs(2)));
    assert_eq!((health.rise.get(), health.fall.get()), (1, 3));
    assert_eq!(plan.upstreams[0].slow_start, Duration::from_millis(1));
}

#[test]
fn passes() {
    let text = least_with(ROUTE, "grants_pass = true\n[pass]\nkey = \"file:pass.key\"\nwait = \"45s\"");
    let loaded = parse(&text).expect("right");
    assert_eq!(loaded.warnings, [""; 0]);
    let pass = loaded.plan.pass.expect("written");
    assert_eq!((pass.life, pass.wait), (Duration::from_mins(30), Duration::from_secs(45)));
    assert_eq!((pass.sessions.requests.get(), pass.sessions.waiting), (6, 32));
    assert_eq!(pass.key, Key::Missing(Path::new("pass.key").to_owned()));
    assert!(loaded.plan.routes[0].grants_pass && pass.old_keys.is_empty());
}

#[test]
fn the_most_specific_route_stands_first() {
    let routes = [
        "path = \"/*\"",
        "path = \"/a/*\"",
        "path = \"/a/b/*\"",
        "path = \"/a\"",
        "path = \"/a\"\nmethods = [\"GET\"]",
        "path = \"/*\"\nmethods = [\"POST\"]",
        "path = \"/*\"\nhost = \"h\"",
        "path = \"/a\"\nhost = \"h\"",
        "path = \"/longer-but-exact\"",
    ];
    let before = LEAST.split("[[route]]").next().expect("the part before");
    let text =
        routes.iter().fold(before.to_owned(), |text, route| text + "[[route]]\nupstream = \"a\"\n" + route + "\n");
    let names: Vec<String> = plan(&text).routes.into_iter().map(|route| route.name).collect();
    let expected = ["h/a", "h/*", "GET /a", "/a", "/longer-but-exact", "/a/b/*", "/a/*", "POST /*", "/*"];
    // Exact paths that differ never match the same request: those with methods may stand before all others.
    assert_eq!(names, expected);
}

#[test]
fn addresses_that_do_not_clash() {
    plan(&least_with(LISTENER, "[[listener]]\naddress = \"127.0.0.2:8080\"\n[[listener]]\naddress = \"[::]:8080\""));
    plan(&least_but(2, "address = \"127.0.0.1:0\"\n[[listener]]\naddress = \"127.0.0.1:0\""));
}

#[test]
fn warnings_say_where() {
    let text = least_with(
        ROUTE,
        "[admin]\naddress = \"0.0.0.0:9\"\n[clients]\ntrusted_proxies = [\"0.0.0.0/0\"]\n\
         [[upstream]]\nname = \"b\"\nservers = [\"b:1\"]\n\
         [[client_limit]]\nname = \"l\"\nkey = \"cookie:sid\"\nconcurrency = 1",
    );
    let warnings = parse(&text).expect("only warnings").warnings;
    let places: Vec<&str> = warnings.iter().filter_map(|warning| warning.split(": ").next()).collect();
    assert_eq!(
        places,
        ["weir.toml:10:11", "weir.toml:14:8", "weir.toml:17:8", "weir.toml:12:20", "weir.toml:19:15"],
        "{warnings:?}"
    );
}

#[test]
fn a_limit_that_cannot_be_found_is_a_warning() {
    let warnings = |upstream: &str, route: &str| {
        let table = "[[upstream]]\nname = \"b\"\nservers = [\"b:1\"]";
        parse(&least_with(ROUTE, &format!("{table}\n{upstream}\n[[route]]\npath = \"/b\"\nupstream = \"b\"\n{route}")))
            .expect("only warnings")
            .warnings
    };
    for (upstream, route, expected) in [
        ("", "", None),
        ("", "queue = { length = 0 }", Some(("weir.toml:10:8", "nobody ever waits"))),
        ("concurrency = { max = 9 }", "queue = { length = 0 }", Some(("weir.toml:10:8", "nobody ever waits"))),
        ("concurrency = 9", "queue = { length = 0 }\nupgrade = true", None),
        ("", "queue = { length = 0 }\n[[route]]\npath = \"/c\"\nupstream = \"b\"", None),
        ("", "queue = { length = 0 }\ngrants_pass = true\n[pass]\nkey = \"file:none.key\"", None),
        ("", "upgrade = true", Some(("weir.toml:13:1", "tunnels hold permits"))),
    ] {
        let warnings = warnings(upstream, route);
        let found = |(place, said): (&str, &str)| warnings[0].starts_with(place) && warnings[0].contains(said);
        assert_eq!(warnings.len(), usize::from(expected.is_some()), "{upstream} {route}: {warnings:?}");
        assert!(expected.is_none_or(found), "{upstream} {route}: {warnings:?}");
    }
}

#[test]
fn the_shipped_file() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.toml");
    let loaded = config::load(&path).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(loaded.warnings, [""; 0]);
    let names: Vec<&str> = loaded.plan.routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["POST /register", "/*"]);
    assert_eq!(loaded.plan.upstreams[0].concurrency.most(1), 1000);
}

/// The reference in prose names every key that the code takes and no other, and its defaults are the code's.
#[test]
fn the_reference_is_complete() {
    let reference = include_str!("../../src/config/reference.md");
    let rows: Vec<Vec<&str>> = reference
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.split('|').map(|cell| cell.trim().trim_matches('`')).collect())
        .collect();
    let mut tables: Vec<&str> = rows.iter().map(|row| row[1]).collect();
    tables.dedup();
    assert_eq!(tables.len(), 17);
    for table in &tables {
        let report = parse(&in_table(table, "zzzz = 1")).expect_err(table).to_string();
        let known = report.split("known here: ").nth(1).and_then(|rest| rest.lines().next()).expect("a list");
        let mut known: Vec<&str> = known.split(", ").collect();
        let mut documented: Vec<&str> = rows.iter().filter(|row| row[1] == *table).map(|row| row[2]).collect();
        known.sort_unstable();
        documented.sort_unstable();
        assert_eq!(known, documented, "keys of {table}");
    }
    let literal = |default: &str| default.starts_with(['"', '[', 't', 'f']) || default.parse::<u64>().is_ok();
    let mut compared = 0;
    for row in rows.iter().filter(|row| literal(row[3]) && !row[3].contains(' ')) {
        let left_out = plan(&in_table(row[1], ""));
        let written = plan(&in_table(row[1], &format!("{} = {}", row[2], row[3])));
        assert_eq!(format!("{left_out:?}"), format!("{written:?}"), "default of {} {}", row[1], row[2]);
        compared += 1;
    }
    assert_eq!(compared, 54, "defaults compared");
}

/// A configuration with `line` in `table`.
fn in_table(table: &str, line: &str) -> String {
    match table {
        "[[listener]]" => least_with(LISTENER, line),
        "[[upstream]]" => least_with(UPSTREAM, line),
        "[[route]]" => least_with(ROUTE, line),
        "[upstream.health]" => least_with(UPSTREAM, &format!("{table}\npath = \"/healthz\"\n{line}")),
        "[upstream.concurrency]" => least_with(UPSTREAM, &format!("{table}\n{line}")),
        "[listener.tls]" => least_with(LISTENER, &format!("{table}\n{}\n{line}", pair())),
        "[[listener.certificate]]" => {
            least_with(LISTENER, &format!("tls = {{ {} }}\n{table}\n{line}", pair().replace('\n', ", ")))
        }
        "[pass]" => format!("{LEAST}{table}\nkey = \"file:pass.key\"\n{line}\n"),
        "[[waiting_room]]" => room_with(line),
        "[[waiting_room.wave]]" => room_with(&format!("{table}\n{line}")),
        "[[dependency]]" => format!("{LEAST}{table}\nname = \"d\"\nconcurrency = 1\n{line}\n"),
        "[[client_limit]]" => format!("{LEAST}{table}\nname = \"l\"\nkey = \"header:x\"\nrate = \"1/s\"\n{line}\n"),
        _ => format!("{LEAST}{table}\n{line}\n"),
    }
}

/// `certificate` and `key`, of files that are there.
fn pair() -> String {
    static FILES: OnceLock<TempDir> = OnceLock::new();
    let files = FILES.get_or_init(|| {
        let files = TempDir::new().expect("a directory");
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        fs::write(files.path().join("cert.pem"), made.cert.pem()).expect("written");
        fs::write(files.path().join("key.pem"), made.signing_key.serialize_pem()).expect("written");
        files
    });
    let path = |name: &str| files.path().join(name).display().to_string();
    format!("certificate = {:?}\nkey = {:?}", path("cert.pem"), path("key.pem"))
}

/// A configuration with `lines` in a waiting room.
fn room_with(lines: &str) -> String {
    format!("{LEAST}[[waiting_room]]\nname = \"opening\"\nkey = \"file:room.key\"\n{lines}\n")
}

/// The README's table is the one that is proved complete against the code.
#[test]
fn the_readme_has_the_reference() {
    let readme = include_str!("../../README.md");
    assert!(
        readme.contains(include_str!("../../src/config/reference.md")),
        "copy src/config/reference.md into README.md"
    );
}
