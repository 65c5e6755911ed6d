//! SIGTERM: no request is harmed, nobody new is taken, and the end comes.

use std::time::Duration;

use rustix::process::Signal;

use crate::client::{Client, get};
use crate::frames::{END_STREAM, Frames, GOAWAY, HEADERS};
use crate::origin::{Latch, Origin};
use crate::weir::{PATIENCE, Weir, eventually, one_route};

const QUEUE: &str = "queue = { wait = \"1h\", length = 10 }\n[runtime]\ndrain_timeout = \"60s\"";

/// Waits until the drain has begun.
fn drains(weir: &Weir) {
    eventually("unready", || get(weir.admin, "/readyz").status == 503);
    assert!(get(weir.admin, "/readyz").text().contains("draining"));
}

#[test]
fn requests_in_flight_and_in_line_are_served() {
    let latch = Latch::new();
    let origin = Origin::latched(&latch);
    let mut weir = Weir::start(&one_route(origin.address, 1, QUEUE));
    let mut idle = Client::connect(weir.http);
    latch.let_pass(1);
    assert_eq!(idle.ask("GET", "/idle").answer().status, 200);
    let mut in_flight = Client::connect(weir.http);
    in_flight.ask("GET", "/in-flight");
    weir.wait_for_load("u", 1, 0);
    let mut queued = Client::connect(weir.http);
    queued.send("POST /queued HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nhello");
    weir.wait_for_load("u", 1, 1);
    let mut frames = Frames::connect(weir.http);
    let stream = frames.ask("GET", "/stream", &[], true);
    weir.wait_for_load("u", 1, 2);

    weir.signal(Signal::TERM);
    drains(&weir);
    eventually("nobody new is taken", || Client::try_connect(weir.http).is_err());
    assert!(idle.is_closed_within(PATIENCE), "an idle connection stays open");
    assert!(weir.is_running());
    let goaway = frames.next().unwrap();
    assert_eq!(goaway.kind, GOAWAY, "{goaway:?}");
    assert_eq!(goaway.payload[4..8], [0; 4], "not an error");

    latch.let_pass(3);
    for client in [&mut in_flight, &mut queued] {
        let answer = client.answer();
        assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
        assert_eq!(answer.field("connection"), Some("close"), "{answer:?}");
        assert!(client.is_closed_within(PATIENCE));
    }
    let mut answered = false;
    let ended = std::iter::from_fn(|| frames.next().ok())
        .inspect(|frame| answered |= frame.kind == HEADERS && frame.stream == stream)
        .any(|frame| frame.stream == stream && frame.flags & END_STREAM != 0 && frame.kind != HEADERS);
    assert!(answered && ended, "the stream was not answered");
    let status = weir.exit(PATIENCE).expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", weir.stderr());
    assert_eq!(origin.targets(), ["/idle", "/in-flight", "/queued", "/stream"]);
    assert_eq!(weir.access_log().lines().count(), 4);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let latch = Latch::new();
    let origin = Origin::latched(&latch);
    for second in [Signal::TERM, Signal::INT] {
        let mut weir = Weir::start(&one_route(origin.address, 1, QUEUE));
        let mut client = Client::connect(weir.http);
        client.ask("GET", "/in-flight");
        weir.wait_for_load("u", 1, 0);
        weir.signal(Signal::TERM);
        drains(&weir);
        weir.signal(second);
        assert_eq!(weir.exit(PATIENCE).expect("it ends").code(), Some(130));
        latch.let_pass(1);
    }
}

#[test]
fn an_idle_gateway_ends_at_once() {
    let origin = Origin::echo();
    let mut weir = Weir::start(&one_route(origin.address, 1, QUEUE));
    assert_eq!(get(weir.http, "/").status, 200);
    weir.signal(Signal::INT);
    assert_eq!(weir.exit(Duration::from_secs(10)).expect("it ends").code(), Some(0));
}

#[test]
fn an_exchange_nobody_waits_for_is_waited_for() {
    let latch = Latch::new();
    let origin = Origin::latched(&latch);
    let mut weir = Weir::start(&one_route(origin.address, 1, QUEUE));
    let mut client = Client::connect(weir.http);
    client.ask("GET", "/abandoned");
    eventually("the origin is asked", || origin.requests() == 1);
    drop(client);
    weir.wait_for("weir_connections{kind=\"http1\"}", 0);
    weir.signal(Signal::TERM);
    drains(&weir);
    assert!(weir.exit(Duration::from_secs(1)).is_none(), "it ended while the origin was working");
    latch.let_pass(1);
    assert_eq!(weir.exit(PATIENCE).expect("it ends").code(), Some(0));
}

#[test]
fn the_drain_has_an_end() {
    let latch = Latch::new();
    let origin = Origin::latched(&latch);
    let mut weir = Weir::start(&one_route(origin.address, 1, "[runtime]\ndrain_timeout = \"1s\""));
    let mut client = Client::connect(weir.http);
    client.ask("GET", "/in-flight");
    weir.wait_for_load("u", 1, 0);
    weir.signal(Signal::TERM);
    assert!(client.is_closed_within(PATIENCE), "cut");
    assert_eq!(weir.exit(PATIENCE).expect("it ends").code(), Some(0));
    latch.let_pass(1);
}
