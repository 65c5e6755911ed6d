//! TLS of public listeners: versions, names, resumption, certificates of clients, and what is no TLS.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConfig, HandshakeKind, NamedGroup, ProtocolVersion, version};

use crate::client::{Client, get};
use crate::origin::{Origin, field};
use crate::pki::{Authority, alert, ask, begin, presented, shake};
use crate::weir::{Weir, one_route, within};

/// A weir with a further listener that presents `files`, each issued for its names.
fn weir_with(authority: &Authority, files: &[(&str, &[&str])], more: &str) -> (Origin, Weir, SocketAddr) {
    for (file, names) in files {
        authority.issue(file, names);
    }
    let names: Vec<&str> = files.iter().map(|(file, _)| *file).collect();
    let (address, listener) = authority.listener(&names, more);
    let origin = Origin::echo();
    let weir = Weir::start(&format!("{listener}{}[runtime]\nworkers = 2\n", one_route(origin.address, 64, "")));
    (origin, weir, address)
}

/// A record with a client's first message of an old version (RFC 5246 §7.4.1.2): two cipher suites, and signatures that we know.
fn old_hello(minor: u8) -> Vec<u8> {
    let suites = [0xc0, 0x13, 0x00, 0x2f];
    let signatures = [0, 8, 0, 13, 0, 4, 0, 2, 4, 3];
    let body = [&[3, minor][..], &[7; 32], &[0], &[0, 4], &suites, &[1, 0], &signatures].concat();
    let message = [&[1, 0, 0, u8::try_from(body.len()).unwrap()][..], &body].concat();
    [&[22, 3, 1, 0, u8::try_from(message.len()).unwrap()][..], &message].concat()
}

