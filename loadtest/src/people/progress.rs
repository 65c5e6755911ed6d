//! What can be seen of a worker while it runs: a line of JSON on standard output, five times a second.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::ledger::Word;
use crate::table;
use crate::visitor::{Micros, Outcome};

/// Later than this is not told apart: an hour.
const LATEST: u64 = 3_600_000_000;

/// One line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// When, in microseconds from the start.
    pub at: Micros,
    /// People who have come.
    pub arrived: u64,
    /// … are there.
    pub present: u64,
    /// … went through all stages.
    pub registered: u64,
    /// … did what they came for before the last stage.
    pub stopped: u64,
    /// … were told that nothing is left.
    pub told_no: u64,
    /// … ran out of patience.
    pub gave_up: u64,
    /// … were told something they cannot act on.
    pub refused: u64,
    /// Requests on their way.
    pub in_flight: u64,
    /// Requests that have ended.
    pub requests: u64,
    /// Answers that told a place in line, or that it is not open yet.
    pub told_to_wait: u64,
    /// Answers that told to come again later, with no place.
    pub told_later: u64,
    /// How late requests were sent so far: 99th percentile, microseconds.
    pub lag_p99: Micros,
    /// And the latest.
    pub lag_max: Micros,
    /// Requests that failed for want of anything here.
    pub harness: u64,
    /// It was the last: everybody has left, or the run has ended.
    pub over: bool,
}

/// What is counted.
#[derive(Debug)]
pub struct Counts {
    progress: Progress,
    lag: Histogram<u64>,
}

impl Progress {
    /// What became of everybody, in a line.
    #[must_use]
    pub fn outcome(&self) -> String {
        format!(
            "{} came, {} registered, {} did what they came for, {} were told no, {} gave up, {} were refused, {} were still there; \
             {} requests",
            table::count(self.arrived),
            table::count(self.registered),
            table::count(self.stopped),
            table::count(self.told_no),
            table::count(self.gave_up),
            table::count(self.refused),
            table::count(self.present),
            table::count(self.requests),
        )
    }

    /// The sum of two workers' lines; the worse of their lags.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            at: self.at.max(other.at),
            arrived: self.arrived + other.arrived,
            present: self.present + other.present,
            registered: self.registered + other.registered,
            stopped: self.stopped + other.stopped,
            told_no: self.told_no + other.told_no,
            gave_up: self.gave_up + other.gave_up,
            refused: self.refused + other.refused,
            in_flight: self.in_flight + other.in_flight,
            requests: self.requests + other.requests,
            told_to_wait: self.told_to_wait + other.told_to_wait,
            told_later: self.told_later + other.told_later,
            lag_p99: self.lag_p99.max(other.lag_p99),
            lag_max: self.lag_max.max(other.lag_max),
            harness: self.harness + other.harness,
            over: self.over && other.over,
        }
    }
}

impl Counts {
    /// Nothing yet.
    ///
    /// # Errors
    /// Never in practice: the bounds of the histogram are constants.
    pub fn new() -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self { progress: Progress::default(), lag: Histogram::new_with_max(LATEST, 3)? })
    }

    /// Somebody has come.
    pub fn arrived(&mut self) {
        self.progress.arrived += 1;
        self.progress.present += 1;
    }

    /// How many are there.
    #[must_use]
    pub fn present(&self) -> u64 {
        self.progress.present
    }

    /// Somebody has left.
    pub fn left(&mut self, outcome: Outcome) {
        self.progress.present = self.progress.present.saturating_sub(1);
        let counter = match outcome {
            Outcome::Registered => &mut self.progress.registered,
            Outcome::Stopped => &mut self.progress.stopped,
            Outcome::ToldNo => &mut self.progress.told_no,
            Outcome::GaveUp => &mut self.progress.gave_up,
            Outcome::Refused => &mut self.progress.refused,
        };
        *counter += 1;
    }

    /// A request has ended that was sent so late; `harness` says that it failed here.
    pub fn ended(&mut self, lag: Micros, harness: bool) {
        self.progress.requests += 1;
        self.progress.harness += u64::from(harness);
        self.lag.saturating_record(lag);
    }

    /// Somebody was told so.
    pub fn heard(&mut self, word: Word) {
        match word {
            Word::Place | Word::NotYet => self.progress.told_to_wait += 1,
            Word::Later => self.progress.told_later += 1,
            _ => {}
        }
    }

    /// The line at `at`.
    #[must_use]
    pub fn line(&self, at: Micros, in_flight: usize, over: bool) -> Progress {
        let (lag_p99, lag_max) = (self.lag.value_at_quantile(0.99), self.lag.max());
        Progress { at, in_flight: in_flight as u64, lag_p99, lag_max, over, ..self.progress }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_add_up() {
        let mut counts = Counts::new().expect("a histogram");
        counts.arrived();
        counts.arrived();
        counts.left(Outcome::Registered);
        counts.ended(900, false);
        counts.ended(5_000, true);
        for word in [Word::Place, Word::NotYet, Word::Later, Word::Done] {
            counts.heard(word);
        }
        let line = counts.line(7, 3, true);
        assert_eq!((line.arrived, line.present, line.registered, line.requests, line.harness), (2, 1, 1, 2, 1));
        assert_eq!((line.told_to_wait, line.told_later), (2, 1));
        assert!(line.lag_max >= 5_000 && line.lag_max < 5_010);
        let both = line.and(Progress { arrived: 5, lag_p99: 99_000, ..Progress::default() });
        assert_eq!((both.arrived, both.lag_p99, both.over, both.at), (7, 99_000, false, 7));
        let text = serde_json::to_string(&both).expect("JSON");
        assert_eq!(serde_json::from_str::<Progress>(&text).expect("a line"), both);
    }
}
