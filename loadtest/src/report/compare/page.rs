//! The page of a comparison: its outcome, the figures, and the main plots of both laid over each other.

use super::{Comparison, Meaning, Past};
use crate::report::html;
use crate::report::plot::{Axis, Layer, POINTS, Plot};
use crate::report::series::Second;
use crate::report::text::escape;

/// Runs of a side that are drawn.
const DRAWN: usize = 5;

/// Colours of before and after.
const SIDES: [u8; 2] = [7, 1];

/// The whole page.
#[must_use]
pub fn page(comparison: &Comparison) -> String {
    let class = match (comparison.is_invalid(), comparison.is_regression()) {
        (true, _) => "doubt",
        (_, true) => "fail",
        _ => "pass",
    };
    let names = |runs: &[Past]| {
        let name =
            |run: &Past| format!("<code>{}</code> {}", escape(&run.fingerprint.folder), html::word(run.verdict()));
        runs.iter().map(name).collect::<Vec<_>>().join("<br>")
    };
    let outcome = comparison.outcome();
    let (word, why) = outcome.split_once(": ").unwrap_or((&outcome, ""));
    let said = |it: &String| format!("<p class=may>Not the same experiment: {}</p>", escape(it));
    let different = comparison.differences.iter().map(said).collect::<Vec<_>>().concat();
    let content = [
        "<h1>Before and after</h1>".to_owned(),
        format!("<div class='banner {class}'><b>{}</b><span>{}</span></div>{different}", escape(word), escape(why)),
        format!("<dl><dt>before<dd>{}<dt>after<dd>{}</dl>", names(&comparison.before), names(&comparison.after)),
        figures(comparison),
        "<h2>Goodput</h2>".to_owned(),
        over_time(comparison, "Goodput", "people a second", |second| second.goodput),
        over_time(comparison, "Requests sent", "a second", |second| second.sent.into()),
        over_time(comparison, "Registered", "people a second", |second| second.registered.into()),
        "<h2>Waits and answers</h2>".to_owned(),
        waits(comparison),
        answers(comparison),
    ];
    html::document("before and after", &content.join("\n"))
}

fn figures(comparison: &Comparison) -> String {
    let row = |change: &super::Change| {
        let class = match change.meaning {
            Meaning::Worse => "no",
            Meaning::Better => "yes",
            Meaning::Same | Meaning::Unknown => "soft",
        };
        let [before, after, delta, band, meaning] = change.cells();
        format!(
            "<tr><td>{}<td class=n>{before}<td class=n>{after}<td class=n>{delta}<td class=n>{band}<td class='s {class}'>{meaning}",
            change.figure.name()
        )
    };
    let rows: String = comparison.changes.iter().map(row).collect();
    format!(
        "<h2>Figures</h2><p class=soft>Means of {} and {} runs. Noise: 99 % interval of the difference of means (Welch's t); where one side has fewer \
         than {} runs, the other's spread stands for both.</p><div class=wide><table><tr><th>figure<th class=n>before<th class=n>after\
         <th class=n>delta<th class=n>noise<th>{rows}</table></div>",
        comparison.before.len(),
        comparison.after.len(),
        super::RUNS
    )
}

/// A line for each run that is drawn; one name a side.
fn lines(comparison: &Comparison, points: impl Fn(&Past) -> Vec<(f64, f64)>) -> Vec<Layer> {
    let sides = [("before", &comparison.before), ("after", &comparison.after)];
    let side = |((name, runs), colour): ((&str, &Vec<Past>), u8)| {
        let layer = |(index, run): (usize, &Past)| Layer::line(if index == 0 { name } else { "" }, colour, points(run));
        runs.iter().take(DRAWN).enumerate().map(layer).collect::<Vec<_>>()
    };
    sides.into_iter().zip(SIDES).flat_map(side).collect()
}

fn over_time(comparison: &Comparison, title: &str, label: &str, of: fn(&Second) -> f64) -> String {
    let points = |run: &Past| {
        let length = run.series.seconds.len().div_ceil(POINTS).max(1);
        let mean = |(index, span): (usize, &[Second])| {
            let middle = (index * length) as f64 + span.len() as f64 / 2.0;
            (middle, span.iter().map(of).sum::<f64>() / span.len() as f64)
        };
        run.series.seconds.chunks(length).enumerate().map(mean).collect::<Vec<_>>()
    };
    let layers = lines(comparison, points);
    draw(comparison, title, label, layers)
}

fn draw(comparison: &Comparison, title: &str, label: &str, layers: Vec<Layer>) -> String {
    let runs = || comparison.before.iter().chain(&comparison.after);
    let until = runs().map(|run| run.series.seconds.len()).max().unwrap_or(1) as f64;
    let highest = layers.iter().flat_map(Layer::line_points).map(|(_, value)| value).fold(0.0, f64::max);
    let bands = comparison.before.first().map(|run| html::bands(&run.series)).unwrap_or_default();
    let (x, y) = (Axis::clock(until), Axis::counts(label, highest));
    Plot { title, note: "", height: 150.0, x, y, bands: &bands, layers }.draw()
}

fn waits(comparison: &Comparison) -> String {
    let layers = lines(comparison, |run| run.series.waits.iter().map(|wait| (wait.at, wait.truth)).collect());
    draw(comparison, "Wait that followed what was told", "seconds, median", layers)
}

fn answers(comparison: &Comparison) -> String {
    let points = |run: &Past| run.series.spectra.first().map(|spectrum| spectrum.points.clone()).unwrap_or_default();
    html::spectrum_plot(lines(comparison, points), "answers, from the intended instant")
}
