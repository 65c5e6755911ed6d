//! Waiting rooms over each version of HTTP, for other sites' pages, and at their bounds.

use std::time::{Duration, Instant};

use crate::client::Client;
use crate::frames::{END_STREAM, Frames};
use crate::origin::{Latch, field};
use crate::rooms::{ask, config, join, number, occupy, origin, said};
use crate::tools::curl;
use crate::weir::Weir;

/// Visits that ask to be held.
const VISITS: usize = 2_000;
/// On one connection; weir allows 128 requests at once.
const STREAMS: usize = 125;

#[test]
fn every_way_in_leads_to_the_same_place() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, "pace = \"paused\""));
    let certificate = weir.certificate().to_str().unwrap().to_owned();
    let (http, https) = (format!("http://{}", weir.http), format!("https://{}", weir.https));
    for (way, base) in
        [("--http1.1", &http), ("--http2-prior-knowledge", &http), ("--http1.1", &https), ("--http2", &https)]
    {
        let jar = weir.scratch(way).to_str().unwrap().to_owned();
        std::fs::remove_file(&jar).ok();
        let browse = |more: &[&str], target: &str| {
            let url = format!("{base}{target}");
            curl(&[&["-i", way, "--cacert", &certificate, "-b", &jar, "-c", &jar], more, &[&url]].concat())
        };
        let joined = browse(&[], "/register");
        let ticket = field(&joined, "weir-ticket").unwrap();
        let secure = if base.starts_with("https") { "; Secure" } else { "" };
        let cookie = format!("weir_ticket={ticket}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax{secure}");
        assert_eq!(field(&joined, "set-cookie"), Some(cookie.as_str()));
        let own =
            |text: &str| text.split("\"ticket_number\":").nth(1).unwrap().split([',', '}']).next().unwrap().to_owned();
        assert_eq!(own(&browse(&[], "/register")), own(&joined), "the cookie came back");
        assert_eq!(own(&browse(&[], "/.weir/place")), own(&joined));
        // HEAD tells what GET would, without a body.
        for target in ["/register", "/.weir/place"] {
            let head = browse(&["--head"], target);
            let length: usize = field(&head, "content-length").unwrap().parse().unwrap();
            assert!(length > 100 && head.trim_end().lines().count() == head.lines().count() - 1, "{head}");
            assert!(field(&head, "retry-after").is_some(), "{head}");
        }
        let wrong = browse(&["-X", "PUT"], "/.weir/place");
        assert_eq!(field(&wrong, "allow"), Some("GET, HEAD, DELETE"), "{wrong}");
        let left = browse(&["-X", "DELETE"], "/.weir/place");
        let gone = format!("weir_ticket=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax{secure}");
        assert_eq!(field(&left, "set-cookie"), Some(gone.as_str()), "{left}");
        assert_ne!(own(&browse(&[], "/register")), own(&joined), "he has left");
    }
    assert_eq!(origin.requests(), 0);
}

#[test]
fn a_page_of_another_site_asks_the_service_what_it_may_send() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, "pace = \"paused\""));
    let preflight = "origin: https://app.example\r\naccess-control-request-method: POST\r\n";
    let asked = ask(&weir, "OPTIONS", "/register", preflight);
    assert_eq!(asked.status, 200, "{asked:?}");
    assert!(["weir-ticket", "weir-pass", "set-cookie"].iter().all(|name| asked.field(name).is_none()), "{asked:?}");
    assert!(asked.text().starts_with("OPTIONS /register"), "the service's own answer");
    assert_eq!(number(&weir, "/register", ""), 1, "it took nobody's place");
    // Any other question waits like what it asks about.
    for fields in ["", "origin: https://app.example\r\n"] {
        assert_eq!(ask(&weir, "OPTIONS", "/register", fields).status, 503);
    }
    assert_eq!(origin.requests(), 1);
}

#[test]
fn a_full_room_says_so() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, "pace = \"paused\"\ncapacity = 4096"));
    let mut client = Client::connect(weir.http);
    let mut tickets = Vec::new();
    let full = loop {
        let answer = client.ask("GET", "/register").answer();
        let Some(ticket) = answer.field("weir-ticket") else { break answer };
        tickets.push(ticket.to_owned());
    };
    // Numbers are remembered in chunks of 4,096, of which one more is begun.
    assert!((4_096..=8_192).contains(&tickets.len()), "{}", tickets.len());
    assert_eq!((full.status, full.reason().as_str()), (503, "room_full"), "{full:?}");
    let again: u64 = full.field("retry-after").unwrap().parse().unwrap();
    assert!((30..=61).contains(&again), "{full:?}");
    let page = ask(&weir, "GET", "/register", "accept: text/html\r\n").text();
    assert!(page.contains("Ruang tunggu pun penuh.") && page.contains("Even the waiting room is full."), "{page}");
    for (position, ticket) in [(1, tickets.first()), (tickets.len(), tickets.last())] {
        let own = number(&weir, "/register", &format!("weir-ticket: {}\r\n", ticket.unwrap()));
        assert_eq!(own, position as u64, "who has a place keeps it");
    }
}

#[test]
fn of_two_thousand_visits_of_one_place_one_is_held() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, "pace = \"1/m\""));
    let _first = occupy(&weir);
    let ticket = join(&weir, "");
    let fields = [("weir-ticket", &*ticket), ("prefer", "wait=20")];
    let began = Instant::now();
    let mut connections: Vec<_> = (0..VISITS / STREAMS)
        .map(|_| {
            let mut frames = Frames::connect(weir.http);
            frames.widen(0, 1 << 24);
            for _ in 0..STREAMS {
                frames.ask("GET", "/.weir/place", &fields, true);
            }
            frames
        })
        .collect();
    let ended = std::thread::scope(|scope| {
        let count = |frames: &mut Frames| {
            let mut ended = Vec::new();
            while ended.len() < STREAMS {
                let Ok(frame) = frames.next() else { break };
                if frame.flags & END_STREAM != 0 && matches!(frame.kind, crate::frames::DATA | crate::frames::HEADERS) {
                    ended.push(began.elapsed());
                }
            }
            ended
        };
        let counters: Vec<_> = connections.iter_mut().map(|frames| scope.spawn(move || count(frames))).collect();
        // Meanwhile others are answered.
        std::thread::sleep(Duration::from_secs(5));
        let other = Instant::now();
        let look = ask(&weir, "GET", "/.weir/place", &format!("weir-ticket: {ticket}\r\nprefer: wait=30\r\n"));
        assert_eq!(said(&look)["state"], "waiting", "{look:?}");
        assert!(other.elapsed() < Duration::from_secs(2), "not a second one: {:?}", other.elapsed());
        counters.into_iter().flat_map(|counter| counter.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(ended.len(), VISITS, "each is answered");
    let at_once = ended.iter().filter(|at| **at < Duration::from_secs(15)).count();
    assert_eq!(at_once, VISITS - 1, "and one was held");
}
