//! Places that ended with their wave: whose holders did not come in, where nothing else was promised to them.
//!
//! A number below the *end* is no place any more, unless its holder was let in before: he is neither called nor counted, and once there is
//! something to join again he is a newcomer. The end follows from what the journal says of waves.
//!
//! **Invariants**: the end never goes back, and nobody who joined for a wave that has not ended is before it.
//! **Cost**: two loads; a millisecond for each hundred thousand people when a wave ends, in the chore.
//! **Not here**: what becomes of a place by the configuration (`wave`).

use std::sync::atomic::Ordering;

use super::Room;
use super::starts::Starts;
use crate::clock::Tick;
use crate::waiting_room::wave::{End, Fate, Schedule, Standing};

/// Numbers below have no place any more in a room that has come to `standing`, when the numbers below `first` had been given.
pub(super) fn end(schedule: &Schedule, standing: &Standing, starts: &Starts, first: u64) -> u64 {
    let begins = |wave: u8| starts.first_of(wave).unwrap_or(first);
    let is_over = |wave, end| schedule.fate(wave, end) == Fate::Over;
    match (standing.ended, standing.calling) {
        // Those in the lobby of the next one have joined for that.
        (Some((wave, end)), _) if is_over(wave, end) => wave.checked_add(1).map_or(first, begins),
        // The wave before may have ended by the opening of this one.
        (None, Some(wave)) if wave.checked_sub(1).is_some_and(|before| is_over(before, End::Time)) => begins(wave),
        _ => 0,
    }
}

impl Room {
    /// Whether the place of `number` ended with its wave, if its holder has not been let in.
    pub(super) fn has_ended(&self, number: u64) -> bool {
        // Whoever came late from a lost state belongs to the first wave of this one.
        number.max(self.front) < self.ended.load(Ordering::Acquire)
    }

    /// Passes over those whose places have ended: nobody waits for them.
    pub(super) fn pass_over_ended(&self, now: Tick) {
        // What is to be drawn must not have been called, also if nobody of it will be.
        let undrawn = self.lottery.fence().unwrap_or(u64::MAX);
        self.order.pass_over(now, self.ended.load(Ordering::Acquire).min(undrawn));
    }
}
