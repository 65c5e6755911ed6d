//! Who is next: hands permits to lines, one dispatcher at a time.
//!
//! ```text
//! enter:     nobody in line for any of my gates, and all acquired → go          otherwise: join; fence; look
//! give back: in use − 1; fence; somebody in line → look
//! look:      calls + 1; whoever made it 1 dispatches, and again until nobody has called meanwhile
//! dispatch:  for each upstream: by class, then by arrival: the first whose gates can all be acquired is granted
//! ```
//!
//! A request that needs several gates gets all or none: what was acquired before one that lacks is given back at once, so nothing is
//! held by somebody who waits, and there is no deadlock. Whoever lacks a gate does not hold up those who do not need it.
//!
//! **Invariants** (proved by loom in `model`): no permit is lost or doubled over grant, expiry, departure; no wake-up is
//! lost — at rest, nobody lives in a line while all his gates are free; an arrival takes permits directly only when
//! nobody stands in line for any of them.
//!
//! Two arguments make up the proof. *Dekker*: who joins counts himself in and then reads the gates' words (in `dispatch`); who gives
//! back writes a word and then reads the count; sequentially consistent fences between make it impossible that both miss the other. *Combining*:
//! `calls` is only ever changed by read-modify-write, so a dispatcher that sees it unchanged has seen everything that was
//! written before any call.
//!
//! **Cost**: uncontended, one compare-and-swap a gate and nothing here. Dispatching is linear in lines × classes: a handful.
//! A dispatcher that the machine suspends delays the others' grants until it runs again; nobody blocks on it.
//! **Not here**: timers. A token that will come is announced by [`Dispatcher::due`].

use std::sync::Arc;

use crate::admission::class;
use crate::admission::gate::{Gate, Lack};
use crate::admission::permit::{Permit, Waiting};
use crate::admission::queue::Line;
use crate::admission::sync::{Alarm, AtomicU64, AtomicUsize, Ordering, fence};
use crate::clock::{Clock, Tick};
use crate::config::plan::Class;

/// No token is awaited.
const NOT_DUE: u64 = u64::MAX;

/// Hands permits to lines.
#[derive(Debug)]
pub struct Dispatcher {
    groups: Box<[Group]>,
    clock: Clock,
    /// Calls for a look since the present dispatcher began; 0 when nobody dispatches.
    calls: AtomicUsize,
    /// Counts arrivals, to order lines among each other.
    arrivals: AtomicU64,
    /// Where the next round begins, so that no upstream is always served last with a shared dependency.
    round: AtomicUsize,
    /// When the next token comes that somebody in line waits for; [`NOT_DUE`] if nobody does.
    due: AtomicU64,
    pacer: Alarm,
}

/// The lines of one upstream.
#[derive(Debug)]
struct Group {
    lines: Vec<Arc<Line>>,
    grants: AtomicU64,
}

/// What an arrival gets.
#[derive(Debug)]
#[must_use]
pub enum Entry {
    /// No slot is free in the line.
    Full,
    /// A permit, at once.
    Granted(Permit),
    /// A place in the line.
    Waiting(Waiting),
}

impl Dispatcher {
    /// A dispatcher of `lines`, grouped by upstream.
    #[must_use]
    pub fn new(lines: Vec<Vec<Arc<Line>>>, clock: Clock) -> Arc<Self> {
        let group = |lines| Group { lines, grants: AtomicU64::new(1) };
        Arc::new(Self {
            groups: lines.into_iter().map(group).collect(),
            clock,
            calls: AtomicUsize::new(0),
            arrivals: AtomicU64::new(0),
            round: AtomicUsize::new(0),
            due: AtomicU64::new(NOT_DUE),
            pacer: Alarm::default(),
        })
    }

    /// The clock it goes by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Asks for a permit of every gate of `line`; [`None`] if one lacks or somebody waits for one.
    pub fn try_enter(self: &Arc<Self>, line: &Arc<Line>, class: Class, now: Tick) -> Option<Permit> {
        if line.gates().iter().any(|gate| gate.has_line()) {
            return None;
        }
        if acquire(line, now).is_err() {
            // What was held for an instant may have been what somebody else looked for.
            self.released(line);
            return None;
        }
        line.gates().iter().for_each(|gate| gate.granted(class));
        Some(Permit::new(Arc::clone(self), Arc::clone(line), now))
    }

