//! What a route can take, for whoever decides how many people to send to it.
//!
//! **Invariants**: what is said is of those who are called from a waiting room (`Class::Returning`), the slowest gate deciding.
//! **Cost**: some loads a gate.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Person, RouteAdmission};
use crate::clock::Tick;
use crate::config::plan::Class;

/// What a route can take at one instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Requests a second that it completes while its gates are in use to the full: what classes above leave.
    pub rate: f64,
    /// Requests held in line or parked outside it, without a pass.
    pub held: usize,
    /// How long somebody who came now would be held.
    pub wait: Duration,
    /// So many who came now would be let in at once.
    pub free: u64,
}

impl RouteAdmission {
    /// What this route can take now.
    #[must_use]
    pub fn load(&self, now: Tick) -> Load {
        let class = Class::Returning;
        let gates = self.line.gates();
        let rate = gates.iter().map(|gate| gate.left(class)).fold(f64::INFINITY, f64::min);
        Load {
            rate,
            held: self.held.load(Ordering::Relaxed),
            wait: self.predicted_wait(Person::of(class), now),
            free: gates.iter().map(|gate| gate.free(now)).min().unwrap_or(0),
        }
    }

    /// The longest wait that it lets anybody without a pass have.
    #[must_use]
    pub fn longest_wait(&self) -> Duration {
        self.queue.wait
    }
}
