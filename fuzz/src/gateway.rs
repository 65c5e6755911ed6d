//! The parsers of the gateway.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use http::header::{CONNECTION, COOKIE, HOST, HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Uri, Version};
use ipnet::IpNet;
use weir::config;
use weir::config::path::{normal_path, without_parameters};
use weir::config::plan::{self, ClientConcurrency, Key, Secret};
use weir::listener::proxy_line::{Header, Malformed, Reader, Step};
use weir::listener::sniff::{Heard, Version as Speaks, judge};
use weir::proxy::address::is_trusted;
use weir::proxy::forwarded::{Chain, HOPS_MAX};
use weir::proxy::headers::{self, Context, RequestId};
use weir::proxy::pass::Passes;
use weir::proxy::room::carried;
use weir::proxy::target::Target;
use weir::proxy::{cookies, pass};
use weir::telemetry::Registry;
use weir::waiting_room::page::accept::{FetchHints, Format};
use weir::waiting_room::ticket::{self, Keyring};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Signs what is good in the corpus.
pub const KEY: [u8; 32] = [7; 32];
/// Before every moment that a pass of the corpus is good until.
pub const NOW: Duration = Duration::from_secs(1_586_600_000);
const FIELDS_MAX: usize = 64;
/// The longest of version 2 that is read, its own sixteen bytes included.
const PROXY_HEADER_MAX: usize = 16 + 4096;

/// Which HTTP: decided once, at the first byte that differs, however the bytes come in pieces.
pub fn sniff(data: &[u8]) {
    let whole = judge(data, true);
    let first = (0..=data.len()).map(|length| judge(&data[..length], false)).find(|heard| *heard != Heard::More);
    assert!(first.is_none_or(|first| first == whole), "{first:?} becomes {whole:?}");
    let expected = match data {
        [] => Heard::Nothing,
        _ if data.starts_with(PREFACE) => Heard::Speaks(Speaks::Http2),
        _ => Heard::Speaks(Speaks::Http1),
    };
    assert_eq!(whole, expected);
}

/// A ticket verifies only if it is exactly what its key makes of it; nothing else has its spelling.
pub fn ticket(data: &[u8]) {
    let keys = Keyring::new(&Secret(KEY), &[Secret([9; 32])]);
    assert!(ticket::tag(data).is_none() || data.len() == ticket::LENGTH);
    let Some((ticket, text)) = keys.recognise(data) else { return };
    let signed = keys.sign(&ticket);
    let bytes: &[u8] = signed.as_ref();
    assert_eq!(keys.verify(bytes), Some(ticket));
    assert!(text.is_none_or(|_| bytes == data), "another spelling");
    let mut other = data.to_vec();
    other[data.len() / 2] ^= 1;
    assert_eq!(keys.verify(&other), None, "a forgery");
}

/// A gateway's passes, signed with [`KEY`].
pub fn passes() -> Option<Passes> {
    let sessions = ClientConcurrency { requests: NonZeroU32::MIN, waiting: 0 };
    let (life, wait) = (Duration::from_secs(1_800), Duration::from_secs(30));
    let plan = plan::Pass { key: Key::Known(Secret(KEY)), old_keys: Vec::new(), life, wait, sessions };
    Passes::new(&plan, std::iter::empty(), &Registry::new())
}

/// A pass: the same.
pub fn pass(data: &[u8]) {
    let Some(passes) = passes() else { return };
    if let Some(pass) = passes.verify(data, NOW) {
        assert!(pass.expires > NOW && data.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
        assert_eq!(passes.verify(data, pass.expires), None, "it has expired");
    }
    let mut shown = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(data) {
        shown.insert(pass::WEIR_PASS, value);
        assert!(pass::is_shown(&shown) || data.is_empty());
    }
}

/// A configuration is a plan, or a report that can be shown.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match config::parse(text, Path::new("/nowhere/weir.toml")) {
        Ok(loaded) => assert!(!loaded.plan.routes.is_empty(), "a plan without a route"),
        Err(report) => assert!(!report.render(false).is_empty(), "a report of nothing"),
    }
}

