//! What a connection that waits takes of the process's memory: little between requests, and not much more in line.
//!
//! The resident set is read when the allocator has given back what it will; a few hundred KiB of it move by themselves, which
//! the number of connections makes small. The kernel's part is not in it.

use std::time::Duration;

use std::sync::Arc;

use http::Request;
use hyper::body::Incoming;
use weir::proxy::Worker;
use weir::proxy::peer::Peer;

use crate::client::Client;
use crate::origin::{Latch, Origin};
use crate::weir::{Weir, one_route, within};

/// Connections measured, and those before them, by which whatever is made once is made.
const CROWD: usize = 2_000;
const WARM: usize = 50;

/// Bytes of one at rest between requests, and of one with a request in line. hyper has 16 KiB of buffers for a connection at work; whoever
/// waits has touched none of those that he keeps (`proxy::detached`).
const RESTING: u64 = 2_304;
const HELD: u64 = 8 * 1024;

/// Longer than a connection has to be quiet to rest, and than the allocator keeps what is free.
const SETTLED: Duration = Duration::from_millis(3_500);

/// Bytes that each of a crowd takes, made by `one`.
fn bytes_each<T>(weir: &Weir, one: impl Fn() -> T, most: u64) -> u64 {
    drop((0..WARM).map(|_| one()).collect::<Vec<_>>());
    std::thread::sleep(SETTLED);
    let before = weir.resident_memory();
    let crowd: Vec<T> = (0..CROWD).map(|_| one()).collect();
    std::thread::sleep(SETTLED);
    let each = || weir.resident_memory().saturating_sub(before) / CROWD as u64;
    // On a busy machine the allocator's own thread is late.
    within(SETTLED, || each() <= most);
    let each = each();
    drop(crowd);
    println!("{each} bytes each");
    each
}

#[test]
fn a_connection_between_two_requests_has_no_buffers() {
    let origin = Origin::echo();
    let weir = Weir::start(&one_route(origin.address, 8, ""));
    let each = bytes_each(&weir, || answered(&weir), RESTING);
    assert!(each <= RESTING, "{each} bytes each");
}

/// Bytes of what `asked` makes of a request.
fn bytes_of<'a, F>(_asked: impl FnOnce(&'a Worker, &'a Arc<Peer>, Request<Incoming>) -> F) -> usize {
    size_of::<F>()
}

#[test]
fn a_request_at_work_fits_here() {
    let bytes = bytes_of(Worker::serve);
    println!("serve {bytes}");
    assert!(bytes <= 2_560, "{bytes} bytes");
}

/// A client that has had an answer.
fn answered(weir: &Weir) -> Client {
    let mut client = Client::connect(weir.http);
    assert_eq!(client.ask("GET", "/x").answer().status, 200);
    client
}

#[test]
fn a_request_in_line_has_its_head_and_not_much_more() {
    let latch = Latch::new();
    let origin = Origin::latched(&latch);
    let weir = Weir::start(&one_route(origin.address, 1, "queue = { wait = \"1h\", length = 20000 }"));
    let asking = || {
        let mut client = Client::connect(weir.http);
        client.ask("GET", "/x");
        client
    };
    let first = asking();
    weir.wait_for_load("u", 1, 0);
    let each = bytes_each(&weir, asking, HELD);
    assert!(each <= HELD, "{each} bytes each");
    drop(first);
    latch.let_pass(2 * (CROWD + WARM));
}
