//! Newcomers are let into the funnel at what the rest of it can finish, so that whoever was let in gets through.
//!
//! A person who was admitted is given a pass, and comes back with it for the next steps. Every gate `d` — upstreams and
//! dependencies alike — that those with a pass visit bounds the newcomers: `r ≤ min_d X̂_d / v_d` (notes on overload control
//! §2.10), `X̂_d` the gate's pace and `v_d` the visits there that one pass brings. A person reaches `d` some time after he was let
//! in; whoever waits for the crowd to show at `d` before he slows the entrance has let it in already. So what is kept at its
//! level is not the line at `d` but the work that is *committed* to it: those who wait there, and the visits that those inside have
//! still to make (`leg`). That answers at once to every admission, so the loop has no dead time, however long people take for a
//! step (the Smith predictor of control engineering, 1957; a softened CONWIP, Spearman et al. 1990).
//!
//! At the gates that newcomers pass themselves the classes keep them back already, so more may be committed there (`leg`).
//!
//! Enforcement is a gate of its own with a pace and no permits, before the others that newcomers on such routes need: in a
//! line of their own, so nobody else waits for it.
//!
//! **Invariants**: newcomers on routes that grant passes never exceed the pace; others do not wait for it; it never stands
//! still, so that it can learn. The floor of newcomers (`class`) is a share of one gate's grants and holds among those who may be let
//! in: it does not let in whom the rest of the funnel cannot finish.
//! Whom this process did not let in teaches nothing.
//! One session teaches as much as a person does, however often its pass is used: whoever hammers cannot make the funnel believe in
//! work that nobody brings.
//! **Cost**: a sharded lookup and an addition or two a request; [`Funnel::observe`] some ten thousand operations a gate, a few times a second.
//! **Bound**: a day of people (`ages`), 653 counters a gate, and [`PUPILS`] sessions.
//! **Not here**: passes (`proxy::pass`), who is next (`dispatch`).

mod ages;
mod leg;
#[cfg(all(test, not(feature = "loom")))]
mod tests;

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use self::ages::Ages;
use self::leg::{Leg, Work};
use crate::admission::gate::Gate;
use crate::admission::pace::Pace;
use crate::admission::rate::client::Buckets;
use crate::admission::route::Session;
use crate::clock::Tick;
use crate::config::plan::{ClientRate, Rate};

/// What one session can teach: so many visits at once, and then so many a minute. That is more than a person makes who walks five
/// pages of ten requests each; and with it one who hammers a stolen pass, or asks again and again for an hour whether it is done,
/// is a few people to the funnel and not a crowd. What is not taught is served all the same, and shows in the lines.
const TEACHES_AT_ONCE: NonZeroU32 = NonZeroU32::MIN.saturating_add(59);
const TEACHES: Rate = Rate { count: NonZeroU32::MIN.saturating_add(5), per: Duration::from_mins(1) };

/// Sessions remembered for that: as many as there are people inside in the minutes that it takes. Those beyond teach as one.
const PUPILS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(262_143);

/// What is known of an age is what the last so many did at it: person-seconds for each second of its span. Three in a hundred of
/// noise for one visit a pass.
const MEMORY: f64 = 2_000.0;

/// No pace is slower, in people a second: with nobody inside nothing could be learned.
const SLOWEST: f64 = 0.2;

/// No pace is faster: it binds nobody.
const FASTEST: f64 = 1e6;

/// No gate binds.
const FREE: usize = usize::MAX;

/// What paces newcomers.
#[derive(Debug)]
pub struct Funnel {
    entrance: Arc<Gate>,
    pace: Arc<Pace>,
    legs: Box<[Leg]>,
    /// What each session may still teach.
    lessons: Buckets,
    /// Since the last look: newcomers who were answered, and those of them who were given a pass.
    answered: AtomicU64,
    passed: AtomicU64,
    binding: AtomicUsize,
    /// Touched by [`Funnel::observe`] only.
    learned: Mutex<Learned>,
}

/// What was seen of people since they were let in.
#[derive(Debug)]
struct Learned {
    looked: Tick,
    /// Who was given a pass, by the time since.
    ages: Ages,
    /// Person-seconds seen at each age.
    exposure: Vec<f64>,
    answered: f64,
    passed: f64,
}

impl Funnel {
    /// A funnel through `gates`. It binds nobody until it has seen who goes where.
    #[must_use]
    pub fn new(gates: impl IntoIterator<Item = Arc<Gate>>) -> Arc<Self> {
        let pace = Arc::<Pace>::default();
        Arc::new(Self {
            entrance: Gate::of_pace(Arc::clone(&pace)),
            pace,
            legs: gates.into_iter().map(Leg::new).collect(),
            lessons: Buckets::new(&ClientRate { rate: TEACHES, burst: TEACHES_AT_ONCE, capacity: PUPILS }),
            answered: AtomicU64::new(0),
            passed: AtomicU64::new(0),
            binding: AtomicUsize::new(FREE),
            learned: Mutex::new(Learned::new()),
        })
    }

