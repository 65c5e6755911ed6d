//! How a person fared at the entrance: when he came, joined, knew of his turn, and was served.
//!
//! **Invariants**: whoever may have been given his place earlier than he was told so counts as having come then: what makes somebody an
//! overtaker is never guessed against the gateway.

use super::evidence::{Evidence, Records};
use crate::ledger::{Kind, NONE, Told, Word};
use crate::scenario::persona::Attack;

/// No time.
pub(super) const NEVER: u64 = u64::MAX;

/// One person at the entrance. All times are microseconds, [`NEVER`] if it never happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Journey {
    /// His first request, forged ones not counted, was sent.
    pub(super) came: u64,
    /// He was told a place for the first time.
    pub(super) joined: u64,
    /// He first knew of his turn: he was told so, or his request began at the service.
    pub(super) knew: u64,
    /// His first request at the service of the entrance began.
    pub(super) started: u64,
    /// That request was sent.
    pub(super) start_sent: u64,
    /// The last visit before it at which he showed his place and was told to wait behind others was sent; 0: there was none.
    pub(super) waited: u64,
    /// He was told that the stage of the entrance is done.
    pub(super) done: u64,
    /// His last request at the entrance ended.
    pub(super) left: u64,
    /// How he may be judged.
    pub(super) standing: Standing,
}

/// What may be judged of a person's order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, two million times")]
pub(super) struct Standing {
    /// He attacks, and is nobody whose place or order counts.
    pub(super) attacks: bool,
    /// He was in the lobby: his order was drawn, and is not that of coming.
    pub(super) drawn: bool,
    /// He came again without cookie, ticket or identity: what place he had is lost.
    pub(super) lost: bool,
    /// The request that was served was the only one of his on its way, at no speed of its own, and nothing was disturbed meanwhile.
    pub(super) alone: bool,
}

impl Journey {
    pub(super) fn of(evidence: &Evidence<'_>, records: &Records<'_>) -> Self {
        let entrance = evidence.run.entrance();
        let mut journey = Self::nobody();
        let persona = evidence.persona(records.person);
        journey.standing.attacks = persona.is_some_and(|persona| persona.attack.is_some());
        for served in records.served.iter().filter(|served| served.stage == entrance && evidence.is_own(served)) {
            let told = served.id.and_then(|id| records.told_of(id));
            if let Some(told) = told.filter(|told| told.kind != Kind::Forged && served.started < journey.started) {
                (journey.started, journey.start_sent) = (served.started, told.sent);
            }
        }
        let visits = || records.told.iter().filter(|told| told.stage == entrance && told.kind != Kind::Forged);
        for told in visits() {
            journey.came = journey.came.min(told.sent);
            journey.left = journey.left.max(told.ended);
            match told.word {
                Word::Place => journey.joined = journey.joined.min(told.ended),
                Word::Turn => journey.knew = journey.knew.min(told.ended),
                Word::Done if told.kind == Kind::Submit => journey.done = journey.done.min(told.ended),
                Word::NotYet => journey.standing.drawn = true,
                _ => {}
            }
        }
        journey.knew = journey.knew.min(journey.started);
        for told in visits().filter(|told| told.sent > journey.joined && told.sent < journey.started) {
            journey.standing.lost |= told.kind != Kind::Leave && !evidence.is_presented(told);
        }
        // Who left on purpose begins anew.
        journey.standing.lost |= visits().any(|told| told.kind == Kind::Leave);
        let waits = |told: &&Told| told.word == Word::Place && told.ahead != 0 && evidence.is_presented(told);
        let before = visits().filter(waits).filter(|told| told.sent < journey.started);
        journey.waited = before.map(|told| told.sent).max().unwrap_or(0);
        let hurries = persona.is_some_and(|persona| persona.upload.is_none() && persona.attack.is_none());
        journey.standing.alone = hurries && journey.is_alone(evidence, records);
        journey
    }

    const fn nobody() -> Self {
        Self {
            came: NEVER,
            joined: NEVER,
            knew: NEVER,
            started: NEVER,
            start_sent: NEVER,
            waited: 0,
            done: NEVER,
            left: 0,
            standing: Standing { attacks: false, drawn: false, lost: false, alone: false },
        }
    }

    fn is_alone(&self, evidence: &Evidence<'_>, records: &Records<'_>) -> bool {
        if self.started == NEVER {
            return false;
        }
        let out = |told: &&Told| told.sent <= self.started && told.ended > self.start_sent;
        let service = evidence.run.service_of(evidence.run.entrance());
        records.told.iter().filter(out).count() == 1 && !evidence.faults.up_to(service, self.start_sent, self.started)
    }

    /// Whether he has been given a place that is known by when he came, and kept it.
    pub(super) fn has_place(&self) -> bool {
        self.joined != NEVER && !self.standing.drawn && !self.standing.lost && !self.standing.attacks
    }

    /// Whether his request came to the door with a place: he had been told it, or, having stood in line in vain, that it is his turn.
    pub(super) fn returned(&self) -> bool {
        self.joined.min(self.knew) < self.start_sent
    }
}

/// Whether `told` says a place.
pub(super) fn place(told: &Told) -> Option<u32> {
    let place = if told.place == NONE { told.ahead } else { told.place };
    (told.word == Word::Place && told.kind != Kind::Forged && place != NONE).then_some(place)
}

/// Whether a person of this kind shows what belongs to others.
pub(super) const fn borrows(attack: Option<Attack>) -> bool {
    matches!(attack, Some(Attack::Forge | Attack::Replay))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_told_that_it_is_his_turn_comes_with_a_place() {
        let told = Journey { knew: 4, start_sent: 5, started: 6, ..Journey::nobody() };
        assert!(told.returned());
        assert!(!Journey { knew: 6, ..told }.returned(), "he knew only as it began");
        assert!(Journey { joined: 3, knew: 6, ..told }.returned());
    }
}
