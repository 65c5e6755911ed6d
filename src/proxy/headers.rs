//! What header fields pass, in either direction, and what we add.
//!
//! **Invariants**: hop-by-hop fields and what `Connection` nominates never pass (RFC 9110 §7.6.1); nobody can nominate away a
//! field that decides meaning or identity; the forwarded chain an upstream reads was written by us or by a proxy we trust;
//! `Weir-*` from clients never reaches an upstream.
//! **Cost**: a handful of removals; three values formatted.
//! **Not here**: framing of the body, which hyper writes anew.

use std::net::IpAddr;

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, FORWARDED, HOST, HeaderName, HeaderValue,
    PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, uri::Authority};

use crate::proxy::address::X_FORWARDED_FOR;
use crate::proxy::target::BadRequest;

/// Name of the request id, in requests, answers and logs.
pub const X_REQUEST_ID: &str = "x-request-id";
const X_FORWARDED_PROTO: &str = "x-forwarded-proto";
const X_FORWARDED_HOST: &str = "x-forwarded-host";
const X_FORWARDED_PORT: &str = "x-forwarded-port";
const X_REAL_IP: &str = "x-real-ip";
const TRACEPARENT: &str = "traceparent";
const KEEP_ALIVE: &str = "keep-alive";
const PROXY_CONNECTION: &str = "proxy-connection";
const HTTP2_SETTINGS: &str = "http2-settings";
const IDEMPOTENCY_KEY: &str = "idempotency-key";
const OURS: &str = "weir-";

/// Longest request id taken over from a trusted proxy.
const REQUEST_ID_MAX: usize = 128;

/// Never to be nominated by `Connection`: without them a request means something else, or comes from somebody else.
const END_TO_END: [HeaderName; 7] =
    [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, AUTHORIZATION, COOKIE, FORWARDED, http::header::CONTENT_TYPE];

/// What is known of a request when its fields are rewritten.
#[derive(Debug)]
pub struct Context<'a> {
    /// The peer's address: the last hop of the chain we write.
    pub peer: IpAddr,
    /// Whether the peer's own chain is kept and continued.
    pub trusted: bool,
    /// Whether the client came by TLS.
    pub tls: bool,
    /// Host the client asked for.
    pub authority: Option<&'a Authority>,
    /// Id of the request.
    pub id: &'a RequestId,
    /// Whether an `Upgrade` passes.
    pub upgrade: bool,
}

/// Id of a request: a trusted proxy's, or 128 random bits in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// Takes over the id a trusted proxy gave, if it is one; otherwise makes one of `random`.
    #[must_use]
    pub fn of(headers: &HeaderMap, trusted: bool, random: u128) -> Self {
        let sound = |value: &&HeaderValue| {
            let bytes = value.as_bytes();
            (1..=REQUEST_ID_MAX).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
        };
        let given = headers.get(X_REQUEST_ID).filter(|_| trusted).filter(sound).cloned();
        Self(given.unwrap_or_else(|| hexadecimal(random)))
    }

    /// As a field value.
    #[must_use]
    pub fn value(&self) -> &HeaderValue {
        &self.0
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

fn hexadecimal(number: u128) -> HeaderValue {
    HeaderValue::try_from(format!("{number:032x}")).unwrap_or_else(|_| HeaderValue::from_static("0"))
}

/// Whether the client asks to leave HTTP, and for what.
#[must_use]
pub fn asks_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE) && nominated(headers).any(|name| name == UPGRADE)
}

/// Refuses a request whose `Connection` nominates what must reach the upstream.
pub fn check(headers: &HeaderMap) -> Result<(), BadRequest> {
    if nominated(headers).any(|name| END_TO_END.contains(&name) || is_identity(&name)) {
        return Err(BadRequest::Connection);
    }
    Ok(())
}

/// Makes the fields of a checked request fit to be forwarded. `random` is for a trace that starts here.
pub fn for_upstream(headers: &mut HeaderMap, context: &Context<'_>, random: u128) {
    let upgrade = headers.get(UPGRADE).filter(|_| context.upgrade && asks_upgrade(headers)).cloned();
    strip_hop_by_hop(headers);
    headers.remove(EXPECT);
    headers.remove(PROXY_AUTHORIZATION);
    let ours: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with(OURS)).cloned().collect();
    for name in ours {
        headers.remove(name);
    }
    if let Some(protocol) = upgrade {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, protocol);
    }
    if let Some(host) = context.authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()) {
        headers.insert(HOST, host);
    }
    forwarded(headers, context);
    headers.insert(X_REQUEST_ID, context.id.value().clone());
    if !headers.get(TRACEPARENT).is_some_and(is_traceparent) {
        headers.insert(TRACEPARENT, traceparent(random));
    }
}

