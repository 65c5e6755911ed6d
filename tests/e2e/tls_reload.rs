//! Certificates that are replaced while clients shake hands, those that end, and floods of handshakes.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use rustls::ClientConfig;

use crate::client::Client;
use crate::origin::Origin;
use crate::pki::{Authority, ask, begin, presented, shake};
use crate::weir::{Weir, one_route};

const LAST_RELOAD: &str = "weir_config_last_reload_successful";
const RELOADS: usize = 15;

/// Clients that shake hands again and again until told to stop; each answers how often, and fails at the first that fails.
fn crowd(address: SocketAddr, config: &Arc<ClientConfig>, stop: &Arc<AtomicBool>) -> Vec<JoinHandle<usize>> {
    let one = |config: Arc<ClientConfig>, stop: Arc<AtomicBool>| {
        move || {
            let mut shaken = 0;
            while !stop.load(Ordering::Relaxed) {
                let mut stream = shake(address, &config, "localhost").unwrap();
                assert!(ask(&mut stream, "").unwrap().starts_with("HTTP/1.1 200"));
                shaken += 1;
            }
            shaken
        }
    };
    (0..3).map(|_| std::thread::spawn(one(Arc::clone(config), Arc::clone(stop)))).collect()
}

#[test]
fn certificates_are_replaced_and_no_handshake_fails() {
    let authority = Authority::new();
    authority.issue("one", &["localhost"]);
    let origin = Origin::echo();
    let (address, listener) = authority.listener(&["one"], "");
    let config = format!("{listener}{}", one_route(origin.address, 64, ""));
    let weir = Weir::start(&config);
    let mut client = authority.client();
    let resuming = Arc::new(client.clone());
    client.resumption = rustls::client::Resumption::disabled();
    let anew = Arc::new(client);
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = [&resuming, &anew].into_iter().flat_map(|config| crowd(address, config, &stop)).collect();
    // Somebody who was there before goes on as before.
    let mut old = shake(address, &anew, "localhost").unwrap();
    for _ in 0..RELOADS {
        authority.issue("one", &["localhost"]);
        weir.reload(&config, "applied");
        let fresh = shake(address, &anew, "localhost").unwrap();
        assert_eq!(presented(&fresh), authority.certificate("one"), "who comes after a reload gets the new one");
    }
    stop.store(true, Ordering::Relaxed);
    let shaken: usize = clients.into_iter().map(|client| client.join().expect("no handshake fails")).sum();
    assert!(shaken > RELOADS, "{shaken} handshakes");
    assert!(ask(&mut old, "").unwrap().starts_with("HTTP/1.1 200"));
    weir.reload(&config, "unchanged");
    assert_eq!(weir.metrics().value("weir_connections_ended_total{cause=\"tls_failed\"}"), 0);
}

