//! When to ask again: after a third of what is left to wait.
//!
//! What polls cost is then the pace of the room times a constant, however many wait, and the pace may triple at any moment
//! and still find everybody awake before his turn (notes on waiting rooms, §0).

use std::time::Duration;

use super::Forecast;

/// Whoever joined comes back for the first time after this, ...
const FIRST: Duration = Duration::from_secs(5);

/// ... and up to so much more by chance: only then something is remembered of him.
const FIRST_SPREAD: Duration = Duration::from_secs(10);

/// Nobody asks more often, ...
pub const FLOOR: Duration = Duration::from_secs(2);

/// ... but whoever was held so long that he would ask again now: no client can be told a shorter time.
pub const AT_ONCE: Duration = Duration::from_secs(1);

/// Whoever joins comes no sooner than this, the least that jitter leaves of it.
pub const SLEEP: Duration = Duration::from_millis(1_800);

/// In a pause nobody asks more often than this: it may last, and then nobody's turn is missed.
const FLOOR_PAUSED: Duration = Duration::from_secs(5);

/// Nobody asks less often, so that a room that is much faster than it was finds people: with less than five hours
/// it would be more than thirty visits in a wait of 21 hours.
pub(super) const CEILING: Duration = Duration::from_hours(5);

/// Visits before the turn, of what is left to wait.
const VISITS: f64 = 3.0;

/// Visits told at one moment shall not come at one moment: a tenth either way.
const JITTER: f64 = 0.1;

/// A speed that was counted for less than so many seconds, or fewer people, is a guess, ...
const YOUNG: (f64, f64) = (16.0, 50.0);

/// ... upon which nobody sleeps longer than a second for so many people ahead, as if a fast service had been measured: the front asks as often as
/// is allowed, and all of a country are some thousand visits a second.
const YOUNG_SPEED: f64 = 1_000.0;

/// At an opening so many may come a second: a small part of what a worker answers.
const OPENING: f64 = 5_000.0;

/// Nobody in a lobby asks more often than this before the opening.
const LOBBY: Duration = Duration::from_mins(5);

/// When somebody who joined now comes back for the first time; `chance` in `0..1`.
#[must_use]
pub fn first_return(chance: f64) -> Duration {
    FIRST + FIRST_SPREAD.mul_f64(chance.clamp(0.0, 1.0))
}

/// When one of `people` in a lobby comes back, if it opens in `left`; `chance` in `0..1`. Those who come for the opening come after it and one
/// after the other, 5,000 a second: their places are drawn then, and are theirs however late they come.
#[must_use]
pub fn opening_visit(left: Duration, people: u64, chance: f64) -> Duration {
    let chance = chance.clamp(0.0, 1.0);
    let third = left.div_f64(VISITS);
    if third >= LOBBY {
        return jittered(third.min(CEILING).as_secs_f64(), chance);
    }
    let spread = (people as f64 / OPENING).max(FLOOR.as_secs_f64());
    left.saturating_add(Duration::from_secs_f64(spread * chance))
}

impl Forecast {
    /// When somebody with `ahead` people before him asks again; `chance` in `0..1`.
    #[must_use]
    pub fn poll_after(&self, ahead: u64, chance: f64) -> Duration {
        let floor = if self.paused { FLOOR_PAUSED } else { FLOOR };
        let wait = ahead as f64 / self.awake();
        jittered(wait.min(CEILING.as_secs_f64()).max(floor.as_secs_f64()), chance)
    }

    /// So many people a second may be called, from now on, and find everybody awake who is called, but for the shortest sleep.
    #[must_use]
    pub fn awake(&self) -> f64 {
        let young = self.reading.seconds < YOUNG.0 || self.reading.people < YOUNG.1;
        (VISITS * self.brisk).max(if young { YOUNG_SPEED } else { 0.0 })
    }
}

fn jittered(seconds: f64, chance: f64) -> Duration {
    Duration::from_secs_f64(seconds * (1.0 - JITTER + 2.0 * JITTER * chance.clamp(0.0, 1.0)))
}
