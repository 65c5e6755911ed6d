//! Mistakes that people make, each with the line it is told at and a piece of what is said.

use super::{LEAST, LISTENER, ROUTE, UPSTREAM, assert_well_told, least_but, least_with, parse};

/// `text` has exactly one fault, at `line`, and its report contains `said`.
fn assert_refused(text: &str, line: usize, said: &str) {
    let report = parse(text).expect_err(text);
    assert_well_told(&report, text);
    let rendered = report.render(false);
    assert_eq!(report.faults().len(), 1, "one fault in\n{text}\n{rendered}");
    assert_eq!(report.faults()[0].line(), line, "line in\n{text}\n{rendered}");
    assert!(rendered.contains(said), "{said:?} in\n{text}\n{rendered}");
}

/// Line of `LEAST` after which the text is inserted, the text, the line told, a piece of what is said.
type Case = (usize, &'static str, usize, &'static str);

fn assert_all_refused(cases: &[Case]) {
    for (after, text, line, said) in cases {
        assert_refused(&least_with(*after, text), *line, said);
    }
}

#[test]
fn listeners() {
    assert_all_refused(&[
        (LISTENER, "adress = \"127.0.0.1:1\"", 3, "did you mean `address`?"),
        (LISTENER, "proxy_protocol = \"v1v2\"", 3, "nobody could connect"),
        (LISTENER, "proxy_protocol = \"v1v1\"", 3, "did you mean \"v1v2\"?"),
        (LISTENER, "proxy_protocol = true", 3, "`proxy_protocol` wants \"off\" or \"v1v2\", found true"),
        (LISTENER, "tls = true", 3, "`tls` wants a table, found true"),
        (LISTENER, "[[listener.certificate]]\ncertificate = \"c\"\nkey = \"k\"", 3, "no meaning without `tls`"),
        (LISTENER, "[[listener]]\naddress = \"127.0.0.1:8080\"", 4, "share a port"),
        (LISTENER, "[[listener]]\naddress = \"0.0.0.0:8080\"", 4, "share a port"),
        (LISTENER, "[[listener]]\naddress = \"127.0.0.1:9090\"", 4, "[admin] (127.0.0.1:9090)"),
        (LISTENER, "[[listener]]", 3, "[[listener]] has no `address`"),
    ]);
}

#[test]
fn admin() {
    assert_all_refused(&[
        (ROUTE, "[admin]\naddress = \"127.0.0.1:8080\"", 10, "share a port"),
        (ROUTE, "[admin]\naddress = \"0.0.0.0:8080\"", 10, "metrics and health must not be public"),
        (ROUTE, "[admin]\naddress = 9090", 10, "wants an IP address and a port, found the number 9090"),
        (ROUTE, "[admin]\naddress = \":9090\"", 10, "did you mean \"0.0.0.0:9090\"?"),
        (ROUTE, "[admin]\nadress = \"127.0.0.1:9\"", 10, "did you mean `address`?"),
        (ROUTE, "[[admin]]\naddress = \"127.0.0.1:9090\"", 9, "write [admin]"),
    ]);
}

#[test]
fn passes() {
    assert_all_refused(&[
        (ROUTE, "grants_pass = true", 9, "`grants_pass` needs a [pass] table"),
        (ROUTE, "grants_pass = \"true\"", 9, "without the quotes"),
        (ROUTE, "class = \"bulk\"\ngrants_pass = true\n[pass]\nkey = \"file:x\"", 10, "passes are for newcomers"),
        (ROUTE, "[pass]\nlife = \"1h\"", 9, "[pass] has no `key`"),
        (ROUTE, "[pass]\nkey = \"file:no/such/directory/key\"", 10, "is not in an existing directory"),
        (ROUTE, "[pass]\nkey = \"file:src\"", 10, "`key` cannot be used (not a file): src"),
        (ROUTE, "[pass]\nkey = \"file:Cargo.toml\"", 10, "`key` cannot be used ("),
        (ROUTE, "[pass]\nkey = \"env:WEIR_NO_SUCH\"", 10, "the variable \"WEIR_NO_SUCH\" is not set"),
        (ROUTE, "[pass]\nkey = \"env:PATH\"", 10, "does not hold 64 hexadecimal digits"),
        (ROUTE, "[pass]\nkey = \"env:\"", 10, "wants \"file:PATH\" or \"env:NAME\""),
        (
            ROUTE,
            "[pass]\nkey = \"file:x\"\nold_keys = [\"file:missing\"]",
            11,
            "`old_keys` cannot be used (No such file",
        ),
        (ROUTE, "[pass]\nkey = \"file:x\"\nlife = \"25h\"", 11, "24h"),
        (ROUTE, "[pass]\nkey = \"file:x\"\nconcurrency = 0", 11, "1 to 1000000"),
        (ROUTE, "[pass]\nkey = \"file:x\"\nwaiting = 1001", 11, "0 to 1000"),
        (ROUTE, "[[client_limit]]\nname = \"l\"\nkey = \"cookie:weir_pass\"\nrate = \"1/s\"", 11, "bounded by [pass]"),
        (ROUTE, "[[client_limit]]\nname = \"l\"\nkey = \"header:Weir-Pass\"\nrate = \"1/s\"", 11, "bounded by [pass]"),
    ]);
}

