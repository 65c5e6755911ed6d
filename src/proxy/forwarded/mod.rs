//! What trusted proxies say of who came to them: `X-Forwarded-For` and `Forwarded` (RFC 7239).
//!
//! Both are read from the right: each proxy appends whom it saw, so what stands left of the first address that is no trusted proxy was
//! written by that address itself, and is nobody's word. A proxy that writes one of the two fields passes on the other as its client
//! made it up; where both are there they must therefore name the same client, and otherwise neither is believed.
//!
//! **Invariants**: nothing is believed that a client could have written; what cannot be read ends the chain at the last that could; the
//! chain of a request whose fields disagree is its peer alone.
//! **Cost**: nothing for a peer that is not trusted; at most [`HOPS_MAX`] addresses of fields of at most [`FIELD_MAX`] bytes.
//! **Not here**: who is trusted (`address`), what is forwarded (`headers`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::header::FORWARDED;
use http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

use super::address::is_trusted;
use super::headers;

/// The de-facto chain of clients and proxies.
pub const X_FORWARDED_FOR: &str = "x-forwarded-for";

/// Hops that are read; real chains have two or three.
pub const HOPS_MAX: usize = 32;

/// Bytes of a field that are read, [`HOPS_MAX`] times the longest element that proxies write; of a longer one nothing is.
pub const FIELD_MAX: usize = 4096;

/// Who came to whom, as far as it is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Whoever came to the outermost trusted proxy; the peer itself if nobody is named.
    pub client: IpAddr,
    /// The client, and the trusted proxies between him and the peer, in this order; without the peer.
    pub hops: Vec<IpAddr>,
    /// Whether the client came by TLS, if that was said beside his address.
    pub tls: Option<bool>,
}

impl Chain {
    /// A peer that speaks for itself.
    #[must_use]
    pub const fn own(peer: IpAddr) -> Self {
        Self { client: peer, hops: Vec::new(), tls: None }
    }

    /// What the trusted `peer` says in `headers`.
    #[must_use]
    pub fn of(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> Self {
        let mut de_facto = Walk::new(peer, trusted);
        for field in headers.get_all(X_FORWARDED_FOR).iter().rev() {
            // Each entry by itself: what the proxy appended to its client's field counts, whatever that begins with.
            let entry = |entry: &[u8]| str::from_utf8(entry).ok().and_then(|entry| address(trimmed(entry)));
            if !latest(field).rsplit(|byte| *byte == b',').all(|bytes| de_facto.meets(entry(bytes), None)) {
                break;
            }
        }
        let mut standard = Walk::new(peer, trusted);
        // Each field by itself: a quote that one leaves open must not swallow the next.
        for field in headers.get_all(FORWARDED).iter().rev() {
            let Some(list) = readable(field).and_then(elements) else { break };
            if !list.iter().rev().all(|element| standard.meets(element.client.and_then(address), element.tls)) {
                break;
            }
        }
        match (headers.contains_key(X_FORWARDED_FOR), headers.contains_key(FORWARDED)) {
            (true, false) => de_facto.chain,
            (false, true) => standard.chain,
            (true, true) if de_facto.chain.client == standard.chain.client => {
                Self { tls: standard.chain.tls, ..de_facto.chain }
            }
            _ => Self::own(peer),
        }
    }
}

/// A chain on the way from the peer to the client.
struct Walk<'a> {
    chain: Chain,
    trusted: &'a [IpNet],
}

impl<'a> Walk<'a> {
    fn new(peer: IpAddr, trusted: &'a [IpNet]) -> Self {
        Self { chain: Chain::own(peer), trusted }
    }

    /// The next hop to the left; whether what stands left of it counts.
    fn meets(&mut self, hop: Option<IpAddr>, tls: Option<bool>) -> bool {
        let Some(address) = hop.filter(|_| self.chain.hops.len() < HOPS_MAX) else { return false };
        self.chain.hops.insert(0, address);
        (self.chain.client, self.chain.tls) = (address, tls);
        is_trusted(address, self.trusted)
    }
}

