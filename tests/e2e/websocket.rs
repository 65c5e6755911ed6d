//! An upgraded connection: bytes both ways after 101, where the route allows it.

use crate::client::{self, Client};
use crate::origin::{Origin, field};
use crate::weir::{PATIENCE, Weir, eventually, one_route};

/// The handshake of RFC 6455 §1.3, with its key and answer.
const HANDSHAKE: &str = "GET /chat HTTP/1.1\r\nhost: localhost\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\n\
                         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A masked text frame "Hello" and its unmasked answer (RFC 6455 §5.7); a close frame, both empty.
const HELLO: [u8; 11] = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
const HELLO_BACK: [u8; 7] = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
const CLOSE: [u8; 6] = [0x88, 0x80, 0, 0, 0, 0];
const CLOSE_BACK: [u8; 2] = [0x88, 0];

/// Switches whoever asks for it, answers each greeting, and closes when asked; plain answers for everybody else.
fn origin() -> Origin {
    Origin::start(|exchange| {
        if exchange.field("upgrade") != Some("websocket") {
            return exchange.respond(200, "", b"plain");
        }
        exchange.raw(
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                 sec-websocket-accept: {ACCEPT}\r\nkeep-alive: timeout=5\r\nproxy-authenticate: Basic\r\n\r\n"
            )
            .as_bytes(),
        )?;
        let mut seen = Vec::new();
        let mut buffer = [0; 1024];
        loop {
            let read = exchange.some(&mut buffer)?;
            seen.extend_from_slice(&buffer[..read]);
            while seen.starts_with(&HELLO) {
                seen.drain(..HELLO.len());
                exchange.raw(&HELLO_BACK)?;
            }
            if read == 0 || seen.starts_with(&CLOSE) {
                exchange.raw(&CLOSE_BACK)?;
                return Err(std::io::ErrorKind::ConnectionAborted.into());
            }
        }
    })
}

#[test]
fn frames_pass_both_ways_until_the_close() {
    let origin = origin();
    let weir = Weir::start(&one_route(origin.address, 2, "upgrade = true"));
    let mut client = Client::connect(weir.http);
    let answer = client.send(HANDSHAKE).answer();
    assert_eq!(answer.status, 101);
    assert_eq!(answer.field("upgrade"), Some("websocket"), "{answer:?}");
    assert!(answer.field("connection").is_some_and(|value| value.eq_ignore_ascii_case("upgrade")), "{answer:?}");
    assert_eq!(answer.field("sec-websocket-accept"), Some(ACCEPT));
    for gone in ["keep-alive", "proxy-authenticate"] {
        assert_eq!(answer.field(gone), None, "{answer:?}");
    }
    assert!(field(&origin.seen()[0], "connection").unwrap().eq_ignore_ascii_case("upgrade"));
    for _ in 0..100 {
        assert_eq!(client.send(HELLO).bytes(HELLO_BACK.len() as u64).unwrap(), HELLO_BACK);
    }
    let metrics = weir.metrics();
    assert_eq!(metrics.value("weir_connections{kind=\"tunnel\"}"), 1);
    assert_eq!(metrics.value("weir_in_flight{upstream=\"u\"}"), 1, "a tunnel keeps its permit");
    assert_eq!(client.send(CLOSE).bytes(CLOSE_BACK.len() as u64).unwrap(), CLOSE_BACK);
    assert!(client.is_closed_within(PATIENCE));
    weir.wait_for_rest();
}

#[test]
fn frames_sent_with_the_handshake_are_not_lost() {
    let origin = origin();
    let weir = Weir::start(&one_route(origin.address, 2, "upgrade = true"));
    let mut client = Client::connect(weir.http);
    client.send([HANDSHAKE.as_bytes(), &HELLO].concat());
    assert_eq!(client.answer().status, 101);
    assert_eq!(client.bytes(HELLO_BACK.len() as u64).unwrap(), HELLO_BACK);
    drop(client);
    weir.wait_for_rest();
}

#[test]
fn a_client_that_vanishes_gives_its_permit_back() {
    let origin = origin();
    let weir = Weir::start(&one_route(origin.address, 1, "upgrade = true"));
    for _ in 0..5 {
        let mut client = Client::connect(weir.http);
        assert_eq!(client.send(HANDSHAKE).answer().status, 101);
        drop(client);
        weir.wait_for_rest();
    }
}

