//! When memory runs out: newcomers are turned away, idle connections are closed, and what was let in goes on.
//!
//! **Law**: short of memory above [`SHORT`] of the limit, and until it is below [`ENOUGH`] again. What connections that have closed
//! leave behind the allocator keeps and gives to the next, so the process may never get smaller by itself: once half of those who were
//! there when it became short have left, there is room for as many again, as long as it does not grow much beyond what it is then.
//! **Invariants**: below [`ENOUGH`] everybody is let in; nobody is turned away for good by memory that nobody uses; the process grows by
//! at most [`STEP`], and what comes between two looks, for each time that half have left, and never beyond [`MOST`].
//! **Not here**: how much there is and how much is used (`runtime`); how newcomers are turned away (`connection`, `http`).

/// Percent of the limit from which on memory is short. The rest is for what has been let in to finish with, and for what the kernel
/// charges beside the process itself.
const SHORT: u64 = 85;
/// Percent below which it is not.
const ENOUGH: u64 = 80;
/// Percent by which it may grow when it is given to newcomers once more: more than the noise of a look.
const STEP: u64 = 2;

/// Percent beyond which it is never let grow: what follows is the end of the process.
const MOST: u64 = 95;

/// Watches what the process uses.
#[derive(Debug)]
pub struct Memory {
    limit: u64,
    /// Above it, memory is short.
    level: u64,
    /// While memory is short: how many connections were open when it became so.
    onset: Option<u64>,
}

impl Memory {
    /// For a process that may use `limit` bytes.
    #[must_use]
    pub const fn new(limit: u64) -> Self {
        Self { limit, level: percent(limit, SHORT), onset: None }
    }

    /// What the process may use, in bytes.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// Whether memory is short, with `used` bytes in use and so many connections `open`.
    pub fn look(&mut self, used: u64, open: u64) -> bool {
        match self.onset {
            _ if used < percent(self.limit, ENOUGH) => *self = Self::new(self.limit),
            None if used > self.level => self.onset = Some(open),
            Some(onset) if open <= onset / 2 => {
                let grown = used.saturating_add(percent(self.limit, STEP)).min(percent(self.limit, MOST));
                self.level = self.level.max(grown);
                self.onset = None;
            }
            None | Some(_) => {}
        }
        self.onset.is_some()
    }
}

const fn percent(limit: u64, part: u64) -> u64 {
    limit / 100 * part
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_at_85_percent_and_until_80() {
        let mut memory = Memory::new(1000);
        for (used, short) in
            [(0, false), (850, false), (851, true), (820, true), (800, true), (799, false), (850, false)]
        {
            assert_eq!(memory.look(used, 100), short, "{used}");
        }
    }

    #[test]
    fn memory_that_the_process_keeps_is_given_to_newcomers_again() {
        let mut memory = Memory::new(1000);
        assert!(memory.look(860, 100));
        assert!(memory.look(860, 51));
        assert!(!memory.look(860, 50), "half have left");
        assert!(!memory.look(870, 90), "what they left is used");
        assert!(memory.look(881, 110), "and more");
        assert!(!memory.look(940, 55), "whatever is used");
        assert!(!memory.look(950, 200));
        assert!(memory.look(951, 200), "but not up to the end");
        assert!(!memory.look(951, 100));
        assert!(memory.look(951, 100), "beyond it nobody new is let in");
        assert!(!memory.look(700, 0));
        assert!(memory.look(851, 10), "as at the start");
    }
}