/// A path has one spelling, which a careless service reads as the routes do.
pub fn path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(normal) = normal_path(text) else { return };
    assert_eq!(normal_path(&normal).as_deref(), Ok(normal.as_ref()), "a normal path is normal");
    assert!(normal.starts_with('/') && normal.bytes().all(|byte| (0x21..=0x7e).contains(&byte) && byte != b'\\'));
    let bare = without_parameters(&normal);
    assert!(!bare.contains(';') && normal_path(&bare).is_ok(), "{normal} and {bare}");
    let mut segments = bare.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        assert!(!matches!(segment, "." | "..") && (is_last || !segment.is_empty()), "{bare}");
    }
    let lower = normal.to_ascii_lowercase();
    for hidden in ["%2f", "%5c", "%2e", "%3b", "%00", "%0a", "%0d"] {
        assert!(!lower.contains(hidden), "{normal}");
    }
}

/// The head of a request that a fuzzer wrote: method, target, then a field a line.
fn head(data: &[u8]) -> Option<Parts> {
    let mut lines = data.split(|byte| *byte == b'\n');
    let method = Method::from_bytes(lines.next()?).ok()?;
    let uri = Uri::try_from(lines.next()?).ok()?;
    let mut head = Request::new(()).into_parts().0;
    (head.method, head.uri) = (method, uri);
    for line in lines.take(FIELDS_MAX * 2) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        head.headers.append(name, HeaderValue::from_bytes(&line[colon + 1..]).ok()?);
    }
    head.version = if data.len().is_multiple_of(2) { Version::HTTP_11 } else { Version::HTTP_2 };
    Some(head)
}

/// A target has one host and a normal path.
pub fn target(data: &[u8]) {
    let Some(head) = head(data) else { return };
    let Ok(target) = Target::of(&head, FIELDS_MAX) else { return };
    assert_eq!(normal_path(&target.path).as_deref(), Ok(target.path.as_str()));
    assert!(!matches!(head.method, Method::CONNECT | Method::TRACE));
    assert!(head.headers.len() <= FIELDS_MAX && head.headers.get_all(HOST).iter().count() <= 1);
    let host = target.host.as_str();
    assert_eq!(host, host.to_ascii_lowercase());
    assert!(
        !host.is_empty() && !host.ends_with('.') && !host.contains("..") && !host.contains(['@', '/', ',', ' ', '%'])
    );
    assert!(head.uri.query().is_none_or(|query| query.is_ascii()));
}

/// Nothing of the hop, nothing that is ours and no claim of an untrusted peer passes, in whatever order and number it came; of a trusted one
/// only what it may say.
pub fn headers(data: &[u8]) {
    let Some(head) = head(data) else { return };
    if headers::check(&head.headers).is_err() {
        return;
    }
    let authority = "daftar.example".parse().ok();
    let id = RequestId::of(&head.headers, false, 7);
    for (trusted, upgrade) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut fields = head.headers.clone();
        let peer = IpAddr::from([192, 0, 2, 1]);
        let context = Context {
            peer,
            hops: &[],
            trusted,
            tls: true,
            certificate: None,
            version: head.version,
            authority: authority.as_ref(),
            id: &id,
            upgrade,
        };
        headers::for_upstream(&mut fields, &context, 0x1234);
        assert_eq!(fields.get_all(HOST).iter().collect::<Vec<_>>(), ["daftar.example"]);
        assert_eq!(fields.get_all("x-forwarded-for").iter().collect::<Vec<_>>(), ["192.0.2.1"]);
        assert!(upgrade || !fields.contains_key(CONNECTION));
        for gone in
            ["te", "trailer", "transfer-encoding", "keep-alive", "proxy-connection", "expect", "forwarded", "x-real-ip"]
        {
            assert!(!fields.contains_key(gone), "{gone}");
        }
        for name in fields.keys().map(HeaderName::as_str) {
            assert!(!name.starts_with("weir-") && !name.contains('_'), "{name}");
            assert!(
                !name.starts_with("client-cert") && !name.starts_with("x-original-") && !name.starts_with("x-rewrite-"),
                "{name}"
            );
            let ours = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"].contains(&name);
            assert!(trusted || ours || !name.starts_with("x-forwarded-"), "{name}");
        }
        for field in fields.get_all(COOKIE) {
            let names = field.as_bytes().split(|byte| *byte == b';').map(|pair| pair.trim_ascii());
            assert!(
                names.into_iter().all(|pair| !pair.starts_with(b"weir_pass=") && !pair.starts_with(b"weir_ticket="))
            );
        }
    }
    let mut fields = head.headers;
    headers::for_client(&mut fields, &id);
    assert!(fields.get_all("content-length").iter().count() <= 1 && !fields.contains_key(CONNECTION));
}

