//! What operators see of a waiting room, and what they decide there.

use std::io;
use std::sync::Arc;

use serde_json::Value;

use crate::client::{Client, Response, get};
use crate::origin::{Latch, Origin};
use crate::tools::promtool_has_nothing_to_say;
use crate::weir::{Weir, eventually};

/// A room with `lines` before a form that counts, and a page that does not, at a service with one permit.
fn config(origin: &Origin, lines: &str) -> String {
    format!(
        r#"
[[upstream]]
name = "u"
servers = ["{}"]
concurrency = 1
[[route]]
name = "form"
path = "/form"
upstream = "u"
waiting_room = "opening"
counts = true
queue = {{ wait = "1s", length = 1 }}
[[route]]
name = "page"
path = "/page"
upstream = "u"
waiting_room = "opening"
queue = {{ wait = "1s", length = 1 }}
[[waiting_room]]
name = "opening"
key = "file:room.key"
{lines}
"#,
        origin.address
    )
}

/// A request to the admin socket, on a connection of its own.
fn admin(weir: &Weir, method: &str, path: &str, fields: &str, body: &str) -> Response {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{fields}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    Client::connect(weir.admin).send(request).answer()
}

fn post(weir: &Weir, path: &str, body: &str) -> Response {
    admin(weir, "POST", &format!("/v1/rooms/opening/{path}"), "content-type: application/json\r\n", body)
}

