//! How many requests of one client are in the system at once: no one owns the line, whatever he sends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::client::{Client, Response};
use crate::frames::{DATA, END_STREAM, Frames, HEADERS, WINDOW_UPDATE};
use crate::origin::{Latch, Origin, field};
use crate::weir::{Weir, one_route};

const PARKED: &str = "weir_requests_parked{limit=\"person\"}";
const ACTIVE: &str = "weir_clients_active{limit=\"person\"}";

/// A limit by the header `x-person`, and a route under it.
fn config(server: SocketAddr, permits: u32, limit: &str, route: &str) -> String {
    let limit =
        format!("[[client_limit]]\nname = \"person\"\nkey = \"header:x-person\"\nwithout = \"pass\"\n{limit}\n");
    format!("{limit}{}", one_route(server, permits, &format!("client_limits = [\"person\"]\n{route}")))
}

fn ask_as<'a>(client: &'a mut Client, person: &str, path: &str) -> &'a mut Client {
    client.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nx-person: {person}\r\n\r\n"))
}

fn is_crowded_out(answer: &Response, quota: u32) {
    assert_eq!((answer.status, answer.reason().as_str()), (429, "client_concurrency"), "{answer:?}");
    let seconds: u64 = answer.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=120).contains(&seconds), "{answer:?}");
    let policy = format!("\"person\";q={quota};qu=\"concurrent-requests\"");
    assert_eq!(answer.field("ratelimit-policy"), Some(policy.as_str()));
    assert_eq!(answer.field("ratelimit"), Some("\"person\";r=0"));
}

#[test]
fn further_requests_of_a_client_wait_for_its_own() {
    let latch = Latch::new();
    let origin = Origin::latched(&latch);
    let weir = Weir::start(&config(origin.address, 8, "concurrency = 1\nwaiting = 2", "queue.wait = \"1h\""));
    let mut clients: Vec<Client> = (0..4).map(|_| Client::connect(weir.http)).collect();
    for (number, client) in clients.iter_mut().take(3).enumerate() {
        ask_as(client, "a", &format!("/{number}"));
        weir.wait_for(ACTIVE, 1);
        weir.wait_for(PARKED, number as u64);
    }
    is_crowded_out(&ask_as(&mut clients[3], "a", "/3").answer(), 3);
    weir.wait_for_load("u", 1, 0);
    // Others, and whoever does not say who he is, go past: the gate has room.
    let mut others: Vec<Client> = (0..3).map(|_| Client::connect(weir.http)).collect();
    ask_as(&mut others[0], "b", "/b");
    others[1].ask("GET", "/nobody");
    others[2].ask("GET", "/nobody");
    weir.wait_for_load("u", 4, 0);
    weir.wait_for(ACTIVE, 2);
    latch.let_pass(6);
    for client in clients.iter_mut().take(3).chain(&mut others) {
        assert_eq!(client.answer().status, 200);
    }
    let own: Vec<String> = origin.targets().into_iter().filter(|path| path.len() == 2 && path != "/b").collect();
    assert_eq!(own, ["/0", "/1", "/2"], "first come, first served among one's own");
    weir.wait_for(ACTIVE, 0);
    weir.wait_for(PARKED, 0);
    assert_eq!(weir.metrics().requests("all", "client_concurrency"), 1);
}

/// Design rule 1: what the service still works on is in the system, whoever has gone.
#[test]
fn a_slot_is_held_until_the_service_is_done() {
    let latch = Latch::new();
    let origin = Origin::latched(&latch);
    let weir = Weir::start(&config(origin.address, 8, "concurrency = 1", "queue.wait = \"1h\""));
    let mut gone = Client::connect(weir.http);
    ask_as(&mut gone, "a", "/gone");
    weir.wait_for_load("u", 1, 0);
    drop(gone);
    let mut next = Client::connect(weir.http);
    ask_as(&mut next, "a", "/next");
    weir.wait_for(PARKED, 1);
    assert!(!next.has_something_within(Duration::from_millis(300)));
    assert_eq!(origin.targets(), ["/gone"]);
    latch.let_pass(2);
    assert_eq!(next.answer().status, 200);
    weir.wait_for(ACTIVE, 0);
}

