//! A permit comes back when the origin is done, and not when we or the client stopped waiting.

use std::time::Duration;

use crate::client::Client;
use crate::frames::Frames;
use crate::origin::{Latch, Origin};
use crate::weir::{Weir, eventually, one_route};

/// Long enough for a request to reach the origin if nothing held it back.
const A_WHILE: Duration = Duration::from_millis(300);

/// The origin works on a request whose client has gone: proves that the permit stays, and that the next waits for it.
fn the_next_waits_until_the_origin_is_done(weir: &Weir, origin: &Origin, latch: &Latch) {
    weir.wait_for("weir_connections{kind=\"http1\"}", 0);
    weir.wait_for("weir_connections{kind=\"http2\"}", 0);
    let before = origin.requests();
    let mut next = Client::connect(weir.http);
    next.ask("GET", "/next");
    weir.wait_for_load("u", 1, 1);
    std::thread::sleep(A_WHILE);
    assert_eq!(origin.requests(), before, "two at once at a service that can do one");
    weir.wait_for_load("u", 1, 1);
    latch.let_pass(2);
    assert_eq!(next.answer().status, 200);
    assert_eq!((origin.requests(), origin.most()), (before + 1, 1));
    drop(next);
    weir.wait_for_rest();
}

/// Waits until the origin was asked so often: what was not sent yet is given up with its client.
fn reaches(origin: &Origin, count: usize) {
    eventually("the origin is asked", || origin.requests() == count);
}

#[test]
fn a_client_that_leaves_keeps_the_permit_busy() {
    let latch = Latch::new();
    let origin = Origin::latched(&latch);
    let weir = Weir::start(&one_route(origin.address, 1, "queue = { wait = \"1h\", length = 10 }"));

    let mut without_body = Client::connect(weir.http);
    without_body.ask("GET", "/first");
    reaches(&origin, 1);
    drop(without_body);
    the_next_waits_until_the_origin_is_done(&weir, &origin, &latch);

    let mut with_body = Client::connect(weir.http);
    with_body.send("POST /first HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nhello");
    eventually("the origin has the body", || origin.seen().iter().any(|seen| seen.ends_with("hello")));
    drop(with_body);
    the_next_waits_until_the_origin_is_done(&weir, &origin, &latch);

    let mut stream = Frames::connect(weir.http);
    let number = stream.ask("GET", "/first", &[], true);
    reaches(&origin, 5);
    stream.reset(number);
    drop(stream);
    the_next_waits_until_the_origin_is_done(&weir, &origin, &latch);
}

#[test]
fn a_timeout_answers_at_once_and_keeps_the_permit_busy() {
    let latch = Latch::new();
    let origin = Origin::latched(&latch);
    let config = one_route(origin.address, 1, "queue = { wait = \"1h\", length = 10 }")
        .replace("[[route]]", "response_timeout = \"500ms\"\n[[route]]");
    let weir = Weir::start(&config);
    let mut client = Client::connect(weir.http);
    let answer = client.ask("GET", "/first").answer();
    assert_eq!((answer.status, answer.reason().as_str()), (504, "upstream_timeout"));
    assert_eq!(weir.metrics().requests("all", "upstream_timeout"), 1);
    weir.wait_for_load("u", 1, 0);

    // On the connection that was just answered.
    client.ask("GET", "/second");
    weir.wait_for_load("u", 1, 1);
    std::thread::sleep(A_WHILE);
    assert_eq!(origin.targets(), ["/first"]);
    latch.let_pass(2);
    assert_eq!(client.answer().status, 200);
    assert_eq!((origin.targets(), origin.most()), (vec!["/first".to_owned(), "/second".to_owned()], 1));
    drop(client);
    weir.wait_for_rest();
}

#[test]
fn what_everybody_gave_up_counts_until_the_abandon_timeout() {
    let latch = Latch::new();
    let origin = Origin::latched(&latch);
    let config = one_route(origin.address, 1, "queue = { wait = \"1h\", length = 10 }")
        .replace("[[route]]", "abandon_timeout = \"1s\"\n[[route]]");
    let weir = Weir::start(&config);
    let mut client = Client::connect(weir.http);
    client.ask("GET", "/never");
    reaches(&origin, 1);
    drop(client);
    // The origin never answers.
    weir.wait_for_rest();
    latch.let_pass(2);
    assert_eq!(crate::client::get(weir.http, "/next").status, 200);
}
