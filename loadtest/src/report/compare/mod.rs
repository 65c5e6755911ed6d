//! Two runs, or two sets of runs, side by side: what changed, and whether that is more than noise.
//!
//! The band of a figure is half the width of a 99 % confidence interval of the difference of two means: Welch's (1947, *Biometrika* 34) with both
//! spreads where both sides have [`RUNS`] runs or more; where only one has, its spread stands for the other's too. Student's t, with
//! the degrees of freedom of Welch and Satterthwaite. Without [`RUNS`] runs on either side there is no band, and nothing of a figure is concluded.
//!
//! **Invariants**: a change is a regression only if it is for the worse, beyond the band, and beyond [`LEAST`] of the value; or if the verdict grew worse.
//! **Not here**: how runs are judged (`oracle`).

mod band;
mod page;
mod read;

pub use self::page::page;
pub use self::read::{Past, read};

use std::fmt::Write;

use self::band::{Sample, band};
use crate::figure::Figure;
use crate::oracle::Verdict;
use crate::oracle::table::written;
use crate::table::{Row, render};

/// A side with so many runs has a spread.
pub const RUNS: usize = 3;

/// Less of a value than this is no change worth a word, however little the runs differ.
pub const LEAST: f64 = 0.01;

/// Two sides, and what became of each figure.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What was before.
    pub before: Vec<Past>,
    /// What is now.
    pub after: Vec<Past>,
    /// Each figure that both have.
    pub changes: Vec<Change>,
    /// Each figure that some run before had and none has now.
    pub vanished: Vec<Figure>,
    /// Why the two are not of one experiment; empty: they are.
    pub differences: Vec<String>,
}

/// One figure on both sides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Which.
    pub figure: Figure,
    /// Mean before.
    pub before: f64,
    /// Mean now.
    pub after: f64,
    /// Half the width of the band; none: there are too few runs.
    pub band: Option<f64>,
    /// What that means.
    pub meaning: Meaning,
}

/// What a change means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// For the worse, beyond the noise.
    Worse,
    /// For the better, beyond the noise.
    Better,
    /// Within the noise.
    Same,
    /// Nobody can tell, or it is a figure of the harness and none of the gateway.
    Unknown,
}

impl Comparison {
    /// Of what was `before` with what is `after`; `noise` are more runs of what was before.
    #[must_use]
    pub fn of(mut before: Vec<Past>, after: Vec<Past>, noise: Vec<Past>) -> Self {
        before.extend(noise);
        let changes = Figure::ALL.into_iter().filter_map(|figure| change(figure, &before, &after)).collect();
        let has = |runs: &[Past], figure: Figure| runs.iter().any(|run| run.figure(figure).is_some());
        let vanished = |figure: &Figure| has(&before, *figure) && !has(&after, *figure);
        let vanished = Figure::ALL.into_iter().filter(vanished).collect();
        let differences = differences(&before, &after);
        Self { before, after, changes, vanished, differences }
    }

