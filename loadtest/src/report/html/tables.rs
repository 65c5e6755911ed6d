//! What stands in tables: judgement, people, ledgers, fingerprint.

use std::fmt::Write;

use crate::figure::{Bound, Figure, LAG_LIMIT};
use crate::oracle::table::written;
use crate::oracle::{Checked, Doubt, Finding, State, Who};
use crate::report::series::{Kind, Reconciled, Second, Series};
use crate::report::text::{escape, quoted};
use crate::report::{Fingerprint, Report};
use crate::table::count;

/// Offenders of one invariant on the page; all that are kept are in the JSON.
const SHOWN: usize = 5;

/// The command that tells the story of `who` in the folder that is so written for a shell.
pub(in crate::report) fn trace(who: Who, folder: &str) -> Option<String> {
    match who {
        Who::Request(id) => Some(format!("loadtest trace {folder} {id}")),
        Who::Person(person) => Some(format!("loadtest trace {folder} {person}")),
        Who::Service(_) => None,
    }
}

pub(super) fn judgement(report: &Report) -> String {
    let judgement = &report.judgement;
    let invariants: String = judgement.invariants.iter().map(invariant).collect();
    let rows: Vec<_> = judgement.figures.iter().map(|(it, value)| figure(*it, *value, &judgement.thresholds)).collect();
    let half = |rows: &[String]| {
        format!("<table><tr><th>figure<th class=n>value<th class=n>threshold<th>{}</table>", rows.concat())
    };
    let figures: String = rows.chunks(rows.len().div_ceil(2).max(1)).map(half).collect();
    format!(
        "<h2>Invariants</h2><div class=wide><table><tr><th><th>promise<th class=n>judged<th class=n>broken<th>{invariants}</table></div>\
         <h2>Figures and thresholds</h2><div class='wide figures'>{figures}</div>"
    )
}

fn invariant(finding: &Finding) -> String {
    let (class, state) = match finding.state {
        State::Holds => ("yes", "holds"),
        State::Broken => ("no", "BROKEN"),
        State::NotJudged => ("soft", "not judged"),
    };
    let note = if finding.note.is_empty() {
        String::new()
    } else {
        format!("<br><span class=note>{}</span>", escape(&finding.note))
    };
    let (id, name, promise) = (finding.invariant.id(), finding.invariant.name(), finding.invariant.promise());
    format!(
        "<tr><td class=s>{id} {name}<td>{promise}{note}<td class=n>{}<td class=n>{}<td class='s {class}'>{state}",
        count(finding.judged),
        count(finding.count)
    )
}

fn figure(figure: Figure, value: f64, thresholds: &[Checked]) -> String {
    let (mut bounds, mut state) = (Vec::new(), String::new());
    for checked in thresholds.iter().filter(|checked| checked.threshold.figure == figure) {
        bounds.push(match checked.threshold.bound {
            Bound::AtLeast(least) => format!("≥ {}", written(figure, least)),
            Bound::AtMost(most) => format!("≤ {}", written(figure, most)),
        });
        let (class, word) = match checked.state {
            State::Holds => ("yes", "kept"),
            State::Broken => ("no", "MISSED"),
            State::NotJudged => ("soft", "not judged"),
        };
        if !state.contains("MISSED") {
            let why = checked.why().map(|why| format!(": {why}")).unwrap_or_default();
            state = format!("<span class={class}>{word}{why}</span>");
        }
    }
    let (name, value) = (figure.name(), written(figure, value));
    format!("<tr><td>{name}<td class=n>{value}<td class=n>{}<td class=s>{state}", bounds.join(", "))
}

pub(super) fn personas(series: &Series) -> String {
    let most = series.personas.iter().map(|kind| kind.mean).fold(1.0, f64::max);
    let row = |kind: &Kind| {
        let Kind { name, people, mean, p50, p99, max, registered } = kind;
        let width = mean / most * 160.0;
        format!(
            "<tr><td>{}<td class=n>{}<td class=n>{}<td class=n>{mean:.2}<td><span class=bar style='width:{width:.0}px'></span>\
             <td class=n>{p50}<td class=n>{p99}<td class=n>{max}",
            escape(name),
            count(*people),
            count(*registered)
        )
    };
    let rows: String = series.personas.iter().map(row).collect();
    format!(
        "<figure><figcaption><b>Requests a person</b> <span class=note>by kind; what a line saves them, and the services</span></figcaption>\
         <div class=wide><table><tr><th>kind<th class=n>people<th class=n>registered<th class=n>mean<th><th class=n>p50<th class=n>p99\
         <th class=n>most{rows}</table></div></figure>"
    )
}

