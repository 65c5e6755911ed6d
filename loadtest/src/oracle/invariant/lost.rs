//! I1: whoever was told that a stage is done has an effect there.
//!
//! Judged: every request for a stage that was answered with 200, 201 or 202, or with 409 because it is done already (`already_done`). There must be an effect of that person (first, further or
//! recognised) at the stage's own service; done before he was told so, unless he was told 202, which says that it will be done: that one by the
//! end of the run.

use crate::ledger::Effect;
use crate::oracle::evidence::Evidence;
use crate::oracle::finding::{Finding, Invariant, Search, Who};

/// Accepted, to be done.
const ACCEPTED: u16 = 202;

/// Two processes read one clock, but not at one instant.
const CLOCKS: u64 = 1_000;

pub(super) fn find(evidence: &Evidence<'_>) -> Finding {
    let mut search = Search::of(Invariant::Lost);
    for records in evidence.people() {
        for told in records.told.iter().filter(|told| told.is_done()) {
            search.looked_at(1);
            let effect = records
                .served
                .iter()
                .filter(|served| {
                    served.stage == told.stage && served.effect != Effect::Nothing && evidence.is_own(served)
                })
                .map(|served| served.done)
                .min();
            let by = if told.status == ACCEPTED { u64::MAX } else { told.ended.saturating_add(CLOCKS) };
            if effect.is_none_or(|done| done > by) {
                search.broken(Who::Request(told.id), told.ended, || match effect {
                    None => format!("told {} at stage {}, and nothing was done there", told.status, told.stage),
                    Some(_) => format!("told {} at stage {} before anything was done there", told.status, told.stage),
                });
            }
        }
    }
    search.end()
}
