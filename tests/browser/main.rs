//! The waiting person's page in a real browser: Debian's Chromium, headless, against a room that says what the test wants.
//!
//! Pictures of every state are left in the test's own directory under `target/tmp/page` for whoever changes the page to look at.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "a browser lives in real time, and nobody else on these threads")]

mod devtools;
mod gateway;
mod looks;
mod room;
mod whole;

use std::time::{Duration, Instant};

use serde_json::json;
use weir::waiting_room::page::{Enter, Local, State};

use devtools::Browser;
use room::{Room, waiting};

const SECOND: Duration = Duration::from_secs(1);
const INDONESIAN: &str = "id-ID,id";
const ENGLISH: &str = "en-GB,en";

fn turn(enter: Enter<'static>) -> State<'static> {
    State::Turn { enter, kept: None }
}

fn inside() -> Enter<'static> {
    Enter::Follow(Local::parse("/register?in").unwrap())
}

#[test]
fn with_script_the_place_moves_and_the_turn_is_taken_without_loading_anew() {
    let room = Room::open(State::Waiting(waiting(12_345)), 2 * SECOND);
    let mut browser = Browser::start(INDONESIAN);
    browser.open(&room.url("/register"));
    assert_eq!(browser.text("h1"), "Anda dalam antrean");
    assert_eq!(browser.text("[data-slot=place]"), "Urutan 12.346");
    assert_eq!(browser.eval("document.documentElement.lang"), "id");
    browser.eval("window.untouched = true");

    room.scene().state = State::Waiting(waiting(7_000));
    browser.until("document.querySelector('[data-slot=place]').textContent === 'Urutan 7.001'");
    assert_eq!(browser.text("[data-slot=ahead]"), "7.000 orang di depan Anda.");
    assert_eq!(browser.eval("document.title"), "7.001 · Anda dalam antrean · Pendaftaran Gelombang 4");

    // Paused and moving again in the same page as well.
    room.scene().state = State::Paused(weir::waiting_room::page::Waiting { wait: None, ..waiting(6_999) });
    browser.until("document.querySelector('h1').textContent === 'Antrean sedang dijeda'");
    assert_eq!(browser.eval("document.querySelector('progress').hidden"), true);
    room.scene().state = State::Waiting(waiting(6_000));
    browser.until("document.querySelector('h1').textContent === 'Anda dalam antrean'");
    assert_eq!(browser.eval("document.querySelector('progress').hidden"), false);
    assert_eq!(browser.eval("window.untouched"), true, "the page was loaded anew");

    room.scene().state = turn(inside());
    browser.until("document.querySelector('h1').textContent === 'Inside'");
    assert_eq!(browser.eval("location.search"), "?in");

    let polls = room.polls();
    for pair in polls.windows(2) {
        assert!(pair[1].at - pair[0].at >= 2 * SECOND, "asked before the told time");
    }
    let ticket = "weir-ticket: AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYn";
    assert!(polls.iter().all(|poll| poll.fields.contains(ticket) && poll.line.starts_with("GET /.weir/place HTTP")));
    let elsewhere: Vec<_> = browser.requests().into_iter().filter(|url| !url.starts_with(&room.origin)).collect();
    assert!(elsewhere.iter().all(|url| url.starts_with("data:")), "{elsewhere:?}");
    assert_eq!(browser.faults(), Vec::<String>::new());
}

#[test]
fn near_the_turn_the_answer_is_held_until_it_comes() {
    let mut near = waiting(3);
    near.wait = Some(weir::waiting_room::page::Wait { p50: 5 * SECOND, p90: 9 * SECOND });
    let room = Room::open(State::Waiting(near), SECOND);
    let mut browser = Browser::start(ENGLISH);
    browser.open(&room.url("/register"));
    let held = || room.polls().iter().any(|poll| poll.fields.contains("prefer: wait=20"));
    let end = Instant::now() + 20 * SECOND;
    while !held() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(held() && !room.polls()[0].fields.contains("prefer"), "it learns that the turn is near, then waits for it");
    room.scene().state = turn(inside());
    let called = Instant::now();
    browser.until("document.querySelector('h1').textContent === 'Inside'");
    assert!(called.elapsed() < 5 * SECOND, "{:?}", called.elapsed());
}

