//! Short of memory: newcomers are told to come back, who is served goes on, and it ends by itself.

use std::time::Duration;

use crate::client::{Client, get, try_get};
use crate::frames::{END_STREAM, Frames, HEADERS, RST_STREAM};
use crate::origin::{Latch, Origin};
use crate::weir::{Weir, eventually, one_route};

/// What the process may use beyond what it uses at rest.
const ROOM: u64 = 12 << 20;
/// Bodies that are read and held in line: more than there is room for.
const HELD: usize = 1200;
const BODY: usize = 15 << 10;
/// RFC 9113 §7.
const REFUSED_STREAM: [u8; 4] = [0, 0, 0, 7];

#[test]
fn newcomers_are_refused_and_who_is_served_goes_on() {
    let latch = Latch::new();
    let origin = Origin::latched(&latch);
    let free = Origin::start(|exchange| exchange.respond(200, "", b"free"));
    let route = format!(
        "[pass]\nkey = \"file:pass.key\"\n{}\n[[upstream]]\nname = \"f\"\nservers = [\"{}\"]\nconcurrency = 8\n\
         [[route]]\nname = \"free\"\npath = \"/free/*\"\nupstream = \"f\"\n\
         [[route]]\npath = \"/enter\"\nupstream = \"f\"\ngrants_pass = true\n",
        one_route(origin.address, 1, "queue = { wait = \"1h\", length = 20000 }"),
        free.address
    );
    let at_rest = Weir::start(&route).resident_memory();
    let limit = (at_rest + ROOM) * 100 / 85;
    let weir = Weir::start(&format!("[clients]\nmax_memory = \"{limit}B\"\n{route}"));
    let mut first = Client::connect(weir.http);
    first.ask("GET", "/first");
    weir.wait_for_load("u", 1, 0);
    let mut frames = Frames::connect(weir.http);
    let held = frames.ask("GET", "/held", &[], true);

    let mut people = People::meet(&weir);

    let post = format!("POST /crowd HTTP/1.1\r\nhost: localhost\r\ncontent-length: {BODY}\r\n\r\n{}", "x".repeat(BODY));
    let mut crowd = Vec::new();
    while weir.metrics().value("weir_memory_short") == 0 {
        assert!(crowd.len() < HELD, "never short of memory: {} of {limit} bytes", weir.resident_memory());
        // Not faster than it is looked at.
        std::thread::sleep(Duration::from_millis(40));
        for _ in 0..20 {
            let mut client = Client::connect(weir.http);
            client.try_send(&post).ok();
            crowd.push(client);
        }
    }
    assert!(weir.stderr().contains("memory is short"), "{}", weir.stderr());
    let answer = get(weir.http, "/new");
    assert_eq!((answer.status, answer.reason().as_str()), (503, "overloaded"));
    let seconds: u64 = answer.field("retry-after").unwrap().parse().unwrap();
    assert!((5..=15).contains(&seconds), "{answer:?}");
    // Noted when the client has closed its side as well.
    eventually("it ends", || weir.metrics().value("weir_connections_ended_total{cause=\"refused\"}") > 0);
    let refused = frames.ask("GET", "/new", &[], true);
    let frame = frames.next().unwrap();
    assert_eq!((frame.kind, frame.stream), (RST_STREAM, refused), "{frame:?}");
    assert_eq!(frame.payload, REFUSED_STREAM);
    assert_eq!(weir.metrics().value("weir_http2_streams_refused_total"), 1);
    people.go_on(&weir);
    assert_eq!(weir.metrics().value("weir_http2_streams_refused_total"), 1, "who shows a pass is asked for it");

    // Who was let in is served, over either protocol.
    latch.let_pass(2);
    assert_eq!(first.answer().text(), "done");
    let frame = frames.next().unwrap();
    assert_eq!((frame.kind, frame.stream), (HEADERS, held), "{frame:?}");

    // The crowd leaves, whatever the allocator keeps of it.
    latch.let_pass(2 * HELD);
    drop((crowd, first, frames, people));
    weir.wait_for("weir_memory_short", 0);
    assert!(weir.stderr().contains("memory is enough again"), "{}", weir.stderr());
    eventually("newcomers are served", || try_get(weir.http, "/after").is_ok_and(|answer| answer.status == 200));
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(get(weir.http, "/after").status, 200, "for good");
    weir.wait_for_rest();
}

/// Who was there before.
struct People {
    stranger: Client,
    inside: Client,
    streams: Frames,
    pass: String,
}

impl People {
    fn meet(weir: &Weir) -> Self {
        let [mut stranger, mut inside] = [Client::connect(weir.http), Client::connect(weir.http)];
        assert_eq!(stranger.ask("GET", "/free/early").answer().status, 200);
        let pass = inside.ask("GET", "/enter").answer().field("weir-pass").unwrap().to_owned();
        let mut streams = Frames::connect(weir.http);
        assert!(is_served(&mut streams, &pass));
        Self { stranger, inside, streams, pass }
    }

    /// Memory is short: whoever was let in goes on over the connections he has, and nobody else.
    fn go_on(&mut self, weir: &Weir) {
        assert!(self.stranger.is_closed_within(crate::weir::PATIENCE), "it was idle");
        // Noted when the client has closed its side as well, or the linger is over.
        eventually("it ends", || weir.metrics().value("weir_connections_ended_total{cause=\"shed\"}") > 0);
        assert!(is_served(&mut self.streams, &self.pass));
        let forged = "0".repeat(74);
        assert!(!is_served(&mut self.streams, &forged));
        let by = |pass: &str| format!("GET /free/step HTTP/1.1\r\nhost: localhost\r\nweir-pass: {pass}\r\n\r\n");
        assert_eq!(self.inside.send(by(&self.pass)).answer().text(), "free");
        let refused = self.inside.send(by(&forged)).answer();
        assert_eq!((refused.status, refused.reason().as_str()), (503, "overloaded"), "{refused:?}");
        assert_eq!(refused.field("connection"), Some("close"));
        let seconds: u64 = refused.field("retry-after").unwrap().parse().unwrap();
        assert!((5..=15).contains(&seconds), "{refused:?}");
        eventually("both are counted", || weir.metrics().requests("free", "overloaded") == 2);
        eventually("and logged", || weir.access_log().matches("\"reason\":\"overloaded\"").count() >= 2);
    }
}

/// Whether a stream with `pass` is answered 200; otherwise it must be answered as well.
fn is_served(streams: &mut Frames, pass: &str) -> bool {
    let stream = streams.ask("GET", "/free/step", &[("weir-pass", pass)], true);
    let mut served = None;
    loop {
        let frame = streams.next().unwrap();
        if frame.stream != stream {
            continue;
        }
        if frame.kind == HEADERS {
            // :status 200 stands in HPACK's static table (RFC 7541, appendix A, 8).
            served = Some(frame.payload.first() == Some(&0x88));
        }
        if frame.flags & END_STREAM != 0 {
            return served.unwrap_or_else(|| panic!("no answer: {frame:?}"));
        }
    }
}
