//! Numbers, places, and who has been called: the order of one generation of a room.
//!
//! A join is given the next *number*; its *position* is the same, or after a draw by rank. *Serving* moves over the positions: whoever is
//! below it has been called. A position is *live* while somebody is awaited there (`chunk`); only live ones are counted and cost
//! capacity, and when serving moves it passes over all others. For [`GRACE`] after the join everybody is live; then the number is
//! *settled*, and only who has come back by then stays so. Who comes back later has his place all the same, uncounted.
//!
//! **Invariants**
//! * A number is given once; it has one position, and after a draw another one; nobody else has it.
//! * Serving never goes back: whoever has been called stays called, and whoever is before somebody is called no later than he.
//! * How many are ahead of somebody never grows, but by a draw.
//! * A number is redeemed once, by one compare-and-swap, and not before it was called.
//! * Whoever waits is called when serving comes to him, whether he is counted or not: a room whose serving has reached what was issued has
//!   called all.
//! * Nobody at or behind the fence is called.
//! * Serving passes over places that have ended; nobody is awaited there.
//! * At most `capacity` numbers are remembered; when there is no room no number is given.
//!
//! **Cost**: a join one atomic addition; a return one compare-and-swap; how many are ahead: two loads and the bits of one chunk (~0.2 µs).
//! A tick of the chore looks at each chunk between serving and issued once.
//! **Bound**: 4.2 bytes a number, in chunks of 4,096 made at the first return in them, and 8 more if it was drawn.
//! **Locks**: requests read-lock the slot of their own number (`ring` says why), and whoever comes at his turn the cohorts (`calls`), which the
//! chore changes ten times a second for less than a microsecond. The chore's own calls ([`Order::settle`], [`Order::advance`], [`Order::drawn`],
//! [`Order::sweep`], [`Order::retire`]) exclude each other.
//! **Not here**: how many are called (`pace`), who an identity is (`identity`), what the disk knows (`journal`).

mod calls;
mod chore;
mod chunk;
mod draw;
mod entry;
mod restore;
mod ring;
mod tally;
mod view;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use thiserror::Error;

use crate::clock::Tick;
use crate::sabotage::{self, Fault};

pub use calls::TURN;
pub use chore::{GRACE, Swept};
pub use chunk::CHUNK;
pub use draw::DrawError;
pub use entry::State;
pub use restore::Restored;
pub use tally::Inside;

use calls::Calls;
use chunk::Chunk;
use entry::{Entry, Unit};
use ring::{Page, Ring, chunk_start, index};

/// The order of one generation.
#[derive(Debug)]
pub struct Order {
    /// Unix seconds of the generation's beginning.
    generation: u32,
    ring: Ring,
    issued: AtomicU64,
    serving: AtomicU64,
    /// Positions from here on are not called.
    fence: AtomicU64,
    /// Positions below were called [`TURN`] ago or earlier.
    overdue: AtomicU64,
    /// The start of the last chunk of which the count before it is known.
    counted_to: AtomicU64,
    calls: RwLock<Calls>,
    chore: Mutex<chore::Chore>,
}

/// What a return found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Returned {
    /// He has never come back before: worth a line in the journal.
    pub first: bool,
    /// He came back in time, now or before, and is counted.
    pub counted: bool,
    /// He waits, and was told to ask later than this. When he is to ask next stays as it was told.
    pub early: bool,
    /// What has become of him.
    pub state: State,
}

/// All that is known of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What has become of its holder.
    pub state: State,
    /// He came back while his number was fresh.
    pub counted: bool,
    /// Modulo 4, of whoever was admitted.
    pub wave: u8,
    /// While he waits, when he is to ask again; afterwards when he was admitted or last seen. Time since 1970, to four seconds below;
    /// [`None`] if he was never heard of.
    pub at: Option<Duration>,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotRedeemed {
    /// It is not his turn yet.
    #[error("not called yet")]
    NotCalled,
    /// He has been let in before, or has left.
    #[error("redeemed or given up before")]
    Already(State),
    /// Nobody was given this number.
    #[error("no such number")]
    Unknown,
}

impl Order {
    /// An order without people, with room for `capacity` numbers at once (rounded up to a multiple of [`CHUNK`], two at least), whose
    /// `generation` began at these Unix seconds.
    #[must_use]
    pub fn new(capacity: usize, generation: u32) -> Self {
        Self {
            generation,
            ring: Ring::new(capacity),
            issued: AtomicU64::new(0),
            serving: AtomicU64::new(0),
            fence: AtomicU64::new(u64::MAX),
            overdue: AtomicU64::new(0),
            counted_to: AtomicU64::new(0),
            calls: RwLock::new(Calls::new(0)),
            chore: Mutex::default(),
        }
    }