/// Who writes the key itself where its place is wanted does not find it in the message.
#[test]
fn a_key_is_not_repeated() {
    let text = least_with(ROUTE, "[pass]\nkey = \"hunter2\"");
    let report = parse(&text).expect_err("a key");
    assert!(report.faults().iter().all(|fault| !fault.message().contains("hunter2")));
}

#[test]
fn durations() {
    assert_all_refused(&[
        (ROUTE, "[clients]\nheader_timeout = 5", 10, "did you mean \"5s\"?"),
        (ROUTE, "[clients]\nheader_timeout = \"5\"", 10, "whole digits and a unit: ms, s, m, h"),
        (ROUTE, "[clients]\nheader_timeout = \"5 s\"", 10, "did you mean \"5s\"?"),
        (ROUTE, "[clients]\nheader_timeout = \"5sec\"", 10, "did you mean \"5s\"?"),
        (ROUTE, "[clients]\nheader_timeout = \"1.5s\"", 10, "whole digits and a unit"),
        (ROUTE, "[clients]\nheader_timeout = \"-1s\"", 10, "a duration from \"100ms\" to \"10m\""),
        (ROUTE, "[clients]\nheader_timeout = \"0s\"", 10, "a duration from \"100ms\" to \"10m\""),
        (ROUTE, "[clients]\nheader_timeout = \"2h\"", 10, "a duration from \"100ms\" to \"10m\""),
        (ROUTE, "[clients]\nheader_timeout = \"99999999999999999999s\"", 10, "a duration from"),
        (ROUTE, "[clients]\nheader_timeout = \"18446744073709551615h\"", 10, "a duration from"),
        (ROUTE, "[clients]\nheader_timeout = 1.5", 10, "found the number 1.5"),
        (ROUTE, "[clients]\nheader_timeout = 07:32:00", 10, "found a date"),
        (ROUTE, "[clients]\nheader_timout = \"5s\"", 10, "did you mean `header_timeout`?"),
        (ROUTE, "[clients]\nheader-timeout = \"5s\"", 10, "did you mean `header_timeout`?"),
        (ROUTE, "[clients]\nbody_timeout = true", 10, "found true"),
        (ROUTE, "[clients]\nidle_timeout = \"1ms\"", 10, "a duration from \"100ms\" to \"1h\""),
    ]);
}

