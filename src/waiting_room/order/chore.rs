//! What is done to the order ten times a second, by one caller.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use super::Order;
use super::calls::Calls;
use super::draw::{Draw, DrawError};
use super::entry::{Entry, Unit};
use super::ring::{SPAN, chunk_start, index, parts};
use crate::clock::Tick;
use crate::waiting_room::eta::SLEEP;

/// So long after a join its holder is counted although he has not come back. The page asks again after 5 to 15 s; a slow telephone
/// gets as much again, twice.
pub const GRACE: Duration = Duration::from_mins(1);

/// How much was issued is noted so often; numbers settle at this grain, and so exactly it is known when somebody joined.
const GRAIN: Duration = Duration::from_millis(200);

/// Entries that a sweep looks at: a million people in a few seconds of ticks.
const SWEPT: u64 = 4 * SPAN;

/// Chunks that are dropped at once.
const RETIRED: usize = 16;

/// What only the chore needs.
#[derive(Debug, Default)]
pub(super) struct Chore {
    /// What was issued when, of the last [`GRACE`].
    issued: VecDeque<(Tick, u64)>,
    /// Where the next sweep begins.
    sweep: u64,
}

/// Somebody whose passage ended unused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// Whose.
    pub number: u64,
    /// The wave in which he was admitted, modulo 4.
    pub wave: u8,
}

impl Chore {
    /// Since when whoever joined as `number` can come: for some time after he joined nobody does.
    fn awake(&self, number: u64) -> Tick {
        let later = self.issued.partition_point(|(_, issued)| *issued <= number);
        let joined = later.checked_sub(1).and_then(|at| self.issued.get(at));
        joined.map_or(Tick::ZERO, |(at, _)| at.after(SLEEP))
    }
}

impl Order {
    /// What time does by itself, at `now` and `unix` (since 1970): numbers settle, those called long ago are awaited no more, and the
    /// counts are brought up to date. To be called at each tick, also while nobody may be called.
    pub fn settle(&self, now: Tick, unix: Duration) {
        let mut chore = self.chore();
        let issued = self.issued();
        if chore.issued.back().is_none_or(|(last, _)| now.since(*last) >= GRAIN) {
            chore.issued.push_back((now, issued));
        }
        let mut target = 0;
        while chore.issued.front().is_some_and(|(at, _)| now.since(*at) >= GRACE) {
            target = chore.issued.pop_front().map_or(target, |(_, issued)| issued);
        }
        // What could not be settled because somebody had it in hand is settled with what follows.
        self.settle_to(target, unix);
        self.change_calls(|calls| {
            calls.expire(now);
            calls.joined(issued, unix);
        });
        self.count();
    }

    /// Calls the next `people` who are awaited, all between them, and all up to the next who is awaited, but nobody behind the fence; the new serving. Nobody is called
    /// twice, and nothing is left over for later if fewer wait.
    pub fn advance(&self, now: Tick, people: u64) -> u64 {
        self.call(now, people, |chore, to| Some(chore.awake(to.saturating_sub(1)).max(now)))
    }

    /// Calls the next one, a newcomer who is there and found nobody waiting.
    pub fn welcome(&self, now: Tick) -> u64 {
        self.call(now, 1, |_, _| None)
    }

    /// Nobody below `to` is awaited any more, and serving is there: their places have ended. Nothing, if it has come so far.
    pub fn pass_over(&self, now: Tick, to: u64) {
        let chore = self.chore();
        let to = to.min(self.issued());
        if to > self.serving() {
            for (start, range) in parts(self.overdue.load(Ordering::Acquire).max(self.ring.start())..to) {
                let Some(page) = self.ring.page(start) else { continue };
                // Where nothing was heard, whoever is fresh is awaited all the same.
                let chunk = self.ring.chunk(&page, start);
                range.for_each(|index| {
                    chunk.forget(index);
                });
            }
            self.change_calls(|calls| {
                calls.call(to, 0, now, None);
                calls.expire(now);
                self.serving.store(to, Ordering::Release);
            });
            self.count();
        }
        drop(chore);
    }

    /// For how long from `now` on whoever is called next cannot come: he joined just before, and was told to come later.
    #[must_use]
    pub fn asleep(&self, now: Tick) -> Duration {
        self.chore().awake(self.serving()).since(now)
    }

    fn call(&self, now: Tick, people: u64, awake: impl FnOnce(&Chore, u64) -> Option<Tick>) -> u64 {
        let chore = self.chore();
        let from = self.serving();
        let end = self.issued().min(self.fence.load(Ordering::Acquire)).max(from);
        let mut to = end;
        let mut left = people;
        for (start, range) in parts(from..end) {
            match self.ring.after(start, &range, left) {
                Err(live) => left -= live,
                Ok(index) => {
                    to = start + index as u64;
                    left = 0;
                    break;
                }
            }
        }
        if to > from {
            let awake = awake(&chore, to);
            self.change_calls(|calls| {
                calls.call(to, people - left, now, awake);
                calls.expire(now);
                self.serving.store(to, Ordering::Release);
            });
            self.count();
        }
        drop(chore);
        to
    }

