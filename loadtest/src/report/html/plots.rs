//! Which plots there are, and what they say.

use crate::figure::LAG_LIMIT;
use crate::report::plot::{Axis, Band, Layer, POINTS, Plot, Scale, Shape, clock, number, span, stack};
use crate::report::series::{Disturbance, Looked, OUTCOMES, Second, Series, Used, Wait};
use crate::report::text::escape;

/// Bytes.
const MIB: f64 = 1_048_576.0;

/// What was disturbed when, over time.
pub(in crate::report) fn bands(series: &Series) -> Vec<Band> {
    let band = |fault: &Disturbance| Band { from: fault.from, until: fault.until, name: fault.what.clone() };
    series.faults.iter().map(band).collect()
}

/// The last request ended in the second before.
fn end(series: &Series) -> f64 {
    series.seconds.len() as f64
}

/// One point for each of at most [`POINTS`] spans of seconds: what `value` is of all seconds of a span, in the middle of it.
fn thinned(series: &Series, value: impl Fn(&[Second]) -> f64) -> Vec<(f64, f64)> {
    let length = series.seconds.len().div_ceil(POINTS).max(1);
    let spans = series.seconds.chunks(length).enumerate();
    spans.map(|(index, span)| ((index * length) as f64 + span.len() as f64 / 2.0, value(span))).collect()
}

fn mean(series: &Series, of: impl Fn(&Second) -> f64) -> Vec<(f64, f64)> {
    thinned(series, |span| span.iter().map(&of).sum::<f64>() / span.len() as f64)
}

fn most(lines: &[&[(f64, f64)]]) -> f64 {
    lines.iter().flat_map(|line| line.iter()).map(|(_, value)| *value).fold(0.0, f64::max)
}

pub(super) fn arrivals(series: &Series) -> String {
    let (arrived, sent) = (mean(series, |it| it.arrived.into()), mean(series, |it| it.sent.into()));
    let planned = mean(series, |it| it.planned.into());
    let y = Axis::counts("a second", most(&[&planned, &arrived, &sent]));
    let layers = vec![
        Layer::line("requests sent", 7, sent),
        Layer::dashed("people who were to come", 4, planned),
        Layer::line("people who came", 1, arrived),
    ];
    let note = "people, and the requests they made of it";
    Plot { title: "Arrivals", note, height: 130.0, x: Axis::clock(end(series)), y, bands: &bands(series), layers }
        .draw()
}

/// Admitted and goodput over the capacity.
pub(in crate::report) fn rates(series: &Series) -> String {
    let capacity = mean(series, |it| it.capacity);
    let (admitted, goodput) = (mean(series, |it| it.admitted), mean(series, |it| it.goodput));
    let y = Axis::counts("people a second", most(&[&capacity, &admitted, &goodput]));
    let area = Layer {
        name: if series.calibrated.is_some() { "capacity, calibrated" } else { "capacity, as declared" }.to_owned(),
        colour: 7,
        shape: Shape::Back(capacity.iter().map(|(x, upper)| (*x, 0.0, *upper)).collect()),
    };
    let layers = vec![area, Layer::line("admitted", 2, admitted), Layer::line("goodput", 3, goodput)];
    let bottleneck = escape(&series.bottleneck);
    let note = format!("at the bottleneck, {bottleneck}: requests that began there, and work that was heard of");
    let title = "Admitted and goodput over capacity";
    Plot { title, note: &note, height: 200.0, x: Axis::clock(end(series)), y, bands: &bands(series), layers }.draw()
}

/// So many upstreams are drawn, those first that hold most.
const UPSTREAMS: usize = 12;

pub(super) fn gateway(series: &Series) -> String {
    let held =
        |looks: &[Looked]| looks.iter().map(|it| it.in_flight + it.waiting).sum::<u64>() / looks.len().max(1) as u64;
    let mut upstreams: Vec<_> = series.gateway.iter().collect();
    upstreams.sort_by_key(|(_, looks)| std::cmp::Reverse(held(looks)));
    let panels: String =
        upstreams.into_iter().take(UPSTREAMS).map(|(name, looks)| upstream(series, name, looks)).collect();
    let step = series.rooms.len().div_ceil(POINTS).max(1);
    let rooms = series.rooms.iter().step_by(step).filter(|(at, _)| *at <= end(series));
    let rooms: Vec<(f64, f64)> = rooms.map(|(at, people)| (*at, *people as f64)).collect();
    let (x, y) = (Axis::clock(end(series)), Axis::counts("waiting", most(&[&rooms])));
    let layers = vec![Layer::line("people in waiting rooms", 5, rooms)];
    let note = "as the gateway counts them";
    panels + &Plot { title: "Who waits", note, height: 110.0, x, y, bands: &bands(series), layers }.draw()
}

