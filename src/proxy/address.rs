//! Who the client is: the address behind trusted proxies, and the key of its limits.
//!
//! **Invariants**: nothing an untrusted peer writes is believed; of a chain the right-most address that is not a trusted proxy
//! counts, so a client can only prepend lies that nobody reads; the address that is limited is the one that is logged.
//! **Cost**: nothing for a peer that is not trusted.
//! **Not here**: the limits (`admission::client`).

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};

use http::HeaderMap;
use http::header::{COOKIE, HeaderName};
use ipnet::IpNet;

use crate::admission::client::ClientHash;
use crate::config::plan::{ClientKey, Without};

/// The de-facto chain of clients and proxies.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// An IPv6 subscriber owns at least a /64 (RFC 6177); limits count it as one.
const IPV6_SUBSCRIBER_BITS: u32 = 64;

/// Whether `peer` may speak for others.
#[must_use]
pub fn is_trusted(peer: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&peer))
}

/// The client's address: the peer's own, or what trusted proxies say about who came to them.
#[must_use]
pub fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    if !is_trusted(peer, trusted) {
        return peer;
    }
    let mut client = peer;
    // Repeated fields are one list, in order (RFC 9110 §5.3).
    for field in headers.get_all(X_FORWARDED_FOR).iter().rev() {
        let Ok(list) = field.to_str() else { return client };
        for entry in list.rsplit(',') {
            let Some(address) = parse_hop(entry.trim()) else { return client };
            client = address;
            if !is_trusted(address, trusted) {
                return client;
            }
        }
    }
    client
}

/// An entry of the chain: an address, with or without port, IPv6 with or without brackets.
fn parse_hop(entry: &str) -> Option<IpAddr> {
    let address = entry.parse::<IpAddr>().ok().or_else(|| {
        entry
            .parse::<std::net::SocketAddr>()
            .map(|socket| socket.ip())
            .ok()
            .or_else(|| entry.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6))
    })?;
    Some(address.to_canonical())
}

/// What a client limit counts by, hashed with a key of this process so that nobody can aim; [`None`] if the request lacks what
/// the key names and goes `without`.
#[must_use]
pub fn client_hash(
    key: &ClientKey,
    without: Without,
    address: IpAddr,
    headers: &HeaderMap,
    hasher: &RandomState,
) -> Option<ClientHash> {
    let named = match key {
        ClientKey::Address => None,
        ClientKey::Cookie(name) => cookie(headers, name).map(str::as_bytes),
        ClientKey::Header(name) => headers.get(name).map(http::HeaderValue::as_bytes),
    };
    // The two kinds of key must not meet: a header that spells an address is not that address.
    match (named, key, without) {
        (Some(value), ..) => Some(ClientHash(hasher.hash_one((1_u8, value)))),
        (None, ClientKey::Address, _) | (None, _, Without::Address) => {
            Some(ClientHash(hasher.hash_one((0_u8, fold(address)))))
        }
        (None, _, Without::Pass) => None,
    }
}

/// The value of cookie `name` (RFC 6265 §4.2.1).
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| field.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(candidate, value)| (candidate == name).then_some(value))
}

/// One subscriber, one value.
fn fold(address: IpAddr) -> impl Hash {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        // An IPv6 prefix never collides with an IPv4 address: its low 64 bits are zero, and ::/64 is not routed.
        IpAddr::V6(address) => u128::from(address) >> (128 - IPV6_SUBSCRIBER_BITS) << (128 - IPV6_SUBSCRIBER_BITS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn address(peer: &str, chain: &[&str]) -> String {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].iter().map(|net| net.parse().unwrap()).collect();
        let mut map = HeaderMap::new();
        for field in chain {
            map.append(X_FORWARDED_FOR, field.parse().unwrap());
        }
        client_address(peer.parse().unwrap(), &map, &trusted).to_string()
    }

    #[test]
    fn an_untrusted_peer_speaks_for_itself_only() {
        assert_eq!(address("192.0.2.1", &["203.0.113.9"]), "192.0.2.1");
    }

    #[test]
    fn the_rightmost_untrusted_address_counts() {
        assert_eq!(address("10.0.0.1", &["203.0.113.9"]), "203.0.113.9");
        assert_eq!(address("10.0.0.1", &["1.1.1.1, 203.0.113.9, 10.0.0.7"]), "203.0.113.9");
        assert_eq!(address("10.0.0.1", &["1.1.1.1", "203.0.113.9", "10.0.0.7"]), "203.0.113.9");
        assert_eq!(address("10.0.0.1", &["[2001:db8::5]:4711"]), "2001:db8::5");
        assert_eq!(address("10.0.0.1", &["203.0.113.9:80"]), "203.0.113.9");
        assert_eq!(address("10.0.0.1", &["::ffff:203.0.113.9"]), "203.0.113.9");
    }

    #[test]
    fn garbage_ends_the_chain_at_the_last_that_was_sound() {
        assert_eq!(address("10.0.0.1", &["203.0.113.9, unknown"]), "10.0.0.1");
        assert_eq!(address("10.0.0.1", &["garbage, 203.0.113.9"]), "203.0.113.9");
        assert_eq!(address("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(address("10.0.0.1", &["10.0.0.2"]), "10.0.0.2");
    }

    #[test]
    fn keys_tell_clients_apart() {
        let hasher = RandomState::new();
        let hash = |key: &ClientKey, address: &str, fields: &[(&'static str, &str)]| {
            client_hash(key, Without::Address, address.parse().unwrap(), &headers(fields), &hasher).unwrap()
        };
        let by_address = ClientKey::Address;
        assert_eq!(hash(&by_address, "2001:db8::1", &[]), hash(&by_address, "2001:db8::ffff", &[]));
        assert_ne!(hash(&by_address, "2001:db8::1", &[]), hash(&by_address, "2001:db8:0:1::1", &[]));
        assert_ne!(hash(&by_address, "192.0.2.1", &[]), hash(&by_address, "192.0.2.2", &[]));
        let by_header = ClientKey::Header("idempotency-key".parse().unwrap());
        let keyed = |value| hash(&by_header, "192.0.2.1", &[("idempotency-key", value)]);
        assert_eq!(keyed("a"), keyed("a"));
        assert_ne!(keyed("a"), keyed("b"));
        assert_eq!(hash(&by_header, "192.0.2.1", &[]), hash(&by_address, "192.0.2.1", &[]), "without it, the address");
        let by_cookie = ClientKey::Cookie("sid".to_owned());
        let with = |value| hash(&by_cookie, "192.0.2.1", &[("cookie", value)]);
        assert_eq!(with("a=1; sid=x"), with("sid=x"));
        assert_ne!(with("sid=x"), with("sid=y"));
        assert_eq!(with("xsid=x"), hash(&by_address, "192.0.2.1", &[]));
    }

    #[test]
    fn who_lacks_the_key_may_pass() {
        let hasher = RandomState::new();
        let applies = |key: &ClientKey, fields: &[(&'static str, &str)]| {
            client_hash(key, Without::Pass, "192.0.2.1".parse().unwrap(), &headers(fields), &hasher).is_some()
        };
        let by_header = ClientKey::Header("idempotency-key".parse().unwrap());
        assert!(applies(&by_header, &[("idempotency-key", "a")]) && !applies(&by_header, &[]));
        assert!(!applies(&ClientKey::Cookie("sid".to_owned()), &[("cookie", "side=a")]));
        assert!(applies(&ClientKey::Address, &[]), "everybody has an address");
    }
}
