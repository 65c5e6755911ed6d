//! What a route can take, for whoever decides how many people to send to it, and whether to read a body for it.
//!
//! **Invariants**: what is said is of those who are called from a waiting room (`Class::Returning`), the slowest gate deciding.
//! **Cost**: some loads a gate.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Inside, Person, RouteAdmission};
use crate::clock::Tick;
use crate::config::plan::Class;

/// So many more with a pass than without make a route a later step.
const MAJORITY: usize = 8;

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

impl Inside {
    /// Somebody who is not in progress asked, with a pass or without.
    pub(super) fn note(&self, has_pass: bool) {
        let step = |familiar: usize| {
            if has_pass { (familiar < 2 * MAJORITY).then_some(familiar + 1) } else { familiar.checked_sub(1) }
        };
        // At either end there is nothing to be counted.
        self.familiar.fetch_update(Ordering::Relaxed, Ordering::Relaxed, step).ok();
    }

    /// Whether most of those who are not in progress have a pass: the route is a later step, with a waiting room of its own.
    fn is_later_step(&self) -> bool {
        self.familiar.load(Ordering::Relaxed) > MAJORITY
    }
}

impl RouteAdmission {
    /// What this route can take now.
    #[must_use]
    pub fn load(&self, now: Tick) -> Load {
        let class = Class::Returning;
        // Whoever has been let into the funnel does not wait for its pace again.
        let later = self.inside.as_ref().filter(|inside| inside.is_later_step());
        let line = later.map_or(&self.line, |inside| &inside.line);
        let (gates, elsewhere) = (line.gates(), self.elsewhere(line, now));
        let rate = gates.iter().map(|gate| gate.left(class)).fold(f64::INFINITY, f64::min);
        Load {
            rate,
            held: self.held.load(Ordering::Relaxed),
            wait: self.predicted_wait_in(line, class, now),
            free: gates.iter().map(|gate| gate.free_past(now, elsewhere)).min().unwrap_or(0),
        }
    }

    /// Whether a request of `person` that came now would be let in or held, as far as gates and lines tell. It takes nothing.
    #[must_use]
    pub fn would_hold(&self, person: Person, now: Tick) -> bool {
        self.is_free(person, now) || self.has_place(person, now)
    }

    /// Whether it would be held, likewise.
    #[must_use]
    pub fn would_line_up(&self, person: Person, now: Tick) -> bool {
        !self.is_free(person, now) && self.has_place(person, now)
    }

    /// Whether every gate has room for `person`.
    fn is_free(&self, person: Person, now: Tick) -> bool {
        let way = self.way(person);
        let elsewhere = self.elsewhere(way.line, now);
        way.line.gates().iter().all(|gate| gate.free_past(now, elsewhere) > 0)
    }

    /// Whether there is a place in line for `person`, and it is not too long.
    fn has_place(&self, person: Person, now: Tick) -> bool {
        let way = self.way(person);
        way.held.load(Ordering::Relaxed) < way.length
            && (person.class == Class::Exempt || self.predicted_wait(person, now) <= way.wait)
    }

    /// The longest wait that it lets anybody without a pass have.
    #[must_use]
    pub fn longest_wait(&self) -> Duration {
        self.queue.wait
    }
}
