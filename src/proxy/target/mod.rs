//! What a request asks for: method, host and path, or why it may not be forwarded.
//!
//! hyper parses the message; what a proxy must check beyond is here (RFC 9112 §3, RFC 9110 §7.2 and §4.2.4).
//!
//! **Invariants**: a [`Target`] has one unambiguous host, the same in request line and `Host`; its path is normal (`path`), and
//! it is the path that is matched *and* the path that is forwarded. Only parameters of segments (`;x=1`) are forwarded without
//! being matched.
//! **Cost**: two short allocations a request, host and path; a third where the request line has the host.
//! **Not here**: paths (`path`), routes (`route`), header fields (`headers`).

use http::header::{CONTENT_LENGTH, EXPECT, HOST, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, Method, Uri, Version};

use super::headers::is_number;
use crate::admission::verdict::Reason;
use crate::config::path::normal_path;

/// Longest request target, in bytes; RFC 9112 §3 asks for at least 8,000.
const TARGET_MAX: usize = 8_192;

const NOT_A_HOST: BadRequest = BadRequest::Host("is not a host name");

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Lower-case host without port or trailing dot; empty if an HTTP/1.0 client gave none.
    pub host: String,
    /// Host and port as the client wrote them, for the upstream.
    pub authority: Option<HeaderValue>,
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
        let (host, authority) = authority(uri, &head.headers, head.version)?;
        let path = normal_path(uri.path()).map_err(BadRequest::Target)?.into_owned();
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

/// The one host of the request as routes compare it and, with its port, as it was written: of the request line if it has one, which `Host`
/// must then repeat (RFC 9112 §3.2.2).
fn authority(uri: &Uri, headers: &HeaderMap, version: Version) -> Result<(String, Option<HeaderValue>), BadRequest> {
    let mut hosts = headers.get_all(HOST).iter();
    let field = hosts.next();
    if hosts.next().is_some() {
        return Err(BadRequest::Host("is given more than once"));
    }
    let of_field = field.map(|field| host_of(field.to_str().map_err(|_| NOT_A_HOST)?)).transpose()?;
    let Some(line) = uri.authority() else {
        return match of_field {
            Some(host) => Ok((host_name(host), field.cloned())),
            None if version == Version::HTTP_10 => Ok((String::new(), None)),
            None => Err(BadRequest::Host("is missing")),
        };
    };
    let host = host_of(line.as_str())?;
    if field.is_some_and(|field| !field.as_bytes().eq_ignore_ascii_case(line.as_str().as_bytes())) {
        return Err(BadRequest::Host("differs between the request line and the Host field"));
    }
    let line = HeaderValue::from_str(line.as_str()).map_err(|_| NOT_A_HOST)?;
    Ok((host_name(host), Some(line)))
}

/// The host of `text`, which must be host and perhaps port (RFC 3986 §3.2), narrowed to what DNS and IP literals need: no user, no comma, no
/// underscore, no empty label but that of the root. Each request brings one, so in one pass and not by [`http::uri::Authority`].
fn host_of(text: &str) -> Result<&str, BadRequest> {
    let end = if text.starts_with('[') {
        text.bytes().position(|byte| byte == b']').map(|last| last + 1)
    } else {
        text.bytes().position(|byte| byte == b':').or(Some(text.len()))
    };
    let (host, rest) = end.and_then(|end| text.split_at_checked(end)).ok_or(NOT_A_HOST)?;
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let sound = literal.map_or_else(|| is_name(host), |address| address.parse::<std::net::Ipv6Addr>().is_ok());
    let port = rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
    if sound && port { Ok(host) } else { Err(NOT_A_HOST) }
}

/// Labels with dots between them, and perhaps one more at the end.
fn is_name(host: &str) -> bool {
    let mut before = b'.';
    let fits = |byte: u8| {
        let ends_nothing = byte == b'.' && before == b'.';
        before = byte;
        !ends_nothing && (byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
    };
    !host.is_empty() && host.bytes().all(fits)
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
