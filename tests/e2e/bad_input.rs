//! What nobody should send: each gets the answer of the interface or a close, in time, and the origin never sees a request
//! that could be read in two ways.

use std::time::{Duration, Instant};

use crate::client::Client;
use crate::frames::{Frames, RST_STREAM};
use crate::origin::Origin;
use crate::weir::{PATIENCE, Weir, one_route};

/// How it must end.
#[derive(Clone, Copy, Debug)]
enum End {
    /// This answer, and the connection is closed: what follows has no known beginning.
    Closed(u16),
    /// This answer; the connection may go on.
    Answered(u16),
    /// No answer, or one of these, and the connection is closed.
    Gone(&'static [u16]),
}
use End::{Answered, Closed, Gone};

/// One thing to send.
struct Row {
    name: &'static str,
    bytes: Vec<u8>,
    end: End,
}

fn row(name: &'static str, bytes: impl Into<Vec<u8>>, end: End) -> Row {
    Row { name, bytes: bytes.into(), end }
}

/// A request line and fields, complete.
fn head(line: &str, fields: &str) -> String {
    format!("{line}\r\nhost: localhost\r\n{fields}\r\n")
}

/// What a smuggler hides behind a request: its first bytes are the body of one reader, and a request to another.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Clocks short enough to be waited for.
const CLOCKS: &str = "[clients]\nheader_timeout = \"1s\"\nbody_timeout = \"1s\"\nidle_timeout = \"2s\"\n";
/// All of them, and room for a busy machine.
const IN_TIME: Duration = Duration::from_secs(15);

fn origin_and_weir() -> (Origin, Weir) {
    let origin = Origin::echo();
    let weir = Weir::start(&format!("{CLOCKS}{}", one_route(origin.address, 16, "")));
    (origin, weir)
}

/// Bytes that are no request at all.
fn not_http() -> Vec<Row> {
    let garbage: Vec<u8> = (0..512_u32).map(|n| u8::try_from(n * 167 % 251).unwrap() | 0x80).collect();
    vec![
        row("garbage", [&garbage[..], b"\r\n\r\n"].concat(), Closed(400)),
        row("TLS on the cleartext port", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), Closed(400)),
        row("SSH", "SSH-2.0-OpenSSH_9.2\r\n\r\n", Closed(400)),
        row("PROXY line nobody expects", format!("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n{SMUGGLED}"), Closed(400)),
        row("NULs", vec![0; 64], Closed(400)),
        row("HTTP/0.9", "GET /\r\n\r\n", Closed(400)),
        row("HTTP/0.9 by name", head("GET / HTTP/0.9", ""), Closed(400)),
        row("HTTP/1.2", head("GET / HTTP/1.2", ""), Closed(400)),
        row("HTTP/2.0 in the request line", head("GET / HTTP/2.0", ""), Closed(400)),
        row("HTTP/3.0", head("GET / HTTP/3.0", ""), Closed(400)),
        row("http/1.1 in lower case", head("GET / http/1.1", ""), Closed(400)),
        row("version twice", head("GET / HTTP/1.1 HTTP/1.1", ""), Closed(400)),
        row("an empty method", head(" / HTTP/1.1", ""), Closed(400)),
        row("a method with a colon", head("GE:T / HTTP/1.1", ""), Closed(400)),
        row("two spaces in the request line", head("GET  / HTTP/1.1", ""), Closed(400)),
        row("a tab in the request line", head("GET\t/ HTTP/1.1", ""), Closed(400)),
        row("half of the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\rX", Closed(400)),
        row(
            "the HTTP/2 preface, then garbage",
            [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &[0xff; 64]].concat(),
            Gone(&[]),
        ),
    ]
}

