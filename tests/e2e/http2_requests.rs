//! Requests of HTTP/2 that HTTP/1 would read as something else: none is forwarded (RFC 9113 §8.2, §8.3, §10.3).

use crate::frames::{DATA, END_STREAM, Frame, Frames, GOAWAY, HEADERS, RST_STREAM};
use crate::origin::{Origin, field};
use crate::weir::{Weir, one_route};

type Fields<'a> = &'a [(&'a str, &'a [u8])];

/// `:status` 200 as HPACK has it in its static table (RFC 7541 appendix A).
const OK: u8 = 0x88;

/// The pseudo-fields of a request that is fine, with one of them as given.
fn pseudo<'a>(name: &str, value: &'a [u8]) -> Vec<(&'static str, &'a [u8])> {
    let fine: [(&'static str, &'static [u8]); 4] =
        [(":method", b"POST"), (":scheme", b"http"), (":authority", b"localhost"), (":path", b"/bad")];
    fine.into_iter().map(|(known, fine)| (known, if known == name { value } else { fine })).collect()
}

/// A request that is fine but for `fields` behind its pseudo-fields.
fn with(fields: &[(&'static str, &'static [u8])]) -> Vec<(&'static str, &'static [u8])> {
    [pseudo("", b""), fields.to_vec()].concat()
}

/// The next frame of this stream, or the end of the connection.
fn reply(frames: &mut Frames, stream: u32) -> Option<Frame> {
    loop {
        let frame = frames.next().ok()?;
        if frame.stream == stream || frame.kind == GOAWAY {
            return Some(frame);
        }
    }
}

fn is_refused(reply: Option<&Frame>) -> bool {
    match reply {
        None => true,
        Some(frame) => match frame.kind {
            RST_STREAM | GOAWAY => true,
            HEADERS => frame.payload.first() != Some(&OK),
            _ => false,
        },
    }
}

