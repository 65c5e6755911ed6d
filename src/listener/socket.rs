//! Listening sockets: one for each address and worker.
//!
//! **Invariants**: every socket of every worker is bound before any of them listens, so a port that is taken is an error
//! before anybody is answered; an IPv6 socket takes no IPv4 connections.
//! **Cost**: options are set once on the listening socket and inherited by what it accepts (tcp(7), Linux): no system call
//! per connection.
//! **Not here**: accepting.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use super::terms::{Terms, TermsError};
use crate::config::plan;

/// Connections the kernel may hold for us before it drops SYNs; it takes the lesser of this and `net.core.somaxconn`.
/// tokio's and mio's own bind asks for 128, which loses most of a crowd that comes within a millisecond.
const BACKLOG: i32 = 65_535;

/// Silence after which the kernel asks whether the peer is still there, and how often and how many times it asks. A client
/// that vanished without a FIN while its request was held is found within two minutes.
const KEEPALIVE_IDLE: Duration = Duration::from_mins(1);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;

/// Bytes that the kernel takes of an answer before the client has room for them. Otherwise it keeps megabytes for a
/// slow reader, and says only after a third of them that he reads: he would be taken for one who does not.
const UNSENT: u32 = 16 * 1024;

/// A listening socket of one worker.
#[derive(Debug)]
pub struct Bound {
    /// The socket, non-blocking and listening.
    pub(super) socket: TcpListener,
    /// What to present to clients; [`None`] speaks cleartext.
    pub(super) tls: Option<Arc<Terms>>,
    /// Whether every connection begins with a PROXY header.
    pub(super) proxy_line: bool,
}

impl Bound {
    /// The address it listens on; with the real port where port 0 was asked for.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// What it presents under TLS; the same for every worker's socket of a listener.
    #[must_use]
    pub const fn terms(&self) -> Option<&Arc<Terms>> {
        self.tls.as_ref()
    }
}

/// Why an address cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The kernel refuses the address.
    #[error("cannot listen on {address}: {cause}")]
    Socket {
        /// The address as configured.
        address: SocketAddr,
        /// What the kernel says.
        cause: io::Error,
    },
    /// The certificate cannot be used.
    #[error("cannot use the certificate for {address}: {cause}")]
    Tls {
        /// The address as configured.
        address: SocketAddr,
        /// What rustls says.
        cause: TermsError,
    },
}

/// Binds every listener once for every worker and answers the sockets of each worker.
///
/// The workers' sockets of one address share its port by `SO_REUSEPORT`; the kernel spreads connections over them.
/// TLS state is shared by all workers, so that a session ticket is good at whichever worker its client meets next.
pub fn bind(
    listeners: &[plan::Listener],
    clients: &plan::Clients,
    workers: NonZeroUsize,
) -> Result<Vec<Vec<Bound>>, BindError> {
    let mut sockets: Vec<Vec<Silent<'_>>> = Vec::new();
    sockets.resize_with(workers.get(), Vec::new);
    for listener in listeners {
        let refused = |cause| BindError::Socket { address: listener.address, cause };
        let terms = match &listener.tls {
            Some(tls) => Some(Terms::new(tls).map_err(|cause| BindError::Tls { address: listener.address, cause })?),
            None => None,
        };
        let mut address = listener.address;
        for worker in &mut sockets {
            let socket = bound(address, clients.body_timeout).map_err(refused)?;
            // Port 0 is chosen by the kernel for the first worker; the others must meet it there.
            address = socket.local_addr().map_err(refused)?.as_socket().unwrap_or(address);
            worker.push((socket, listener, terms.clone()));
        }
    }
    sockets.into_iter().map(|worker| worker.into_iter().map(listening).collect()).collect()
}

/// A socket bound to `address` that does not listen yet. Data unacknowledged for `user_timeout` ends a connection.
fn bound(address: SocketAddr, user_timeout: Duration) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(user_timeout))?;
    socket.set_tcp_notsent_lowat(UNSENT)?;
    socket.set_tcp_keepalive(
        &TcpKeepalive::new().with_time(KEEPALIVE_IDLE).with_interval(KEEPALIVE_INTERVAL).with_retries(KEEPALIVE_PROBES),
    )?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// A socket that is bound and does not listen yet, what it is for, and what to present on it.
type Silent<'a> = (Socket, &'a plan::Listener, Option<Arc<Terms>>);

fn listening((socket, listener, tls): Silent<'_>) -> Result<Bound, BindError> {
    socket.listen(BACKLOG).map_err(|cause| BindError::Socket { address: listener.address, cause })?;
    Ok(Bound { socket: socket.into(), tls, proxy_line: listener.proxy_protocol })
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use socket2::SockRef;

    use super::*;
    use crate::listener::tests::clients;

    #[test]
    fn accepted_sockets_inherit_the_options_of_the_listening_socket() {
        let socket = bound("127.0.0.1:0".parse().unwrap(), Duration::from_secs(7)).unwrap();
        socket.listen(BACKLOG).unwrap();
        let address = socket.local_addr().unwrap().as_socket().unwrap();
        let _client = TcpStream::connect(address).unwrap();
        socket.set_nonblocking(false).unwrap();
        let (accepted, _) = socket.accept().unwrap();
        let accepted = SockRef::from(&accepted);
        assert!(accepted.tcp_nodelay().unwrap());
        assert!(accepted.keepalive().unwrap());
        assert_eq!(accepted.tcp_user_timeout().unwrap(), Some(Duration::from_secs(7)));
        assert_eq!(accepted.tcp_notsent_lowat().unwrap(), UNSENT);
    }

    #[test]
    fn workers_share_one_port_and_a_taken_port_is_an_error_that_names_it() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = taken.local_addr().map(|address| (address, taken)).unwrap();
        let two = NonZeroUsize::new(2).unwrap();

        let free = plan::Listener { address: "127.0.0.1:0".parse().unwrap(), tls: None, proxy_protocol: false };
        let workers = bind(std::slice::from_ref(&free), &clients(), two).unwrap();
        assert_eq!(workers.len(), 2);
        assert_eq!(workers[0][0].local_address().unwrap(), workers[1][0].local_address().unwrap());

        let error =
            bind(&[free, plan::Listener { address: taken.0, tls: None, proxy_protocol: false }], &clients(), two)
                .unwrap_err();
        assert!(error.to_string().contains(&taken.0.to_string()), "{error}");
    }
}