/// Fields that one reader takes otherwise than another.
fn fields() -> Vec<Row> {
    let get = |fields: &str| head("GET /fields HTTP/1.1", fields);
    let obs_text =
        [&b"GET /fields HTTP/1.1\r\nhost: localhost\r\nconnection: x-a, \xe9\r\nx-a: 1\r\n\r\n"[..]].concat();
    vec![
        row("Connection with a byte of no alphabet", obs_text, Answered(400)),
        row("NUL in a field", get("x-a: a\0b\r\n"), Closed(400)),
        row("bare CR in a field", get("x-a: a\rb: c\r\n"), Closed(400)),
        row("space before the colon", get("x-a : b\r\n"), Closed(400)),
        row("a field without colon", get("x-a\r\n"), Closed(400)),
        row("a field without name", get(": b\r\n"), Closed(400)),
        row("a control byte in a name", get("x\x01a: b\r\n"), Closed(400)),
        row("obs-fold", get("x-a: b\r\n c\r\n"), Closed(400)),
        row("a space before the first field", "GET / HTTP/1.1\r\n host: localhost\r\n\r\n", Closed(400)),
        row("a head too large", get(&format!("x-a: {}\r\n", "a".repeat(20 << 10))), Closed(431)),
        row("too many fields", get(&"x-a: b\r\n".repeat(70)), Closed(431)),
        row("duplicate Host", get("host: localhost\r\n"), Answered(400)),
        row("another Host", get("host: elsewhere\r\n"), Answered(400)),
        row("no Host", "GET / HTTP/1.1\r\n\r\n", Answered(400)),
        row("an empty Host", "GET / HTTP/1.1\r\nhost:\r\n\r\n", Answered(400)),
        row("a Host with a user", "GET / HTTP/1.1\r\nhost: user@localhost\r\n\r\n", Answered(400)),
        row("a Host with a path", "GET / HTTP/1.1\r\nhost: localhost/x\r\n\r\n", Answered(400)),
        row("two hosts in one Host", "GET / HTTP/1.1\r\nhost: localhost, elsewhere\r\n\r\n", Answered(400)),
        row("a Host with an absurd port", "GET / HTTP/1.1\r\nhost: localhost:99999\r\n\r\n", Answered(400)),
        row("Connection: Host", get("connection: host\r\n"), Answered(400)),
        row(
            "Connection: Content-Length",
            head("POST / HTTP/1.1", "connection: content-length\r\ncontent-length: 3\r\n") + "abc",
            Answered(400),
        ),
        row("Connection: X-Forwarded-For", get("connection: close, x-forwarded-for\r\n"), Answered(400)),
        row("Connection: Authorization", get("connection: authorization\r\nauthorization: x\r\n"), Answered(400)),
        row(
            "another expectation",
            head("POST / HTTP/1.1", "expect: 200-ok\r\ncontent-length: 3\r\n") + "abc",
            Answered(417),
        ),
    ]
}