    /// Asks for a permit, or else for a place in `line` that is worth nothing after `deadline`.
    pub fn enter(self: &Arc<Self>, line: &Arc<Line>, class: Class, now: Tick, deadline: Tick) -> Entry {
        if let Some(permit) = self.try_enter(line, class, now) {
            return Entry::Granted(permit);
        }
        let arrival = self.arrivals.fetch_add(1, Ordering::Relaxed);
        let Some(place) = line.join(class, arrival, deadline) else { return Entry::Full };
        fence(Ordering::SeqCst);
        self.look();
        Entry::Waiting(Waiting::new(Arc::clone(self), place))
    }

    /// Changes the limit of `gate` by `change`; it never falls below zero.
    pub fn adjust(&self, gate: &Gate, change: i64) {
        gate.adjust(change);
        fence(Ordering::SeqCst);
        if gate.has_line() {
            self.look();
        }
    }

    /// Resolves when somebody in line waits for a token, with the moment it comes. Whoever drives it sleeps until then
    /// and calls [`Dispatcher::look`]. One driver.
    pub async fn due(&self) -> Tick {
        std::future::poll_fn(|context| {
            self.pacer.set(context.waker());
            match self.due.swap(NOT_DUE, Ordering::AcqRel) {
                NOT_DUE => std::task::Poll::Pending,
                due => std::task::Poll::Ready(Tick::from_nanos(due)),
            }
        })
        .await
    }

    /// Serves the lines with what is free.
    pub fn look(&self) {
        if self.calls.fetch_add(1, Ordering::AcqRel) > 0 {
            return;
        }
        let mut seen = 1;
        loop {
            self.dispatch(self.clock.now());
            match self.calls.compare_exchange(seen, 0, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(current) => seen = current,
            }
        }
    }

    /// Permits of `line`'s gates came back.
    pub(in crate::admission) fn released(&self, line: &Line) {
        fence(Ordering::SeqCst);
        if line.gates().iter().any(|gate| gate.has_line()) {
            self.look();
        }
    }

    fn dispatch(&self, now: Tick) {
        let round = self.round.fetch_add(1, Ordering::Relaxed) + 1;
        let count = self.groups.len();
        for offset in 0..count {
            let Some(group) = self.groups.get((round + offset) % count) else { return };
            while self.grant_one(group, round, now) {}
        }
    }

    /// Grants to the first of `group` who can have all he needs; `false` if there is none.
    ///
    /// A line whose first lacks something is left out for the rest of the round: what comes free meanwhile calls for another.
    fn grant_one(&self, group: &Group, round: usize, now: Tick) -> bool {
        let grant = group.grants.load(Ordering::Relaxed);
        for class in class::order(grant) {
            while let Some(line) = earliest(&group.lines, class, round, now) {
                match acquire(line, now) {
                    Ok(()) if line.grant(class) => {
                        group.grants.fetch_add(1, Ordering::Relaxed);
                        return true;
                    }
                    // That one has just left: the next may have it.
                    Ok(()) => line.gates().iter().for_each(|gate| gate.undo()),
                    Err(lack) => {
                        if let Lack::Token(due) = lack {
                            self.await_token(due);
                        }
                        line.lacks(round);
                    }
                }
            }
        }
        false
    }

    fn await_token(&self, due: Tick) {
        self.due.fetch_min(due.as_nanos(), Ordering::AcqRel);
        self.pacer.ring();
    }
}

/// The line whose first of `class` came first, of those that lack nothing as far as this `round` knows.
fn earliest(lines: &[Arc<Line>], class: Class, round: usize, now: Tick) -> Option<&Arc<Line>> {
    lines
        .iter()
        .filter(|line| !line.is_lacking(round))
        .filter_map(|line| line.first(class, now).map(|arrival| (arrival, line)))
        .min_by_key(|(arrival, _)| *arrival)
        .map(|(_, line)| line)
}

/// A permit of every gate of `line`, or none.
fn acquire(line: &Line, now: Tick) -> Result<(), Lack> {
    for (taken, gate) in line.gates().iter().enumerate() {
        if let Err(lack) = gate.acquire(now) {
            line.gates().iter().take(taken).for_each(|gate| gate.undo());
            return Err(lack);
        }
    }
    Ok(())
}