#[test]
fn who_is_parked_and_leaves_is_never_served() {
    let latch = Latch::new();
    let origin = Origin::latched(&latch);
    let route = "queue.wait = \"1h\"\nbody_size = \"10MiB\"";
    let weir = Weir::start(&config(origin.address, 8, "concurrency = 1\nwaiting = 1", route));
    let mut first = Client::connect(weir.http);
    ask_as(&mut first, "a", "/first");
    weir.wait_for_load("u", 1, 0);
    for fields in ["", "content-length: 3\r\n", "content-length: 10000000\r\n"] {
        let mut client = Client::connect(weir.http);
        let body = if fields.is_empty() { "" } else { "abc" };
        client.send(format!("POST /left HTTP/1.1\r\nhost: localhost\r\nx-person: a\r\n{fields}\r\n{body}"));
        weir.wait_for(PARKED, 1);
        drop(client);
        weir.wait_for(PARKED, 0);
    }
    let mut frames = Frames::connect(weir.http);
    let stream = frames.ask("GET", "/left", &[("x-person", "a")], true);
    weir.wait_for(PARKED, 1);
    frames.reset(stream);
    weir.wait_for(PARKED, 0);
    frames.ask("GET", "/left", &[("x-person", "a")], true);
    weir.wait_for(PARKED, 1);
    drop(frames);
    weir.wait_for(PARKED, 0);
    latch.let_pass(2);
    assert_eq!(first.answer().status, 200);
    assert_eq!(ask_as(&mut first, "a", "/stayed").answer().status, 200);
    assert_eq!(origin.targets(), ["/first", "/stayed"]);
    weir.wait_for(ACTIVE, 0);
}

/// The time outside the line is part of the promised wait.
#[test]
fn who_is_parked_for_too_long_is_told_why() {
    let latch = Latch::new();
    let origin = Origin::latched(&latch);
    let weir = Weir::start(&config(origin.address, 1, "concurrency = 1", "queue.wait = \"800ms\""));
    let mut first = Client::connect(weir.http);
    ask_as(&mut first, "a", "/first");
    weir.wait_for_load("u", 1, 0);
    let began = Instant::now();
    is_crowded_out(&ask_as(&mut Client::connect(weir.http), "a", "/late").answer(), 3);
    let waited = began.elapsed();
    assert!((Duration::from_millis(750)..Duration::from_secs(5)).contains(&waited), "{waited:?}");
    weir.wait_for(PARKED, 0);
    latch.let_pass(1);
    assert_eq!(first.answer().status, 200);
    assert_eq!(origin.targets(), ["/first"]);
}

/// Both limits, or neither: whoever waits for the second gives the first back when he leaves.
#[test]
fn two_limits_hold_together() {
    let latch = Latch::new();
    let origin = Origin::latched(&latch);
    let address = "[[client_limit]]\nname = \"address\"\nkey = \"address\"\nconcurrency = 2\nwaiting = 1\n";
    // Written in the other order: the order of the file counts.
    let person = config(origin.address, 8, "concurrency = 1", "queue.wait = \"1h\"")
        .replace("[\"person\"]", "[\"address\", \"person\"]");
    let weir = Weir::start(&format!("{person}{address}"));
    let mut clients: Vec<Client> = (0..3).map(|_| Client::connect(weir.http)).collect();
    for (client, person) in clients.iter_mut().zip(["a", "b", "c"]) {
        ask_as(client, person, "/");
    }
    weir.wait_for("weir_requests_parked{limit=\"address\"}", 1);
    weir.wait_for_load("u", 2, 0);
    let parked = weir.metrics();
    assert_eq!((parked.value(ACTIVE), parked.value(PARKED)), (3, 0));
    // One more behind the address is too many, and he does not keep the slot he had taken before.
    let refused = ask_as(&mut Client::connect(weir.http), "d", "/").answer();
    assert_eq!((refused.status, refused.reason().as_str()), (429, "client_concurrency"));
    assert_eq!(refused.field("ratelimit"), Some("\"address\";r=0"));
    weir.wait_for(ACTIVE, 3);
    latch.let_pass(3);
    for client in &mut clients {
        assert_eq!(client.answer().status, 200);
    }
    weir.wait_for(ACTIVE, 0);
    weir.wait_for("weir_clients_active{limit=\"address\"}", 0);
}

