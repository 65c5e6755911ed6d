//! What curl sees through weir, over both versions of HTTP, with and without TLS.

use std::fs;

use crate::client::Client;
use crate::origin::{Latch, Origin, field};
use crate::tools::curl;
use crate::weir::{Weir, one_route};

/// A 200 with the request as its body, and what the path asks for instead.
fn origin() -> Origin {
    Origin::start(|exchange| {
        let body = exchange.body()?;
        match exchange.target() {
            "/204" => exchange.respond(204, "", b""),
            "/304" => exchange.respond(304, "etag: \"x\"\r\n", b""),
            "/hops" => exchange.respond(
                200,
                "connection: x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\nproxy-authenticate: Basic\r\nx-end: 1\r\n",
                b"",
            ),
            "/chunked" => {
                exchange.raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
            }
            _ => {
                let text = [exchange.head.as_bytes(), &body].concat();
                exchange.respond(200, "", &text)
            }
        }
    })
}

fn weir(origin: &Origin) -> Weir {
    Weir::start(&one_route(origin.address, 8, ""))
}

/// The four ways in: curl's arguments, the base URL, and what curl calls the version.
fn ways(weir: &Weir) -> Vec<(Vec<String>, String, &'static str)> {
    let certificate = weir.certificate().to_str().unwrap().to_owned();
    let tls = ["--cacert".to_owned(), certificate];
    let with = |first: &str, rest: &[String]| [&[first.to_owned()], rest].concat();
    vec![
        (with("--http1.1", &[]), format!("http://{}", weir.http), "1.1"),
        (with("--http2-prior-knowledge", &[]), format!("http://{}", weir.http), "2"),
        (with("--http1.1", &tls), format!("https://{}", weir.https), "1.1"),
        (with("--http2", &tls), format!("https://{}", weir.https), "2"),
    ]
}

/// Runs curl the given way and answers what it printed.
fn ask(way: &[String], more: &[&str]) -> String {
    let more = more.iter().map(ToString::to_string);
    curl(&way.iter().cloned().chain(more).collect::<Vec<_>>())
}

#[test]
fn every_way_in_reaches_the_origin() {
    let origin = origin();
    let weir = weir(&origin);
    for (way, base, version) in ways(&weir) {
        let seen = ask(&way, &["-w", "\n%{http_version} %{http_code}", &format!("{base}/a%20b/c?q=%20a+b&&%zz=1?")]);
        assert!(seen.ends_with(&format!("\n{version} 200")), "{seen}");
        // Byte for byte, whatever it means.
        assert!(seen.starts_with("GET /a%20b/c?q=%20a+b&&%zz=1? HTTP/1.1\r\n"), "{seen}");
        let scheme = base.split(':').next().unwrap();
        let host = base.split("//").nth(1).unwrap();
        for (name, value) in [
            ("host", host),
            ("x-forwarded-for", "127.0.0.1"),
            ("x-forwarded-proto", scheme),
            ("x-forwarded-host", host),
        ] {
            assert_eq!(field(&seen, name), Some(value), "{name} in {seen}");
        }
        assert_eq!(field(&seen, "via"), Some(format!("{version} weir").as_str()), "{seen}");
        assert!(field(&seen, "traceparent").is_some_and(|trace| trace.starts_with("00-")), "{seen}");
    }
}

#[test]
fn bodies_of_known_and_unknown_length_arrive() {
    let origin = origin();
    let weir = weir(&origin);
    // More than fits into one read or one frame.
    let body = "0123456789abcdef".repeat(3_000);
    let path = weir.scratch("body");
    fs::write(&path, &body).unwrap();
    let data = format!("@{}", path.display());
    for (way, base, _) in ways(&weir) {
        let url = format!("{base}/post");
        let known = ask(&way, &["--data-binary", &data, &url]);
        assert_eq!(field(&known, "content-length"), Some("48000"), "{base}");
        assert!(known.ends_with(&body), "{base}: the body is another");
        let unknown =
            ask(&way, &["-X", "POST", "-H", "transfer-encoding: chunked", "-T", path.to_str().unwrap(), &url]);
        assert!(unknown.ends_with(&body), "{base}: the body is another");
        let expects = ask(&way, &["-H", "expect: 100-continue", "--data-binary", &data, &url]);
        assert!(expects.ends_with(&body) && field(&expects, "expect").is_none(), "{base}: the body is another");
        let empty = ask(&way, &["--data-binary", "", &url]);
        assert!(empty.starts_with("POST /post "), "{empty}");
    }
}

