//! What somebody was told, and what may be true of him after a kill.

use super::super::super::super::order::State;
use super::wire::{Found, Visit, Wants, Where, Whole, Word};

/// Somebody who comes to the room.
#[expect(clippy::struct_excessive_bools, reason = "each is told to him by itself")]
#[derive(Debug, Default)]
pub(super) struct Person {
    pub(super) identity: Option<String>,
    pub(super) key: Option<String>,
    pub(super) number: Option<u64>,
    pub(super) ticket: Option<String>,
    /// What the journal may say of his number: what was acknowledged last, and all that may have followed.
    possible: Vec<State>,
    /// He came back in time, and was told so.
    counted: bool,
    /// People before him, as he was told last.
    ahead: Option<u64>,
    /// His place in the final order.
    position: Option<u64>,
    /// He was told that he takes part in the draw.
    drawn: bool,
    /// He is registered, or was told so.
    pub(super) registered: bool,
    pub(super) done: bool,
    /// Something of his is on its way.
    pub(super) busy: bool,
}

impl Person {
    pub(super) fn new(identity: Option<String>, key: Option<String>) -> Self {
        Self { identity, key, ..Self::default() }
    }

    pub(super) fn visit(&mut self, who: usize, wants: Wants) -> Visit {
        use State::{Admitted, Ambiguous, Gone, Sending, Waiting};
        let was = |state| self.possible.contains(&state);
        let mut may = Vec::new();
        match wants {
            Wants::Leave if was(Waiting) || was(Admitted) => may.push(Gone),
            Wants::Page | Wants::Send if was(Waiting) => may.push(Admitted),
            _ => {}
        }
        if wants == Wants::Send && (was(Waiting) || was(Admitted) || was(Ambiguous) && self.key.is_some()) {
            may.push(Sending);
        }
        for state in may {
            self.may_be(state);
        }
        self.busy = true;
        let (ticket, identity) = (self.ticket.clone(), self.identity.clone());
        Visit { who, ticket, identity, key: self.key.clone(), wants }
    }

    pub(super) fn may_be(&mut self, state: State) {
        if !self.possible.contains(&state) {
            self.possible.push(state);
        }
    }

    /// What was acknowledged: the journal says no less.
    pub(super) fn is(&mut self, state: State) {
        self.possible = vec![state];
    }

    pub(super) fn is_only(&self, state: State) -> bool {
        self.possible == [state]
    }

    pub(super) fn may(&self, state: State) -> bool {
        self.possible.contains(&state)
    }

    /// A ticket was given to him.
    pub(super) fn holds(&mut self, number: u64, ticket: Option<String>) {
        if self.number != Some(number) {
            assert!(self.number.is_none() || self.may(State::Gone), "{self:?} has lost his place, and has {number}");
            (self.counted, self.ahead, self.position, self.drawn) = (false, None, None, false);
            self.possible.clear();
            self.number = Some(number);
            self.is(State::Waiting);
        }
        self.ticket = ticket.or_else(|| self.ticket.take());
    }

    /// He is told where he stands; `settled` if no tick is under way.
    pub(super) fn told(&mut self, stand: Where, counted: bool, settled: bool) {
        let state = stand.state();
        assert!(self.may(state), "{self:?} is told {stand:?}");
        assert!(!self.done || state == State::Done, "{self:?} is told {stand:?}");
        assert!(counted || !self.counted, "{self:?} is not counted any more");
        self.counted = counted;
        self.drawn |= stand == Where::Lobby;
        if let Where::Waiting { ahead } = stand {
            assert!(self.ahead.is_none_or(|told| ahead <= told), "{self:?} moves back to {ahead}");
            // What a tick under way has changed is not in the journal yet.
            self.ahead = if settled { Some(ahead) } else { self.ahead };
        }
        if state == State::Done {
            self.done = true;
            self.is(State::Done);
        }
    }

    /// The service had his request, and `word` is what is heard of it. `counted` where there is a quota.
    pub(super) fn answered(&mut self, word: Word, counts: bool, counted: bool) {
        use State::{Admitted, Ambiguous, Done, Sending, Waiting};
        if self.done {
            return;
        }
        if !counts {
            return self.may_be(Waiting);
        }
        if self.registered && counted {
            // Held, or done, and nothing else: who is registered takes a place of the quota.
            self.possible.retain(|state| matches!(state, Sending | Ambiguous | Done));
            self.may_be(Ambiguous);
        } else {
            for state in [Admitted, Waiting, Ambiguous] {
                self.may_be(state);
            }
        }
        if matches!(word, Word::Status(200..=299)) {
            self.may_be(Done);
        }
    }

    /// He is told what became of his request.
    pub(super) fn ended(&mut self, word: Word, stand: Where, counts: bool) {
        self.busy = false;
        let state = stand.state();
        assert!(self.may(state), "{self:?} is {stand:?} after {word:?}");
        if counts && matches!(word, Word::Status(200..=299)) {
            assert_eq!(state, State::Done, "{self:?} after {word:?}");
        }
        if state == State::Done {
            self.done = true;
            self.is(State::Done);
        }
    }

    /// The process was killed; `slack` people have left of whom the journal may not know. `counted` where there is a quota.
    pub(super) fn killed(&mut self, slack: u64, counted: bool) {
        self.busy = false;
        self.ahead = self.ahead.map(|ahead| ahead + slack);
        let at_the_service = if counted { State::Ambiguous } else { State::Waiting };
        if self.may(State::Sending) {
            self.possible.retain(|state| *state != State::Sending);
            self.may_be(at_the_service);
        }
    }

    /// After a start: he is what he was acknowledged to be, or what followed.
    pub(super) fn audit(&mut self, found: &Found, whole: &Whole, counted: bool) {
        if found.number.is_none() {
            return assert!(self.number.is_none() || self.may(State::Gone), "{self:?} is lost");
        }
        if let Some(number) = found.number.filter(|number| self.number != Some(*number)) {
            self.holds(number, None);
            self.possible = State::ALL.to_vec();
        }
        let state = State::ALL[usize::from(found.state)];
        assert!(self.may(state), "{self:?}: {found:?}");
        self.is(state);
        if self.identity.is_some() {
            assert_eq!(found.named, found.number, "{self:?}: his identity leads elsewhere");
        }
        assert!(!self.done || state == State::Done, "{self:?}: {found:?}");
        assert!(
            !(self.registered && counted) || matches!(state, State::Ambiguous | State::Done),
            "{self:?}: {found:?}"
        );
        if state == State::Waiting {
            assert!(found.counted || !self.counted, "{self:?}: {found:?}");
        }
        if whole.ordered {
            let position = *self.position.get_or_insert(found.position);
            assert_eq!(found.position, position, "{self:?} stands elsewhere");
            assert!(
                !self.drawn || found.drawn || !whole.published,
                "{self:?} did not take part in the draw: {found:?}"
            );
        }
        if let Where::Waiting { ahead } = found.stand {
            assert!(self.ahead.is_none_or(|told| ahead <= told), "{self:?} moves back: {found:?} {whole:?}");
        }
    }
}
