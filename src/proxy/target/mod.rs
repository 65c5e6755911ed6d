//! What a request asks for: method, host and path, or why it may not be forwarded.
//!
//! hyper parses the message; what a proxy must check beyond is here (RFC 9112 §3, RFC 9110 §7.2 and §4.2.4).
//!
//! **Invariants**: a [`Target`] has one unambiguous host, the same in request line and `Host`; its path is normal (`path`), and
//! it is the path that is matched *and* the path that is forwarded. Only parameters of segments (`;x=1`) are forwarded without
//! being matched.
//! **Cost**: two short allocations a request, host and path.
//! **Not here**: paths (`path`), routes (`route`), header fields (`headers`).

use http::header::{CONTENT_LENGTH, EXPECT, HOST, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, Method, Uri, Version};

use super::headers::is_number;
use crate::admission::verdict::Reason;
use crate::config::path::normal_path;

/// Longest request target, in bytes; RFC 9112 §3 asks for at least 8,000.
const TARGET_MAX: usize = 8_192;

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Lower-case host without port or trailing dot; empty if an HTTP/1.0 client gave none.
    pub host: String,
    /// Host and port as the client wrote them, for the upstream.
    pub authority: Option<Authority>,
    /// Normalised path.
    pub path: String,
}

/// Why a request may not be forwarded. The client's fault, except for a circle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRequest {
    /// CONNECT, TRACE, or a transfer coding other than chunked.
    #[error("{0} is not supported here")]
    NotImplemented(&'static str),
    /// A request target of unknown form or with a path that could be read in two ways.
    #[error("the request target {0}")]
    Target(&'static str),
    /// More header fields than allowed. hyper counts them for HTTP/1.1, not for HTTP/2.
    #[error("there are too many header fields")]
    Fields,
    /// Longer than [`TARGET_MAX`].
    #[error("the request target is longer than {TARGET_MAX} bytes")]
    TooLong,
    /// Missing, repeated, malformed or contradicting host.
    #[error("the host {0}")]
    Host(&'static str),
    /// A body length that could be read in two ways.
    #[error("the body length {0}")]
    Length(&'static str),
    /// A field value that begins or ends with white space. In HTTP/1 that is no part of the value.
    #[error("a field value begins or ends with white space")]
    Field,
    /// An expectation other than `100-continue`.
    #[error("only the expectation 100-continue can be met")]
    Expectation,
    /// `Connection` names a field that must reach the upstream.
    #[error("the Connection field names a field that is not hop-by-hop")]
    Connection,
    /// `Connection` has bytes that are not visible ASCII.
    #[error("the Connection field is not a list of names")]
    UnreadableConnection,
    /// `Max-Forwards` is not one number.
    #[error("the Max-Forwards field is not a number")]
    Hops,
    /// It came from where it is going.
    #[error("the request goes in a circle")]
    Loop,
}

impl BadRequest {
    /// The word for it.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::NotImplemented(_) => Reason::NotImplemented,
            Self::Fields => Reason::HeadTooLarge,
            Self::Loop => Reason::LoopDetected,
            Self::TooLong => Reason::UriTooLong,
            Self::Expectation => Reason::ExpectationFailed,
            Self::Target(_)
            | Self::Host(_)
            | Self::Length(_)
            | Self::Field
            | Self::Hops
            | Self::Connection
            | Self::UnreadableConnection => Reason::BadRequest,
        }
    }
}

impl Target {
    /// Reads the target of a request by its head, which may have at most `fields_max` fields.
    pub fn of(head: &Parts, fields_max: usize) -> Result<Self, BadRequest> {
        if head.headers.len() > fields_max {
            return Err(BadRequest::Fields);
        }
        method(&head.method)?;
        if head.version == Version::HTTP_2 {
            values(&head.headers)?;
        }
        length(&head.headers)?;
        expectation(&head.headers)?;
        let uri = &head.uri;
        if uri.path_and_query().is_some_and(|target| target.as_str().len() > TARGET_MAX) {
            return Err(BadRequest::TooLong);
        }
        scheme_and_query(uri)?;
        let authority = authority(uri, &head.headers, head.version)?;
        let path = normal_path(uri.path()).map_err(BadRequest::Target)?.into_owned();
        let host = authority.as_ref().map(|authority| host_name(authority.host())).unwrap_or_default();
        Ok(Self { host, authority, path })
    }
}

fn method(method: &Method) -> Result<(), BadRequest> {
    match *method {
        Method::CONNECT => Err(BadRequest::NotImplemented("CONNECT")),
        Method::TRACE => Err(BadRequest::NotImplemented("TRACE")),
        _ => Ok(()),
    }
}

/// What HTTP/1 cannot say must not become something else there (RFC 9113 §8.2.1); h2 looks at single bytes only.
fn values(headers: &HeaderMap) -> Result<(), BadRequest> {
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let has_edges = |value: &HeaderValue| is_blank(value.as_bytes().first()) || is_blank(value.as_bytes().last());
    if headers.values().any(has_edges) { Err(BadRequest::Field) } else { Ok(()) }
}

/// Of schemes only those this gateway is asked by (RFC 9110 §4.2); the query in the characters a query has (RFC 3986 §3.4), for the path
/// is looked at elsewhere.
fn scheme_and_query(uri: &Uri) -> Result<(), BadRequest> {
    let is_ours = |scheme: &str| scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    if uri.scheme_str().is_some_and(|scheme| !is_ours(scheme)) {
        return Err(BadRequest::Target("has a scheme other than http and https"));
    }
    if uri.query().is_some_and(|query| !query.bytes().all(|byte| (0x21..=0x7e).contains(&byte))) {
        return Err(BadRequest::Target("contains a character that does not belong into a query"));
    }
    Ok(())
}

/// hyper refuses most conflicts before; what it lets pass is refused here (RFC 9112 §6.3). `Content-Length` beside
/// `Transfer-Encoding` never comes so far: in HTTP/1.1 hyper removes the length and closes the connection after the answer, in
/// HTTP/2 the coding makes a request malformed.
fn length(headers: &HeaderMap) -> Result<(), BadRequest> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    if let Some(first) = lengths.next() {
        if lengths.next().is_some() {
            return Err(BadRequest::Length("is given more than once"));
        }
        if !is_number(first.as_bytes()) {
            return Err(BadRequest::Length("is not a number"));
        }
    }
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(first) = codings.next()
        && (codings.next().is_some() || !first.as_bytes().eq_ignore_ascii_case(b"chunked"))
    {
        return Err(BadRequest::NotImplemented("a transfer coding other than chunked"));
    }
    Ok(())
}