/// Makes the fields of an upstream's answer fit for the client.
pub fn for_client(headers: &mut HeaderMap, id: &RequestId) {
    strip_hop_by_hop(headers);
    headers.remove(PROXY_AUTHENTICATE);
    headers.insert(X_REQUEST_ID, id.value().clone());
}

/// Fields that say who somebody is.
fn is_identity(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-forwarded-") || name == X_REAL_IP || name == IDEMPOTENCY_KEY || name.starts_with(OURS)
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let names: Vec<HeaderName> = nominated(headers).collect();
        for name in names {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    for name in [TE, TRAILER, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
    for name in [KEEP_ALIVE, PROXY_CONNECTION, HTTP2_SETTINGS] {
        headers.remove(name);
    }
}

/// Names listed by `Connection`, except the options `close` and `keep-alive`, which name nothing.
fn nominated(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(','))
        .map(str::trim)
        .filter(|option| !option.eq_ignore_ascii_case("close") && !option.is_empty())
        .filter_map(|option| option.parse().ok())
}

/// Continues the chain of a trusted peer; starts a new one otherwise.
fn forwarded(headers: &mut HeaderMap, context: &Context<'_>) {
    if !context.trusted {
        for name in [X_FORWARDED_FOR, X_FORWARDED_PROTO, X_FORWARDED_HOST, X_FORWARDED_PORT, X_REAL_IP] {
            headers.remove(name);
        }
        headers.remove(FORWARDED);
    }
    let chain: Vec<&str> = headers.get_all(X_FORWARDED_FOR).iter().filter_map(|field| field.to_str().ok()).collect();
    let chain =
        if chain.is_empty() { context.peer.to_string() } else { format!("{}, {}", chain.join(", "), context.peer) };
    if let Ok(chain) = HeaderValue::try_from(chain) {
        headers.insert(X_FORWARDED_FOR, chain);
    }
    if !headers.contains_key(X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(if context.tls { "https" } else { "http" }));
    }
    if !headers.contains_key(X_FORWARDED_HOST)
        && let Some(host) = headers.get(HOST).cloned()
    {
        headers.insert(X_FORWARDED_HOST, host);
    }
}

/// `version-traceid-parentid-flags` in lower-case hexadecimal, ids not all zero (W3C Trace Context §3.2).
fn is_traceparent(value: &HeaderValue) -> bool {
    let Ok(text) = value.to_str() else { return false };
    let parts: Vec<&str> = text.split('-').collect();
    let hexadecimal = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let [version, trace, parent, flags] = parts.as_slice() else { return false };
    hexadecimal(version, 2)
        && *version != "ff"
        && hexadecimal(trace, 32)
        && hexadecimal(parent, 16)
        && hexadecimal(flags, 2)
        && trace.bytes().any(|byte| byte != b'0')
        && parent.bytes().any(|byte| byte != b'0')
}

/// A trace that starts here and is not sampled by us.
fn traceparent(random: u128) -> HeaderValue {
    // Ids of zero are invalid.
    let trace = random | 1;
    let parent = (random >> 64) | 1;
    let text = format!("00-{trace:032x}-{parent:016x}-00");
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(list: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn forward(list: &[(&'static str, &str)], trusted: bool, upgrade: bool) -> Result<HeaderMap, BadRequest> {
        let mut headers = fields(list);
        let authority: Authority = "daftar.example".parse().unwrap();
        let id = RequestId::of(&headers, trusted, 7);
        let context = Context {
            peer: "192.0.2.1".parse().unwrap(),
            trusted,
            tls: true,
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
            true,
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
        for name in
            ["Host", "Content-Length", "Cookie", "Authorization", "X-Forwarded-For", "Forwarded", "Idempotency-Key"]
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
                ("x-forwarded-for", "1.1.1.1"),
                ("x-forwarded-for", "2.2.2.2"),
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
        assert_eq!(value(&headers, "x-forwarded-proto"), "http");
        assert_eq!(value(&headers, "x-forwarded-host"), "outer.example");
        assert_eq!(value(&headers, "x-request-id"), "given");
    }

    #[test]
    fn an_upgrade_passes_only_where_the_route_allows_it() {
        let asks = [("connection", "Upgrade"), ("upgrade", "websocket")];
        let allowed = forward(&asks, false, true).unwrap();
        assert_eq!((value(&allowed, "connection"), value(&allowed, "upgrade")), ("upgrade", "websocket"));
        let denied = forward(&asks, false, false).unwrap();
        assert!(!denied.contains_key("connection") && !denied.contains_key("upgrade"));
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
}
