//! How long it will take: a range with a stated confidence, and when to ask again.
//!
//! The speed at which people are called is measured over as long a time as looks like one speed (`speed`): long enough to be steady, not
//! longer than it has been true. How far such predictions turn out to be off is measured as well, by predictions of its own (`spread`), so
//! that of those who were told a p90 nine in ten are called before it.
//!
//! **Invariants**
//! * Before a second was counted nothing is told: whatever a gate shows that has hardly been used, it is a guess. An operator's fixed pace is none.
//! * Every duration is finite, `p50 ≤ p90`, and both grow with the number of people ahead.
//! * While an estimate differs by more than [`JUMP`] from what anybody was told within [`REMEMBERED`] without his
//!   doing, a reason is given.
//! * Whoever was called before he was needed, or went straight to the gate, is in the line before those who wait: no pause of the service.
//! * A pause teaches nothing; during one the range is what it will be when it ends. Nor does a time in which nobody waits.
//!
//! **Cost**: [`Eta::observe`] some hundred additions a second; [`Forecast::estimate`] one `sqrt` and one `exp`, no allocation.
//! **Bound**: 512 seconds of counts, 66 of what was told, 40 predictions.
//! **Not here**: who is ahead (`order`), the words (`page`).

mod poll;
mod speed;
mod spread;
#[cfg(all(test, not(feature = "loom")))]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

pub use self::poll::{AT_ONCE, FLOOR, SLEEP, first_return, opening_visit};
use self::speed::{Reading, Speed};
use self::spread::{BUCKETS, Spread, bucket};
use crate::clock::Tick;
use crate::sabotage::{self, Fault};

/// A change of less is not worth a word: a fifth.
pub const JUMP: f64 = 0.2;

/// A reason is given for so long: as long as somebody may go without asking who waits half an hour.
pub const REMEMBERED: Duration = Duration::from_mins(11);

/// What was told is remembered at this interval.
const SAMPLE: Duration = Duration::from_secs(10);

/// So that a share can be divided by.
const SHOWS_LEAST: f64 = 0.01;

/// No wait is told to be longer: a year says what there is to say.
const LONGEST: Duration = Duration::from_hours(365 * 24);

/// Why an estimate moved without the person's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jump {
    /// The services behind take fewer people.
    ServiceSlower,
    /// They take more.
    ServiceFaster,
    /// Nobody is called at present.
    Paused,
    /// People are called again.
    Resumed,
    /// Another share of those called does not come.
    NoShows,
}

/// When it is somebody's turn, from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// He is called as likely earlier as later.
    pub p50: Duration,
    /// He is called earlier than this in nine cases of ten, and as long on his way to the service as others are.
    pub p90: Duration,
    /// Why it is not what it was.
    pub reason: Option<Jump>,
}

/// What the room does, as of one instant.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// People called since the room was created, live ones only.
    pub called: u64,
    /// Of them, those believed to come or in line: they leave no trace of the speed yet (`Pace::pending`).
    pub pending: f64,
    /// How many of them are more than shall be: so many fewer are called next (`Pace::surplus`).
    pub surplus: f64,
    /// People a second that the room expects to call (`Pace::speed`): all there is before anybody was called.
    pub expected: f64,
    /// That is what an operator has said, not what a gate was seen to do.
    pub stated: bool,
    /// Share of those called who do not come (`Pace::no_show`).
    pub no_show: f64,
    /// Nobody is called, on purpose.
    pub paused: bool,
    /// There is nobody to be called.
    pub idle: bool,
}

/// Measures. Owned by the chore that calls people.
#[derive(Debug)]
pub struct Eta {
    speed: Speed,
    spread: Spread,
    told: VecDeque<Told>,
    paused: bool,
    resumed: Option<Tick>,
    forecast: Forecast,
}

/// What the estimates were made of some time ago.
#[derive(Clone, Copy, Debug)]
struct Told {
    at: Tick,
    speed: f64,
    no_show: f64,
}

/// All that an estimate needs, as of the last look: a copy for every worker.
#[derive(Clone, Copy, Debug)]
pub struct Forecast {
    reading: Reading,
    /// See [`Seen`].
    pending: f64,
    surplus: f64,
    /// The fastest that anybody has reason to expect: what it was lately.
    brisk: f64,
    quantiles: [f64; BUCKETS],
    reason: Option<Jump>,
    paused: bool,
}

