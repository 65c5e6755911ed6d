//! I7: the place that a person is told never grows.
//!
//! Judged: two answers to one person at one stage that both tell a place (where none is told: how many are ahead), if the later visit was sent after the
//! earlier answer had come, and showed cookie, ticket or identity. Where a gateway knows people by tickets and cookies alone, people with several tabs are not judged: each may
//! have a place of its own. Where he showed nothing, he was given a place as somebody new, and it is this one that he has from then on. Nor are those who left on purpose or were done in between, and those who show what belongs to others.

use crate::ledger::{Kind, Told, Word};
use crate::oracle::evidence::{Evidence, Records};
use crate::oracle::finding::{Finding, Invariant, Search, Who};
use crate::oracle::journey::{borrows, place};

pub(super) fn find(evidence: &Evidence<'_>) -> Finding {
    let mut search = Search::of(Invariant::PlaceKept);
    for records in evidence.people() {
        let (judged, grown) = look(evidence, &records);
        search.looked_at(u64::from(judged));
        if let Some((before, after)) = grown {
            search.broken(Who::Request(after.id), after.ended, || {
                let places = (place(before).unwrap_or(0), place(after).unwrap_or(0));
                format!("told place {} after request {} had been told place {}", places.1, before.id, places.0)
            });
        }
    }
    search.end()
}

/// Of those who came again with their place, the share that kept it.
pub(in crate::oracle) fn kept(evidence: &Evidence<'_>) -> f64 {
    let (mut again, mut kept) = (0_u64, 0_u64);
    for records in evidence.people() {
        let (judged, grown) = look(evidence, &records);
        again += u64::from(judged);
        kept += u64::from(judged && grown.is_none());
    }
    kept as f64 / again as f64
}

/// Whether there is something to judge, and the first two answers of which the later one is worse.
fn look<'r>(evidence: &Evidence<'_>, records: &Records<'r>) -> (bool, Option<(&'r Told, &'r Told)>) {
    let by_key = evidence.run.declared.identity;
    let persona = evidence.persona(records.person);
    let known = by_key && persona.is_some_and(|persona| persona.keeps.key);
    let tabs = records.told.iter().any(|told| told.tab > 0);
    if (tabs && !known) || persona.is_some_and(|persona| borrows(persona.attack)) {
        return (false, None);
    }
    let ends = |told: &Told| told.kind == Kind::Leave || (told.kind == Kind::Submit && told.word == Word::Done);
    let mut answers: Vec<&Told> = records.told.iter().filter(|told| place(told).is_some() || ends(told)).collect();
    answers.sort_unstable_by_key(|told| told.ended);
    let (mut least, mut judged): (Option<&Told>, bool) = (None, false);
    for told in answers {
        let Some(now) = place(told) else {
            least = None;
            continue;
        };
        if !evidence.is_presented(told) {
            // He came as somebody new: the place that he shows from now on is this one.
            least = Some(told);
            continue;
        }
        // Each stage has a line of its own; an answer of an earlier one may still be on its way.
        least = least.filter(|before| before.stage == told.stage);
        let before = least.filter(|before| before.ended <= told.sent);
        if let Some(before) = before {
            judged = true;
            if place(before).is_some_and(|before| now > before) {
                return (true, Some((before, told)));
            }
        }
        if least.and_then(place).is_none_or(|least| now <= least) {
            least = Some(told);
        }
    }
    (judged, None)
}