#[test]
fn clients() {
    assert_all_refused(&[
        (ROUTE, "[clients]\nheader_size = \"4KiB\"", 10, "a size from \"8KiB\" to \"1MiB\""),
        (ROUTE, "[clients]\nheader_size = \"2MiB\"", 10, "a size from \"8KiB\" to \"1MiB\""),
        (ROUTE, "[clients]\nheader_size = 16384", 10, "did you mean \"16384B\"?"),
        (ROUTE, "[clients]\nheader_size = \"16k\"", 10, "did you mean \"16KiB\"?"),
        (ROUTE, "[clients]\nheader_size = \"16kb\"", 10, "did you mean \"16KB\"?"),
        (ROUTE, "[clients]\nbody_size = \"0B\"", 10, "a size from \"1B\""),
        (ROUTE, "[clients]\nbody_size = \"1TiB\"", 10, "whole digits and a unit: B, KB, MB, KiB, MiB, GiB"),
        (ROUTE, "[clients]\nheader_count = \"64\"", 10, "without the quotes"),
        (ROUTE, "[clients]\nheader_count = 0", 10, "a whole number from 16 to 1024, found the number 0"),
        (ROUTE, "[clients]\nheader_count = -64", 10, "found the number -64"),
        (ROUTE, "[clients]\nheader_count = 99999999999999999999999", 10, "a whole number from 16 to 1024"),
        (ROUTE, "[clients]\nheader_count = 64.0", 10, "a whole number from 16 to 1024"),
        (ROUTE, "[clients]\nhttp2_streams = 0", 10, "a whole number from 1 to 65535"),
        (ROUTE, "[clients]\nmax_connections = \"atuo\"", 10, "did you mean \"auto\"?"),
        (ROUTE, "[clients]\nmax_memory = \"1KiB\"", 10, "\"auto\" or a size from \"16MiB\" to \"1024GiB\""),
        (ROUTE, "[clients]\nmax_connections = 0", 10, "\"auto\" or a whole number from 1 to 10000000"),
        (ROUTE, "[clients]\nmax_connections = \"none\"", 10, "\"auto\" or a whole number"),
        (ROUTE, "[clients]\ntrusted_proxies = \"10.0.0.0/8\"", 10, "did you mean [\"10.0.0.0/8\"]?"),
        (ROUTE, "[clients]\ntrusted_proxies = [\"10.0.0.1\"]", 10, "did you mean \"10.0.0.1/32\"?"),
        (ROUTE, "[clients]\ntrusted_proxies = [\"10.0.0.1/8\"]", 10, "did you mean \"10.0.0.0/8\"?"),
        (ROUTE, "[clients]\ntrusted_proxies = [\"10.0.0.0/33\"]", 10, "a network such as"),
        (ROUTE, "[clients]\ntrusted_proxies = [10]", 10, "found the number 10"),
        (ROUTE, "clients = 5", 9, "unknown key `clients` in [[route]]"),
    ]);
}

#[test]
fn client_limits() {
    assert_all_refused(&[
        (ROUTE, "[client_limit]\nname = \"l\"", 9, "did you mean [[client_limit]]?"),
        (ROUTE, "[[client_limit]]\nname = \"l\"\nkey = \"address\"", 9, "needs `rate` or `concurrency`"),
        (ROUTE, "[[client_limit]]\nname = \"l\"\nrate = \"5/s\"", 9, "[[client_limit]] has no `key`"),
        (ROUTE, "[[client_limit]]\nkey = \"address\"\nrate = \"5/s\"", 9, "[[client_limit]] has no `name`"),
        (ROUTE, "[[client_limit]]\nname = \"l\"\nkey = \"adress\"\nrate = \"5/s\"", 11, "did you mean \"address\"?"),
        (ROUTE, "[[client_limit]]\nname = \"l\"\nkey = \"haeder:x\"\nrate = \"5/s\"", 11, "did you mean \"header:x\"?"),
        (ROUTE, "[[client_limit]]\nname = \"l\"\nkey = \"header:\"\nrate = \"5/s\"", 11, "no header name"),
        (ROUTE, "[[client_limit]]\nname = \"l\"\nkey = \"header:a b\"\nrate = \"5/s\"", 11, "no header name"),
        (ROUTE, "[[client_limit]]\nname = \"l\"\nkey = \"cookie:a=b\"\nrate = \"5/s\"", 11, "no cookie name"),
        (ROUTE, "[[client_limit]]\nname = \"l\"\nkey = \"address\"\nrate = 5", 12, "did you mean \"5/s\"?"),
        (ROUTE, "[[client_limit]]\nname = \"l\"\nkey = \"address\"\nrate = \"5/min\"", 12, "did you mean \"5/m\"?"),
        (ROUTE, "[[client_limit]]\nname = \"l\"\nkey = \"address\"\nrate = \"0/s\"", 12, "a rate such as"),
        (ROUTE, "[[client_limit]]\nname = \"l\"\nkey = \"address\"\nrate = \"5/d\"", 12, "a unit: /s, /m, /h"),
        (
            ROUTE,
            "[[client_limit]]\nname = \"l\"\nkey = \"address\"\nrate = \"4000000000/s\"",
            12,
            "from 1 to 1000000000",
        ),
        (
            ROUTE,
            "[[client_limit]]\nname = \"l\"\nkey = \"address\"\nconcurrency = 1\nburst = 2",
            13,
            "`burst` has no meaning without `rate`",
        ),
        (
            ROUTE,
            "[[client_limit]]\nname = \"l\"\nkey = \"address\"\nconcurrency = 1\ncapacity = 2",
            13,
            "`capacity` has no meaning without `rate`",
        ),
        (
            ROUTE,
            "[[client_limit]]\nname = \"l\"\nkey = \"address\"\nrate = \"5/s\"\nwaiting = 2",
            13,
            "`waiting` has no meaning without `concurrency`",
        ),
        (ROUTE, "[[client_limit]]\nname = \"l\"\nkey = \"address\"\nconcurrency = 0", 12, "a whole number from 1"),
        (
            ROUTE,
            "[[client_limit]]\nname = \"l\"\nkey = \"address\"\nconcurrency = 1\nwithout = \"pass\"",
            13,
            "every request has one",
        ),
        (
            ROUTE,
            "[[client_limit]]\nname = \"l\"\nkey = \"header:x\"\nrate = \"5/s\"\nwithout = \"adress\"",
            13,
            "did you mean \"address\"?",
        ),
        (ROUTE, "[[client_limit]]\nname = \"a b\"\nkey = \"address\"\nrate = \"5/s\"", 10, "a name of 1 to 64"),
    ]);
}

