//! Waiting rooms: everybody at once. All get a place, many tabs gain nothing, and a call centre has its answer at once.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::client::{Client, get};
use crate::origin::{Latch, Origin};
use crate::rooms::{ask, config, occupy, origin, said};
use crate::weir::{Weir, eventually};

/// As many as signed up for Kartu Prakerja in its first minute, if there is time for them.
fn joins() -> usize {
    if std::env::var_os("WEIR_LONG").is_some() { 80_000 } else { 4_000 }
}

/// Connections over which they come.
const CONNECTIONS: usize = 16;

/// Requests that are under way on each at once.
const AHEAD: usize = 25;

/// For an explanation, on the admin socket: a call centre asks while somebody is on the telephone.
const EXPLAINED: Duration = Duration::from_millis(10);

/// Joins as fast as weir answers; the number and the ticket of each.
fn rush(weir: &Weir) -> Vec<(u64, String)> {
    let places = Mutex::new(Vec::with_capacity(joins()));
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut client = Client::connect(weir.http);
                let mut own = Vec::with_capacity(joins() / CONNECTIONS);
                while own.len() < joins() / CONNECTIONS {
                    let many = AHEAD.min(joins() / CONNECTIONS - own.len());
                    client.send("GET /register HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(many));
                    for _ in 0..many {
                        let answer = client.answer();
                        let told = said(&answer);
                        assert_eq!((answer.status, &told["state"]), (503, &"paused".into()), "{answer:?}");
                        let number = told["ticket_number"].as_u64().unwrap();
                        own.push((number, answer.field("weir-ticket").unwrap().to_owned()));
                    }
                }
                places.lock().unwrap().extend(own);
            });
        }
    });
    places.into_inner().unwrap()
}

#[test]
fn everybody_who_comes_at_once_has_a_place_and_can_be_asked_for() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, "pace = \"paused\"\ncapacity = 100000"));
    let began = Instant::now();
    let places = rush(&weir);
    let took = began.elapsed();
    println!("{} joins in {took:?}: {:.0} a second", places.len(), places.len() as f64 / took.as_secs_f64());
    let numbers: HashSet<u64> = places.iter().map(|(number, _)| *number).collect();
    assert_eq!((places.len(), numbers.len()), (joins(), joins()), "each has one of his own");
    assert_eq!(numbers.iter().max(), Some(&(joins() as u64)), "and no number is nobody's");
    assert_eq!(origin.requests(), 0);
    // Who has come back once, and who never has.
    let (number, ticket) = places.last().unwrap();
    assert_eq!(
        said(&ask(&weir, "GET", "/.weir/place", &format!("weir-ticket: {ticket}\r\n")))["ticket_number"],
        *number
    );
    let mut fastest = [Duration::MAX; 2];
    for _ in 0..40 {
        for (fastest, who) in fastest.iter_mut().zip([ticket, &places[0].1]) {
            let mut operator = Client::connect(weir.admin);
            let began = Instant::now();
            operator.ask("GET", &format!("/v1/rooms/line/places/{who}"));
            let answer = operator.answer();
            *fastest = began.elapsed().min(*fastest);
            assert!(answer.status == 200 && said(&answer)["waits_for"]["en"].is_string(), "{answer:?}");
        }
    }
    println!("an explanation takes {fastest:?}");
    // What else the machine does only adds to it.
    assert!(fastest.iter().all(|fastest| *fastest <= EXPLAINED), "{fastest:?}");
}

/// People, of whom the first has so many tabs open.
const PEOPLE: usize = 10;
const TABS: usize = 50;

/// What became of somebody.
#[derive(Debug, Default)]
struct Seen {
    successes: usize,
    /// The numbers that he was told.
    numbers: HashSet<u64>,
}

/// Sends his form as he is told to until it counts, or has counted.
fn persist(weir: &Weir, person: usize, seen: &Mutex<Seen>) {
    for _ in 0..60 {
        let mut client = Client::connect(weir.http);
        let fields = format!("idempotency-key: person-{person}\r\ncontent-length: 0\r\n");
        client.send(format!("POST /form HTTP/1.1\r\nhost: localhost\r\n{fields}\r\n"));
        let answer = client.answer();
        match (answer.status, answer.reason().as_str()) {
            (200, _) => return seen.lock().unwrap().successes += 1,
            (409, "already_done") => return,
            (409, "already_sending") | (503, _) => {}
            _ => panic!("{answer:?}"),
        }
        let number = said(&answer)["ticket_number"].as_u64().unwrap();
        seen.lock().unwrap().numbers.insert(number);
        std::thread::sleep(Duration::from_secs(answer.field("retry-after").unwrap().parse().unwrap()));
    }
    panic!("{person} never had his turn");
}

#[test]
fn fifty_tabs_of_one_person_are_one_person() {
    let latch = Latch::new();
    let held = std::sync::Arc::clone(&latch);
    let origin = Origin::start(move |exchange| {
        exchange.body()?;
        let first = exchange.target() == "/busy";
        exchange.work(|| if first { held.pass() } else { std::thread::sleep(Duration::from_millis(30)) });
        exchange.respond(200, "", b"")
    });
    let counting = format!(
        "{}[[route]]\nname = \"form\"\npath = \"/form\"\nupstream = \"u\"\nwaiting_room = \"line\"\ncounts = true\n\
         queue = {{ wait = \"200ms\", length = 1 }}\n",
        config(origin.address, "identity = \"header:Idempotency-Key\"\nquota = 100")
    );
    let weir = Weir::start(&counting);
    let mut first = occupy(&weir);
    let seen: [Mutex<Seen>; PEOPLE] = Default::default();
    std::thread::scope(|scope| {
        for client in 0..PEOPLE - 1 + TABS {
            let person = client.saturating_sub(TABS - 1);
            let (weir, seen) = (&weir, &seen);
            scope.spawn(move || persist(weir, person, &seen[person]));
        }
        let people = || {
            let rooms: serde_json::Value = serde_json::from_slice(&get(weir.admin, "/v1/rooms").body).unwrap();
            rooms["rooms"][0]["issued"].as_u64().unwrap()
        };
        // And the one whose visit keeps the service busy.
        eventually("everybody has a place", || people() == PEOPLE as u64 + 1);
        latch.let_pass(1);
        assert_eq!(first.answer().status, 200);
    });
    let seen = seen.map(|seen| seen.into_inner().unwrap());
    assert!(seen.iter().all(|seen| seen.successes == 1), "an equal share: {seen:?}");
    assert_eq!(origin.requests(), PEOPLE + 1, "and nothing was spent on the other tabs");
    assert!(seen.iter().all(|seen| seen.numbers.len() == 1), "one place each: {seen:?}");
    let numbers: HashSet<u64> = seen.iter().flat_map(|seen| seen.numbers.clone()).collect();
    assert_eq!(numbers, (2..=PEOPLE as u64 + 1).collect());
}
