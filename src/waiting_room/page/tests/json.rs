//! What programs read.

use serde_json::{Value, json};

use super::*;

fn parsed(bytes: &Bytes) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn a_place_is_told_in_numbers_and_words() {
    let document = parsed(&state_json(&view(State::Waiting(waiting())), Language::English));
    assert_eq!(
        document,
        json!({
            "state": "waiting", "room": "Pembukaan", "place": 12_346, "ahead": 12_345,
            "eta_seconds": { "p50": 720, "p90": 1_070 }, "progress_percent": 25, "reason": "service_slower", "beyond_quota": true,
            "closes": "2026-04-11T19:00:00+07:00", "at_close": "carry", "poll_after_seconds": 240, "ticket": "AQIDBAUGBwgJ",
            "ticket_number": 48_213, "request_id": "5f0c",
            "words": {
                "title": "12,346 · You are in line · Pembukaan",
                "heading": "You are in line",
                "message": "There is nothing to do: this page renews itself. You may close it and come back: your place is kept.",
                "place": "Place 12,346",
                "ahead": "12,345 people are ahead of you.",
                "wait": "Your turn comes in about 12 minutes. For 9 people in 10 it takes no longer than 18 minutes.",
                "reason": "The wait has become longer because the service has become slower. Your place is the same.",
                "notice": "At present your place is beyond what is left: if everyone ahead of you succeeds, nothing will be left at your \
                           turn. You may wait in case some do not.",
                "schedule": "Closes Saturday 11 April 2026, 19:00 WIB (UTC+7). If your turn has not come by then, your place counts at \
                             the next opening; you need not register again.",
            },
        })
    );
}

#[test]
fn each_state_says_what_it_knows_and_no_more() {
    let expected = [
        json!({ "state": "lobby", "opens": "2026-04-11T19:00:00+07:00", "opens_in_seconds": 3_672, "drawn": true,
            "closes": "2026-04-12T19:00:00+07:00", "at_close": "serve" }),
        json!({ "state": "lobby", "opens": "2026-04-11T19:00:00+07:00", "opens_in_seconds": 3_672, "drawn": false }),
        json!({ "state": "waiting", "place": 12_346, "ahead": 12_345, "eta_seconds": { "p50": 720, "p90": 1_070 }, "progress_percent": 25,
            "reason": "service_slower", "beyond_quota": true, "closes": "2026-04-11T19:00:00+07:00", "at_close": "carry" }),
        json!({ "state": "paused", "place": 12_346, "ahead": 12_345, "beyond_quota": true, "closes": "2026-04-11T19:00:00+07:00",
            "at_close": "carry" }),
        json!({ "state": "turn", "enter": "/register?step=1&x=2", "send_again": false, "turn_kept_seconds": 1_800 }),
        json!({ "state": "turn", "send_again": true }),
        json!({ "state": "turn", "enter": "/register?step=1&x=2", "send_again": false }),
        json!({ "state": "turn", "send_again": false }),
        json!({ "state": "closed", "next_opens": "2026-04-11T19:00:00+07:00", "kept_place": "carried" }),
        json!({ "state": "closed", "kept_place": "ended" }),
        json!({ "state": "spent", "next_opens": "2026-04-11T19:00:00+07:00", "kept_place": "none" }),
        json!({ "state": "sending" }),
        json!({ "state": "done" }),
        json!({ "state": "unclear" }),
    ];
    assert_eq!(states().len(), expected.len());
    for (state, expected) in states().into_iter().zip(expected) {
        let mut document = parsed(&state_json(&view(state), Language::Indonesian));
        let members = document.as_object_mut().unwrap();
        for always in ["room", "poll_after_seconds", "ticket", "ticket_number", "request_id", "words"] {
            assert!(members.remove(always).is_some(), "{always}");
        }
        assert_eq!(document, expected);
    }
}

#[test]
fn a_refusal_is_a_problem() {
    for (state, status, kind) in [
        (State::Waiting(waiting()), 503, "waiting"),
        (State::Paused(waiting()), 503, "paused"),
        (State::Lobby { opens: OPENS, closes: Some(CLOSES), drawn: true }, 503, "not_open_yet"),
        (State::Turn { enter: Enter::SendAgain, kept: None }, 503, "your_turn"),
        (State::Closed { next: Some(OPENS), place: KeptPlace::Carried }, 503, "closed"),
        (State::Closed { next: None, place: KeptPlace::None }, 403, "closed"),
        (State::Spent { next: Some(OPENS), place: KeptPlace::None }, 503, "quota_spent"),
        (State::Spent { next: None, place: KeptPlace::None }, 403, "quota_spent"),
        (State::Sending, 409, "already_sending"),
        (State::Done, 409, "already_done"),
        (State::Unclear, 409, "outcome_unknown"),
    ] {
        let problem = parsed(&problem_json(&view(state), Language::English));
        assert_eq!(problem["type"], format!("urn:weir:problem:{kind}"));
        assert_eq!(
            (problem["status"].as_u64(), state.status().as_u16()),
            (Some(status), u16::try_from(status).unwrap())
        );
        assert_eq!((&problem["retry_after_seconds"], &problem["poll_after_seconds"]), (&json!(240), &json!(240)));
        assert_eq!((&problem["ticket"], &problem["request_id"]), (&json!("AQIDBAUGBwgJ"), &json!("5f0c")));
        assert!(!problem["title"].as_str().unwrap().is_empty() && problem["words"].is_null());
    }
    let problem = parsed(&problem_json(
        &view(State::Waiting(Waiting { jump: None, beyond_quota: false, closes: None, ..waiting() })),
        Language::English,
    ));
    assert_eq!(
        problem["detail"],
        "12,345 people are ahead of you. Your turn comes in about 12 minutes. For 9 people in 10 it takes no longer than 18 minutes. \
         There is nothing to do: this page renews itself. You may close it and come back: your place is kept."
    );
    assert_eq!((&problem["place"], &problem["eta_seconds"]["p90"]), (&json!(12_346), &json!(1_070)));
}

#[test]
fn times_are_rounded_up_and_never_at_once() {
    let after = |millis| view_after(Duration::from_millis(millis))["poll_after_seconds"].as_u64();
    assert_eq!((after(0), after(1), after(1_000), after(1_001)), (Some(1), Some(1), Some(1), Some(2)));
}

fn view_after(poll_after: Duration) -> Value {
    parsed(&state_json(&View { poll_after: Some(poll_after), ..view(State::Unclear) }, Language::English))
}

#[test]
fn hostile_text_stays_text() {
    let hostile = "\"}\u{0}\u{2028}</script>\\";
    let document = parsed(&state_json(
        &View { room: hostile, request_id: hostile, ticket: Some(hostile), ..view(State::Unclear) },
        Language::English,
    ));
    assert_eq!(
        (&document["room"], &document["request_id"], &document["ticket"]),
        (&json!(hostile), &json!(hostile), &json!(hostile))
    );
}
