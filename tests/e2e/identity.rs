//! Who the client is: whom a trusted proxy names, by whatever means, is limited, logged and told to the service; nobody else is believed.

use std::net::SocketAddr;

use crate::client::{Client, Response};
use crate::origin::{Origin, field};
use crate::weir::{Weir, eventually, free_address, one_route};

const CLIENT: &str = "192.0.2.7";
const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\xdc\x04\x01\xbb";

/// weir that trusts `trusted`, with a second listener that expects a PROXY header.
fn start(origin: &Origin, trusted: &str, limit: &str) -> (Weir, SocketAddr) {
    let proxied = free_address();
    let route = if limit.is_empty() { "" } else { "client_limits = [\"address\"]" };
    let config = format!(
        "[[listener]]\naddress = \"{proxied}\"\nproxy_protocol = \"v1v2\"\n[clients]\ntrusted_proxies = [\"{trusted}\"]\n{limit}{}",
        one_route(origin.address, 8, route)
    );
    (Weir::start(&config), proxied)
}

/// Asks for `path` with `header` in front of everything and `fields` in the request.
fn ask(address: SocketAddr, header: &[u8], path: &str, fields: &str) -> Response {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{fields}connection: close\r\n\r\n");
    Client::connect(address).send([header, request.as_bytes()].concat()).answer()
}

/// The client that the access log has for `path`.
fn logged(weir: &Weir, path: &str) -> String {
    let mut client = String::new();
    eventually("it is logged", || {
        let log = weir.access_log();
        let mut lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let line = lines.rfind(|line| line["path"] == path);
        client = line.and_then(|line| line["client"].as_str().map(str::to_owned)).unwrap_or_default();
        !client.is_empty()
    });
    client
}

#[test]
fn whom_a_trusted_proxy_names_is_limited_and_logged_and_told() {
    let origin = Origin::echo();
    let limit = "[[client_limit]]\nname = \"address\"\nkey = \"address\"\nrate = \"1/h\"\nburst = 7\n";
    let (weir, proxied) = start(&origin, "127.0.0.0/8", limit);
    let ways: [(SocketAddr, &[u8], &str, &str); 7] = [
        (proxied, V1, "", "192.0.2.7"),
        (proxied, V2, "", "192.0.2.7"),
        (proxied, b"PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n", "", "192.0.2.7"),
        (weir.http, b"", "x-forwarded-for: 6.6.6.6, ::ffff:192.0.2.7\r\n", "192.0.2.7, 127.0.0.1"),
        (
            weir.http,
            b"",
            "x-forwarded-for: 6.6.6.6\r\nx-forwarded-for: 192.0.2.7:80, 127.0.0.9\r\n",
            "192.0.2.7, 127.0.0.9, 127.0.0.1",
        ),
        (
            weir.http,
            b"",
            "forwarded: for=6.6.6.6, for=\"[::ffff:192.0.2.7]:1\";proto=https\r\n",
            "192.0.2.7, 127.0.0.1",
        ),
        (weir.http, b"", "x-forwarded-for: 192.0.2.7\r\nforwarded: for=192.0.2.7\r\n", "192.0.2.7, 127.0.0.1"),
    ];
    for (number, (address, header, fields, told)) in ways.iter().enumerate() {
        let path = format!("/{number}");
        let answer = ask(*address, header, &path, fields);
        assert_eq!(answer.status, 200, "{fields}");
        assert_eq!(field(&answer.text(), "x-forwarded-for"), Some(*told), "{fields}");
        assert_eq!(field(&answer.text(), "forwarded"), None);
        assert_eq!(logged(&weir, &path), CLIENT, "{fields}");
    }
    // All of them were one client's.
    for (address, header, fields, _) in ways {
        let answer = ask(address, header, "/over", fields);
        assert_eq!((answer.status, answer.reason().as_str()), (429, "client_limit"), "{fields}");
    }
    assert_eq!(ask(weir.http, b"", "/other", "x-forwarded-for: 192.0.2.8\r\n").status, 200);
    assert_eq!(logged(&weir, "/over"), CLIENT);
}

