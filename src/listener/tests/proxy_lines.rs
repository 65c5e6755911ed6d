//! Headers of the PROXY protocol: sound ones in any pieces, and everything else.

use proptest::prelude::*;

use crate::listener::proxy_line::{Header, Malformed, Reader, Step, V1_MAX, V2_MAX};

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 2: version and command, family and transport, and what follows the length.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [V2, &[command, family], &length, rest].concat()
}

/// Reads a header at the beginning of `bytes`, given in pieces as long as `pieces` say (their last for ever): what it says, and how many
/// bytes were read.
fn read(bytes: &[u8], pieces: &[usize]) -> (Option<Result<Header, Malformed>>, usize) {
    let (mut reader, mut at, mut piece) = (Reader::default(), 0, 0);
    loop {
        let wanted = match reader.step() {
            Err(malformed) => return (Some(Err(malformed)), at),
            Ok(Step::Done(header)) => return (Some(Ok(header)), at),
            Ok(Step::Read(wanted)) => wanted.get(),
        };
        let most = pieces.get(piece).or_else(|| pieces.last()).copied().unwrap_or(usize::MAX);
        piece += 1;
        let end = (at + wanted.min(most)).min(bytes.len());
        if end == at {
            return (None, at);
        }
        reader.take(&bytes[at..end]);
        at = end;
    }
}

fn header(bytes: &[u8]) -> Option<Result<Header, Malformed>> {
    read(bytes, &[]).0
}

fn client(address: &str) -> Header {
    Header::Client(address.parse().unwrap())
}

#[test]
fn version_1_names_the_client() {
    for (line, address) in [
        ("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", "192.0.2.7:56324"),
        ("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255:65535"),
        ("PROXY TCP4 1.1.1.1 1.1.1.1 0 1\r\n", "1.1.1.1:0"),
        ("PROXY TCP6 2001:db8::7 2001:db8::1 1 443\r\n", "[2001:db8::7]:1"),
        ("PROXY TCP6 :: :: 1 1\r\n", "[::]:1"),
        ("PROXY TCP6 ::ffff:192.0.2.7 ::1 80 443\r\n", "192.0.2.7:80"),
        (
            "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
            "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
        ),
    ] {
        assert_eq!(header(line.as_bytes()), Some(Ok(client(address))), "{line}");
    }
    for line in [
        "PROXY UNKNOWN\r\n",
        "PROXY UNKNOWN 1.1.1.1 2.2.2.2 3 4\r\n",
        "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
    ] {
        assert_eq!(header(line.as_bytes()), Some(Ok(Header::Unnamed)), "{line}");
    }
}

#[test]
fn what_is_no_line_of_version_1_is_an_error() {
    for line in [
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "\x16\x03\x01\x02\0\x01\0\x01\x7c\x03\x03\0\0\0\0\0",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "PROXY  TCP4 1.1.1.1 2.2.2.2 3 4\r\n",
        "PROXY TCP4  1.1.1.1 2.2.2.2 3 4\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 3 4 \r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 3 4 5\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 3\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 3 65536\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 03 4\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 +3 4\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 -3 4\r\n",
        "PROXY TCP4 1.1.1.1 2.2.2.2 3 4\n",
        "PROXY TCP4 1.1.1.1\r2.2.2.2 3 4\r\n",
        "PROXY TCP4 1.1.1.1\n2.2.2.2 3 4\r\n",
        "PROXY TCP4 1.1.1 2.2.2.2 3 4444\r\n",
        "PROXY TCP4 01.1.1.1 2.2.2.2 3 4\r\n",
        "PROXY TCP4 1.1.1.256 2.2.2.2 3 4\r\n",
        "PROXY TCP4 ::1 ::2 3 4444444444444\r\n",
        "PROXY TCP6 1.1.1.1 2.2.2.2 3 4\r\n",
        "PROXY TCP6 fe80::1%eth0 ::2 3 4\r\n",
        "PROXY TCP5 1.1.1.1 2.2.2.2 3 4\r\n",
        "PROXY unknown\r\n",
        "PROXY UNKNOWN\n\n",
        "proxy TCP4 1.1.1.1 2.2.2.2 3 4\r\n",
    ] {
        assert_eq!(header(line.as_bytes()), Some(Err(Malformed)), "{line}");
    }
    let endless = format!("PROXY UNKNOWN {}", "a".repeat(1000));
    assert_eq!(read(endless.as_bytes(), &[]), (Some(Err(Malformed)), V1_MAX));
    let longest = format!("PROXY UNKNOWN {}\r\n", "a".repeat(V1_MAX - 16));
    assert_eq!(read(longest.as_bytes(), &[]), (Some(Ok(Header::Unnamed)), V1_MAX));
}

