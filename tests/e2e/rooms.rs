//! Waiting rooms: whoever does not fit gets a place, keeps it whatever his client does, and is who he says by a ticket or an identity.

use std::net::SocketAddr;

use serde_json::Value;

use crate::client::{Client, Response};
use crate::origin::{Latch, Origin, field};
use crate::weir::Weir;

/// A service that is busy with `/busy` until its latch lets go, and answers everything else with what it was asked.
pub(crate) fn origin(latch: &std::sync::Arc<Latch>) -> Origin {
    let latch = std::sync::Arc::clone(latch);
    Origin::start(move |exchange| {
        let head = exchange.head.clone();
        exchange.body()?;
        if exchange.target().starts_with("/busy") {
            exchange.work(|| latch.pass());
        }
        let status = exchange.target().strip_prefix("/status/").and_then(|status| status.parse().ok()).unwrap_or(200);
        exchange.respond(status, "", head.as_bytes())
    })
}

/// A room `line` with `lines`, in front of one request at a time; whoever comes in is given a pass.
pub(crate) fn config(server: SocketAddr, lines: &str) -> String {
    format!(
        "[pass]\nkey = \"file:pass.key\"\n[[waiting_room]]\nname = \"line\"\nkey = \"file:room.key\"\n{lines}\n\
         [[upstream]]\nname = \"u\"\nservers = [\"{server}\"]\nconcurrency = 1\n\
         [[route]]\nname = \"all\"\npath = \"/*\"\nupstream = \"u\"\nwaiting_room = \"line\"\ngrants_pass = true\n\
         queue = {{ wait = \"200ms\", length = 1 }}\n"
    )
}

/// Asks once, on a connection of its own; `fields` are whole lines.
pub(crate) fn ask(weir: &Weir, method: &str, target: &str, fields: &str) -> Response {
    let mut client = Client::connect(weir.http);
    client.send(format!("{method} {target} HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n"));
    client.try_answer(method).unwrap()
}

/// Makes the service busy until its latch lets go.
pub(crate) fn occupy(weir: &Weir) -> Client {
    let mut first = Client::connect(weir.http);
    first.ask("GET", "/busy");
    weir.wait_for_load("u", 1, 0);
    first
}

/// What an answer in JSON says.
pub(crate) fn said(answer: &Response) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

/// The ticket of somebody who joins with `fields`.
pub(crate) fn join(weir: &Weir, fields: &str) -> String {
    let answer = ask(weir, "GET", "/register", fields);
    assert_eq!((answer.status, answer.reason().as_str()), (503, "waiting"), "{answer:?}");
    answer.field("weir-ticket").unwrap().to_owned()
}

/// Makes newcomers wait while the service is busy: one is held at the gate in vain, the next has to wait for him. The ticket of the latter.
pub(crate) fn crowd(weir: &Weir) -> String {
    let held = ask(weir, "GET", "/register", "");
    assert_eq!((held.status, held.reason().as_str()), (503, "your_turn"), "{held:?}");
    join(weir, "")
}

/// The number of the place that a request with `fields` finds.
pub(crate) fn number(weir: &Weir, target: &str, fields: &str) -> u64 {
    let answer = ask(weir, "GET", target, fields);
    assert_eq!(answer.status, 503, "{answer:?}");
    said(&answer)["ticket_number"].as_u64().unwrap()
}

#[test]
fn whoever_comes_while_nobody_waits_goes_straight_in() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, ""));
    let answer = ask(&weir, "GET", "/register?a=b&weir_new=1", "");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.text().starts_with("GET /register?a=b HTTP/1.1\r\n"), "{answer:?}");
    let pass = answer.field("weir-pass").unwrap().to_owned();
    assert!(answer.field("weir-ticket").is_none() && answer.field("retry-after").is_none());
    // He stays inside when others have to wait.
    let mut first = occupy(&weir);
    crowd(&weir);
    let mut inside = Client::connect(weir.http);
    inside.send(format!("GET /next HTTP/1.1\r\nhost: localhost\r\nweir-pass: {pass}\r\n\r\n"));
    weir.wait_for_load("u", 1, 1);
    latch.let_pass(1);
    assert_eq!((inside.answer().status, first.answer().status), (200, 200));
}

#[test]
fn a_crowd_is_numbered_as_it_comes_and_keeps_its_numbers() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, "pace = \"paused\""));
    let _first = {
        // A pause holds newcomers from the first on.
        let answer = ask(&weir, "GET", "/register", "");
        assert_eq!((answer.status, answer.reason().as_str()), (503, "paused"), "{answer:?}");
        answer
    };
    let tickets: Vec<_> = (1..=40)
        .map(|before| {
            let answer = ask(&weir, "GET", "/register", "");
            let told = said(&answer);
            assert_eq!((told["ticket_number"].as_u64(), told["ahead"].as_u64()), (Some(before + 1), Some(before)));
            assert_eq!(told["poll_after_seconds"].to_string(), answer.field("retry-after").unwrap());
            answer.field("weir-ticket").unwrap().to_owned()
        })
        .collect();
    for (position, ticket) in tickets.iter().enumerate() {
        let own = position as u64 + 2;
        // Refreshed, in a second tab, by a client that keeps headers or nothing but the link: the same place.
        for (target, fields) in [
            ("/register", format!("cookie: a=b; weir_ticket={ticket}\r\n")),
            ("/other?x=y", format!("cookie: weir_ticket={ticket}\r\n")),
            ("/register", format!("weir-ticket: {ticket}\r\n")),
            (&*format!("/register?weir_ticket={ticket}"), String::new()),
        ] {
            assert_eq!(number(&weir, target, &fields), own, "{target} {fields}");
        }
    }
    assert_eq!(origin.requests(), 0);
}

