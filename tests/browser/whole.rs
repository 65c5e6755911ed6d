//! The page in a browser, with weir itself behind it: in line, up the line, in.

use serde_json::json;

use crate::devtools::Browser;
use crate::gateway::Gateway;
use crate::looks::picture;
use crate::{ENGLISH, INDONESIAN};

fn heading(text: &str) -> String {
    format!("document.querySelector('h1') && document.querySelector('h1').textContent === {}", json!(text))
}

#[test]
fn a_person_joins_sees_the_place_move_and_is_let_in_by_himself() {
    let gateway = Gateway::busy("pace = \"1/s\"");
    let mut browser = Browser::start(INDONESIAN);
    (0..9).for_each(|_| gateway.another());
    browser.open(&gateway.url("/register?step=1"));
    assert_eq!(browser.text("h1"), "Anda dalam antrean");
    assert_eq!(browser.eval("document.documentElement.lang"), "id");
    picture(&mut browser, "whole-waiting-id.png");
    browser.eval("window.untouched = true");
    let before = browser.text("[data-slot=place]");
    gateway.release();
    let moved = format!("document.querySelector('[data-slot=place]').textContent !== {}", json!(before));
    browser.until(&moved);
    assert_eq!(browser.eval("window.untouched"), true, "the page was loaded anew");
    browser.until(&heading("Inside"));
    assert_eq!(gateway.reached("GET /register?step=1 HTTP"), 1, "as he asked, once");
    assert!(browser.eval("location.href").as_str().unwrap().contains("/register?step=1"));
    // The pass that he has now is the browser's: nothing else is asked of him.
    browser.open(&gateway.url("/next"));
    assert_eq!(browser.text("h1"), "Inside");
    assert_eq!(browser.faults(), Vec::<String>::new());
}

#[test]
fn without_script_he_is_let_in_as_well() {
    let gateway = Gateway::busy("pace = \"1/s\"");
    (0..2).for_each(|_| gateway.another());
    let mut browser = Browser::start(ENGLISH);
    browser.call("Emulation.setScriptExecutionDisabled", &json!({ "value": true }));
    browser.open(&gateway.url("/register"));
    assert_eq!(browser.text("h1"), "You are in line");
    picture(&mut browser, "whole-waiting-en-plain.png");
    gateway.release();
    browser.until(&heading("Inside"));
    assert_eq!(gateway.reached("GET /register HTTP"), 1);
    assert!(browser.eval("history.length").as_u64().unwrap() <= 3, "one entry, however often it was loaded");
}

#[test]
fn a_form_is_sent_again_with_what_was_typed() {
    let gateway = Gateway::start("");
    let mut browser = Browser::start(ENGLISH);
    // Nobody waits: the form comes at once.
    browser.open(&gateway.url("/form"));
    browser.until("document.querySelector('input') !== null");
    // He has been away for so long that his pass is not good any more, and the room is full again.
    let gateway = {
        let other = Gateway::busy("pace = \"1/s\"");
        (0..2).for_each(|_| other.another());
        let action = format!("document.forms[0].action = {}", json!(other.url("/register")));
        browser.eval(&action);
        other
    };
    browser.eval("document.querySelector('input').focus()");
    browser.call("Input.insertText", &json!({ "text": "Siti" }));
    browser.press("Enter");
    browser.until(&heading("You are in line"));
    gateway.release();
    browser.until(&heading("It is your turn"));
    picture(&mut browser, "whole-turn-form-en.png");
    assert_eq!(gateway.reached("POST"), 0);
    browser.until("document.activeElement.id === 'back' && !document.activeElement.hidden");
    browser.press("Enter");
    browser.until("document.querySelector('input') && document.querySelector('input').value === 'Siti'");
    browser.eval(&format!("document.forms[0].action = {}", json!(gateway.url("/register"))));
    browser.eval("document.querySelector('input').focus()");
    browser.press("Enter");
    browser.until(&heading("Inside"));
    assert_eq!(gateway.reached("POST /register HTTP/1.1 name=Siti"), 1);
}

#[test]
fn two_people_share_a_browser_and_one_leaves() {
    let gateway = Gateway::start("pace = \"paused\"");
    let mut browser = Browser::start(ENGLISH);
    browser.open(&gateway.url("/register"));
    let place = |browser: &mut Browser| browser.text("[data-slot=place]");
    assert_eq!(place(&mut browser), "Place 1");
    browser.call("Page.navigate", &json!({ "url": gateway.url("/register?weir_new=1") }));
    browser.until("location.search.startsWith('?weir_ticket=')");
    assert_eq!(place(&mut browser), "Place 2");
    picture(&mut browser, "whole-paused-en.png");
    browser.call("Page.reload", &json!({}));
    browser.until("document.readyState === 'complete'");
    assert_eq!(place(&mut browser), "Place 2", "loaded anew it is the same");
    browser.eval("document.querySelector('details').open = true");
    browser.eval("document.querySelector('details button').click()");
    browser.until(&heading("Anda telah keluar dari antrean."));
    picture(&mut browser, "whole-left.png");
    browser.open(&gateway.url("/register"));
    assert_eq!(place(&mut browser), "Place 1", "the other stays");
    assert_eq!(browser.faults(), Vec::<String>::new());
}

#[test]
fn a_closed_room_says_so_in_both_languages() {
    let gateway = Gateway::start("closes = \"2020-01-01T00:00:00Z\"");
    for (languages, lang) in [(INDONESIAN, "id"), (ENGLISH, "en")] {
        let mut browser = Browser::start(languages);
        browser.open(&gateway.url("/register"));
        assert_eq!(browser.eval("document.documentElement.lang"), lang);
        assert_eq!(browser.eval("document.body.dataset.state"), "closed");
        picture(&mut browser, &format!("whole-closed-{lang}.png"));
    }
}
