//! What header fields pass, in either direction, and what we add.
//!
//! **Invariants**: hop-by-hop fields and what `Connection` nominates never pass (RFC 9110 §7.6.1); nobody can nominate away a
//! field that decides meaning or identity; the forwarded chain an upstream reads was written by us or by a proxy we trust;
//! neither `Weir-*` nor `Client-Cert` from clients, nor our own cookie, nor a field with `_` in its name ever reaches an upstream, and no upstream
//! gives passes in our name.
//! **Cost**: one pass over the names; three values formatted by hand. A field that stays is not touched.
//! **Not here**: framing of the body, which hyper writes anew.

mod id;
mod values;

use std::net::IpAddr;

use http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, HeaderName, HeaderValue,
    ORIGIN, TRANSFER_ENCODING, UPGRADE, VIA,
};
use http::request::Parts;
use http::{HeaderMap, Method, Version};

pub use self::id::RequestId;

use self::values::{address, is_traceparent, traceparent};
use crate::proxy::cookies;
use crate::proxy::forwarded;
use crate::proxy::pass::WEIR_PASS;
use crate::proxy::target::BadRequest;

/// Header in which a ticket travels, to and from clients that keep no cookies.
pub const WEIR_TICKET: HeaderName = HeaderName::from_static("weir-ticket");

/// Name of the request id, in requests, answers and logs.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static(forwarded::X_FORWARDED_FOR);
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const FORWARDED: &str = "forwarded";
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// What weir tells its clients, and none of them it or a service, begins so.
pub(super) const OURS: &str = "weir-";

/// The certificate of a client, as whoever ends its TLS tells it (RFC 9440 §2.2).
const CLIENT_CERT: HeaderName = HeaderName::from_static("client-cert");
/// What no client may say, trusted or not: only whoever ends its TLS knows (RFC 9440 §4).
const CERTIFICATES: [&str; 2] = ["client-cert", "client-cert-chain"];

/// Fields that speak of a connection (RFC 9110 §7.6.1), beside those that `Connection` nominates.
const HOP_BY_HOP: [&str; 8] =
    ["connection", "te", "trailer", "transfer-encoding", "upgrade", "keep-alive", "proxy-connection", "http2-settings"];

/// What we call ourselves in `Via`: a pseudonym, which tells nothing of the machine (RFC 9110 §7.6.3).
const PSEUDONYM: &str = "weir";

/// A request that has passed more gateways of our name goes in a circle: chains of them are two or three long.
const GATEWAYS_MAX: usize = 5;

/// The one protocol that HTTP may be left for.
const WEBSOCKET: &str = "websocket";

/// Never to be nominated by `Connection`: without them a request means something else, or comes from somebody else.
const END_TO_END: [HeaderName; 7] =
    [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, AUTHORIZATION, COOKIE, VIA, http::header::CONTENT_TYPE];

/// Fields by which proxies and frameworks let somebody say who asked, for which host and for which path. An upstream that
/// believes one of them must not hear it from a client: it could take another's address, or a path whose limits were not applied. Nor from a
/// trusted proxy, which passes on those that it does not know as its client wrote them.
const CLAIMS: [&str; 14] = [
    FORWARDED,
    "client-ip",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-remote-ip",
    "x-remote-addr",
    "x-originating-ip",
    "x-azure-clientip",
    "x-host",
    "x-rewrite-url",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
];
/// The same by their beginning: `X-Original-URL`, `-Host`, `-Method` and so on.
const CLAIM_FAMILY: &str = "x-original-";
/// `X-Forwarded-For` and all its kin: what a trusted proxy says of its client.
const TRUSTED_CLAIM_FAMILY: &str = "x-forwarded";

/// What is known of a request when its fields are rewritten.
#[derive(Debug)]
pub struct Context<'a> {
    /// The peer's address: the last hop of the chain we write.
    pub peer: IpAddr,
    /// Who came to the peer through whom, as far as the peer is believed: the beginning of the chain we write.
    pub hops: &'a [IpAddr],
    /// Whether what the peer says of its client is kept.
    pub trusted: bool,
    /// Whether the client came by TLS.
    pub tls: bool,
    /// The certificate it has proved to have, as `Client-Cert` tells it.
    pub certificate: Option<&'a HeaderValue>,
    /// The version it came by.
    pub version: Version,
    /// Host the client asked for.
    pub authority: Option<&'a HeaderValue>,
    /// Id of the request.
    pub id: &'a RequestId,
    /// Whether it asks for a WebSocket and shall get it.
    pub upgrade: bool,
}

