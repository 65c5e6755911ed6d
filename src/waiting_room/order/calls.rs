//! Who was called when, how many of them are awaited, and how many never come.
//!
//! Those called at one time are a *cohort*: remembered by where it ends, for as long as they are awaited ([`TURN`]). What share of a
//! cohort had not come by then moves the estimate of no-shows. When a position was called is known for longer: to the second for an hour, to the minute for a day.
//!
//! The same is kept of when numbers were given.
//!
//! **Bound**: [`COHORTS`] cohorts, and twice 5,040 samples of 16 bytes.
//! **Cost**: to find a cohort or a sample, a binary search.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Tick;

/// So long somebody who was called is awaited; then he is late, and keeps his place all the same. At the opening of a lobby people are told to
/// come one after the other, 5,000 a second (`eta::opening_visit`): a million and a half of them within this, so whoever comes when he
/// was told is not late.
pub const TURN: Duration = Duration::from_mins(5);

/// Who is called in less time than this after others belongs to their cohort.
const COHORT: Duration = Duration::from_millis(50);

/// So many cohorts are awaited at most: as many as fit into [`TURN`], and some for a clock that stands. 256 KiB.
const COHORTS: usize = 6_400;

/// The estimate of no-shows remembers so many people that were called: a minute of a room that calls 20 a second, and enough
/// that chance moves it by less than two percent points.
const MEMORY: f64 = 1_000.0;

/// Interval and number of the samples of where serving stood, and of how many numbers were given.
const SAMPLES: [(Duration, usize); 2] = [(Duration::from_secs(1), 3_600), (Duration::from_mins(1), 1_440)];

#[derive(Debug)]
pub(super) struct Calls {
    /// Positions from here to the end of the last cohort are awaited.
    start: u64,
    /// Positions below were called before this process began.
    began: u64,
    cohorts: VecDeque<Cohort>,
    trails: [Trail; 2],
    /// How many numbers had been given when, by the clock on the wall.
    joins: [Trail; 2],
    /// People called in all.
    total: u64,
    no_show: f64,
    /// People called that stand behind the estimate.
    seen: f64,
}

#[derive(Debug)]
struct Cohort {
    /// The position after the last that was called with it.
    end: u64,
    at: Tick,
    /// Since when they can come; [`None`] of newcomers, who were there.
    awake: Option<Tick>,
    called: u64,
    came: AtomicU64,
}

/// Where a counter stood at the end of each interval in which it moved.
#[derive(Debug)]
struct Trail {
    interval: Duration,
    most: usize,
    samples: VecDeque<(u64, Tick)>,
    /// Of positions below nothing is known.
    floor: u64,
}

impl Calls {
    /// Nobody below `serving` is awaited, and nothing is known of when they were called.
    pub(super) fn new(serving: u64) -> Self {
        let trail = |floor| SAMPLES.map(|(interval, most)| Trail { interval, most, samples: VecDeque::new(), floor });
        let (trails, joins) = (trail(serving), trail(0));
        let cohorts = VecDeque::new();
        Self { start: serving, began: serving, cohorts, trails, joins, total: 0, no_show: 0.0, seen: 0.0 }
    }

    /// Those from `start` on who were called before this began are not late for another [`TURN`]: as long as they could not come.
    pub(super) fn recall(&mut self, start: u64, now: Tick) {
        let end = self.start;
        if start < end && self.cohorts.is_empty() {
            self.start = start;
            self.cohorts.push_back(Cohort { end, at: now, awake: None, called: 0, came: AtomicU64::new(0) });
        }
    }

    /// The first position that is still awaited.
    pub(super) const fn start(&self) -> u64 {
        self.start
    }

    /// People called in all, live ones only.
    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    /// Share of those called that never came.
    pub(super) const fn no_show(&self) -> f64 {
        self.no_show
    }

