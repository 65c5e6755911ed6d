//! Where people come from: an address of 127/8 for each person, carrier or office.
//!
//! **Invariants**: never 127.0.0.1, where gateway and services are.
//! A port is asked for by number, because the kernel's own choice takes none that a closed connection still holds (`TIME_WAIT`), and a
//! carrier's address would run out; to reuse one is safe, because the kernel lets no two connections be the same.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::{TcpSocket, TcpStream};

use crate::ledger::Ending;

/// The first address of people.
const FIRST: u32 = u32::from_be_bytes([127, 1, 0, 1]);

/// So many addresses there are; then they repeat.
const COUNT: u32 = u32::from_be_bytes([127, 255, 255, 255]) - FIRST;

/// Ports that are nobody's in particular (RFC 6335 §6).
const PORTS: std::ops::RangeInclusive<u16> = 1_024..=65_535;

/// Ports tried for one connection.
const TRIES: usize = 16;

/// The address with this number.
#[must_use]
pub fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(FIRST + number % COUNT)
}

/// Connects `from` an address.
///
/// # Errors
/// [`Ending::Harness`] if this machine is short of descriptors or ports, [`Ending::Unreachable`] if nobody takes the connection.
pub async fn connect(from: Ipv4Addr, to: SocketAddr) -> Result<TcpStream, Ending> {
    let mut last = Ending::Harness;
    for _ in 0..TRIES {
        match attempt(from, to).await {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                last = of_error(&error);
                let taken = matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable);
                if !taken {
                    break;
                }
            }
        }
    }
    Err(last)
}

async fn attempt(from: Ipv4Addr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_nodelay(true)?;
    socket.bind(SocketAddr::from((from, fastrand::u16(PORTS))))?;
    socket.connect(to).await
}

/// `EMFILE`, `ENFILE` and want of ports are this machine's shortage; anything else is the other side's answer.
fn of_error(error: &io::Error) -> Ending {
    let descriptors = matches!(error.raw_os_error(), Some(23 | 24));
    let ports = matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse);
    if descriptors || ports { Ending::Harness } else { Ending::Unreachable }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_of_the_loopback_and_no_servers() {
        assert_eq!((address(0), address(1)), (Ipv4Addr::new(127, 1, 0, 1), Ipv4Addr::new(127, 1, 0, 2)));
        for number in [COUNT - 1, COUNT, u32::MAX] {
            let address = address(number);
            assert!(
                address.is_loopback() && address != Ipv4Addr::LOCALHOST && address.octets() != [127, 255, 255, 255]
            );
        }
    }

    #[test]
    fn shortage_here_is_not_the_targets_fault() {
        for code in [23, 24, 98, 99] {
            assert_eq!(of_error(&io::Error::from_raw_os_error(code)), Ending::Harness);
        }
        assert_eq!(of_error(&io::ErrorKind::ConnectionRefused.into()), Ending::Unreachable);
    }

    #[tokio::test]
    async fn a_connection_comes_from_the_address_asked_for() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let to = listener.local_addr().expect("bound");
        let from = Ipv4Addr::new(127, 9, 8, 7);
        let stream = connect(from, to).await.expect("connected");
        assert_eq!(stream.local_addr().expect("bound").ip(), from);
        drop(listener);
        assert_eq!(connect(from, to).await.map(drop), Err(Ending::Unreachable));
    }
}
