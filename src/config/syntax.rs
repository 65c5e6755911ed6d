//! The small languages inside strings: hosts, paths, methods, servers, networks, client keys.
//!
//! **Invariants**: what is let through needs no second check where it is used: hosts are lower-case, paths of
//! routes are normal (`path`), an authority always has a port.
//! **Not here**: numbers with units (`units`), names (`names`).

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;

use http::Method;
use http::header::HeaderName;
use http::uri::Authority;
use ipnet::IpNet;
use rustls::pki_types::ServerName;

use super::explain::{did_you_mean, meant, quoted};
use super::path::normal_path;
use super::plan::{AccessLog, ClientKey, PathPattern, Server};
use super::reader::{Complaint, Parsed};
use super::scalar::{MAX_PATH, word};

/// Longest host name, in bytes (RFC 1035 §2.3.4, as text).
const MAX_HOST: usize = 253;

/// Statuses of final responses (RFC 9110 §15).
const STATUSES: RangeInclusive<u16> = 200..=599;

/// Methods a route may name. CONNECT and TRACE are not forwarded; others go through routes without `methods`.
const METHODS: [(&str, &Method); 7] = [
    ("DELETE", &Method::DELETE),
    ("GET", &Method::GET),
    ("HEAD", &Method::HEAD),
    ("OPTIONS", &Method::OPTIONS),
    ("PATCH", &Method::PATCH),
    ("POST", &Method::POST),
    ("PUT", &Method::PUT),
];

/// An address to bind, `127.0.0.1:8080` or `[::1]:8080`.
pub(super) fn socket_address(text: &str) -> Parsed<SocketAddr> {
    text.parse().map_err(|_| {
        let complaint = Complaint::text("an IP address and a port such as \"127.0.0.1:8080\" or \"[::]:8080\"", text);
        match text.strip_prefix(':').or_else(|| text.strip_prefix("*:")).or_else(|| text.strip_prefix("localhost:")) {
            Some(port) if port.parse::<u16>().is_ok() => {
                let ip = if text.starts_with('l') { "127.0.0.1" } else { "0.0.0.0" };
                complaint.hint(did_you_mean(&quoted(&format!("{ip}:{port}"))))
            }
            _ => complaint,
        }
    })
}

/// A network `10.0.0.0/8`, without bits below the prefix.
pub(super) fn network(text: &str) -> Parsed<IpNet> {
    let complaint = || Complaint::text("a network such as \"10.0.0.0/8\" or \"2001:db8::/32\"", text);
    if let Ok(single) = text.parse::<IpAddr>() {
        return Err(complaint().hint(did_you_mean(&quoted(&IpNet::from(single).to_string()))));
    }
    let net: IpNet = text.parse().map_err(|_| complaint())?;
    if let IpNet::V6(mapped) = net
        && let (Some(address), Some(prefix)) = (mapped.addr().to_ipv4_mapped(), mapped.prefix_len().checked_sub(96))
    {
        // Peers are compared by their IPv4 address.
        return Err(complaint().hint(did_you_mean(&quoted(&format!("{address}/{prefix}")))));
    }
    if net.trunc() == net { Ok(net) } else { Err(complaint().hint(did_you_mean(&quoted(&net.trunc().to_string())))) }
}

/// What tells clients apart: `address`, `header:NAME`, `cookie:NAME`.
pub(super) fn client_key(text: &str) -> Parsed<ClientKey> {
    let wanted = "\"address\", \"header:NAME\" or \"cookie:NAME\"";
    let (kind, name) = text.split_once(':').unwrap_or((text, ""));
    match kind {
        "address" if text == "address" => Ok(ClientKey::Address),
        "header" => HeaderName::try_from(name)
            .map(ClientKey::Header)
            .map_err(|_| Complaint::text(wanted, text).hint(format!("{} is no header name", quoted(name)))),
        // RFC 6265 §4.1.1: a cookie's name is a token, as a header's is; unlike that, its case counts.
        "cookie" if HeaderName::try_from(name).is_ok() => Ok(ClientKey::Cookie(name.to_owned())),
        "cookie" => Err(Complaint::text(wanted, text).hint(format!("{} is no cookie name", quoted(name)))),
        _ => Err(match meant(kind, ["address", "header", "cookie"]) {
            Some("address") => Complaint::text(wanted, text).hint(did_you_mean("\"address\"")),
            Some(known) => Complaint::text(wanted, text).hint(did_you_mean(&quoted(&format!("{known}:{name}")))),
            None => Complaint::text(wanted, text),
        }),
    }
}

