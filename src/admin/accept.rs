//! The admin socket and its accept loop.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// Connections the kernel holds while all of ours are taken; operators are few.
const BACKLOG: i32 = 128;
/// Pause while the process or the machine is out of what a connection needs. The kernel keeps the connection at the
/// head of its queue, so accepting again at once would spin.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Binds and listens on `address`, ready for [`serve`](super::serve). `SO_REUSEADDR` lets a restart bind while
/// connections of the last process are in TIME-WAIT.
///
/// # Errors
///
/// The address is in use or not of this machine, or its port needs a privilege.
pub fn bind(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts, whatever happens.
#[derive(Debug)]
pub(super) struct Acceptor {
    listener: TcpListener,
    /// The last accept ran out of something; said once, not every [`BACK_OFF`].
    starved: bool,
}

impl Acceptor {
    pub(super) fn new(listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self { listener: TcpListener::from_std(listener)?, starved: false })
    }

    /// The next connection. Cancel safe: a connection is taken from the kernel only to be returned.
    pub(super) async fn accept(&mut self) -> TcpStream {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    self.starved = false;
                    return stream;
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    if !self.starved {
                        self.starved = true;
                        tracing::warn!(%error, "the admin socket cannot accept; trying again until it can");
                    }
                    sleep(BACK_OFF).await;
                }
            }
        }
    }
}

/// Errors of a connection that died before it was accepted, which accept(2) reports and the kernel has forgotten: the
/// next one is at the head of the queue. All others (EMFILE, ENFILE, ENOBUFS, ENOMEM, or one not known) may last.
fn concerns_one_connection(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(
            Errno::CONNABORTED
                | Errno::CONNRESET
                | Errno::HOSTDOWN
                | Errno::HOSTUNREACH
                | Errno::INTR
                | Errno::NETDOWN
                | Errno::NETUNREACH
                | Errno::NONET
                | Errno::NOPROTOOPT
                | Errno::OPNOTSUPP
                | Errno::PERM
                | Errno::PROTO
                | Errno::TIMEDOUT
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_kernel_has_forgotten_is_tried_again_at_once() {
        let error = |errno: Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        for errno in [Errno::CONNABORTED, Errno::PROTO, Errno::NETUNREACH] {
            assert!(concerns_one_connection(&error(errno)), "{errno}");
        }
        for errno in [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::INVAL, Errno::BADF] {
            assert!(!concerns_one_connection(&error(errno)), "{errno}");
        }
        assert!(!concerns_one_connection(&io::ErrorKind::Other.into()));
    }
}