/// Targets that one reader takes otherwise than another.
fn targets() -> Vec<Row> {
    let get = |target: &str| head(&format!("GET {target} HTTP/1.1"), "");
    let long = format!("/{}", "a".repeat(9 << 10));
    let mut rows = vec![
        row("a long target", get(&long), Answered(414)),
        row("an absolute target with another host", get("http://elsewhere/x"), Answered(400)),
        row("an absolute target with a user", get("http://user@localhost/x"), Answered(400)),
        row("CONNECT", head("CONNECT localhost:443 HTTP/1.1", "") + SMUGGLED, Closed(501)),
        row("CONNECT to a path", head("CONNECT /x HTTP/1.1", ""), Gone(&[400, 501])),
        row("TRACE", head("TRACE / HTTP/1.1", ""), Answered(501)),
        row("an asterisk", head("OPTIONS * HTTP/1.1", ""), Answered(400)),
        row("a target without slash", get("register"), Gone(&[400])),
        row("a space in the target", get("/a b"), Closed(400)),
        row("a NUL in the target", get("/a\0b"), Closed(400)),
        row("a fragment", get("/a#b"), Gone(&[400, 200])),
    ];
    for (name, target) in [
        ("an empty segment", "//smuggled"),
        ("an empty segment inside", "/a//smuggled"),
        ("a dot segment", "/./smuggled"),
        ("a segment of two dots", "/../smuggled"),
        ("dots in capitals", "/a/%2E%2E/smuggled"),
        ("encoded dots", "/%2e%2e/smuggled"),
        ("half-encoded dots", "/a/.%2e/smuggled"),
        ("an encoded slash", "/a%2fsmuggled"),
        ("dots with a parameter", "/..;/smuggled"),
        ("encoded dots with a parameter", "/a/%2e%2E;x=1/smuggled"),
        ("a segment that is all parameter", "/a/;x/smuggled"),
        ("an encoded semicolon", "/smuggled%3bx=1"),
        ("a backslash", "/a\\smuggled"),
        ("an encoded backslash", "/a%5Csmuggled"),
        ("an encoded NUL", "/a%00smuggled"),
        ("an encoded line", "/a%0d%0asmuggled"),
        ("an encoding without end", "/smuggled%2"),
        ("an encoding that is none", "/%zzsmuggled"),
    ] {
        let end = if target.contains('\\') { Gone(&[400]) } else { Answered(400) };
        rows.push(row(name, get(target), end));
    }
    rows
}

/// Lengths that one reader takes otherwise than another; behind each, what is to be smuggled.
fn lengths() -> Vec<Row> {
    let post = |fields: &str, body: &str| head("POST /body HTTP/1.1", fields) + body + SMUGGLED;
    let chunked = |body: &str| post("transfer-encoding: chunked\r\n", body);
    vec![
        // hyper removes the length and closes after the answer, as RFC 9112 §6.3 allows: one reading is forwarded, and what
        // another reader may have meant by the rest is never looked at.
        row(
            "both lengths",
            post("content-length: 5\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"),
            Gone(&[200, 400]),
        ),
        row(
            "both lengths, turned round",
            post("transfer-encoding: chunked\r\ncontent-length: 5\r\n", "0\r\n\r\n"),
            Gone(&[200, 400]),
        ),
        row("two lengths", post("content-length: 0\r\ncontent-length: 46\r\n", ""), Closed(400)),
        row("a list of lengths", post("content-length: 0, 46\r\n", ""), Closed(400)),
        row("a length with a sign", post("content-length: +5\r\n", "hello"), Closed(400)),
        row("a negative length", post("content-length: -1\r\n", ""), Closed(400)),
        row("a hexadecimal length", post("content-length: 0x5\r\n", "hello"), Closed(400)),
        row("a length with a fraction", post("content-length: 5.0\r\n", "hello"), Closed(400)),
        row("an empty length", post("content-length:\r\n", ""), Closed(400)),
        row("a length beyond 64 bits", post("content-length: 18446744073709551616\r\n", ""), Closed(400)),
        row(
            "a length that is all of 64 bits",
            post("content-length: 18446744073709551615\r\n", ""),
            Gone(&[400, 413, 431]),
        ),
        row("a length too large", post("content-length: 2000000\r\n", ""), Gone(&[413])),
        row("gzip", post("transfer-encoding: gzip\r\n", ""), Closed(400)),
        row("gzip, chunked", post("transfer-encoding: gzip, chunked\r\n", "0\r\n\r\n"), Gone(&[400, 501])),
        row("chunked, gzip", post("transfer-encoding: chunked, gzip\r\n", "0\r\n\r\n"), Closed(400)),
        row(
            "chunked twice",
            post("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"),
            Gone(&[400, 501]),
        ),
        row(
            "chunked and identity",
            post("transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"),
            Gone(&[400, 501]),
        ),
        row("xchunked", post("transfer-encoding: xchunked\r\n", "0\r\n\r\n"), Closed(400)),
        row("chunked behind a vertical tab", post("transfer-encoding: \x0bchunked\r\n", "0\r\n\r\n"), Closed(400)),
        row(
            "chunked in HTTP/1.0",
            "POST /body HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_owned() + SMUGGLED,
            Closed(400),
        ),
        row("a chunk size of garbage", chunked("xyz\r\n"), Closed(400)),
        row("a chunk size with a sign", chunked("+5\r\nhello\r\n0\r\n\r\n"), Closed(400)),
        row("a negative chunk", chunked("-5\r\nhello\r\n0\r\n\r\n"), Closed(400)),
        row("a chunk size with 0x", chunked("0x5\r\nhello\r\n0\r\n\r\n"), Closed(400)),
        row("a chunk size beyond 64 bits", chunked("10000000000000005\r\nhello\r\n0\r\n\r\n"), Closed(400)),
        row("an empty chunk size", chunked("\r\nhello\r\n0\r\n\r\n"), Closed(400)),
        row("a chunk longer than its size", chunked("3\r\nhello\r\n0\r\n\r\n"), Closed(400)),
        row("a chunk that ends in a bare LF", chunked("5\r\nhello\n0\r\n\r\n"), Closed(400)),
        row("a chunk size that ends in a bare LF", chunked("5\nhello\r\n0\r\n\r\n"), Closed(400)),
        row("a bare LF in a chunk extension", chunked("5;a\nhello\r\n0\r\n\r\n"), Closed(400)),
        row(
            "endless chunk extensions",
            chunked(&format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(20 << 10))),
            Closed(400),
        ),
        row("trailers too large", chunked(&format!("0\r\nx-a: {}\r\n\r\n", "a".repeat(20 << 10))), Closed(400)),
    ]
}

