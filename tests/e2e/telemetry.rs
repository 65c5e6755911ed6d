//! What operators see is what happened, and nothing that is nobody's business.

use std::collections::BTreeMap;

use crate::client::{Client, Response, get};
use crate::origin::{Latch, Origin};
use crate::tools::{curl, promtool_has_nothing_to_say};
use crate::weir::{Weir, eventually, free_address};

/// Several routes and upstreams: everything that can be refused, is.
fn config(origin: &Origin) -> String {
    let address = origin.address;
    let dead = free_address();
    format!(
        r#"
[[client_limit]]
name = "address"
key = "address"
rate = "1/h"
concurrency = 2
[[upstream]]
name = "one"
servers = ["{address}"]
concurrency = 1
response_timeout = "1s"
[[upstream]]
name = "dead"
servers = ["{dead}"]
[[route]]
name = "form"
path = "/form"
methods = ["POST"]
upstream = "one"
body_size = "1KiB"
queue = {{ wait = "3s", length = 1 }}
[[route]]
name = "odd-name.of"
path = "/dead"
upstream = "dead"
[[route]]
name = "once"
path = "/once"
upstream = "one"
client_limits = ["address"]
"#
    )
}

#[test]
fn every_refusal_is_counted_where_it_belongs() {
    let latch = Latch::new();
    let origin = Origin::latched(&latch);
    let weir = Weir::start(&config(&origin));
    let mut seen: BTreeMap<(&str, String), u64> = BTreeMap::new();
    let mut note = |route, answer: &Response| *seen.entry((route, answer.reason())).or_default() += 1;
    let post = |length: usize| format!("POST /form HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n");
    let post = |length: usize| [post(length).into_bytes(), vec![b'x'; length]].concat();

    note("form", &Client::connect(weir.http).send(post(2000)).answer());
    note("none", &get(weir.http, "/form"));
    note("none", &get(weir.http, "/nowhere"));
    note("none", &get(weir.http, "/a/../b"));
    note("none", &Client::connect(weir.http).ask("TRACE", "/form").answer());
    let expects = "POST /form HTTP/1.1\r\nhost: localhost\r\nexpect: magic\r\ncontent-length: 1\r\n\r\n";
    note("none", &Client::connect(weir.http).send(expects).answer());
    note("none", &get(weir.http, &format!("/{}", "x".repeat(9000))));
    note("odd-name.of", &get(weir.http, "/dead"));

    // The upstream takes one and does not answer it; the second expires in line, the third finds it full.
    let mut first = Client::connect(weir.http);
    first.send(post(10));
    weir.wait_for_load("one", 1, 0);
    let mut second = Client::connect(weir.http);
    second.send(post(10));
    weir.wait_for_load("one", 1, 1);
    note("form", &Client::connect(weir.http).send(post(10)).answer());
    note("form", &first.answer());
    note("form", &second.answer());
    latch.let_pass(2);
    weir.wait_for_load("one", 0, 0);
    assert_eq!(get(weir.http, "/once").status, 200);
    note("once", &get(weir.http, "/once"));

    let metrics = weir.metrics();
    let reasons: Vec<&str> = seen.keys().map(|(_, reason)| reason.as_str()).collect();
    for reason in [
        "body_too_large",
        "queue_full",
        "upstream_timeout",
        "expired",
        "method_not_allowed",
        "no_route",
        "bad_request",
        "not_implemented",
        "expectation_failed",
        "uri_too_long",
        "upstream_unreachable",
        "client_limit",
    ] {
        assert!(reasons.contains(&reason), "nobody was refused for {reason}: {seen:?}");
    }
    for ((route, reason), count) in &seen {
        assert_eq!(metrics.requests(route, reason), *count, "{route} {reason}");
    }
    let refused: u64 = seen.values().sum();
    assert_eq!(metrics.sum("weir_requests_total{"), refused + 1, "and nothing else");
    assert_eq!(metrics.value("weir_upstream_seconds_count{upstream=\"one\"}"), 2);
    promtool_has_nothing_to_say(&metrics.0);
}

#[test]
fn the_access_log_tells_what_happened_and_nothing_private() {
    const MARKERS: [&str; 6] = ["m-query", "m-body", "m-authorization", "m-cookie", "m-key", "m-answer"];
    let origin = Origin::start(|exchange| {
        exchange.body()?;
        exchange.respond(201, "x-secret: m-answer\r\nset-cookie: a=m-answer\r\n", b"m-answer")
    });
    let weir = Weir::start(&config(&origin));
    let certificate = weir.certificate().to_str().unwrap().to_owned();
    for (way, base) in [
        ("--http1.1", format!("http://{}", weir.http)),
        ("--http2-prior-knowledge", format!("http://{}", weir.http)),
        ("--http2", format!("https://{}", weir.https)),
    ] {
        for path in ["/form?nik=m-query", "/refused?nik=m-query", "/dead?nik=m-query"] {
            let fields = [
                "-H",
                "authorization: Bearer m-authorization",
                "-H",
                "cookie: sid=m-cookie",
                "-H",
                "idempotency-key: m-key",
            ];
            let url = format!("{base}{path}");
            // Debian's curl 7.88 takes an early answer on HTTP/2 for an error while it still has a body to send.
            let body = if path.starts_with("/dead") { ["-X", "POST"] } else { ["-d", "nik=m-body"] };
            curl(&[&[way, "--cacert", &certificate], &fields[..], &body[..], &[&url]].concat());
        }
    }
    let mut lines = Vec::new();
    eventually("every request is logged", || {
        lines = weir.access_log().lines().map(str::to_owned).collect();
        lines.len() == 9
    });
    for line in &lines {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(record.is_object(), "{line}");
        let (path, status) = (record["path"].as_str().unwrap(), record["status"].as_u64().unwrap());
        let (route, verdict, expected, reason) = match path {
            "/form" => (Some("form"), "admit", 201, None),
            "/refused" => (None, "refuse", 404, Some("no_route")),
            _ => (Some("odd-name.of"), "admit", 502, Some("upstream_unreachable")),
        };
        assert_eq!((record["route"].as_str(), status, record["reason"].as_str()), (route, expected, reason), "{line}");
        assert_eq!(record["verdict"], verdict, "{line}");
        assert_eq!((record["method"].as_str(), record["client"].as_str()), (Some("POST"), Some("127.0.0.1")), "{line}");
        assert!(record["request_id"].as_str().is_some_and(|id| id.len() == 32), "{line}");
        if path == "/form" {
            assert_eq!((record["bytes_in"].as_u64(), record["bytes_out"].as_u64()), (Some(10), Some(8)), "{line}");
        }
    }
    let told = [weir.access_log(), weir.stderr(), weir.metrics().0].concat();
    for marker in MARKERS {
        assert!(!told.contains(marker), "{marker} in\n{told}");
    }
    promtool_has_nothing_to_say(&weir.metrics().0);
}
