//! Upstreams that fail: whose fault it was is said, nothing is cut short silently, nothing is sent twice.

use std::io;
use std::time::Duration;

use crate::client::{Client, get};
use crate::frames::{DATA, END_STREAM, Frames, HEADERS, RST_STREAM};
use crate::origin::{Exchange, Latch, Origin};
use crate::tools::run;
use crate::weir::{Weir, free_address, one_route};

/// Fails as the path says.
fn fail(exchange: &mut Exchange<'_>) -> io::Result<()> {
    exchange.body()?;
    let closed = Err(io::ErrorKind::ConnectionAborted.into());
    match exchange.target() {
        "/closed" => closed,
        "/garbage" => exchange.raw(b"\x16\x03\x01\x02\x00 this is not HTTP\r\n\r\n").and(closed),
        "/half-a-head" => exchange.raw(b"HTTP/1.1 200 OK\r\ncontent-le").and(closed),
        "/bad-status" => exchange.raw(b"HTTP/1.1 2000 OK\r\ncontent-length: 0\r\n\r\n").and(closed),
        "/two-lengths" => {
            exchange.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 5\r\n\r\nabcde").and(closed)
        }
        "/length-and-chunked" => exchange
            .raw(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
            .and(closed),
        "/unasked-switch" => {
            exchange.raw(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n")
        }
        "/huge-head" => {
            let line = format!("x-filler: {}\r\n", "x".repeat(8_000));
            exchange.raw(format!("HTTP/1.1 200 OK\r\n{}\r\n", line.repeat(200)).as_bytes()).and(closed)
        }
        "/short" => exchange.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nonly this").and(closed),
        "/short-chunked" => {
            exchange.raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n").and(closed)
        }
        "/until-close" => exchange.raw(b"HTTP/1.1 200 OK\r\n\r\nuntil the close").and(closed),
        "/interim" => {
            exchange.raw(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")?;
            exchange.respond(200, "", b"after a hint")
        }
        _ => exchange.respond(200, "", b"fine"),
    }
}

#[test]
fn whose_fault_it_was_is_said() {
    let origin = Origin::start(fail);
    let weir = Weir::start(&one_route(origin.address, 4, ""));
    let broken = [
        "/closed",
        "/garbage",
        "/half-a-head",
        "/bad-status",
        "/two-lengths",
        "/length-and-chunked",
        "/unasked-switch",
        "/huge-head",
    ];
    for path in broken {
        let answer = get(weir.http, path);
        assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_broken"), "{path}: {answer:?}");
        assert_eq!(answer.field("retry-after"), None);
    }
    let asked = origin.targets();
    assert_eq!(asked, broken, "nothing was sent again");
    assert_eq!(get(weir.http, "/until-close").text(), "until the close");
    assert_eq!(get(weir.http, "/interim").text(), "after a hint");
    let metrics = weir.metrics();
    assert_eq!(metrics.requests("all", "upstream_broken"), broken.len() as u64);
    weir.wait_for_rest();
}

#[test]
fn nothing_is_cut_short_silently() {
    let origin = Origin::start(fail);
    let weir = Weir::start(&one_route(origin.address, 4, ""));
    for path in ["/short", "/short-chunked"] {
        let mut client = Client::connect(weir.http);
        let answer = client.ask("GET", path).try_answer("GET");
        assert!(answer.is_err(), "{path}: {answer:?}");
        for (way, base) in [
            ("--http1.1", format!("http://{}", weir.http)),
            ("--http2-prior-knowledge", format!("http://{}", weir.http)),
            ("--http2", format!("https://{}", weir.https)),
        ] {
            let output = run("curl", "curl", &["-sSk", "--max-time", "30", way, &format!("{base}{path}")]);
            // 18: partial file; 56: receive error; 92: HTTP/2 stream error.
            let code = output.status.code().unwrap();
            assert!([18, 56, 92].contains(&code), "{way} {path}: {code} {}", String::from_utf8_lossy(&output.stderr));
        }
    }
    let metrics = weir.metrics();
    assert_eq!(metrics.requests("all", "upstream_broken"), 8);
    weir.wait_for_rest();
}

#[test]
fn an_origin_that_is_not_there_is_said_so() {
    let weir = Weir::start(&one_route(free_address(), 4, ""));
    let mut client = Client::connect(weir.http);
    for _ in 0..3 {
        let answer = client.send("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n\r\nabc").answer();
        assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_unreachable"), "{answer:?}");
    }
    let metrics = weir.metrics();
    assert_eq!(metrics.requests("all", "upstream_unreachable"), 3);
    weir.wait_for_load("u", 0, 0);
}

#[test]
fn a_dead_server_costs_no_request() {
    let origin = Origin::start(fail);
    let config =
        one_route(origin.address, 4, "").replace("servers = [", &format!("servers = [\"{}\", ", free_address()));
    let weir = Weir::start(&config);
    let mut client = Client::connect(weir.http);
    for _ in 0..100 {
        let answer = client.send("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 3\r\n\r\nabc").answer();
        assert_eq!(answer.status, 200);
    }
    assert_eq!(origin.requests(), 100);
}

/// The origin closes each connection as soon as, or a moment after, it has answered: weir may just be using it again.
#[test]
fn a_kept_connection_that_the_origin_closes_costs_no_request() {
    let origin = Origin::start(|exchange| {
        let pause = exchange.target().trim_start_matches('/').parse().unwrap();
        exchange.respond(200, "", b"")?;
        std::thread::sleep(Duration::from_micros(pause));
        Err(io::ErrorKind::ConnectionAborted.into())
    });
    let weir = Weir::start(&one_route(origin.address, 4, ""));
    let mut client = Client::connect(weir.http);
    for round in 0..300 {
        let answer = client.ask("GET", &format!("/{}", round * 10)).answer();
        // RFC 9112 §9.3.1: sent and not answered may have been worked on; only this may be said of it.
        assert!(answer.status == 200 || answer.reason() == "upstream_broken", "{answer:?}");
        std::thread::sleep(Duration::from_micros(round * 10));
    }
    let metrics = weir.metrics();
    let broken = metrics.requests("all", "upstream_broken");
    println!("{broken} of 300 met a connection that was being closed");
    assert!(broken < 150, "{broken} of 300");
    drop(client);
    weir.wait_for_rest();
}

#[test]
fn an_origin_that_does_not_accept_times_out() {
    // Full backlog: the kernel answers no further connection.
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut fillers = Vec::new();
    while let Ok(filler) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        fillers.push(filler);
    }
    let config = one_route(address, 4, "").replace("[[route]]", "connect_timeout = \"300ms\"\n[[route]]");
    let weir = Weir::start(&config);
    let answer = get(weir.http, "/");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_unreachable"), "{answer:?}");
    weir.wait_for_load("u", 0, 0);
}

#[test]
fn an_early_answer_reaches_a_client_that_still_sends() {
    let latch = Latch::new();
    let held = std::sync::Arc::clone(&latch);
    let origin = Origin::start(move |exchange| {
        exchange.respond(409, "connection: close\r\n", b"no need for more")?;
        held.pass();
        Err(io::ErrorKind::ConnectionAborted.into())
    });
    let weir = Weir::start(&one_route(origin.address, 4, "body_size = \"10MiB\""));
    let mut client = Client::connect(weir.http);
    // A smaller one would be awaited before anything else.
    client.send("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10000000\r\n\r\nfirst part");
    let answer = client.answer();
    assert_eq!((answer.status, answer.text().as_str()), (409, "no need for more"));
    latch.let_pass(1);
    drop(client);
    weir.wait_for_rest();
}

#[test]
fn a_stream_whose_body_nobody_took_gets_its_answer() {
    let weir = Weir::start(&one_route(free_address(), 4, "body_size = \"10MiB\""));
    let mut frames = Frames::connect(weir.http);
    // A smaller one would be awaited before anything else.
    let stream = frames.ask("POST", "/", &[("content-length", "10000000")], false);
    let mut body = Vec::new();
    loop {
        let frame = frames.next().unwrap();
        assert_eq!(frame.stream, stream, "{frame:?}");
        if frame.kind == DATA {
            body.extend_from_slice(&frame.payload);
            if frame.flags & END_STREAM != 0 {
                break;
            }
        } else {
            assert_eq!(frame.kind, HEADERS, "{frame:?}");
        }
    }
    assert!(String::from_utf8_lossy(&body).contains("upstream_unreachable"), "{body:?}");
    // RFC 9113 §8.1: whoever answers early asks for no more, and says that it is no error.
    let reset = frames.next().unwrap();
    assert_eq!((reset.kind, reset.payload), (RST_STREAM, vec![0; 4]));
}

#[test]
fn a_circle_is_left_after_a_few_rounds() {
    let itself = free_address();
    let config = format!("[[listener]]\naddress = \"{itself}\"\n{}", one_route(itself, 16, ""));
    let weir = Weir::start(&config);
    let answer = get(weir.http, "/round");
    assert_eq!((answer.status, answer.reason().as_str()), (508, "loop_detected"), "{answer:?}");
    weir.wait_for("weir_requests_total{reason=\"admitted\",route=\"all\"}", 6);
    weir.wait_for("weir_requests_total{reason=\"loop_detected\",route=\"none\"}", 1);
}