/// What is begun and not ended.
fn unfinished() -> Vec<Row> {
    vec![
        row("silence", "", Gone(&[])),
        row("a request line without end", "GET / HTT", Gone(&[400, 408])),
        row("a head without end", "GET / HTTP/1.1\r\nhost: localhost\r\n", Gone(&[400, 408])),
        row("a body without end", head("POST /body HTTP/1.1", "content-length: 10\r\n") + "half", Gone(&[400, 408])),
        row(
            "a large body without end",
            head("POST /body HTTP/1.1", "content-length: 100000\r\n") + "half",
            Gone(&[400, 408]),
        ),
        row(
            "a chunk without end",
            head("POST /body HTTP/1.1", "transfer-encoding: chunked\r\n") + "5\r\nhel",
            Gone(&[400, 408]),
        ),
        row(
            "chunks without end",
            head("POST /body HTTP/1.1", "transfer-encoding: chunked\r\n") + "5\r\nhello\r\n",
            Gone(&[400, 408]),
        ),
        row("the HTTP/2 preface, then silence", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Gone(&[])),
        row("half of the HTTP/2 preface, then silence", "PRI * HTTP/2.0\r\n", Gone(&[400, 408])),
    ]
}

/// Sends a row and tells what is wrong with what comes.
fn complaint(weir: &Weir, row: &Row, finishes: bool) -> Option<String> {
    let began = Instant::now();
    let mut client = Client::connect(weir.http);
    // It may be refused before it was read.
    client.try_send(&row.bytes).ok();
    if finishes {
        client.finish();
    }
    let answer = client.try_answer("GET");
    let status = answer.as_ref().ok().map(|answer| answer.status);
    let wrong = match row.end {
        Closed(expected) | Answered(expected) => status != Some(expected),
        Gone(expected) => status.is_some_and(|status| !expected.contains(&status)),
    };
    if wrong && !(finishes && status.is_none()) {
        return Some(format!("{}: {answer:?} instead of {:?}", row.name, row.end));
    }
    // Whatever else was in the bytes is not answered, unless the connection is known to go on.
    if !matches!(row.end, Answered(_)) && !client.is_closed_within(IN_TIME) {
        return Some(format!("{}: not closed after {status:?}", row.name));
    }
    let took = began.elapsed();
    (took > IN_TIME).then(|| format!("{}: it took {took:?}", row.name))
}

