//! The simulated registration services of a scenario, on real sockets: each server with a known capacity, collapsing beyond its knee; what
//! they need, how they fail, what befalls them by the clock, and a ledger of what they did.
//!
//! **Invariants**: what becomes of a request is a matter of the seed and its number ([`draw`]); what happens when, of the fleet's own time
//! ([`fleet`]), exact however late a process is. A server that is down or not yet added keeps its port.
//! **Cost**: one thread for all sockets and models, and one that writes.
//! **Not here**: choosing ports, starting this as a process, the gateway's reload when servers are added (`coordinator`).

pub mod calibrate;
pub mod draw;
pub mod fleet;
pub mod hub;
pub mod keys;
pub mod recorder;
pub mod reply;
pub mod socket;
pub mod timeline;
pub mod timer;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::hub::Hub;
use self::recorder::Recorder;
use self::socket::{Door, Paths};
use self::timeline::Timeline;
use crate::clock::Clock;
use crate::descriptors;
use crate::ledger::Folder;
use crate::overload::server::Port;
use crate::scenario::Scenario;

/// Descriptors kept for listeners, files and the runtime.
const SPARE_DESCRIPTORS: usize = 300;

/// Serves the services of `scenario` until `stop` is ready, on one thread: for a current-thread runtime. `addresses` has, for each service,
/// those of its servers and then of its reserve; times count from the start of `clock`, before which requests wait. What was done goes to
/// `folder`.
///
/// # Errors
/// A port is taken, an address is missing, or the ledger cannot be written.
pub async fn serve(
    scenario: &Scenario,
    addresses: &[Vec<SocketAddr>],
    clock: Clock,
    seed: u64,
    folder: &Folder,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(descriptors::raise().saturating_sub(SPARE_DESCRIPTORS).max(1)));
    let ports = hold(scenario, addresses)?;
    let hub = Arc::new(Hub::new(scenario, clock, seed)?);
    let paths = Arc::new(Paths::of(scenario));
    let mut doors = JoinSet::new();
    for (service, number, port) in ports {
        let Some(server) = hub.position(service, number) else { continue };
        let spans = Timeline::of(scenario, service, number).open_spans();
        let door = Door { hub: Arc::clone(&hub), server, service, paths: Arc::clone(&paths) };
        doors.spawn(door.open(port, spans, Arc::clone(&places), clock));
    }
    let recorder = Recorder::start(folder)?;
    let trouble = async {
        // A door that is never opened, of a reserve that is never added, ends at once and is none.
        while let Some(ended) = doors.join_next().await {
            ended.map_err(io::Error::other)??;
        }
        std::future::pending().await
    };
    let ended = tokio::select! {
        ended = hub.drive(&recorder) => ended,
        ended = trouble => ended,
        () = stop => Ok(()),
    };
    doors.shutdown().await;
    hub.end(&recorder);
    // Why nobody writes any more says more than that the services ended.
    recorder.close().and(ended)
}

/// Takes the ports of all servers, those of the reserve too, so that nobody else does meanwhile.
fn hold(scenario: &Scenario, addresses: &[Vec<SocketAddr>]) -> io::Result<Vec<(u8, u8, Port)>> {
    let mut ports = Vec::new();
    for (index, (service, definition)) in (0..).zip(&scenario.services).enumerate() {
        let addresses = addresses.get(index).map_or(&[][..], Vec::as_slice);
        for number in 0..definition.servers.saturating_add(definition.reserve) {
            let address = addresses.get(usize::from(number)).ok_or_else(|| {
                let missing = format!("server {number} of the service {} has no address", definition.name);
                io::Error::new(io::ErrorKind::InvalidInput, missing)
            })?;
            let taken = |error| io::Error::new(io::Error::kind(&error), format!("cannot have {address}: {error}"));
            ports.push((service, number, Port::hold(*address).map_err(taken)?));
        }
    }
    Ok(ports)
}
