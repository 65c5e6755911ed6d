//! Values that each forwarded request is given, written by hand: `format!` took a tenth of all its instructions.
//!
//! **Not here**: which fields they are for (`headers`).

use std::net::IpAddr;

use http::HeaderValue;

/// An address as text. Each request states one, so IPv4 not by `format!`.
pub(super) fn address(address: IpAddr) -> HeaderValue {
    let IpAddr::V4(address) = address else {
        return visible(address.to_string().as_bytes());
    };
    let mut text = *b"255.255.255.255";
    let (room, mut length) = (&mut text, 0);
    let mut write = |byte: u8| {
        if let Some(place) = room.get_mut(length) {
            (*place, length) = (byte, length + 1);
        }
    };
    for (position, octet) in address.octets().into_iter().enumerate() {
        if position > 0 {
            write(b'.');
        }
        if octet >= 100 {
            write(b'0' + octet / 100);
        }
        if octet >= 10 {
            write(b'0' + octet / 10 % 10);
        }
        write(b'0' + octet % 10);
    }
    visible(text.get(..length).unwrap_or_default())
}

/// `version-traceid-parentid-flags` in lower-case hexadecimal, ids not all zero (W3C Trace Context §3.2).
pub(super) fn is_traceparent(value: &HeaderValue) -> bool {
    let hexadecimal = |part: &[u8], length: usize| {
        part.len() == length && part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let mut parts = value.as_bytes().split(|byte| *byte == b'-');
    let [version, trace, parent, flags] = [(); 4].map(|()| parts.next().unwrap_or_default());
    parts.next().is_none()
        && hexadecimal(version, 2)
        && version != b"ff"
        && hexadecimal(trace, 32)
        && hexadecimal(parent, 16)
        && hexadecimal(flags, 2)
        && trace.iter().any(|byte| *byte != b'0')
        && parent.iter().any(|byte| *byte != b'0')
}

/// A trace that starts here and is not sampled by us.
pub(super) fn traceparent(random: u128) -> HeaderValue {
    // Ids of zero are invalid.
    let (trace, parent) = (random | 1, u64::try_from(random >> 64).unwrap_or_default() | 1);
    let mut text = *b"00-tttttttttttttttttttttttttttttttt-pppppppppppppppp-00";
    if let Some(digits) = text.get_mut(3..35) {
        write_hexadecimal(digits, &trace.to_be_bytes());
    }
    if let Some(digits) = text.get_mut(36..52) {
        write_hexadecimal(digits, &parent.to_be_bytes());
    }
    visible(&text)
}

/// Two digits for each of `bytes`. Each request is given some, so not by `format!`.
pub(super) fn write_hexadecimal(text: &mut [u8], bytes: &[u8]) {
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' - 10 + value };
    for (digits, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *digits = [digit(byte >> 4), digit(byte & 15)];
    }
}

/// A value of characters of ours, all of them visible.
pub(super) fn visible(text: &[u8]) -> HeaderValue {
    HeaderValue::from_bytes(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_the_library_writes_it() {
        for text in ["0.0.0.0", "1.20.255.100", "255.255.255.255", "9.10.99.101", "::1", "2001:db8::ff"] {
            assert_eq!(address(text.parse().unwrap()), text);
        }
    }

    #[test]
    fn a_trace_has_all_its_digits() {
        let random = 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210;
        let trace = traceparent(random);
        assert_eq!(trace, "00-0123456789abcdeffedcba9876543211-0123456789abcdef-00");
        assert!(is_traceparent(&trace));
    }
}