fn complaints(weir: &Weir, rows: &[Row], finishes: bool) -> Vec<String> {
    std::thread::scope(|scope| {
        let asked: Vec<_> = rows.iter().map(|row| scope.spawn(move || complaint(weir, row, finishes))).collect();
        asked.into_iter().filter_map(|asked| asked.join().unwrap()).collect()
    })
}

#[test]
fn each_gets_its_answer_or_a_close_and_the_origin_nothing_ambiguous() {
    let (origin, weir) = origin_and_weir();
    let rows: Vec<Row> = [not_http(), fields(), targets(), lengths(), unfinished()].into_iter().flatten().collect();
    println!("{} rows", rows.len());
    let wrong = complaints(&weir, &rows, false);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // The same from clients that send and leave at once.
    let wrong = complaints(&weir, &rows, true);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    weir.wait_for_rest();
    for seen in origin.seen() {
        assert!(!seen.contains("/smuggled"), "{seen}");
        // Broken bodies are noticed on the way. Nothing else of all this is forwarded.
        let target = seen.split(' ').nth(1).unwrap_or_default();
        assert!(["/body", "/a"].contains(&target), "{seen}");
        let lengths = seen.to_ascii_lowercase().matches("\r\ncontent-length:").count();
        let codings = seen.to_ascii_lowercase().matches("\r\ntransfer-encoding:").count();
        assert!(lengths + codings <= 1, "{seen}");
    }
    let metrics = weir.metrics();
    assert_eq!(metrics.value("weir_connections_ended_total{cause=\"panicked\"}"), 0);
    assert_eq!(metrics.sum("weir_requests_total{reason=\"internal\""), 0);
    assert_eq!(crate::client::get(weir.http, "/after").status, 200);
}

#[test]
fn a_bare_line_feed_ends_a_line_for_nobody_or_for_everybody() {
    let (origin, weir) = origin_and_weir();
    // RFC 9112 §2.2 allows a recipient to take a bare LF for a line end. What then reaches the origin has none any more.
    for bytes in [
        "GET /lf HTTP/1.1\nhost: localhost\n\n",
        "GET /lf HTTP/1.1\r\nhost: localhost\nx-a: b\r\n\r\n",
        "GET /lf HTTP/1.1\r\nhost: localhost\r\n\n",
        "GET /lf HTTP/1.1\r\nhost: localhost\r\nx-a: b\n\r\n",
    ] {
        let answer = Client::connect(weir.http).send(bytes).answer();
        assert!([200, 400].contains(&answer.status), "{bytes:?}: {answer:?}");
    }
    for seen in origin.seen() {
        assert_eq!(seen.matches('\n').count(), seen.matches("\r\n").count(), "{seen:?}");
    }
}

#[test]
fn what_is_odd_but_clear_is_served() {
    let (origin, weir) = origin_and_weir();
    for (name, bytes, line) in [
        (
            "a normalised path",
            "GET /%72egister/%7euser HTTP/1.1\r\nhost: localhost\r\n\r\n",
            "GET /register/~user HTTP/1.1",
        ),
        (
            "parameters of a path",
            "GET /a;jsessionid=1/b;c HTTP/1.1\r\nhost: localhost\r\n\r\n",
            "GET /a;jsessionid=1/b;c HTTP/1.1",
        ),
        ("an absolute target", "GET http://localhost/x HTTP/1.1\r\nhost: localhost\r\n\r\n", "GET /x HTTP/1.1"),
        ("HTTP/1.0 without Host", "GET /old HTTP/1.0\r\n\r\n", "GET /old HTTP/1.1"),
        ("empty lines before the request", "\r\n\r\nGET /x HTTP/1.1\r\nhost: localhost\r\n\r\n", "GET /x HTTP/1.1"),
        (
            "the same length twice",
            "POST /x HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\nhello",
            "POST /x HTTP/1.1",
        ),
        ("an unknown method", "BREW /pot HTTP/1.1\r\nhost: localhost\r\n\r\n", "BREW /pot HTTP/1.1"),
        (
            "chunk extensions",
            "POST /x HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nx-t: 1\r\n\r\n",
            "POST /x HTTP/1.1",
        ),
    ] {
        let answer = Client::connect(weir.http).send(bytes).answer();
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        assert!(answer.text().starts_with(line), "{name}: {answer:?}");
    }
    for seen in origin.seen() {
        assert!(seen.to_ascii_lowercase().matches("content-length:").count() <= 1, "{seen}");
    }
    assert!(!origin.seen().concat().to_ascii_lowercase().contains("x-t: 1"), "trailers are not forwarded");
}