#[test]
fn where_the_route_does_not_allow_it_the_answer_is_plain() {
    let origin = origin();
    let weir = Weir::start(&one_route(origin.address, 2, ""));
    let mut client = Client::connect(weir.http);
    let answer = client.send(HANDSHAKE).answer();
    assert_eq!((answer.status, answer.text().as_str()), (200, "plain"));
    assert_eq!(field(&origin.seen()[0], "upgrade"), None);
    assert_eq!(client.ask("GET", "/next").answer().status, 200, "the connection goes on in HTTP");
}

#[test]
fn an_origin_that_switches_to_something_else_is_broken() {
    let origin = Origin::start(|exchange| {
        exchange.raw(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n")
    });
    let weir = Weir::start(&one_route(origin.address, 1, "upgrade = true"));
    let answer = Client::connect(weir.http).send(HANDSHAKE).answer();
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_broken"), "{answer:?}");
    weir.wait_for_rest();
}

/// The limit is being found: who holds a permit and is quiet must not look like a service that answers nobody.
#[test]
fn quiet_tunnels_do_not_close_the_service() {
    let origin = origin();
    let weir = Weir::start(&format!(
        "[[upstream]]\nname = \"u\"\nservers = [\"{}\"]\n\
         [[route]]\npath = \"/*\"\nupstream = \"u\"\nupgrade = true\n",
        origin.address
    ));
    // As many as may be in flight at the start, so that whoever comes then must wait for a probe.
    let mut tunnels: Vec<_> = (0..16).map(|_| Client::connect(weir.http)).collect();
    for (opened, tunnel) in tunnels.iter_mut().enumerate() {
        assert_eq!(tunnel.send(HANDSHAKE).answer().status, 101, "{opened}");
    }
    for _ in 0..2 {
        std::thread::sleep(std::time::Duration::from_secs(1));
        assert_eq!(client::get(weir.http, "/plain").status, 200);
    }
}

/// People who keep a tunnel open take nothing of what the law found for the others.
#[test]
fn tunnels_have_places_beside_the_limit() {
    let origin = origin();
    let weir = Weir::start(&format!(
        "[[upstream]]\nname = \"u\"\nservers = [\"{}\"]\nconcurrency = {{ min = 4, initial = 4, max = 60 }}\n\
         [[route]]\npath = \"/*\"\nupstream = \"u\"\nupgrade = true\nqueue = {{ length = 0 }}\n",
        origin.address
    ));
    let mut tunnels: Vec<_> = (0..40).map(|_| Client::connect(weir.http)).collect();
    for (opened, tunnel) in tunnels.iter_mut().enumerate() {
        let mut refused = 0;
        // Places are made every 10 ms.
        while tunnel.send(HANDSHAKE).answer().status != 101 {
            refused += 1;
            assert!(refused < 100, "{opened}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
    eventually("a place for each", || weir.metrics().value("weir_limit{upstream=\"u\"}") >= 44);
    assert_eq!(client::get(weir.http, "/plain").status, 200);
    drop(tunnels);
    weir.wait_for_rest();
    assert!(weir.metrics().value("weir_limit{upstream=\"u\"}") <= 20, "their places went with them");
}

#[test]
fn nothing_but_a_websocket_leaves_http() {
    // Switches whatever it is asked to.
    let origin = Origin::start(|exchange| {
        let Some(protocol) = exchange.field("upgrade").map(str::to_owned) else {
            exchange.body()?;
            return exchange.respond(200, "", b"plain");
        };
        exchange.raw(format!("HTTP/1.1 101 Switching Protocols\r\nupgrade: {protocol}\r\n\r\n").as_bytes())
    });
    let weir = Weir::start(&one_route(origin.address, 2, "upgrade = true"));
    for request in [
        HANDSHAKE.replace("upgrade: websocket", "upgrade: h2c"),
        HANDSHAKE.replace("upgrade: websocket", "upgrade: websocket, h2c"),
        HANDSHAKE.replace("upgrade: websocket", "upgrade: websocket\r\nupgrade: h2c"),
        HANDSHAKE.replace("GET ", "POST "),
        HANDSHAKE.replace("\r\n\r\n", "\r\ncontent-length: 5\r\n\r\nhello"),
    ] {
        let answer = Client::connect(weir.http).send(&request).answer();
        assert_eq!((answer.status, answer.text().as_str()), (200, "plain"), "{request}");
    }
    assert!(origin.seen().iter().all(|seen| field(seen, "upgrade").is_none()));
    weir.wait_for_rest();
}
