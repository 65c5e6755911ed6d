//! Waiting rooms: turns come in order, are noticed soon, and are kept by whoever was not served.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::client::{Client, Response};
use crate::origin::{Latch, Origin};
use crate::rooms::{ask, config, crowd, join, number, occupy, origin, said};
use crate::weir::{Weir, eventually};

/// People in the crowd that comes at once.
const CROWD: usize = 36;
/// A turn is noticed within this by whoever is held.
const NOTICED: Duration = Duration::from_secs(1);

/// What one of a crowd saw.
#[derive(Clone, Copy, Debug)]
struct Seen {
    number: u64,
    sent: Instant,
    answered: Instant,
    is_in: bool,
}

/// How a client shows who he is, from his second request on.
fn shown(way: usize, ticket: &str) -> (String, String) {
    match way % 4 {
        0 => ("/form".to_owned(), String::new()),
        1 => ("/form".to_owned(), format!("weir-ticket: {ticket}\r\n")),
        2 => ("/form".to_owned(), format!("cookie: weir_ticket={ticket}\r\n")),
        _ => (format!("/form?weir_ticket={ticket}"), String::new()),
    }
}

/// Repeats one POST as he is told to, until it is served.
fn persist(weir: &Weir, way: usize, seen: &Mutex<Vec<Seen>>) {
    let mut ticket = String::new();
    let mut number = 0;
    for _ in 0..40 {
        let (target, fields) = shown(way, &ticket);
        let key = if way.is_multiple_of(4) { format!("idempotency-key: person-{way}\r\n") } else { String::new() };
        let sent = Instant::now();
        let mut client = Client::connect(weir.http);
        client.send(format!(
            "POST {target} HTTP/1.1\r\nhost: localhost\r\n{fields}{key}content-length: 6\r\n\r\nway={way:02}"
        ));
        let answer = client.answer();
        let answered = Instant::now();
        if answer.status == 200 {
            seen.lock().unwrap().push(Seen { number, sent, answered, is_in: true });
            return;
        }
        assert_eq!(answer.status, 503, "{answer:?}");
        let told = said(&answer);
        let own = told["ticket_number"].as_u64().unwrap();
        assert!(number == 0 || own == number, "{number} has become {own}");
        (number, ticket) = (own, answer.field("weir-ticket").unwrap().to_owned());
        if told["state"] == "waiting" {
            seen.lock().unwrap().push(Seen { number, sent, answered, is_in: false });
        }
        std::thread::sleep(Duration::from_secs(answer.field("retry-after").unwrap().parse().unwrap()));
    }
    panic!("{way} never had his turn");
}

#[test]
fn a_crowd_that_only_repeats_itself_as_told_comes_in_without_overtaking() {
    let origin = Origin::start(|exchange| {
        exchange.body()?;
        exchange.work(|| std::thread::sleep(Duration::from_millis(100)));
        exchange.respond(200, "", b"")
    });
    let weir = Weir::start(&config(origin.address, "identity = \"header:Idempotency-Key\""));
    let seen = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for way in 0..CROWD {
            let (weir, seen) = (&weir, &seen);
            scope.spawn(move || persist(weir, way, seen));
        }
    });
    let seen = seen.into_inner().unwrap();
    let waited = seen.iter().filter(|seen| !seen.is_in).count();
    assert!(waited > CROWD / 2, "{waited} answers to people who wait");
    for overtaken in seen.iter().filter(|seen| !seen.is_in) {
        // He was told that it is not his turn when somebody behind him had come in already.
        let ahead = |other: &&Seen| other.is_in && other.number > overtaken.number && other.answered < overtaken.sent;
        assert!(!seen.iter().any(|other| ahead(&other)), "{overtaken:?} was overtaken");
    }
    assert_eq!(origin.requests(), CROWD, "each once");
    assert_eq!(origin.most(), 1);
    let mut bodies: Vec<_> = origin.seen().iter().map(|seen| seen.get(seen.len() - 2..).unwrap().to_owned()).collect();
    bodies.sort();
    assert_eq!(bodies, (0..CROWD).map(|way| format!("{way:02}")).collect::<Vec<_>>());
}