#[test]
fn two_versions_are_spoken_and_older_ones_are_not() {
    let authority = Authority::new();
    let (_origin, weir, address) = weir_with(&authority, &[("one", &["localhost"])], "");
    for (spoken, expected) in [(&version::TLS12, ProtocolVersion::TLSv1_2), (&version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        let mut stream = shake(address, &Arc::new(authority.client_of(&[spoken])), "localhost").unwrap();
        assert_eq!(stream.conn.protocol_version(), Some(expected));
        assert!(ask(&mut stream, "").unwrap().starts_with("HTTP/1.1 200"));
    }
    for minor in [0, 1, 2] {
        let mut client = Client::connect(address);
        // Alert, fatal, protocol_version (RFC 8446 §6).
        let refused = client.send(old_hello(minor)).bytes(7).unwrap();
        assert_eq!((refused[0], &refused[5..]), (21, &[2, 70][..]), "3.{minor}");
        assert!(client.is_closed_within(Duration::from_secs(5)));
    }
    weir.wait_for("weir_connections_ended_total{cause=\"tls_failed\"}", 3);
}

#[test]
fn alpn_chooses_the_version_of_http_and_refuses_what_is_unknown() {
    let authority = Authority::new();
    let (_origin, _weir, address) = weir_with(&authority, &[("one", &["localhost"])], "");
    let client = |protocols: &[&str]| {
        let mut config = authority.client();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    };
    let cases: [(&[&str], Option<&[u8]>); 4] = [
        (&["h2", "http/1.1"], Some(b"h2")),
        (&["http/1.1"], Some(b"http/1.1")),
        (&["spdy/3", "http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ];
    for (offered, chosen) in cases {
        let mut stream = shake(address, &client(offered), "localhost").unwrap();
        assert_eq!(stream.conn.alpn_protocol(), chosen, "{offered:?}");
        if chosen != Some(b"h2") {
            assert!(ask(&mut stream, "").unwrap().starts_with("HTTP/1.1 200"), "{offered:?}");
        }
    }
    let refused = shake(address, &client(&["spdy/3"]), "localhost").unwrap_err();
    assert_eq!(alert(&refused), Some(AlertDescription::NoApplicationProtocol));
}

#[test]
fn the_name_chooses_the_certificate() {
    let authority = Authority::new();
    let files: [(&str, &[&str]); 3] =
        [("first", &["a.example", "localhost"]), ("second", &["b.example"]), ("third", &["*.c.example", "b.example"])];
    let (_origin, _weir, address) = weir_with(&authority, &files, "");
    let config = Arc::new(authority.client());
    for (name, file) in
        [("a.example", "first"), ("localhost", "first"), ("B.example", "second"), ("x.c.example", "third")]
    {
        assert_eq!(presented(&shake(address, &config, name).unwrap()), authority.certificate(file), "{name}");
    }
    // The default; whoever looks for another name will not have it.
    for name in ["c.example", "y.x.c.example", "d.example", "127.0.0.1"] {
        let refused = shake(address, &config, name).unwrap_err().to_string();
        assert!(refused.contains("not valid for name") && refused.contains("a.example"), "{name}: {refused}");
    }
}

#[test]
fn unknown_names_can_be_refused() {
    let authority = Authority::new();
    let files: [(&str, &[&str]); 2] = [("first", &["a.example"]), ("second", &["b.example"])];
    let (_origin, weir, address) = weir_with(&authority, &files, "unknown_names = \"refuse\"");
    let config = Arc::new(authority.client());
    for name in ["a.example", "b.example"] {
        shake(address, &config, name).unwrap();
    }
    for name in ["c.example", "127.0.0.1"] {
        let refused = shake(address, &config, name).unwrap_err();
        assert_eq!(alert(&refused), Some(AlertDescription::AccessDenied), "{name}: {refused}");
    }
    weir.wait_for("weir_connections_ended_total{cause=\"tls_failed\"}", 2);
}

#[test]
fn sessions_are_resumed_by_any_worker_and_across_a_reload() {
    let authority = Authority::new();
    authority.issue("one", &["localhost"]);
    let origin = Origin::echo();
    let (address, listener) = authority.listener(&["one"], "");
    let config = format!("{listener}{}[runtime]\nworkers = 2\n", one_route(origin.address, 64, ""));
    let weir = Weir::start(&config);
    for versions in [&[&version::TLS12], &[&version::TLS13]] {
        let client = Arc::new(authority.client_of(versions));
        let visit = || {
            let mut stream = shake(address, &client, "localhost").unwrap();
            assert!(ask(&mut stream, "").unwrap().starts_with("HTTP/1.1 200"));
            stream.conn.handshake_kind().unwrap()
        };
        assert_eq!(visit(), HandshakeKind::Full);
        // The kernel spreads them over the workers.
        for _ in 0..20 {
            assert_eq!(visit(), HandshakeKind::Resumed, "{versions:?}");
        }
        authority.issue("one", &["localhost"]);
        weir.reload(&config, "applied");
        for _ in 0..10 {
            assert_eq!(visit(), HandshakeKind::Resumed, "{versions:?} after a reload");
        }
        // Somebody else's ticket is nobody's.
        let mut other = shake(address, &Arc::new(authority.client_of(versions)), "localhost").unwrap();
        assert!(ask(&mut other, "").is_ok());
        assert_eq!(other.conn.handshake_kind(), Some(HandshakeKind::Full));
    }
}

/// Believes that every ticket allows early data.
#[derive(Debug)]
struct Eager(ClientSessionMemoryCache);

impl ClientSessionStore for Eager {
    fn set_kx_hint(&self, name: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(name, group);
    }
    fn kx_hint(&self, name: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(name)
    }
    fn set_tls12_session(&self, name: ServerName<'static>, value: Tls12ClientSessionValue) {
        self.0.set_tls12_session(name, value);
    }
    fn tls12_session(&self, name: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(name)
    }
    fn remove_tls12_session(&self, name: &ServerName<'static>) {
        self.0.remove_tls12_session(name);
    }
    fn insert_tls13_ticket(&self, name: ServerName<'static>, value: Tls13ClientSessionValue) {
        assert_eq!(value.max_early_data_size(), 0, "the ticket allows early data");
        self.0.insert_tls13_ticket(name, value);
    }
    fn take_tls13_ticket(&self, name: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let mut ticket = self.0.take_tls13_ticket(name)?;
        ticket._private_set_max_early_data_size(4096);
        Some(ticket)
    }
}

#[test]
fn early_data_is_thrown_away_and_the_handshake_goes_on() {
    let authority = Authority::new();
    let (origin, weir, address) = weir_with(&authority, &[("one", &["localhost"])], "");
    let mut config: ClientConfig = authority.client_of(&[&version::TLS13]);
    config.enable_early_data = true;
    config.resumption = Resumption::store(Arc::new(Eager(ClientSessionMemoryCache::new(4))));
    let config = Arc::new(config);
    ask(&mut shake(address, &config, "localhost").unwrap(), "").unwrap();
    assert_eq!(origin.requests(), 1);

    let mut stream = begin(address, &config, "localhost").unwrap();
    let early = b"POST /replayed HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(stream.conn.early_data().expect("believed to be allowed").write(early).unwrap(), early.len());
    let answer = ask(&mut stream, "x-after: 1\r\n").unwrap();
    assert!(!stream.conn.is_early_data_accepted());
    assert_eq!(stream.conn.handshake_kind(), Some(HandshakeKind::Resumed));
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("x-after"), "{answer}");
    assert_eq!(origin.targets(), ["/", "/"], "the early request was never seen");
    weir.wait_for_rest();
}

#[test]
fn clients_must_prove_who_they_are_where_that_is_required() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let ca = |mode: &str| {
        format!("client_certificates = \"{mode}\"\nclient_ca = \"{}\"", authority.path("ca.pem").display())
    };
    let (origin, weir, address) = weir_with(&authority, &[("one", &["localhost"])], &ca("required"));
    let forged = "client-cert: :Zm9yZ2Vk:\r\nClient-Cert-Chain: :Zm9yZ2Vk:\r\nclient_cert: x\r\n";

    let config = Arc::new(authority.client_with(authority.issue("partner", &["partner.example"])));
    for _ in 0..2 {
        let mut stream = shake(address, &config, "localhost").unwrap();
        assert!(ask(&mut stream, forged).unwrap().starts_with("HTTP/1.1 200"));
        // Whoever is verified is verified now.
        assert_eq!(stream.conn.handshake_kind(), Some(HandshakeKind::Full));
        let seen = origin.seen().pop().unwrap();
        let told = field(&seen, "client-cert").expect("told").to_owned();
        assert_eq!(told, format!(":{}:", authority.base64("partner")), "{seen}");
        assert!(!seen.contains("Zm9yZ2Vk") && !seen.contains("client_cert"), "{seen}");
    }
    let before = origin.requests();
    let visit = |config: &Arc<ClientConfig>| {
        // A client of TLS 1.3 is done before the server has looked (RFC 8446 §4.4.2.4).
        let stream = shake(address, config, "localhost");
        stream.and_then(|mut stream| ask(&mut stream, "")).map_err(|error| alert(&error))
    };
    assert_eq!(visit(&Arc::new(authority.client())), Err(Some(AlertDescription::CertificateRequired)));
    let mut unknown = authority.client_with(stranger.issue("partner", &["partner.example"]));
    assert_eq!(visit(&Arc::new(unknown)), Err(Some(AlertDescription::UnknownCA)));
    unknown = authority.client_with(authority.issue_with("old", &["partner.example"], |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    }));
    assert_eq!(visit(&Arc::new(unknown)), Err(Some(AlertDescription::CertificateExpired)));
    assert_eq!(origin.requests(), before);
    weir.wait_for("weir_connections_ended_total{cause=\"tls_failed\"}", 3);
    assert!(!weir.stderr().contains("partner.example") && !weir.access_log().contains("partner.example"));
}

#[test]
fn clients_may_prove_who_they_are_where_that_is_optional() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let more = format!("client_certificates = \"optional\"\nclient_ca = \"{}\"", authority.path("ca.pem").display());
    let (origin, _weir, address) = weir_with(&authority, &[("one", &["localhost"])], &more);
    let visit = |config: ClientConfig| {
        shake(address, &Arc::new(config), "localhost")
            .and_then(|mut stream| ask(&mut stream, "client-cert: :eA==:\r\n"))
    };
    visit(authority.client()).unwrap();
    assert_eq!(field(&origin.seen()[0], "client-cert"), None);
    visit(authority.client_with(authority.issue("partner", &["partner.example"]))).unwrap();
    assert!(field(&origin.seen()[1], "client-cert").is_some());
    let refused = visit(authority.client_with(stranger.issue("partner", &["partner.example"]))).unwrap_err();
    assert_eq!(alert(&refused), Some(AlertDescription::UnknownCA));
    assert_eq!(origin.requests(), 2);
}

