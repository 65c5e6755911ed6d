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
    fn nobody_is_served_after_leaving() {
        assert_eq!(serve(people(&[0, 0, 0], 150), 10.0).registered, 1);
        assert_eq!(serve(people(&[], 150), 10.0).registered, 0);
    }
}