#[test]
fn without_script_the_page_is_loaded_anew_at_the_told_time_and_goes_in() {
    let room = Room::open(State::Waiting(waiting(2)), 2 * SECOND);
    let mut browser = Browser::start(ENGLISH);
    browser.call("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
    browser.open(&room.url("/register"));
    assert_eq!(browser.text("[data-slot=ahead]"), "2 people are ahead of you.");
    assert_eq!(browser.eval("document.querySelector('#next').hidden"), true, "a countdown that would stand still");

    room.scene().state = State::Waiting(waiting(1));
    browser.until("document.querySelector('[data-slot=ahead]').textContent === '1 person is ahead of you.'");
    assert!(browser.eval("location.href").as_str().unwrap().contains("/.weir/place?weir_ticket=AQID"));
    assert_eq!(browser.eval("history.length"), 3, "about:blank, the page, and the page at its own address");
    room.scene().state = State::Waiting(waiting(0));
    browser.until("document.querySelector('[data-slot=ahead]').textContent === 'You are next.'");
    assert_eq!(browser.eval("history.length"), 3, "one entry, however often it is loaded");
    room.scene().state = turn(inside());
    browser.until("document.querySelector('h1').textContent === 'Inside'");
    assert!(room.polls().is_empty());
}

#[test]
fn a_form_that_was_sent_is_sent_again_with_what_was_typed() {
    let room = Room::open(State::Waiting(waiting(2)), 2 * SECOND);
    let mut browser = Browser::start(ENGLISH);
    browser.open(&room.url("/form"));
    browser.eval("document.querySelector('input').focus()");
    browser.call("Input.insertText", &json!({ "text": "Siti" }));
    browser.press("Enter");
    browser.until("document.querySelector('h1') && document.querySelector('h1').textContent === 'You are in line'");

    room.scene().state = turn(Enter::SendAgain);
    browser.until("document.querySelector('h1').textContent === 'It is your turn'");
    browser.until("document.activeElement.id === 'back' && !document.activeElement.hidden");
    browser.press("Enter");
    browser.until("document.querySelector('input') && document.querySelector('input').value === 'Siti'");
    browser.eval("document.querySelector('input').focus()");
    browser.press("Enter");
    browser.until("document.querySelector('h1') && document.querySelector('h1').textContent === 'Inside'");
    let sent = room.scene().arrived.iter().filter(|arrived| arrived.line.starts_with("POST /register")).count();
    assert_eq!(sent, 2);
    assert!(
        room.scene()
            .arrived
            .iter()
            .filter(|arrived| arrived.line.starts_with("POST"))
            .all(|sent| sent.body == "name=Siti")
    );
}

#[test]
fn what_is_read_aloud_changes_at_most_once_a_minute() {
    let room = Room::open(State::Waiting(waiting(100_000)), SECOND);
    let mut browser = Browser::start(ENGLISH);
    let clock = "window.skew = 0; const now = Date.now; Date.now = () => now() + window.skew;
        document.addEventListener('DOMContentLoaded', () => { window.said = [];
            new MutationObserver(() => said.push(document.querySelector('[role=status]').textContent))
                .observe(document.querySelector('[role=status]'), { childList: true, characterData: true, subtree: true }) })";
    browser.call("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": clock }));
    browser.open(&room.url("/register"));
    let mut ahead = 100_000;
    let mut moved = |browser: &mut Browser| {
        ahead /= 3;
        room.scene().state = State::Waiting(waiting(ahead));
        let text = format!(
            "document.querySelector('[data-slot=place]').textContent.replace(',', '') === 'Place {}'",
            ahead + 1
        );
        browser.until(&text);
    };
    moved(&mut browser);
    moved(&mut browser);
    assert_eq!(browser.eval("said.length"), 0, "the page itself was read less than a minute ago");
    browser.eval("skew += 60000");
    moved(&mut browser);
    assert_eq!(browser.eval("said.length"), 1);
    let said = browser.eval("said[0]");
    assert!(
        said.as_str().unwrap().starts_with("You are in line. Place 3,704. Your turn comes in about 12 minutes."),
        "{said}"
    );
    moved(&mut browser);
    moved(&mut browser);
    assert_eq!(browser.eval("said.length"), 1);
    // A minute has passed, but nothing happened that is worth to be told.
    browser.eval("skew += 60000");
    let polls = room.polls().len();
    while room.polls().len() < polls + 2 {
        std::thread::sleep(Duration::from_millis(20));
    }
    moved(&mut browser);
    assert_eq!(browser.eval("said.length"), 2);
}