/// What the gateway said of one upstream.
fn upstream(series: &Series, name: &str, looks: &[Looked]) -> String {
    let step = looks.len().div_ceil(POINTS).max(1);
    let line = |of: fn(&Looked) -> f64| -> Vec<(f64, f64)> {
        let looks = looks.iter().step_by(step).filter(|looked| looked.at <= end(series));
        looks.map(|looked| (looked.at, of(looked))).collect()
    };
    let (limit, in_flight) = (line(|it| it.limit), line(|it| it.in_flight as f64));
    let waiting = line(|it| it.waiting as f64);
    let y = Axis::counts("requests", most(&[&limit, &in_flight, &waiting]));
    let layers = vec![
        Layer::line("held in line", 4, waiting),
        Layer::line("in flight", 1, in_flight),
        Layer::line("limit in force", 2, limit),
    ];
    let title = format!("The gateway's limit for {name}");
    let note = "what it said; nothing is judged by it but over-admission";
    let (x, bands) = (Axis::clock(end(series)), bands(series));
    Plot { title: &title, note, height: 110.0, x, y, bands: &bands, layers }.draw()
}

/// Shorter waits stand at the edge, in seconds.
const SHORTEST: f64 = 0.5;

/// Lengths of time that differ by powers of ten.
fn length(label: &str, most: f64) -> Axis {
    let to = (most * 1.3).max(SHORTEST * 100.0);
    Axis { label: label.to_owned(), from: SHORTEST, to, scale: Scale::Log, write: span }
}

/// Waits over time.
pub(in crate::report) fn waits_over_time(series: &Series) -> String {
    let line =
        |of: fn(&Wait) -> f64| -> Vec<(f64, f64)> { series.waits.iter().map(|wait| (wait.at, of(wait))).collect() };
    let (told, p90, truth) = (line(|it| it.told), line(|it| it.told_p90), line(|it| it.truth));
    let y = length("wait", most(&[&told, &p90, &truth]));
    let layers = vec![
        Layer::dashed("told, p90", 4, p90),
        Layer::line("told, p50", 1, told),
        Layer::line("the wait that followed", 3, truth),
    ];
    let note = "medians over everybody who was told a wait at that time and had to wait 5 s or longer";
    Plot {
        title: "Waits told and true",
        note,
        height: 170.0,
        x: Axis::clock(end(series)),
        y,
        bands: &bands(series),
        layers,
    }
    .draw()
}

pub(super) fn promises(series: &Series) -> String {
    let all = series.promises.iter().fold(0.0_f64, |most, (told, truth)| most.max(*told).max(*truth));
    let exact = if series.promises.is_empty() { Vec::new() } else { vec![(SHORTEST, SHORTEST), (all, all)] };
    let layers = vec![Layer::dots("a wait told", 1, series.promises.clone()), Layer::dashed("exact", 7, exact)];
    let note = "above the line somebody waited longer than the median told, below it shorter";
    let (x, y) = (length("told, p50", all), length("the wait that followed", all));
    Plot { title: "Each promise", note, height: 260.0, x, y, bands: &[], layers }.draw()
}

pub(super) fn order(series: &Series) -> String {
    let all = || series.order.iter().chain(&series.slips);
    let (people, until) = all().fold((0.0_f64, 0.0_f64), |most, (x, y)| (most.0.max(*x), most.1.max(*y)));
    let layers = vec![
        Layer::dots("entered", 1, series.order.clone()),
        Layer::dots("entered after somebody who came later", 2, series.slips.clone()),
    ];
    let note = "by coming: a fair gateway draws a line that never falls. Who was away when his turn came enters late and is no fault of it; \
                I6 judges those who were there";
    let x = Axis::counts("place in the order of coming", people);
    let y = Axis { scale: Scale::Clock, write: clock, ..Axis::counts("entered at", until) };
    Plot { title: "Place and time of entry", note, height: 280.0, x, y, bands: &[], layers }.draw()
}

/// Quantiles of answers.
pub(in crate::report) fn spectra(series: &Series) -> String {
    let mut layers = Vec::new();
    for (spectrum, colour) in series.spectra.iter().zip([2, 1, 7]) {
        layers.push(Layer::line(&spectrum.name, colour, spectrum.points.clone()));
    }
    spectrum_plot(
        layers,
        "both axes are logarithmic; the two answers differ by how late the harness sent, which people feel all the same",
    )
}