/// Whatever a chain says, only what trusted proxies wrote is believed, and its length is bounded.
pub fn forwarded(data: &[u8]) {
    let mut fields = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(FIELDS_MAX) {
        let Ok(value) = HeaderValue::from_bytes(line) else { return };
        fields.append(if line.starts_with(b"for") { "forwarded" } else { "x-forwarded-for" }, value);
    }
    let trusted: Vec<IpNet> = ["10.0.0.0/8", "2001:db8::/32"].iter().filter_map(|net| net.parse().ok()).collect();
    let proxy = IpAddr::from([10, 1, 1, 1]);
    let chain = Chain::of(proxy, &fields, &trusted);
    let client = chain.client;
    assert_eq!(client, client.to_canonical(), "an IPv4 client is an IPv4 address");
    assert!(chain.hops.len() <= HOPS_MAX && chain.hops.first().is_none_or(|first| *first == client), "{chain:?}");
    assert!(chain.hops.iter().skip(1).all(|hop| is_trusted(*hop, &trusted)), "{chain:?}");
    // What a client writes before the chain of the proxies changes nothing.
    if !fields.contains_key("x-forwarded-for") || is_trusted(client, &trusted) {
        return;
    }
    let mut longer = HeaderMap::new();
    longer.append("x-forwarded-for", HeaderValue::from_static("198.51.100.9"));
    for (name, field) in &fields {
        longer.append(name, field.clone());
    }
    assert_eq!(Chain::of(proxy, &longer, &trusted).client, client);
}

/// A PROXY header is the same in whatever pieces it comes, and never longer than its bound.
pub fn proxy_line(data: &[u8]) {
    let whole = proxy_header(data, usize::MAX);
    for piece in [1, 2, 7] {
        assert_eq!(proxy_header(data, piece), whole, "in pieces of {piece}");
    }
}

fn proxy_header(mut data: &[u8], piece: usize) -> Option<Result<Header, Malformed>> {
    let mut reader = Reader::default();
    let mut read = 0;
    loop {
        match reader.step() {
            Err(malformed) => return Some(Err(malformed)),
            Ok(Step::Done(header)) => return Some(Ok(header)),
            Ok(Step::Read(more)) => {
                let (next, rest) = data.split_at_checked(more.get().min(piece).min(data.len()))?;
                if next.is_empty() {
                    return None;
                }
                (read, data) = (read + next.len(), rest);
                assert!(read <= PROXY_HEADER_MAX, "{read} bytes");
                reader.take(next);
            }
        }
    }
}

/// What people carry: queries, cookies, preferences.
pub fn carried(data: &[u8]) {
    let Some(head) = head(data) else { return };
    let (query, fields) = (head.uri.query(), &head.headers);
    assert!(carried::tickets(fields, query, cookies::TICKET).count() <= carried::stated(fields, query).count() + 4);
    if let Some(kept) = query.and_then(carried::foreign) {
        assert!(!carried::is_addressed(&kept), "{kept}");
        assert_eq!(carried::foreign(&kept).as_deref(), Some(kept.as_ref()));
    }
    if let Some(destination) = carried::destination(query) {
        assert!(destination.bytes().all(|byte| byte.is_ascii_graphic()), "{destination}");
    }
    let _ = (carried::patience(fields), query.and_then(carried::room));
    let hints = FetchHints { dest: fields.get("sec-fetch-dest"), mode: fields.get("sec-fetch-mode") };
    let is_navigation = hints.mode.is_some_and(|mode| mode == "navigate");
    let format = Format::negotiate(fields.get_all("accept"), hints);
    assert!(!is_navigation || format == Format::Html, "somebody will read it");
}
