//! Counting what people met.
//!
//! **Invariants**: every person is in exactly one outcome, every attempt in exactly one of statuses, silences, disconnects
//! and harness troubles. Latency counts from the instant the person *meant* to send, so a late harness or a full backlog
//! is not flattered away.
//! **Cost**: four histograms of three significant digits, together below 1 MiB, whatever the number of people.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::answer::{Answer, Outcome};

/// A harness later than this at its 99th percentile did not send the crowd it was asked for.
pub const LAG_LIMIT: Duration = Duration::from_millis(50);

/// Latencies above an hour are counted as an hour.
const LONGEST_US: u64 = 3_600_000_000;

/// The running counts.
#[derive(Debug)]
pub struct Tally {
    registered: u64,
    told_no: u64,
    gave_up: u64,
    broken: u64,
    attempts: u64,
    silences: u64,
    disconnects: u64,
    harness_troubles: u64,
    descriptor_waits: u64,
    statuses: BTreeMap<u16, u64>,
    from_arrival: Histogram<u64>,
    last_attempt: Histogram<u64>,
    any_answer: Histogram<u64>,
    lag: Histogram<u64>,
}

/// What a histogram comes to, in seconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Quantiles {
    /// Values recorded.
    pub count: u64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Greatest.
    pub max: f64,
}

/// The finished counts.
#[derive(Clone, Debug, Serialize)]
pub struct Account {
    /// People who came.
    pub people: u64,
    /// … were told that they are registered.
    pub registered: u64,
    /// … were told no.
    pub told_no: u64,
    /// … left without an answer to their question.
    pub gave_up: u64,
    /// … were told nonsense.
    pub broken: u64,
    /// Requests sent.
    pub attempts: u64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Attempts without an answer within the person's patience.
    pub silences: u64,
    /// Attempts refused, reset or cut off.
    pub disconnects: u64,
    /// Attempts that failed for want of sockets or addresses here.
    pub harness_troubles: u64,
    /// Attempts that waited for a free descriptor here.
    pub descriptor_waits: u64,
    /// Registered people: from the intended instant of arrival to the answer.
    pub from_arrival: Quantiles,
    /// Registered people: from the intended instant of the attempt that succeeded.
    pub last_attempt: Quantiles,
    /// Every answer: from the intended instant of its attempt.
    pub any_answer: Quantiles,
    /// How late attempts were sent.
    pub lag: Quantiles,
    /// Seconds from the start until the last person left.
    pub elapsed: f64,
}

impl Tally {
    /// Nothing counted.
    ///
    /// # Errors
    /// Never in practice: the bounds of the histograms are constants.
    pub fn new() -> anyhow::Result<Self> {
        let histogram = || Histogram::new_with_max(LONGEST_US, 3);
        Ok(Self {
            registered: 0,
            told_no: 0,
            gave_up: 0,
            broken: 0,
            attempts: 0,
            silences: 0,
            disconnects: 0,
            harness_troubles: 0,
            descriptor_waits: 0,
            statuses: BTreeMap::new(),
            from_arrival: histogram()?,
            last_attempt: histogram()?,
            any_answer: histogram()?,
            lag: histogram()?,
        })
    }

    /// An attempt went out, `lag` after it was meant to; `waited` says whether for a descriptor.
    pub fn sent(&mut self, lag: Duration, waited: bool) {
        self.attempts += 1;
        self.descriptor_waits += u64::from(waited);
        self.lag.saturating_record(micros(lag));
    }

    /// It ended `after` it was meant to be sent.
    pub fn answered(&mut self, answer: Answer, after: Duration) {
        match answer {
            Answer::Response { status, .. } => {
                *self.statuses.entry(status.as_u16()).or_default() += 1;
                self.any_answer.saturating_record(micros(after));
            }
            Answer::Silence => self.silences += 1,
            Answer::Disconnected => self.disconnects += 1,
            Answer::HarnessTrouble => self.harness_troubles += 1,
        }
    }