/// Whether the client asks for a WebSocket (RFC 6455 §4.1), the one thing HTTP may be left for: HTTP/1.1, GET, no body, and no
/// other protocol in the same breath. To let others pass, `h2c` above all, would let requests follow that nobody looks at.
#[must_use]
pub fn asks_websocket(head: &Parts) -> bool {
    let headers = &head.headers;
    let has_body = headers.contains_key(TRANSFER_ENCODING)
        || headers.get_all(CONTENT_LENGTH).iter().any(|length| length.as_bytes() != b"0");
    head.version == Version::HTTP_11
        && head.method == Method::GET
        && !has_body
        && names_websocket(headers)
        && nominated(headers).any(|name| name == UPGRADE)
}

/// Whether a browser asks what a page of another site may send (Fetch §3.2.2, "CORS-preflight request").
#[must_use]
pub fn is_preflight(head: &Parts) -> bool {
    head.method == Method::OPTIONS
        && head.headers.contains_key(ORIGIN)
        && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// Whether `Upgrade` names `websocket` and nothing else.
#[must_use]
pub fn names_websocket(headers: &HeaderMap) -> bool {
    let mut protocols = headers.get_all(UPGRADE).iter();
    protocols.next().is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(WEBSOCKET.as_bytes()))
        && protocols.next().is_none()
}

/// Refuses a request whose `Connection` nominates what must reach the upstream, or cannot be read (an option lost in it would
/// be a field forwarded against its sender's word), and one that goes in a circle.
pub fn check(headers: &HeaderMap) -> Result<(), BadRequest> {
    if headers.contains_key(CONNECTION) {
        if headers.get_all(CONNECTION).iter().any(|field| field.to_str().is_err()) {
            return Err(BadRequest::UnreadableConnection);
        }
        if nominated(headers).any(|name| END_TO_END.contains(&name) || is_identity(&name)) {
            return Err(BadRequest::Connection);
        }
    }
    if gateways_passed(headers) > GATEWAYS_MAX {
        return Err(BadRequest::Loop);
    }
    Ok(())
}

/// Makes the fields of a checked request fit to be forwarded. `random` is for a trace that starts here.
pub fn for_upstream(headers: &mut HeaderMap, context: &Context<'_>, random: u128) {
    strip(headers, |name| !matches!(name, "expect" | "proxy-authorization") && !is_unwelcome(name, context.trusted));
    cookies::strip_request(headers);
    if context.upgrade {
        switch(headers);
    }
    let host = host(headers, context.authority);
    if let Some(certificate) = context.certificate {
        headers.insert(CLIENT_CERT, certificate.clone());
    }
    headers.append(VIA, via(context.version));
    tell_hops(headers, context, host);
    headers.insert(X_REQUEST_ID, context.id.value());
    if !headers.get(TRACEPARENT).is_some_and(is_traceparent) {
        headers.insert(TRACEPARENT, traceparent(random));
    }
}

/// Makes the fields of an upstream's answer fit for the client.
pub fn for_client(headers: &mut HeaderMap, id: &RequestId) {
    strip(headers, |name| {
        !matches!(name, "proxy-authenticate" | "proxy-authentication-info")
            && name != WEIR_PASS.as_str()
            && name != WEIR_TICKET.as_str()
    });
    one_length(headers);
    cookies::strip_answer(headers);
    headers.insert(X_REQUEST_ID, id.value());
}

/// The same for an answer by which the upstream switches to a WebSocket: of the fields of the hop it keeps the switch, which
/// the hop to the client makes as well. No interim response has a length (RFC 9110 §8.6).
pub fn for_switching_client(headers: &mut HeaderMap, id: &RequestId) {
    for_client(headers, id);
    headers.remove(CONTENT_LENGTH);
    switch(headers);
}

/// A length that is said several times, as a list or in several fields, is said once (RFC 9110 §8.6). Bodies that it frames have been
/// checked by the parser; where there is none, as in reply to HEAD, a length that contradicts itself is none.
fn one_length(headers: &mut HeaderMap) {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = lengths.next() else { return };
    if lengths.next().is_none() && is_number(first.as_bytes()) {
        return;
    }
    let all = headers.get_all(CONTENT_LENGTH);
    let mut items = all.iter().flat_map(|field| field.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii);
    let one = items.next().filter(|one| is_number(one) && items.all(|item| item == *one));
    match one.and_then(|one| HeaderValue::from_bytes(one).ok()) {
        Some(length) => drop(headers.insert(CONTENT_LENGTH, length)),
        None => drop(headers.remove(CONTENT_LENGTH)),
    }
}

