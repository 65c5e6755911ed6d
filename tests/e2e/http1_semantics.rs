//! RFC 9110 and 9112 as an intermediary: what is refused, what reaches the service and as what, and what an answer becomes. Rows beyond
//! those of `bad_input`, each with a path of its own, so that what the service saw of it is known.

use std::time::Duration;

use crate::client::{Client, Response};
use crate::origin::{Origin, field};
use crate::weir::{Weir, one_route};

/// What must come of a request.
enum Must {
    /// One of these statuses, and nothing at the service.
    Refuse(&'static [u16]),
    /// 200, and at the service all of the first and none of the second.
    Serve(&'static [&'static str], &'static [&'static str]),
}
use Must::{Refuse, Serve};

/// A name, the bytes with `{}` for the path, what must come of them.
type Row = (&'static str, &'static str, Must);

/// What reaches nobody.
const REFUSED: &[Row] = &[
    ("an empty label", "GET {} HTTP/1.1\r\nhost: a..\r\n\r\n", Refuse(&[400])),
    ("an empty first label", "GET {} HTTP/1.1\r\nhost: .a\r\n\r\n", Refuse(&[400])),
    ("a host beyond ASCII", "GET {} HTTP/1.1\r\nhost: \u{e9}\r\n\r\n", Refuse(&[400])),
    ("a host with %", "GET {} HTTP/1.1\r\nhost: a%41\r\n\r\n", Refuse(&[400])),
    ("a host and an empty one", "GET {} HTTP/1.1\r\nhost: a\r\nhost:\r\n\r\n", Refuse(&[400])),
    ("another port in the line", "GET http://a:80{} HTTP/1.1\r\nhost: a\r\n\r\n", Refuse(&[400])),
    ("a scheme of others", "GET ftp://a{} HTTP/1.1\r\nhost: a\r\n\r\n", Refuse(&[400])),
    ("a query beyond ASCII", "GET {}?\u{e9} HTTP/1.1\r\nhost: a\r\n\r\n", Refuse(&[400])),
    ("a path beyond ASCII", "GET {}\u{e9} HTTP/1.1\r\nhost: a\r\n\r\n", Refuse(&[400])),
    ("DEL in a path", "GET {}\u{7f} HTTP/1.1\r\nhost: a\r\n\r\n", Refuse(&[400])),
    ("a space behind the version", "GET {} HTTP/1.1 \r\nhost: a\r\n\r\n", Refuse(&[400])),
    ("a CR before the request", "\rGET {} HTTP/1.1\r\nhost: a\r\n\r\n", Refuse(&[400])),
    ("a space before the request", " GET {} HTTP/1.1\r\nhost: a\r\n\r\n", Refuse(&[400])),
    ("CR CR LF", "GET {} HTTP/1.1\r\r\nhost: a\r\n\r\n", Refuse(&[400])),
    ("HTTP/01.1", "GET {} HTTP/01.1\r\nhost: a\r\n\r\n", Refuse(&[400])),
    ("HTTP/1.10", "GET {} HTTP/1.10\r\nhost: a\r\n\r\n", Refuse(&[400])),
    ("a name beyond ASCII", "GET {} HTTP/1.1\r\nhost: a\r\nx\u{e9}: b\r\n\r\n", Refuse(&[400])),
    ("a name in brackets", "GET {} HTTP/1.1\r\nhost: a\r\n(x): b\r\n\r\n", Refuse(&[400])),
    ("DEL in a value", "GET {} HTTP/1.1\r\nhost: a\r\nx: b\u{7f}\r\n\r\n", Refuse(&[400])),
    ("a bell in a value", "GET {} HTTP/1.1\r\nhost: a\r\nx: b\u{7}\r\n\r\n", Refuse(&[400])),
    ("a fold with a tab", "GET {} HTTP/1.1\r\nhost: a\r\nx: b\r\n\tc\r\n\r\n", Refuse(&[400])),
    ("a length with a space", "POST {} HTTP/1.1\r\nhost: a\r\ncontent-length: 5 5\r\n\r\nhello", Refuse(&[400])),
    ("a length with _", "POST {} HTTP/1.1\r\nhost: a\r\ncontent-length: 1_0\r\n\r\nhello", Refuse(&[400])),
    ("the same length as a list", "POST {} HTTP/1.1\r\nhost: a\r\ncontent-length: 5, 5\r\n\r\nhello", Refuse(&[400])),
    (
        "a length before a tab and a colon",
        "POST {} HTTP/1.1\r\nhost: a\r\ncontent-length\t: 5\r\n\r\nhello",
        Refuse(&[400]),
    ),
    ("an empty coding", "POST {} HTTP/1.1\r\nhost: a\r\ntransfer-encoding:\r\n\r\n0\r\n\r\n", Refuse(&[400])),
    (
        "a coding behind a comma",
        "POST {} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: ,chunked\r\n\r\n0\r\n\r\n",
        Refuse(&[400, 501]),
    ),
    (
        "a coding with a parameter",
        "POST {} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
        Refuse(&[400, 501]),
    ),
    (
        "a coding in quotes",
        "POST {} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: \"chunked\"\r\n\r\n0\r\n\r\n",
        Refuse(&[400, 501]),
    ),
    (
        "a coding before a space and a colon",
        "POST {} HTTP/1.1\r\nhost: a\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        Refuse(&[400]),
    ),
    (
        "a trailer that is no field",
        "POST {} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\nbad line\r\n\r\n",
        Refuse(&[400]),
    ),
    (
        "a folded trailer",
        "POST {} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n x: y\r\n\r\n",
        Refuse(&[400]),
    ),
    (
        "NUL in a trailer",
        "POST {} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: \0\r\n\r\n",
        Refuse(&[400]),
    ),
    (
        "chunks that end in a bare LF, and swallow a request",
        "POST {} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\nGET {} HTTP/1.1\r\nhost: a\r\n\r\n",
        Refuse(&[400]),
    ),
    ("OPTIONS to the gateway", "OPTIONS {} HTTP/1.1\r\nhost: a\r\nmax-forwards: 0\r\n\r\n", Refuse(&[501])),
    ("OPTIONS with no number of hops", "OPTIONS {} HTTP/1.1\r\nhost: a\r\nmax-forwards: x\r\n\r\n", Refuse(&[400])),
    ("TRACE with hops", "TRACE {} HTTP/1.1\r\nhost: a\r\nmax-forwards: 5\r\n\r\n", Refuse(&[501])),
    (
        "two expectations",
        "POST {} HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\nexpect: x\r\ncontent-length: 1\r\n\r\na",
        Refuse(&[417]),
    ),
    (
        "Transfer-Encoding nominated",
        "POST {} HTTP/1.1\r\nhost: a\r\nconnection: transfer-encoding\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        Refuse(&[400]),
    ),
    ("Via nominated", "GET {} HTTP/1.1\r\nhost: a\r\nconnection: via\r\nvia: 1.1 x\r\n\r\n", Refuse(&[400])),
];

