//! I5: of a quota never one more, and none kept back.
//!
//! Judged where the scenario has a quota. People with an effect at the last stage must not be more than it (a further effect of one person is I2). And none may be kept back
//! while people want it, in either of two ways, where the gateway does not close at a time of its own:
//! * somebody was told that it is over while places were left: at the end of the run, those registered, and those who are inside and may still hold a reservation, must together be
//!   at least the quota if anybody was told so: inside is whoever began at the last stage, or was told there that it is his turn;
//! * people who have had a place for [`STILL`] and longer stand there when the run ends, nobody has had an effect at any stage for as long, nothing was disturbed meanwhile, and those
//!   registered, those inside, and those who have a place before the first who waits and may have been called without coming, are together fewer than the quota.
//!
//! Who waited when the run ended while others were served is no fault: there was not time enough.

use crate::ledger::{Ending, Kind, Word};
use crate::oracle::evidence::{Evidence, Records};
use crate::oracle::facts::{micros, seconds};
use crate::oracle::finding::{Finding, Invariant, Search, Who};
use crate::oracle::journey::NEVER;

/// Nothing happens for so long, in microseconds: longer than any pause between two visits at which a gateway says "your turn".
const STILL: u64 = 15_000_000;

pub(super) fn find(evidence: &Evidence<'_>) -> Finding {
    let mut search = Search::of(Invariant::Quota);
    let Some(quota) = evidence.run.scenario.quota else {
        return search.impossible("the scenario has no quota");
    };
    search.looked_at(1);
    let last = evidence.run.last();
    let (mut registered, mut inside, mut refused) = (Vec::new(), 0_u64, None);
    for records in evidence.people() {
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
    let standing = standing(evidence).filter(|_| evidence.run.declared.closes.is_none());
    if let Some(Standing { person, since, before }) = standing.filter(|it| count + inside + it.before < quota) {
        search.broken(Who::Person(person), since, || {
            let left = quota - count - inside - before;
            format!(
                "still waits when the run ends, {left} places are left, and nothing has happened since {:.1} s",
                seconds(since)
            )
        });
    }
    search.end()
}

/// People who stand there with places while nothing happens.
struct Standing {
    /// The first of them by coming.
    person: u32,
    /// When the last effect happened.
    since: u64,
    /// How many were told a place, came before him, were not served and are gone.
    before: u64,
}

fn standing(evidence: &Evidence<'_>) -> Option<Standing> {
    let end = micros(evidence.run.scenario.end());
    let still = end.checked_sub(STILL)?;
    let since = evidence.served.iter().filter(|served| evidence.is_effect(served)).map(|served| served.done).max();
    let since = since.unwrap_or(0);
    if since > still || evidence.faults.any(still, end) {
        return None;
    }
    let unserved = || {
        let all = evidence.people().zip(&evidence.journeys);
        all.filter(|(_, journey)| journey.started == NEVER && journey.joined != NEVER && !journey.standing.attacks)
    };
    let waits = |records: &Records<'_>| {
        let patient = evidence.run.people.get(records.person as usize).is_some_and(|person| person.leaves >= end);
        let heard = records.told.iter().filter(|told| told.ending == Ending::Answered && told.kind != Kind::Forged);
        let last = heard.max_by_key(|told| told.ended);
        patient && last.is_some_and(|told| told.word == Word::Place)
    };
    let waiting = unserved().filter(|(records, journey)| journey.joined <= still && waits(records));
    let (first, came) =
        waiting.map(|(records, journey)| (records.person, journey.came)).min_by_key(|(_, came)| *came)?;
    let before = unserved().filter(|(records, journey)| journey.came < came && !waits(records)).count() as u64;
    Some(Standing { person: first, since, before })
}

/// Whether a place of the quota may be reserved for him at the stage that counts.
fn is_inside(evidence: &Evidence<'_>, records: &Records<'_>, last: u8) -> bool {
    records.served.iter().any(|served| served.stage == last && evidence.is_own(served))
        || records.told.iter().any(|told| told.stage == last && told.word == Word::Turn)
}
