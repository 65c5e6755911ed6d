//! Limits of clients and of contracts.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::client::{Client, Response};
use crate::origin::{Latch, Origin};
use crate::weir::{Weir, one_route};

fn over_limit(answer: &Response, name: &str, quota: u32, window: u64) {
    assert_eq!((answer.status, answer.reason().as_str()), (429, "client_limit"), "{answer:?}");
    let seconds: u64 = answer.field("retry-after").unwrap().parse().unwrap();
    assert!((1..=window + window / 10 + 1).contains(&seconds), "{answer:?}");
    assert_eq!(answer.field("ratelimit-policy"), Some(format!("\"{name}\";q={quota};w={window}").as_str()));
    // When the next token comes; Retry-After is that and a jitter of up to a tenth, never earlier.
    let state = answer.field("ratelimit").unwrap().strip_prefix(&format!("\"{name}\";r=0;t=")).unwrap();
    let reset: u64 = state.parse().unwrap();
    assert!(reset <= seconds && seconds <= reset + reset / 10 + 1, "{answer:?}");
}

fn as_person(client: &mut Client, key: &str) -> Response {
    client.send(format!("GET /form HTTP/1.1\r\nhost: localhost\r\nidempotency-key: {key}\r\n\r\n")).answer()
}

#[test]
fn each_person_has_a_bucket() {
    let origin = Origin::echo();
    let limit = "[[client_limit]]\nname = \"person\"\nkey = \"header:idempotency-key\"\nrate = \"6/m\"\nburst = 3\n";
    let route = one_route(origin.address, 8, "client_limits = [\"person\"]");
    let weir = Weir::start(&format!("{limit}{route}"));
    let mut client = Client::connect(weir.http);
    for _ in 0..3 {
        assert_eq!(as_person(&mut client, "a").status, 200);
    }
    for _ in 0..3 {
        over_limit(&as_person(&mut client, "a"), "person", 3, 30);
    }
    // Somebody else on the same connection, and the same person on another.
    assert_eq!(as_person(&mut client, "b").status, 200);
    over_limit(&as_person(&mut Client::connect(weir.http), "a"), "person", 3, 30);
    let metrics = weir.metrics();
    assert_eq!(metrics.requests("all", "client_limit"), 4);
    assert_eq!(metrics.requests("all", "admitted"), 4);
    assert_eq!(metrics.value("weir_clients_remembered{limit=\"person\"}"), 2);
    assert_eq!(origin.requests(), 4);
}

#[test]
fn each_address_has_a_bucket_and_only_trusted_proxies_name_it() {
    let origin = Origin::echo();
    let limit = "[[client_limit]]\nname = \"address\"\nkey = \"address\"\nrate = \"6/m\"\nburst = 2\n";
    let route = one_route(origin.address, 8, "client_limits = [\"address\"]");
    let from = |weir: &Weir, address: &str| {
        let mut client = Client::connect(weir.http);
        client.send(format!("GET /form HTTP/1.1\r\nhost: localhost\r\nx-forwarded-for: {address}\r\n\r\n")).answer()
    };
    let distrusting = Weir::start(&format!("{limit}{route}"));
    for address in ["192.0.2.1", "192.0.2.2"] {
        assert_eq!(from(&distrusting, address).status, 200);
    }
    over_limit(&from(&distrusting, "192.0.2.3"), "address", 2, 20);

    let trusting = Weir::start(&format!("[clients]\ntrusted_proxies = [\"127.0.0.1/32\"]\n{limit}{route}"));
    for address in ["192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"] {
        assert_eq!(from(&trusting, address).status, 200, "{address}");
    }
    // What a proxy was told by somebody else is not believed; one network is one client.
    for address in ["192.0.2.1", "198.51.100.9, 192.0.2.1", "2001:db8::3"] {
        over_limit(&from(&trusting, address), "address", 2, 20);
    }
}

