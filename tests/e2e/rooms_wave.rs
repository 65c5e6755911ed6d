//! Waiting rooms: the end of a wave, and what becomes of those who hold a place then. Waves of seconds.

use std::time::{Duration, SystemTime};

use crate::client::{Client, Response};
use crate::origin::{Latch, Origin};
use crate::rooms::{ask, config, join, occupy, origin, said};
use crate::weir::{Weir, eventually};

/// The instant `after` now, as it is written in a configuration (RFC 3339), in whole seconds.
fn instant(after: u64) -> (u64, String) {
    let unix = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() + after;
    let (days, second) = (unix / 86_400, unix % 86_400);
    // Days to a date of the Gregorian calendar, as Howard Hinnant counts them ("chrono-compatible low-level date algorithms").
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let (day, month) = (day_of_year - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    (unix, format!("\"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z\""))
}

/// Waits for the wall clock.
fn until(unix: u64) {
    let left = Duration::from_secs(unix).saturating_sub(SystemTime::UNIX_EPOCH.elapsed().unwrap());
    std::thread::sleep(left + Duration::from_millis(300));
}

/// A room that closes soon, with the service busy, and somebody in line.
struct Closing {
    latch: std::sync::Arc<Latch>,
    origin: Origin,
    weir: Weir,
    first: Client,
    /// The field with his ticket.
    waiting: String,
    closed: u64,
}

fn closing(at_close: &str, next: &str) -> Closing {
    let latch = Latch::new();
    let origin = origin(&latch);
    let (closed, written) = instant(8);
    let waves = format!("at_close = \"{at_close}\"\n[[waiting_room.wave]]\ncloses = {written}\n{next}");
    let weir = Weir::start(&config(origin.address, &waves));
    let first = occupy(&weir);
    let waiting = format!("weir-ticket: {}\r\n", join(&weir, ""));
    let told = said(&ask(&weir, "GET", "/.weir/place", &waiting));
    assert_eq!(
        (told["state"].as_str(), told["at_close"].as_str()),
        (Some("waiting"), Some(at_close)),
        "told before: {told}"
    );
    assert_eq!(told["closes"].as_str().unwrap().get(..19), written.get(1..20));
    Closing { latch, origin, weir, first, waiting, closed }
}

fn is_closed(answer: &Response) -> bool {
    answer.status == 403 && answer.reason() == "closed" && answer.field("weir-ticket").is_none()
}

#[test]
fn whoever_held_a_place_is_served_after_the_end() {
    let Closing { latch, origin, weir, mut first, waiting, closed } = closing("serve", "");
    until(closed);
    assert!(is_closed(&ask(&weir, "GET", "/register", "")), "newcomers come too late");
    let page = ask(&weir, "GET", "/register", "accept: text/html\r\naccept-language: en\r\n");
    assert!(page.status == 403 && page.text().contains("<html lang=\"en\">"), "{page:?}");
    latch.let_pass(1);
    first.answer();
    eventually("he is served", || ask(&weir, "GET", "/register", &waiting).status == 200);
    assert_eq!(origin.targets(), ["/busy", "/register"]);
    assert!(is_closed(&ask(&weir, "GET", "/register", "")), "nobody waits, and it is closed all the same");
}

#[test]
fn a_place_ends_with_the_wave_where_it_is_said_so() {
    let Closing { latch, origin, weir, mut first, waiting, closed } = closing("end", "");
    until(closed);
    let answer = ask(&weir, "GET", "/register", &waiting);
    assert_eq!((answer.status, answer.reason().as_str()), (403, "closed"), "{answer:?}");
    assert_eq!(said(&answer)["kept_place"], "ended");
    latch.let_pass(1);
    assert_eq!(first.answer().status, 200, "who is inside goes on");
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(ask(&weir, "GET", "/register", &waiting).status, 403);
    assert_eq!(origin.targets(), ["/busy"]);
}

#[test]
fn a_place_is_carried_into_the_next_wave_without_registering_again() {
    let (opened, opens) = instant(14);
    let Closing { latch, origin, weir, mut first, waiting, closed } =
        closing("carry", &format!("[[waiting_room.wave]]\nopens = {opens}\n"));
    until(closed);
    let answer = ask(&weir, "GET", "/register", &waiting);
    let told = said(&answer);
    assert_eq!((answer.status, told["kept_place"].as_str()), (503, Some("carried")), "{answer:?}");
    assert_eq!(told["next_opens"].as_str().unwrap().get(..19), opens.get(1..20));
    let early: u64 = answer.field("retry-after").unwrap().parse().unwrap();
    assert!(early <= 12, "he is called back for it: {early}");
    latch.let_pass(1);
    first.answer();
    assert_eq!(ask(&weir, "GET", "/register", &waiting).status, 503, "it is closed until then");
    until(opened);
    eventually("he is first", || ask(&weir, "GET", "/register", &waiting).status == 200);
    assert_eq!(origin.targets(), ["/busy", "/register"]);
}

#[test]
fn whoever_is_left_over_takes_part_in_the_next_wave() {
    for identified in [false, true] {
        let (opened, opens) = instant(20);
        let identity = if identified { "identity = \"header:x-person\"\n" } else { "" };
        let latch = Latch::new();
        let origin = origin(&latch);
        let waves =
            format!("{identity}[[waiting_room.wave]]\nquota = 1\n[[waiting_room.wave]]\nopens = {opens}\nquota = 9\n");
        let weir = Weir::start(&config(origin.address, &waves));
        let mut first = occupy(&weir);
        let person = |who: usize| if identified { format!("x-person: {who}\r\n") } else { String::new() };
        let old: Vec<String> =
            (0..2).map(|who| format!("{}weir-ticket: {}\r\n", person(who), join(&weir, &person(who)))).collect();
        latch.let_pass(1);
        assert_eq!(first.answer().status, 200, "the only place is taken");
        let told = || said(&ask(&weir, "GET", "/.weir/place", &old[0]));
        eventually("it is over", || told()["state"] == "spent");
        assert_eq!(told()["kept_place"], "ended");
        let registered = ask(&weir, "GET", "/register", &old[0]);
        assert_eq!((registered.status, registered.reason().as_str()), (503, "not_open_yet"), "{registered:?}");
        let ticket = registered.field("weir-ticket").unwrap();
        let again = said(&ask(&weir, "GET", "/register", &format!("{}weir-ticket: {ticket}\r\n", person(0))));
        assert_eq!(again["ticket_number"], said(&registered)["ticket_number"]);
        until(opened);
        let late = ask(&weir, "GET", "/register", &old[1]);
        assert!(late.status != 403 && !late.text().contains("\"ended\""), "{late:?}");
        let fields = format!("{}weir-ticket: {ticket}\r\n", person(0));
        eventually("he is let in", || ask(&weir, "GET", "/register", &fields).status == 200);
    }
}

#[test]
fn a_pause_holds_everybody_and_a_pace_is_kept() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, "pace = \"2/s\""));
    let mut first = occupy(&weir);
    let tickets: Vec<_> = (0..9).map(|_| join(&weir, "")).collect();
    latch.let_pass(1);
    first.answer();
    let turns = || {
        let is_called = |ticket: &String| {
            said(&ask(&weir, "GET", "/.weir/place", &format!("weir-ticket: {ticket}\r\n")))["state"] == "turn"
        };
        tickets.iter().take_while(|ticket| is_called(ticket)).count()
    };
    eventually("the first is called", || turns() >= 1);
    let (began, before) = (std::time::Instant::now(), turns());
    eventually("six more are", || turns() >= before + 6);
    let took = began.elapsed();
    assert!(took > Duration::from_millis(2_400), "{took:?} for six at two a second");
}

#[test]
fn a_pace_holds_for_those_too_who_find_nobody_waiting() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address, "pace = \"2/s\""));
    eventually("the pace lets the first straight in", || ask(&weir, "GET", "/register", "").status == 200);
    let (began, before) = (std::time::Instant::now(), origin.requests());
    for _ in 0..20 {
        ask(&weir, "GET", "/register", "");
    }
    let most = 1 + usize::try_from(began.elapsed().as_secs()).unwrap() * 2 + 2;
    assert!(origin.requests() - before <= most, "{} of 20 within {:?}", origin.requests() - before, began.elapsed());
}