/// What arrives, and as what.
const SERVED: &[Row] = &[
    (
        "hops left",
        "OPTIONS {} HTTP/1.1\r\nhost: a\r\nmax-forwards: 5\r\n\r\n",
        Serve(&["max-forwards: 4"], &["max-forwards: 5"]),
    ),
    (
        "hops that mean nothing",
        "GET {} HTTP/1.1\r\nhost: a\r\nmax-forwards: 0\r\n\r\n",
        Serve(&["max-forwards: 0"], &[]),
    ),
    ("Via", "GET {} HTTP/1.1\r\nhost: a\r\nvia: 1.0 fred\r\n\r\n", Serve(&["via: 1.0 fred", "via: 1.1 weir"], &[])),
    ("Via of an old client", "GET {} HTTP/1.0\r\nhost: a\r\n\r\n", Serve(&["via: 1.0 weir", " HTTP/1.1\r\n"], &[])),
    (
        "what Connection lists",
        "GET {} HTTP/1.1\r\nhost: a\r\nconnection: x-a,, X-B ,\r\nx-a: 1\r\nx-b: 2\r\nx-c: 3\r\n\r\n",
        Serve(&["x-c: 3"], &["x-a", "x-b", "connection"]),
    ),
    (
        "fields of the hop",
        "GET {} HTTP/1.1\r\nhost: a\r\nte: trailers\r\nkeep-alive: 5\r\nproxy-connection: x\r\nproxy-authorization: x\r\n\r\n",
        Serve(&[], &["\r\nte:", "keep-alive", "proxy-"]),
    ),
    (
        "h2c",
        "GET {} HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n\r\n",
        Serve(&[], &["upgrade", "http2-settings"]),
    ),
    (
        "an upgrade where no route allows it",
        "GET {} HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        Serve(&[], &["upgrade"]),
    ),
    (
        "trailers",
        "POST {} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntrailer: x-t\r\n\r\n1\r\na\r\n0\r\nx-t: 1\r\n\r\n",
        Serve(&["\r\n\r\na"], &["x-t", "trailer"]),
    ),
    (
        "both framings",
        "POST {} HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        Serve(&["transfer-encoding: chunked", "\r\n\r\na"], &["content-length"]),
    ),
    (
        "the same length twice",
        "POST {} HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\na",
        Serve(&["content-length: 1\r\n", "\r\n\r\na"], &["transfer-encoding"]),
    ),
    (
        "a coding in capitals",
        "POST {} HTTP/1.1\r\nhost: a\r\nTRANSFER-ENCODING: CHUNKED \r\n\r\n1\r\na\r\n0\r\n\r\n",
        Serve(&["\r\n\r\na"], &["content-length"]),
    ),
    (
        "chunk extensions",
        "POST {} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n01;x=\"y\";z\r\na\r\n000;x\r\n\r\n",
        Serve(&["\r\n\r\na"], &["x=", ";z"]),
    ),
    (
        "a body of GET",
        "GET {} HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\na",
        Serve(&["content-length: 1", "\r\n\r\na"], &[]),
    ),
    (
        "the host of the line",
        "GET http://A.Example{} HTTP/1.1\r\nhost: a.example\r\n\r\n",
        Serve(&["host: A.Example\r\n", "x-forwarded-host: A.Example\r\n"], &["host: a.example"]),
    ),
    (
        "a trailing dot and a port",
        "GET {} HTTP/1.1\r\nhost: a.example.:81\r\n\r\n",
        Serve(&["host: a.example.:81\r\n"], &[]),
    ),
    (
        "a query as it is",
        "GET {}?a=%2f..//%00&b=[1]{2}|;c HTTP/1.1\r\nhost: a\r\n\r\n",
        Serve(&["?a=%2f..//%00&b=[1]{2}|;c HTTP/1.1"], &[]),
    ),
    ("letters as they are", "GeT {}/A%41/b HTTP/1.1\r\nhost: a\r\n\r\n", Serve(&["GeT /", "/AA/b HTTP/1.1"], &[])),
    (
        "an expectation",
        "POST {} HTTP/1.1\r\nhost: a\r\nexpect: 100-Continue\r\ncontent-length: 1\r\n\r\na",
        Serve(&["\r\n\r\na"], &["expect"]),
    ),
    ("obs-text", "GET {} HTTP/1.1\r\nhost: a\r\nx: \u{e9}\r\n\r\n", Serve(&["x: \u{e9}"], &[])),
    ("white space around a value", "GET {} HTTP/1.1\r\nhost: a\r\nx:\t b c \t\r\n\r\n", Serve(&["x: b c\r\n"], &[])),
];