#[test]
fn a_broken_certificate_keeps_the_old_one_and_says_so() {
    let authority = Authority::new();
    authority.issue("one", &["localhost"]);
    authority.issue("other", &["localhost"]);
    let origin = Origin::echo();
    let (address, listener) = authority.listener(&["one"], "");
    let config = format!("{listener}{}", one_route(origin.address, 4, ""));
    let weir = Weir::start(&config);
    let client = Arc::new(authority.client());
    let before = authority.certificate("one");
    let good = [fs::read(authority.path("one.pem")).unwrap(), fs::read(authority.path("one.key")).unwrap()];
    let other = fs::read(authority.path("other.key")).unwrap();
    for (file, bytes, said) in [
        ("one.key", &other[..], "`key` does not belong to `certificate`"),
        ("one.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "not an X.509 v3 certificate"),
        ("one.pem", b"", "`certificate` holds no certificate"),
    ] {
        fs::write(authority.path(file), bytes).unwrap();
        weir.reload(&config, "invalid");
        assert_eq!(weir.metrics().value(LAST_RELOAD), 0);
        let log = weir.stderr();
        assert!(log.contains(said) && log.contains("not reloaded: nothing has changed"), "{said} in {log}");
        assert!(!log.contains("PRIVATE KEY"), "{log}");
        assert_eq!(presented(&shake(address, &client, "localhost").unwrap()), before);
        fs::write(authority.path("one.pem"), &good[0]).unwrap();
        fs::write(authority.path("one.key"), &good[1]).unwrap();
    }
    weir.reload(&config, "unchanged");
    assert_eq!(weir.metrics().value(LAST_RELOAD), 1);
    // What is asked of clients is read again as well, names too; whether there is TLS is not.
    let (_, strict) = authority.listener(&["one", "third"], "unknown_names = \"refuse\"");
    authority.issue("third", &["third.example"]);
    let strict = strict.split_once('\n').and_then(|(_, rest)| rest.split_once('\n')).unwrap().1.to_owned();
    let rest = one_route(origin.address, 4, "");
    weir.reload(&format!("[[listener]]\naddress = \"{address}\"\n{strict}{rest}"), "applied");
    assert!(shake(address, &client, "127.0.0.1").is_err());
    assert_eq!(presented(&shake(address, &client, "third.example").unwrap()), authority.certificate("third"));
    weir.reload(&format!("[[listener]]\naddress = \"{address}\"\n{rest}"), "needs_restart");
}

#[test]
fn the_end_of_a_certificate_is_announced() {
    let authority = Authority::new();
    let until = |year, month| rcgen::date_time_ymd(year, month, 1);
    authority.issue_with("one", &["localhost"], |params| params.not_after = until(2090, 3));
    authority.issue_with("old", &["old.example"], |params| params.not_after = until(2021, 1));
    let origin = Origin::echo();
    let (address, listener) = authority.listener(&["one", "old"], "");
    let config = format!("{listener}{}", one_route(origin.address, 4, ""));
    let weir = Weir::start(&config);
    let series = |file: &str| {
        let path = authority.path(&format!("{file}.pem")).display().to_string();
        format!("weir_certificate_expiry_timestamp_seconds{{certificate=\"{path}\",listener=\"{address}\"}}")
    };
    assert_eq!(weir.metrics().value(&series("one")), 3_792_009_600);
    assert_eq!(weir.metrics().value(&series("old")), 1_609_459_200);
    let said = || weir.stderr().lines().filter(|line| line.contains("old.pem") && line.contains("has expired")).count();
    assert_eq!((said(), weir.stderr().contains("one.pem")), (1, false), "{}", weir.stderr());
    authority.issue_with("one", &["localhost"], |params| params.not_after = until(2091, 3));
    weir.reload(&config, "applied");
    assert_eq!(weir.metrics().value(&series("one")), 3_823_545_600);
    assert_eq!(said(), 2, "{}", weir.stderr());
}

#[test]
fn a_crowd_of_handshakes_leaves_honest_clients_their_answers() {
    const CROWD: usize = 600;
    let authority = Authority::new();
    authority.issue("one", &["localhost"]);
    let origin = Origin::echo();
    let (address, listener) = authority.listener(&["one"], "");
    let weir = Weir::start(&format!("{listener}{}[runtime]\nworkers = 1\n", one_route(origin.address, 64, "")));
    let config = Arc::new(authority.client());
    let mut hello = Vec::new();
    begin(address, &config, "localhost").unwrap().conn.write_tls(&mut hello).unwrap();

    // What they say first costs them nothing, and the server a key exchange and a signature each.
    let mut crowd: Vec<TcpStream> = (0..CROWD).map(|_| TcpStream::connect(address).unwrap()).collect();
    weir.wait_for("weir_connections{kind=\"opening\"}", CROWD as u64);
    let stop = Arc::new(AtomicBool::new(false));
    let honest = {
        let (stop, mut client) = (Arc::clone(&stop), Client::connect(weir.http));
        assert_eq!(client.ask("GET", "/").answer().status, 200);
        move || {
            let mut waits = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let asked = Instant::now();
                assert_eq!(client.ask("GET", "/").answer().status, 200);
                waits.push(asked.elapsed());
            }
            waits
        }
    };
    let begun = Instant::now();
    for socket in &mut crowd {
        socket.write_all(&hello).unwrap();
    }
    let honest = std::thread::spawn(honest);
    for socket in &mut crowd {
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        assert!(socket.read(&mut [0; 64]).unwrap() > 0, "an answer");
    }
    let crowd_took = begun.elapsed();
    stop.store(true, Ordering::Relaxed);
    let mut waits = honest.join().unwrap();
    waits.sort_unstable();
    let worst = waits.last().copied().unwrap();
    println!("{CROWD} handshakes in {crowd_took:?}; {} requests meanwhile, worst {worst:?}", waits.len());
    // Served between handshakes, and not after them: then there is time for one.
    assert!(waits.len() >= 10, "{} requests, worst {worst:?}", waits.len());
    // A newcomer gets in, too, while all of them are silent.
    assert!(ask(&mut shake(address, &config, "localhost").unwrap(), "").unwrap().starts_with("HTTP/1.1 200"));
    drop(crowd);
    weir.wait_for_rest();
}

#[test]
fn who_has_left_gets_no_handshake() {
    const CROWD: usize = 300;
    let authority = Authority::new();
    authority.issue("one", &["localhost"]);
    let origin = Origin::echo();
    let (address, listener) = authority.listener(&["one"], "");
    let weir = Weir::start(&format!("{listener}{}[runtime]\nworkers = 1\n", one_route(origin.address, 64, "")));
    let mut hello = Vec::new();
    let config = Arc::new(authority.client());
    begin(weir.https, &config, "localhost").unwrap().conn.write_tls(&mut hello).unwrap();
    weir.wait_for("weir_connections_ended_total{cause=\"departed\"}", 1);
    let mut crowd: Vec<TcpStream> = (0..CROWD).map(|_| TcpStream::connect(address).unwrap()).collect();
    weir.wait_for("weir_connections{kind=\"opening\"}", CROWD as u64);
    // All of them have spoken and gone before the first is looked at.
    weir.stop();
    for socket in &mut crowd {
        socket.write_all(&hello).unwrap();
    }
    crowd.clear();
    weir.signal(Signal::CONT);
    // A key exchange would have failed to be taken.
    weir.wait_for("weir_connections_ended_total{cause=\"departed\"}", CROWD as u64 + 1);
    assert_eq!(weir.metrics().value("weir_connections_ended_total{cause=\"tls_failed\"}"), 0);
    weir.wait_for_rest();
}
