//! The PROXY protocol, versions 1 and 2: what a load balancer says in front of a connection about who came to it
//! (haproxy.org, proxy-protocol.txt, 2020/03/05; sections of it are cited as §).
//!
//! [`Reader`] says how many bytes may still be read without taking one that belongs to what follows, so nothing is ever given back
//! and TLS or HTTP begins on its first byte, however the bytes were cut.
//!
//! **Invariants**: at most [`V1_MAX`] bytes of version 1 and [`V2_MAX`] of version 2 are read; not one beyond the header; what is not exactly
//! a header is an error, never plain traffic (§2: a receiver must not guess); an address is an IP address or none.
//! **Cost**: version 2 three reads, version 1 some ten; no allocation.
//! **Not here**: who may send one, and the deadline (`connection`).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::proxy::peer::unmapped;

/// Longest header of version 1, its CRLF included (§2.1).
pub const V1_MAX: usize = 107;

/// Longest header of version 2 that is taken: addresses and what load balancers send as TLVs (§2.2), which are passed over. nginx takes
/// as much.
pub const V2_MAX: usize = 4096;

/// What every version 1 header starts with (§2.1).
const V1_START: &[u8] = b"PROXY ";

/// What every version 2 header starts with (§2.2).
const V2_START: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Bytes of version 2 up to its length, and with it.
const V2_FIXED: usize = 16;

/// The shortest header there is, `PROXY UNKNOWN\r\n`; one of version 2 is longer.
const SHORTEST: usize = 15;

/// What a header says of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// Nothing: the load balancer speaks for itself (`LOCAL`), or does not know (`UNKNOWN`, `AF_UNSPEC`, `AF_UNIX`).
    Unnamed,
    /// The client that came to the load balancer, IPv4-mapped IPv6 unmapped.
    Client(SocketAddr),
}

/// What was sent is not a header of version 1 or 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a header of the PROXY protocol")]
pub struct Malformed;

/// How far a header has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// At least so many bytes of it are still to come.
    Read(NonZeroUsize),
    /// That was all of it.
    Done(Header),
}

/// Reads one header, in whatever pieces it comes.
#[derive(Debug)]
pub struct Reader {
    /// Its beginning: all that means something. The TLVs of version 2 are only counted.
    kept: [u8; V1_MAX],
    taken: usize,
}

impl Default for Reader {
    fn default() -> Self {
        Self { kept: [0; V1_MAX], taken: 0 }
    }
}

impl Reader {
    /// Takes the next `bytes`: no more than the last [`Step::Read`] said, or what follows the header is lost.
    pub fn take(&mut self, bytes: &[u8]) {
        for (to, from) in self.kept.iter_mut().skip(self.taken).zip(bytes) {
            *to = *from;
        }
        self.taken = self.taken.saturating_add(bytes.len());
    }

    /// What is to be done next.
    pub fn step(&self) -> Result<Step, Malformed> {
        let seen = self.kept.get(..self.taken.min(V1_MAX)).unwrap_or_default();
        if is_start_of(seen, &V2_START) && self.taken >= V2_START.len() {
            return self.version_2(seen);
        }
        if self.taken >= SHORTEST && seen.starts_with(V1_START) {
            return version_1(seen);
        }
        if self.taken >= SHORTEST || !(is_start_of(seen, V1_START) || is_start_of(seen, &V2_START)) {
            return Err(Malformed);
        }
        read(SHORTEST - self.taken)
    }

    /// Signature, version and command, family and transport, length; then addresses, then TLVs (§2.2).
    fn version_2(&self, seen: &[u8]) -> Result<Step, Malformed> {
        let Some((&[version, family, high, low], rest)) =
            seen.get(V2_START.len()..).and_then(<[u8]>::split_first_chunk::<4>)
        else {
            return read(V2_FIXED - self.taken);
        };
        let whole = V2_FIXED + usize::from(u16::from_be_bytes([high, low]));
        if whole > V2_MAX {
            return Err(Malformed);
        }
        if self.taken < whole {
            return read(whole - self.taken);
        }
        let rest = rest.get(..whole - V2_FIXED).unwrap_or(rest);
        let is_local = match version {
            0x20 => true,
            0x21 => false,
            _ => return Err(Malformed),
        };
        let named = match family {
            // AF_UNSPEC, AF_UNIX stream and datagram.
            0x00 | 0x31 | 0x32 => None,
            0x11 => Some(addresses::<4>(rest).ok_or(Malformed)?),
            0x21 => Some(addresses::<16>(rest).ok_or(Malformed)?),
            // Datagrams do not come by TCP; the others are not assigned, and must be dropped (§2.2).
            _ => return Err(Malformed),
        };
        Ok(Step::Done(named.filter(|_| !is_local).map_or(Header::Unnamed, client)))
    }
}

