//! What one gate of a funnel can take, and what is committed to it.
//!
//! Of people who were let in `a` seconds ago, `h(a)` a second visit the gate: visits seen at that age over person-seconds
//! seen at it (Nelson 1969, Aalen 1978). Unlike a ratio of totals it is right while a crowd is still on its way.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::admission::funnel::ages::{Ages, spans};
use crate::admission::gate::Gate;
use crate::clock::Tick;
use crate::config::plan::Class;

/// What is committed beyond the level is worked off in so long. Short against the time for which people with a pass are
/// held, long against the noise of single people.
const CORRECTION: Duration = Duration::from_secs(5);

/// A gate that is to be used to the full must never be short of people, and what it can do is known only while it is used to
/// the full: so long a line stands before it on purpose, and as much more as chance takes away (a standard deviation of how
/// many come over the time that people are on their way).
const STANDING: Duration = Duration::from_millis(500);

/// At a gate that newcomers pass themselves the classes keep them back from one moment to the next, better than any reckoning: there
/// so much work more may be committed, so that a gate is used to the full while what it can do is still being found. Short
/// against the time for which people with a pass are held.
const KEPT_BACK: Duration = Duration::from_secs(10);

/// No line stands on purpose for longer, however slow the gate.
const LONGEST_STANDING: Duration = Duration::from_secs(3);

/// While less is committed than the level allows, newcomers come faster than the gate's pace by at most this part of it: a funnel
/// that is filled faster delivers its people in a bunch. The longer they are on their way, the less: of what comes together in
/// that time no more than [`BUNCH`] shall be too much.
const AHEAD: f64 = 0.2;
const BUNCH: Duration = Duration::from_secs(5);

/// However much is committed, so much of the gate's pace is let in: what is believed may be wrong.
const BEHIND: f64 = 0.01;

/// Fewer visits a pass are chance.
const FEWEST_VISITS: f64 = 0.005;

/// One gate, as the funnel sees it.
#[derive(Debug)]
pub(super) struct Leg {
    gate: Arc<Gate>,
    /// Since the last look, by span of age.
    fresh: Box<[AtomicU32]>,
    entries: AtomicU64,
    /// Touched by the observer only.
    learned: Mutex<Learned>,
}

#[derive(Debug)]
struct Learned {
    visits: Vec<f64>,
    entries: f64,
}

/// Who is inside, and what is known of all ages.
#[derive(Debug)]
pub(super) struct Work<'a> {
    /// Those who were given a pass, by the time since.
    pub(super) ages: &'a Ages,
    /// Person-seconds seen in each span of them.
    pub(super) exposure: &'a [f64],
    /// Passes granted, as far back as `entries` go.
    pub(super) passed: f64,
}

/// What people will do at a gate.
#[derive(Debug, Default)]
struct Outlook {
    /// Visits that one pass brings.
    visits: f64,
    /// Visits that those inside have still to make.
    coming: f64,
    /// The same for one pass a second, for ever: visits times the mean age at them.
    level: f64,
}

impl Leg {
    pub(super) fn new(gate: Arc<Gate>) -> Self {
        let learned = Learned { visits: vec![0.0; spans()], entries: 0.0 };
        let fresh = (0..spans()).map(|_| AtomicU32::new(0)).collect();
        Self { gate, fresh, entries: AtomicU64::new(0), learned: Mutex::new(learned) }
    }

    pub(super) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Somebody of an age in the span at `position` asked for it.
    pub(super) fn visited(&self, position: usize) {
        if let Some(fresh) = self.fresh.get(position) {
            fresh.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A newcomer was let in through it.
    pub(super) fn entered(&self) {
        self.entries.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes over what happened since the last look; half of what was known is forgotten at the ages that have `faded`, and
    /// of entries if those have.
    pub(super) fn learn(&self, faded: &[bool], entries_faded: bool) {
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        learned.entries += self.entries.swap(0, Ordering::Relaxed) as f64;
        if entries_faded {
            learned.entries /= 2.0;
        }
        for ((visits, fresh), faded) in learned.visits.iter_mut().zip(&self.fresh).zip(faded) {
            // Of most ages nobody came: to look costs a tenth of an exchange.
            if fresh.load(Ordering::Relaxed) > 0 {
                *visits += f64::from(fresh.swap(0, Ordering::Relaxed));
            }
            if *faded {
                *visits /= 2.0;
            }
        }
    }

    /// Passes a second that may be granted; [`None`] if nobody inside needs this gate.
    pub(super) fn bound(&self, work: &Work<'_>, now: Tick) -> Option<f64> {
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        let outlook = learned.outlook(work);
        if outlook.visits < FEWEST_VISITS {
            return None;
        }
        let age = outlook.level / outlook.visits;
        let pace = self.gate.rate();
        let entries = learned.entries / work.passed.max(1.0);
        let each = outlook.visits + entries;
        let chance = ((age + CORRECTION.as_secs_f64()) / pace).sqrt();
        let standing = (STANDING.as_secs_f64() + chance).min(LONGEST_STANDING.as_secs_f64());
        let kept_back = KEPT_BACK.as_secs_f64() * entries.min(1.0);
        let level = pace * (outlook.level / each + standing + kept_back);
        let committed = outlook.coming + self.gate.waiting_of(Class::InProgress) as f64;

        let ahead = AHEAD.min(BUNCH.as_secs_f64() / age.max(1.0));
        let excess = (committed - level) / (pace * CORRECTION.as_secs_f64());
        let correction = if self.gate.is_stalled(now) { BEHIND } else { (1.0 - excess).clamp(BEHIND, 1.0 + ahead) };
        Some(pace / each * correction)
    }
}

impl Learned {
    fn outlook(&self, work: &Work<'_>) -> Outlook {
        let mut outlook = Outlook::default();
        // From the oldest to the youngest: what is still to come at an age is what happens at all later ones.
        let ages = work.ages.people().iter().zip(work.ages.widths());
        for ((visits, exposure), (people, width)) in self.visits.iter().zip(work.exposure).zip(ages).rev() {
            // Less than one person's way through the span teaches nothing yet.
            let here = visits / exposure.max(*width) * width;
            let later = outlook.visits + here / 2.0;
            outlook.coming += people * later;
            outlook.level += later * width;
            outlook.visits += here;
        }
        outlook
    }
}
