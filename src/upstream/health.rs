//! Whether a server gets requests: what its answers say (`ejection`) and what its checks say (`check`), on one word.
//!
//! **Invariants**: the word is zero exactly for a server in full service that has not just failed; at most half of an upstream's
//! servers are ejected at once, so a lone one never is; who has left the upstream occupies no place among the ejected.
//! **Cost**: for an answer of a server in full service one load and one compare-and-swap; a short lock otherwise.
//! **Not here**: which of the servers that get requests is the next (`balance`).

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::balance::Candidacy;
use super::ejection::{Change, Ejection, Observation, Phase, Report};
use super::window::Window;
use crate::clock::Tick;

/// Bit: its answers are being watched: it has just failed, is out, or came back not long ago.
const WATCHED: u8 = 1;
/// Bit: ejected or on probation.
const OUT: u8 = 2;
/// Bit: its checks fail.
const UNHEALTHY: u8 = 4;
/// Bit: no longer part of the upstream.
const RETIRED: u8 = 8;

/// How many servers an upstream has, how many of them are ejected, and what is kept for all of them.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    size: AtomicUsize,
    out: AtomicUsize,
    /// Connections kept for reuse, over all servers and workers.
    idle: AtomicUsize,
}

impl Fleet {
    pub(super) fn resize(&self, size: usize) {
        self.size.store(size, Ordering::Relaxed);
    }

    pub(super) fn size(&self) -> usize {
        self.size.load(Ordering::Relaxed)
    }

    pub(super) fn idle(&self) -> usize {
        self.idle.load(Ordering::Relaxed)
    }

