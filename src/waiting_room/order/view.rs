//! What the room asks of its order as a whole.

use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Order;
use crate::clock::Tick;
use crate::waiting_room::pace::Cohort;

/// The pace learns from those who were called in this time: twice what it looks back for, and a tenth of what they are awaited, as it looks at
/// each of them ten times a second.
const LATELY: Duration = Duration::from_secs(30);

impl Order {
    /// The numbers that were given and of which something may be remembered.
    #[must_use]
    pub fn remembered(&self) -> Range<u64> {
        self.ring.start()..self.issued()
    }

    /// Numbers below were issued so long ago that whoever has not come back is not awaited.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.ring.settled()
    }

    /// When `number` was given (since 1970), to the second for an hour, to the minute for a day; of those from before a restart when that was;
    /// [`None`] of whoever joined since the last tick.
    #[must_use]
    pub fn joined_at(&self, number: u64) -> Option<Duration> {
        self.calls().joined_at(number)
    }

    /// Nobody at `position` or behind it is called from now on: a lobby before its draw. [`u64::MAX`] is nobody's position.
    pub fn fence(&self, position: u64) {
        self.fence.store(position, Ordering::Release);
    }

    /// How many wait, are counted, and may be called.
    #[must_use]
    pub fn callable(&self) -> u64 {
        self.ahead(self.issued().min(self.fence.load(Ordering::Acquire)))
    }

    /// How many were called since this process began: live ones, and newcomers who found nobody waiting.
    #[must_use]
    pub fn called(&self) -> u64 {
        self.calls().total()
    }

    /// Those who waited, were called within half a minute of `now` and are awaited or have come, oldest first, appended to `cohorts`.
    pub fn cohorts(&self, now: Tick, cohorts: &mut Vec<Cohort>) {
        self.calls().each(now, LATELY, |called, people, come| cohorts.push(Cohort { called, people, come }));
    }
}