#[test]
fn whoever_asks_to_be_held_notices_his_turn_within_a_second() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, "pace = \"1/s\""));
    let mut first = occupy(&weir);
    let tickets: Vec<_> = (0..6).map(|_| join(&weir, "")).collect();
    latch.let_pass(1);
    first.answer();
    let place = |ticket: &str, more: &str| {
        let answer = ask(&weir, "GET", "/.weir/place", &format!("weir-ticket: {ticket}\r\n{more}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        said(&answer)
    };
    std::thread::scope(|scope| {
        for ticket in &tickets {
            let (weir, place) = (&weir, &place);
            scope.spawn(move || {
                let called = scope.spawn(move || {
                    while place(ticket, "")["state"] != "turn" {
                        std::thread::sleep(Duration::from_millis(20));
                    }
                    Instant::now()
                });
                let began = Instant::now();
                let mut visits = 1;
                while place(ticket, "prefer: wait=20\r\n")["state"] != "turn" {
                    visits += 1;
                    assert!(visits < 8, "he was not held");
                }
                let noticed = Instant::now();
                let called = called.join().unwrap();
                assert!(noticed.saturating_duration_since(called) < NOTICED, "{:?}", noticed - called);
                assert!(visits <= 2, "{visits} visits in {:?}", began.elapsed());
                let answer = ask(weir, "GET", "/register", &format!("weir-ticket: {ticket}\r\n"));
                assert_eq!(answer.status, 200, "{answer:?}");
            });
        }
    });
}

/// He was away for as long as the visit before had said: his turn, seconds away by then, came meanwhile.
#[test]
fn whoever_was_held_in_vain_is_told_what_is_left_then() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, "pace = \"1/s\""));
    let _first = occupy(&weir);
    let tickets: Vec<_> = (0..9).map(|_| join(&weir, "")).collect();
    let fields = format!("weir-ticket: {}\r\nprefer: wait=3\r\n", tickets.last().unwrap());
    let told = said(&ask(&weir, "GET", "/.weir/place", &fields));
    assert_eq!((&told["state"], &told["poll_after_seconds"]), (&"waiting".into(), &1.into()), "{told}");
    latch.let_pass(1);
}

/// Whether `answer` says that it is his turn, though not at this moment.
fn is_put_off(answer: &Response) -> bool {
    answer.status == 503 && answer.reason() == "your_turn" && answer.field("retry-after").is_some()
}

#[test]
fn a_full_line_puts_off_whoever_was_called_and_he_keeps_his_place() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, "pace = \"5/s\""));
    let mut first = occupy(&weir);
    let ticket = join(&weir, "");
    let fields = format!("weir-ticket: {ticket}\r\n");
    let own = number(&weir, "/register", &fields);
    // An operator's pace calls people whether they can be served or not; the line takes one, for 200 ms.
    eventually("he is called and put off", || is_put_off(&ask(&weir, "GET", "/register", &fields)));
    let behind = join(&weir, "");
    assert!(number(&weir, "/register", &format!("weir-ticket: {behind}\r\n")) > own);
    let put_off = ask(&weir, "GET", "/register", &fields);
    assert!(is_put_off(&put_off) && said(&put_off)["ticket_number"] == own, "{put_off:?}");
    assert_eq!(origin.requests(), 1, "nobody else was let in");
    latch.let_pass(1);
    first.answer();
    let answer = ask(&weir, "GET", "/register", &fields);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.field("weir-pass").is_some());
}

