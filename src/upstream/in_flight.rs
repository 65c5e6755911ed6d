//! One exchange's place at a server, tied to the caller's guard.
//!
//! **Invariants**: server and guard are told exactly once how it ended, at the latest by the drop; the place is given back first,
//! then the guard; neither without the other.
//! **Cost**: two atomic additions, one reference count.

use std::sync::Arc;

use super::ejection::Observation;
use super::outcome::{Guard, Outcome};
use super::server::ServerState;
use crate::clock::Tick;

/// The caller's guard together with the place it takes at a server. Dropping it says: the upstream is done.
#[derive(Debug)]
#[must_use = "dropping it gives the permit back"]
pub struct InFlight<G: Guard> {
    // Before the guard, so that whoever the guard lets in already sees the server less busy.
    place: Place,
    guard: Told<G>,
}

impl<G: Guard> InFlight<G> {
    /// Takes a place at `server`; `is_trial` if it is the one of its probation.
    pub(super) fn new(server: &Arc<ServerState>, guard: G, is_trial: bool, now: Tick) -> Self {
        server.enter();
        let place = Place { server: Arc::clone(server), began: now, is_trial, is_noted: false };
        Self { place, guard: Told { guard: Some(guard), is_told: false } }
    }

    /// The server that works on it.
    #[must_use]
    pub fn server(&self) -> &Arc<ServerState> {
        &self.place.server
    }

    /// Says how it ended; only the first word counts.
    pub(super) fn tell(&mut self, outcome: Outcome, observation: Observation, now: Tick) {
        self.place.note(observation, now);
        self.guard.tell(outcome);
    }

    /// The guard back, untold: another server will be tried. This one made the given impression.
    pub(super) fn leave(mut self, observation: Observation, now: Tick) -> Option<G> {
        self.place.note(observation, now);
        self.guard.guard.take()
    }
}

#[derive(Debug)]
struct Place {
    server: Arc<ServerState>,
    began: Tick,
    is_trial: bool,
    is_noted: bool,
}

impl Place {
    fn note(&mut self, observation: Observation, now: Tick) {
        if !std::mem::replace(&mut self.is_noted, true) {
            self.server.note(observation, self.began, self.is_trial, now);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Only the trial matters here: its place is free for the next, at once.
        self.note(Observation::Nothing, Tick::ZERO);
        self.server.leave();
    }
}

#[derive(Debug)]
struct Told<G: Guard> {
    /// [`None`] once it has moved on.
    guard: Option<G>,
    is_told: bool,
}

impl<G: Guard> Told<G> {
    fn tell(&mut self, outcome: Outcome) {
        if let Some(guard) = &mut self.guard
            && !std::mem::replace(&mut self.is_told, true)
        {
            guard.outcome(outcome);
        }
    }
}

impl<G: Guard> Drop for Told<G> {
    fn drop(&mut self) {
        self.tell(Outcome::Abandoned);
    }
}
