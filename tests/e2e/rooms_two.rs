//! Two waiting rooms on one way: a person has a place in each, and a browser that several share stands for none of them.

use std::net::SocketAddr;

use crate::client::{Client, Response};
use crate::origin::Latch;
use crate::rooms::{ask, occupy, origin, said};
use crate::weir::{Weir, eventually};

/// A room before `/register`, and one with a quota before `/join`.
fn config(server: SocketAddr) -> String {
    let room = |name: &str, lines: &str| {
        format!("[[waiting_room]]\nname = \"{name}\"\nkey = \"file:{name}.key\"\nidentity = \"header:who\"\n{lines}\n")
    };
    let route = |path: &str, room: &str| {
        format!(
            "[[route]]\npath = \"{path}\"\nupstream = \"u\"\nwaiting_room = \"{room}\"\ngrants_pass = true\n\
             queue = {{ wait = \"200ms\", length = 1 }}\n"
        )
    };
    format!(
        "[pass]\nkey = \"file:pass.key\"\n{}{}[[upstream]]\nname = \"u\"\nservers = [\"{server}\"]\nconcurrency = 1\n{}{}{}",
        room("opening", ""),
        room("batch", "quota = 10"),
        route("/register", "opening"),
        route("/join", "batch"),
        "[[route]]\npath = \"/busy\"\nupstream = \"u\"\ngrants_pass = false\n",
    )
}

/// The cookies that `answer` sets, as a browser sends them back.
fn cookies(answer: &Response) -> String {
    let set = answer.fields.iter().filter(|(name, _)| name == "set-cookie");
    let pairs: Vec<_> = set.filter_map(|(_, cookie)| cookie.split(';').next()).collect();
    pairs.join("; ")
}

#[test]
fn the_next_person_at_one_browser_is_not_who_joined_before_him() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address));
    let first = ask(&weir, "POST", "/join", "who: first\r\ncontent-length: 0\r\n");
    assert_eq!(first.status, 200, "{first:?}");
    let kept = cookies(&first);
    assert!(kept.contains("weir_pass_batch="), "{first:?}");
    let again = ask(&weir, "POST", "/join", &format!("who: first\r\ncookie: {kept}\r\ncontent-length: 0\r\n"));
    assert_eq!((again.status, again.reason().as_str()), (409, "already_done"), "one place, one success: {again:?}");
    let second = ask(&weir, "POST", "/join", &format!("who: second\r\ncookie: {kept}\r\ncontent-length: 0\r\n"));
    assert_eq!(second.status, 200, "another person: {second:?}");
}

/// Keeps the cookies that `answer` sets as a browser does: one a name.
fn keep(jar: &mut Vec<String>, answer: &Response) {
    for cookie in cookies(answer).split("; ").filter(|cookie| !cookie.is_empty()) {
        let name = cookie.split('=').next().unwrap();
        jar.retain(|kept| kept.split('=').next() != Some(name));
        jar.push(cookie.to_owned());
    }
}

#[test]
fn a_browser_keeps_a_pass_of_each_room() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address).replace("identity = \"header:who\"\n", ""));
    let mut jar = Vec::new();
    for path in ["/register", "/join"] {
        let straight = ask(&weir, "GET", path, &format!("cookie: {}\r\n", jar.join("; ")));
        assert_eq!(straight.status, 200, "{straight:?}");
        keep(&mut jar, &straight);
    }
    assert!(jar.iter().any(|kept| kept.starts_with("weir_pass_opening=")), "{jar:?}");
    let mut busy = occupy(&weir);
    let held = ask(&weir, "GET", "/register", "");
    assert_eq!(held.status, 503, "others wait from now on: {held:?}");
    let mut inside = Client::connect(weir.http);
    inside.send(format!("GET /register HTTP/1.1\r\nhost: localhost\r\ncookie: {}\r\n\r\n", jar.join("; ")));
    weir.wait_for_load("u", 1, 1);
    latch.let_pass(1);
    assert_eq!((inside.answer().status, busy.answer().status), (200, 200));
    assert!(origin.seen().iter().all(|seen| !seen.contains("weir_pass")), "what is ours stays here");
}