impl Eta {
    /// Nothing has been seen, and nothing is expected.
    #[must_use]
    pub fn new(now: Tick) -> Self {
        let reading = Reading::expected(0.0, false);
        let forecast = Forecast {
            reading,
            pending: 0.0,
            surplus: 0.0,
            brisk: reading.speed,
            quantiles: [spread::NORMAL; BUCKETS],
            reason: None,
            paused: false,
        };
        let (speed, spread) = (Speed::new(now), Spread::default());
        Self { speed, spread, told: VecDeque::new(), paused: false, resumed: None, forecast }
    }

    /// What to tell as of the last look.
    #[must_use]
    pub const fn forecast(&self) -> Forecast {
        self.forecast
    }

    /// Looks at the room; what to tell from now on. Once a second is enough, ten times does no harm.
    pub fn observe(&mut self, now: Tick, seen: &Seen) -> Forecast {
        if self.paused && !seen.paused {
            self.resumed = Some(now);
        }
        self.paused = seen.paused;
        let gone = seen.called as f64 - seen.pending;
        (self.forecast.pending, self.forecast.surplus) = (people(seen.pending), people(seen.surplus));
        if self.forecast.reading.is_guess() {
            self.forecast.reading = Reading::expected(seen.expected, seen.stated);
        }
        if seen.paused || seen.idle {
            self.speed.skip(now, gone);
        } else if self.speed.observe(now, gone) {
            self.forecast.reading = self.speed.reading(Reading::expected(seen.expected, seen.stated));
            self.spread.observe(self.speed.clock(), seen.called, self.forecast.reading);
            self.forecast.quantiles = self.spread.quantiles();
        }
        if !self.forecast.reading.is_guess() {
            self.remember(now, seen.no_show);
        }
        let speeds = self.told.iter().map(|told| told.speed);
        self.forecast.brisk = speeds.fold(self.forecast.reading.speed, f64::max);
        self.forecast.paused = seen.paused;
        self.forecast.reason = self.reason(now, seen);
        self.forecast
    }

    fn remember(&mut self, now: Tick, no_show: f64) {
        while self.told.front().is_some_and(|told| now.since(told.at) > REMEMBERED) {
            self.told.pop_front();
        }
        if self.told.back().is_none_or(|told| now.since(told.at) >= SAMPLE) {
            self.told.push_back(Told { at: now, speed: self.forecast.reading.speed, no_show });
        }
    }

    fn reason(&self, now: Tick, seen: &Seen) -> Option<Jump> {
        if seen.paused {
            return Some(Jump::Paused);
        }
        if self.resumed.is_some_and(|at| now.since(at) < REMEMBERED) {
            return Some(Jump::Resumed);
        }
        // The oldest that differs: in between, what is known of no-shows and of the speed do not belong together.
        let change = |told: &Told| (self.forecast.reading.speed / told.speed).ln();
        let before = self.told.iter().find(|told| change(told).abs() > (1.0 + JUMP).ln())?;
        let moved = change(before);
        // What the services take is what is called less those who do not come.
        let served = moved + ((1.0 - seen.no_show).max(SHOWS_LEAST) / (1.0 - before.no_show).max(SHOWS_LEAST)).ln();
        Some(match moved {
            _ if served.abs() < moved.abs() / 2.0 => Jump::NoShows,
            _ if moved > 0.0 => Jump::ServiceFaster,
            _ => Jump::ServiceSlower,
        })
    }
}

impl Forecast {
    /// The same before anything was seen, of a room that is paused or not.
    #[must_use]
    pub const fn before(self, paused: bool) -> Self {
        Self { paused, ..self }
    }

    /// When somebody with `ahead` live people before him is called; [`None`] while nobody can know, for a second at the least.
    #[must_use]
    pub fn estimate(&self, ahead: u64) -> Option<Estimate> {
        if self.reading.is_guess() {
            return None;
        }
        let people = ahead as f64 + 1.0 + self.surplus;
        let speed = if sabotage::is(Fault::EtaLies) { 4.0 * self.reading.speed } else { self.reading.speed };
        let half = people / speed;
        let quantile = self.quantiles.get(bucket(half)).copied().unwrap_or(spread::NORMAL);
        let most = half * (quantile * self.reading.deviation(people)).exp() + self.pending / speed;
        Some(Estimate { p50: duration(half), p90: duration(most), reason: self.reason })
    }

    /// People a second who are called.
    #[must_use]
    pub const fn speed(&self) -> f64 {
        self.reading.speed
    }
}

/// `count`, if it is one.
fn people(count: f64) -> f64 {
    if count.is_finite() { count.max(0.0) } else { 0.0 }
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).map_or(LONGEST, |span| span.min(LONGEST))
}