fn expectation(headers: &HeaderMap) -> Result<(), BadRequest> {
    let mut expectations = headers.get_all(EXPECT).iter();
    match expectations.next() {
        None => Ok(()),
        Some(first) if first.as_bytes().eq_ignore_ascii_case(b"100-continue") && expectations.next().is_none() => {
            Ok(())
        }
        Some(_) => Err(BadRequest::Expectation),
    }
}

/// The one host of the request: of the request line if it has one, which `Host` must then repeat (RFC 9112 §3.2.2).
fn authority(uri: &Uri, headers: &HeaderMap, version: Version) -> Result<Option<Authority>, BadRequest> {
    let mut hosts = headers.get_all(HOST).iter();
    let field = hosts.next();
    if hosts.next().is_some() {
        return Err(BadRequest::Host("is given more than once"));
    }
    let field = match field {
        None => None,
        Some(field) => {
            let text = field.to_str().map_err(|_| BadRequest::Host("is not a host name"))?;
            Some(parse_authority(text)?)
        }
    };
    let line = uri.authority().map(|authority| parse_authority(authority.as_str())).transpose()?;
    match (line, field) {
        (Some(line), Some(field)) if !line.as_str().eq_ignore_ascii_case(field.as_str()) => {
            Err(BadRequest::Host("differs between the request line and the Host field"))
        }
        (Some(line), _) => Ok(Some(line)),
        (None, Some(field)) => Ok(Some(field)),
        (None, None) if version == Version::HTTP_10 => Ok(None),
        (None, None) => Err(BadRequest::Host("is missing")),
    }
}

/// A host as RFC 3986 §3.2.2 has it, narrowed to what DNS and IP literals need: no user, no comma, no underscore, no empty label but
/// that of the root.
fn parse_authority(text: &str) -> Result<Authority, BadRequest> {
    const NOT_A_HOST: BadRequest = BadRequest::Host("is not a host name");
    let authority: Authority = text.parse().map_err(|_| NOT_A_HOST)?;
    let host = authority.host();
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_name = || {
        let labels = host.strip_suffix('.').unwrap_or(host);
        labels.split('.').all(|label| !label.is_empty())
            && labels.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
    };
    let sound = literal.map_or_else(is_name, |address| address.parse::<std::net::Ipv6Addr>().is_ok());
    // The whole text must be host and port: `Authority` also takes a user and an empty or absurd port.
    let rest = text.strip_prefix(host).ok_or(NOT_A_HOST)?;
    let port = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
    if sound && port { Ok(authority) } else { Err(NOT_A_HOST) }
}

fn is_port(text: &str) -> bool {
    is_number(text.as_bytes()) && text.parse::<u16>().is_ok()
}

/// `host` as routes compare it.
fn host_name(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

#[cfg(test)]
mod tests;