#[test]
fn who_does_not_say_which_place_he_means_means_the_one_he_waits_for() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address));
    let who = "who: me\r\ncontent-length: 0\r\n";
    assert_eq!(ask(&weir, "POST", "/register", who).status, 200);
    let mut busy = occupy(&weir);
    // One is held at the gate in vain, so that the next has to wait.
    assert_eq!(ask(&weir, "POST", "/join", "who: other\r\ncontent-length: 0\r\n").status, 503);
    let answer = ask(&weir, "POST", "/join", who);
    assert_eq!((answer.status, answer.reason().as_str()), (503, "waiting"), "{answer:?}");
    let place = |query: &str| said(&ask(&weir, "GET", &format!("/.weir/place{query}"), who));
    assert_eq!((place("")["room"].as_str(), place("")["state"].as_str()), (Some("batch"), Some("waiting")));
    assert_eq!(place("?room=opening")["room"].as_str(), Some("opening"));
    latch.let_pass(10);
    assert_eq!(busy.answer().status, 200);
    eventually("his turn", || place("")["state"] == "turn");
}

/// When the bearer of the pass that `answer` gives was let in, in seconds since 1970.
fn admitted(answer: &Response) -> u64 {
    let pass = answer.field("weir-pass").unwrap_or_else(|| panic!("no pass: {answer:?}"));
    u64::from_str_radix(pass.get(2..14).unwrap(), 16).unwrap()
}

/// The cookies of somebody who was let in at `/join`, and the next second but one.
fn left_behind(weir: &Weir, who: &str) -> (Vec<String>, u64) {
    let before = ask(weir, "POST", "/join", &format!("{who}content-length: 0\r\n"));
    let mut jar = Vec::new();
    keep(&mut jar, &before);
    let since = admitted(&before);
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    (jar, since)
}

#[test]
fn who_says_that_he_is_another_has_nothing_of_the_person_before_in_any_room() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address).replace("identity = \"header:who\"\n", ""));
    let (mut jar, since) = left_behind(&weir, "");
    let kept = format!("cookie: {}\r\n", jar.join("; "));
    let same = ask(&weir, "GET", "/register", &kept);
    assert_eq!(admitted(&same), since, "let in at the first room");
    // A link on another site says nothing of who sits there.
    latch.let_pass(1);
    let led = ask(&weir, "GET", "/busy?weir_new=1", &format!("{kept}sec-fetch-site: cross-site\r\n"));
    assert_eq!((led.status, cookies(&led)), (200, String::new()), "{led:?}");
    let led = ask(&weir, "GET", "/register?weir_new=1", &format!("{kept}sec-fetch-site: cross-site\r\n"));
    assert_eq!(admitted(&led), since, "nor takes it the pass away of who does: {led:?}");
    let another = ask(&weir, "GET", "/register?weir_new=1", &kept);
    assert!(admitted(&another) > since, "a newcomer of the funnel too: {another:?}");
    keep(&mut jar, &another);
    assert!(jar.contains(&"weir_pass_batch=".to_owned()), "and of the other room nothing is left: {jar:?}");
    assert!(jar.iter().any(|kept| kept.starts_with("weir_pass_opening=02")), "{jar:?}");
    assert!(another.fields.iter().any(|(_, field)| field.starts_with("weir_pass_batch=; Path=/; Max-Age=0")));
}

#[test]
fn a_pass_of_another_room_counts_only_for_whom_it_was_given_to() {
    let latch = Latch::new();
    let origin = origin(&latch);
    let weir = Weir::start(&config(origin.address));
    let (jar, since) = left_behind(&weir, "who: first\r\n");
    let kept = format!("cookie: {}\r\n", jar.join("; "));
    let next = ask(&weir, "GET", "/register", &format!("who: second\r\n{kept}"));
    assert!(admitted(&next) > since, "let in after the first: {next:?}");
    let first = ask(&weir, "GET", "/register", &format!("who: first\r\n{kept}"));
    assert_eq!(admitted(&first), since, "and the first is not a newcomer");
}
