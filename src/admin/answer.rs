//! From an admin request to its answer.

use std::error::Error;
use std::net::{Ipv4Addr, Ipv6Addr};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::uri::Authority;
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use http_body_util::Full;
use hyper::body::Body;
use serde_json::Value;

use super::{Admin, Readiness, capacity, rooms};

/// Of Prometheus text 0.0.4.
const METRICS_TYPE: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const PLAIN_TYPE: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

const JSON_TYPE: HeaderValue = HeaderValue::from_static("application/json");

/// Why the body of a request cannot be read.
pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// The answer to `request`; its body is only looked at where something is done, and hyper leaves ours away after HEAD.
pub(super) async fn answer<B, R>(admin: &Admin<R>, request: Request<B>) -> Response<Full<Bytes>>
where
    B: Body<Error: Into<BoxError>>,
    R: Fn() -> Readiness,
{
    if let Err(refusal) = check_host(&request) {
        return plain(refusal.0, refusal.1.to_owned());
    }
    if let (Some(gateway), Some(target)) = (&admin.gateway, rooms::target(request.uri().path())) {
        let target = target.to_owned();
        return rooms::answer(gateway, &target, request).await;
    }
    told(admin, &request)
}

/// What is told and changes nothing.
fn told<B, R>(admin: &Admin<R>, request: &Request<B>) -> Response<Full<Bytes>>
where
    R: Fn() -> Readiness,
{
    let respond: fn(&Admin<R>) -> Response<Full<Bytes>> = match request.uri().path() {
        "/livez" => |_| plain(StatusCode::OK, "ok\n".to_owned()),
        "/metrics" => |admin| text(StatusCode::OK, METRICS_TYPE, admin.registry.render()),
        "/readyz" => |admin| readyz(&(admin.ready)()),
        "/v1/capacity" if admin.gateway.is_some() => capacity,
        _ => return plain(StatusCode::NOT_FOUND, "not found\n".to_owned()),
    };
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return respond(admin);
    }
    not_allowed("GET, HEAD")
}

/// Only the methods in `allow` are.
pub(super) fn not_allowed(allow: &'static str) -> Response<Full<Bytes>> {
    let mut refusal = plain(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n".to_owned());
    refusal.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    refusal
}

/// What is known of the capacity of everything behind the gateway.
fn capacity<R>(admin: &Admin<R>) -> Response<Full<Bytes>> {
    let document = admin.gateway.as_deref().map(capacity::document);
    json(&document.unwrap_or_default())
}

pub(super) fn json(document: &Value) -> Response<Full<Bytes>> {
    text(StatusCode::OK, JSON_TYPE, document.to_string() + "\n")
}

/// 200, or 503 with one reason a line.
fn readyz(readiness: &Readiness) -> Response<Full<Bytes>> {
    if readiness.is_ready() {
        return plain(StatusCode::OK, "ready\n".to_owned());
    }
    plain(StatusCode::SERVICE_UNAVAILABLE, readiness.reasons().join("\n") + "\n")
}

pub(super) fn plain(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    text(status, PLAIN_TYPE, body)
}

fn text(status: StatusCode, content_type: HeaderValue, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Why a request was refused for its host: status and text.
#[derive(Debug, PartialEq, Eq)]
struct HostRefusal(StatusCode, &'static str);

const NO_HOST: HostRefusal = HostRefusal(StatusCode::BAD_REQUEST, "exactly one valid host is needed\n");
const FOREIGN_HOST: HostRefusal =
    HostRefusal(StatusCode::MISDIRECTED_REQUEST, "reach this socket by its IP address or as localhost\n");

/// Takes only requests to an IP address or `localhost`: browsers send the name of the page they show, and this is what
/// tells a page that had its name resolved to our address (DNS rebinding). HTTP/1.0 may leave the host away, as no
/// browser does and some health checkers do. RFC 9112 §3.2: none (in HTTP/1.1), several or an invalid one are a 400.
fn check_host<B>(request: &Request<B>) -> Result<(), HostRefusal> {
    let named = host_field(request.headers(), request.version())?;
    let in_target = target_authority(request.uri());
    if named.iter().chain(in_target).all(is_local) { Ok(()) } else { Err(FOREIGN_HOST) }
}

fn host_field(headers: &HeaderMap, version: Version) -> Result<Option<Authority>, HostRefusal> {
    let mut fields = headers.get_all(HOST).iter();
    match (fields.next(), fields.next()) {
        (None, _) if version == Version::HTTP_10 => Ok(None),
        (Some(only), None) => Authority::try_from(only.as_bytes()).map(Some).map_err(|_| NO_HOST),
        _ => Err(NO_HOST),
    }
}

/// The authority of an absolute-form target, which a server must prefer to the field (RFC 9112 §3.2.2).
fn target_authority(target: &Uri) -> Option<&Authority> {
    target.authority()
}

fn is_local(authority: &Authority) -> bool {
    let host = authority.host();
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    // A host has no user part; `Authority` would hide it.
    !authority.as_str().contains('@')
        && (host.eq_ignore_ascii_case("localhost")
            || host.parse::<Ipv4Addr>().is_ok()
            || bracketed.is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(target: &str, hosts: &[&str]) -> Result<(), HostRefusal> {
        let mut request = Request::get(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        check_host(&request.body(()).unwrap())
    }

    #[test]
    fn addresses_and_localhost_are_ours() {
        for host in ["127.0.0.1", "10.1.2.3:9090", "[::1]", "[fe80::1]:9090", "localhost", "LocalHost:9090"] {
            assert_eq!(checked("/livez", &[host]), Ok(()), "{host}");
        }
        assert_eq!(checked("http://127.0.0.1:9090/livez", &["127.0.0.1:9090"]), Ok(()));
    }

    #[test]
    fn names_are_not() {
        for host in ["example.org", "example.org:9090", "127.0.0.1.example.org", "localhost.example.org", "x@127.0.0.1"]
        {
            assert_eq!(checked("/livez", &[host]), Err(FOREIGN_HOST), "{host}");
        }
        assert_eq!(checked("http://example.org/livez", &["127.0.0.1"]), Err(FOREIGN_HOST));
    }

    #[test]
    fn one_valid_host_is_needed() {
        for hosts in [&[][..], &["127.0.0.1", "127.0.0.1"], &[""], &["a b"], &["[::1"]] {
            assert_eq!(checked("/livez", hosts), Err(NO_HOST), "{hosts:?}");
        }
    }
}