#[test]
fn each_row_is_refused_or_served_as_it_must() {
    let origin = Origin::echo();
    let weir = Weir::start(&one_route(origin.address, 16, ""));
    let rows: Vec<&Row> = REFUSED.iter().chain(SERVED).collect();
    println!("{} rows", rows.len());
    let mut wrong = Vec::new();
    for (number, (name, bytes, must)) in rows.iter().enumerate() {
        let path = format!("/row{number}-");
        let method = bytes.split(' ').next().unwrap();
        let answer = Client::connect(weir.http).send(bytes.replace("{}", &path)).try_answer(method);
        let status = answer.as_ref().map(|answer| answer.status).unwrap_or_default();
        let seen: Vec<String> = origin.seen().into_iter().filter(|seen| seen.contains(&path)).collect();
        let complaint = match (must, seen.as_slice()) {
            (Refuse(statuses), []) => (!statuses.contains(&status)).then(|| format!("{answer:?}")),
            (Serve(present, absent), [seen]) if status == 200 => {
                let seen =
                    seen.replacen("transfer-encoding: chunked\r\n\r\n1\r\na", "transfer-encoding: chunked\r\n\r\na", 1);
                let missing = present.iter().find(|part| !seen.contains(**part));
                let unwelcome = absent.iter().find(|part| seen.contains(**part));
                missing.or(unwelcome).map(|part| format!("{part:?} in {seen}"))
            }
            _ => Some(format!("{answer:?}, and the service saw {seen:?}")),
        };
        wrong.extend(complaint.map(|complaint| format!("{name}: {complaint}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    weir.wait_for_rest();
}

/// Of each answer: one date, one length or coding or the end of the connection, and no body where there can be none.
fn check(what: &str, answer: &Response, method: &str) {
    let count = |name: &str| answer.fields.iter().filter(|(found, _)| found == name).count();
    assert_eq!(count("date"), 1, "{what}: {answer:?}");
    let (lengths, codings) = (count("content-length"), count("transfer-encoding"));
    let has_none = matches!(answer.status, 204 | 304);
    assert!(lengths + codings <= 1 && !(answer.status == 204 && lengths + codings > 0), "{what}: {answer:?}");
    assert!(answer.body.is_empty() || (method != "HEAD" && !has_none), "{what}: {answer:?}");
}

#[test]
fn an_answer_is_dated_and_framed_once() {
    let origin = Origin::start(|exchange| {
        exchange.body()?;
        match exchange.target() {
            "/204" => exchange.raw(b"HTTP/1.1 204 None\r\ncontent-length: 5\r\n\r\n"),
            "/304" => exchange.raw(b"HTTP/1.1 304 Same\r\ncontent-length: 5\r\netag: \"a\"\r\n\r\n"),
            "/dated" => exchange.respond(200, "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", b"ok"),
            "/chunked" if exchange.method() != "HEAD" => {
                exchange.raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-t: 1\r\n\r\n")
            }
            "/lists" => exchange.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\ncontent-length: 2\r\n\r\nok"),
            _ => exchange.respond(200, "", b"ok"),
        }
    });
    let weir = Weir::start(&one_route(origin.address, 4, ""));
    for version in ["1.0", "1.1"] {
        for method in ["GET", "HEAD", "POST"] {
            for path in ["/", "/204", "/304", "/dated", "/chunked", "/lists", "/a/../b"] {
                let what = format!("{method} {path} HTTP/{version}");
                if (method, path) == ("HEAD", "/lists") {
                    continue;
                }
                let mut client = Client::connect(weir.http);
                let answer = client.send(format!("{what}\r\nhost: a\r\n\r\n")).try_answer(method).unwrap();
                check(&what, &answer, method);
                // An old client knows no chunks, and is not kept unless it asks to be.
                let is_old = version == "1.0";
                assert!(!is_old || answer.field("transfer-encoding").is_none(), "{what}: {answer:?}");
                assert_eq!(
                    is_old || path == "/a/../b",
                    client.is_closed_within(Duration::from_millis(if is_old { 5_000 } else { 50 })),
                    "{what}"
                );
            }
        }
    }
    let kept = "GET /dated HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n";
    let mut client = Client::connect(weir.http);
    let answer = client.send(kept).answer();
    assert_eq!(answer.field("date"), Some("Sun, 06 Nov 1994 08:49:37 GMT"), "the service's own");
    assert_eq!((answer.field("connection"), client.send(kept).answer().status), (Some("keep-alive"), 200));
}

#[test]
fn interim_answers_end_where_nobody_asked_for_them() {
    let origin = Origin::start(|exchange| {
        if exchange.target() == "/flood" {
            let one = "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n";
            return exchange.raw(one.repeat(20_000).as_bytes());
        }
        exchange.raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")?;
        exchange.body()?;
        exchange.respond(200, "", b"ok")
    });
    let weir = Weir::start(&one_route(origin.address, 4, ""));
    let answer = Client::connect(weir.http).ask("GET", "/").answer();
    assert_eq!((answer.status, answer.interim.as_slice()), (200, &[][..]));
    // Who asks to be told to go on is told once, by weir.
    let post = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n";
    let answer = Client::connect(weir.http).send(post).send("a").answer();
    assert_eq!((answer.status, answer.interim.as_slice()), (200, &[100][..]));
    // Of an old client the expectation means nothing (RFC 9110 §10.1.1).
    let old = post.replace("HTTP/1.1", "HTTP/1.0");
    let answer = Client::connect(weir.http).send(old).send("a").answer();
    assert_eq!((answer.status, answer.interim.as_slice()), (200, &[][..]));
    let answer = Client::connect(weir.http).ask("GET", "/flood").answer();
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_broken"));
    weir.wait_for_rest();
    let fields = origin.seen().iter().filter(|seen| field(seen, "expect").is_some()).count();
    assert_eq!(fields, 0);
}

/// Bytes behind a handshake are a request like any other unless the service has switched (request smuggling by a premature upgrade).
#[test]
fn a_handshake_that_is_declined_hides_nothing() {
    let origin = Origin::echo();
    let weir = Weir::start(&one_route(origin.address, 4, "upgrade = true"));
    let mut client = Client::connect(weir.http);
    client.send(
        "GET /switch HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n\
         GET /behind HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 6.6.6.6\r\nweir-pass: forged\r\n\r\n",
    );
    assert!(client.answer().text().starts_with("GET /switch "));
    let behind = client.answer().text();
    assert!(
        behind.starts_with("GET /behind ") && !behind.contains("6.6.6.6") && !behind.contains("forged"),
        "{behind}"
    );
    assert_eq!(origin.targets(), ["/switch", "/behind"]);
}