    /// `called` people were called, up to the position `end`, and can come since `awake`; [`None`] if they are there.
    pub(super) fn call(&mut self, end: u64, called: u64, now: Tick, awake: Option<Tick>) {
        for trail in &mut self.trails {
            trail.add(end, now);
        }
        self.total = self.total.saturating_add(called);
        let full = self.cohorts.len() >= COHORTS;
        match self.cohorts.back_mut() {
            Some(last) if full || now.since(last.at) < COHORT && last.awake.is_some() == awake.is_some() => {
                last.end = end;
                last.called += called;
            }
            _ => self.cohorts.push_back(Cohort { end, at: now, awake, called, came: AtomicU64::new(0) }),
        }
    }

    /// Numbers below `issued` have been given, at `unix` (since 1970).
    pub(super) fn joined(&mut self, issued: u64, unix: Duration) {
        for trail in &mut self.joins {
            if trail.samples.back().is_none_or(|(last, _)| *last < issued) {
                trail.add(issued, Tick::from_nanos(crate::clock::saturating_nanos(unix)));
            }
        }
    }

    /// When `number` was given (since 1970), to the second for an hour, to the minute for a day, of older ones when the oldest that is known was;
    /// [`None`] of the newest.
    pub(super) fn joined_at(&self, number: u64) -> Option<Duration> {
        let [_, longest] = &self.joins;
        let oldest = || longest.samples.front().filter(|(issued, _)| number < *issued).map(|(_, at)| *at);
        let at = self.joins.iter().find_map(|trail| trail.find(number)).or_else(oldest)?;
        Some(Duration::from_nanos(at.as_nanos()))
    }

    /// Whoever was called [`TURN`] ago or earlier is awaited no more.
    pub(super) fn expire(&mut self, now: Tick) {
        while self.cohorts.front().is_some_and(|oldest| now.since(oldest.at) >= TURN) {
            let Some(oldest) = self.cohorts.pop_front() else { return };
            self.start = oldest.end;
            if oldest.called == 0 {
                continue;
            }
            let called = oldest.called as f64;
            let came = oldest.came.into_inner().min(oldest.called) as f64;
            self.seen = (self.seen + called).min(MEMORY).max(called);
            self.no_show += (1.0 - came / called - self.no_show) * called / self.seen;
        }
    }

    /// Somebody who was awaited at `position` has come; how long after his call, unless he is late.
    pub(super) fn came(&self, position: u64, now: Tick) -> Option<Duration> {
        let cohort = self.cohort(position)?;
        cohort.came.fetch_add(1, Ordering::Relaxed);
        Some(now.since(cohort.at))
    }

    /// Each cohort that was called less than `span` before `now`, newcomers left out: since when it can come, how many, and how many of them have.
    pub(super) fn each(&self, now: Tick, span: Duration, mut visit: impl FnMut(Tick, u64, u64)) {
        let old = self.cohorts.partition_point(|cohort| now.since(cohort.at) >= span);
        for cohort in self.cohorts.range(old..) {
            if let Some(awake) = cohort.awake {
                visit(awake, cohort.called, cohort.came.load(Ordering::Relaxed));
            }
        }
    }

    /// When `position` was called, as far as it is remembered.
    pub(super) fn called_at(&self, position: u64) -> Option<Tick> {
        let exact = self.cohort(position).filter(|_| position >= self.began).map(|cohort| cohort.at);
        exact.or_else(|| self.trails.iter().find_map(|trail| trail.find(position)))
    }

    fn cohort(&self, position: u64) -> Option<&Cohort> {
        if position < self.start {
            return None;
        }
        self.cohorts.get(self.cohorts.partition_point(|cohort| cohort.end <= position))
    }
}

impl Trail {
    fn add(&mut self, serving: u64, now: Tick) {
        let interval = |tick: Tick| tick.as_nanos() / crate::clock::saturating_nanos(self.interval);
        match self.samples.back_mut() {
            Some(last) if interval(last.1) == interval(now) => *last = (serving, now),
            _ => self.samples.push_back((serving, now)),
        }
        if self.samples.len() > self.most
            && let Some((serving, _)) = self.samples.pop_front()
        {
            self.floor = serving;
        }
    }