#[test]
fn each_cookie_has_a_bucket() {
    let origin = Origin::echo();
    let limit = "[[client_limit]]\nname = \"session\"\nkey = \"cookie:sid\"\nrate = \"6/m\"\nburst = 1\n";
    let route = one_route(origin.address, 8, "client_limits = [\"session\"]");
    let weir = Weir::start(&format!("{limit}{route}"));
    let mut client = Client::connect(weir.http);
    let mut with =
        |cookie: &str| client.send(format!("GET / HTTP/1.1\r\nhost: localhost\r\ncookie: {cookie}\r\n\r\n")).answer();
    assert_eq!(with("theme=dark; sid=a").status, 200);
    assert_eq!(with("sid=b").status, 200);
    over_limit(&with("sid=a; theme=light"), "session", 1, 10);
}

#[test]
fn a_contract_rate_is_kept_in_every_window_and_in_order() {
    const RATE: u32 = 50;
    const BURST: u32 = 5;
    const CROWD: u32 = 150;
    let instants = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&instants);
    let origin = Origin::start(move |exchange| {
        noted.lock().unwrap().push(Instant::now());
        exchange.respond(200, "", b"")
    });
    let config = one_route(origin.address, 200, "queue = { wait = \"60s\", length = 1000 }")
        .replace("[[route]]", &format!("rate = \"{RATE}/s\"\nburst = {BURST}\n[[route]]"));
    let weir = Weir::start(&config);
    let began = Instant::now();
    let mut clients: Vec<Client> = (0..CROWD)
        .map(|number| {
            let mut client = Client::connect(weir.http);
            client.ask("GET", &format!("/{number}"));
            // So that there is an order: the next comes when this one is in line or through.
            crate::weir::eventually("it arrived", || arrived(&weir) > u64::from(number));
            client
        })
        .collect();
    for client in &mut clients {
        assert_eq!(client.answer().status, 200);
    }
    assert!(began.elapsed() > Duration::from_secs(1) * (CROWD - BURST - 1) / RATE);
    let instants = instants.lock().unwrap();
    assert_eq!(instants.len(), CROWD as usize);
    // Nothing is seen before it was sent: from the start on, this is exact.
    for (count, instant) in (1_u32..).zip(instants.iter()) {
        let allowed = f64::from(RATE) * instant.duration_since(began).as_secs_f64() + f64::from(BURST);
        assert!(f64::from(count) <= allowed, "{count} when there were {allowed}");
    }
    // In between, what a busy machine shows late may seem to come closer together.
    let late = Duration::from_millis(500);
    for (first, from) in instants.iter().enumerate() {
        let second = |instant: &&Instant| instant.duration_since(*from) < Duration::from_secs(1);
        let seen = u32::try_from(instants[first..].iter().take_while(second).count()).unwrap();
        let allowed = f64::from(RATE) * (1.0 + late.as_secs_f64()) + f64::from(BURST);
        assert!(f64::from(seen) <= allowed, "{seen} in a second");
    }
    let targets = origin.targets();
    let inversions = targets.windows(2).filter(|pair| number(&pair[0]) > number(&pair[1])).count();
    // Two that were sent on two connections at the same time may be read in the other order.
    assert!(inversions <= BURST as usize, "{inversions} overtook: {targets:?}");
}

fn number(target: &str) -> usize {
    target.trim_start_matches('/').parse().unwrap()
}

/// Requests that are in line, in service or done.
fn arrived(weir: &Weir) -> u64 {
    let metrics = weir.metrics();
    metrics.sum("weir_queued{") + metrics.sum("weir_in_flight{") + metrics.requests("all", "admitted")
}

#[test]
fn what_is_refused_for_its_limit_does_not_reach_the_line() {
    let latch = Latch::new();
    let origin = Origin::latched(&latch);
    let limit = "[[client_limit]]\nname = \"address\"\nkey = \"address\"\nrate = \"1/m\"\nburst = 2\n";
    let route = "client_limits = [\"address\"]\nqueue = { wait = \"60s\", length = 10 }";
    let weir = Weir::start(&format!("{limit}{}", one_route(origin.address, 1, route)));
    let mut clients: Vec<Client> = (0..2).map(|_| Client::connect(weir.http)).collect();
    for client in &mut clients {
        client.ask("GET", "/");
    }
    weir.wait_for_load("u", 1, 1);
    over_limit(&crate::client::get(weir.http, "/"), "address", 2, 120);
    weir.wait_for_load("u", 1, 1);
    latch.let_pass(2);
    for client in &mut clients {
        assert_eq!(client.answer().status, 200);
    }
}