#[test]
fn what_is_no_tls_is_told_so_or_closed() {
    let authority = Authority::new();
    authority.issue("one", &["localhost"]);
    let (address, listener) = authority.listener(&["one"], "");
    let origin = Origin::echo();
    let slow = "[clients]\nheader_timeout = \"1s\"\n";
    let weir = Weir::start(&format!("{listener}{}{slow}", one_route(origin.address, 4, "")));

    let answer = get(address, "/");
    assert_eq!((answer.status, answer.reason().as_str()), (400, "bad_request"), "{answer:?}");
    assert!(answer.text().contains("this port speaks HTTPS"), "{}", answer.text());
    // Neither junk nor the end of the stream is answered for longer than an alert.
    for junk in [&b"\x00\x01\x02\x03\x04\x05\x06\x07"[..], b"\x16\x03\x01\xff\xff", b"\x80\x2e\x01\x00\x02"] {
        let mut client = Client::connect(address);
        let begun = Instant::now();
        client.send(junk);
        assert!(within(Duration::from_secs(3), || client.is_closed_within(Duration::from_millis(50))
            || client.bytes(7).is_ok()));
        assert!(begun.elapsed() < Duration::from_secs(3), "{junk:?}");
    }
    // A handshake that stands still, and one that crawls, end at the same time.
    let mut hello = Vec::new();
    begin(address, &Arc::new(authority.client()), "localhost").unwrap().conn.write_tls(&mut hello).unwrap();
    let mut half = Client::connect(address);
    half.send(&hello[..hello.len() / 2]);
    let mut whole = Client::connect(address);
    whole.send(&hello);
    let mut slow = Client::connect(address);
    let begun = Instant::now();
    for byte in &hello[..20] {
        if slow.try_send([*byte]).is_err() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(half.is_closed_within(Duration::from_secs(5)));
    assert!(slow.is_closed_within(Duration::from_secs(1)), "after {:?}", begun.elapsed());
    weir.wait_for("weir_connections_ended_total{cause=\"tls_timeout\"}", 3);
    drop(whole);
    weir.wait_for_rest();
    assert_eq!(origin.requests(), 0);
}
