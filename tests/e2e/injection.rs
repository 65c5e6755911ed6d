//! What people send into places where others read it: logs, metrics, error pages. Nothing becomes a line, a command to a terminal or
//! markup there, and nothing that is a person's own stands there at all.

use std::io;

use crate::client::Client;
use crate::frames::Frames;
use crate::origin::Origin;
use crate::weir::{Weir, eventually, one_route};

/// Hostile text: line ends, terminal escapes, C1 controls, text that runs backwards, markup, format strings.
const HOSTILE: [&str; 12] = [
    "%0d%0afake:%20line",
    "%1b[31m",
    "\u{9b}31m",
    "\u{202e}gpj.exe",
    "\u{2028}fake",
    "\"},{\"fake\":\"",
    "\\u000afake",
    "<script>alert(1)</script>",
    "'><img-src=x>",
    "${jndi:ldap://x/y}",
    "{{7*7}}",
    "%s%n%x",
];

/// A person's own: in none of the places.
const OWN: [&str; 8] = [
    "own-query",
    "own-body",
    "own-agent",
    "own-referer",
    "own-cookie",
    "own-authorization",
    "own-accept",
    "own-answer",
];

/// Every way in for a text.
fn requests(text: &str) -> Vec<String> {
    let own = "user-agent: own-agent\r\nreferer: http://x/own-referer\r\ncookie: s=own-cookie\r\nauthorization: own-authorization\r\n";
    let rest = format!("host: a\r\n{own}content-length: 8\r\n\r\nown-body");
    let accepts = ["text/html, own-accept/x", "application/json"];
    let mut all = Vec::new();
    for accept in accepts {
        let accept = format!("accept: {accept}\r\n");
        for path in ["/fine", "/refused", "/broken"] {
            all.push(format!("POST {path}/{text}?a=own-query HTTP/1.1\r\n{accept}{rest}"));
            all.push(format!("POST {path}?a=own-query&{text} HTTP/1.1\r\n{accept}{rest}"));
            all.push(format!("POST {path} HTTP/1.1\r\nhost: {text}\r\n{accept}\r\n"));
            all.push(format!("{text} {path} HTTP/1.1\r\n{accept}{rest}"));
            for field in [
                "user-agent",
                "x-request-id",
                "referer",
                "cookie",
                "accept-language",
                "x-forwarded-for",
                "weir-pass",
                "idempotency-key",
            ] {
                all.push(format!("POST {path} HTTP/1.1\r\n{field}: {text}\r\n{accept}{rest}"));
            }
        }
    }
    all
}

#[test]
fn nothing_that_was_sent_becomes_a_line_a_command_or_markup() {
    let origin = Origin::start(|exchange| {
        exchange.body()?;
        if exchange.target().starts_with("/broken") {
            exchange.raw(b"HTTP/1.1 200 own-answer\x1b\x07\r\nx\r\n\r\n")?;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        exchange.respond(200, "x-a: own-answer\r\n", b"own-answer")
    });
    let config = one_route(origin.address, 16, "methods = [\"POST\"]").replace("path = \"/*\"", "path = \"/fine/*\"")
        + "[[route]]\nname = \"broken\"\npath = \"/broken/*\"\nupstream = \"u\"\n";
    let weir = Weir::start(&config);
    let mut asked = 0;
    for text in HOSTILE {
        let telling: Vec<&str> = ["<script", "<img", "jndi", "{{7", "fake", "gpj", "\u{9b}"]
            .into_iter()
            .filter(|part| text.contains(part))
            .collect();
        for request in requests(text) {
            asked += 1;
            let mut client = Client::connect(weir.http);
            client.try_send(&request).ok();
            let Ok(answer) = client.try_answer("POST") else { continue };
            if answer.status == 200 {
                continue;
            }
            // weir's own words.
            let (body, fields) = (answer.text(), format!("{:?}", answer.fields));
            for part in telling.iter().chain(&OWN) {
                assert!(!body.contains(part) && !fields.contains(part), "{part} of {request:?} in {answer:?}");
            }
        }
        let mut frames = Frames::connect(weir.http);
        for path in [format!("/fine/{text}?own-query"), format!("/refused/{text}")] {
            frames.ask("GET", &path, &[("user-agent", text), ("x-request-id", text)], true);
        }
    }
    println!("{asked} requests");
    assert_eq!(Client::connect(weir.http).ask("POST", "/fine/last").answer().status, 200);
    eventually("the last is logged", || weir.access_log().contains("/fine/last"));
    let (log, said, metrics) = (weir.access_log(), weir.stderr(), weir.metrics().0);
    for line in log.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        assert_eq!(record.as_object().unwrap().len(), 18, "a member was added: {line}");
        assert!(record["time"].is_string() && record["status"].is_u64() && record.get("fake").is_none(), "{line}");
    }
    for (name, text) in [("access log", &log), ("standard error", &said), ("metrics", &metrics)] {
        let odd = text.bytes().find(|byte| !matches!(byte, b' '..=b'~' | b'\n'));
        assert_eq!(odd, None, "{name}");
        for own in OWN {
            assert!(!text.contains(own), "{own} in {name}");
        }
    }
    assert!(!metrics.contains("<script") && !metrics.contains("jndi"), "a label was a person's choice");
}
