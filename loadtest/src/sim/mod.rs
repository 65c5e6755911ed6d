//! A scenario in virtual time: the same people and services, and weir's own decisions, without a socket.
//!
//! The parts are the real ones: [`visitor`](crate::visitor) is what people do, [`Fleet`](crate::services::fleet::Fleet) what the services do, and
//! weir's gateway is built as for a process, with gates, lines, funnel, limits found by its law, and waiting rooms, under a clock that is
//! turned by hand. Only the walk of a request between them is told again here ([`gateway`]), because weir's waits on sockets.
//!
//! **Invariants**: no socket, no clock of the machine, and one thread for all that happens: the same scenario, configuration and seed give the same ledgers, to the
//! byte. A second thread only packs what people were told (`recorder`). What happens at one instant happens in a fixed order. Ledgers are those of a run, and judged
//! by the same oracle.
//! **Cost**: one or two microseconds of somebody in line who asks again, some of a request that goes to a service; some ten microseconds a tenth of a second,
//! for what weir does by itself. A token's timer, the limits' ticks and what is written down are kept rare where nothing happens.
//! **Not here**: several workers at the same instant, the network (an exchange takes the time of the service and of a slow upload, nothing else), processor time, the memory of
//! sockets, a journal on a disk: a gateway that is killed or restarted is away for a moment, and remembers everything.

mod acquaintance;
mod chores;
mod flight;
pub mod forecast;
mod gateway;
pub mod keep;
mod key;
mod present;
mod queue;
mod recorder;
mod room;
mod said;
mod service;
mod setup;
mod spread;
mod told;
mod world;

#[cfg(test)]
mod tests;

pub use self::setup::{Configured, Unbuilt, configured};
pub use self::world::Simulated;

use crate::figure::Figure;
use crate::population::Person;
use crate::scenario::Scenario;

/// What of `scenario` is judged: thresholds on processes are not, for there are none.
#[must_use]
pub fn judged(scenario: &Scenario) -> Scenario {
    let mut scenario = scenario.clone();
    let of_processes = [Figure::GatewayMemory, Figure::GatewayCpu, Figure::HarnessMemory];
    scenario.thresholds.retain(|threshold| !of_processes.contains(&threshold.figure));
    scenario
}

/// Runs `scenario` with these `people` against the gateway of `configured`.
///
/// # Errors
/// The gateway cannot be built, or does not take the servers that are added.
pub fn run(scenario: &Scenario, people: &[Person], seed: u64, configured: Configured) -> Result<Simulated, Unbuilt> {
    world::World::new(scenario, people, seed, configured).and_then(world::World::run)
}