#[test]
fn upstreams() {
    assert_all_refused(&[
        (UPSTREAM, "concurrency = \"adaptiv\"", 6, "did you mean \"adaptive\"?"),
        (UPSTREAM, "concurrency = \"lots\"", 6, "\"adaptive\", a whole number without quotes or a table"),
        (UPSTREAM, "concurrency = \"40\"", 6, "without the quotes"),
        (UPSTREAM, "concurrency = { min = 2, least = 1 }", 6, "unknown key `least` in [upstream.concurrency]"),
        (
            UPSTREAM,
            "concurrency = { min = 20, max = 10 }",
            6,
            "`min` ≤ `initial` ≤ `max` does not hold for 20, 20 and 10",
        ),
        (UPSTREAM, "concurrency = { initial = 2000 }", 6, "does not hold for 2, 2000 and 1000"),
        (UPSTREAM, "concurrency = { max = 0 }", 6, "a whole number from 1 to 1000000"),
        (UPSTREAM, "concurrency = 0", 6, "a whole number from 1 to 1000000"),
        (UPSTREAM, "burst = 5", 6, "`burst` has no meaning without `rate`"),
        (UPSTREAM, "rate = \"400\"", 6, "a rate such as"),
        (UPSTREAM, "response_timeout = 30", 6, "did you mean \"30s\"?"),
        (UPSTREAM, "responce_timeout = \"30s\"", 6, "did you mean `response_timeout`?"),
        (UPSTREAM, "connect_timeout = \"1h\"", 6, "a duration from \"10ms\" to \"5m\""),
        (UPSTREAM, "abandon_timeout = \"0s\"", 6, "a duration from \"100ms\" to \"24h\""),
        (UPSTREAM, "protocol = \"htpp2\"", 6, "did you mean \"http2\"?"),
        (UPSTREAM, "protocol = \"h3\"", 6, "one of \"auto\", \"http1\", \"http2\""),
        (UPSTREAM, "idempotent = \"yes\"", 6, "true or false"),
        (UPSTREAM, "resolve = \"0s\"", 6, "a duration from \"1s\" to \"1h\""),
        (UPSTREAM, "slow_start = \"1h\"", 6, "a duration from \"1ms\" to \"10m\""),
        (UPSTREAM, "health = \"/healthz\"", 6, "a table, found the string"),
        (UPSTREAM, "health = {}", 6, "[upstream.health] has no `path`"),
        (UPSTREAM, "health.path = \"healthz\"", 6, "must start with \"/\""),
        (UPSTREAM, "health.path = \"/a b\"", 6, "must be percent-encoded"),
        (UPSTREAM, "health.path = \"/a#b\"", 6, "must be percent-encoded"),
        (UPSTREAM, "health = { path = \"/\", interval = \"1ms\" }", 6, "a duration from \"100ms\" to \"1h\""),
        (UPSTREAM, "health = { path = \"/\", timeout = \"2m\" }", 6, "a duration from \"10ms\" to \"1m\""),
        (UPSTREAM, "health = { path = \"/\", rise = 0 }", 6, "a whole number from 1 to 100"),
        (UPSTREAM, "health = { path = \"/\", status = [] }", 6, "found an empty list"),
        (UPSTREAM, "health = { path = \"/\", status = [\"299-200\"] }", 6, "a range such as"),
        (UPSTREAM, "health = { path = \"/\", status = [\"101\"] }", 6, "from 200 to 599"),
        (UPSTREAM, "health = { path = \"/\", status = [\"2xx\"] }", 6, "a status such as"),
        (UPSTREAM, "health = { path = \"/\", statsu = [\"200\"] }", 6, "did you mean `status`?"),
        (UPSTREAM, "ca = \"\"", 6, "the path of a PEM file"),
        (UPSTREAM, "ca = \"/does/not/exist.pem\"", 6, "`ca` cannot be read"),
        (UPSTREAM, "[[upstream]]\nname = \"a\"\nservers = [\"b:1\"]", 7, "two [[upstream]] have the name \"a\""),
        (UPSTREAM, "[[upstream]]\nname = \"b\"", 6, "[[upstream]] has no `servers`"),
    ]);
}