#[test]
fn whom_the_service_fails_is_at_the_front_again() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, ""));
    let mut first = occupy(&weir);
    let [one, two] = [(); 2].map(|()| format!("weir-ticket: {}\r\n", join(&weir, "")));
    latch.let_pass(1);
    first.answer();
    let turn = |fields: &str| said(&ask(&weir, "GET", "/.weir/place", fields))["state"] == "turn";
    eventually("both are called", || turn(&one) && turn(&two));
    for failure in [500, 503, 429] {
        let failed = ask(&weir, "GET", &format!("/status/{failure}"), &one);
        assert_eq!((failed.status, failed.field("weir-pass")), (failure, None), "{failed:?}");
        assert!(failed.text().starts_with("GET /status/"), "the service's own words: {failed:?}");
        assert!(turn(&one), "he need not wait again");
    }
    // What he did wrong himself has used his turn, and he stays inside.
    assert_eq!(ask(&weir, "GET", "/status/422", &one).status, 422);
    let inside = ask(&weir, "GET", "/status/200", &one);
    assert_eq!(inside.status, 200, "{inside:?}");
    assert!(inside.field("weir-pass").is_some());
    assert_eq!(ask(&weir, "GET", "/", &two).status, 200);
}

#[test]
fn whoever_leaves_makes_room() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, "pace = \"paused\""));
    let tickets: Vec<_> = (0..3).map(|_| ask(&weir, "GET", "/", "").field("weir-ticket").unwrap().to_owned()).collect();
    let with = |position: usize| format!("weir-ticket: {}\r\n", tickets[position]);
    let ahead = |position| said(&ask(&weir, "GET", "/.weir/place", &with(position)))["ahead"].as_u64();
    assert_eq!([ahead(0), ahead(1), ahead(2)], [Some(0), Some(1), Some(2)]);
    let left = ask(&weir, "DELETE", "/.weir/place", &with(1));
    assert_eq!(left.status, 204, "{left:?}");
    eventually("the next moves up", || ahead(2) == Some(1));
    assert_eq!(ahead(0), Some(0));
    // His ticket is worth nothing any more: at the wicket and at the door.
    for method in ["GET", "HEAD"] {
        let answer = ask(&weir, method, "/.weir/place", &with(1));
        assert_eq!(answer.status, 404, "{method} {answer:?}");
    }
    assert_eq!(ask(&weir, "GET", "/.weir/place", "").reason(), "no_place");
    assert_eq!(number(&weir, "/", &with(1)), 4, "a newcomer");
}

#[test]
fn a_greedy_poller_learns_when_he_was_to_come_and_nothing_else() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, "pace = \"paused\""));
    let ticket = ask(&weir, "GET", "/", "").field("weir-ticket").unwrap().to_owned();
    let fields = format!("weir-ticket: {ticket}\r\n");
    let due =
        |answer: &Response| Instant::now() + Duration::from_secs(said(answer)["poll_after_seconds"].as_u64().unwrap());
    let told = due(&ask(&weir, "GET", "/.weir/place", &fields));
    for _ in 0..200 {
        let now = due(&ask(&weir, "GET", "/.weir/place", &fields));
        // It never moves on, however often he asks; times are kept in units of four seconds and told in whole ones.
        assert!(now <= told + Duration::from_secs(5), "{:?} later", now - told);
    }
}

#[test]
fn a_newcomer_whom_the_service_fails_is_at_the_front_and_has_a_ticket_to_say_so() {
    let latch = Latch::new();
    let origin = origin(&latch);
    // A page that is missing lets him stay inside, and gives no pass.
    for status in [500, 503, 404] {
        let weir = Weir::start(&config(origin.address, ""));
        let failed = ask(&weir, "GET", &format!("/status/{status}"), "");
        assert_eq!(failed.status, status, "{failed:?}");
        let ticket = failed.field("weir-ticket").unwrap().to_owned();
        assert!(failed.field("set-cookie").unwrap().starts_with(&format!("weir_ticket={ticket}; ")), "{failed:?}");
        assert!(failed.field("weir-pass").is_none(), "{failed:?}");
        assert_eq!(failed.field("cache-control"), Some("private"), "{failed:?}");
        let shown = format!("weir-ticket: {ticket}\r\n");
        let state = || said(&ask(&weir, "GET", "/.weir/place", &shown))["state"].clone();
        eventually("it is his turn", || state() == "turn");
        let mut busy = occupy(&weir);
        let behind = crowd(&weir);
        assert!(number_of(&weir, &behind) > number_of(&weir, &ticket), "{status}");
        latch.let_pass(1);
        assert_eq!(busy.answer().status, 200);
        let served = ask(&weir, "GET", "/form", &shown);
        assert_eq!(served.status, 200, "{served:?}");
        assert!(served.field("weir-ticket").is_none() && served.field("weir-pass").is_some(), "{served:?}");
    }
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let weir = Weir::start(&config(nobody, ""));
    let failed = ask(&weir, "GET", "/form", "");
    assert_eq!(failed.status, 502, "{failed:?}");
    let shown = format!("weir-ticket: {}\r\n", failed.field("weir-ticket").unwrap());
    eventually("it is his turn", || said(&ask(&weir, "GET", "/.weir/place", &shown))["state"] == "turn");
}