    pub(super) fn idle_grew(&self) {
        self.idle.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn idle_shrank(&self, by: usize) {
        self.idle.fetch_sub(by, Ordering::Relaxed);
    }

    /// One more is ejected, if that leaves at least half.
    fn leave(&self) -> bool {
        let size = self.size.load(Ordering::Relaxed);
        let one_more = |out: usize| ((out + 1) * 2 <= size).then_some(out + 1);
        self.out.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok()
    }

    fn come_back(&self) {
        self.out.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How often in a row a check must say the same before it counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Thresholds {
    /// Passes that make an unhealthy server healthy.
    pub(super) rise: u32,
    /// Failures that make a healthy server unhealthy.
    pub(super) fall: u32,
}

/// A look at a server, for metrics.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Standing {
    /// Ejected, on probation or waiting for it.
    pub ejected: bool,
    /// The one request of a probation is under way, or the next request will be it.
    pub probation: bool,
    /// Its active checks pass, or there are none.
    pub healthy: bool,
    /// Its share of a full server's requests, from 0 (gets none) to 1.
    pub weight: f64,
}

impl Standing {
    /// Whether it gets more than the one request of a probation.
    #[must_use]
    pub const fn gets_requests(self) -> bool {
        !self.ejected && self.healthy
    }
}

/// Whether a server gets requests.
#[derive(Debug)]
pub(super) struct Health {
    flags: AtomicU8,
    pub(super) window: Window,
    state: Mutex<State>,
    fleet: Arc<Fleet>,
}

#[derive(Debug)]
struct State {
    ejection: Ejection,
    healthy: bool,
    /// Checks in a row that spoke against `healthy`.
    dissent: u32,
    retired: bool,
}

impl Health {
    /// A server in full service, or one that `joined` others at work.
    pub(super) fn new(fleet: &Arc<Fleet>, slow_start: Duration, joined: Option<Tick>) -> Self {
        let serving = Ejection::serving(slow_start);
        let ejection = joined.map_or(serving, |now| Ejection::joining(now, slow_start));
        let state = State { ejection, healthy: true, dissent: 0, retired: false };
        Self {
            flags: AtomicU8::new(state.flags()),
            window: Window::default(),
            state: Mutex::new(state),
            fleet: Arc::clone(fleet),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is(&self, flag: u8) -> bool {
        self.flags.load(Ordering::Relaxed) & flag != 0
    }

    /// In full service, not a failure ago.
    pub(super) fn is_clear(&self) -> bool {
        self.flags.load(Ordering::Relaxed) == 0
    }

    /// No longer part of the upstream: nothing new goes there.
    pub(super) fn is_retired(&self) -> bool {
        self.is(RETIRED)
    }

    /// Takes note of the end of an exchange.
    pub(super) fn note(&self, report: Report, now: Tick, lot: f64) -> Change {
        let success = report.observation == Observation::Success;
        if !self.is(OUT) && (success || report.observation == Observation::Failure) {
            self.window.add(now, success);
        }
        let failed = report.observation == Observation::Failure;
        if !failed && !self.is(WATCHED) {
            return Change::None;
        }
        let mut state = self.state();
        if state.retired {
            return Change::None;
        }
        let counts = self.window.sum(now);
        let change = state.ejection.note(report, counts, now, lot, || self.fleet.leave());
        if change == Change::Returned {
            self.window.clear();
            self.fleet.come_back();
        }
        self.show(&state);
        change
    }

    /// Takes note of an active check; `Some` if that made the server healthy or unhealthy.
    pub(super) fn checked(&self, passed: bool, thresholds: Thresholds, now: Tick) -> Option<bool> {
        let mut state = self.state();
        if passed == state.healthy {
            state.dissent = 0;
            return None;
        }
        state.dissent += 1;
        if state.dissent < if passed { thresholds.rise } else { thresholds.fall } {
            return None;
        }
        (state.healthy, state.dissent) = (passed, 0);
        if passed {
            state.ejection.come_back(now);
        }
        self.show(&state);
        Some(passed)
    }

    /// The server has left the upstream.
    pub(super) fn retire(&self) {
        let mut state = self.state();
        if !std::mem::replace(&mut state.retired, true) && state.ejection.is_out() {
            self.fleet.come_back();
        }
        self.show(&state);
    }

    pub(super) fn candidacy(&self, now: Tick) -> Candidacy {
        if self.is_clear() {
            return Candidacy::Full;
        }
        let state = self.state();
        if !state.healthy || state.retired {
            Candidacy::LastResort
        } else if state.ejection.is_due(now) {
            Candidacy::Trial
        } else if state.ejection.is_out() {
            Candidacy::LastResort
        } else {
            Candidacy::Part(state.ejection.weight(now))
        }
    }

    /// Takes the one place of a probation.
    pub(super) fn try_trial(&self, now: Tick) -> bool {
        self.state().ejection.try_trial(now)
    }

    pub(super) fn standing(&self, now: Tick) -> Standing {
        let state = self.state();
        let on_trial = matches!(state.ejection.phase(), Phase::Trial { .. });
        Standing {
            ejected: state.ejection.is_out(),
            probation: on_trial || state.ejection.is_due(now),
            healthy: state.healthy,
            weight: if state.healthy { state.ejection.weight(now) } else { 0.0 },
        }
    }

    fn show(&self, state: &State) {
        self.flags.store(state.flags(), Ordering::Relaxed);
    }
}

impl State {
    fn flags(&self) -> u8 {
        let bit = |flag: u8, is_set: bool| if is_set { flag } else { 0 };
        bit(WATCHED, !self.ejection.is_clear())
            | bit(OUT, self.ejection.is_out())
            | bit(UNHEALTHY, !self.healthy)
            | bit(RETIRED, self.retired)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRICE: Thresholds = Thresholds { rise: 2, fall: 3 };

    fn fleet(size: usize) -> (Arc<Fleet>, Vec<Health>) {
        let fleet = Arc::new(Fleet::default());
        fleet.resize(size);
        let servers = (0..size).map(|_| Health::new(&fleet, Duration::from_secs(10), None)).collect();
        (fleet, servers)
    }

    fn fail(server: &Health, times: u32) -> usize {
        let report = Report { observation: Observation::Failure, began: Tick::ZERO, is_trial: false };
        (0..times).filter(|_| server.note(report, Tick::ZERO, 0.5) == Change::Ejected).count()
    }

    #[test]
    fn at_most_half_are_out_and_a_lone_server_never() {
        for (size, most) in [(1, 0), (2, 1), (3, 1), (4, 2), (9, 4)] {
            let (_, servers) = fleet(size);
            let out: usize = servers.iter().map(|server| fail(server, 50)).sum();
            assert_eq!(out, most, "of {size}");
        }
    }

    #[test]
    fn who_leaves_makes_room() {
        let (fleet, servers) = fleet(2);
        assert_eq!((fail(&servers[0], 50), fail(&servers[1], 50)), (1, 0));
        servers[0].retire();
        servers[0].retire();
        assert_eq!(fleet.out.load(Ordering::Relaxed), 0);
        assert_eq!(fail(&servers[1], 1), 1);
        assert_eq!(fail(&servers[0], 50), 0, "who is gone is not judged");
    }

    #[test]
    fn checks_count_in_a_row_and_a_risen_server_starts_slowly() {
        let (_, servers) = fleet(1);
        let server = &servers[0];
        let seen: Vec<_> = [false, false, true, false, false, false, false, true, false, true, true]
            .map(|passed| server.checked(passed, THRICE, Tick::ZERO))
            .into();
        let mut expected = vec![None; 11];
        (expected[5], expected[10]) = (Some(false), Some(true));
        assert_eq!(seen, expected);
        assert_eq!(server.candidacy(Tick::ZERO), Candidacy::Part(0.1));
    }

    #[test]
    fn the_happy_way_never_waits_for_the_lock() {
        let (_, servers) = fleet(1);
        let report = Report { observation: Observation::Success, began: Tick::ZERO, is_trial: false };
        let _held = servers[0].state();
        assert_eq!(servers[0].note(report, Tick::ZERO, 0.5), Change::None);
        assert_eq!(servers[0].candidacy(Tick::ZERO), Candidacy::Full);
    }
}
