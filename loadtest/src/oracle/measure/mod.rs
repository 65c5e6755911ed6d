//! From ledgers to figures: each of [`Figure::ALL`], defined exactly.
//!
//! **Invariants**: of what there is nothing there is no number. Where `overload::figures` has the same figure, it is the same.

mod capacity;
mod cost;
mod people;
mod wait;

pub(crate) use self::capacity::reached_nobody;
pub(super) use self::people::coming;
use super::evidence::Evidence;
use super::finding::{Finding, Invariant};
use super::invariant::{kept, over_limit};
use crate::figure::Figure;

/// All figures, in order. Two of them are counts of broken `invariants`.
pub(super) fn all(evidence: &Evidence<'_>, invariants: &[Finding]) -> Vec<(Figure, f64)> {
    let bottleneck = capacity::Bottleneck::of(evidence);
    let waits = wait::Waits::of(evidence);
    let answers = wait::Answers::of(evidence);
    let memory = cost::memory(evidence);
    let broken = |which: Invariant| invariants.iter().find(|finding| finding.invariant == which);
    let value = |figure: Figure| match figure {
        Figure::Goodput => bottleneck.goodput(evidence),
        Figure::Registered => bottleneck.registered(evidence),
        Figure::ColdStart => bottleneck.cold_start(evidence),
        Figure::Recovery => bottleneck.recovery(evidence),
        Figure::WastedWork => bottleneck.wasted_work(evidence),
        Figure::FunnelFinished => people::funnel_finished(evidence),
        Figure::FunnelRefusals => people::funnel_refusals(evidence),
        Figure::OverLimit => over_limit(evidence),
        Figure::Overtaken => count(broken(Invariant::Order)),
        Figure::SlipP99 => people::slip(evidence),
        Figure::PlaceKept => kept(evidence),
        Figure::EtaErrorP50 => waits.error(0.5),
        Figure::EtaErrorP95 => waits.error(0.95),
        Figure::EtaCoverage => waits.coverage(),
        Figure::TurnNoticedP99 => wait::noticed(evidence),
        Figure::RequestsPerPerson => people::requests(evidence),
        Figure::Amplification => people::amplification(evidence),
        Figure::JainDeciles => people::deciles(evidence),
        Figure::AnswerP50 => answers.answer(0.5),
        Figure::AnswerP99 => answers.answer(0.99),
        Figure::Silence => broken(Invariant::Silence).map_or(f64::NAN, |it| it.count as f64 / it.judged as f64),
        Figure::LagP99 => answers.lag(0.99),
        Figure::GatewayMemory => memory.gateway,
        Figure::GatewayCpu => cost::processor(evidence),
        Figure::HarnessMemory => memory.harness,
    };
    Figure::ALL.into_iter().map(|figure| (figure, value(figure))).collect()
}

/// Whether there was anything in the run by which `figure` could be told. It is no fault of a gateway that nobody had to wait.
pub(super) fn has_case(evidence: &Evidence<'_>, figure: Figure) -> bool {
    match figure {
        Figure::PlaceKept | Figure::SlipP99 | Figure::TurnNoticedP99 => people::sent_away(evidence),
        Figure::EtaErrorP50 | Figure::EtaErrorP95 | Figure::EtaCoverage => {
            people::sent_away(evidence) || wait::long(evidence)
        }
        _ => true,
    }
}

fn count(finding: Option<&Finding>) -> f64 {
    finding.filter(|finding| finding.judged > 0).map_or(f64::NAN, |finding| finding.count as f64)
}

/// The smallest value that `share` of all do not exceed, in a time linear in them; not a number if there are none.
pub(super) fn quantile(values: &mut [f32], share: f64) -> f64 {
    let rank = (share * values.len() as f64).ceil().max(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 1 to the length")]
    let position = rank as usize - 1;
    if position >= values.len() {
        return f64::NAN;
    }
    f64::from(*values.select_nth_unstable_by(position, f32::total_cmp).1)
}

/// Seconds between two instants, in half the memory.
#[expect(clippy::cast_possible_truncation, reason = "a microsecond of a day is more than enough")]
pub(super) fn apart(from: u64, until: u64) -> f32 {
    (until.saturating_sub(from) as f64 / 1e6) as f32
}