/// The number on `ticket`.
fn number_of(weir: &Weir, ticket: &str) -> u64 {
    let answer = ask(weir, "GET", "/.weir/place", &format!("weir-ticket: {ticket}\r\n"));
    said(&answer)["ticket_number"].as_u64().unwrap()
}

#[test]
fn one_place_holds_one_visit_at_a_time() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, "pace = \"2/m\""));
    assert_eq!(ask(&weir, "GET", "/form", "").status, 200);
    let [one, two] = [(); 2].map(|()| join(&weir, ""));
    let visit = |ticket: &str| {
        let began = Instant::now();
        let answer = ask(&weir, "GET", "/.weir/place", &format!("weir-ticket: {ticket}\r\nprefer: wait=3\r\n"));
        assert_eq!(said(&answer)["state"], "waiting", "{answer:?}");
        began.elapsed() > Duration::from_millis(1_500)
    };
    let held = |ticket: &str, visits: usize| {
        std::thread::scope(|scope| {
            let visits: Vec<_> = (0..visits).map(|_| scope.spawn(|| visit(ticket))).collect();
            visits.into_iter().map(|visit| usize::from(visit.join().unwrap())).sum::<usize>()
        })
    };
    let both = std::thread::scope(|scope| {
        let other = scope.spawn(|| held(&two, 1));
        (held(&one, 8), other.join().unwrap())
    });
    assert_eq!(both, (1, 1), "one of eight, and the one of somebody else");
    assert_eq!(held(&one, 1), 1, "and the next");
}

#[test]
fn of_a_turn_one_request_stands_at_the_gate() {
    let latch = Latch::new();
    let origin = origin(&latch);
    // With room for all of them in line.
    let weir = Weir::start(&config(origin.address, "").replace("length = 1", "length = 8"));
    let mut first = occupy(&weir);
    let own = format!("weir-ticket: {}\r\n", join(&weir, ""));
    latch.let_pass(1);
    let pass = first.answer().field("weir-pass").unwrap().to_owned();
    eventually("he is called", || said(&ask(&weir, "GET", "/.weir/place", &own))["state"] == "turn");
    first.send(format!("GET /busy HTTP/1.1\r\nhost: localhost\r\nweir-pass: {pass}\r\n\r\n"));
    weir.wait_for_load("u", 1, 0);
    let mut at_gate = Client::connect(weir.http);
    at_gate.send(format!("GET /register HTTP/1.1\r\nhost: localhost\r\n{own}\r\n"));
    weir.wait_for_load("u", 1, 1);
    for _ in 0..3 {
        let another = ask(&weir, "GET", "/register", &own);
        assert_eq!((another.status, another.reason().as_str()), (503, "your_turn"), "{another:?}");
    }
    weir.wait_for_load("u", 1, 1);
    latch.let_pass(1);
    assert_eq!((first.answer().status, at_gate.answer().status), (200, 200));
    assert_eq!(origin.targets(), ["/busy", "/busy", "/register"]);
    assert_eq!(ask(&weir, "GET", "/register", &own).status, 200, "inside he asks as he likes");
}