/// A name of what is wrong, and the fields of the request.
type Malformed = (&'static str, Vec<(&'static str, &'static [u8])>);

/// What is wrong with fields.
fn malformed_fields() -> Vec<Malformed> {
    vec![
        ("CR LF in a value", with(&[("x-a", b"b\r\nx-c: d")])),
        ("LF in a value", with(&[("x-a", b"b\nx-c: d")])),
        ("CR in a value", with(&[("x-a", b"b\rc")])),
        ("NUL in a value", with(&[("x-a", b"b\0c")])),
        ("DEL in a value", with(&[("x-a", b"b\x7fc")])),
        ("a value that begins with a space", with(&[("x-a", b" b")])),
        ("a value that ends with a tab", with(&[("x-a", b"b\t")])),
        ("a name in capitals", with(&[("X-A", b"b")])),
        ("a name with CR LF", with(&[("x-a: b\r\nx-c", b"d")])),
        ("a name with a colon", with(&[("x-a:", b"b")])),
        ("a name with a space", with(&[("x-a ", b"b")])),
        ("a name with NUL", with(&[("x\0a", b"b")])),
        ("an empty name", with(&[("", b"b")])),
        ("transfer-encoding", with(&[("transfer-encoding", b"chunked")])),
        ("transfer-encoding: identity", with(&[("transfer-encoding", b"identity")])),
        ("connection", with(&[("connection", b"close")])),
        ("connection: upgrade", with(&[("connection", b"upgrade"), ("upgrade", b"websocket")])),
        ("keep-alive", with(&[("keep-alive", b"5")])),
        ("proxy-connection", with(&[("proxy-connection", b"close")])),
        ("upgrade", with(&[("upgrade", b"h2c")])),
        ("te: gzip", with(&[("te", b"gzip")])),
        ("te: trailers, gzip", with(&[("te", b"trailers, gzip")])),
        ("content-length beyond what comes", with(&[("content-length", b"5")])),
        ("content-length: +0", with(&[("content-length", b"+0")])),
        ("content-length: nothing", with(&[("content-length", b"")])),
        ("content-length twice", with(&[("content-length", b"0"), ("content-length", b"0")])),
        ("two content-lengths", with(&[("content-length", b"0"), ("content-length", b"5")])),
        ("a list of content-lengths", with(&[("content-length", b"0, 0")])),
        ("content-length beyond 64 bits", with(&[("content-length", b"18446744073709551616")])),
        ("another expectation", with(&[("expect", b"200-ok")])),
    ]
}

/// What is wrong with pseudo-fields.
fn malformed_pseudo_fields() -> Vec<Malformed> {
    vec![
        ("an unknown pseudo-field", with(&[(":evil", b"1")])),
        ("a pseudo-field of answers", with(&[(":status", b"200")])),
        ("a pseudo-field behind others", with(&[("x-a", b"b"), (":path", b"/smuggled")])),
        (":path twice", with(&[(":path", b"/smuggled")])),
        (":method twice", with(&[(":method", b"GET")])),
        (":authority twice", with(&[(":authority", b"elsewhere")])),
        (":scheme twice", with(&[(":scheme", b"https")])),
        ("host beside another :authority", with(&[("host", b"elsewhere")])),
        ("two hosts", with(&[("host", b"localhost"), ("host", b"localhost")])),
        ("no :method", pseudo("", b"").split_off(1)),
        ("no :scheme", vec![(":method", b"GET"), (":authority", b"localhost"), (":path", b"/bad")]),
        ("no :path", vec![(":method", b"GET"), (":scheme", b"http"), (":authority", b"localhost")]),
        ("no :authority and no host", vec![(":method", b"GET"), (":scheme", b"http"), (":path", b"/bad")]),
        ("an empty :path", pseudo(":path", b"")),
        ("a :path without slash", pseudo(":path", b"bad")),
        (":path *", pseudo(":path", b"*")),
        ("a :path with a space", pseudo(":path", b"/bad HTTP/1.1")),
        ("a :path with CR LF", pseudo(":path", b"/bad HTTP/1.1\r\nx-c: d")),
        ("a :path with NUL", pseudo(":path", b"/bad\0")),
        ("a :path beyond ASCII", pseudo(":path", "/bäd".as_bytes())),
        ("a query beyond ASCII", pseudo(":path", "/bad?ä".as_bytes())),
        ("a :path of dots", pseudo(":path", b"/a/../bad")),
        ("a :path of encoded dots", pseudo(":path", b"/%2e%2e/bad")),
        ("a :path that is a URL", pseudo(":path", b"http://elsewhere/bad")),
        ("a :path with two slashes", pseudo(":path", b"//elsewhere/bad")),
        (":method with a space", pseudo(":method", b"GET /smuggled")),
        (":method with CR LF", pseudo(":method", b"GET\r\nx")),
        ("an empty :method", pseudo(":method", b"")),
        ("CONNECT", vec![(":method", b"CONNECT"), (":authority", b"localhost:443")]),
        ("CONNECT with a path", pseudo(":method", b"CONNECT")),
        ("extended CONNECT", [vec![(":protocol", &b"websocket"[..])], pseudo(":method", b"CONNECT")].concat()),
        ("TRACE", pseudo(":method", b"TRACE")),
        ("an empty :scheme", pseudo(":scheme", b"")),
        (":scheme ftp", pseudo(":scheme", b"ftp")),
        (":scheme with CR LF", pseudo(":scheme", b"http\r\nx: y")),
        ("an empty :authority", pseudo(":authority", b"")),
        (":authority with a user", pseudo(":authority", b"user@localhost")),
        (":authority with a path", pseudo(":authority", b"localhost/x")),
        (":authority with a comma", pseudo(":authority", b"localhost,elsewhere")),
        (":authority with a space", pseudo(":authority", b"localhost x")),
        (":authority with CR LF", pseudo(":authority", b"localhost\r\nx: y")),
        (":authority with an empty label", pseudo(":authority", b"localhost..")),
    ]
}

#[test]
fn nothing_that_http1_would_read_otherwise_is_forwarded() {
    let origin = Origin::echo();
    let weir = Weir::start(&one_route(origin.address, 4, ""));
    let malformed = [malformed_fields(), malformed_pseudo_fields()].concat();
    println!("{} requests", malformed.len());
    let mut wrong = Vec::new();
    for (name, fields) in &malformed {
        // Each on a connection of its own, as the first of it and as the second.
        for is_second in [false, true] {
            let mut frames = Frames::connect(weir.http);
            if is_second {
                let stream = frames.ask("GET", "/fine", &[], true);
                assert_eq!(reply(&mut frames, stream).map(|frame| frame.kind), Some(HEADERS));
            }
            let stream = frames.ask_raw(fields, true);
            let reply = reply(&mut frames, stream);
            if !is_refused(reply.as_ref()) {
                wrong.push(format!("{name}: {reply:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(origin.targets().iter().all(|target| target == "/fine"), "{:?}", origin.targets());
    weir.wait_for_rest();
}

/// A body that is not as long as it was said to be: before weir forwards it where it is read ahead, while it does where it is not.
#[test]
fn a_body_that_lies_about_its_length_is_no_request() {
    let origin = Origin::echo();
    let weir = Weir::start(&one_route(origin.address, 4, ""));
    for (said, sent) in [(5, 4), (5, 6), (0, 1), (20_000, 16_000), (30_000, 30_001)] {
        let mut frames = Frames::connect(weir.http);
        let length = said.to_string();
        let stream = frames.ask("POST", "/lie", &[("content-length", &length)], false);
        let mut left = sent;
        while left > 0 {
            let part = left.min(16_000);
            left -= part;
            let flags = if left == 0 { END_STREAM } else { 0 };
            frames.send(DATA, flags, stream, &vec![b'x'; part]);
        }
        let reply = reply(&mut frames, stream);
        assert!(is_refused(reply.as_ref()), "{said} said, {sent} sent: {reply:?}");
    }
    weir.wait_for_rest();
    for seen in origin.seen() {
        // What was begun was broken off, never completed or framed anew.
        let (_, body) = seen.split_once("\r\n\r\n").unwrap();
        let length: usize = field(&seen, "content-length").unwrap().parse().unwrap();
        assert!(length >= 20_000 && body.is_empty(), "{seen}");
    }
}

/// What is odd and clear: it arrives as HTTP/1 says it.
#[test]
fn what_is_clear_arrives_as_http1_says_it() {
    let origin = Origin::echo();
    let weir = Weir::start(&one_route(origin.address, 4, ""));
    let rows: [(Fields<'_>, &[u8], &str, &[&str]); 6] = [
        (&[("te", b"trailers")], b"", "POST /bad HTTP/1.1", &["\r\nte:", "transfer-encoding", "content-length: 1"]),
        (&[("cookie", b"a=1"), ("cookie", b"b=2")], b"", "\r\ncookie: a=1", &["weir_"]),
        (&[("content-length", b"3")], b"abc", "\r\ncontent-length: 3\r\n", &["transfer-encoding"]),
        (&[], b"abc", "\r\n\r\nabc", &[]),
        (&[("host", b"localhost")], b"", "\r\nhost: localhost\r\n", &[]),
        (
            &[("x-forwarded-for", b"1.2.3.4"), ("weir-pass", b"x"), ("x_real_ip", b"1")],
            b"",
            "via: 2 weir",
            &["1.2.3.4", "weir-pass", "x_real"],
        ),
    ];
    for (fields, body, present, absent) in rows {
        let mut frames = Frames::connect(weir.http);
        let all = [pseudo("", b""), fields.to_vec()].concat();
        let stream = frames.ask_raw(&all, body.is_empty());
        if !body.is_empty() {
            frames.send(DATA, END_STREAM, stream, body);
        }
        let reply = reply(&mut frames, stream).unwrap();
        assert_eq!((reply.kind, reply.payload.first()), (HEADERS, Some(&OK)), "{fields:?}");
        let seen = origin.seen().pop().unwrap();
        assert!(seen.contains(present), "{present} in {seen}");
        assert!(absent.iter().all(|absent| !seen.contains(absent)), "none of {absent:?} in {seen}");
        assert!(seen.matches("\r\nhost:").count() == 1, "{seen}");
    }
}
