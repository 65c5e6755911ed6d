//! One exchange's place at a server, tied to the caller's guard.
//!
//! **Invariants**: server and guard are told exactly once how it ended, at the latest by the drop; the place is given back before the guard;
//! a guard that moves on to another server is told nothing but that its place here was one too many; one that has fallen quiet
//! gives back the place that was lent to it, and no other.
//! **Cost**: two atomic additions, one reference count.

use std::sync::Arc;

use http::{Response, StatusCode};

use super::ejection::Observation;
use super::outcome::{Guard, Outcome, Said};
use super::server::ServerState;
use crate::clock::Tick;

/// The caller's guard together with the place it takes at a server. Dropping it says: the upstream is done.
#[derive(Debug)]
#[must_use = "dropping it gives the permit back"]
pub struct InFlight<G: Guard> {
    // Before the guard, so that whoever the guard lets in already sees the server less busy.
    place: Place,
    /// [`None`] once it has moved on to another server.
    guard: Option<G>,
    is_trial: bool,
    is_told: bool,
    is_quiet: bool,
}

impl<G: Guard> InFlight<G> {
    /// Takes a place at `server`; `is_trial` if it is the one of its probation.
    pub fn new(server: &Arc<ServerState>, guard: G, is_trial: bool) -> Self {
        server.enter();
        Self { place: Place(Arc::clone(server)), guard: Some(guard), is_trial, is_told: false, is_quiet: false }
    }

    /// The server that works on it.
    #[must_use]
    pub fn server(&self) -> &Arc<ServerState> {
        &self.place.0
    }

    /// The guard hears that a connection has the request.
    pub fn handed_over(&mut self) {
        if let Some(guard) = &mut self.guard {
            guard.handed_over();
        }
    }

    /// The guard hears that it has it no longer, and the server never had.
    pub(super) fn handed_back(&mut self) {
        if let Some(guard) = &mut self.guard {
            guard.handed_back();
        }
    }

    /// The guard hears the head of the response.
    pub(super) fn answered(&mut self, status: StatusCode) {
        if let Some(guard) = &mut self.guard {
            guard.answered(status);
        }
    }

    /// The guard hears that the request is sent once more.
    pub fn repeated(&mut self) {
        if let Some(guard) = &mut self.guard {
            guard.repeated();
        }
    }

    /// Says how what `began` then has ended; only the first word counts.
    pub(super) fn tell(&mut self, outcome: Outcome, observation: Observation, began: Tick, now: Tick) {
        if std::mem::replace(&mut self.is_told, true) {
            return;
        }
        self.place.0.note(observation, began, self.is_trial, now);
        let kind = self.guard.as_ref().map_or(0, Guard::kind);
        self.place.0.measure(kind, outcome, began, now);
        if let Some(guard) = &mut self.guard {
            guard.outcome(outcome);
        }
    }

    /// A response without a body was read to its end at `now`, to a request that was sent when it `began`: for virtual time.
    pub fn heard<B>(mut self, response: &Response<B>, began: Tick, now: Tick) {
        self.answered(response.status());
        let (outcome, observation) = Said::by(response).verdict();
        self.tell(outcome, observation, began, now);
    }

    /// The server broke the connection at `now`, after a request was sent that `began` then: for virtual time.
    pub fn broken(mut self, began: Tick, now: Tick) {
        self.tell(Outcome::Broken, Observation::Failure, began, now);
    }

    /// The server is silent for too long; the place is kept until it is dropped: for virtual time.
    pub fn silent(&mut self, began: Tick, now: Tick) {
        self.tell(Outcome::Timeout, Observation::Failure, began, now);
    }

    /// It is a tunnel from here on: not a request that the server works on.
    pub fn fall_quiet(&mut self) {
        if std::mem::replace(&mut self.is_quiet, true) {
            return;
        }
        self.place.0.fell_quiet();
        if let Some(guard) = &mut self.guard {
            guard.fall_quiet();
        }
    }

    /// The guard back, untold: another server will be tried. This one failed.
    pub fn leave(mut self, now: Tick) -> Option<G> {
        let mut guard = self.guard.take();
        self.tell(Outcome::Broken, Observation::Failure, now, now);
        self.give_back(guard.as_mut());
        guard
    }

    /// The place at the server, if it was one beside the limit or one too many, is nobody else's.
    fn give_back(&mut self, guard: Option<&mut G>) {
        let is_lent = std::mem::take(&mut self.is_quiet) && self.place.0.quiet_ended();
        match guard {
            Some(guard) if is_lent => guard.withhold(),
            Some(guard) => self.place.0.repay(guard),
            None => {}
        }
    }
}

impl<G: Guard> Drop for InFlight<G> {
    fn drop(&mut self) {
        // Of the server nothing was learned; the place of its probation is free for the next, at once.
        self.tell(Outcome::Abandoned, Observation::Nothing, Tick::ZERO, Tick::ZERO);
        let mut guard = self.guard.take();
        self.give_back(guard.as_mut());
        // The place first, as always.
        self.guard = guard;
    }
}

#[derive(Debug)]
struct Place(Arc<ServerState>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.leave();
    }
}
