//! What befalls whom, when and for how long.
//!
//! Each process of a run knows the whole list and the common start, so a fault needs no message: the services and the fault proxy act on
//! theirs by the clock; what befalls the gateway is done by the coordinator.

use std::time::Duration;

use crate::scenario::ServiceIndex;

/// A fault.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    /// When it begins.
    pub at: Duration,
    /// For how long; zero for what happens at an instant.
    pub lasts: Duration,
    /// What.
    pub kind: FaultKind,
}

/// Kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FaultKind {
    /// Something with a service; `server` none: with all of its servers.
    Service {
        /// Which.
        service: ServiceIndex,
        /// Which of its servers.
        server: Option<u8>,
        /// What.
        kind: ServiceFault,
    },
    /// Something with the gateway's process.
    Gateway(GatewayFault),
    /// Something with the network between people and gateway, or gateway and services.
    Network {
        /// Which side.
        side: Side,
        /// What.
        kind: NetworkFault,
    },
}

/// What befalls a service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ServiceFault {
    /// This share of the parallelism is left.
    Parallelism(f64),
    /// This share of the speed is left.
    Speed(f64),
    /// It takes requests and does not work on them; then it goes on.
    Stall,
    /// What it holds breaks, it refuses connections; then it is back, cold: `1/(1 + 2·exp(−t/warm_up))` of its speed.
    Refuse {
        /// How long it is cold.
        warm_up: Duration,
    },
    /// The process ends and starts again after the fault's length; its ledger stays.
    Restart,
    /// Servers of the reserve begin to listen, and the gateway is reloaded to know them. An instant.
    AddServers(u8),
    /// All it does is answer 500 at once: a sink-hole.
    Sinkhole,
}

/// What befalls the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GatewayFault {
    /// SIGKILL, and a new start after the fault's length.
    Kill,
    /// SIGTERM, and a new start when it has ended: an upgrade.
    Restart,
    /// SIGHUP with its configuration as it is.
    Reload,
    /// SIGSTOP, and SIGCONT after the fault's length.
    Pause,
}

/// Where the network breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Between people and gateway.
    Clients,
    /// Between gateway and services.
    Services,
}

/// What befalls the network. Only scenarios with such a fault have the proxy in their way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NetworkFault {
    /// Every chunk of bytes is this late, plus up to `jitter`, in order.
    Delay {
        /// At least.
        by: Duration,
        /// Up to so much more.
        jitter: Duration,
    },
    /// So many bytes a second in each direction of each connection.
    Slow(u64),
    /// This share of the connections, and of the new ones, is reset.
    Reset(f64),
    /// This share of the connections loses one direction: half-closed.
    HalfClose(f64),
    /// Nothing comes through and nothing is closed.
    BlackHole,
}