#[test]
fn routes() {
    assert_all_refused(&[
        (ROUTE, "class = \"returning\"", 9, "exempt"),
        (ROUTE, "class = \"in-progress\"", 9, "in_progress"),
        (ROUTE, "uses = [\"nik\"]", 9, "there is no [[dependency]] with the name"),
        (ROUTE, "uses = [\"a\"]\n[[dependency]]\nname = \"nik\"\nrate = \"1/s\"", 9, "there is \"nik\""),
        (ROUTE, "waiting_room = \"opening\"", 9, "there is none yet"),
        (ROUTE, "counts = true", 9, "`counts` has no meaning without `waiting_room`"),
        (ROUTE, "methods = \"POST\"", 9, "did you mean [\"POST\"]?"),
        (ROUTE, "methods = [\"post\"]", 9, "did you mean \"POST\"?"),
        (ROUTE, "methods = [\"PSOT\"]", 9, "did you mean \"POST\"?"),
        (ROUTE, "methods = [\"CONNECT\"]", 9, "one of \"DELETE\", \"GET\""),
        (ROUTE, "methods = []", 9, "found an empty list"),
        (ROUTE, "methods = [\"GET\", \"GET\"]", 9, "`methods` names GET twice"),
        (ROUTE, "host = \"a.example:80\"", 9, "without the port"),
        (ROUTE, "host = \"*.example\"", 9, "there are no wildcards"),
        (ROUTE, "host = \"https://a.example\"", 9, "only the host"),
        (ROUTE, "host = \"a..example\"", 9, "a host name such as"),
        (ROUTE, "host = \"\"", 9, "a host name such as"),
        (ROUTE, "name = \"\"", 9, "a name of 1 to 64"),
        (ROUTE, "client_limits = [\"l\"]", 9, "there is none yet"),
        (ROUTE, "client_limits = \"l\"", 9, "a list of names"),
        (ROUTE, "queue = 5", 9, "`queue` wants a table, found the number 5"),
        (ROUTE, "queue = { wait = 4 }", 9, "did you mean \"4s\"?"),
        (ROUTE, "queue = { wait = \"0s\" }", 9, "a duration from \"1ms\" to \"1h\""),
        (ROUTE, "queue = { lenght = 4 }", 9, "did you mean `length`?"),
        (ROUTE, "queue = { length = -1 }", 9, "a whole number from 0 to 1000000"),
        (ROUTE, "[route.queue]\nwait = 4", 10, "did you mean \"4s\"?"),
        (ROUTE, "body_size = 5", 9, "did you mean \"5B\"?"),
        (ROUTE, "upgrade = \"true\"", 9, "without the quotes"),
        (ROUTE, "upgrade = 1", 9, "true or false, found the number 1"),
        (ROUTE, "[[route]]\npath = \"/*\"\nupstream = \"a\"", 10, "two routes take the same requests"),
        (
            ROUTE,
            "[[route]]\npath = \"/x\"\nupstream = \"a\"\n[[route]]\npath = \"/x/\"\nupstream = \"a\"",
            13,
            "two routes take the same requests",
        ),
        (ROUTE, "[[route]]\npath = \"/x\"\nupstream = \"b\"", 11, "there is no [[upstream]] with the name \"b\""),
        (ROUTE, "[[route]]\nupstream = \"a\"", 9, "[[route]] has no `path`"),
        (ROUTE, "[[route]]\npath = \"/x\"", 9, "[[route]] has no `upstream`"),
    ]);
}

