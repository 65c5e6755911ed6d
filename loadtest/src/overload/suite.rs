//! Scenarios over seeds: medians against thresholds.
//!
//! **Invariants**: a threshold judges the median over the seeds. A run whose harness was late is made again with the same
//! seed as often as allowed; if it was late still, the scenario is invalid, whatever its figures. Runs follow one another: nothing of one is alive in
//! the next.

use std::ops::Range;

use serde::Serialize;

use super::figures::{self, compute};
use super::run::{Run, Setup, run};
use super::scenario::{Bound, Figure, Scenario, Threshold};
use super::stats::median;
use crate::crowd::tally::LAG_LIMIT;
use crate::table;

/// Seconds to start and stop everything around one run.
const AROUND: f64 = 1.0;

/// What a scenario came to.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Its name.
    pub scenario: String,
    /// Its seeds, in order.
    pub seeds: Vec<u64>,
    /// One judgement a threshold.
    pub judgements: Vec<Judgement>,
    /// Why it proves nothing, if so.
    pub invalid: Option<String>,
}

/// One threshold and what was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Judgement {
    /// The threshold.
    pub threshold: Threshold,
    /// The figure of each seed.
    pub values: Vec<f64>,
    /// Their median.
    pub median: f64,
    /// Whether the median holds the bound.
    pub pass: bool,
}

/// How long `scenarios` take over so many seeds, in seconds, if no run has to be made again.
#[must_use]
pub fn takes(scenarios: &[Scenario], seeds: u64) -> f64 {
    seeds as f64 * scenarios.iter().map(|scenario| scenario.lasts() + AROUND).sum::<f64>()
}

/// Runs `scenario` with each of `seeds`; `progress` hears a line for each run, `interrupted` makes what ends a run early.
pub fn judge<F: Future<Output = std::io::Result<()>>>(
    scenario: &Scenario,
    seeds: Range<u64>,
    setup: &Setup,
    mut progress: impl FnMut(&str),
    interrupted: impl Fn() -> F,
) -> anyhow::Result<Report> {
    let (mut values, mut invalid) = (Vec::new(), None);
    for seed in seeds.clone() {
        let mut made = run(scenario, seed, setup, interrupted())?;
        progress(&account(seed, &made));
        for _ in 0..setup.repeats {
            if late(&made).is_some() {
                made = run(scenario, seed, setup, interrupted())?;
                progress(&account(seed, &made));
            }
        }
        invalid = invalid.or_else(|| late(&made).map(|why| format!("seed {seed}: {why}")));
        let figures = scenario.thresholds.iter().map(|threshold| compute(&made, threshold.figure));
        values.push(figures.collect::<Vec<_>>());
    }
    let judgements = scenario.thresholds.iter().enumerate().map(|(index, threshold)| {
        let values: Vec<f64> = values.iter().filter_map(|seed| seed.get(index).copied()).collect();
        let median = if values.iter().any(|value| value.is_nan()) { f64::NAN } else { median(&values) };
        Judgement { threshold: *threshold, median, pass: threshold.bound.holds(median), values }
    });
    let judgements = judgements.collect();
    Ok(Report { scenario: scenario.name.clone(), seeds: seeds.collect(), judgements, invalid })
}

fn late(run: &Run) -> Option<String> {
    let lag = figures::lag(run);
    // Not a number where nothing was sent: that run proves nothing either.
    let kept = lag <= LAG_LIMIT.as_secs_f64();
    (!kept).then(|| format!("the harness was late: lag p99 {:.0} ms, limit {} ms", lag * 1e3, LAG_LIMIT.as_millis()))
}

fn account(seed: u64, run: &Run) -> String {
    let succeeded = run.attempts.iter().filter(|attempt| attempt.succeeded()).count();
    format!(
        "seed {seed}: {} people, {} requests, {} served, at most {} in flight at a server, lag p99 {:.1} ms",
        table::count(run.people.len() as u64),
        table::count(run.attempts.len() as u64),
        table::count(succeeded as u64),
        figures::peak(run),
        figures::lag(run) * 1e3,
    )
}

impl Report {
    /// Whether every threshold holds, of a run that is valid.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.invalid.is_none() && self.judgements.iter().all(|judgement| judgement.pass)
    }

    /// As a table.
    #[must_use]
    pub fn table(&self) -> String {
        let rows: Vec<_> = self.judgements.iter().map(Judgement::row).collect();
        let table = table::render(&["median", "least", "most", "must be", "verdict"], &rows);
        match &self.invalid {
            Some(why) => format!("{table}  INVALID  {why}\n"),
            None => table,
        }
    }
}

