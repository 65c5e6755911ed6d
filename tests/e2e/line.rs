//! Waiting in line: in order, not in vain, and not for those who have left.

use std::process::Stdio;

use crate::client::{self, Client, Response};
use crate::frames::Frames;
use crate::origin::{Latch, Origin};
use crate::tools::command;
use crate::weir::{Weir, eventually, one_route};

/// A weir whose one permit is taken by a request to `/busy`.
fn busy(latch: &std::sync::Arc<Latch>, queue: &str) -> (Origin, Weir, Client) {
    let origin = Origin::latched(latch);
    let weir = Weir::start(&format!("[clients]\nbody_size = \"64MiB\"\n{}", one_route(origin.address, 1, queue)));
    let mut client = Client::connect(weir.http);
    client.ask("GET", "/busy");
    weir.wait_for_load("u", 1, 0);
    (origin, weir, client)
}

fn refused(answer: &Response, reason: &str) {
    assert_eq!((answer.status, answer.reason().as_str()), (503, reason), "{answer:?}");
    let seconds: u64 = answer.field("retry-after").unwrap().parse().unwrap();
    assert!(seconds >= 1, "{answer:?}");
}

#[test]
fn first_come_first_served() {
    let latch = Latch::new();
    let (origin, weir, mut first) = busy(&latch, "queue = { wait = \"1h\", length = 100 }");
    let mut waiting = Vec::new();
    let mut frames = Frames::connect(weir.http);
    for number in 1..=12 {
        let path = format!("/{number}");
        // Every way of asking stands in the same line.
        match number % 3 {
            0 => {
                frames.ask("GET", &path, &[], true);
            }
            1 => {
                let mut client = Client::connect(weir.http);
                client.ask("GET", &path);
                waiting.push(client);
            }
            _ => {
                let mut client = Client::connect(weir.http);
                client.send(format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n\r\nabc"));
                waiting.push(client);
            }
        }
        weir.wait_for_load("u", 1, number);
    }
    for _ in 0..13 {
        let before = origin.requests();
        latch.let_pass(1);
        eventually("the next is served", || origin.requests() > before || before == 13);
    }
    assert_eq!(first.answer().status, 200);
    for client in &mut waiting {
        assert_eq!(client.answer().status, 200);
    }
    let expected: Vec<String> = std::iter::once("/busy".to_owned()).chain((1..=12).map(|n| format!("/{n}"))).collect();
    assert_eq!(origin.targets(), expected);
    assert_eq!(origin.most(), 1);
}

#[test]
fn nobody_waits_who_would_wait_too_long() {
    let origin = Origin::start(|exchange| {
        exchange.work(|| std::thread::sleep(std::time::Duration::from_millis(400)));
        exchange.respond(200, "", b"")
    });
    let weir = Weir::start(&one_route(origin.address, 1, "queue = { wait = \"1500ms\", length = 1000 }"));
    // The gate learns how long a turn takes.
    for _ in 0..3 {
        assert_eq!(client::get(weir.http, "/learn").status, 200);
    }
    let mut clients: Vec<Client> = (0..20).map(|_| Client::connect(weir.http)).collect();
    for client in &mut clients {
        client.ask("GET", "/wait");
    }
    let answers: Vec<Response> = clients.iter_mut().map(Client::answer).collect();
    let too_long: Vec<&Response> = answers.iter().filter(|answer| answer.reason() == "wait_too_long").collect();
    assert!(too_long.len() >= 10, "{} of 20 were refused", too_long.len());
    for answer in &too_long {
        refused(answer, "wait_too_long");
    }
    let served = answers.iter().filter(|answer| answer.status == 200).count();
    assert!((2..=8).contains(&served), "{served} were served by a line of 1.5 s with turns of 0.4 s");
    assert_eq!(weir.metrics().requests("all", "wait_too_long"), too_long.len() as u64);
    assert_eq!(origin.requests(), 3 + served);
}

#[test]
fn a_turn_that_does_not_come_in_time_is_said_so() {
    let latch = Latch::new();
    let (origin, weir, mut first) = busy(&latch, "queue = { wait = \"500ms\", length = 10 }");
    let mut client = Client::connect(weir.http);
    refused(&client.ask("GET", "/late").answer(), "expired");
    weir.wait_for_load("u", 1, 0);
    latch.let_pass(2);
    assert_eq!(first.answer().status, 200);
    assert_eq!(client.ask("GET", "/again").answer().status, 200);
    assert_eq!(origin.targets(), ["/busy", "/again"]);
}

#[test]
fn a_line_has_its_length() {
    let latch = Latch::new();
    let (_origin, weir, _first) = busy(&latch, "queue = { wait = \"1h\", length = 2 }");
    let mut held: Vec<Client> = (0..2).map(|_| Client::connect(weir.http)).collect();
    for client in &mut held {
        client.ask("GET", "/held");
    }
    weir.wait_for_load("u", 1, 2);
    refused(&client::get(weir.http, "/third"), "queue_full");
    latch.let_pass(3);
    for client in &mut held {
        assert_eq!(client.answer().status, 200);
    }
    let none = Latch::new();
    let (_origin, weir, _first) = busy(&none, "queue = { wait = \"1h\", length = 0 }");
    refused(&client::get(weir.http, "/second"), "queue_full");
    none.let_pass(1);
}

#[test]
fn who_leaves_the_line_is_never_served() {
    let latch = Latch::new();
    let (origin, weir, mut first) = busy(&latch, "queue = { wait = \"1h\", length = 100 }");
    let post = |length: usize, fields: &str, sent: usize| {
        let head = format!("POST /left HTTP/1.1\r\nhost: localhost\r\n{fields}content-length: {length}\r\n\r\n");
        [head.into_bytes(), vec![b'x'; sent]].concat()
    };
    for (name, bytes) in [
        ("no body", b"GET /left HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec()),
        ("small body", post(100, "", 100)),
        ("large body", post(10 << 20, "", 0)),
        ("part of a large body", post(10 << 20, "", 64 << 10)),
        ("all of a medium body", post(32 << 10, "", 32 << 10)),
        ("waits to be told to continue", post(100, "expect: 100-continue\r\n", 0)),
        (
            "chunked",
            b"POST /left HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n".to_vec(),
        ),
    ] {
        println!("{name}");
        for finishes in [false, true] {
            let mut client = Client::connect(weir.http);
            client.send(&bytes);
            weir.wait_for_load("u", 1, 1);
            if finishes {
                client.finish();
                weir.wait_for_load("u", 1, 0);
            }
            drop(client);
            weir.wait_for_load("u", 1, 0);
        }
    }
    for (name, fields, body) in
        [("no body", &[][..], None), ("body", &[("content-length", "10000000")][..], Some(1000))]
    {
        println!("HTTP/2, {name}");
        let mut frames = Frames::connect(weir.http);
        let stream = frames.ask("POST", "/left", fields, body.is_none());
        if let Some(length) = body {
            frames.send(crate::frames::DATA, 0, stream, &vec![b'x'; length]);
        }
        weir.wait_for_load("u", 1, 1);
        frames.reset(stream);
        weir.wait_for_load("u", 1, 0);
        frames.ask("GET", "/left", &[], true);
        weir.wait_for_load("u", 1, 1);
        drop(frames);
        weir.wait_for_load("u", 1, 0);
    }
    latch.let_pass(2);
    assert_eq!(first.answer().status, 200);
    assert_eq!(client::get(weir.http, "/stayed").status, 200);
    assert_eq!(origin.targets(), ["/busy", "/stayed"]);
    let metrics = weir.metrics();
    assert_eq!(metrics.requests("all", "client_left") + metrics.requests("all", "body_broken"), 18);
}

/// A body is read before its request takes a place or a permit, a form as well as a photograph: nobody holds one at the pace of his telephone.
#[test]
fn who_still_owes_a_body_has_no_place_and_no_permit() {
    let origin = Origin::echo();
    let weir = Weir::start(&one_route(origin.address, 1, ""));
    for length in [100, 1 << 20] {
        let head = format!("POST /slow HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\n\r\n");
        let half = vec![b'x'; length / 2];
        let mut slow = Client::connect(weir.http);
        slow.send([head.as_bytes(), &half].concat());
        for _ in 0..3 {
            assert_eq!(client::get(weir.http, "/quick").status, 200, "the only permit is free");
        }
        weir.wait_for_load("u", 0, 0);
        slow.send(half);
        assert_eq!(slow.answer().status, 200, "{length} bytes");
    }
    for size in ["small", "large"] {
        let left = weir.metrics().value(&format!("weir_read_ahead_bytes_left{{size=\"{size}\"}}"));
        assert!([64 << 20, 256 << 20].contains(&left), "all given back: {left}");
    }
}

/// Whoever would be told to come back is told so before he has sent a photograph.
#[test]
fn nobody_sends_a_large_body_to_be_refused() {
    let latch = Latch::new();
    let (origin, weir, mut first) = busy(&latch, "queue = { wait = \"1h\", length = 0 }");
    let mut client = Client::connect(weir.http);
    client.send("POST /photo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2000000\r\n\r\n");
    refused(&client.answer(), "queue_full");
    latch.let_pass(1);
    assert_eq!(first.answer().status, 200);
    assert_eq!(origin.targets(), ["/busy"]);
}

#[test]
fn who_pipelines_and_leaves_is_never_served() {
    let latch = Latch::new();
    let (origin, weir, mut first) = busy(&latch, "queue = { wait = \"1h\", length = 100 }");
    let request = "GET /left HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let ways = [vec![request.repeat(2)], vec![request.to_owned(), request.to_owned(), request.to_owned()]];
    for (queued, parts) in (1..).zip(ways) {
        let mut client = Client::connect(weir.http);
        for part in parts {
            client.send(part);
            weir.wait_for_load("u", 1, queued);
            // Each part is to be read by itself.
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        // What it sent behind hides its departure; its place is kept until its turn, and then not used.
        drop(client);
    }
    latch.let_pass(10);
    assert_eq!(first.answer().status, 200);
    weir.wait_for_load("u", 0, 0);
    assert_eq!(client::get(weir.http, "/stayed").status, 200);
    assert_eq!(origin.targets(), ["/busy", "/stayed"]);
}

/// One request waits for a token that comes in fifteen seconds, another for one that comes at once.
#[test]
fn a_token_that_comes_earlier_than_the_one_awaited_is_seen() {
    let origin = Origin::start(|exchange| exchange.respond(200, "", b"done"));
    let weir = Weir::start(&format!(
        "[[upstream]]\nname = \"u\"\nservers = [\"{}\"]\n[[dependency]]\nname = \"slow\"\nrate = \"4/m\"\nburst = 1\n\
         [[dependency]]\nname = \"fast\"\nrate = \"5/s\"\nburst = 1\n\
         [[route]]\npath = \"/slow\"\nupstream = \"u\"\nuses = [\"slow\"]\nqueue = {{ wait = \"1m\", length = 10 }}\n\
         [[route]]\npath = \"/fast\"\nupstream = \"u\"\nuses = [\"fast\"]\nqueue = {{ wait = \"1m\", length = 10 }}\n",
        origin.address
    ));
    assert_eq!(client::get(weir.http, "/slow").status, 200);
    let mut waits = Client::connect(weir.http);
    waits.ask("GET", "/slow");
    weir.wait_for("weir_dependency_queued{dependency=\"slow\"}", 1);
    let began = std::time::Instant::now();
    for _ in 0..3 {
        assert_eq!(client::get(weir.http, "/fast").status, 200);
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn who_leaves_the_line_under_tls_is_never_served() {
    let latch = Latch::new();
    let (origin, weir, mut first) = busy(&latch, "queue = { wait = \"1h\", length = 100 }");
    let url = format!("https://{}/left", weir.https);
    let file = weir.scratch("body");
    // The end of a connection stands behind what was sent before it; of a body that fits into the kernel's buffers it can be
    // seen while nobody reads.
    for size in [0, 1_000, 48 << 10] {
        std::fs::write(&file, vec![b'x'; size]).unwrap();
        for version in ["--http1.1", "--http2"] {
            println!("{version}, {size} bytes");
            let mut curl = command("curl", "curl");
            curl.args(["-sk", version, &url]).stdout(Stdio::null()).stderr(Stdio::null());
            if size > 0 {
                curl.args(["-H", "expect:", "--data-binary"]).arg(format!("@{}", file.display()));
            }
            let mut client = curl.spawn().unwrap();
            weir.wait_for_load("u", 1, 1);
            client.kill().unwrap();
            client.wait().unwrap();
            weir.wait_for_load("u", 1, 0);
        }
    }
    latch.let_pass(2);
    assert_eq!(first.answer().status, 200);
    assert_eq!(client::get(weir.http, "/stayed").status, 200);
    assert_eq!(origin.targets(), ["/busy", "/stayed"]);
    drop(first);
    weir.wait_for_rest();
}
