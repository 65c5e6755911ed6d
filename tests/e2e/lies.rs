//! Services whose answers lie: whatever is wrong with an answer stays between weir and the service, and the next request, on whatever
//! connection, gets its own answer.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::client::{Client, get};
use crate::frames::{Frames, GOAWAY, HEADERS, RST_STREAM};
use crate::origin::Origin;
use crate::tools::run;
use crate::weir::{Weir, one_route};

/// Answers nobody can read, or that two readers read differently: 502.
const UNREADABLE: [(&str, &[u8]); 24] = [
    ("HTTP/0.9", b"hello, this is no head\n"),
    ("nothing but a line end", b"\r\n\r\n"),
    ("HTTP/2.0", b"HTTP/2.0 200 OK\r\ncontent-length: 2\r\n\r\nok"),
    ("HTTP/1.2", b"HTTP/1.2 200 OK\r\ncontent-length: 2\r\n\r\nok"),
    ("two status lines", b"HTTP/1.1 200 OK\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
    ("a status of two digits", b"HTTP/1.1 20 OK\r\ncontent-length: 2\r\n\r\nok"),
    ("a status of four digits", b"HTTP/1.1 2000 OK\r\ncontent-length: 2\r\n\r\nok"),
    ("a status below 100", b"HTTP/1.1 099 OK\r\ncontent-length: 2\r\n\r\nok"),
    ("a reason beyond ASCII with ESC", b"HTTP/1.1 200 \x1b[31m\xff\r\ncontent-length: 2\r\n\r\nok"),
    ("a length with a sign", b"HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok"),
    ("a negative length", b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok"),
    ("two lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 4\r\n\r\nokok"),
    ("a list of lengths", b"HTTP/1.1 200 OK\r\ncontent-length: 2, 4\r\n\r\nokok"),
    ("a length beyond 64 bits", b"HTTP/1.1 200 OK\r\ncontent-length: 18446744073709551618\r\n\r\nok"),
    (
        "both framings",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ),
    ("chunks in HTTP/1.0", b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    ("another coding", b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    (
        "two codings",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ),
    ("a fold", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-a: b\r\n c\r\n\r\nok"),
    ("a space before the colon", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nset-cookie : a=b\r\n\r\nok"),
    ("a field without colon", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-a\r\n\r\nok"),
    ("NUL in a value", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-a: b\0c\r\n\r\nok"),
    ("a bare CR in a value", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-a: b\rset-cookie: c=d\r\n\r\nok"),
    ("an unasked switch", b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"),
];

#[test]
fn what_cannot_be_read_is_not_passed_on() {
    let origin = Origin::start(|exchange| {
        exchange.body()?;
        let number = exchange.target().strip_prefix("/lie").and_then(|number| number.parse::<usize>().ok());
        let Some(number) = number else { return exchange.respond(200, "", exchange.target().to_owned().as_bytes()) };
        exchange.raw(UNREADABLE[number].1)?;
        // No head may look as if it would still come.
        Err(io::ErrorKind::ConnectionAborted.into())
    });
    let weir = Weir::start(&one_route(origin.address, 4, ""));
    for (number, (name, _)) in UNREADABLE.iter().enumerate() {
        let mut client = Client::connect(weir.http);
        for method in ["GET", "POST"] {
            let answer = client.ask(method, &format!("/lie{number}")).answer();
            assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_broken"), "{name}: {answer:?}");
            assert_eq!(client.ask("GET", "/next").answer().text(), "/next", "{name}: the client's connection goes on");
        }
        let mut frames = Frames::connect(weir.http);
        let stream = frames.ask("GET", &format!("/lie{number}"), &[], true);
        let head = frames.next().unwrap();
        assert_eq!((head.kind, head.stream), (HEADERS, stream), "{name}");
        assert_ne!(head.payload.first(), Some(&0x88), "{name}: 200");
    }
    weir.wait_for_rest();
}

/// Bytes behind an answer belong to nobody: not to the next request on that connection (response queue poisoning).
#[test]
fn what_comes_behind_an_answer_is_nobodys() {
    const POISON: &str = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison";
    let origin = Origin::start(|exchange| {
        exchange.body()?;
        let pause = || std::thread::sleep(Duration::from_millis(20));
        let head = |length: usize| format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        match exchange.target().to_owned().as_str() {
            "/at-once" => exchange.raw(format!("{}ok{POISON}", head(2)).as_bytes()),
            "/later" => {
                exchange.raw(format!("{}ok", head(2)).as_bytes())?;
                pause();
                exchange.raw(POISON.as_bytes())
            }
            "/longer" => exchange.raw(format!("{}okay{POISON}", head(2)).as_bytes()),
            "/none" => exchange.raw(format!("HTTP/1.1 204 None\r\ncontent-length: 2\r\n\r\n{POISON}").as_bytes()),
            "/same" => exchange.raw(format!("HTTP/1.1 304 Same\r\n\r\n{POISON}").as_bytes()),
            "/head" => exchange.raw(format!("{}{POISON}", head(2)).as_bytes()),
            "/chunks" => exchange.raw(
                format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{POISON}").as_bytes(),
            ),
            target => exchange.respond(200, "", target.as_bytes()),
        }
    });
    let weir = Weir::start(&one_route(origin.address, 1, ""));
    let mut others = Client::connect(weir.http);
    for round in 0..20 {
        for path in ["/at-once", "/later", "/longer", "/none", "/same", "/head", "/chunks"] {
            let method = if path == "/head" { "HEAD" } else { "GET" };
            let mut client = Client::connect(weir.http);
            let answer = client.ask(method, path).try_answer(method).unwrap();
            assert!(["", "ok"].contains(&answer.text().as_str()), "{path}: {answer:?}");
            if path == "/later" {
                std::thread::sleep(Duration::from_millis(40));
            }
            let target = format!("/own-{round}");
            for client in [&mut client, &mut others] {
                assert_eq!(client.ask("GET", &target).answer().text(), target, "behind {path}");
            }
        }
    }
    drop(others);
    weir.wait_for_rest();
}

/// A service that closes each connection right after its answer, without having said so.
#[test]
fn a_post_on_a_stale_connection_is_neither_lost_nor_doubled() {
    const POSTS: usize = 300;
    let turn = Arc::new(AtomicUsize::new(0));
    let origin = Origin::start(move |exchange| {
        exchange.body()?;
        exchange.respond(200, "", exchange.target().to_owned().as_bytes())?;
        // Before the next request comes, while it comes, after it.
        let wait = turn.fetch_add(1, Ordering::Relaxed) % 4;
        std::thread::sleep(Duration::from_micros(200 * wait as u64));
        Err(io::ErrorKind::ConnectionAborted.into())
    });
    let weir = Weir::start(&one_route(origin.address, 1, ""));
    let mut client = Client::connect(weir.http);
    let (mut served, mut unknown) = (0, 0);
    for number in 0..POSTS {
        let body = format!("name={number}");
        let target = format!("/post-{number}-");
        client.send(format!("POST {target} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
        let answer = client.answer();
        let seen = origin.targets().iter().filter(|seen| **seen == target).count();
        match answer.status {
            200 => {
                served += 1;
                assert_eq!((answer.text(), seen), (target, 1));
            }
            // It was sent on a connection that the service had just closed: nobody can know, so it is said and not sent again.
            502 => {
                unknown += 1;
                assert_eq!((answer.reason().as_str(), seen <= 1), ("upstream_broken", true));
            }
            _ => panic!("{answer:?}"),
        }
    }
    println!("{served} served, {unknown} told that nobody knows");
    assert!(served > POSTS / 2, "{served} of {POSTS}");
    drop(client);
    weir.wait_for_rest();
}

/// Fields behind a body, when the client has acted on the head already.
#[test]
fn trailers_bring_nothing_that_frames_or_is_kept() {
    let origin = Origin::start(|exchange| {
        exchange.raw(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-sum: fine\r\nset-cookie: a=bad\r\n\
              content-length: 7\r\nweir-pass: bad\r\ntransfer-encoding: bad\r\nconnection: bad\r\n\r\n",
        )
    });
    let weir = Weir::start(&one_route(origin.address, 4, ""));
    let output = run("nghttp", "nghttp2-client", &["-v", &format!("http://{}/", weir.http)]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && told.contains("x-sum: fine"), "{told}");
    assert!(!told.contains("bad") && !told.contains("content-length: 7"), "{told}");
    // HTTP/1.1 tells a client of trailers only where it has asked for them.
    assert_eq!(get(weir.http, "/").text(), "ok");
}

/// An answer that never ends, and one that ends only by silence: neither holds more than its share, and its client is told.
#[test]
fn an_answer_without_end_is_ended() {
    let origin = Origin::start(|exchange| {
        exchange.body()?;
        match exchange.target() {
            "/endless" => {
                exchange.raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
                let chunk = [b"4000\r\n".as_slice(), &[b'x'; 0x4000], b"\r\n"].concat();
                loop {
                    exchange.raw(&chunk)?;
                }
            }
            "/head-without-end" => {
                exchange.raw(b"HTTP/1.1 200 OK\r\n")?;
                loop {
                    exchange.raw(b"x-a: b\r\n")?;
                }
            }
            _ => {
                exchange.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")?;
                std::thread::sleep(Duration::from_secs(3));
                Err(io::ErrorKind::ConnectionAborted.into())
            }
        }
    });
    let config = one_route(origin.address, 4, "").replace("concurrency", "response_timeout = \"1s\"\nconcurrency");
    let weir = Weir::start(&config);
    assert_eq!(get(weir.http, "/head-without-end").status, 502);
    let silent = Client::connect(weir.http).ask("GET", "/silent").try_answer("GET");
    assert!(silent.is_err(), "it is seen to break off: {silent:?}");
    let mut frames = Frames::connect(weir.http);
    let stream = frames.ask("GET", "/silent", &[], true);
    let last =
        std::iter::from_fn(|| frames.next().ok()).find(|frame| matches!(frame.kind, RST_STREAM | GOAWAY)).unwrap();
    assert_eq!((last.kind, last.stream), (RST_STREAM, stream), "{last:?}");
    let mut client = Client::connect(weir.http);
    let (status, _) = client.ask("GET", "/endless").head().unwrap();
    assert_eq!(status, 200);
    client.bytes(4 << 20).unwrap();
    drop((client, frames));
    weir.wait_for_rest();
}