#[test]
fn pipelined_requests_are_each_answered_in_order() {
    let (origin, weir) = origin_and_weir();
    let mut client = Client::connect(weir.http);
    client.send(
        "POST /1 HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nhelloGET /2 HTTP/1.1\r\nhost: localhost\r\n\r\n\
         POST /3 HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n\
         GET /4 HTTP/1.1\r\nhost: localhost\r\n\r\n",
    );
    for number in 1..=4 {
        let answer = client.answer();
        assert!(answer.text().contains(&format!("/{number} ")), "{answer:?}");
    }
    assert_eq!(origin.targets(), ["/1", "/2", "/3", "/4"]);
}

#[test]
fn slow_clients_are_cut_off_in_time() {
    let (origin, weir) = origin_and_weir();
    let began = Instant::now();
    std::thread::scope(|scope| {
        for (name, start, drip) in [
            ("head", "GET / HTTP/1.1\r\nhost: localhost\r\nx-a: ", "a"),
            ("request line", "GET /", "a"),
            ("fields", "GET / HTTP/1.1\r\nhost: localhost\r\n", "a: b\r\n"),
            ("empty lines", "\r\n", "\r\n"),
        ] {
            let weir = &weir;
            scope.spawn(move || {
                // A byte now and then shall not buy time.
                let mut client = Client::connect(weir.http);
                client.send(start);
                let cut = crate::weir::within(IN_TIME, || {
                    std::thread::sleep(Duration::from_millis(200));
                    client.try_send(drip).is_err() || client.is_closed_within(Duration::from_millis(1))
                });
                assert!(cut, "{name}: still open after {IN_TIME:?}");
            });
        }
    });
    // One who is served in between is closed after the idle time.
    let mut idle = Client::connect(weir.http);
    assert_eq!(idle.ask("GET", "/idle").answer().status, 200);
    assert!(idle.is_closed_within(IN_TIME), "idle for {:?}", began.elapsed());
    // A body that pauses in the middle, once the origin has its beginning: the client is told.
    let mut pausing = Client::connect(weir.http);
    pausing.send(head("POST /pausing HTTP/1.1", "content-length: 100000\r\n")).send([b'x'; 1000]);
    let answer = pausing.answer();
    assert_eq!((answer.status, answer.reason().as_str()), (408, "body_timeout"), "{answer:?}");
    assert!(pausing.is_closed_within(PATIENCE));
    weir.wait_for_rest();
    assert!(origin.requests() <= 2);
}

#[test]
fn a_transfer_coding_is_malformed_in_http2() {
    let (origin, weir) = origin_and_weir();
    let mut frames = Frames::connect(weir.http);
    for fields in
        [&[("transfer-encoding", "chunked")][..], &[("content-length", "5"), ("transfer-encoding", "chunked")]]
    {
        let stream = frames.ask("POST", "/body", fields, false);
        let answer = frames.next().unwrap();
        assert_eq!((answer.kind, answer.stream), (RST_STREAM, stream), "{answer:?}");
    }
    assert_eq!(origin.requests(), 0);
}