#[test]
fn a_broken_connection_is_waited_out() {
    let room = Room::open(State::Waiting(waiting(50)), SECOND);
    let mut browser = Browser::start(INDONESIAN);
    browser.open(&room.url("/register"));
    browser.eval("window.untouched = true");
    room.scene().broken = true;
    browser.until("!document.querySelector('#lost').hidden");
    assert!(browser.text("#lost").starts_with("Sambungan sedang terputus."));
    let failed = room.polls();
    assert!(failed.len() < 10, "{}", failed.len());
    room.scene().broken = false;
    room.scene().state = State::Waiting(waiting(20));
    browser.until("document.querySelector('#lost').hidden");
    assert_eq!(browser.text("[data-slot=place]"), "Urutan 21");
    assert_eq!(browser.eval("window.untouched"), true);
}

#[test]
fn everything_can_be_done_by_keyboard_and_the_focus_is_seen() {
    let room = Room::open(State::Waiting(waiting(50)), 100 * SECOND);
    let mut browser = Browser::start(ENGLISH);
    browser.open(&room.url("/register"));
    let mut reached = Vec::new();
    for _ in 0..3 {
        browser.press("Tab");
        let focused = "[document.activeElement.tagName, document.activeElement.textContent, getComputedStyle(document.activeElement).outlineStyle].join('|')";
        reached.push(browser.eval(focused).as_str().unwrap().to_owned());
    }
    assert_eq!(
        reached,
        [
            "A|Check now (you may save this link to come back to your place)|solid",
            "A|Another person on this computer (new tab)|solid",
            "SUMMARY|Leave the line|solid",
        ]
    );
    browser.press("Enter");
    browser.press("Tab");
    assert_eq!(browser.eval("document.activeElement.textContent"), "Yes, give up my place");
    browser.press("Enter");
    browser.until("document.querySelector('h1').textContent === 'Left'");
    let last =
        room.scene().arrived.iter().find(|arrived| arrived.line.starts_with("POST /.weir/leave")).cloned().unwrap();
    assert_eq!(last.body, "weir_ticket=AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYn");
}

#[test]
fn a_page_that_slept_asks_when_it_is_seen_again() {
    let room = Room::open(State::Waiting(waiting(50)), 600 * SECOND);
    let mut browser = Browser::start(ENGLISH);
    let clock = "window.skew = 0; const now = Date.now; Date.now = () => now() + window.skew";
    browser.call("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": clock }));
    browser.open(&room.url("/register"));
    let wake = "document.dispatchEvent(new Event('visibilitychange'))";
    browser.eval(wake);
    assert!(room.polls().is_empty(), "not before the told time, however often it is looked at");
    // Its timers stood still for longer than that.
    browser.eval("skew += 601000");
    room.scene().state = State::Waiting(waiting(7));
    browser.eval(wake);
    browser.until("document.querySelector('[data-slot=place]').textContent === 'Place 8'");
    assert_eq!(room.polls().len(), 1);
}

#[test]
fn the_opening_is_counted_down_and_becomes_a_place() {
    let room = Room::open(State::Lobby { opens: room::OPENS, closes: None, drawn: true }, 2 * SECOND);
    let mut browser = Browser::start(INDONESIAN);
    browser.open(&room.url("/register"));
    browser.until("/^1:01:(0|1)\\d$/.test(document.querySelector('[data-left]').textContent)");
    room.scene().state = State::Waiting(waiting(4_000));
    browser.until("document.querySelector('[data-slot=place]').textContent === 'Urutan 4.001'");
    assert_eq!(browser.eval("document.querySelector('#opens').hidden"), true);
    assert_eq!(browser.text("[data-slot=schedule]"), "");
}