/// Quantiles of times, as lines.
pub(in crate::report) fn spectrum_plot(layers: Vec<Layer>, note: &str) -> String {
    let points = || layers.iter().flat_map(Layer::line_points);
    let nines = points().map(|(nines, _)| nines).fold(1_000.0, f64::max);
    let longest = points().map(|(_, value)| value).fold(0.01, f64::max);
    let quantile: fn(f64) -> String = |nines| {
        let text = format!("{:.6}", (1.0 - 1.0 / nines) * 100.0);
        format!("p{}", text.trim_end_matches('0').trim_end_matches('.'))
    };
    let x = Axis { label: "quantile".to_owned(), from: 1.0, to: nines, scale: Scale::Log, write: quantile };
    let y = Axis { label: "time".to_owned(), from: 0.000_1, to: longest * 1.2, scale: Scale::Log, write: span };
    Plot { title: "Percentiles", note, height: 240.0, x, y, bands: &[], layers }.draw()
}

pub(super) fn outcomes(series: &Series) -> String {
    const COLOURS: [u8; 9] = [3, 1, 8, 4, 5, 7, 6, 9, 2];
    const NAMES: [&str; 9] = [
        "done",
        "a place in line",
        "your turn",
        "come again later",
        "not open yet",
        "over",
        "the service failed",
        "wrong",
        "no answer",
    ];
    let sums: Vec<_> = (0..OUTCOMES.len())
        .map(|index| mean(series, |second| second.outcomes.get(index).copied().unwrap_or(0).into()))
        .collect();
    let rows: Vec<(f64, Vec<f64>)> = (0..sums.first().map_or(0, Vec::len))
        .map(|at| {
            let of = |line: &Vec<(f64, f64)>| line.get(at).copied().unwrap_or_default();
            (sums.first().map(of).unwrap_or_default().0, sums.iter().map(|line| of(line).1).collect())
        })
        .collect();
    let highest = rows.iter().map(|(_, heights)| heights.iter().sum()).fold(0.0, f64::max);
    let named: Vec<_> = NAMES.into_iter().zip(COLOURS).collect();
    let (x, y) = (Axis::clock(end(series)), Axis::counts("requests a second", highest));
    let note = "what requests ended with; a refusal by policy is an answer";
    let layers = stack(&named, &rows);
    Plot { title: "Outcomes", note, height: 190.0, x, y, bands: &bands(series), layers }.draw()
}

pub(super) fn processes(series: &Series) -> String {
    let panel = |title: &str, label: &str, of: &dyn Fn(&Used) -> f64| {
        let line = |((name, used), colour): ((&String, &Vec<Used>), u8)| {
            let step = used.len().div_ceil(POINTS).max(1);
            let points = used.chunks(step).filter_map(|span| {
                let highest = span.iter().map(of).reduce(f64::max)?;
                Some((span.first()?.at, highest)).filter(|(at, _)| *at <= end(series))
            });
            Layer::line(name, colour, points.collect())
        };
        let colours = [1, 2, 3, 4, 5, 6, 8, 9].into_iter().cycle();
        let layers: Vec<_> = series.processes.iter().zip(colours).map(line).collect();
        let highest = series.processes.values().flatten().map(of).fold(0.0, f64::max);
        let (x, y) = (Axis::clock(end(series)), Axis::counts(label, highest));
        Plot { title, note: "", height: 110.0, x, y, bands: &bands(series), layers }.draw()
    };
    panel("Processor", "cores", &|used| used.cpu)
        + &panel("Memory", "MiB", &|used| used.memory as f64 / MIB)
        + &panel("Descriptors", "open", &|used| used.descriptors.into())
}

pub(super) fn lag(series: &Series) -> String {
    let worst = thinned(series, |span| span.iter().map(|second| second.lag_max).fold(0.0, f64::max) * 1e3);
    let middle = mean(series, |second| second.lag_mean * 1e3);
    let limit = LAG_LIMIT.as_secs_f64() * 1e3;
    let y = Axis { write: number, ..Axis::counts("ms late", most(&[&worst, &[(0.0, limit)]])) };
    let allowed = vec![(0.0, limit), (end(series), limit)];
    let layers = vec![
        Layer::line("the latest of a second", 1, worst),
        Layer::line("mean", 3, middle),
        Layer::dashed("the run is invalid if the 99th percentile is above", 6, allowed),
    ];
    let note = "how late requests were sent after the instant at which they were meant to be";
    Plot { title: "Lag", note, height: 130.0, x: Axis::clock(end(series)), y, bands: &bands(series), layers }.draw()
}