    /// Whether any of the runs says nothing, or they are of different scenarios.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        let mut runs = self.before.iter().chain(&self.after);
        !self.is_one_scenario() || runs.any(|run| run.verdict() == Verdict::Invalid)
    }

    fn is_one_scenario(&self) -> bool {
        let played = |run: &Past| (run.fingerprint.scenario.clone(), run.fingerprint.time_scale.clone());
        let mut runs = self.before.iter().chain(&self.after).map(played);
        let first = runs.next();
        runs.all(|run| Some(run) == first)
    }

    /// Whether now is worse than before: in a figure beyond its band, or in the worst verdict.
    #[must_use]
    pub fn is_regression(&self) -> bool {
        self.changes.iter().any(|change| change.meaning == Meaning::Worse) || self.fell()
    }

    /// Whether the worst verdict is worse than it was.
    fn fell(&self) -> bool {
        let worst = |runs: &[Past]| runs.iter().map(|run| run.verdict().code()).max().unwrap_or(0);
        worst(&self.after) > worst(&self.before)
    }

    /// The outcome in a line.
    #[must_use]
    pub fn outcome(&self) -> String {
        let worse: Vec<_> =
            self.changes.iter().filter(|it| it.meaning == Meaning::Worse).map(|it| it.figure.name()).collect();
        match (self.is_invalid(), worse.is_empty(), self.fell()) {
            (true, ..) if !self.is_one_scenario() => "INVALID: these are runs of different scenarios".to_owned(),
            (true, ..) => "INVALID: one of the runs says nothing of the gateway".to_owned(),
            (_, false, _) => format!("REGRESSION: {}", worse.join(", ")),
            (_, _, true) => "REGRESSION: the verdict is worse than before".to_owned(),
            _ if self.changes.iter().any(|change| change.band.is_some()) => {
                "PASS: nothing is worse beyond the noise".to_owned()
            }
            _ => format!("PASS: the verdict is no worse; {RUNS} runs of a side are needed to tell more"),
        }
    }

    /// For a terminal.
    #[must_use]
    pub fn summary(&self) -> String {
        let row = |change: &Change| -> Row { (change.figure.name().to_owned(), change.cells().into()) };
        let rows: Vec<_> = self.changes.iter().map(row).collect();
        let mut text = render(&["before", "after", "delta", "noise", ""], &rows);
        for figure in &self.vanished {
            // Writing to a string does not fail.
            writeln!(text, "  no value any more: {}", figure.name()).ok();
        }
        for difference in &self.differences {
            // Writing to a string does not fail.
            writeln!(text, "  not the same experiment: {difference}").ok();
        }
        writeln!(
            text,
            "  {} and {} runs; noise: 99 % interval of the difference of means (Welch's t)\n{}",
            self.before.len(),
            self.after.len(),
            self.outcome()
        )
        .ok();
        text
    }
}

impl Change {
    /// Before, after, delta, band, meaning.
    fn cells(&self) -> [String; 5] {
        let difference = self.after - self.before;
        let sign = if difference < 0.0 { "−" } else { "+" };
        let meaning = match self.meaning {
            Meaning::Worse => "WORSE",
            Meaning::Better => "better",
            Meaning::Same => "same",
            Meaning::Unknown => "",
        };
        [
            written(self.figure, self.before),
            written(self.figure, self.after),
            format!("{sign}{}", written(self.figure, difference.abs())),
            self.band.map_or_else(|| "–".to_owned(), |band| format!("±{}", written(self.figure, band))),
            meaning.to_owned(),
        ]
    }
}

fn change(figure: Figure, before: &[Past], after: &[Past]) -> Option<Change> {
    let values = |runs: &[Past]| Sample::of(runs.iter().filter_map(|run| run.figure(figure)));
    let (one, other) = (values(before)?, values(after)?);
    let (difference, band) = (other.mean - one.mean, band(&one, &other));
    let meaning = match band {
        None => Meaning::Unknown,
        Some(_) if matches!(figure, Figure::LagP99 | Figure::HarnessMemory) => Meaning::Unknown,
        Some(band) if difference.abs() <= band.max(LEAST * one.mean.abs()) => Meaning::Same,
        Some(_) if (difference > 0.0) == more_is_better(figure) => Meaning::Better,
        Some(_) => Meaning::Worse,
    };
    Some(Change { figure, before: one.mean, after: other.mean, band, meaning })
}

const fn more_is_better(figure: Figure) -> bool {
    matches!(
        figure,
        Figure::Goodput
            | Figure::Registered
            | Figure::FunnelFinished
            | Figure::PlaceKept
            | Figure::EtaCoverage
            | Figure::JainDeciles
    )
}

/// What of the experiments differs that a change of the gateway does not explain.
fn differences(before: &[Past], after: &[Past]) -> Vec<String> {
    let mut found = Vec::new();
    let (Some(one), runs) = (before.first(), before.iter().chain(after)) else { return found };
    for run in runs {
        let (a, b) = (&one.fingerprint, &run.fingerprint);
        let pairs = [
            ("scenario", &a.scenario, &b.scenario),
            ("time scale", &a.time_scale, &b.time_scale),
            ("processor", &a.machine.processor, &b.machine.processor),
        ];
        let cores = (a.machine.cores.to_string(), b.machine.cores.to_string());
        for (name, was, is) in pairs.into_iter().chain([("cores", &cores.0, &cores.1)]) {
            let text = format!("{name}: {was} and {is}");
            if was != is && !found.contains(&text) {
                found.push(text);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
