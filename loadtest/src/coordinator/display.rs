//! How far a run is: a bar on a terminal, a line every few seconds elsewhere, both on standard error.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::people::progress::Progress;

/// Between two lines.
const LINE: Duration = Duration::from_secs(5);

/// Shows progress.
#[derive(Debug)]
pub enum Display {
    /// On a terminal.
    Bar(ProgressBar),
    /// Elsewhere.
    Lines {
        /// How many people come.
        people: u64,
        /// When to show the next.
        next: Duration,
    },
}

impl Display {
    /// For so many people.
    #[must_use]
    pub fn new(people: usize) -> Self {
        let people = people as u64;
        if !std::io::stderr().is_terminal() {
            return Self::Lines { people, next: LINE };
        }
        let bar = ProgressBar::new(people);
        if let Ok(style) = ProgressStyle::with_template("{elapsed:>4}  [{bar:30}] {pos}/{len} came  {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self::Bar(bar)
    }

    /// Shows `progress` at `now`.
    pub fn show(&mut self, progress: &Progress, now: Duration) {
        let Progress { arrived, present, registered, requests, .. } = progress;
        let lag = progress.lag_p99 as f64 / 1e3;
        match self {
            Self::Bar(bar) => {
                bar.set_position(*arrived);
                bar.set_message(format!("{present} present, {registered} registered, lag {lag:.1} ms"));
            }
            Self::Lines { people, next } if now >= *next => {
                *next = now + LINE;
                eprintln!(
                    "{} s: {arrived} of {people} came, {present} present, {registered} registered, {requests} requests, \
                     lag p99 {lag:.1} ms",
                    now.as_secs()
                );
            }
            Self::Lines { .. } => {}
        }
    }

    /// Shows nothing more.
    pub fn clear(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
