//! The network between people, gateway and services while a scenario breaks it: a TCP proxy on the loopback that delays, slows, resets,
//! half-closes and swallows by the clock.
//!
//! **Invariants**: outside of faults no byte is lost, changed or reordered, an end is passed on as an end and a reset as a reset. Which
//! connections a fault hits is a matter of the seed and their number. Descriptors and buffers are bounded: beyond, callers wait.
//! **Cost**: two descriptors and one task a connection, four system calls a chunk of bytes; 64 KiB a direction at most.
//! **Not here**: loss and reordering of packets, which TCP hides from its users as delay.

mod pump;
pub mod weather;

#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

pub use self::pump::BUFFER;
use self::pump::Pump;
use self::weather::{Direction, Weather};
use crate::clock::Clock;
use crate::coordinator::plan::RunPlan;
use crate::descriptors;
use crate::overload::server::Port;
use crate::scenario::Fault;
use crate::scenario::fault::Side;

/// Descriptors kept for listeners and the runtime.
const SPARE_DESCRIPTORS: usize = 300;

/// After a failed accept; descriptors come back when connections end.
const ACCEPT_PAUSE: Duration = Duration::from_millis(20);

/// An address that is reached through the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proxied {
    /// Where the proxy listens.
    pub listen: SocketAddr,
    /// Where it connects to.
    pub forward: SocketAddr,
    /// On which side of the gateway this is.
    pub side: Side,
}

impl Proxied {
    /// All addresses of a run that are reached through the proxy.
    #[must_use]
    pub fn of(plan: &RunPlan) -> Vec<Self> {
        let Some(proxied) = &plan.proxied else { return Vec::new() };
        let entrance = proxied.entrance.zip(plan.entrance);
        let entrance = entrance.map(|(listen, gateway)| Self { listen, forward: gateway.address, side: Side::Clients });
        let servers = proxied.services.iter().flatten().zip(plan.services.iter().flatten());
        let servers =
            servers.map(|(listen, forward)| Self { listen: *listen, forward: *forward, side: Side::Services });
        entrance.into_iter().chain(servers).collect()
    }
}

/// Passes bytes on until `stop` is ready, while `faults` befall them; times count from the start of `clock`.
///
/// # Errors
/// A port is taken.
pub async fn relay(
    proxied: &[Proxied],
    faults: &[Fault],
    clock: Clock,
    seed: u64,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let places = descriptors::raise().saturating_sub(SPARE_DESCRIPTORS) / 2;
    let places = Arc::new(Semaphore::new(places.max(1)));
    let mut listeners = JoinSet::new();
    for (index, proxied) in (0..).zip(proxied) {
        let port = Port::hold(proxied.listen)
            .map_err(|error| io::Error::new(error.kind(), format!("cannot have {}: {error}", proxied.listen)))?;
        // Connections of one number at two addresses are two connections.
        let weather = Weather::of(faults, proxied.side, seed.wrapping_add(index));
        let listener = port.listen()?;
        let accept = accept(listener, proxied.forward, Arc::new(weather), clock, Arc::clone(&places));
        listeners.spawn(async move {
            accept.await;
            drop(port);
        });
    }
    stop.await;
    listeners.shutdown().await;
    Ok(())
}

/// Accepts for ever; in a black hole nobody comes out of the listen backlog.
async fn accept(
    listener: TcpListener,
    forward: SocketAddr,
    weather: Arc<Weather>,
    clock: Clock,
    places: Arc<Semaphore>,
) {
    let mut connections = JoinSet::new();
    let mut number = 0;
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        while connections.try_join_next().is_some() {}
        let changes = weather.changes(clock.now());
        let change = async {
            match changes {
                Some(at) => sleep_until(clock.instant(at)).await,
                None => std::future::pending().await,
            }
        };
        if weather.at(clock.now()).black {
            change.await;
            continue;
        }
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = change => continue,
        };
        let Ok((client, peer)) = accepted else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let connection = Connection { weather: Arc::clone(&weather), clock, number };
        number += 1;
        connections.spawn(async move {
            connection.carry(client, peer.ip(), forward).await;
            drop(place);
        });
    }
}

struct Connection {
    weather: Arc<Weather>,
    clock: Clock,
    number: u64,
}

impl Connection {
    async fn carry(self, client: TcpStream, peer: IpAddr, forward: SocketAddr) {
        let lot = self.weather.lot(self.number, self.clock.now());
        if lot.reset.is_some_and(|at| at <= self.clock.now()) {
            return reset(&client);
        }
        // Who cannot be reached refuses; it is too late for that here, so the connection is reset.
        let Ok(server) = connect(peer, forward).await else { return reset(&client) };
        for stream in [&client, &server] {
            stream.set_nodelay(true).ok();
        }
        let pump =
            |from, to, direction| Pump::new((from, to), &self.weather, self.clock, (self.number, direction, lot)).run();
        let both = async {
            tokio::try_join!(pump(&client, &server, Direction::Up), pump(&server, &client, Direction::Down)).is_ok()
        };
        let broken = async {
            match lot.reset {
                Some(at) => sleep_until(self.clock.instant(at)).await,
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            ended = both => ended,
            () = broken => false,
        };
        if !ended {
            reset(&client);
            reset(&server);
        }
    }
}

/// From the address of who connected, if it is one of the many of the loopback: the other side tells people apart by it.
async fn connect(peer: IpAddr, forward: SocketAddr) -> io::Result<TcpStream> {
    let socket = if forward.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    if peer.is_loopback() && peer.is_ipv4() && forward.is_ipv4() && peer != IpAddr::V4(Ipv4Addr::LOCALHOST) {
        socket.bind(SocketAddr::new(peer, 0))?;
    }
    socket.connect(forward).await
}

/// When it is dropped, its peer sees a reset.
fn reset(stream: &TcpStream) {
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).ok();
}
