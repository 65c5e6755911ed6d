//! I2: no request is done twice, and nobody is made to repeat one that was done.
//!
//! Judged: every further effect of a person at a stage, beyond the first. It is the gateway's doing if
//! * another effect is of the *same request*: it was sent twice; or
//! * the person sent the request of it because an earlier one of his with an effect was *answered* as if nothing had been done: with a place, a turn,
//!   later, not yet, over, wrong, or nonsense.
//!
//! It is the person's own doing if he did not know what had become of the earlier one (no answer, or 500, 502, 504: what a service fails with, or
//! loses on the way), or knew that it was done, or sent both at once: a service that is not idempotent then registers him twice, and no
//! gateway without a memory of keys can prevent it. Those are counted and told, not judged.
//!
//! At an idempotent service a request that is sent twice has one effect: the second is *recognised*, and harms nobody. That the gateway sent it is counted in the note, and
//! costs in `amplification`; it turns nothing red.

use crate::ledger::{Effect, Served, Told, Word};
use crate::oracle::evidence::{Evidence, Records};
use crate::oracle::finding::{Finding, Invariant, Search, Who};

pub(super) fn find(evidence: &Evidence<'_>) -> Finding {
    let mut search = Search::of(Invariant::Duplicate);
    let (mut own, mut harmless) = (0_u64, 0_u64);
    for records in evidence.people() {
        harmless += again(evidence, &records);
        let effects: Vec<&Served> = records.served.iter().filter(|served| evidence.is_effect(served)).collect();
        search.looked_at(effects.len() as u64);
        for (index, further) in effects.iter().enumerate() {
            let earlier = || effects.iter().take(index).filter(|earlier| earlier.stage == further.stage);
            let Some(id) = further.id.filter(|_| earlier().next().is_some()) else { continue };
            if let Some(same) = earlier().find(|earlier| earlier.id == Some(id)) {
                search.broken(Who::Request(id), further.done, || {
                    format!("done twice at stage {}: at {:.3} s too", further.stage, same.done as f64 / 1e6)
                });
            } else if let Some(misled) = earlier().find_map(|earlier| misled(&records, earlier, further)) {
                search.broken(Who::Request(id), further.done, || {
                    let (first, status) = (misled.id, misled.status);
                    format!("done a second time: request {first} was done too, but answered {status} as if it were not")
                });
            } else {
                own += 1;
            }
        }
    }
    let mut notes = Vec::new();
    if own > 0 {
        notes.push(format!("{own} further sign-ups are people's own repetitions, of which no gateway could know"));
    }
    if harmless > 0 {
        notes.push(format!("{harmless} requests reached a service twice, which recognised them: at one that is not idempotent they would be duplicates"));
    }
    if !notes.is_empty() {
        search.note(notes.join("; "));
    }
    search.end()
}

/// How often the service of a stage recognised a request that it had done itself: the gateway sent it again.
fn again(evidence: &Evidence<'_>, records: &Records<'_>) -> u64 {
    let own = || records.served.iter().filter(|served| evidence.is_own(served));
    let done = |id, stage| own().any(|it| it.id == id && it.stage == stage && it.effect == Effect::First);
    let recognised = own().filter(|served| served.effect == Effect::Recognised);
    recognised.filter(|served| done(served.id, served.stage)).count() as u64
}

/// The answer to `earlier`, if it made the person send `further`.
fn misled<'r>(records: &Records<'r>, earlier: &Served, further: &Served) -> Option<&'r Told> {
    let answer = records.told_of(earlier.id?)?;
    let repetition = records.told_of(further.id?)?;
    let denied = matches!(
        answer.word,
        Word::Place | Word::Turn | Word::Later | Word::NotYet | Word::Over | Word::Wrong | Word::Nonsense
    );
    (denied && repetition.sent >= answer.ended).then_some(answer)
}