pub(super) fn reconciliation(series: &Series) -> String {
    let row = |stage: &Reconciled| {
        let Reconciled { both, told_only, done_only, again, began, strangers, .. } = stage;
        let red = |count: u64| if count > 0 { "class='n no'" } else { "class=n" };
        format!(
            "<tr><td>{}<td class=n>{}<td class=n>{}<td {}>{}<td class=n>{}<td {}>{}<td {}>{}",
            escape(&stage.stage),
            count(*began),
            count(*both),
            red(*told_only),
            count(*told_only),
            count(*done_only),
            red(*again),
            count(*again),
            red(*strangers),
            count(*strangers)
        )
    };
    let rows: String = series.stages.iter().map(row).collect();
    format!(
        "<p class=soft>What people were told against what the services wrote down. Who has it done and was not told so lost an answer: the service or \
         the way may do that; the oracle says whether it was the gateway.</p><div class=wide><table><tr><th>stage<th class=n>requests that began\
         <th class=n>told and done<th class=n>told, not done<th class=n>done, not told<th class=n>done again<th class=n>done for nobody{rows}</table></div>"
    )
}

pub(super) fn offenders(report: &Report) -> String {
    let (mut rows, folder) = (String::new(), quoted(&report.fingerprint.folder));
    for finding in report.judgement.broken() {
        for offender in finding.offenders.iter().take(SHOWN) {
            let command = trace(offender.who, &folder).unwrap_or_default();
            let (id, at) = (finding.invariant.id(), offender.at as f64 / 1e6);
            // Writing to a string does not fail.
            write!(
                rows,
                "<tr><td class='s no'>{id}<td class=n>{at:.3} s<td>{}: {}<br><code>{}</code>",
                escape(&offender.who.to_string()),
                escape(&offender.what),
                escape(&command)
            )
            .ok();
        }
    }
    if rows.is_empty() {
        return "<p class=soft>Nobody broke an invariant.</p>".to_owned();
    }
    format!(
        "<figure><figcaption><b>First offenders</b> <span class=note>at most {SHOWN} of each invariant; the command tells a person's story</span>\
         </figcaption><div class=wide><table><tr><th><th class=n>at<th>who, and how{rows}</table></div></figure>"
    )
}

pub(super) fn health(report: &Report) -> String {
    let (judgement, series) = (&report.judgement, &report.series);
    let sum = |of: fn(&Second) -> u32| series.seconds.iter().map(|second| u64::from(of(second))).sum::<u64>();
    let most = |of: fn(&Second) -> u32| series.seconds.iter().map(of).max().unwrap_or(0).into();
    let (offered, achieved) = (most(|second| second.planned), most(|second| second.arrived));
    let latest = series.seconds.iter().map(|second| second.lag_max).fold(0.0, f64::max);
    let doubt = |doubt: &Doubt| format!("<dt class=may>in doubt<dd>{}", escape(&doubt.to_string()));
    let doubts = judgement.doubts.iter().map(doubt).collect::<Vec<_>>().concat();
    let doubts = if doubts.is_empty() { "<dt>in doubt<dd>nothing".to_owned() } else { doubts };
    format!(
        "<dl>{doubts}<dt>offered and achieved<dd>{} people were to come, {} came; in the busiest second {} and {}; {} requests, {} in the \
         busiest second\
         <dt>lag<dd>p99 {} of {} ms allowed, the latest {:.1} ms<dt>memory<dd>{}</dl>",
        count(report.fingerprint.people),
        count(sum(|second| second.arrived)),
        count(offered),
        count(achieved),
        count(sum(|second| second.sent)),
        count(most(|second| second.sent)),
        written(Figure::LagP99, judgement.value(Figure::LagP99)),
        LAG_LIMIT.as_millis(),
        latest * 1e3,
        written(Figure::HarnessMemory, judgement.value(Figure::HarnessMemory)),
    )
}

pub(super) fn fingerprint(fingerprint: &Fingerprint) -> String {
    let machine = &fingerprint.machine;
    let versions: Vec<_> = fingerprint.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    let gibibytes = machine.memory as f64 / 1_073_741_824.0;
    let gateway = if fingerprint.gateway.is_empty() {
        "none: people went straight to the services"
    } else {
        &fingerprint.gateway
    };
    let entries = [
        ("scenario", fingerprint.scenario.clone()),
        ("seed", fingerprint.seed.to_string()),
        ("plan", fingerprint.plan_hash.clone()),
        ("people", format!("{}, played by {} processes", count(fingerprint.people), fingerprint.workers)),
        ("time scale", fingerprint.time_scale.clone()),
        ("versions", versions.join(", ")),
        ("gateway", gateway.to_owned()),
        (
            "machine",
            format!(
                "{}, {} cores, {gibibytes:.1} GiB, {}, {} descriptors",
                machine.processor, machine.cores, machine.kernel, machine.descriptors
            ),
        ),
        ("folder", fingerprint.folder.clone()),
    ];
    let row = |(name, value): &(&str, String)| format!("<dt>{name}<dd>{}", escape(value));
    format!("<dl>{}</dl>", entries.iter().map(row).collect::<String>())
}