/// Digits alone: what the standard library reads as a number may also have a sign.
pub(super) fn is_number(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

/// How often `Via` names us.
fn gateways_passed(headers: &HeaderMap) -> usize {
    let hops = headers.get_all(VIA).iter().flat_map(|field| field.as_bytes().split(|byte| *byte == b','));
    hops.filter(|hop| {
        // Protocol, name, perhaps a comment.
        let mut words = hop.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        words.nth(1).is_some_and(|name| name.eq_ignore_ascii_case(PSEUDONYM.as_bytes()))
    })
    .count()
}

/// The version a request came by, and us (RFC 9110 §7.6.3, a duty on requests; on answers a gateway may leave it out, and we do).
fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_10 => "1.0 weir",
        Version::HTTP_2 => "2 weir",
        _ => "1.1 weir",
    })
}

/// Names the switch to a WebSocket.
fn switch(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
}

/// Fields of requests that no upstream may see. `Forwarded` is read and not passed on: the chain that is believed stands in
/// `X-Forwarded-For`, and a second one could tell another tale. `_` is among them because CGI and what descends from it read `X_Real_Ip` as
/// `X-Real-Ip` (RFC 3875 §4.1.18); nginx drops such names as well.
fn is_unwelcome(name: &str, trusted: bool) -> bool {
    let ours = name.starts_with(OURS) || CERTIFICATES.contains(&name);
    let claimed = is_claim(name) && !(trusted && name.starts_with(TRUSTED_CLAIM_FAMILY));
    name.contains('_') || ours || claimed
}

/// Fields that say who somebody is.
fn is_identity(name: &HeaderName) -> bool {
    let name = name.as_str();
    is_claim(name) || name == IDEMPOTENCY_KEY || name.starts_with(OURS)
}

/// Fields by which a proxy says what it was asked for, and by whom.
fn is_claim(name: &str) -> bool {
    name.starts_with(TRUSTED_CLAIM_FAMILY) || name.starts_with(CLAIM_FAMILY) || CLAIMS.contains(&name)
}

/// Leaves what `passes` of the fields that are no hop-by-hop ones.
fn strip(headers: &mut HeaderMap, passes: impl Fn(&str) -> bool) {
    let stays = |name: &HeaderName| !HOP_BY_HOP.contains(&name.as_str()) && passes(name.as_str());
    let mut gone: Vec<HeaderName> = headers.keys().filter(|name| !stays(name)).cloned().collect();
    if gone.contains(&CONNECTION) {
        gone.extend(nominated(headers));
    }
    for name in gone {
        headers.remove(name);
    }
}

/// Names listed by `Connection`, except the options `close`, which names nothing, and `keep-alive`, which never passes. In an answer, what is no name is passed over
/// and the rest still counts.
fn nominated(headers: &HeaderMap) -> impl Iterator<Item = HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|field| field.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|option| !option.eq_ignore_ascii_case(b"close") && !option.eq_ignore_ascii_case(b"keep-alive"))
        .filter_map(|option| HeaderName::from_bytes(option).ok())
}

/// Whether the client came by TLS, to us or to the proxy that is trusted to say so.
#[must_use]
pub fn came_by_tls(headers: &HeaderMap, tls: bool, trusted: bool) -> bool {
    let said = trusted.then(|| headers.get(X_FORWARDED_PROTO)).flatten().map(HeaderValue::as_bytes);
    // Of a chain of proxies the first met the client.
    let first = said.and_then(|chain| chain.split(|byte| *byte == b',').next());
    first.map_or(tls, |scheme| scheme.trim_ascii().eq_ignore_ascii_case(b"https"))
}

/// The host as `authority` has it, written into `Host` unless it says so already.
fn host(headers: &mut HeaderMap, authority: Option<&HeaderValue>) -> Option<HeaderValue> {
    let field = headers.get(HOST);
    let Some(authority) = authority.filter(|authority| field != Some(*authority)) else {
        return field.cloned();
    };
    headers.insert(HOST, authority.clone());
    Some(authority.clone())
}

/// Writes the chain anew: whom a trusted peer named, as far as it is believed, and the peer.
fn tell_hops(headers: &mut HeaderMap, context: &Context<'_>, host: Option<HeaderValue>) {
    let chain = if context.hops.is_empty() {
        Some(address(context.peer))
    } else {
        let hops = context.hops.iter().map(|hop| format!("{hop}, "));
        HeaderValue::try_from(hops.collect::<String>() + &context.peer.to_string()).ok()
    };
    if let Some(chain) = chain {
        headers.insert(X_FORWARDED_FOR, chain);
    }
    headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(if context.tls { "https" } else { "http" }));
    // Whoever is not trusted has not said one: it was removed.
    if let Some(host) = host.filter(|_| !(context.trusted && headers.contains_key(X_FORWARDED_HOST))) {
        headers.insert(X_FORWARDED_HOST, host);
    }
}

#[cfg(test)]
mod tests;
