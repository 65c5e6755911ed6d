//! What the capacity allows: the yardstick of every run.
//!
//! An ideal service works at the full capacity C from the first arrival on, takes people in order of arrival, spends
//! exactly 1/C on each and nothing between two, never idles while anyone is present, and never starts on somebody who
//! would leave before it is done. The number of people it registers is what the capacity allows. With equal patience this
//! order is also that of leaving, so no other order registers more.
//!
//! **Invariants**: computed from the plan alone. What a gateway does (idle, refuse, send people away) can lower the people
//! it registers, never what they are compared with. The ideal has no response time: a real service that needs 100 ms for
//! one request loses that much against it at the start.
//! **Cost**: O(people).

use std::time::Duration;

/// One person's stay.
#[derive(Clone, Copy, Debug)]
pub struct Stay {
    /// Arrives.
    pub from: Duration,
    /// Gives up.
    pub until: Duration,
}

/// What the ideal service did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ideal {
    /// People registered.
    pub registered: u64,
    /// When it was done with the last.
    pub finished: Duration,
    /// Seconds it had nobody to serve between the first arrival and the last completion.
    pub idle: f64,
}

/// Serves `stays`, which are in order of arrival and of leaving, at `capacity` people per second (positive).
#[must_use]
pub fn serve(stays: impl IntoIterator<Item = Stay>, capacity: f64) -> Ideal {
    let each = 1.0 / capacity;
    let (mut registered, mut free, mut idle) = (0, None, 0.0);
    for stay in stays {
        let from = stay.from.as_secs_f64();
        let last = free.unwrap_or(from);
        let done = from.max(last) + each;
        // A nanosecond of grace for the sum of many 1/C.
        if done <= stay.until.as_secs_f64() + 1e-9 {
            registered += 1;
            idle += (from - last).max(0.0);
            free = Some(done);
        }
    }
    let finished = Duration::try_from_secs_f64(free.unwrap_or(0.0)).unwrap_or(Duration::MAX);
    Ideal { registered, finished, idle }
}

/// What a service can do over time, in people since the start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Supply {
    /// (seconds, people): neither ever falls.
    points: Vec<(f64, f64)>,
}

impl Supply {
    /// Straight lines between `points` of (seconds, people so far); nothing before the first and after the last.
    #[must_use]
    pub fn new(points: Vec<(f64, f64)>) -> Self {
        Self { points }
    }

    /// People that could have been served until `at`.
    #[must_use]
    pub fn until(&self, at: f64) -> f64 {
        let next = self.points.partition_point(|(time, _)| *time <= at);
        let after = self.points.get(next);
        let before = next.checked_sub(1).and_then(|before| self.points.get(before));
        match (before, after) {
            (None, _) => 0.0,
            (Some((_, people)), None) => *people,
            (Some((from, some)), Some((until, more))) => some + (more - some) * (at - from) / (until - from),
        }
    }

    /// When `people` could have been served; [`None`] if never.
    #[must_use]
    pub fn when(&self, people: f64) -> Option<f64> {
        let next = self.points.partition_point(|(_, so_far)| *so_far < people);
        let (until, more) = *self.points.get(next)?;
        let Some((from, some)) = next.checked_sub(1).and_then(|before| self.points.get(before)) else {
            return Some(until);
        };
        Some(from + (until - from) * (people - some) / (more - some))
    }
}