    /// The numbers from `first` on were drawn: the `i`-th of them stands at `first + forward[i]` from now on. Requests about them wait for as long
    /// as their entries are moved: some 40 ms a million.
    ///
    /// # Errors
    /// Not a permutation, or not of numbers that all wait and were not drawn before. Nothing has changed then.
    pub fn drawn(&self, first: u64, forward: Box<[u32]>) -> Result<(), DrawError> {
        let chore = self.chore();
        let draw = Arc::new(Draw::new(first, forward)?);
        let range = draw.range();
        if first < self.serving().max(self.ring.start()) || range.end > self.issued() {
            return Err(DrawError::NotWaiting);
        }
        let start = |(start, _)| self.ring.page_to_change(start);
        let mut pages: Vec<_> = parts(range.clone()).filter_map(start).collect();
        let overlaps = |other: &Arc<Draw>| other.range().start < range.end && range.start < other.range().end;
        if pages.iter().any(|page| page.draws.iter().any(overlaps)) {
            return Err(DrawError::DrawnBefore);
        }
        let mut entries: Vec<(Entry, bool)> = Vec::with_capacity(index(range.end - range.start));
        for (page, (start, part)) in pages.iter().zip(parts(range.clone())) {
            let chunk = self.ring.chunk(page, start);
            entries.extend(part.map(|at| (chunk.entry(at), chunk.is_live(at))));
        }
        for (page, (start, part)) in pages.iter_mut().zip(parts(range)) {
            page.draws.push(Arc::clone(&draw));
            let Some(chunk) = page.chunk.get_mut() else { continue };
            for at in part {
                let number = draw.number(start + at as u64).unwrap_or(first);
                if let Some((entry, live)) = entries.get(index(number - first)) {
                    chunk.place(at, *entry, *live);
                }
            }
        }
        drop(pages);
        self.count();
        drop(chore);
        Ok(())
    }

    /// Gives up whoever was admitted and has not been seen for `life` at `unix` (since 1970): his passage has ended unused. Looks at the next
    /// 16,384 entries, so that each is looked at in turn.
    #[must_use]
    pub fn sweep(&self, unix: Duration, life: Duration) -> Vec<Swept> {
        let mut chore = self.chore();
        let now = Unit::of(unix, self.generation);
        let serving = self.serving();
        let from = chunk_start(chore.sweep).max(self.ring.start());
        let to = serving.min(from + SWEPT);
        // From the beginning again, also while ever more people are called.
        chore.sweep = if to < serving { to } else { 0 };
        let mut swept = Vec::new();
        for (start, _) in parts(from..to) {
            let Some(page) = self.ring.page(start) else { continue };
            let Some(chunk) = page.chunk.get() else { continue };
            swept.extend(chunk.sweep(now, life).into_iter().map(|(at, entry)| {
                let position = start + at as u64;
                let number = page.draws.iter().find_map(|draw| draw.number(position)).unwrap_or(position);
                Swept { number, wave: entry.wave() }
            }));
        }
        swept
    }

    /// Forgets chunks whose people have all been called, were awaited for their turn, and whose tickets were all issued `life` before `unix` (since
    /// 1970) or earlier; a draw only as a whole. Whoever waited for longer than that is remembered for `life` after he was called, or for as
    /// long as it is known when he was: a day. Numbers below what is returned are forgotten.
    pub fn retire(&self, at: Tick, unix: Duration, life: Duration) -> u64 {
        let chore = self.chore();
        let now = Unit::of(unix, self.generation);
        let overdue = self.overdue.load(Ordering::Acquire);
        for _ in 0..RETIRED {
            let first = self.ring.start();
            let Some(page) = self.ring.page(first) else { break };
            let drawn = page.draws.iter().map(|draw| draw.range().end.saturating_sub(1)).max().unwrap_or(first);
            drop(page);
            let last = chunk_start(drawn.max(first));
            let aged = self.ring.filled(last).is_some_and(|filled| Unit(filled).is_older(life, now));
            let called = self.calls().called_at(last + SPAN - 1);
            let recent = called.is_some_and(|called| at.since(called) < life);
            if !aged || recent || overdue < last + SPAN || !self.ring.drop_first() {
                break;
            }
        }
        drop(chore);
        self.ring.start()
    }

    /// Numbers below `target` are no longer fresh.
    pub(super) fn settle_to(&self, target: u64, unix: Duration) {
        let filled = Unit::of(unix, self.generation).0;
        self.ring.settle(target, filled, |number| {
            // The number stands elsewhere, so its own page is not held while that one is.
            self.at(number, |chunk, index, _| chunk.settle(index..index + 1));
        });
    }

    /// Counts who is awaited before each chunk.
    pub(super) fn count(&self) {
        let mut before = 0;
        for (start, range) in parts(self.serving()..self.issued()) {
            self.ring.set_before(start, before);
            before += self.ring.count_in(start, &range);
            self.counted_to.store(start, Ordering::Release);
        }
    }

    fn change_calls(&self, change: impl FnOnce(&mut Calls)) {
        let mut calls = self.calls.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut calls);
        self.overdue.store(calls.start(), Ordering::Release);
    }

    fn chore(&self) -> MutexGuard<'_, Chore> {
        self.chore.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