#[test]
fn runtime_log_and_tables_without_code() {
    assert_all_refused(&[
        (ROUTE, "[runtime]\nworkers = 0", 10, "\"auto\" or a whole number from 1 to 1024"),
        (ROUTE, "[runtime]\ndrain_timeout = \"25h\"", 10, "a duration from \"0ms\" to \"24h\""),
        (ROUTE, "[runtime]\nworker = 2", 10, "did you mean `workers`?"),
        (ROUTE, "[log]\naccess = \"stdot\"", 10, "did you mean \"stdout\"?"),
        (ROUTE, "[log]\naccess = \"file:\"", 10, "\"file:PATH\""),
        (ROUTE, "[log]\naccess = \"file:/does/not/exist/access.log\"", 10, "existing directory"),
        (ROUTE, "[log]\naccess = \"file:/tmp\"", 10, "is a directory"),
        (ROUTE, "[[dependency]]\nname = \"nik\"", 9, "needs `rate` or `concurrency`"),
        (
            ROUTE,
            "[[dependency]]\nname = \"nik\"\nconcurrency = 3\nburst = 2",
            12,
            "`burst` has no meaning without `rate`",
        ),
        (ROUTE, "[[spool]]\nname = \"opening\"", 9, "unknown key `spool`"),
        (ROUTE, "[client]\nbody_size = \"1MiB\"", 9, "did you mean `clients`?"),
    ]);
}

#[test]
fn syntax() {
    assert_all_refused(&[
        (ROUTE, "[clients", 9, "this is not TOML"),
        (ROUTE, "[clients]\nbody_size 5", 10, "this is not TOML"),
        (ROUTE, "upstream = \"a\"", 9, "duplicate key"),
        (ROUTE, "[log]\naccess = \"stdout", 10, "this is not TOML"),
        (ROUTE, "[log]\naccess = off", 10, "this is not TOML"),
        (ROUTE, "[log]\n[log]", 10, "duplicate key"),
    ]);
}

#[test]
fn names_of_client_limits() {
    let limit = "[[client_limit]]\nname = \"l\"\nkey = \"address\"\nrate = \"5/s\"\n";
    assert_refused(&format!("{LEAST}{limit}{limit}"), 14, "two [[client_limit]] have the name \"l\"");
    let twice = least_with(ROUTE, &format!("client_limits = [\"l\", \"l\"]\n{limit}"));
    assert_refused(&twice, 9, "names \"l\" twice");
    let unknown = least_with(ROUTE, &format!("client_limits = [\"ll\"]\n{limit}"));
    assert_refused(&unknown, 9, "did you mean \"l\"?");
}