#[test]
fn answers_without_body_have_none() {
    let origin = origin();
    let weir = weir(&origin);
    for (way, base, _) in ways(&weir) {
        for (path, status) in [("/204", "204"), ("/304", "304")] {
            let answer = ask(&way, &["-i", "-w", "%{http_code} %{size_download}", &format!("{base}{path}")]);
            assert!(answer.ends_with(&format!("{status} 0")), "{base}: {answer}");
        }
        let head = ask(&way, &["-I", "-w", "%{http_code} %{size_download}", &format!("{base}/head")]);
        assert!(
            head.ends_with("200 0") && field(&head, "content-length").is_some_and(|length| length != "0"),
            "{head}"
        );
        assert_eq!(ask(&way, &[&format!("{base}/chunked")]), "abcde", "{base}");
    }
}

#[test]
fn what_belongs_to_one_hop_stays_there() {
    let origin = origin();
    let weir = weir(&origin);
    for (way, base, version) in ways(&weir) {
        let answer = ask(&way, &["-i", &format!("{base}/hops")]);
        for gone in ["x-hop", "keep-alive", "proxy-authenticate", "connection"] {
            assert_eq!(field(&answer, gone), None, "{base}: {answer}");
        }
        assert_eq!(field(&answer, "x-end"), Some("1"), "{answer}");
        let mut fields =
            vec!["-H", "proxy-authorization: Basic x", "-H", "weir-ticket: forged", "-H", "x-real-ip: 1.1.1.1"];
        fields.extend(["-H", "x-forwarded-for: 1.1.1.1", "-H", "forwarded: for=1.1.1.1", "-H", "te: trailers"]);
        fields.extend(["-H", "X_Forwarded_For: 1.1.1.1", "-H", "Weir_Ticket: forged", "-H", "x-original-url: /admin"]);
        if version == "1.1" {
            fields.extend(["-H", "connection: keep-alive, x-mine", "-H", "x-mine: 1", "-H", "keep-alive: 5"]);
            fields.extend(["-H", "upgrade: h2c", "-H", "proxy-connection: keep-alive"]);
        }
        let url = format!("{base}/echo");
        let seen =
            ask(&way, &[&fields[..], &["-H", "authorization: Bearer x", "-H", "idempotency-key: k", &url]].concat());
        for gone in [
            "connection",
            "x-mine",
            "keep-alive",
            "upgrade",
            "proxy-connection",
            "proxy-authorization",
            "weir-ticket",
            "weir_ticket",
            "x_forwarded_for",
            "x-original-url",
            "x-real-ip",
            "forwarded",
            "te",
        ] {
            assert_eq!(field(&seen, gone), None, "{base}: {seen}");
        }
        for (name, value) in [("authorization", "Bearer x"), ("idempotency-key", "k"), ("x-forwarded-for", "127.0.0.1")]
        {
            assert_eq!(field(&seen, name), Some(value), "{base}: {seen}");
        }
    }
}

#[test]
fn one_connection_carries_many_requests() {
    let origin = origin();
    let weir = weir(&origin);
    // Debian's curl 7.88 breaks its own connection when it uses one of HTTP/2 with prior knowledge again (curl #10634);
    // h2load does it in its stead.
    let prior_knowledge = |way: &[String]| way[0] == "--http2-prior-knowledge";
    for (way, base, _) in ways(&weir).into_iter().filter(|(way, ..)| !prior_knowledge(way)) {
        let url = format!("{base}/again");
        let counts = ask(
            &way,
            &["-o", "/dev/null", "-o", "/dev/null", "-o", "/dev/null", "-w", "%{num_connects} ", &url, &url, &url],
        );
        assert_eq!(counts, "1 0 0 ", "{base}");
    }
    // The way to the origin is kept as well.
    let mut client = Client::connect(weir.http);
    let before = origin.connections();
    for _ in 0..20 {
        assert_eq!(client.ask("GET", "/again").answer().status, 200);
    }
    assert!(origin.connections() <= before + 2, "{} new connections for 20 requests", origin.connections() - before);
}