    /// The next number; [`None`] when there is no room for one.
    #[must_use]
    pub fn issue(&self) -> Option<u64> {
        let end = self.ring.end();
        self.issued.fetch_update(Ordering::AcqRel, Ordering::Acquire, |next| (next < end).then_some(next + 1)).ok()
    }

    /// Numbers given so far.
    #[must_use]
    pub fn issued(&self) -> u64 {
        self.issued.load(Ordering::Acquire)
    }

    /// Positions below have been called.
    #[must_use]
    pub fn serving(&self) -> u64 {
        self.serving.load(Ordering::Acquire)
    }

    /// The place of `number` in the order of service; [`None`] if it was never given.
    #[must_use]
    pub fn position(&self, number: u64) -> Option<u64> {
        if number >= self.issued() {
            return None;
        }
        let page = self.ring.page(number);
        Some(page.and_then(|page| page.draws.iter().find_map(|draw| draw.position(number))).unwrap_or(number))
    }

    /// Whose `position` is; [`None`] if that number was never given.
    #[must_use]
    pub fn number(&self, position: u64) -> Option<u64> {
        if position >= self.issued() {
            return None;
        }
        let page = self.ring.page(position);
        Some(page.and_then(|page| page.draws.iter().find_map(|draw| draw.number(position))).unwrap_or(position))
    }

    /// How many are awaited before `position` and have not been called: exact as of the last tick, and never more than it was.
    #[must_use]
    pub fn ahead(&self, position: u64) -> u64 {
        let serving = self.serving();
        if position <= serving {
            return 0;
        }
        let start = chunk_start(position);
        let here = 0..index(position - start);
        if start == chunk_start(serving) {
            return self.ring.count_in(start, &(index(serving - start)..here.end));
        }
        let counted_to = self.counted_to.load(Ordering::Acquire);
        let before = if start <= counted_to {
            self.ring.before(start)
        } else if counted_to > serving {
            // Chunks that were begun since the last tick.
            self.ring.before(counted_to) + self.ring.count(counted_to..start)
        } else {
            self.ring.count(serving..start)
        };
        before + self.ring.count_in(start, &here)
    }