#[test]
fn what_a_client_says_of_itself_is_not_believed() {
    let origin = Origin::echo();
    let (weir, proxied) = start(&origin, "127.0.0.0/8", "");
    let lies = "x-forwarded-for: 6.6.6.6\r\nforwarded: for=6.6.6.6\r\nx-real-ip: 6.6.6.6\r\nx-request-id: chosen\r\n";
    // Whom the proxy names is no proxy, whatever he says.
    for (number, header) in [V1, V2].iter().enumerate() {
        let path = format!("/named/{number}");
        let answer = ask(proxied, header, &path, lies).text();
        assert_eq!(field(&answer, "x-forwarded-for"), Some(CLIENT), "{answer}");
        assert!(!answer.contains("6.6.6.6") && !answer.contains("chosen"), "{answer}");
        assert_eq!(logged(&weir, &path), CLIENT);
    }
    // A proxy that does not say for whom it speaks: it may be for anybody.
    for (number, header) in [&b"PROXY UNKNOWN\r\n"[..], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"].iter().enumerate() {
        let path = format!("/unnamed/{number}");
        let answer = ask(proxied, header, &path, lies).text();
        assert_eq!(field(&answer, "x-forwarded-for"), Some("127.0.0.1"), "{answer}");
        assert!(!answer.contains("6.6.6.6") && !answer.contains("chosen"), "{answer}");
        assert_eq!(logged(&weir, &path), "127.0.0.1");
    }
    // A proxy writes one of the two fields; the other is its client's.
    for (number, fields) in [
        "x-forwarded-for: 192.0.2.7\r\nforwarded: for=6.6.6.6\r\n",
        "x-forwarded-for: 6.6.6.6\r\nforwarded: for=192.0.2.7\r\n",
        "x-forwarded-for: 6.6.6.6, unknown\r\n",
        "forwarded: for=6.6.6.6, for=_hidden\r\n",
        "forwarded: for=6.6.6.6, for=\"192.0.2.7\r\n",
    ]
    .iter()
    .enumerate()
    {
        let path = format!("/disputed/{number}");
        let answer = ask(weir.http, b"", &path, fields).text();
        assert_eq!(field(&answer, "x-forwarded-for"), Some("127.0.0.1"), "{answer}");
        assert!(!answer.contains("6.6.6.6"), "{answer}");
        assert_eq!(logged(&weir, &path), "127.0.0.1");
    }
}

#[test]
fn where_nobody_is_trusted_everybody_is_himself() {
    let origin = Origin::echo();
    let (weir, proxied) = start(&origin, "10.0.0.0/8", "");
    let lies = "x-forwarded-for: 6.6.6.6\r\nforwarded: for=6.6.6.6\r\n";
    let answer = ask(weir.http, b"", "/self", lies).text();
    assert_eq!(field(&answer, "x-forwarded-for"), Some("127.0.0.1"), "{answer}");
    assert!(!answer.contains("6.6.6.6"), "{answer}");
    assert_eq!(logged(&weir, "/self"), "127.0.0.1");
    for header in [V1, V2, b""] {
        // It may be closed already, even before it is known to be open.
        let Ok(mut client) = Client::try_connect(proxied) else { continue };
        client.try_send(header).ok();
        assert!(client.try_answer("GET").is_err());
    }
    weir.wait_for("weir_connections_ended_total{cause=\"untrusted\"}", 3);
    // And a header where none is expected is no request.
    assert_eq!(Client::connect(weir.http).send(V1).answer().status, 400);
    assert_eq!(origin.requests(), 1);
}

/// A connection and a client limit are a network's: whoever has a /64 has all of its addresses.
#[test]
fn addresses_of_one_ipv6_network_are_one_client_and_of_two_are_two() {
    let origin = Origin::echo();
    let limit = "ipv6_prefix = 64\nconnections_per_address = 2\n\
         [[client_limit]]\nname = \"address\"\nkey = \"address\"\nrate = \"1/h\"\nburst = 3\n";
    let (weir, proxied) = start(&origin, "127.0.0.0/8", limit);
    let named = |address: &str| format!("PROXY TCP6 {address} 2001:db8:ff::1 1 2\r\n").into_bytes();
    let status = |address: &str| ask(proxied, &named(address), "/", "").status;
    // The first and the last of a network, and one between; then the first of the next one.
    let network = ["2001:db8:0:7::", "2001:db8:0:7:1234::1", "2001:db8:0:7:ffff:ffff:ffff:ffff"];
    assert_eq!(network.map(status), [200; 3]);
    assert_eq!(network.map(status), [429; 3]);
    assert_eq!([status("2001:db8:0:8::"), status("2001:db8:0:6:ffff:ffff:ffff:ffff")], [200; 2]);
    // An address that only looks like one of theirs.
    assert_eq!(status("::ffff:192.0.2.7"), 200);

    let keep = |address: &str| {
        let mut client = Client::connect(proxied);
        client.send([&named(address)[..], b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"].concat());
        client.try_answer("GET").map(|answer| (client, answer.status))
    };
    weir.wait_for_rest();
    let (_first, _second) = (keep(network[0]).unwrap(), keep(network[2]).unwrap());
    assert!(keep(network[1]).is_err(), "a third of one network");
    let (_other, answered) = keep("2001:db8:0:9::1").unwrap();
    assert_eq!(answered, 200);
    assert_eq!(weir.metrics().value("weir_connections_ended_total{cause=\"crowded\"}"), 1);
}
