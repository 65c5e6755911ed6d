//! Who is at the other end of a connection.
//!
//! **Invariants**: a peer's facts never change once its first request is read, but for one that becomes true; an IPv4 client is an IPv4 address, also on a
//! socket that listens on IPv6.
//! **Cost**: one allocation per connection. Whoever holds a [`Peer`] holds the descriptor of its connection open: hold it
//! no longer than the request, and copy out of it what must outlive the request.
//! **Not here**: what a trusted proxy says about the client behind it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use http::HeaderValue;
use tokio::net::TcpStream;

use crate::waiting_room::page::base64;

/// The other end of a connection.
#[derive(Debug)]
pub struct Peer {
    /// Address of the peer as accepted, or as a trusted proxy named it by the PROXY protocol; IPv4-mapped IPv6 unmapped.
    pub address: SocketAddr,
    /// Whether it may be a trusted proxy. One that was to name its client by the PROXY protocol and did not may not: the requests
    /// are then somebody's of whom nothing is known.
    pub may_speak_for_others: bool,
    /// Whether the connection is under TLS.
    pub tls: bool,
    /// Set by [`Peer::note_certificate`]; boxed, because hardly any client has one.
    pub certificate: OnceLock<Box<HeaderValue>>,
    /// Set by [`Peer::note_inside`].
    pub inside: AtomicBool,
    /// The socket, to see the client leave. Reading from it or writing to it would corrupt the connection.
    pub socket: Arc<TcpStream>,
}

impl Peer {
    /// The certificate that the client has proved to have, as `Client-Cert` tells it.
    #[must_use]
    pub fn certificate(&self) -> Option<&HeaderValue> {
        self.certificate.get().map(Box::as_ref)
    }

    /// The client has proved to have this certificate, in DER. Once a connection.
    pub fn note_certificate(&self, certificate: &[u8]) {
        // A byte sequence (RFC 8941 §3.3.5).
        if let Ok(mut value) = HeaderValue::try_from(format!(":{}:", base64(certificate))) {
            // It may name a person.
            value.set_sensitive(true);
            let _first = self.certificate.set(Box::new(value)).is_ok();
        }
    }

    /// Whether somebody with a good pass has been seen at the other end: he shall not have to connect anew.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        self.inside.load(Ordering::Relaxed)
    }

    /// Somebody with a good pass is at the other end.
    pub fn note_inside(&self) {
        self.inside.store(true, Ordering::Relaxed);
    }
}

/// `address` with an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2) turned into the IPv4 address it stands for.
#[must_use]
pub fn unmapped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_address_is_the_ipv4_address_it_stands_for() {
        assert_eq!(unmapped("[::ffff:192.0.2.7]:80".parse().unwrap()), "192.0.2.7:80".parse().unwrap());
        assert_eq!(unmapped("[2001:db8::1]:80".parse().unwrap()), "[2001:db8::1]:80".parse().unwrap());
    }
}
