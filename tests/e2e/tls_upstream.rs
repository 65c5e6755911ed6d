//! https servers: who is believed, and what becomes of those who are not.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use rustls::crypto::aws_lc_rs;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::client::get;
use crate::origin::Origin;
use crate::pki::{Authority, Issued};
use crate::weir::Weir;

/// A service under TLS, which remembers by which name it was asked.
struct Service {
    address: SocketAddr,
    names: Arc<Mutex<Vec<Option<String>>>>,
}

/// A service that presents what was issued.
fn service(issued: Issued) -> Service {
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(rustls::DEFAULT_VERSIONS)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.certificate], issued.key)
        .unwrap();
    let (config, names) = (Arc::new(config), Arc::<Mutex<Vec<_>>>::default());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, seen) = (listener.local_addr().unwrap(), Arc::clone(&names));
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let (config, seen) = (Arc::clone(&config), Arc::clone(&seen));
            std::thread::spawn(move || {
                let mut stream = BufReader::new(StreamOwned::new(ServerConnection::new(config).unwrap(), socket));
                let mut line = String::new();
                // Whoever does not believe us is gone.
                while stream.read_line(&mut line).is_ok_and(|read| read > 0) {
                    if line.ends_with("\r\n\r\n") {
                        seen.lock().unwrap().push(stream.get_ref().conn.server_name().map(str::to_owned));
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret";
                        stream.get_mut().write_all(answer).unwrap();
                        line.clear();
                    }
                }
            });
        }
    });
    Service { address, names }
}

/// A route to https `server`, with more keys of the upstream.
fn config(server: &str, more: &str) -> String {
    format!(
        "[[upstream]]\nname = \"u\"\nservers = [\"https://{server}\"]\nconcurrency = 8\n{more}\n\
         [[route]]\nname = \"all\"\npath = \"/*\"\nupstream = \"u\"\n"
    )
}

fn ca(authority: &Authority) -> String {
    format!("ca = \"{}\"", authority.path("ca.pem").display())
}

#[test]
fn a_server_of_a_trusted_authority_is_believed_and_asked_by_its_name() {
    let authority = Authority::new();
    let service = service(authority.issue("service", &["127.0.0.1", "localhost", "service.internal"]));
    let port = service.address.port();
    let cases = [
        (format!("localhost:{port}"), String::new(), Some("localhost")),
        // An address is no name (RFC 6066 §3).
        (format!("127.0.0.1:{port}"), String::new(), None),
        (format!("127.0.0.1:{port}"), "tls_name = \"service.internal\"".to_owned(), Some("service.internal")),
    ];
    for (server, more, name) in cases {
        let weir = Weir::start(&config(&server, &format!("{}\n{more}", ca(&authority))));
        let answer = get(weir.http, "/");
        assert_eq!((answer.status, answer.text().as_str()), (200, "secret"), "{}", weir.stderr());
        assert_eq!(service.names.lock().unwrap().last().unwrap().as_deref(), name, "{server}");
    }
}

#[test]
fn a_server_that_does_not_prove_who_it_is_gets_no_request() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let names = ["127.0.0.1"];
    let old = |params: &mut rcgen::CertificateParams| params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    let early = |params: &mut rcgen::CertificateParams| params.not_before = rcgen::date_time_ymd(2090, 1, 1);
    let cases = [
        ("another name", authority.issue("other", &["other.example"]), ca(&authority), "not valid for name"),
        ("expired", authority.issue_with("old", &names, old), ca(&authority), "expired"),
        ("not valid yet", authority.issue_with("early", &names, early), ca(&authority), "not valid yet"),
        ("an unknown authority", stranger.issue("service", &names), ca(&authority), "UnknownIssuer"),
        ("the authorities of the machine", authority.issue("service", &names), String::new(), "UnknownIssuer"),
        (
            "another name than was asked for",
            authority.issue("service", &names),
            format!("{}\ntls_name = \"service.internal\"", ca(&authority)),
            "not valid for name \"service.internal\"",
        ),
    ];
    for (what, issued, more, said) in cases {
        let service = service(issued);
        let weir = Weir::start(&config(&service.address.to_string(), &more));
        for _ in 0..3 {
            let answer = get(weir.http, "/");
            assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_unreachable"), "{what}: {answer:?}");
            assert!(!answer.text().contains("certificate"), "clients are not told: {}", answer.text());
        }
        let log = weir.stderr();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains("no TLS with the server")).collect();
        assert_eq!(lines.len(), 1, "{what}: once in ten seconds: {log}");
        assert!(lines[0].contains(said) && lines[0].contains(&service.address.to_string()), "{what}: {log}");
        assert!(service.names.lock().unwrap().is_empty(), "{what}: no request was sent");
        assert_eq!(weir.metrics().requests("all", "upstream_unreachable"), 3, "{what}");
        weir.wait_for_rest();
    }
}

#[test]
fn cleartext_and_tls_do_not_meet() {
    let origin = Origin::echo();
    let authority = Authority::new();
    let weir = Weir::start(&config(&origin.address.to_string(), &ca(&authority)));
    let answer = get(weir.http, "/");
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_unreachable"), "{answer:?}");
    // It saw the beginning of a handshake at most.
    assert_eq!(origin.requests(), 0, "the request was not sent in cleartext");
}
