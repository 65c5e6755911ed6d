//! What is taken of each quota, from the records of a journal in their order.
//!
//! **Invariants**: a number counts once, in the wave in which it holds its place now; also when nothing else is remembered of it,
//! because it is older than the room's capacity.
//! **Cost**: some nanoseconds a record; 24 bytes for each number that is no longer remembered and was ever let in.
//! **Not here**: the quotas (`quota`).

use std::collections::HashMap;

use crate::waiting_room::order::State;
use crate::waiting_room::quota::{Count, Quota};

/// What is taken of the quotas.
#[derive(Debug)]
pub(super) struct Tally {
    waves: Vec<Wave>,
    /// The wave that has begun last.
    begun: u8,
    /// Numbers older than what the room remembers.
    forgotten: HashMap<u64, (State, u8)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Wave {
    count: Count,
    unknown: bool,
}

impl Tally {
    pub(super) fn new(waves: usize) -> Self {
        Self { waves: vec![Wave::default(); waves], begun: 0, forgotten: HashMap::new() }
    }

    /// `wave` has begun.
    pub(super) fn begins(&mut self, wave: u8) {
        self.begun = self.begun.max(wave);
    }

    /// The wave that has begun last, at this point of the journal.
    pub(super) fn begun(&self) -> u8 {
        self.begun
    }

    /// Somebody of the state and wave `from` is of `to` now.
    pub(super) fn moves(&mut self, from: (State, usize), to: (State, usize)) {
        for ((state, wave), comes) in [(from, false), (to, true)] {
            let (taken, done) = match state {
                State::Admitted | State::Sending | State::Ambiguous => (1, 0),
                State::Done => (1, 1),
                State::Waiting | State::Gone => (0, 0),
            };
            let Some(Wave { count, .. }) = self.waves.get_mut(wave) else { continue };
            let change = |sum: u32, part: u32| if comes { sum.saturating_add(part) } else { sum.saturating_sub(part) };
            *count = Count { taken: change(count.taken, taken), done: change(count.done, done) };
        }
    }

    /// Remembers what became of somebody of whom nothing else is remembered.
    pub(super) fn keep(&mut self, number: u64, to: (State, u8)) {
        self.forgotten.insert(number, to);
    }

    /// What became of somebody of whom nothing else is remembered.
    pub(super) fn unseen(&self, number: u64) -> Option<(State, u8)> {
        self.forgotten.get(&number).copied()
    }

    /// An operator's word: so many of `wave` have succeeded, or nobody knows.
    pub(super) fn tell(&mut self, wave: u8, done: u64) {
        let Some(wave) = self.waves.get_mut(usize::from(wave)) else { return };
        wave.unknown = done == u64::MAX;
        if !wave.unknown {
            let done = u32::try_from(done).unwrap_or(u32::MAX);
            wave.count = Count { taken: done.saturating_add(wave.count.reserved()), done };
        }
    }

    /// The quota of `wave`, which is `limit`.
    pub(super) fn quota(&self, wave: usize, limit: u64) -> Quota {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let wave = self.waves.get(wave).copied().unwrap_or_default();
        if wave.unknown { Quota::unknown(limit) } else { Quota::new(limit, wave.count) }
    }
}