    /// What newcomers need first on routes that grant passes.
    #[must_use]
    pub fn entrance(&self) -> &Arc<Gate> {
        &self.entrance
    }

    /// Newcomers a second that are let in at most; infinite while nothing binds.
    #[must_use]
    pub fn pace(&self) -> f64 {
        self.pace.rate()
    }

    /// Position of the gate that binds, in the order of [`Funnel::new`].
    #[must_use]
    pub fn binding(&self) -> Option<usize> {
        Some(self.binding.load(Ordering::Relaxed)).filter(|binding| *binding != FREE)
    }

    /// Newcomers who wait for the pace and for nothing else, as far as can be seen at `now`.
    pub(in crate::admission) fn holds(&self, now: Tick) -> usize {
        if self.entrance.is_full(now) { self.entrance.waiting() } else { 0 }
    }

    /// Somebody of `session` has a place in line for `gates`, or their permits.
    pub(in crate::admission) fn visits(&self, gates: &[Arc<Gate>], session: Session, now: Tick) {
        // Let in before this process ran: of those who came with him nobody knows how many they are, so the visits of some say nothing of each.
        if session.age > now.since(Tick::ZERO) {
            return;
        }
        if self.lessons.charge(now, session.client).is_err() {
            return;
        }
        if let Some(span) = ages::span(session.age.as_secs()) {
            self.legs_of(gates).for_each(|leg| leg.visited(span));
        }
    }

    /// A newcomer who was let in through `gates` was answered, and given a pass or not.
    pub(in crate::admission) fn answered(&self, gates: &[Arc<Gate>], passed: bool) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.passed.fetch_add(u64::from(passed), Ordering::Relaxed);
        self.legs_of(gates).for_each(Leg::entered);
    }

    /// Forgets sessions that may teach as much as any. Blocks for microseconds a shard; not for a worker.
    pub fn sweep(&self, now: Tick) {
        self.lessons.sweep(now);
    }

    /// Looks what people did since the last look, and sets the pace. To be called a few times a second, by one caller.
    pub fn observe(&self, now: Tick) {
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        let span = now.since(learned.looked);
        if span.is_zero() {
            return;
        }
        let answered = self.answered.swap(0, Ordering::Relaxed) as f64;
        let passed = u32::try_from(self.passed.swap(0, Ordering::Relaxed)).unwrap_or(u32::MAX);
        let entries_faded = learned.goes_on(now, answered, passed);
        let faded = learned.expose(span.as_secs_f64().min(1.0));
        let work = Work { ages: &learned.ages, exposure: &learned.exposure, passed: learned.passed };
        let bound = |(position, leg): (usize, &Leg)| {
            leg.learn(&faded, entries_faded);
            leg.bound(&work, now).map(|pace| (pace, position))
        };
        let slowest =
            self.legs.iter().enumerate().filter_map(bound).min_by(|(one, _), (other, _)| one.total_cmp(other));
        let share = learned.share();
        let (pace, binding) = slowest.map_or((f64::INFINITY, FREE), |(pace, position)| (pace / share, position));
        let (pace, binding) = if pace < FASTEST { (pace.max(SLOWEST), binding) } else { (f64::INFINITY, FREE) };
        self.pace.set(pace, now);
        self.binding.store(binding, Ordering::Relaxed);
    }

    fn legs_of<'a>(&'a self, gates: &'a [Arc<Gate>]) -> impl Iterator<Item = &'a Leg> {
        self.legs.iter().filter(|leg| gates.iter().any(|gate| Arc::ptr_eq(gate, leg.gate())))
    }
}

impl Learned {
    fn new() -> Self {
        Self { looked: Tick::ZERO, ages: Ages::new(), exposure: vec![0.0; ages::spans()], answered: 0.0, passed: 0.0 }
    }

    /// Everybody grows older; the new ones are nought. Whether the older half of what is known of entries shall fade.
    fn goes_on(&mut self, now: Tick, answered: f64, passed: u32) -> bool {
        self.looked = now;
        self.ages.advance(now.since(Tick::ZERO).as_secs(), passed);
        (self.answered, self.passed) = (self.answered + answered, self.passed + f64::from(passed));
        let fades = self.answered > MEMORY;
        if fades {
            (self.answered, self.passed) = (self.answered / 2.0, self.passed / 2.0);
        }
        fades
    }

    /// Counts the time that everybody spent at his age; the ages of which the older half of what is known shall fade.
    fn expose(&mut self, span: f64) -> Vec<bool> {
        let ages = self.ages.people().iter().zip(self.ages.widths());
        let faded = self.exposure.iter_mut().zip(ages).map(|(exposure, (people, width))| {
            *exposure += people * span;
            let fades = *exposure > MEMORY * width;
            if fades {
                *exposure /= 2.0;
            }
            fades
        });
        faded.collect()
    }

    /// Newcomers let in who are given a pass, of one; at least a few in a hundred, so that no pace is absurd.
    fn share(&self) -> f64 {
        ((self.passed + 1.0) / (self.answered + 1.0)).clamp(0.05, 1.0)
    }
}