/// Serves `stays`, which are in order of arrival, as [`serve`] does, by a service that can do `supply`, and registers `places` people at most.
///
/// Where some are less patient than others, another order might register more of them; this one takes them as they come, as a gateway must that promises order.
#[must_use]
pub fn serve_with(stays: impl IntoIterator<Item = Stay>, supply: &Supply, places: Option<u64>) -> Ideal {
    let (mut registered, mut free, mut finished, mut idle) = (0, 0.0_f64, None, 0.0);
    for stay in stays {
        if places.is_some_and(|places| registered >= places) {
            break;
        }
        let from = stay.from.as_secs_f64();
        let need = supply.until(from).max(free) + 1.0;
        // A billionth of grace for the sum of many parts.
        let Some(done) = supply.when(need - 1e-9).filter(|done| *done <= stay.until.as_secs_f64() + 1e-6) else {
            continue;
        };
        registered += 1;
        idle += (from - finished.unwrap_or(from)).max(0.0);
        (free, finished) = (need, Some(done));
    }
    let finished = Duration::try_from_secs_f64(finished.unwrap_or(0.0)).unwrap_or(Duration::MAX);
    Ideal { registered, finished, idle }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(arrivals: &[u64], patience: u64) -> Vec<Stay> {
        let at = |ms| Duration::from_millis(ms);
        arrivals.iter().map(|ms| Stay { from: at(*ms), until: at(ms + patience) }).collect()
    }

    #[test]
    fn all_at_once_and_patient_are_all_served() {
        let ideal = serve(people(&[0; 10], 1_000), 10.0);
        assert_eq!((ideal.registered, ideal.finished), (10, Duration::from_secs(1)));
    }

    #[test]
    fn impatience_cuts_at_capacity_times_patience() {
        assert_eq!(serve(people(&[0; 100], 500), 10.0).registered, 5);
    }

    #[test]
    fn overload_counts_from_first_arrival_to_last_leaving() {
        let arrivals: Vec<u64> = (0..2_000).map(|n| n / 2).collect();
        let ideal = serve(people(&arrivals, 2_000), 400.0);
        assert!((ideal.registered as f64 - 400.0 * 3.0).abs() <= 2.0, "{ideal:?}");
    }

    #[test]
    fn a_pause_without_people_is_not_capacity() {
        let ideal = serve(people(&[0, 0, 10_000, 10_000], 1_000), 10.0);
        assert_eq!((ideal.registered, ideal.finished), (4, Duration::from_millis(10_200)));
        assert!((ideal.idle - 9.8).abs() < 1e-9);
    }

    #[test]
    fn a_supply_that_does_not_change_is_a_capacity() {
        let supply = Supply::new(vec![(0.0, 0.0), (100.0, 40_000.0)]);
        let arrivals: Vec<u64> = (0..2_000).map(|n| n / 2).collect();
        let same = serve(people(&arrivals, 2_000), 400.0).registered;
        assert!(same.abs_diff(serve_with(people(&arrivals, 2_000), &supply, None).registered) <= 1);
        assert_eq!(serve_with(people(&arrivals, 2_000), &supply, Some(7)).registered, 7);
        let pause =
            serve_with(people(&[0, 0, 10_000, 10_000], 1_000), &Supply::new(vec![(0.0, 0.0), (20.0, 200.0)]), None);
        assert!(pause.registered == 4 && (pause.idle - 9.8).abs() < 1e-6, "{pause:?}");
    }

    #[test]
    fn a_supply_that_halves_serves_half() {
        // 10 a second, nothing from 1 s to 2 s, then 5 a second.
        let supply = Supply::new(vec![(0.0, 0.0), (1.0, 10.0), (2.0, 10.0), (4.0, 20.0)]);
        assert!((supply.until(1.5) - 10.0).abs() < 1e-9 && (supply.until(3.0) - 15.0).abs() < 1e-9);
        assert!((supply.when(15.0).unwrap_or(0.0) - 3.0).abs() < 1e-9 && supply.when(21.0).is_none());
        assert_eq!(serve_with(people(&[0; 40], 3_000), &supply, None).registered, 15);
        assert_eq!(serve_with(people(&[0; 40], 60_000), &supply, None).registered, 20);
    }

    #[test]
    fn nobody_is_served_after_leaving() {
        assert_eq!(serve(people(&[0, 0, 0], 150), 10.0).registered, 1);
        assert_eq!(serve(people(&[], 150), 10.0).registered, 0);
    }
}
