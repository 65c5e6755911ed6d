//! A client that reads slowly keeps the service only as long as the service itself has something to say.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use crate::client::get;
use crate::frames::{DATA, END_STREAM, Frames, HEADERS, RST_STREAM};
use crate::origin::{Latch, Origin};
use crate::weir::{PATIENCE, Weir, eventually, one_route};

/// Fits into what is read ahead, and not into the socket of [`narrow`] and hyper's buffer.
const FITS: usize = 60 << 10;
const PART: usize = 1 << 10;
const LARGE: usize = 4 << 20;
/// What hyper keeps back at most before it asks for more of a body.
const HYPER: usize = 16 << 10;

/// Answers `/slow` with `length` bytes after their head, in small parts; anything else at once.
fn origin(length: usize, is_told: bool) -> Origin {
    Origin::start(move |exchange| {
        if !exchange.target().starts_with("/slow") {
            return exchange.respond(200, "", b"done");
        }
        let part = vec![b'Z'; PART];
        let chunk = |part: &[u8]| [format!("{:x}\r\n", part.len()).as_bytes(), part, b"\r\n"].concat();
        let field = if is_told { format!("content-length: {length}") } else { "transfer-encoding: chunked".to_owned() };
        exchange.raw(format!("HTTP/1.1 200 OK\r\n{field}\r\n\r\n").as_bytes())?;
        std::thread::sleep(Duration::from_millis(50));
        for _ in 0..length / PART {
            exchange.raw(&if is_told { part.clone() } else { chunk(&part) })?;
        }
        if !is_told {
            exchange.raw(b"0\r\n\r\n")?;
        }
        Ok(())
    })
}

/// A client whose sockets hold next to nothing, at either end: small segments keep the sender's buffer small, too.
fn narrow(address: SocketAddr, target: &str) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    socket.set_tcp_mss(536).unwrap();
    socket.connect(&address.into()).unwrap();
    let mut stream = TcpStream::from(socket);
    ask(&mut stream, target);
    stream
}