/// A hundred streams against twenty people with one connection each, at a service that does 80 a second.
#[test]
fn a_hundred_streams_are_one_client() {
    const HONEST: usize = 20;
    const EACH: usize = 12;
    let origin = Origin::start(|exchange| {
        exchange.work(|| std::thread::sleep(Duration::from_millis(50)));
        exchange.respond(200, "", b"done")
    });
    let weir = Weir::start(&config(origin.address, 4, "concurrency = 1\nwaiting = 2", "queue.wait = \"30s\""));
    let over = Arc::new(AtomicBool::new(false));
    let greedy = greedy(weir.http, &over);
    let honest: Vec<_> = (0..HONEST).map(|number| honest(weir.http, number, EACH)).collect();
    let longest = honest.into_iter().map(|thread| thread.join().unwrap()).max().unwrap();
    let served = origin.seen();
    over.store(true, Ordering::SeqCst);
    let refused = greedy.join().unwrap();
    assert!(refused > 200, "the greedy was refused only {refused} times");
    let by = |person: &str| served.iter().filter(|request| field(request, "x-person") == Some(person)).count();
    let greedy = by("greedy");
    // Twenty-one clients in turn: the greedy gets as many turns as each of the honest, and no more.
    assert!((EACH / 2..=2 * EACH).contains(&greedy), "{greedy} of the greedy, {EACH} of each of the honest");
    // A fair share of 80 a second for 21 is one every 0.26 s; in one line with a hundred others it would be 1.5 s.
    assert!(longest < Duration::from_secs(1), "{longest:?}");
    assert_eq!(origin.most(), 4);
}

/// Keeps a hundred streams open on one connection until it is over; answers how many were refused.
fn greedy(address: SocketAddr, over: &Arc<AtomicBool>) -> std::thread::JoinHandle<usize> {
    let over = Arc::clone(over);
    std::thread::spawn(move || {
        let fields = [("x-person", "greedy")];
        let mut frames = Frames::connect(address);
        for _ in 0..100 {
            frames.ask("GET", "/", &fields, true);
        }
        let (mut answers, mut served) = (0, 0);
        while !over.load(Ordering::SeqCst) {
            let frame = frames.next().unwrap();
            // :status 200 stands in HPACK's static table (RFC 7541, appendix A, 8).
            if frame.kind == HEADERS {
                answers += 1;
                served += usize::from(frame.payload.first() == Some(&0x88));
            }
            if frame.kind == DATA && !frame.payload.is_empty() {
                frames.send(WINDOW_UPDATE, 0, 0, &u32::try_from(frame.payload.len()).unwrap().to_be_bytes());
            }
            if frame.flags & END_STREAM != 0 {
                frames.ask("GET", "/", &fields, true);
                // As fast as twenty threads on two processors leave it.
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        answers - served
    })
}

/// Asks `times`, one after the other, and is never refused; answers how long the longest took, the first few aside, while the
/// gate does not know yet how fast the service is.
fn honest(address: SocketAddr, number: usize, times: usize) -> std::thread::JoinHandle<Duration> {
    std::thread::spawn(move || {
        let mut client = Client::connect(address);
        let mut longest = Duration::ZERO;
        for turn in 0..times {
            let began = Instant::now();
            let answer = ask_as(&mut client, &format!("p{number}"), "/").answer();
            assert_eq!(answer.status, 200, "{answer:?}");
            if turn > 1 {
                longest = longest.max(began.elapsed());
            }
        }
        longest
    })
}