impl Judgement {
    fn row(&self) -> table::Row {
        let figure = self.threshold.figure;
        let (least, most) =
            self.values.iter().fold((f64::NAN, f64::NAN), |(least, most), value| (least.min(*value), most.max(*value)));
        let verdict = match (self.threshold.bound, self.pass) {
            (Bound::Shown, _) => "–",
            (_, true) => "PASS",
            (_, false) => "MISSED",
        };
        let bound = match self.threshold.bound {
            Bound::AtLeast(least) => format!("≥ {}", written(figure, least)),
            Bound::AtMost(most) => format!("≤ {}", written(figure, most)),
            Bound::Shown => "–".into(),
        };
        let cells = vec![written(figure, self.median), written(figure, least), written(figure, most), bound];
        (label(figure), cells.into_iter().chain([verdict.to_owned()]).collect())
    }
}

fn label(figure: Figure) -> String {
    match figure {
        Figure::Goodput => "goodput, of the capacity there was".into(),
        Figure::ColdStart => "start until 95 % of the capacity".into(),
        Figure::Recovery { share } => format!("change until {:.0} % of the capacity", share * 100.0),
        Figure::WastedWork => "work nobody heard of".into(),
        Figure::OverLimit => "starts above the limit in force".into(),
        Figure::Drift => "drift of what is in flight".into(),
        Figure::Completed => "finished, of those let in".into(),
        Figure::MidFunnelRefusals => "refusals after the first step".into(),
        Figure::JainClients => "Jain's index, honest clients".into(),
        Figure::GreedyShare => "a greedy client, in honest ones".into(),
        Figure::JainDeciles => "Jain's index, deciles of arrival".into(),
        Figure::Overtakes => "overtaken, by more than 100 ms".into(),
        Figure::LongestOvertake => "longest overtaking".into(),
        Figure::PromiseError => "error of Retry-After, p90".into(),
        Figure::WaitError => "error of the predicted wait, p90".into(),
        Figure::Amplification => "requests at the service a person".into(),
        Figure::Room(figure) => figure.label().into(),
    }
}

fn written(figure: Figure, value: f64) -> String {
    if value.is_nan() {
        return "not measured".into();
    }
    if value.is_infinite() {
        return "never".into();
    }
    match figure {
        Figure::Goodput | Figure::Completed | Figure::Drift | Figure::PromiseError | Figure::WaitError => {
            format!("{:.1} %", value * 100.0)
        }
        Figure::WastedWork => format!("{:.3} %", value * 100.0),
        Figure::ColdStart | Figure::Recovery { .. } => format!("{value:.2} s"),
        Figure::LongestOvertake => format!("{:.0} ms", value * 1e3),
        Figure::OverLimit | Figure::MidFunnelRefusals | Figure::Overtakes => format!("{value:.0}"),
        Figure::JainClients | Figure::JainDeciles => format!("{value:.4}"),
        Figure::GreedyShare => format!("{value:.2}"),
        Figure::Amplification => format!("{value:.3}"),
        Figure::Room(figure) => figure.written(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judgement(bound: Bound, values: &[f64]) -> Judgement {
        let threshold = Threshold { figure: Figure::Goodput, bound };
        let median = median(values);
        Judgement { threshold, values: values.to_vec(), median, pass: bound.holds(median) }
    }

    #[test]
    fn a_report_passes_only_if_valid_and_every_threshold_holds() {
        let good = judgement(Bound::AtLeast(0.95), &[0.97, 0.5, 0.98]);
        let report = |judgements, invalid| Report { scenario: "x".into(), seeds: vec![1, 2, 3], judgements, invalid };
        assert!(report(vec![good.clone()], None).passed());
        assert!(!report(vec![good.clone()], Some("late".into())).passed());
        assert!(!report(vec![good.clone(), judgement(Bound::AtMost(0.1), &[0.2])], None).passed());
        assert!(!report(vec![judgement(Bound::AtMost(0.1), &[])], None).passed(), "nothing measured");
        let table = report(vec![good], None).table();
        assert!(table.contains("97.0 %  50.0 %  98.0 %  ≥ 95.0 %") && table.contains("PASS"), "{table}");
    }
}