#[test]
fn what_is_stated_outranks_what_the_browser_keeps() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, "pace = \"paused\""));
    let join = || ask(&weir, "GET", "/", "").field("weir-ticket").unwrap().to_owned();
    let [one, two, three] = [(); 3].map(|()| join());
    assert_eq!(number(&weir, "/", &format!("weir-ticket: {two}\r\ncookie: weir_ticket={one}\r\n")), 2);
    let target = format!("/?weir_ticket={three}");
    assert_eq!(number(&weir, &target, &format!("weir-ticket: {two}\r\ncookie: weir_ticket={one}\r\n")), 3);
    // What is good outranks what is not.
    assert_eq!(number(&weir, "/?weir_ticket=nonsense", &format!("cookie: weir_ticket={one}\r\n")), 1);
}

#[test]
fn a_ticket_that_is_not_ours_is_as_good_as_none() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, "pace = \"paused\"\nlife = \"10s\""));
    let foreign = Weir::start(&config(origin.address, "pace = \"paused\""));
    let ticket = |weir: &Weir| ask(weir, "GET", "/", "").field("weir-ticket").unwrap().to_owned();
    let (own, foreign) = (ticket(&weir), ticket(&foreign));
    let mut last = 1;
    let mut is_new = |ticket: &str| {
        let found = number(&weir, "/", &format!("weir-ticket: {ticket}\r\n"));
        last += u64::from(found == last + 1);
        found == last && found != 1
    };
    assert!(!is_new(&own), "it is good");
    for position in [0, 7, 20, 51] {
        let mut forged = own.clone().into_bytes();
        forged[position] = if forged[position] == b'A' { b'B' } else { b'A' };
        assert!(is_new(std::str::from_utf8(&forged).unwrap()), "{position}");
    }
    for wrong in [
        &*foreign,
        "",
        "x",
        own.get(..51).unwrap(),
        &format!("{own}A"),
        &"A".repeat(52),
        &"é".repeat(26),
        &"=".repeat(9_000),
    ] {
        assert!(is_new(wrong), "{wrong}");
    }
    // None of them is signed anew: the place is another, and so is the ticket.
    let old = std::time::Instant::now() + std::time::Duration::from_secs(11);
    std::thread::sleep(old.saturating_duration_since(std::time::Instant::now()));
    assert!(is_new(&own), "it was good for ten seconds");
}

#[test]
fn one_identity_is_one_place_whatever_becomes_of_its_tickets() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, "pace = \"paused\"\nidentity = \"header:Idempotency-Key\""));
    let with = |key: &str| format!("idempotency-key: {key}\r\n");
    assert_eq!(number(&weir, "/", &with("one")), 1);
    // Fifty of them at once, in sessions of their own.
    let numbers: Vec<u64> = std::thread::scope(|scope| {
        let sessions: Vec<_> = (0..50).map(|_| scope.spawn(|| number(&weir, "/", &with("two")))).collect();
        sessions.into_iter().map(|session| session.join().unwrap()).collect()
    });
    assert!(numbers.iter().all(|number| *number == numbers[0]) && numbers[0] == 2, "{numbers:?}");
    assert_eq!(number(&weir, "/", &with("three")), 3, "nothing was spent on the forty-nine");
    let ticket = ask(&weir, "GET", "/", &with("one")).field("weir-ticket").unwrap().to_owned();
    assert_eq!(number(&weir, "/", &format!("weir-ticket: {ticket}\r\n")), 1, "the ticket alone");
    assert_eq!(number(&weir, "/", &format!("{}weir-ticket: {ticket}\r\n", with("two"))), 2, "another's ticket");
    assert_eq!(number(&weir, "/", &format!("{}weir-ticket: {ticket}\r\n", with("four"))), 4, "taken along");
    // A place that was given without an identity becomes the first one's that brings it.
    let anonymous = ask(&weir, "GET", "/", "").field("weir-ticket").unwrap().to_owned();
    let five = number(&weir, "/", &format!("weir-ticket: {anonymous}\r\n"));
    assert_eq!(number(&weir, "/", &format!("{}weir-ticket: {anonymous}\r\n", with("five"))), five);
    assert_eq!(number(&weir, "/", &with("five")), five, "the ticket is lost");
}

#[test]
fn what_is_ours_never_reaches_the_service() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, ""));
    let mut first = occupy(&weir);
    let ticket = join(&weir, "");
    latch.let_pass(1);
    first.answer();
    let target = format!("/register?a=b&weir_ticket={ticket}&c=%20d&weir_new=1");
    let fields = format!("weir-ticket: {ticket}\r\ncookie: weir_ticket={ticket}; a=b; weir_ticket_line={ticket}\r\n");
    crate::weir::eventually("it is his turn", || ask(&weir, "GET", &target, &fields).status == 200);
    let seen = origin.seen().into_iter().find(|request| request.contains("/register")).unwrap();
    assert!(seen.starts_with("GET /register?a=b&c=%20d HTTP/1.1\r\n"), "{seen}");
    assert_eq!(field(&seen, "cookie"), Some("a=b"));
    assert!(!seen.to_lowercase().contains("weir-") && !seen.contains(&ticket), "{seen}");
    assert!(weir.access_log().lines().all(|line| !line.contains(&ticket)), "not even the log");
}
