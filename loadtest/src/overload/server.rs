//! Sockets in front of an emulated server, which close when it refuses and open again on the same port.
//!
//! **Invariants**: a reserved port stays this run's, listening or not: a second socket holds it. A closure breaks every
//! connection. Bodies are read and thrown away.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use super::service::Service;
use crate::clock::Clock;
use crate::origin::server::speak;

/// The attempt's number, from the crowd through the gateway to the service.
pub const ATTEMPT: HeaderName = HeaderName::from_static("loadtest-attempt");

/// As many as the kernel grants.
const BACKLOG: i32 = 65_535;

/// After a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// Ports below the range from which the kernel takes those of outgoing connections.
const PORTS: std::ops::Range<u16> = 10_000..32_000;

/// Ports tried before giving up.
const TRIES: usize = 100;

/// A port of the loopback that nobody else can take.
#[derive(Debug)]
pub struct Port {
    /// Where it is.
    pub address: SocketAddr,
    _holds: Socket,
}

/// What a server does with a request.
#[derive(Clone, Debug)]
pub struct Behaviour {
    /// Its log, and its work if it does any.
    pub service: Arc<Service>,
    /// Only fails, after this.
    pub fails_after: Option<Duration>,
}

impl Port {
    /// Reserves a port.
    ///
    /// # Errors
    /// When a hundred in a row are taken.
    pub fn reserve() -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::AddrInUse);
        for _ in 0..TRIES {
            let address = SocketAddr::from(([127, 0, 0, 1], fastrand::u16(PORTS)));
            // Alone first: with SO_REUSEPORT the bind would succeed beside another run of the same user.
            if let Err(error) = std::net::TcpListener::bind(address) {
                last = error;
                continue;
            }
            match bind(address) {
                Ok(holds) => return Ok(Self { address, _holds: holds }),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Takes this very port, which this user may hold elsewhere too, but nobody else.
    pub fn hold(address: SocketAddr) -> io::Result<Self> {
        Ok(Self { address, _holds: bind(address)? })
    }

    /// Listens on it; for inside a runtime.
    pub fn listen(&self) -> io::Result<TcpListener> {
        let socket = bind(self.address)?;
        socket.set_nonblocking(true)?;
        socket.listen(BACKLOG)?;
        TcpListener::from_std(socket.into())
    }
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Serves on `listener` until dropped, but for the `closures`, which are in order; then it listens on `port` again.
pub async fn serve(
    mut listener: TcpListener,
    port: Arc<Port>,
    behaviour: Behaviour,
    clock: Clock,
    closures: Vec<(Duration, Duration)>,
) -> io::Result<()> {
    for (from, until) in closures {
        tokio::select! {
            () = accept(listener, behaviour.clone()) => {}
            () = sleep_until(clock.instant(from)) => {}
        }
        // The listener and every connection have been dropped.
        sleep_until(clock.instant(until)).await;
        listener = port.listen()?;
    }
    accept(listener, behaviour).await;
    Ok(())
}

/// Accepts for ever; dropping it breaks the connections.
async fn accept(listener: TcpListener, behaviour: Behaviour) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let behaviour = behaviour.clone();
        connections.spawn(async move {
            // A gateway that breaks a connection is an ordinary event: the log has it.
            speak(stream, move |request| answer(behaviour.clone(), request)).await.ok();
        });
    }
}

async fn answer(behaviour: Behaviour, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, mut body) = request.into_parts();
    while let Some(Ok(_)) = body.frame().await {}
    let number = head.headers.get(ATTEMPT).and_then(|number| number.to_str().ok()?.parse().ok());
    let Some(attempt) = number else { return Ok(respond(StatusCode::BAD_REQUEST)) };
    if let Some(after) = behaviour.fails_after {
        behaviour.service.fail(attempt);
        sleep(after).await;
        return Ok(respond(StatusCode::INTERNAL_SERVER_ERROR));
    }
    let done = behaviour.service.start(attempt).await.is_ok();
    Ok(respond(if done { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }))
}

fn respond(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"done\n")));
    *response.status_mut() = status;
    response
}