    fn find(&self, position: u64) -> Option<Tick> {
        if position < self.floor {
            return None;
        }
        self.samples.get(self.samples.partition_point(|(serving, _)| *serving <= position)).map(|(_, at)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(millis: u64) -> Tick {
        Tick::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn the_share_that_never_came_is_learned_and_follows_a_step() {
        let mut calls = Calls::new(0);
        let mut now = 0;
        let mut end = 0;
        for (missing, rounds) in [(3, 200), (7, 400)] {
            for _ in 0..rounds {
                now += 100;
                calls.call(end + 10, 10, tick(now), Some(tick(now)));
                for position in end..end + 10 - missing {
                    assert_eq!(calls.came(position, tick(now + 40)), Some(Duration::from_millis(40)));
                }
                end += 10;
                now += 100;
                calls.expire(tick(now));
            }
            calls.expire(tick(now).after(TURN));
            let wanted = missing as f64 / 10.0;
            assert!((calls.no_show() - wanted).abs() < 0.02, "{} for {wanted}", calls.no_show());
        }
        assert_eq!(calls.start(), end);
        assert_eq!(calls.came(end - 1, tick(now)), None, "too late to be counted");
    }

    #[test]
    fn when_somebody_was_called_is_remembered_for_a_day() {
        let mut calls = Calls::new(5);
        // Ten positions each 100 ms, for 30 hours.
        let at = |position: u64| tick(1_000 + (position - 5) / 10 * 100);
        let hours = |hours: u64| hours * 36_000 * 10;
        for step in 0..hours(30) / 10 {
            let end = 5 + (step + 1) * 10;
            calls.call(end, 10, at(end - 1), None);
            calls.expire(at(end - 1));
        }
        let end = 5 + hours(30);
        let error = |position| calls.called_at(position).unwrap().since(at(position));
        for position in [end - 1, end - 1_000, end - hours(1) / 200] {
            assert_eq!(error(position), Duration::ZERO, "{position}");
        }
        for position in (end - hours(1) + 20..end).step_by(777) {
            assert!(error(position) < Duration::from_secs(1), "{position}");
        }
        for position in (end - hours(23)..end).step_by(77_777) {
            assert!(error(position) < Duration::from_mins(1), "{position}");
        }
        assert_eq!(calls.called_at(6), None, "forgotten");
        assert_eq!(calls.called_at(4), None, "before the start");
        assert_eq!(calls.called_at(end), None, "not called yet");
        assert!(calls.cohorts.len() <= COHORTS);
        assert!(calls.trails.iter().all(|trail| trail.samples.len() <= trail.most));
    }

    #[test]
    fn when_a_number_was_given_is_remembered_for_a_day_and_of_older_ones_at_least_that_they_are_old() {
        let mut calls = Calls::new(0);
        let at = |minutes: u64| Duration::from_secs(1_586_600_000 + minutes * 60);
        assert_eq!(calls.joined_at(0), None);
        // A hundred from before, then one number each twenty seconds for 30 hours.
        let at = |step: u64| at(0) + Duration::from_secs(20 * step);
        for step in 0..30 * 180 {
            calls.joined(100 + step, at(step));
            calls.joined(100 + step, at(step) + Duration::from_secs(9));
        }
        let newest = 99 + 30 * 180 - 1;
        assert_eq!(calls.joined_at(newest + 1), None, "given since the last tick");
        for number in [newest, newest - 1, newest - 59, newest - 3_000] {
            assert_eq!(calls.joined_at(number), Some(at(number - 99)), "{number}");
        }
        let minute = calls.joined_at(newest - 4_000).unwrap();
        assert!(minute.abs_diff(at(newest - 4_000 - 99)) < Duration::from_mins(1), "{minute:?}");
        let oldest = calls.joined_at(0).unwrap();
        assert!(oldest <= at(6 * 180 + 6) && calls.joined_at(200) == Some(oldest), "{oldest:?}");
        assert!(calls.joins.iter().all(|trail| trail.samples.len() <= trail.most));
    }

    #[test]
    fn a_pause_does_not_blur_the_last_call() {
        let mut calls = Calls::new(0);
        calls.call(10, 10, tick(100), None);
        calls.call(20, 10, tick(900), None);
        calls.expire(tick(3_600_000));
        calls.call(30, 10, tick(7_200_000), None);
        assert_eq!(calls.called_at(15), Some(tick(900)));
        assert_eq!(calls.called_at(25), Some(tick(7_200_000)));
    }
}