/// A host without port, in lower case; an IPv6 address in brackets.
pub(super) fn host(text: &str) -> Parsed<String> {
    let complaint = || Complaint::text("a host name such as \"daftar.example.org\"", text);
    if is_host(text) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(if text.contains("://") || text.contains('/') {
        complaint().hint("only the host, without scheme and path")
    } else if text.contains('*') {
        complaint().hint("there are no wildcards; leave `host` out to match every host")
    } else if text.rsplit_once(':').is_some_and(|(head, port)| is_host(head) && port.parse::<u16>().is_ok()) {
        complaint().hint("without the port")
    } else {
        complaint()
    })
}

fn is_host(text: &str) -> bool {
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner.parse::<Ipv6Addr>().is_ok();
    }
    // Underscores are no part of a DNS host name, and common in names of containers.
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(plain) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= MAX_HOST && text.split('.').all(label)
}

/// A path, exact, or everything below it if it ends in `/*`.
pub(super) fn path(text: &str) -> Parsed<PathPattern> {
    let refuse = |why: &str| {
        Err(Complaint::text("a path such as \"/register\", or \"/register/*\" for all below it", text).hint(why))
    };
    if !text.starts_with('/') {
        return refuse("must start with \"/\"");
    }
    if text.len() > MAX_PATH {
        return refuse("longer than 1024 bytes");
    }
    if text.contains(['?', '#']) {
        return refuse("a route goes by the path alone, without query and fragment");
    }
    if text.contains(';') || text.to_ascii_lowercase().contains("%3b") {
        return refuse("\";\" never matches: parameters of a path are no part of what is routed");
    }
    let (plain, prefix) = text.strip_suffix("/*").map_or((text, false), |head| (head, true));
    if plain.contains('*') {
        return refuse("\"*\" may stand only at the end, as \"/*\"");
    }
    // RFC 3986 §3.3: pchar, less the semicolon.
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()+,=:@%/".contains(&b);
    if !plain.bytes().all(allowed) {
        return refuse("other characters must be percent-encoded");
    }
    let encoded = |part: &str| {
        let mut digits = part.bytes();
        digits.next().is_some_and(|b| b.is_ascii_hexdigit()) && digits.next().is_some_and(|b| b.is_ascii_hexdigit())
    };
    if !plain.split('%').skip(1).all(encoded) {
        return refuse("\"%\" must be followed by two hexadecimal digits");
    }
    let instead = |path: &str| {
        did_you_mean(&quoted(&if prefix { format!("{}/*", path.trim_end_matches('/')) } else { path.to_owned() }))
    };
    if text.contains("//") {
        return refuse(&format!("\"//\" never matches; {}", instead(&resolved(plain))));
    }
    if plain.split('/').any(|segment| segment == "." || segment == "..") {
        return refuse(&format!("segments \".\" and \"..\" never match; {}", instead(&resolved(plain))));
    }
    // What is left of `/*` is no path.
    match normal_path(if plain.is_empty() { "/" } else { plain }) {
        Err(why) => return refuse(&format!("never matches: a request whose path {why} is refused")),
        Ok(normal) if !plain.is_empty() && normal != plain => {
            return refuse(&format!("requests are compared in their shortest spelling; {}", instead(&normal)));
        }
        Ok(_) => {}
    }
    Ok(if prefix { PathPattern::Prefix(plain.to_owned()) } else { PathPattern::Exact(plain.to_owned()) })
}