#[test]
fn the_request_id_of_an_answer_is_the_one_the_origin_saw() {
    let origin = origin();
    let weir = weir(&origin);
    for (way, base, _) in ways(&weir) {
        let answer = ask(&way, &["-i", "-H", "x-request-id: chosen-by-me", &format!("{base}/id")]);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let id = field(&format!("{head}\r\n\r\n"), "x-request-id").unwrap().to_owned();
        assert_eq!(field(body, "x-request-id"), Some(id.as_str()), "{answer}");
        // Only a trusted proxy may choose it.
        assert_ne!(id, "chosen-by-me", "{answer}");
    }
    let trusting = format!("[clients]\ntrusted_proxies = [\"127.0.0.0/8\"]\n{}", one_route(origin.address, 8, ""));
    let trusting = Weir::start(&trusting);
    for (way, base, _) in ways(&trusting) {
        let fields =
            ["-H", "x-request-id: chosen", "-H", "x-forwarded-for: 192.0.2.7", "-H", "x-forwarded-proto: https"];
        let answer = ask(&way, &[&["-i"], &fields[..], &[&format!("{base}/id")]].concat());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(field(&format!("{head}\r\n\r\n"), "x-request-id"), Some("chosen"), "{answer}");
        for (name, value) in
            [("x-request-id", "chosen"), ("x-forwarded-for", "192.0.2.7, 127.0.0.1"), ("x-forwarded-proto", "https")]
        {
            assert_eq!(field(body, name), Some(value), "{answer}");
        }
    }
}

#[test]
fn a_refusal_speaks_the_language_of_its_client() {
    let latch = Latch::new();
    let origin = Origin::latched(&latch);
    let weir = Weir::start(&one_route(origin.address, 1, "queue = { wait = \"1h\", length = 0 }"));
    let mut busy = Client::connect(weir.http);
    busy.ask("GET", "/busy");
    weir.wait_for_load("u", 1, 0);
    for (way, base, _) in ways(&weir) {
        let url = format!("{base}/form");
        for (accept, html) in [
            ("text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", true),
            ("*/*", false),
            ("application/json", false),
            ("text/html;q=0.5,application/problem+json", false),
        ] {
            let answer = ask(&way, &["-i", "-H", &format!("accept: {accept}"), "--data", "a=b", &url]);
            let status = answer.lines().next().unwrap();
            assert!(status.contains(" 503"), "{base}: {answer}");
            let seconds: u64 = field(&answer, "retry-after").unwrap().parse().unwrap();
            assert!(seconds >= 1, "{answer}");
            assert!(field(&answer, "x-request-id").is_some() && field(&answer, "cache-control") == Some("no-store"));
            let (kind, body) = if html {
                ("text/html; charset=utf-8", format!("<strong>Come back in {seconds} seconds.</strong>"))
            } else {
                ("application/problem+json", "\"type\":\"urn:weir:problem:queue_full\"".to_owned())
            };
            assert_eq!(field(&answer, "content-type"), Some(kind), "{accept}: {answer}");
            assert!(answer.contains(&body), "{accept}: {answer}");
        }
        // HEAD is told what GET would be, and nothing more.
        let head = ask(&way, &["-I", "-w", "%{http_code} %{size_download}", &url]);
        assert!(head.ends_with("503 0"), "{base}: {head}");
        assert!(field(&head, "content-length").is_some_and(|length| length != "0"), "{base}: {head}");
    }
    latch.let_pass(1);
    assert_eq!(busy.answer().status, 200);
    assert_eq!(origin.targets(), ["/busy"]);
}

#[test]
fn who_is_refused_is_never_told_to_continue() {
    let latch = Latch::new();
    let origin = Origin::latched(&latch);
    let weir = Weir::start(&one_route(origin.address, 1, "queue = { wait = \"1h\", length = 0 }"));
    let ask = "POST /form HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n";
    latch.let_pass(1);
    let mut welcome = Client::connect(weir.http);
    assert_eq!(welcome.send(ask).head().unwrap().0, 100);
    assert_eq!(welcome.send("hello").answer().status, 200);
    assert!(origin.seen()[0].ends_with("hello"));

    Client::connect(weir.http).ask("GET", "/busy");
    let mut busy = Client::connect(weir.http);
    busy.ask("GET", "/busy");
    weir.wait_for_load("u", 1, 0);
    let mut refused = Client::connect(weir.http);
    let answer = refused.send(ask).answer();
    assert_eq!((answer.interim, answer.status), (vec![], 503));
    let mut strange = Client::connect(weir.http);
    let answer = strange.send(ask.replace("100-continue", "200-ok")).answer();
    assert_eq!((answer.interim, answer.status), (vec![], 417));
    latch.let_pass(2);
}