    /// How many wait and are counted.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        self.ahead(self.issued())
    }

    /// How many were called, are awaited, and have not come yet.
    #[must_use]
    pub fn outstanding(&self) -> u64 {
        self.ring.count(self.overdue.load(Ordering::Acquire)..self.serving())
    }

    /// Share of those called that never came, as of those whose turn is over.
    #[must_use]
    pub fn no_show(&self) -> f64 {
        self.calls().no_show()
    }

    /// Whether the turn of `number` has come.
    #[must_use]
    pub fn is_called(&self, number: u64) -> bool {
        // Read before the position: a draw is of those who have not been called, so the older serving fits the older position.
        let serving = self.serving();
        self.position(number).is_some_and(|position| position < serving)
    }

    /// Whether `number` was called more than [`TURN`] ago.
    #[must_use]
    pub fn is_late(&self, number: u64) -> bool {
        let overdue = self.overdue.load(Ordering::Acquire);
        self.position(number).is_some_and(|position| position < overdue)
    }

    /// When `position` was called: to the tick for as long as he is awaited, to the second for an hour, to the minute for a day.
    #[must_use]
    pub fn called_at(&self, position: u64) -> Option<Tick> {
        self.calls().called_at(position)
    }

    /// The holder of `number` has come back at `now`, and is to ask again at `due` (times since 1970) unless he came too early; of whoever is
    /// inside, that he was seen. [`None`] if the number was never given.
    pub fn returned(&self, number: u64, now: Duration, due: Duration) -> Option<Returned> {
        let [now, due] = [now, due].map(|unix| Unit::of(unix, self.generation));
        let change = |entry: Entry| match entry.state() {
            State::Waiting if entry.is_unheard() => Some(Entry::waiting(entry == Entry::UNHEARD, due)),
            State::Waiting if now < entry.time() => None,
            State::Waiting => Some(entry.at(due)),
            State::Admitted => Some(entry.at(now)),
            State::Sending | State::Ambiguous | State::Done | State::Gone => None,
        };
        if number < self.ring.start() {
            return Some(Returned { first: false, counted: false, early: false, state: State::Gone });
        }
        self.at(number, |chunk, index, _| {
            let before = chunk.update(index, change);
            let was = before.unwrap_or_else(|declined| declined);
            let state = was.state();
            let first = was.is_unheard();
            let counted = was.is_counted() || was == Entry::UNHEARD;
            Returned { first, counted, early: before.is_err() && state == State::Waiting, state }
        })
    }

    /// The holder of `number`, who has been called, is there and asks to be let in; so he is not awaited any more. How long after his call he
    /// came, when it is the first time and he is not late.
    pub fn came(&self, number: u64, now: Tick) -> Option<Duration> {
        let position = self.at(number, |chunk, index, position| {
            (position < self.serving() && chunk.forget(index)).then_some(position)
        })??;
        self.calls().came(position, now)
    }

    /// Lets in the holder of `number`, in the wave `wave` modulo 4, at `unix` (since 1970).
    ///
    /// # Errors
    /// It is not his turn, it was done before, or nobody has the number.
    pub fn redeem(&self, number: u64, wave: u8, now: Tick, unix: Duration) -> Result<(), NotRedeemed> {
        let time = Unit::of(unix, self.generation);
        let admit = |entry: Entry| {
            let counted = Entry::waiting(entry.is_counted(), time);
            (entry.state() == State::Waiting).then(|| counted.in_state(State::Admitted).of_wave(wave))
        };
        if number < self.ring.start() {
            return Err(NotRedeemed::Already(State::Gone));
        }
        let redeemed = self.at(number, |chunk, index, position| {
            if position >= self.serving() && !sabotage::is(Fault::LetNewcomersOvertake) {
                return Err(NotRedeemed::NotCalled);
            }
            chunk.update(index, admit).map_err(|entry| NotRedeemed::Already(entry.state()))?;
            Ok(chunk.forget(index).then_some(position))
        });
        if let Some(awaited) = redeemed.unwrap_or(Err(NotRedeemed::Unknown))? {
            self.calls().came(awaited, now);
        }
        Ok(())
    }

    /// The holder of `number` is `to` now if he was `from`, at `unix` (since 1970); whether he is. Refused unless `from` leads to `to`.
    pub fn set(&self, number: u64, from: State, to: State, unix: Duration) -> bool {
        let time = Unit::of(unix, self.generation);
        let change = |entry: Entry| (entry.state() == from).then(|| entry.in_state(to).at(time));
        from.leads_to(to)
            && self.at(number, |chunk, index, _| {
                let set = chunk.update(index, change).is_ok();
                if set {
                    chunk.forget(index);
                }
                set
            }) == Some(true)
    }

    /// What has become of `number`; [`None`] if it was never given. Of whom nothing is remembered any more, he is gone.
    #[must_use]
    pub fn state(&self, number: u64) -> Option<State> {
        self.standing(number).map(|standing| standing.state)
    }

    /// All that is known of `number`; [`None`] if it was never given.
    #[must_use]
    pub fn standing(&self, number: u64) -> Option<Standing> {
        if number >= self.issued() {
            return None;
        }
        let nothing = Standing { state: State::Waiting, counted: false, wave: 0, at: None };
        let Some((page, position)) = self.find(number) else { return Some(Standing { state: State::Gone, ..nothing }) };
        let Some(chunk) = page.chunk.get() else { return Some(nothing) };
        let entry = chunk.entry(index(position - chunk_start(position)));
        Some(Standing {
            state: entry.state(),
            counted: entry.is_counted(),
            wave: entry.wave(),
            at: (!entry.is_unheard()).then(|| entry.time().unix(self.generation)),
        })
    }

    /// Does something to the entry of `number`, which is made if it is not there. [`None`] if it was never given or is forgotten.
    fn at<R>(&self, number: u64, act: impl FnOnce(&Chunk, usize, u64) -> R) -> Option<R> {
        if number >= self.issued() {
            return None;
        }
        let (page, position) = self.find(number)?;
        let chunk = self.ring.chunk(&page, position);
        Some(act(chunk, index(position - chunk_start(position)), position))
    }

    /// Where the entry of `number` is, unless it is forgotten; it stays there as long as the page is held.
    fn find(&self, number: u64) -> Option<(RwLockReadGuard<'_, Page>, u64)> {
        let page = self.ring.page(number)?;
        // As long as the page of the number is held it cannot be drawn; and once drawn, its position stays.
        let position = page.draws.iter().find_map(|draw| draw.position(number)).unwrap_or(number);
        if chunk_start(position) == chunk_start(number) {
            return Some((page, position));
        }
        drop(page);
        Some((self.ring.page(position)?, position))
    }

    fn calls(&self) -> RwLockReadGuard<'_, Calls> {
        self.calls.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
