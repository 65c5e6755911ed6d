//! What the room asks of its order as a whole.

use std::ops::Range;

use super::Order;
use crate::waiting_room::pace::Cohort;

impl Order {
    /// The numbers that were given and of which something may be remembered.
    #[must_use]
    pub fn remembered(&self) -> Range<u64> {
        self.ring.start()..self.issued()
    }

    /// Those who were called lately and are awaited or have come, oldest first, appended to `cohorts`.
    pub fn cohorts(&self, cohorts: &mut Vec<Cohort>) {
        self.calls().each(|called, people, come| cohorts.push(Cohort { called, people, come }));
    }
}