/// What stands last in `field`, whole entries of at most [`FIELD_MAX`] bytes together.
fn latest(field: &HeaderValue) -> &[u8] {
    let bytes = field.as_bytes();
    let cut = bytes.len().saturating_sub(FIELD_MAX);
    let kept = bytes.get(cut..).unwrap_or_default();
    if cut == 0 {
        return kept;
    }
    // From the first entry that is whole.
    kept.iter().position(|byte| *byte == b',').and_then(|comma| kept.get(comma..)).unwrap_or_default()
}

fn readable(field: &HeaderValue) -> Option<&str> {
    field.to_str().ok().filter(|text| text.len() <= FIELD_MAX)
}

/// Without white space around it (RFC 9110 §5.6.3).
fn trimmed(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// An address with or without port, IPv6 with or without brackets; nothing for `unknown` and `_hidden` (RFC 7239 §6).
fn address(node: &str) -> Option<IpAddr> {
    let (address, port) = if let Some(rest) = node.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        (IpAddr::V6(address.parse::<Ipv6Addr>().ok()?), port)
    } else if let Ok(address) = node.parse::<IpAddr>() {
        (address, "")
    } else {
        let (address, _) = node.split_once(':')?;
        (IpAddr::V4(address.parse::<Ipv4Addr>().ok()?), node.strip_prefix(address)?)
    };
    let is_sound = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    is_sound.then(|| address.to_canonical())
}

/// A number, or an obfuscated one (RFC 7239 §6.2).
fn is_port(text: &str) -> bool {
    let is_number = text.len() <= 5 && headers::is_number(text.as_bytes());
    let hidden = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    is_number && text.parse::<u16>().is_ok() || text.strip_prefix('_').is_some_and(hidden)
}

/// What a proxy says in `Forwarded` of one hop, so far as we ask.
#[derive(Debug, Default)]
struct Element<'a> {
    client: Option<&'a str>,
    tls: Option<bool>,
    is_written: bool,
}

/// The elements of a field (RFC 7239 §4); [`None`] if any of it is not what the grammar allows, because then nobody knows where its
/// elements end.
fn elements(field: &str) -> Option<Vec<Element<'_>>> {
    let mut list = vec![Element::default()];
    let mut rest = trimmed(field);
    while !rest.is_empty() {
        if let Some(next) = rest.strip_prefix(',') {
            list.push(Element::default());
            rest = trimmed(next);
            continue;
        }
        if let Some(next) = rest.strip_prefix(';') {
            rest = trimmed(next);
            continue;
        }
        let (name, after) = rest.split_once('=')?;
        let (value, after) = value(after)?;
        rest = trimmed(after);
        if !is_token(name) || !(rest.is_empty() || rest.starts_with([',', ';'])) {
            return None;
        }
        let element = list.last_mut()?;
        element.is_written = true;
        if name.eq_ignore_ascii_case("for") {
            let is_second = element.client.replace(value).is_some();
            if is_second {
                return None;
            }
        } else if name.eq_ignore_ascii_case("proto") {
            element.tls = Some(value.eq_ignore_ascii_case("https"));
        }
    }
    list.retain(|element| element.is_written);
    Some(list)
}

/// A value and what follows it: a quoted string, or a token. Addresses without their quotes are taken as well: nothing in them could be
/// read in two ways.
fn value(text: &str) -> Option<(&str, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let mut is_escaped = false;
        let end = quoted.find(|character| {
            let ends = character == '"' && !is_escaped;
            is_escaped = character == '\\' && !is_escaped;
            ends
        })?;
        let (value, rest) = quoted.split_at_checked(end)?;
        return Some((value, rest.strip_prefix('"')?));
    }
    let end = text.find([',', ';', ' ', '\t']).unwrap_or(text.len());
    let (value, rest) = text.split_at_checked(end)?;
    is_token(&value.replace([':', '[', ']'], "_")).then_some((value, rest))
}

/// RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests;
