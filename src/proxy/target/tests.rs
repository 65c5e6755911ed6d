use proptest::prelude::*;

use super::*;

fn request(target: &str, headers: &[(&'static str, &str)]) -> Parts {
    let mut builder = http::Request::builder().uri(target);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

fn of(head: &Parts) -> Result<Target, BadRequest> {
    Target::of(head, 8)
}

fn reason(target: &str, headers: &[(&'static str, &str)]) -> Option<Reason> {
    of(&request(target, headers)).err().map(|error| error.reason())
}

#[test]
fn reads_host_and_path() {
    let target = of(&request("/register?x=1", &[("host", "Daftar.Example:8080")])).unwrap();
    assert_eq!((target.host.as_str(), target.path.as_str()), ("daftar.example", "/register"));
    assert_eq!(target.authority.unwrap(), "Daftar.Example:8080");
    let target = of(&request("http://a.example/x", &[("host", "a.example")])).unwrap();
    assert_eq!(target.host, "a.example");
    let target = of(&request("/", &[("host", "[2001:db8::1]:80")])).unwrap();
    assert_eq!(target.host, "[2001:db8::1]");
    assert_eq!(of(&request("/", &[("host", "a.example.")])).unwrap().host, "a.example");
}

#[test]
fn refuses_hosts_that_are_none_or_two() {
    for host in [
        "", " ", "a b", "a,b", "user@a", "a/b", "a_b", "a:", "a:99999", "a:+80", "[::1", "a:b", "a..", ".a", "a..b",
        ".", "..", "[zz]", "a:80:80",
    ] {
        assert_eq!(reason("/", &[("host", host)]), Some(Reason::BadRequest), "{host:?}");
    }
    assert_eq!(reason("/", &[]), Some(Reason::BadRequest));
    assert_eq!(reason("/", &[("host", "a"), ("host", "a")]), Some(Reason::BadRequest));
    assert_eq!(reason("http://evil/", &[("host", "good")]), Some(Reason::BadRequest));
}

#[test]
fn an_old_client_may_do_without_host() {
    let mut old = request("/x", &[]);
    old.version = Version::HTTP_10;
    assert_eq!(of(&old).unwrap().host, "");
}

#[test]
fn refuses_lengths_that_can_be_read_in_two_ways() {
    let host = ("host", "a");
    let refused = |fields: &[(&'static str, &str)]| {
        let mut all = vec![host];
        all.extend_from_slice(fields);
        reason("/", &all)
    };
    assert_eq!(refused(&[("content-length", "5")]), None);
    assert_eq!(refused(&[("transfer-encoding", "Chunked")]), None);
    for value in ["", "+5", "-1", "5, 5", "0x5", "5 "] {
        assert_eq!(refused(&[("content-length", value)]), Some(Reason::BadRequest), "{value:?}");
    }
    assert_eq!(refused(&[("content-length", "5"), ("content-length", "5")]), Some(Reason::BadRequest));
    assert_eq!(refused(&[("transfer-encoding", "gzip, chunked")]), Some(Reason::NotImplemented));
    assert_eq!(refused(&[("transfer-encoding", "xchunked")]), Some(Reason::NotImplemented));
}

#[test]
fn meets_one_expectation_only() {
    assert_eq!(reason("/", &[("host", "a"), ("expect", "100-Continue")]), None);
    assert_eq!(reason("/", &[("host", "a"), ("expect", "200-maybe")]), Some(Reason::ExpectationFailed));
}

#[test]
fn refuses_schemes_and_queries_of_others() {
    for target in ["ftp://a/x", "file://a/x", "ws://a/x"] {
        assert_eq!(reason(target, &[("host", "a")]), Some(Reason::BadRequest), "{target}");
    }
    assert_eq!(reason("HTTPS://a/x", &[("host", "a")]), None);
    let raw = |query: &[u8]| Uri::try_from([b"/x?", query].concat());
    let mut head = request("/x", &[("host", "a")]);
    head.uri = raw("é".as_bytes()).unwrap();
    assert_eq!(of(&head).unwrap_err().reason(), Reason::BadRequest);
    head.uri = raw(b"a=%C3%A9&b=[1]{2}|/?").unwrap();
    assert_eq!(of(&head).map(|target| target.path), Ok("/x".to_owned()));
}

#[test]
fn in_http2_a_value_has_no_edges_of_white_space() {
    for value in [" b", "b ", "\tb", "b\t", " "] {
        let mut head = request("/", &[("host", "a"), ("x-a", value)]);
        assert_eq!(of(&head).err(), None, "{value:?}: the parser of HTTP/1 has removed it");
        head.version = Version::HTTP_2;
        assert_eq!(of(&head), Err(BadRequest::Field), "{value:?}");
    }
}

#[test]
fn refuses_methods_of_tunnels_and_mirrors() {
    for method in [Method::CONNECT, Method::TRACE] {
        let mut request = request("/", &[("host", "a")]);
        request.method = method;
        assert_eq!(of(&request).unwrap_err().reason(), Reason::NotImplemented);
    }
}

#[test]
fn counts_the_fields_of_a_head() {
    let many: Vec<_> = std::iter::once(("host", "a")).chain((0..8).map(|_| ("x-many", "1"))).collect();
    assert_eq!(reason("/", &many), Some(Reason::HeadTooLarge));
    assert_eq!(reason("/", &many[..8]), None);
}

#[test]
fn a_target_too_long_is_said_to_be_so() {
    let long = format!("/{}", "x".repeat(TARGET_MAX));
    assert_eq!(reason(&long, &[("host", "a")]), Some(Reason::UriTooLong));
}

/// Percent encodings of some letters of `path`, in either case of digits.
fn spelled(path: &str, choices: &[u8]) -> String {
    let spell = |(at, letter): (usize, char)| match choices.get(at % choices.len().max(1)) {
        Some(1) if letter.is_ascii_alphanumeric() => format!("%{:02x}", u32::from(letter)),
        Some(2) if letter.is_ascii_alphanumeric() => format!("%{:02X}", u32::from(letter)),
        _ => letter.to_string(),
    };
    path.chars().enumerate().map(spell).collect()
}

/// What a service that resolves, merges, decodes and drops all it can makes of a path.
fn careless(path: &str) -> String {
    let text = path.replace('\\', "/").replace("%2F", "/").replace("%2f", "/").replace("%2E", ".").replace("%2e", ".");
    let mut segments = Vec::new();
    for segment in text.split('/') {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => drop(segments.pop()),
            bare => segments.push(bare.to_owned()),
        }
    }
    segments.join("/")
}

/// The host of `text` by the parser of URIs, narrowed label by label.
fn host_by_library(text: &str) -> Option<String> {
    let authority: http::uri::Authority = text.parse().ok()?;
    let host = authority.host();
    let port = text.strip_prefix(host)?;
    let is_label =
        |label: &str| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_sound = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(literal) => literal.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.strip_suffix('.').unwrap_or(host).split('.').all(is_label),
    };
    let is_port = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.parse::<u16>().is_ok();
    let is_whole = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    (is_sound && is_whole).then(|| host.to_owned())
}

proptest! {
    #[test]
    fn every_spelling_of_a_path_is_the_same_path(
        path in "(/[a-z0-9._~-]{1,6}){1,4}/?",
        choices in proptest::collection::vec(0_u8..3, 1..12),
    ) {
        let plain = of(&request(&path, &[("host", "a")])).map(|target| target.path);
        let other = of(&request(&spelled(&path, &choices), &[("host", "a")])).map(|target| target.path);
        prop_assert_eq!(plain, other);
    }

    #[test]
    fn no_service_reads_another_path_than_the_routes(pieces in proptest::collection::vec(
        proptest::sample::select(vec![
            "/", "//", "a", "b", ".", "..", ";", ";x=1", "%2e", "%2E", "%2f", "%5c", "%3b", "%00", "%25", "%2", "\\", "%61", "register", "?", "/.", "/..",
        ]),
        1..8,
    )) {
        let path = format!("/{}", pieces.concat());
        let Ok(uri) = Uri::try_from(path.as_str()) else { return Ok(()) };
        let mut head = request("/", &[("host", "a")]);
        head.uri = uri;
        let Ok(target) = of(&head) else { return Ok(()) };
        let matched = crate::config::path::without_parameters(&target.path);
        prop_assert_eq!(careless(&target.path), matched.trim_matches('/'), "{} is {}", path, target.path);
        head.uri = Uri::try_from(target.path.as_str()).unwrap();
        prop_assert_eq!(of(&head).map(|again| again.path), Ok(target.path), "a normal path is normal");
    }

    #[test]
    fn every_spelling_of_a_host_is_the_same_host(
        host in "[a-z0-9-]{1,8}(\\.[a-z0-9-]{1,8}){0,3}",
        is_loud in any::<bool>(),
        dot in "\\.?",
        port in proptest::option::of(any::<u16>()),
    ) {
        let name = if is_loud { host.to_uppercase() } else { host.clone() };
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let field = format!("{name}{dot}{port}");
        prop_assert_eq!(of(&request("/", &[("host", &field)])).map(|target| target.host), Ok(host));
    }

    #[test]
    fn a_host_is_what_the_library_takes_and_the_rules_beyond_it_leave(pieces in proptest::collection::vec(
        proptest::sample::select(vec![
            "a", "B9", ".", ".", ":", "80", "65536", "+1", "[", "]", "::1", "[2001:db8::1]", "1.2.3.4", "@", "_", "-", "%41", ",", " ",
        ]),
        0..6,
    )) {
        let text = pieces.concat();
        prop_assert_eq!(host_of(&text).ok().map(str::to_owned), host_by_library(&text), "{}", text);
    }

    #[test]
    fn nothing_that_is_sent_as_a_host_becomes_two(host in "[ -~]{0,24}") {
        if let Ok(target) = of(&request("/", &[("host", &host)])) {
            prop_assert!(!target.host.contains(['@', '/', ',', ' ', '%', '_', '\\']), "{}", host);
            prop_assert!(!target.host.contains("..") && !target.host.starts_with('.') && !target.host.ends_with('.'));
        }
    }
}
