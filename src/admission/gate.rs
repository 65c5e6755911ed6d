//! A permit gate: what one upstream or dependency can have in flight, and how often.
//!
//! One packed word holds the limit and the permits in use, so "in use ≤ limit" is decided by one compare-and-swap and is
//! exact at every instant. A lowered limit takes nothing back: it only holds until enough permits have come home.
//!
//! **Invariants**: in use ≤ the limit in force at every acquisition; a token of the bucket is taken only together with a permit.
//! **Cost**: one compare-and-swap and, for a contract rate, one more.
//! **Not here**: who is next (`dispatch`), the line (`queue`).

use std::sync::Arc;
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::admission::pace::Pace;
use crate::admission::predictor::Predictor;
use crate::admission::rate::Bucket;
use crate::admission::shares::Shares;
use crate::admission::sync::{AtomicU64, AtomicUsize, Ordering};
use crate::clock::{Tick, saturating_nanos};
use crate::config::plan::Class;
use crate::sabotage::{self, Fault};

/// In use: the low half of the word. The limit: the high half.
const LIMIT_SHIFT: u32 = 32;

/// How long [`Fault::Idle`] lasts each time, in nanoseconds.
const IDLES: u64 = 500_000_000;

/// Permits of one upstream or dependency.
#[derive(Debug)]
pub struct Gate {
    word: CachePadded<AtomicU64>,
    /// The most permits there have ever been.
    highest: AtomicU64,
    meter: Option<Meter>,
    predictor: Predictor,
    /// Entries in lines that need this gate, departed ones included until the line has passed them.
    entries: CachePadded<AtomicUsize>,
    /// The living among them, by class.
    live: [AtomicUsize; Class::COUNT],
    /// The longest wait in line that a route promises, in nanoseconds.
    longest_wait: AtomicU64,
    /// What each class took lately.
    shares: Shares,
}

/// How often a gate lets somebody in.
#[derive(Debug)]
enum Meter {
    /// As often as a contract allows.
    Contract(Bucket),
    /// As often as the rest of a funnel allows: it changes.
    Funnel(Arc<Pace>),
}

/// What the gate knows of itself at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupancy {
    /// Permits there are.
    pub limit: u32,
    /// Permits in use. More than the limit only while a lowered limit waits for permits to come home.
    pub in_flight: u32,
}

/// What a gate lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::admission) enum Lack {
    /// A permit.
    Permit,
    /// A token; the next comes then.
    Token(Tick),
}

impl Gate {
    /// A gate of `limit` permits, driven no faster than `bucket` allows.
    #[must_use]
    pub fn new(limit: u32, bucket: Option<Bucket>) -> Arc<Self> {
        let ceiling = bucket.as_ref().map_or(f64::INFINITY, Bucket::rate);
        Self::metered(limit, bucket.map(Meter::Contract), ceiling)
    }

    /// A gate that bounds nothing but the pace.
    pub(in crate::admission) fn of_pace(pace: Arc<Pace>) -> Arc<Self> {
        Self::metered(u32::MAX, Some(Meter::Funnel(pace)), f64::INFINITY)
    }

    fn metered(limit: u32, meter: Option<Meter>, ceiling: f64) -> Arc<Self> {
        Arc::new(Self {
            word: CachePadded::new(AtomicU64::new(pack(Occupancy { limit, in_flight: 0 }))),
            highest: AtomicU64::new(u64::from(limit)),
            meter,
            predictor: Predictor::new(ceiling),
            entries: CachePadded::new(AtomicUsize::new(0)),
            live: std::array::from_fn(|_| AtomicUsize::new(0)),
            longest_wait: AtomicU64::new(0),
            shares: Shares::default(),
        })
    }

    /// The limit and what is in use.
    #[must_use]
    pub fn occupancy(&self) -> Occupancy {
        unpack(self.word.load(Ordering::Acquire))
    }

