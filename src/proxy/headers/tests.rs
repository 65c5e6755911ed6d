use super::*;
use crate::proxy::forwarded::Chain;

fn fields(list: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in list {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

fn forward(list: &[(&'static str, &str)], trusted: bool, upgrade: bool) -> Result<HeaderMap, BadRequest> {
    let mut headers = fields(list);
    let authority = HeaderValue::from_static("daftar.example");
    let id = RequestId::of(&headers, trusted, 7);
    let peer = "192.0.2.1".parse().unwrap();
    let chain = Chain::of(peer, &headers, &["2.2.2.2/32".parse().unwrap()]);
    let context = Context {
        peer,
        hops: if trusted { &chain.hops } else { &[] },
        trusted,
        tls: true,
        certificate: None,
        version: Version::HTTP_2,
        authority: Some(&authority),
        id: &id,
        upgrade,
    };
    check(&headers).map(|()| {
        for_upstream(&mut headers, &context, 0x1234);
        headers
    })
}

fn value<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

#[test]
fn hop_by_hop_fields_and_their_nominees_stay_here() {
    let headers = forward(
        &[
            ("connection", "keep-alive, X-Hop"),
            ("x-hop", "1"),
            ("keep-alive", "timeout=5"),
            ("te", "trailers"),
            ("trailer", "x"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Basic x"),
            ("upgrade", "h2c"),
            ("http2-settings", "x"),
            ("expect", "100-continue"),
            ("weir-ticket", "forged"),
            ("authorization", "Bearer x"),
            ("idempotency-key", "k1"),
        ],
        false,
        false,
    )
    .unwrap();
    for gone in [
        "connection",
        "x-hop",
        "keep-alive",
        "te",
        "trailer",
        "proxy-connection",
        "proxy-authorization",
        "upgrade",
        "http2-settings",
        "expect",
        "weir-ticket",
    ] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
    assert_eq!(value(&headers, "authorization"), "Bearer x");
    assert_eq!(value(&headers, "idempotency-key"), "k1");
    assert_eq!(value(&headers, "host"), "daftar.example");
}

#[test]
fn nobody_nominates_away_what_decides_meaning_or_identity() {
    for name in ["Host", "Content-Length", "Cookie", "Authorization", "X-Forwarded-For", "Forwarded", "Idempotency-Key"]
    {
        assert_eq!(forward(&[("connection", name)], false, false), Err(BadRequest::Connection), "{name}");
    }
}

#[test]
fn the_chain_of_an_untrusted_peer_starts_here() {
    let headers = forward(
        &[
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-proto", "ftp"),
            ("x-forwarded-host", "evil"),
            ("forwarded", "for=1.1.1.1"),
            ("x-real-ip", "1.1.1.1"),
            ("x-request-id", "chosen"),
        ],
        false,
        false,
    )
    .unwrap();
    assert_eq!(value(&headers, "x-forwarded-for"), "192.0.2.1");
    assert_eq!(value(&headers, "x-forwarded-proto"), "https");
    assert_eq!(value(&headers, "x-forwarded-host"), "daftar.example");
    assert!(!headers.contains_key("forwarded") && !headers.contains_key("x-real-ip"));
    assert_eq!(value(&headers, "x-request-id"), format!("{:032x}", 7));
}

#[test]
fn the_chain_of_a_trusted_peer_goes_on() {
    let headers = forward(
        &[
            ("x-forwarded-for", "6.6.6.6, 1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2"),
            ("forwarded", "for=1.1.1.1, for=2.2.2.2"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "outer.example"),
            ("x-request-id", "given"),
        ],
        true,
        false,
    )
    .unwrap();
    assert_eq!(value(&headers, "x-forwarded-for"), "1.1.1.1, 2.2.2.2, 192.0.2.1");
    assert_eq!(headers.get_all("x-forwarded-for").iter().count(), 1);
    assert!(!headers.contains_key("forwarded"));
    // What is believed of it is in the context, from wherever it came.
    assert_eq!(value(&headers, "x-forwarded-proto"), "https");
    assert_eq!(value(&headers, "x-forwarded-host"), "outer.example");
    assert_eq!(value(&headers, "x-request-id"), "given");
}

#[test]
fn an_upgrade_passes_only_where_it_is_granted() {
    let asks = [("connection", "Upgrade"), ("upgrade", "WebSocket")];
    let allowed = forward(&asks, false, true).unwrap();
    assert_eq!((value(&allowed, "connection"), value(&allowed, "upgrade")), ("upgrade", "websocket"));
    let denied = forward(&asks, false, false).unwrap();
    assert!(!denied.contains_key("connection") && !denied.contains_key("upgrade"));
}

#[test]
fn http_is_left_for_a_websocket_only() {
    let asks = |method: Method, version: Version, list: &[(&'static str, &str)]| {
        let mut head = http::Request::new(()).into_parts().0;
        (head.method, head.version, head.headers) = (method, version, fields(list));
        asks_websocket(&head)
    };
    let get = |list: &[(&'static str, &str)]| asks(Method::GET, Version::HTTP_11, list);
    let plain = [("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")];
    assert!(get(&plain));
    assert!(get(&[&plain[..], &[("content-length", "0")]].concat()));
    assert!(!get(&[&plain[..], &[("content-length", "1")]].concat()), "a body");
    assert!(!get(&[&plain[..], &[("transfer-encoding", "chunked")]].concat()), "a body");
    assert!(!get(&[&plain[..], &[("upgrade", "h2c")]].concat()), "two protocols in two fields");
    assert!(!get(&plain[1..]), "not nominated");
    assert!(!get(&plain[..1]), "no protocol");
    for protocol in ["h2c", "websocket, h2c", "h2c, websocket", "websocket/13", "TLS/1.2", ""] {
        assert!(!get(&[plain[0], ("upgrade", protocol)]), "{protocol}");
    }
    assert!(!asks(Method::POST, Version::HTTP_11, &plain));
    assert!(!asks(Method::GET, Version::HTTP_10, &plain));
    assert!(!asks(Method::GET, Version::HTTP_2, &plain));
}

#[test]
fn a_sound_trace_passes_and_others_are_replaced() {
    let sound = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert_eq!(value(&forward(&[("traceparent", sound)], false, false).unwrap(), "traceparent"), sound);
    for broken in [
        "",
        "x",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ] {
        let headers = forward(&[("traceparent", broken)], false, false).unwrap();
        assert_eq!(value(&headers, "traceparent"), "00-00000000000000000000000000001235-0000000000000001-00");
    }
}

#[test]
fn an_answer_loses_what_was_meant_for_us() {
    let mut headers =
        fields(&[("connection", "x-internal, close"), ("x-internal", "1"), ("keep-alive", "5"), ("server", "s")]);
    for_client(&mut headers, &RequestId::of(&HeaderMap::new(), false, 9));
    assert!(
        !headers.contains_key("x-internal")
            && !headers.contains_key("connection")
            && !headers.contains_key("keep-alive")
    );
    assert_eq!(value(&headers, "server"), "s");
    assert_eq!(value(&headers, "x-request-id"), format!("{:032x}", 9));
}

#[test]
fn a_switch_keeps_of_the_hop_what_switches() {
    let mut headers = fields(&[
        ("connection", "Upgrade, x-internal, keep-alive"),
        ("upgrade", "WebSocket"),
        ("x-internal", "1"),
        ("keep-alive", "5"),
        ("transfer-encoding", "chunked"),
        ("content-length", "5"),
        ("proxy-authenticate", "Basic"),
        ("proxy-authentication-info", "x"),
        ("sec-websocket-accept", "x"),
    ]);
    assert!(names_websocket(&headers));
    for_switching_client(&mut headers, &RequestId::of(&HeaderMap::new(), false, 9));
    let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["connection", "sec-websocket-accept", "upgrade", "x-request-id"]);
    assert_eq!((value(&headers, "connection"), value(&headers, "upgrade")), ("upgrade", "websocket"));
}

#[test]
fn a_connection_field_that_cannot_be_read_is_refused_or_hides_nothing() {
    let mut headers = fields(&[("x-hop", "1")]);
    headers.append("connection", HeaderValue::from_bytes(b"x-hop, \xe9").unwrap());
    assert_eq!(check(&headers), Err(BadRequest::UnreadableConnection));
    // An upstream is not told; its other nominees stay here all the same.
    for_client(&mut headers, &RequestId::of(&HeaderMap::new(), false, 9));
    assert!(!headers.contains_key("x-hop") && !headers.contains_key("connection"));
}

/// Names by which an upstream may be told who asks, for what.
const CLAIMED: [&str; 12] = [
    "forwarded",
    "x-forwarded-prefix",
    "x-forwarded-port",
    "x-forwarded-server",
    "x-original-url",
    "x-original-host",
    "x-rewrite-url",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
];

#[test]
fn only_a_trusted_peer_may_say_who_asks_and_for_what() {
    let claims: Vec<_> = CLAIMED.iter().map(|name| (*name, "1.1.1.1")).collect();
    let untrusted = forward(&claims, false, false).unwrap();
    let trusted = forward(&claims, true, false).unwrap();
    for name in CLAIMED {
        assert!(!untrusted.contains_key(name), "{name}");
        // It is read, and what is believed of it stands in `X-Forwarded-For`.
        let told = match name {
            _ if name.starts_with("x-forwarded") => "1.1.1.1",
            _ => "",
        };
        assert_eq!(value(&trusted, name), told, "{name}");
        assert_eq!(forward(&[("connection", name)], true, false), Err(BadRequest::Connection), "{name}");
    }
}

#[test]
fn no_field_comes_in_another_spelling() {
    let spellings = [("x_forwarded_for", "1.1.1.1"), ("x-forwarded_for", "1.1.1.1"), ("weir_ticket", "forged")];
    for trusted in [false, true] {
        let headers = forward(&spellings, trusted, false).unwrap();
        for (name, _) in spellings {
            assert!(!headers.contains_key(name), "{name}");
        }
    }
}

#[test]
fn each_gateway_signs_and_a_circle_is_refused() {
    let headers = forward(&[("via", "1.1 outer"), ("via", "1.1 weir, HTTP/2 weir.example")], false, false).unwrap();
    let hops: Vec<_> = headers.get_all("via").iter().map(|hop| hop.to_str().unwrap()).collect();
    assert_eq!(hops, ["1.1 outer", "1.1 weir, HTTP/2 weir.example", "2 weir"]);
    assert_eq!([Version::HTTP_10, Version::HTTP_11].map(via), ["1.0 weir", "1.1 weir"]);
    let five = [("via", "1.1 weir, 1.1  WEIR (b), 2 weir"), ("via", "1.1 other, 2 weir"), ("via", "1.0\tweir")];
    assert!(forward(&five, false, false).is_ok());
    let six = [&five[..], &[("via", "2 weir")]].concat();
    assert_eq!(forward(&six, false, false), Err(BadRequest::Loop));
}

#[test]
fn a_length_is_said_once() {
    let id = RequestId::of(&HeaderMap::new(), false, 7);
    for (lengths, once) in [
        (&["5"][..], Some("5")),
        (&["5", "5"], Some("5")),
        (&["5, 5"], Some("5")),
        (&["5 ,5", "5"], Some("5")),
        (&["5", "7"], None),
        (&["5, 7"], None),
        (&["+5"], None),
        (&[""], None),
        (&["5,"], None),
    ] {
        let mut headers = HeaderMap::new();
        for length in lengths {
            headers.append(CONTENT_LENGTH, length.parse().unwrap());
        }
        for_client(&mut headers, &id);
        let left: Vec<_> = headers.get_all(CONTENT_LENGTH).iter().map(|length| length.to_str().unwrap()).collect();
        assert_eq!(left, once.into_iter().collect::<Vec<_>>(), "{lengths:?}");
    }
}
