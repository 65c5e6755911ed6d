//! I11: what was said to be over stays over.
//!
//! Judged: everybody whose request had an effect at the entrance, in runs in which anybody was told that it is over (quota spent, closed) or an end is declared.
//! Broken by whoever was himself told so and let in by a request that he sent later; and by whoever first came, by more than the resolution, after somebody else was
//! told so, or after the declared end, and was let in all the same. Those who had a place before go on being served: that is what `at_close = "serve"` says.

use crate::ledger::{Kind, Told, Word};
use crate::oracle::evidence::Evidence;
use crate::oracle::facts::{micros, seconds};
use crate::oracle::finding::{Finding, Invariant, Search, Who};

pub(super) fn find(evidence: &Evidence<'_>) -> Finding {
    let mut search = Search::of(Invariant::Closing);
    let resolution = micros(evidence.run.declared.resolution);
    let entrance = evidence.run.entrance();
    let is_over = |told: &&Told| told.word == Word::Over && told.kind != Kind::Forged && told.stage == entrance;
    let told_over = evidence.brief.iter().filter(|told| is_over(&told)).map(|told| told.ended).min();
    let declared = evidence.run.declared.closes.map(micros);
    let Some(end) = told_over.into_iter().chain(declared).min() else {
        return search.impossible("nothing closed in this run");
    };
    for (records, journey) in evidence.briefly().zip(&evidence.journeys) {
        let over = records.told.iter().filter(is_over).map(|told| told.ended).min();
        let at_entrance = |served: &&crate::ledger::Served| served.stage == entrance && evidence.is_effect(served);
        for served in records.served.iter().filter(at_entrance) {
            let Some(told) = served.id.and_then(|id| records.told_of(id)) else { continue };
            search.looked_at(1);
            if let Some(over) = over.filter(|over| *over < told.sent) {
                search.broken(Who::Request(told.id), served.done, || {
                    format!("let in, though told at {:.3} s that it is over", seconds(over))
                });
            } else if journey.came != u64::MAX && journey.came > end.saturating_add(resolution) {
                search.broken(Who::Request(told.id), served.done, || {
                    format!("let in, though its sender first came after the end, which was at {:.3} s", seconds(end))
                });
            }
        }
    }
    search.end()
}