#[test]
fn version_2_names_the_client() {
    let four = [192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 4, 1, 187];
    let mapped: Vec<u8> = [&[0; 10][..], &[255, 255, 192, 0, 2, 7], &[0; 16], &[0, 80, 1, 187]].concat();
    let six: Vec<u8> = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[7], &[0; 16], &[0, 80, 1, 187]].concat();
    let tlvs = [&four[..], &[4, 0, 3, 1, 2, 3], &[0xea; 900]].concat();
    for (bytes, address) in [
        (v2(0x21, 0x11, &four), "192.0.2.7:56324"),
        (v2(0x21, 0x21, &mapped), "192.0.2.7:80"),
        (v2(0x21, 0x21, &six), "[2001:db8::7]:80"),
        (v2(0x21, 0x11, &tlvs), "192.0.2.7:56324"),
    ] {
        assert_eq!(header(&bytes), Some(Ok(client(address))), "{bytes:?}");
    }
    for bytes in [
        v2(0x20, 0, &[]),
        v2(0x20, 0x11, &four),
        v2(0x21, 0, &[]),
        v2(0x21, 0, &[9; 100]),
        v2(0x21, 0x31, &[b'x'; 216]),
        v2(0x20, 0, &vec![0; V2_MAX - 16]),
    ] {
        assert_eq!(read(&bytes, &[]), (Some(Ok(Header::Unnamed)), bytes.len()), "{bytes:?}");
    }
}

#[test]
fn what_is_no_header_of_version_2_is_an_error() {
    let four = [192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 4, 1, 187];
    for bytes in [
        v2(0x11, 0x11, &four),
        v2(0x31, 0x11, &four),
        v2(0x22, 0x11, &four),
        v2(0x21, 0x12, &four),
        v2(0x21, 0x41, &four),
        v2(0x21, 0x11, &four[..11]),
        v2(0x21, 0x21, &four),
        v2(0x21, 0x11, &[]),
        v2(0x20, 0, &vec![0; V2_MAX - 15]),
        [&V2[..11], b"\r!!!!!"].concat(),
    ] {
        assert_eq!(header(&bytes), Some(Err(Malformed)), "{bytes:?}");
    }
}

/// Sound headers, and what they say.
fn sound() -> impl Strategy<Value = (Vec<u8>, Header)> {
    let four = any::<(u32, u32, u16, u16)>();
    let six = any::<(u128, u128, u16, u16)>();
    let named = |address: std::net::IpAddr, port| Header::Client(crate::proxy::peer::unmapped((address, port).into()));
    prop_oneof![
        four.prop_map(move |(a, b, p, q)| {
            let (a, b) = (std::net::Ipv4Addr::from(a), std::net::Ipv4Addr::from(b));
            (format!("PROXY TCP4 {a} {b} {p} {q}\r\n").into_bytes(), named(a.into(), p))
        }),
        six.prop_map(move |(a, b, p, q)| {
            let (a, b) = (std::net::Ipv6Addr::from(a), std::net::Ipv6Addr::from(b));
            (format!("PROXY TCP6 {a} {b} {p} {q}\r\n").into_bytes(), named(a.into(), p))
        }),
        "[ -~]{0,90}".prop_map(|rest| (format!("PROXY UNKNOWN {rest}\r\n").into_bytes(), Header::Unnamed)),
        (any::<(u128, u128, u16)>(), proptest::collection::vec(any::<u8>(), 0..300)).prop_map(
            move |((a, b, p), tlvs)| {
                let rest = [&a.to_be_bytes()[..], &b.to_be_bytes(), &p.to_be_bytes(), &[0, 80], &tlvs].concat();
                (v2(0x21, 0x21, &rest), named(std::net::Ipv6Addr::from(a).into(), p))
            }
        ),
        proptest::collection::vec(any::<u8>(), 0..300).prop_map(|rest| (v2(0x20, 0, &rest), Header::Unnamed)),
    ]
}

proptest! {
    #[test]
    fn a_sound_header_is_read_in_any_pieces_and_nothing_behind_it(
        (bytes, says) in sound(),
        behind in proptest::collection::vec(any::<u8>(), 0..40),
        pieces in proptest::collection::vec(1_usize..40, 1..20),
    ) {
        let stream = [&bytes[..], &behind].concat();
        prop_assert_eq!(read(&stream, &pieces), (Some(Ok(says)), bytes.len()));
    }

    #[test]
    fn less_than_a_header_is_none((bytes, _) in sound(), cut in any::<proptest::sample::Index>()) {
        let cut = cut.index(bytes.len());
        prop_assert_eq!(read(&bytes[..cut], &[]), (None, cut));
    }

    #[test]
    fn no_bytes_cost_more_than_the_bound_or_are_read_differently_in_pieces(
        start in prop_oneof![Just(&b""[..]), Just(&b"PROXY "[..]), Just(&b"PROXY TCP4 "[..]), Just(&b"PROXY TCP6 ::"[..]), Just(V2)],
        rest in prop_oneof![proptest::collection::vec(any::<u8>(), 0..5000), "[0-9a-f:. \r\n]{0,200}".prop_map(String::into_bytes)],
        pieces in proptest::collection::vec(1_usize..40, 1..20),
    ) {
        let bytes = [start, &rest].concat();
        let (whole, taken) = read(&bytes, &[]);
        prop_assert!(taken <= V2_MAX);
        let (in_pieces, _) = read(&bytes, &pieces);
        prop_assert_eq!(whole, in_pieces);
    }
}
