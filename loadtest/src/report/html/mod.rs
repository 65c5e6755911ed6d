//! The page of a run: the verdict first, then why, then everything that was seen.
//!
//! **Invariants**: one file; a policy in its head forbids the browser to fetch anything or run a script. Colours follow the reader's scheme,
//! and are those of paper when printed.
//! **Not here**: how a plot is drawn (`plot`), what is in it (`series`).

mod plots;
mod tables;

pub(super) use self::plots::{bands, spectrum_plot};
use self::plots::{rates, spectra, waits_over_time};
pub(super) use self::tables::trace;

use super::Report;
use super::text::escape;
use crate::figure::Figure;
use crate::oracle::Verdict;
use crate::oracle::table::written;

const STYLE: &str = include_str!("style.css");

/// The figures at the top.
const TILES: [Figure; 6] = [
    Figure::Goodput,
    Figure::Registered,
    Figure::Overtaken,
    Figure::EtaErrorP50,
    Figure::RequestsPerPerson,
    Figure::AnswerP99,
];

/// A page with this title and content.
pub(super) fn document(title: &str, content: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8><meta name=viewport content='width=device-width'>\
         <meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>{}</title><style>{STYLE}</style></head>\n<body><main>\n{content}\n</main></body></html>\n",
        escape(title)
    )
}

/// The page of a run.
pub(super) fn page(report: &Report) -> String {
    let (series, fingerprint) = (&report.series, &report.fingerprint);
    let content = [
        format!("<h1>{}</h1><p class=soft>{}</p>", escape(&fingerprint.scenario), escape(&fingerprint.shows)),
        banner(report),
        tiles(report),
        tables::judgement(report),
        "<h2>Load and capacity</h2>".to_owned(),
        plots::arrivals(series),
        rates(series),
        plots::gateway(series),
        "<h2>Waits, and what was told of them</h2>".to_owned(),
        waits_over_time(series),
        plots::promises(series),
        "<h2>Order of admission</h2>".to_owned(),
        plots::order(series),
        "<h2>Answers</h2>".to_owned(),
        spectra(series),
        plots::outcomes(series),
        tables::personas(series),
        "<h2>The ledgers side by side</h2>".to_owned(),
        tables::reconciliation(series),
        tables::offenders(report),
        "<h2>What every process used</h2>".to_owned(),
        plots::processes(series),
        "<h2>Health of the harness</h2>".to_owned(),
        plots::lag(series),
        tables::health(report),
        "<h2>Fingerprint of the run</h2>".to_owned(),
        tables::fingerprint(fingerprint),
    ];
    document(&format!("{}: {}", fingerprint.scenario, word(report.judgement.verdict)), &content.join("\n"))
}

/// A verdict in a word.
pub(super) const fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "PASS",
        Verdict::Threshold | Verdict::Invariant => "FAIL",
        Verdict::Invalid => "INVALID",
    }
}

fn banner(report: &Report) -> String {
    let judgement = &report.judgement;
    let broken: Vec<_> = judgement.broken().map(|finding| finding.invariant.id()).collect();
    let missed: Vec<_> =
        judgement.thresholds.iter().filter(|it| it.is_missed()).map(|it| it.threshold.figure.name()).collect();
    let mut why = Vec::new();
    if !broken.is_empty() {
        why.push(format!("broken: {}", broken.join(", ")));
    }
    if !missed.is_empty() {
        why.push(format!("missed: {}", missed.join(", ")));
    }
    let (class, text) = match judgement.verdict {
        Verdict::Pass => {
            ("pass", "Every invariant that could be judged holds, and every threshold is kept.".to_owned())
        }
        Verdict::Threshold | Verdict::Invariant => ("fail", why.join("; ")),
        Verdict::Invalid => {
            let doubts: Vec<_> = judgement.doubts.iter().map(ToString::to_string).collect();
            ("doubt", format!("This run says nothing of the gateway: {}.", doubts.join("; ")))
        }
    };
    format!("<div class='banner {class}'><b>{}</b><span>{}</span></div>", word(judgement.verdict), escape(&text))
}

fn tiles(report: &Report) -> String {
    let tile = |figure: &Figure| {
        let value = written(*figure, report.judgement.value(*figure));
        format!("<div class=tile><span>{}</span><b>{value}</b></div>", figure.name())
    };
    format!("<div class=tiles>{}</div>", TILES.iter().map(tile).collect::<String>())
}