fn document(answer: &Response) -> Value {
    assert_eq!((answer.status, answer.field("content-type")), (200, Some("application/json")), "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

fn look(weir: &Weir, path: &str) -> Value {
    document(&get(weir.admin, &format!("/v1/rooms{path}")))
}

fn room(weir: &Weir) -> Value {
    look(weir, "")["rooms"][0].clone()
}

/// Asks for `path` with `fields`.
fn ask(weir: &Weir, path: &str, fields: &str) -> Response {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\naccept: application/json\r\n{fields}\r\n");
    Client::connect(weir.http).send(request).answer()
}

/// Somebody joins; his ticket.
fn join(weir: &Weir) -> String {
    let answer = ask(weir, "/form", "");
    assert_eq!(answer.status, 503, "{}", answer.text());
    answer.field("weir-ticket").unwrap_or_else(|| panic!("no ticket: {answer:?}")).to_owned()
}

fn explain(weir: &Weir, who: &str) -> Value {
    look(weir, &format!("/opening/places/{who}"))
}

/// Answers 500 for `/form` when told to, 200 otherwise.
fn failing() -> Origin {
    Origin::start(|exchange| -> io::Result<()> {
        exchange.body()?;
        let status = if exchange.field("fail").is_some() { 500 } else { 200 };
        exchange.respond(status, "", b"told")
    })
}

#[test]
fn a_pause_is_a_pause_until_it_is_ended_and_everybody_can_be_asked_for() {
    let origin = Origin::echo();
    let mut weir = Weir::start(&config(&origin, "quota = 5"));
    let before = room(&weir);
    assert_eq!((&before["name"], &before["phase"]["name"]), (&"opening".into(), &"open".into()), "{before}");
    assert_eq!(before["quota"]["limit"], 5, "{before}");
    assert_eq!((&before["pace"]["plan"], &before["pace"]["paused"]), (&"measured".into(), &false.into()), "{before}");

    assert_eq!(document(&post(&weir, "pause", ""))["paused"], true);
    let joined = room(&weir)["issued"].as_u64().unwrap();
    let ticket = join(&weir);
    let told = explain(&weir, &ticket);
    assert_eq!(told["number"], joined, "{told}");
    assert_eq!(
        (&told["state"], &told["stand"], &told["returned"]),
        (&"waiting".into(), &"waiting".into(), &false.into())
    );
    assert!(told["joined"].as_str().is_some_and(|at| at.starts_with("20")), "{told}");
    let english = told["waits_for"]["en"].as_str().unwrap();
    assert!(english.contains("calling is paused") && english.contains("has not come back"), "{english}");
    assert!(told["waits_for"]["id"].as_str().unwrap().contains("dijeda"), "{told}");
    let look = ask(&weir, "/.weir/place", &format!("weir-ticket: {ticket}\r\n"));
    assert!(matches!(look.status, 200 | 503), "{look:?}");
    let told = explain(&weir, &joined.to_string());
    assert_eq!((&told["returned"], &told["counted"]), (&true.into(), &true.into()), "{told}");
    assert!(told["next_visit"].is_string() && told["joined"].is_null() && told["called"].is_null(), "{told}");

    // It lasts beyond a `kill -9`, unlike a pace.
    assert_eq!(document(&post(&weir, "pace", r#"{"rate": "120/m"}"#))["rate"], 2.0);
    weir.restart();
    let pace = room(&weir)["pace"].clone();
    assert_eq!((&pace["plan"], &pace["paused"]), (&"measured".into(), &true.into()), "{pace}");

    assert_eq!(document(&post(&weir, "pace", r#"{"rate": "500/s"}"#))["paused"], true, "a pace does not end a pause");
    let pace = document(&post(&weir, "resume", "{}"));
    assert_eq!((&pace["plan"], &pace["rate"], &pace["paused"]), (&"fixed".into(), &500.0.into(), &false.into()));
    eventually("he is called", || explain(&weir, &ticket)["stand"] == "called");
    assert!(explain(&weir, &ticket)["called"].is_string());
    eventually("he is let in", || ask(&weir, "/page", &format!("weir-ticket: {ticket}\r\n")).status == 200);
    let told = explain(&weir, &ticket);
    assert_eq!((&told["stand"], told["last_seen"].is_string()), (&"inside".into(), true), "{told}");
    assert_eq!(room(&weir)["inside"]["admitted"], 1);
    assert_eq!(document(&post(&weir, "pace", r#"{"measured": true}"#))["plan"], "measured");
    let log = weir.stderr();
    assert!(log.contains("has paused a waiting room") || log.contains("let it go on"), "{log}");
    assert!(log.contains("has set the pace") && log.contains("Fixed(500"), "{log}");
}

#[test]
fn what_became_of_an_unclear_request_is_the_operators_word() {
    let origin = failing();
    let mut weir = Weir::start(&config(&origin, "quota = 5"));
    for _ in 0..3 {
        assert_eq!(ask(&weir, "/form", "fail: yes\r\n").status, 500);
    }
    assert_eq!(ask(&weir, "/form", "").status, 200);
    let quota = |weir: &Weir| {
        let quota = room(weir)["quota"].clone();
        ["done", "reserved", "unclear", "left"].map(|key| quota[key].as_u64().unwrap())
    };
    eventually("one is done, three are unclear", || quota(&weir) == [1, 3, 3, 1]);
    let listed = look(&weir, "/opening/unclear");
    let numbers: Vec<u64> =
        listed["unclear"].as_array().unwrap().iter().map(|one| one["number"].as_u64().unwrap()).collect();
    assert_eq!((numbers.len(), &listed["next"]), (3, &Value::Null), "{listed}");
    assert!(listed["unclear"][0]["since"].is_string());
    assert_eq!(look(&weir, &format!("/opening/unclear?from={}", numbers[2]))["unclear"].as_array().unwrap().len(), 1);
    assert!(explain(&weir, &numbers[0].to_string())["waits_for"]["en"].as_str().unwrap().contains("For an operator"));

    let say = |weir: &Weir, number: u64, outcome: &str| {
        post(weir, &format!("unclear/{number}"), &format!(r#"{{"outcome": "{outcome}"}}"#))
    };
    assert_eq!(document(&say(&weir, numbers[0], "done"))["quota"]["done"], 2);
    assert_eq!(document(&say(&weir, numbers[1], "failed"))["quota"]["left"], 2);
    assert_eq!(quota(&weir), [2, 1, 1, 2]);
    assert_eq!(explain(&weir, &numbers[0].to_string())["stand"], "done");
    let front = explain(&weir, &numbers[1].to_string());
    assert_eq!((&front["state"], &front["stand"]), (&"waiting".into(), &"called".into()), "{front}");
    for (number, status) in [(numbers[0], 409), (numbers[1], 409), (99_999, 404)] {
        assert_eq!(say(&weir, number, "done").status, status, "{number}");
    }
    assert_eq!(say(&weir, numbers[2], "lost").status, 400);

    // What was said is there after a `kill -9`.
    weir.restart();
    assert_eq!(quota(&weir), [2, 1, 1, 2]);
    assert_eq!(explain(&weir, &numbers[1].to_string())["state"], "waiting");
    assert_eq!(weir.metrics().value("weir_room_quota_unclear{room=\"opening\"}"), 1);
}

#[test]
fn no_web_page_decides() {
    let origin = Origin::echo();
    let weir = Weir::start(&config(&origin, ""));
    let path = "/v1/rooms/opening/pause";
    for fields in ["", "content-type: text/plain\r\n", "content-type: application/x-www-form-urlencoded\r\n"] {
        assert_eq!(admin(&weir, "POST", path, fields, "{}").status, 415, "{fields}");
    }
    let json = "content-type: application/json\r\n";
    let rebound =
        format!("POST {path} HTTP/1.1\r\nhost: rebind.example\r\n{json}connection: close\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(Client::connect(weir.admin).send(rebound).answer().status, 421);
    // Asked before a script may send JSON to another site (CORS preflight); without its leave in the answer it does not.
    let preflight = admin(&weir, "OPTIONS", path, "origin: https://evil.example\r\n", "");
    assert_eq!((preflight.status, preflight.field("allow")), (405, Some("POST")));
    assert!(preflight.fields.iter().all(|(name, _)| !name.starts_with("access-control")), "{preflight:?}");
    for (method, path, status, allow) in [
        ("GET", path, 405, Some("POST")),
        ("POST", "/v1/rooms", 405, Some("GET, HEAD")),
        ("DELETE", "/v1/rooms/opening/places/0", 405, Some("GET, HEAD")),
        ("POST", "/v1/rooms/opening/unclear", 405, Some("GET, HEAD")),
        ("POST", "/v1/rooms/other/pause", 404, None),
        ("GET", "/v1/rooms/opening", 404, None),
        ("GET", "/v1/rooms/opening/places/0", 404, None),
        ("GET", "/v1/rooms/opening/places/nobody", 404, None),
        ("GET", "/v1/rooms/opening/unclear?from=x", 400, None),
    ] {
        let answer = admin(&weir, method, path, json, "");
        assert_eq!((answer.status, answer.field("allow")), (status, allow), "{method} {path}: {}", answer.text());
    }
    for body in [
        "",
        "{}",
        r#"{"rate": "5"}"#,
        r#"{"rate": "0/s"}"#,
        r#"{"measured": false}"#,
        r#"{"rate": "5/s", "measured": true}"#,
        r#"{"speed": 1}"#,
    ] {
        assert_eq!(post(&weir, "pace", body).status, 400, "{body}");
    }
    assert_eq!(post(&weir, "pace", &" ".repeat(5_000)).status, 413);
    let pace = room(&weir)["pace"].clone();
    assert_eq!((&pace["plan"], &pace["paused"]), (&"measured".into(), &false.into()), "nothing was done: {pace}");
}

#[test]
fn metrics_of_a_room() {
    let latch = Latch::new();
    let origin = Origin::latched(&latch);
    let weir = Weir::start(&config(&origin, "quota = 5\nidentity = \"header:who\""));
    let (address, inside) = (weir.http, Arc::clone(&latch));
    let first = std::thread::spawn(move || Client::connect(address).ask("GET", "/form").answer().status);
    weir.wait_for("weir_room_inside{room=\"opening\"}", 1);
    post(&weir, "pause", "");
    eventually("it pauses", || weir.metrics().value("weir_room_paused{room=\"opening\"}") == 1);
    let answer = ask(&weir, "/form", "who: somebody\r\n");
    assert_eq!(answer.status, 503);
    ask(&weir, "/form", "who: somebody\r\n");
    ask(&weir, "/form", "who: somebody\r\n");
    let metrics = weir.metrics();
    for (name, value) in [
        ("waiting", 1),
        ("issued", 2),
        ("serving", 1),
        ("called", 0),
        ("inside", 1),
        ("quota_left", 4),
        ("quota_done", 0),
        ("quota_unclear", 0),
        ("journal_healthy", 1),
        ("identities", 1),
        ("joined_total", 2),
        ("visits_total", 2),
        ("entered_total", 1),
        ("returned_total", 0),
        ("journal_dropped_total", 0),
    ] {
        assert_eq!(metrics.value(&format!("weir_room_{name}{{room=\"opening\"}}")), value, "{name}");
    }
    // When somebody is to ask again is remembered to four seconds.
    assert!(metrics.value("weir_room_early_visits_total{room=\"opening\"}") <= 1);
    for name in [
        "weir_room_pace{room=\"opening\"} ",
        "weir_room_no_show_ratio{room=\"opening\"} ",
        "weir_room_journal_bytes{room=\"opening\"} ",
        "weir_room_estimate_seconds{percentile=\"50\",room=\"opening\"} ",
        "weir_room_estimate_seconds{percentile=\"90\",room=\"opening\"} ",
    ] {
        let line = metrics.0.lines().find_map(|line| line.strip_prefix(name));
        let value: f64 = line.unwrap_or_else(|| panic!("no {name} in\n{}", metrics.0)).parse().unwrap();
        // Of a room that has called people for less than a second nobody knows how long it will take.
        let is_unknown = name.starts_with("weir_room_estimate_seconds") && value.is_nan();
        assert!(is_unknown || (value.is_finite() && value >= 0.0), "{name}{value}");
    }
    promtool_has_nothing_to_say(&metrics.0);
    inside.let_pass(1);
    assert_eq!(first.join().unwrap(), 200);
    weir.wait_for("weir_room_quota_done{room=\"opening\"}", 1);
}
