//! Who is trusted, and the key by which a client's limits count.
//!
//! **Invariants**: the address that is limited is the one that is logged; an IPv4 address is one however it is written.
//! **Not here**: what trusted proxies say (`forwarded`), the limits (`admission::client`).

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};

use http::HeaderMap;
use ipnet::IpNet;

use crate::admission::client::ClientHash;
use crate::config::plan::{ClientKey, Without};
use crate::proxy::cookies;

/// Whether `peer` may speak for others.
#[must_use]
pub fn is_trusted(peer: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|network| network.contains(&peer))
}

/// What a client limit counts by, hashed with a key of this process so that nobody can aim; [`None`] if the request lacks what
/// the key names and goes `without`.
#[must_use]
pub fn client_hash(
    key: &ClientKey,
    without: Without,
    (address, ipv6_prefix): (IpAddr, u8),
    headers: &HeaderMap,
    hasher: &RandomState,
) -> Option<ClientHash> {
    let named = match key {
        ClientKey::Address => None,
        ClientKey::Cookie(name) => cookies::values(headers, name).next(),
        // Two of them are nobody's: which one the service reads is not known.
        ClientKey::Header(name) => {
            let mut values = headers.get_all(name).iter();
            values.next().filter(|_| values.next().is_none()).map(http::HeaderValue::as_bytes)
        }
    };
    // The two kinds of key must not meet: a header that spells an address is not that address.
    match (named, key, without) {
        (Some(value), ..) => Some(ClientHash(hasher.hash_one((1_u8, value)))),
        (None, ClientKey::Address, _) | (None, _, Without::Address) => {
            Some(ClientHash(hasher.hash_one((0_u8, folded(address, ipv6_prefix)))))
        }
        (None, _, Without::Pass) => None,
    }
}

/// What an address counts as: an IPv4 address, mapped or not, as itself; of IPv6 the first `ipv6_prefix` bits, since a subscriber owns
/// at least a /64 (RFC 6177).
#[must_use]
pub fn folded(address: IpAddr, ipv6_prefix: u8) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(u128::BITS.saturating_sub(u32::from(ipv6_prefix))).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn keys_tell_clients_apart() {
        let hasher = RandomState::new();
        let hash = |key: &ClientKey, address: &str, fields: &[(&'static str, &str)]| {
            client_hash(key, Without::Address, (address.parse().unwrap(), 64), &headers(fields), &hasher).unwrap()
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
    fn nobody_steps_out_of_his_limit_by_what_else_he_sends() {
        let hasher = RandomState::new();
        let own = (IpAddr::from([192, 0, 2, 7]), 64);
        let hash = |key: &ClientKey, headers: &HeaderMap| client_hash(key, Without::Pass, own, headers, &hasher);
        let cookie = ClientKey::Cookie("sid".to_owned());
        let mut odd = HeaderMap::new();
        odd.append(http::header::COOKIE, http::HeaderValue::from_bytes(b"sid=real; x=\xff").unwrap());
        assert_eq!(hash(&cookie, &odd), hash(&cookie, &headers(&[("cookie", "sid=real")])));
        let header = ClientKey::Header(http::HeaderName::from_static("x-api-key"));
        let twice = headers(&[("x-api-key", "random"), ("x-api-key", "real")]);
        assert_eq!(hash(&header, &twice), None, "it lacks the one that is meant");
    }

    #[test]
    fn ipv6_is_folded_to_the_prefix_and_mapped_ipv4_is_ipv4() {
        let folded = |address: &str, prefix| folded(address.parse().unwrap(), prefix).to_string();
        assert_eq!(folded("2001:db8:1:2:3:4:5:6", 64), "2001:db8:1:2::");
        assert_eq!(folded("2001:db8:1:2:3:4:5:6", 48), "2001:db8:1::");
        assert_eq!(folded("2001:db8:1:2:3:4:5:6", 128), "2001:db8:1:2:3:4:5:6");
        assert_eq!(folded("2001:db8:1:2:3:4:5:6", 0), "::");
        assert_eq!(folded("::ffff:192.0.2.7", 32), "192.0.2.7");
        assert_eq!(folded("192.0.2.7", 32), "192.0.2.7");
    }

    #[test]
    fn who_lacks_the_key_may_pass() {
        let hasher = RandomState::new();
        let applies = |key: &ClientKey, fields: &[(&'static str, &str)]| {
            client_hash(key, Without::Pass, ("192.0.2.1".parse().unwrap(), 64), &headers(fields), &hasher).is_some()
        };
        let by_header = ClientKey::Header("idempotency-key".parse().unwrap());
        assert!(applies(&by_header, &[("idempotency-key", "a")]) && !applies(&by_header, &[]));
        assert!(!applies(&ClientKey::Cookie("sid".to_owned()), &[("cookie", "side=a")]));
        assert!(applies(&ClientKey::Address, &[]), "everybody has an address");
    }
}