fn ask(stream: &mut TcpStream, target: &str) {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("GET {target} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes()).unwrap();
}

/// Bytes of the body up to the end of the connection.
fn until_it_breaks(stream: &mut TcpStream) -> usize {
    let mut all = Vec::new();
    // It may end by a reset.
    stream.read_to_end(&mut all).ok();
    String::from_utf8_lossy(&all).matches('Z').count()
}

/// The whole answer, whose head has no `Z`.
fn body(stream: &mut TcpStream, length: usize) -> usize {
    let (mut seen, mut buffer) = (0, [0; 4096]);
    while seen < length {
        let read = stream.read(&mut buffer).unwrap();
        assert!(read > 0, "it broke off after {seen} bytes");
        seen += String::from_utf8_lossy(&buffer[..read]).matches('Z').count();
    }
    seen
}

#[test]
fn an_answer_that_fits_gives_the_permit_back_to_the_next() {
    for is_told in [true, false] {
        let origin = origin(FITS, is_told);
        let weir = Weir::start(&one_route(origin.address, 1, "queue = { wait = \"1h\", length = 10 }"));
        // One byte a second, of which the test sees the first.
        let mut slow = narrow(weir.http, "/slow");
        slow.read_exact(&mut [0; 1]).unwrap();
        // How much of the rest the kernel takes is its own affair, and may be all of it; without a window nothing is taken (below).
        weir.wait_for_load("u", 0, 0);
        let asked = Instant::now();
        assert_eq!(get(weir.http, "/next").text(), "done");
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        slow.read_exact(&mut [0; 1]).unwrap();
        assert_eq!(body(&mut slow, FITS), FITS);
        weir.wait_for("weir_response_ahead_bytes", 0);
        drop(slow);
        weir.wait_for_rest();
        assert_eq!(weir.metrics().requests("all", "admitted"), 2);
    }
}

#[test]
fn a_stream_without_a_window_gives_the_permit_back_and_is_ended() {
    let origin = origin(FITS, true);
    let config =
        one_route(origin.address, 1, "queue = { wait = \"1h\", length = 10 }\n[clients]\nbody_timeout = \"6s\"");
    let weir = Weir::start(&config);
    let mut frames = Frames::without_window(weir.http);
    let stream = frames.ask("GET", "/slow", &[], true);
    assert_eq!(frames.next().unwrap().kind, HEADERS);
    let asked = Instant::now();
    assert_eq!(get(weir.http, "/next").text(), "done");
    assert!(asked.elapsed() < Duration::from_secs(4), "only when the stream had been ended: {:?}", asked.elapsed());
    weir.wait_for_load("u", 0, 0);
    assert!(weir.metrics().value("weir_response_ahead_bytes") > 0);
    // It is a client that stands still all the same.
    let frame = frames.next().unwrap();
    assert_eq!((frame.kind, frame.stream), (RST_STREAM, stream), "{frame:?}");
    weir.wait_for("weir_response_ahead_bytes", 0);
    // With a window, all of it comes.
    let stream = frames.ask("GET", "/slow", &[], true);
    frames.widen(stream, 1 << 20);
    frames.widen(0, 1 << 20);
    let mut seen = 0;
    loop {
        let frame = frames.next().unwrap();
        seen += if frame.kind == DATA { frame.payload.len() } else { 0 };
        if frame.flags & END_STREAM != 0 {
            break;
        }
    }
    assert_eq!(seen, FITS);
    drop(frames);
    weir.wait_for_rest();
}

/// Trailers end a stream as its last byte does.
#[test]
fn a_stream_that_ends_with_trailers_is_ended_as_well() {
    const BODY: usize = 12 << 10;
    let origin = Origin::start(|exchange| {
        let body = "x".repeat(BODY);
        exchange.raw(
            format!(
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{BODY:x}\r\n{body}\r\n0\r\nx-sum: fine\r\n\r\n"
            )
            .as_bytes(),
        )
    });
    let weir = Weir::start(&format!("{}[clients]\nbody_timeout = \"1s\"", one_route(origin.address, 1, "")));
    let mut frames = Frames::without_window(weir.http);
    let stream = frames.ask("GET", "/", &[], true);
    assert_eq!(frames.next().unwrap().kind, HEADERS);
    let frame = frames.next().unwrap();
    assert_eq!((frame.kind, frame.stream), (RST_STREAM, stream), "{frame:?}");
    // With a window, the trailers come behind all of it.
    let stream = frames.ask("GET", "/", &[], true);
    frames.widen(stream, 1 << 20);
    assert_eq!(frames.next().unwrap().kind, HEADERS);
    let mut seen = 0;
    let last = loop {
        let frame = frames.next().unwrap();
        if frame.kind != DATA {
            break frame;
        }
        seen += frame.payload.len();
    };
    assert_eq!((seen, last.kind, last.flags & END_STREAM), (BODY, HEADERS, END_STREAM));
    drop(frames);
    weir.wait_for_rest();
}

/// Nobody reads the body any more when its bytes come, though it has been asked for before.
#[test]
fn a_window_that_shrinks_while_the_service_works_keeps_no_permit() {
    let latch = Latch::new();
    let passed = Arc::clone(&latch);
    let origin = Origin::start(move |exchange| {
        exchange.raw(format!("HTTP/1.1 200 OK\r\ncontent-length: {FITS}\r\n\r\n").as_bytes())?;
        passed.pass();
        for _ in 0..FITS / PART {
            exchange.raw(&[b'Z'; PART])?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    });
    let weir = Weir::start(&one_route(origin.address, 1, ""));
    let mut frames = Frames::connect(weir.http);
    let stream = frames.ask("GET", "/", &[], true);
    assert_eq!(frames.next().unwrap().kind, HEADERS);
    frames.shrink();
    // Time for the window to be taken away from who waits for the body.
    std::thread::sleep(Duration::from_millis(200));
    weir.wait_for_load("u", 1, 0);
    latch.let_pass(1);
    weir.wait_for_load("u", 0, 0);
    assert!(weir.metrics().value("weir_response_ahead_bytes") >= (FITS - HYPER) as u64);
    // The window is 65,535 below what it needs.
    frames.widen(stream, 1 << 20);
    let mut seen = 0;
    while seen < FITS {
        let frame = frames.next().unwrap();
        assert_eq!(frame.kind, DATA, "{frame:?}");
        seen += frame.payload.len();
    }
    drop(frames);
    weir.wait_for_rest();
}

#[test]
fn a_larger_answer_keeps_the_permit_until_its_last_byte() {
    for is_told in [true, false] {
        let origin = origin(LARGE, is_told);
        let config =
            one_route(origin.address, 1, "queue = { wait = \"1h\", length = 10 }\n[clients]\nbody_timeout = \"2s\"");
        let weir = Weir::start(&config);
        let mut slow = narrow(weir.http, "/slow");
        slow.read_exact(&mut [0; 1]).unwrap();
        std::thread::sleep(Duration::from_millis(500));
        weir.wait_for_load("u", 1, 0);
        assert!(weir.metrics().value("weir_response_ahead_bytes") <= 128 << 10);
        // Who takes it all gives the permit back.
        assert_eq!(body(&mut slow, LARGE), LARGE);
        weir.wait_for_load("u", 0, 0);
        drop(slow);
        // Who takes nothing is ended, and then the permit comes back too: of so much the rest is not read.
        let still = narrow(weir.http, "/slow");
        weir.wait_for("weir_connections_ended_total{cause=\"stalled\"}", 1);
        weir.wait_for_load("u", 0, 0);
        drop(still);
        weir.wait_for_rest();
        weir.wait_for("weir_response_ahead_bytes", 0);
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_leaves_nothing_behind() {
    for length in [FITS, LARGE] {
        let origin = origin(length, true);
        let weir = Weir::start(&one_route(origin.address, 1, "queue = { wait = \"1h\", length = 10 }"));
        for _ in 0..3 {
            let mut slow = narrow(weir.http, "/slow");
            slow.read_exact(&mut [0; 1]).unwrap();
            drop(slow);
        }
        assert_eq!(get(weir.http, "/next").text(), "done");
        weir.wait_for_rest();
        eventually("nothing is held", || weir.metrics().value("weir_response_ahead_bytes") == 0);
    }
}

#[test]
fn an_origin_that_breaks_off_is_seen_to_break_off_after_what_came() {
    let origin = Origin::start(|exchange| {
        let half = "Z".repeat(FITS / 2);
        exchange.raw(format!("HTTP/1.1 200 OK\r\ncontent-length: {FITS}\r\n\r\n").as_bytes())?;
        std::thread::sleep(Duration::from_millis(50));
        exchange.raw(half.as_bytes())?;
        Err(std::io::ErrorKind::BrokenPipe.into())
    });
    let weir = Weir::start(&one_route(origin.address, 1, ""));
    let mut quick = TcpStream::connect(weir.http).unwrap();
    ask(&mut quick, "/quick");
    assert_eq!(until_it_breaks(&mut quick), FITS / 2);

    let mut slow = narrow(weir.http, "/slow");
    slow.read_exact(&mut [0; 1]).unwrap();
    weir.wait_for_load("u", 0, 0);
    // All but what hyper had not written yet when it learned of it.
    let seen = until_it_breaks(&mut slow);
    assert!((FITS / 2 - HYPER..=FITS / 2).contains(&seen), "{seen}");
    drop((quick, slow));
    weir.wait_for_rest();
    assert_eq!(weir.metrics().requests("all", "upstream_broken"), 2);
}