/// `path` without empty and dot segments (RFC 3986 §5.2.4), but for a slash at its end.
fn resolved(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            segment => kept.push(segment),
        }
    }
    let slash = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    format!("/{}{slash}", kept.join("/"))
}

/// A status, or a range of them: `200`, `200-299`.
pub(super) fn statuses(text: &str) -> Parsed<RangeInclusive<u16>> {
    let status = |digits: &str| {
        let plain = digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit());
        digits.parse().ok().filter(|status| plain && STATUSES.contains(status))
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (status(first), status(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => Err(Complaint::text("a status such as \"200\" or a range such as \"200-299\", from 200 to 599", text)),
    }
}

/// One of [`METHODS`].
pub(super) fn method(text: &str) -> Parsed<Method> {
    word(text, &METHODS).cloned()
}

/// A server: `host:port`, `http://host[:port]` or `https://host[:port]`.
pub(super) fn server(text: &str) -> Parsed<Server> {
    let refuse = |why: &str| {
        let wanted = "a server such as \"10.0.0.5:9000\", \"http://host:9000\" or \"https://host\"";
        Err(Complaint::text(wanted, text).hint(why))
    };
    let (rest, tls, usual_port) = match text.split_once("://") {
        None => (text, false, None),
        Some(("http", rest)) => (rest, false, Some("80")),
        Some(("https", rest)) => (rest, true, Some("443")),
        Some((scheme, rest)) => {
            return match meant(scheme, ["http", "https"]) {
                Some(known) => refuse(&did_you_mean(&quoted(&format!("{known}://{rest}")))),
                None => refuse("the scheme is \"http\" or \"https\""),
            };
        }
    };
    if rest.contains('@') {
        return refuse("credentials do not belong here");
    }
    if rest.contains(['/', '?', '#']) {
        return refuse("only host and port: paths are forwarded as they come");
    }
    let bare_host = rest.ends_with(']') || !rest.contains(':');
    let (host, port) = match (rest.rsplit_once(':'), usual_port) {
        (_, Some(usual)) if bare_host => (rest, usual),
        (_, None) if bare_host => return refuse("has no port"),
        (Some((host, port)), _) => (host, port),
        (None, _) => return refuse("has no port"),
    };
    if host.contains(':') && !host.starts_with('[') {
        return refuse("an IPv6 address stands in brackets, as in \"[::1]:9000\"");
    }
    if !is_host(host) {
        return refuse("not a host name");
    }
    let number = if port.bytes().all(|b| b.is_ascii_digit()) { port.parse::<u16>().unwrap_or(0) } else { 0 };
    if number == 0 {
        return refuse("the port is a number from 1 to 65535");
    }
    let host = host.to_ascii_lowercase();
    if tls && ServerName::try_from(host.trim_matches(['[', ']'])).is_err() {
        return refuse("not a name that a certificate can have");
    }
    match Authority::try_from(format!("{host}:{number}")) {
        Ok(authority) => Ok(Server { authority, tls }),
        Err(_) => refuse("not a host and a port"),
    }
}

/// Where the access log goes: `stdout`, `off`, `file:PATH`.
pub(super) fn access_log(text: &str) -> Parsed<AccessLog> {
    let wanted = "\"stdout\", \"off\" or \"file:PATH\"";
    match text {
        "stdout" => Ok(AccessLog::Stdout),
        "off" => Ok(AccessLog::Off),
        _ => match text.strip_prefix("file:") {
            Some(path) if !path.is_empty() && !path.contains('\0') => Ok(AccessLog::File(PathBuf::from(path))),
            _ => Err(match meant(text, ["stdout", "off"]) {
                Some(known) => Complaint::text(wanted, text).hint(did_you_mean(&quoted(known))),
                None => Complaint::text(wanted, text),
            }),
        },
    }
}

/// A path of a file.
pub(super) fn file(text: &str) -> Parsed<PathBuf> {
    if text.is_empty() || text.contains('\0') {
        return Err(Complaint::text("the path of a PEM file", text));
    }
    Ok(PathBuf::from(text))
}