/// Reads a header of `stream`, and nothing behind it. [`None`] if it is closed before its first byte, as health checks do.
pub(super) async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Header>> {
    let mut reader = Reader::default();
    loop {
        let wanted = match reader.step().map_err(|malformed| io::Error::new(io::ErrorKind::InvalidData, malformed))? {
            Step::Done(header) => return Ok(Some(header)),
            Step::Read(wanted) => wanted,
        };
        let mut bytes = [0; 256];
        let bytes = bytes.get_mut(..wanted.get().min(256)).unwrap_or_default();
        match stream.read(bytes).await? {
            0 if reader.taken == 0 => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => reader.take(bytes.get(..read).unwrap_or_default()),
        }
    }
}

fn read(bytes: usize) -> Result<Step, Malformed> {
    NonZeroUsize::new(bytes).map(Step::Read).ok_or(Malformed)
}

fn client(address: SocketAddr) -> Header {
    Header::Client(unmapped(address))
}

/// Whether `seen` could go on as `start`, or does.
fn is_start_of(seen: &[u8], start: &[u8]) -> bool {
    seen.iter().zip(start).all(|(one, other)| one == other)
}

/// Source and destination of `N` bytes each, and their ports; the source is the client.
fn addresses<const N: usize>(rest: &[u8]) -> Option<SocketAddr>
where
    IpAddr: From<[u8; N]>,
{
    let (source, rest) = rest.split_first_chunk::<N>()?;
    let (_destination, rest) = rest.split_first_chunk::<N>()?;
    let (&[high, low, _, _], _tlvs) = rest.split_first_chunk::<4>()?;
    Some(SocketAddr::new(IpAddr::from(*source), u16::from_be_bytes([high, low])))
}

/// `PROXY TCP4 SOURCE DESTINATION PORT PORT\r\n` (§2.1).
fn version_1(seen: &[u8]) -> Result<Step, Malformed> {
    let Some(line) = seen.strip_suffix(b"\r\n") else {
        let is_broken = seen.iter().rev().skip(1).any(|byte| matches!(byte, b'\r' | b'\n')) || seen.ends_with(b"\n");
        let missing = least_missing(seen);
        return if is_broken || seen.len() + missing > V1_MAX { Err(Malformed) } else { read(missing) };
    };
    let line = str::from_utf8(line).map_err(|_| Malformed)?;
    let mut words = line.split(' ').skip(1);
    let addresses: fn(&str) -> Option<IpAddr> = match words.next() {
        // Whatever else the line says is to be ignored.
        Some("UNKNOWN") => return Ok(Step::Done(Header::Unnamed)),
        Some("TCP4") => |word| word.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        Some("TCP6") => |word| word.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => return Err(Malformed),
    };
    let mut named = || {
        let (source, _) = (addresses(words.next()?)?, addresses(words.next()?)?);
        let (port, _) = (port(words.next()?)?, port(words.next()?)?);
        words.next().is_none().then_some(SocketAddr::new(source, port))
    };
    named().map(client).map(Step::Done).ok_or(Malformed)
}

/// A decimal number without a leading zero (§2.1), which [`u16`] would read, as it would a sign.
fn port(word: &str) -> Option<u16> {
    let is_canonical = word == "0" || !word.starts_with(['0', '+']);
    word.parse().ok().filter(|_| is_canonical)
}

/// The fewest bytes that any header which begins as `seen` still has.
fn least_missing(seen: &[u8]) -> usize {
    const CRLF: usize = 2;
    if seen.ends_with(b"\r") {
        return 1;
    }
    let mut words = seen.split(|byte| *byte == b' ').skip(1);
    // The shortest of each word: `1.1.1.1`, `::`, `1`.
    let shortest = match words.next() {
        Some(b"TCP4") => [7, 7, 1, 1],
        Some(b"TCP6") => [2, 2, 1, 1],
        _ => return CRLF,
    };
    let missing = shortest.iter().map(|shortest| match words.next().map(<[u8]>::len) {
        Some(0) => *shortest,
        Some(_) => 0,
        // With the space before it.
        None => 1 + shortest,
    });
    missing.sum::<usize>() + CRLF
}
