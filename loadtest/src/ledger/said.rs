//! What the gateway said of itself, and what each process cost; JSON, a line each.

use serde::{Deserialize, Serialize};

use super::Named;

/// What the gateway said at one instant (its admin API), ten times a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// Between asking and reading, in microseconds from the start.
    pub at: u64,
    /// Of each upstream by name.
    pub upstreams: Named<Upstream>,
    /// Of each waiting room by name.
    pub rooms: Named<Room>,
}

/// What the gateway said of an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Upstream {
    /// Permits there are.
    pub limit: f64,
    /// Permits held.
    pub in_flight: u64,
    /// Requests in line.
    pub waiting: u64,
    /// How long a newcomer would be held, in seconds.
    pub predicted_wait: f64,
}

/// What the gateway said of a waiting room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Room {
    /// Places given so far.
    pub issued: u64,
    /// Everybody before this place has been called.
    pub serving: u64,
    /// People who wait.
    pub waiting: u64,
    /// Of the quota of this wave, taken so far; none: there is no quota.
    pub taken: Option<u64>,
}

/// What one process used until one instant, once a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// When, in microseconds from the start.
    pub at: u64,
    /// Which: `weir`, `services`, `people-0`, `faults`.
    pub process: String,
    /// Processor time so far, in microseconds.
    pub cpu: u64,
    /// Resident memory, in bytes.
    pub memory: u64,
    /// Open descriptors.
    pub descriptors: u32,
}