    /// A person left, `since_arrival` after arriving and `since_attempt` after meaning to make the last attempt.
    pub fn left(&mut self, outcome: Outcome, since_arrival: Duration, since_attempt: Duration) {
        match outcome {
            Outcome::Registered => {
                self.registered += 1;
                self.from_arrival.saturating_record(micros(since_arrival));
                self.last_attempt.saturating_record(micros(since_attempt));
            }
            Outcome::ToldNo => self.told_no += 1,
            Outcome::GaveUp => self.gave_up += 1,
            Outcome::Broken => self.broken += 1,
        }
    }

    /// Closes the account, `elapsed` after the start.
    #[must_use]
    pub fn close(&self, elapsed: Duration) -> Account {
        Account {
            people: self.registered + self.told_no + self.gave_up + self.broken,
            registered: self.registered,
            told_no: self.told_no,
            gave_up: self.gave_up,
            broken: self.broken,
            attempts: self.attempts,
            statuses: self.statuses.clone(),
            silences: self.silences,
            disconnects: self.disconnects,
            harness_troubles: self.harness_troubles,
            descriptor_waits: self.descriptor_waits,
            from_arrival: quantiles(&self.from_arrival),
            last_attempt: quantiles(&self.last_attempt),
            any_answer: quantiles(&self.any_answer),
            lag: quantiles(&self.lag),
            elapsed: elapsed.as_secs_f64(),
        }
    }
}

impl Account {
    /// Why this run proves nothing, if it does not.
    #[must_use]
    pub fn invalid(&self) -> Option<String> {
        if self.harness_troubles > 0 {
            return Some(format!("{} attempts failed for want of sockets here", self.harness_troubles));
        }
        (self.lag.p99 > LAG_LIMIT.as_secs_f64()).then(|| {
            format!("the harness was late: lag p99 {:.0} ms, limit {} ms", self.lag.p99 * 1e3, LAG_LIMIT.as_millis())
        })
    }

    /// Requests each person sent, on average.
    #[must_use]
    pub fn attempts_per_person(&self) -> f64 {
        self.attempts as f64 / (self.people as f64).max(1.0)
    }
}

fn quantiles(histogram: &Histogram<u64>) -> Quantiles {
    let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e6;
    Quantiles { count: histogram.len(), p50: at(0.5), p90: at(0.9), p99: at(0.99), max: histogram.max() as f64 / 1e6 }
}

fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn a_late_harness_makes_the_run_invalid() {
        let mut tally = Tally::new().expect("histograms");
        for _ in 0..98 {
            tally.sent(Duration::from_millis(1), false);
        }
        assert_eq!(tally.close(Duration::ZERO).invalid(), None);
        for _ in 0..2 {
            tally.sent(Duration::from_millis(80), true);
        }
        let account = tally.close(Duration::ZERO);
        assert!(account.invalid().is_some_and(|why| why.contains("80 ms")), "{account:?}");
        assert_eq!((account.attempts, account.descriptor_waits), (100, 2));
    }

    #[test]
    fn each_answer_and_outcome_is_counted_once() {
        let mut tally = Tally::new().expect("histograms");
        let created = Answer::Response { status: StatusCode::CREATED, retry_after: None };
        for answer in [created, Answer::Silence, Answer::Disconnected, Answer::HarnessTrouble] {
            tally.answered(answer, Duration::from_millis(20));
        }
        tally.left(Outcome::Registered, Duration::from_secs(2), Duration::from_millis(20));
        tally.left(Outcome::GaveUp, Duration::from_mins(1), Duration::from_secs(9));
        let account = tally.close(Duration::from_secs(61));
        assert_eq!((account.people, account.registered, account.gave_up), (2, 1, 1));
        assert_eq!((account.silences, account.disconnects, account.harness_troubles), (1, 1, 1));
        assert_eq!((account.statuses.get(&201), account.any_answer.count), (Some(&1), 1));
        assert!((account.from_arrival.max - 2.0).abs() < 0.01 && (account.last_attempt.p50 - 0.02).abs() < 0.001);
        assert!(account.invalid().is_some());
    }
}
