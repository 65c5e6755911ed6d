//! No spelling of a path or host leads to the service by another route than the one whose limits were applied.
//!
//! Each route's service is told apart by the prefix it serves. A service is taken to be as careless as any in the field: it decodes, merges
//! slashes, resolves dots, drops parameters and reads a backslash as a slash; whatever it then serves, the request must have come by
//! the route of that path.

use crate::client::Client;
use crate::origin::{Origin, field};
use crate::weir::Weir;

/// Three routes to one service, which sees by a field of the request where it was routed: weir sends each to a name of its own.
fn config(origins: &[&Origin; 4]) -> String {
    let upstream = |name: &str, origin: &Origin| {
        format!("[[upstream]]\nname = \"{name}\"\nservers = [\"{}\"]\nconcurrency = 8\n", origin.address)
    };
    let [exact, below, host, rest] = origins;
    [
        upstream("exact", exact),
        upstream("below", below),
        upstream("host", host),
        upstream("rest", rest),
        "[[route]]\npath = \"/register\"\nupstream = \"exact\"\n[[route]]\npath = \"/admin/*\"\nupstream = \"below\"\n\
         [[route]]\nhost = \"inner.example\"\npath = \"/*\"\nupstream = \"host\"\n[[route]]\npath = \"/*\"\nupstream = \"rest\"\n"
            .to_owned(),
    ]
    .concat()
}

/// The path as the most careless service reads it.
fn careless(target: &str) -> String {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let mut text = path.to_owned();
    // Some decode twice.
    for _ in 0..2 {
        text = decoded(&text);
    }
    let text = text.replace('\\', "/");
    let mut segments: Vec<&str> = Vec::new();
    for segment in text.split('/') {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => drop(segments.pop()),
            bare => segments.push(bare),
        }
    }
    format!("/{}", segments.join("/"))
}

fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((first, others)) = rest.split_first() {
        let digits = others.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &others[2..];
            }
            _ => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Spellings of a path by every trick in the list, alone and in pairs.
fn spellings() -> Vec<String> {
    let bases = ["/register", "/admin/x", "/admin", "/other"];
    let tricks: [fn(&str) -> String; 21] = [
        |path| path.to_owned(),
        |path| format!("/{path}"),
        |path| format!("/.{path}"),
        |path| format!("/x/..{path}"),
        |path| format!("/%2e{path}"),
        |path| format!("/x/%2e%2E{path}"),
        |path| format!("/x/..;{path}"),
        |path| format!("{path}/"),
        |path| format!("{path}/."),
        |path| format!("{path}/x/.."),
        |path| format!("{path}/../register"),
        |path| format!("{path};a=b"),
        |path| format!("{path};/../admin/y"),
        |path| format!("{path}%3ba"),
        |path| format!("{path}%2f..%2fadmin"),
        |path| format!("{path}%00"),
        |path| format!("{path}?/../admin/y"),
        |path| path.replace("/r", "/%72").replace("/a", "/%61"),
        |path| path.replace('/', "\\").replacen('\\', "/", 1),
        |path| path.replace('/', "%2F").replacen("%2F", "/", 1),
        |path| path.replace('e', "%65").replace('i', "%2569"),
    ];
    let mut all = Vec::new();
    for base in bases {
        for first in tricks {
            all.extend(tricks.map(|second| second(&first(base))));
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

#[test]
fn no_spelling_of_a_path_changes_its_route() {
    let origins: [Origin; 4] = std::array::from_fn(|_| Origin::echo());
    let [exact, below, host, rest] = &origins;
    let weir = Weir::start(&config(&[exact, below, host, rest]));
    let spellings = spellings();
    println!("{} spellings", spellings.len());
    let mut served = 0;
    let mut client = Client::connect(weir.http);
    for target in &spellings {
        client.try_send(format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n")).ok();
        match client.try_answer("GET") {
            Ok(answer) if answer.status == 200 => served += 1,
            Ok(answer) if answer.field("connection") != Some("close") => assert_eq!(answer.status, 400, "{target}"),
            _ => client = Client::connect(weir.http),
        }
    }
    for (name, origin) in ["exact", "below", "host", "rest"].into_iter().zip(&origins) {
        for target in origin.targets() {
            let served = careless(&target);
            let expected = match served.as_str() {
                "/register" => "exact",
                path if path == "/admin" || path.starts_with("/admin/") => "below",
                _ => "rest",
            };
            // What is decoded twice is another path to weir and to every service that decodes once; it goes where that path goes.
            assert!(
                name == expected || target.contains("%25"),
                "{target} is {served} to a service, and came by {name}"
            );
        }
    }
    assert!(served > 20, "{served} served");
    // The service that keeps letters apart is the rule; who does not needs a route for each.
    assert!(Client::connect(weir.http).send("GET /Register HTTP/1.1\r\nhost: a\r\n\r\n").answer().status == 200);
    assert_eq!(rest.targets().last().map(String::as_str), Some("/Register"));
}

#[test]
fn no_spelling_of_a_host_changes_its_route() {
    let origins: [Origin; 4] = std::array::from_fn(|_| Origin::echo());
    let [exact, below, host, rest] = &origins;
    let weir = Weir::start(&config(&[exact, below, host, rest]));
    let inner = ["inner.example", "INNER.example", "inner.example.", "inner.example:80", "Inner.Example.:8080"];
    for name in inner {
        let answer = Client::connect(weir.http).send(format!("GET /x HTTP/1.1\r\nhost: {name}\r\n\r\n")).answer();
        assert_eq!(answer.status, 200, "{name}");
        let absolute = format!("GET http://{name}/x HTTP/1.1\r\nhost: {name}\r\n\r\n");
        assert_eq!(Client::connect(weir.http).send(absolute).answer().status, 200, "{name}");
    }
    assert_eq!((host.requests(), rest.requests()), (2 * inner.len(), 0));
    for name in [
        "inner.example..",
        ".inner.example",
        "inner..example",
        "x@inner.example",
        "inner.example/",
        "inner.example,a",
        "inner.example:",
        "inner.example:80:80",
        "inner.example%2e",
        "inner_example",
        "inner.example a",
        "[inner.example]",
    ] {
        let answer = Client::connect(weir.http).send(format!("GET /x HTTP/1.1\r\nhost: {name}\r\n\r\n")).answer();
        assert_eq!(answer.status, 400, "{name}");
    }
    // The line and the field disagree, or a proxy's field says otherwise.
    let two = "GET http://inner.example/x HTTP/1.1\r\nhost: a\r\n\r\n";
    assert_eq!(Client::connect(weir.http).send(two).answer().status, 400);
    let forged = "GET /x HTTP/1.1\r\nhost: a\r\nx-forwarded-host: inner.example\r\nx-original-url: /register\r\nforwarded: host=inner.example\r\n\r\n";
    assert_eq!(Client::connect(weir.http).send(forged).answer().status, 200);
    let seen = rest.seen().pop().unwrap();
    assert_eq!(field(&seen, "x-forwarded-host"), Some("a"));
    assert!(!seen.contains("inner.example") && !seen.contains("x-original-url"), "{seen}");
    assert_eq!((exact.requests(), below.requests(), host.requests()), (0, 0, 2 * inner.len()));
}