#[test]
fn replaced_lines() {
    let cases: &[(usize, &str, &str)] = &[
        (2, "address = \"localhost:8080\"", "did you mean \"127.0.0.1:8080\"?"),
        (2, "address = \"127.0.0.1\"", "an IP address and a port"),
        (2, "address = \"127.0.0.1:99999\"", "an IP address and a port"),
        (2, "address = [\"127.0.0.1:80\"]", "found a list"),
        (5, "servers = []", "a list of servers, found an empty list"),
        (5, "servers = \"a:1\"", "did you mean [\"a:1\"]?"),
        (5, "servers = [\"a\"]", "has no port"),
        (5, "servers = [\"a:0\"]", "a number from 1 to 65535"),
        (5, "servers = [\"a:65536\"]", "a number from 1 to 65535"),
        (5, "servers = [\"a:+80\"]", "a number from 1 to 65535"),
        (5, "servers = [\"::1:80\"]", "stands in brackets"),
        (5, "servers = [\"[::1]\"]", "has no port"),
        (5, "servers = [\"[::1:80\"]", "not a host name"),
        (5, "servers = [\"http://\"]", "not a host name"),
        (5, "servers = [\"http://a/\"]", "only host and port"),
        (5, "servers = [\"http://a?b\"]", "only host and port"),
        (5, "servers = [\"http://me:secret@a\"]", "credentials do not belong here"),
        (5, "servers = [\"htps://a\"]", "did you mean \"https://a\"?"),
        (5, "servers = [\"ftp://a\"]", "the scheme is \"http\" or \"https\""),
        (5, "servers = [\"a b:80\"]", "not a host name"),
        (5, "servers = [\"a:80\", \"http://A\"]", "`servers` names a:80 twice"),
        (5, "servers = [{ host = \"a\" }]", "found a table"),
        (7, "path = \"register\"", "must start with \"/\""),
        (7, "path = \"\"", "must start with \"/\""),
        (7, "path = \"*\"", "must start with \"/\""),
        (7, "path = \"/a*\"", "\"*\" may stand only at the end"),
        (7, "path = \"/*/a\"", "\"*\" may stand only at the end"),
        (7, "path = \"/a?b=c\"", "without query and fragment"),
        (7, "path = \"/a#b\"", "without query and fragment"),
        (7, "path = \"/a//b\"", "\"//\" never matches; did you mean \"/a/b\"?"),
        (7, "path = \"//*\"", "\"//\" never matches; did you mean \"/*\"?"),
        (7, "path = \"//x//*\"", "\"//\" never matches; did you mean \"/x/*\"?"),
        (7, "path = \"/a/../b\"", "segments \".\" and \"..\" never match; did you mean \"/b\"?"),
        (7, "path = \"/./b/\"", "segments \".\" and \"..\" never match; did you mean \"/b/\"?"),
        (7, "path = \"/../*\"", "did you mean \"/*\"?"),
        (7, "path = \"/%61/x%3ay/*\"", "shortest spelling; did you mean \"/a/x%3Ay/*\"?"),
        (7, "path = \"/%7Euser\"", "shortest spelling; did you mean \"/~user\"?"),
        (7, "path = \"/a/%2e%2E/b\"", "never matches: a request whose path contains a dot segment"),
        (7, "path = \"/a%2Fb\"", "never matches: a request whose path contains an encoded slash"),
        (7, "path = \"/a%00\"", "never matches: a request whose path contains an encoded control"),
        (7, "path = \"/a;b\"", "\";\" never matches"),
        (7, "path = \"/a%3Bb\"", "\";\" never matches"),
        (7, "path = \"/a b\"", "percent-encoded"),
        (7, "path = \"/é\"", "percent-encoded"),
        (7, "path = \"/a%2\"", "two hexadecimal digits"),
        (7, "path = '/a\\b'", "percent-encoded"),
        (8, "upstream = \"A\"", "did you mean \"a\"?"),
        (8, "upstream = 5", "the name of an [[upstream]], found the number 5"),
    ];
    for (line, text, said) in cases {
        assert_refused(&least_but(*line, text), *line, said);
    }
}

#[test]
fn a_wrong_name_is_not_told_again_at_what_refers_to_it() {
    let text = LEAST.replace("\"a\"", "\"a b\"");
    assert_refused(&text, 4, "a name of 1 to 64");
}

#[test]
fn all_faults_at_once() {
    let text = "listner = 1\n\
                [[listener]]\naddress = \"here\"\n\
                [clients]\nbody_timeout = 5\n\
                [[upstream]]\nname = \"a\"\nservers = [\"a:1\"]\nprotocol = \"http3\"\n\
                [[route]]\npath = \"x\"\nupstream = \"a\"\n";
    let report = parse(text).expect_err("five faults");
    let lines: Vec<usize> = report.faults().iter().map(weir::config::Fault::line).collect();
    assert_eq!(lines, [1, 3, 5, 9, 11], "{report}");
    assert_well_told(&report, text);
    assert!(report.to_string().ends_with("weir.toml: 5 errors\n"), "{report}");
}

#[test]
fn faults_are_bounded() {
    let keys: Vec<String> = (0..5_000).map(|n| format!("key{n} = 1")).collect();
    let report = parse(&format!("{}\n{LEAST}", keys.join("\n"))).expect_err("unknown keys");
    assert_eq!(report.faults().len(), weir::config::explain::MAX_FAULTS);
    assert!(report.to_string().contains("5000 errors, the first 100 shown"));
}

#[test]
fn no_tables_at_all() {
    let report = parse("").expect_err("nothing");
    assert_well_told(&report, "");
    assert_eq!(report.faults().len(), 3, "{report}");
}

#[test]
fn the_whole_report() {
    let text = least_with(UPSTREAM, "\tprotcol = \"auto\"  # é");
    let report = parse(&text).expect_err("a typing mistake");
    let expected = r#"error: unknown key `protcol` in [[upstream]]
 --> weir.toml:6:2
  |
6 |     protcol = "auto"  # é
  |     ^^^^^^^ did you mean `protocol`?
  |
  = help: known here: name, servers, concurrency, rate, burst, connect_timeout, response_timeout, abandon_timeout, idle_timeout, protocol, ca, tls_name, idempotent, resolve, slow_start, health

weir.toml: 1 error
"#;
    assert_eq!(report.to_string(), expected);
}
