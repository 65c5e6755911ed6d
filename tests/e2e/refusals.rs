//! A refusal costs the client nothing but the answer: its connection lives on, or the answer at least arrives.

use std::sync::Arc;
use std::time::Duration;

use crate::client::Client;
use crate::frames::{DATA, END_STREAM, Frames, HEADERS};
use crate::origin::{Latch, Origin};
use crate::weir::{Weir, one_route};

/// A weir without a free permit, and who took it.
fn full(latch: &Arc<Latch>) -> (Origin, Weir, Client) {
    let origin = Origin::latched(latch);
    let route = "queue = { wait = \"1h\", length = 0 }\nbody_size = \"64MiB\"";
    let weir = Weir::start(&one_route(origin.address, 1, route));
    let mut busy = Client::connect(weir.http);
    busy.ask("GET", "/busy");
    weir.wait_for_load("u", 1, 0);
    (origin, weir, busy)
}

fn post(length: usize) -> String {
    format!("POST /form HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n")
}

#[test]
fn the_connection_of_a_small_body_lives_on() {
    let latch = Latch::new();
    let (origin, weir, mut busy) = full(&latch);
    let mut client = Client::connect(weir.http);
    for length in [1, 2, 1_000, 1 << 10, 4 << 10, 16 << 10, 60 << 10] {
        let half = length / 2;
        client.send(post(length)).send(vec![b'x'; half]);
        std::thread::sleep(Duration::from_millis(50));
        client.send(vec![b'x'; length - half]);
        let answer = client.answer();
        assert_eq!((answer.status, answer.reason().as_str()), (503, "queue_full"), "{length}: {answer:?}");
        assert_eq!(answer.field("connection"), None, "{length}: {answer:?}");
    }
    client.send("POST /form HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(client.send("lo\r\n0\r\n\r\n").answer().status, 503);
    latch.let_pass(2);
    assert_eq!(busy.answer().status, 200);
    weir.wait_for_load("u", 0, 0);
    assert_eq!(client.ask("GET", "/next").answer().status, 200, "the same connection");
    assert_eq!(origin.targets(), ["/busy", "/next"]);
}

#[test]
fn the_answer_to_a_large_body_arrives() {
    const LENGTH: usize = 10 << 20;
    let latch = Latch::new();
    let (origin, weir, _busy) = full(&latch);
    for round in 0..5 {
        let mut client = Client::connect(weir.http);
        client.send(post(LENGTH));
        // It sends as most do: everything, before it looks, and is not stopped in the middle.
        let part = vec![b'x'; 64 << 10];
        let sent = (0..LENGTH / part.len()).take_while(|_| client.try_send(&part).is_ok()).count();
        assert_eq!(sent, LENGTH / part.len(), "round {round}");
        let answer = client.try_answer("POST");
        let answer = answer.unwrap_or_else(|error| panic!("round {round}: no answer after {sent} parts: {error}"));
        assert_eq!((answer.status, answer.reason().as_str()), (503, "queue_full"), "{answer:?}");
    }
    // Who waits for the answer after some of it.
    for part in [0, 1_000, 100_000] {
        let mut client = Client::connect(weir.http);
        client.send(post(LENGTH)).send(vec![b'x'; part]);
        std::thread::sleep(Duration::from_millis(100));
        let answer = client.answer();
        assert_eq!((answer.status, answer.reason().as_str()), (503, "queue_full"), "{answer:?}");
    }
    latch.let_pass(1);
    assert_eq!(origin.targets(), ["/busy"]);
}

#[test]
fn what_is_larger_than_allowed_is_said_so() {
    let origin = Origin::echo();
    let weir = Weir::start(&one_route(origin.address, 4, "body_size = \"10KiB\""));
    let mut client = Client::connect(weir.http);
    let body = vec![b'x'; 11 << 10];
    let answer = client.send(post(body.len())).send(&body).answer();
    assert_eq!((answer.status, answer.reason().as_str()), (413, "body_too_large"));
    let allowed = vec![b'x'; 10 << 10];
    assert_eq!(client.send(post(allowed.len())).send(&allowed).answer().status, 200, "the same connection");
    let mut chunked = Client::connect(weir.http);
    chunked.send("POST /form HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n");
    for _ in 0..11 {
        // Weir may have had enough before the last.
        chunked.try_send([b"400\r\n", &vec![b'x'; 0x400][..], b"\r\n"].concat()).ok();
    }
    let answer = chunked.answer();
    assert_eq!((answer.status, answer.reason().as_str()), (413, "body_too_large"));
    weir.wait_for("weir_in_flight{upstream=\"u\"}", 0);
}

#[test]
fn a_refused_stream_leaves_the_others_alone() {
    let latch = Latch::new();
    let (_origin, weir, _busy) = full(&latch);
    let mut frames = Frames::connect(weir.http);
    for _ in 0..20 {
        let stream = frames.ask("POST", "/form", &[("content-length", "1000")], false);
        frames.send(DATA, 0, stream, &[b'x'; 500]);
        frames.send(DATA, END_STREAM, stream, &[b'x'; 500]);
        let head = frames.next().unwrap();
        assert_eq!((head.kind, head.stream), (HEADERS, stream), "{head:?}");
        let mut body = Vec::new();
        loop {
            let frame = frames.next().unwrap();
            assert_eq!((frame.kind, frame.stream), (DATA, stream), "{frame:?}");
            body.extend_from_slice(&frame.payload);
            if frame.flags & END_STREAM != 0 {
                break;
            }
        }
        assert!(String::from_utf8_lossy(&body).contains("queue_full"), "{body:?}");
    }
    assert_eq!(weir.metrics().value("weir_connections{kind=\"http2\"}"), 1);
    latch.let_pass(1);
}
