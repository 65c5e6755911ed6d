//! I5: of a quota never one more, and none kept back.
//!
//! Judged where the scenario has a quota. People with an effect at the last stage must not be more than it (a further effect of one person is I2). And nobody may be told that it is
//! over while places are left: at the end of the run, those registered, and those who are inside and may still hold a reservation, must together be
//! at least the quota if anybody was told so: inside is whoever began at the last stage, or was told there that it is his turn. Who waited when the run ended is no fault: there was not time enough;
//! nor is it one where the gateway closes at a time of its own.

use crate::ledger::{Kind, Word};
use crate::oracle::evidence::{Evidence, Records};
use crate::oracle::finding::{Finding, Invariant, Search, Who};

pub(super) fn find(evidence: &Evidence<'_>) -> Finding {
    let mut search = Search::of(Invariant::Quota);
    let Some(quota) = evidence.run.scenario.quota else {
        return search.impossible("the scenario has no quota");
    };
    search.looked_at(1);
    let last = evidence.run.last();
    let (mut registered, mut inside, mut refused) = (Vec::new(), 0_u64, None);
    for records in evidence.briefly() {
        let effects = records.served.iter().filter(|served| served.stage == last && evidence.is_effect(served));
        match effects.map(|served| served.done).min() {
            Some(done) => registered.push((done, records.person)),
            None => inside += u64::from(is_inside(evidence, &records, last)),
        }
        let over = records.told.iter().filter(|told| told.word == Word::Over && told.kind != Kind::Forged);
        refused = refused.into_iter().chain(over.map(|told| (told.ended, told.id))).min();
    }
    registered.sort_unstable();
    let count = registered.len() as u64;
    search.note(format!(
        "{count} of {quota} places given, {inside} people were let in at the last stage and not registered"
    ));
    for (position, (done, person)) in (0..).zip(&registered) {
        if position >= quota {
            search
                .broken(Who::Person(*person), *done, || format!("registration {} of a quota of {quota}", position + 1));
        }
    }
    if let Some((at, id)) = refused.filter(|_| count + inside < quota && evidence.run.declared.closes.is_none()) {
        search.broken(Who::Request(id), at, || {
            let left = quota - count - inside;
            format!("told that it is over, though {left} places were left when the run ended")
        });
    }
    search.end()
}

/// Whether a place of the quota may be reserved for him at the stage that counts.
fn is_inside(evidence: &Evidence<'_>, records: &Records<'_>, last: u8) -> bool {
    records.served.iter().any(|served| served.stage == last && evidence.is_own(served))
        || records.told.iter().any(|told| told.stage == last && told.word == Word::Turn)
}