    /// Changes the limit by `change`. Whoever raises it must let the dispatcher look (`Dispatcher::adjust`).
    pub(in crate::admission) fn adjust(&self, change: i64) {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let was = unpack(word);
            let limit = i64::from(was.limit).saturating_add(change).max(0);
            let limit = u32::try_from(limit).unwrap_or(u32::MAX);
            // Before anybody can get a permit of it.
            self.highest.fetch_max(u64::from(limit), Ordering::Relaxed);
            let next = pack(Occupancy { limit, ..was });
            match self.word.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(current) => word = current,
            }
        }
    }

    /// The most permits there have ever been. Never fewer than have been in use at once.
    #[must_use]
    pub fn highest(&self) -> u64 {
        self.highest.load(Ordering::Relaxed)
    }

    /// People alive in lines that need this gate.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.live.iter().map(|live| live.load(Ordering::Relaxed)).sum()
    }

    /// Whether anybody, living or departed, stands in a line that needs this gate.
    #[must_use]
    pub fn has_line(&self) -> bool {
        self.entries.load(Ordering::Acquire) > 0
    }

    /// People of `class` alive in lines that need this gate.
    pub(in crate::admission) fn waiting_of(&self, class: Class) -> usize {
        self.live.get(class.index()).map_or(0, |live| live.load(Ordering::Relaxed))
    }

    /// Whether requests are bounded by a rate.
    #[must_use]
    pub fn is_paced(&self) -> bool {
        self.meter.is_some()
    }

    /// Whether nobody more can be let in now.
    pub(in crate::admission) fn is_full(&self, now: Tick) -> bool {
        let Occupancy { limit, in_flight } = self.occupancy();
        in_flight >= limit || self.next_token(now) > Duration::ZERO
    }

    /// Requests a second that it completes while all its permits are in use, or that its meter lets in.
    pub(in crate::admission) fn rate(&self) -> f64 {
        let rate = self.predictor.rate(self.occupancy().limit);
        match &self.meter {
            Some(Meter::Funnel(pace)) => rate.min(pace.rate()),
            // The predictor knows of contracts.
            Some(Meter::Contract(_)) | None => rate,
        }
    }

    /// So many could be let in at once: permits that nobody waits for, or one where there is a rate; up to `elsewhere` of those in line lack
    /// something that these do not need.
    pub(in crate::admission) fn free_past(&self, now: Tick, elsewhere: usize) -> u64 {
        if self.waiting() > elsewhere || self.is_full(now) {
            return 0;
        }
        let Occupancy { limit, in_flight } = self.occupancy();
        let permits = u64::from(limit.saturating_sub(in_flight));
        if self.is_paced() { permits.min(1) } else { permits }
    }

    /// What the classes above `class` leave of its rate.
    pub(in crate::admission) fn left(&self, class: Class) -> f64 {
        self.shares.left(class, self.rate())
    }

    /// Whether it has completed nothing for longer than chance allows.
    pub(in crate::admission) fn is_stalled(&self, now: Tick) -> bool {
        self.predictor.stalled(now, self.occupancy().in_flight) > Duration::ZERO
    }

    /// Predicted wait of somebody of `class` who came now.
    #[must_use]
    pub fn predicted_wait(&self, class: Class, now: Tick) -> Duration {
        self.predicted_wait_past(class, now, 0)
    }

    /// The same where up to `elsewhere` of those in line lack something that this one does not need: while permits are
    /// free here, they are not ahead of him.
    pub(in crate::admission) fn predicted_wait_past(&self, class: Class, now: Tick, elsewhere: usize) -> Duration {
        let Occupancy { limit, in_flight } = self.occupancy();
        let elsewhere = if in_flight < limit { elsewhere } else { 0 };
        let ahead = self.ahead(class).saturating_sub(elsewhere);
        let token = self.next_token(now);
        if ahead == 0 && in_flight < limit && self.waiting() <= elsewhere {
            return token;
        }
        let pace = self.shares.left(class, self.rate());
        let at_pace = Duration::try_from_secs_f64((ahead as f64 + 1.0) / pace).unwrap_or(Duration::MAX);
        at_pace.saturating_add(self.predictor.stalled(now, in_flight)).max(token)
    }

    /// Looks how much each class took since the last look, and how well those called back fill the line. To be called five
    /// times a second, by one caller.
    pub fn observe(&self, now: Tick) {
        self.shares.observe(now);
        let longest = Duration::from_nanos(self.longest_wait.load(Ordering::Relaxed));
        self.predictor.look(now, self.predicted_wait(Class::New, now), longest);
    }

    /// Somebody may be held in line for so long.
    pub(in crate::admission) fn promise(&self, wait: Duration) {
        self.longest_wait.fetch_max(saturating_nanos(wait), Ordering::Relaxed);
    }

    /// When somebody who is refused now, because the wait would exceed the bound by `excess`, should come back.
    #[must_use]
    pub fn book(&self, now: Tick, excess: Duration) -> Duration {
        self.predictor.book(now, self.rate(), excess)
    }

    /// The line has room: bookings begin anew.
    pub(in crate::admission) fn unbook(&self, now: Tick) {
        self.predictor.unbook(now);
    }

    /// Mean time a permit is held.
    #[must_use]
    pub fn mean_hold(&self) -> Duration {
        self.predictor.mean_hold()
    }

    /// Takes a permit and, for a contract rate, a token: both or neither.
    pub(in crate::admission) fn acquire(&self, now: Tick) -> Result<(), Lack> {
        if !self.acquire_permit(now) {
            return Err(Lack::Permit);
        }
        let token = match &self.meter {
            Some(Meter::Contract(bucket)) => bucket.take(now),
            Some(Meter::Funnel(pace)) => pace.take(now),
            None => Ok(()),
        };
        match token {
            Ok(()) => Ok(()),
            Err(due) => {
                self.release();
                Err(Lack::Token(due))
            }
        }
    }

    /// Undoes [`Gate::acquire`]: nothing was sent.
    pub(in crate::admission) fn undo(&self) {
        match &self.meter {
            Some(Meter::Contract(bucket)) => bucket.give_back(),
            Some(Meter::Funnel(pace)) => pace.give_back(),
            None => {}
        }
        self.release();
    }

    /// A permit comes back. What it was spent on lasted `held`; [`None`] if it was not spent, and teaches nothing.
    pub(in crate::admission) fn give_back(&self, now: Tick, held: Option<Duration>) {
        match held {
            Some(held) => {
                self.predictor.completed(now, held, self.occupancy().limit);
                self.release();
            }
            None => self.undo(),
        }
    }

    /// A permit that was held for `held` has become a tunnel's.
    pub(in crate::admission) fn fell_quiet(&self, now: Tick, held: Duration) {
        self.predictor.completed(now, held, self.occupancy().limit);
        self.predictor.fell_quiet();
    }

    /// A tunnel's permit comes back.
    pub(in crate::admission) fn quiet_ended(&self) {
        self.predictor.quiet_ended();
        self.release();
    }

    /// So many permits are held where nobody is sent to any more: they come back late, and to nobody.
    pub fn set_stranded(&self, permits: u32) {
        self.predictor.set_stranded(permits);
    }

    pub(in crate::admission) fn joined(&self, class: Class) {
        self.entries.fetch_add(1, Ordering::AcqRel);
        if let Some(live) = self.live.get(class.index()) {
            live.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Somebody of `class` was let in.
    pub(in crate::admission) fn granted(&self, class: Class) {
        self.shares.granted(class);
    }

    /// Somebody of `class` is not waiting any more.
    pub(in crate::admission) fn settled(&self, class: Class) {
        if let Some(live) = self.live.get(class.index()) {
            live.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// An entry has left its line.
    pub(in crate::admission) fn passed(&self) {
        self.entries.fetch_sub(1, Ordering::AcqRel);
    }

    fn next_token(&self, now: Tick) -> Duration {
        match &self.meter {
            Some(Meter::Contract(bucket)) => bucket.next(now),
            Some(Meter::Funnel(pace)) => pace.next(now),
            None => Duration::ZERO,
        }
    }

    fn ahead(&self, class: Class) -> usize {
        self.live.iter().take(class.index() + 1).map(|live| live.load(Ordering::Relaxed)).sum()
    }

    fn acquire_permit(&self, now: Tick) -> bool {
        if sabotage::is(Fault::ForgetPermit) || (sabotage::is(Fault::Idle) && now.as_nanos() / IDLES % 2 == 1) {
            return sabotage::is(Fault::ForgetPermit);
        }
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let Occupancy { limit, in_flight } = unpack(word);
            let limit = if sabotage::is(Fault::OverAdmit) { limit.saturating_add(8) } else { limit };
            if in_flight >= limit {
                return false;
            }
            match self.word.compare_exchange_weak(word, word + 1, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => {
                    self.predictor.entered(now, in_flight);
                    return true;
                }
                Err(current) => word = current,
            }
        }
    }

    fn release(&self) {
        if !sabotage::is(Fault::ForgetPermit) {
            self.word.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

fn pack(occupancy: Occupancy) -> u64 {
    u64::from(occupancy.limit) << LIMIT_SHIFT | u64::from(occupancy.in_flight)
}

fn unpack(word: u64) -> Occupancy {
    #[expect(clippy::cast_possible_truncation, reason = "the halves of the word are 32 bits each")]
    Occupancy { limit: (word >> LIMIT_SHIFT) as u32, in_flight: word as u32 }
}
