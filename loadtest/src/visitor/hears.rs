//! What a person makes of what he hears.

use super::answer::Answer;
use super::draw::{draw, happens};
use super::{Action, Jar, Micros, Next, Outcome, Scene, Slot, State, Visitor, is_office};
use crate::ledger::{Kind, Word};
use crate::scenario::persona::{Attack, Waits};

/// Statuses of 4xx after which the same may succeed: timeout, conflict, too early (RFC 9110 §15.5, RFC 8470 §5.2).
const AGAIN: [u16; 3] = [408, 409, 425];

impl Visitor {
    pub(super) fn hear(
        &mut self,
        slot: Slot,
        answer: &Answer,
        at: Micros,
        scene: &mut Scene<'_>,
        actions: &mut Vec<Action>,
    ) {
        let state = self.state(slot);
        self.set(slot, State::Closed);
        self.keep(answer, scene);
        match (state, answer.word) {
            (State::Away(Kind::Leave), _) => self.leave(Outcome::GaveUp, actions),
            (State::Away(Kind::Submit | Kind::Forged) | State::Clicked, Word::Done) => {
                self.advance(slot, at, scene, actions);
            }
            (State::Away(_) | State::Clicked, Word::Over) => self.leave(Outcome::ToldNo, actions),
            (State::Away(kind), _) => self.answered(slot, kind, answer, at, scene, actions),
            // A second click that was not the one to succeed, or what was asked before he went on.
            _ => {}
        }
    }

    pub(super) fn hear_nothing(&mut self, slot: Slot, at: Micros, scene: &mut Scene<'_>, actions: &mut Vec<Action>) {
        let state = self.state(slot);
        self.set(slot, State::Closed);
        match state {
            State::Away(Kind::Leave) => self.leave(Outcome::GaveUp, actions),
            State::Away(kind) => self.pause(slot, again(kind), at, scene, actions),
            _ => {}
        }
    }

    /// Anything but success and the end.
    fn answered(
        &mut self,
        slot: Slot,
        kind: Kind,
        answer: &Answer,
        at: Micros,
        scene: &mut Scene<'_>,
        actions: &mut Vec<Action>,
    ) {
        match (answer.word, kind) {
            // It is his turn: at once, as fast as he can.
            (Word::Turn | Word::Done, Kind::Poll) => self.rest(slot, Next::Submit, at.max(self.next), actions),
            (Word::Place | Word::NotYet, _) => {
                let next = if self.asks_for_place(answer, scene) { Next::Poll } else { Next::Submit };
                self.rest_as_told(slot, next, answer, at, scene, actions);
            }
            (Word::Later, _) => self.rest_as_told(slot, again(kind), answer, at, scene, actions),
            (Word::Turn | Word::Failed, _) => self.rest_as_told(slot, Next::Submit, answer, at, scene, actions),
            // There is no such place: from the beginning.
            (Word::Wrong | Word::Nonsense, Kind::Poll) => self.pause(slot, Next::Submit, at, scene, actions),
            (Word::Wrong, _) if AGAIN.contains(&answer.status) => self.pause(slot, Next::Submit, at, scene, actions),
            // An attacker is told so, and goes on.
            (_, Kind::Forged) => self.pause(slot, Next::Submit, at, scene, actions),
            _ => self.leave(Outcome::Refused, actions),
        }
    }

    /// Rests as long as he was told to, if he cares.
    fn rest_as_told(
        &mut self,
        slot: Slot,
        next: Next,
        answer: &Answer,
        at: Micros,
        scene: &mut Scene<'_>,
        actions: &mut Vec<Action>,
    ) {
        match answer.retry_after {
            Some(told) if happens(scene.persona.honours_retry_after, &mut self.rng) => {
                let until = at.saturating_add(Micros::from(told) * 1_000).max(self.next);
                self.rest(slot, next, until, actions);
            }
            _ => self.pause(slot, next, at, scene, actions),
        }
    }

    /// Rests as long as he likes.
    fn pause(&mut self, slot: Slot, next: Next, at: Micros, scene: &mut Scene<'_>, actions: &mut Vec<Action>) {
        let until = at.saturating_add(draw(&scene.persona.impatience, &mut self.rng));
        self.rest(slot, next, until.max(self.next), actions);
    }

    /// The stage is done: on to the next, in this tab; the others are done with. A success is enough for an attacker.
    fn advance(&mut self, slot: Slot, at: Micros, scene: &mut Scene<'_>, actions: &mut Vec<Action>) {
        let goes_on = scene.stages.get(usize::from(self.stage)).map_or(0.0, |stage| stage.goes_on);
        self.stage += 1;
        self.close();
        let through = usize::from(self.stage) >= scene.stages.len();
        if through || matches!(scene.persona.attack, Some(Attack::Forge | Attack::Replay)) {
            let spent = self.jar.as_deref().and_then(Jar::ticket);
            if let Some(ticket) = spent.filter(|_| scene.persona.attack.is_none()) {
                scene.spent.add(ticket, &mut self.rng);
            }
            return self.leave(Outcome::Registered, actions);
        }
        if !happens(goes_on, &mut self.rng) {
            return self.leave(Outcome::Stopped, actions);
        }
        let thought = at.saturating_add(draw(&scene.persona.think, &mut self.rng));
        self.rest(slot, Next::Submit, thought.max(self.next), actions);
    }

    /// Patience has ended; whoever uses an app with a place says so.
    pub(super) fn give_up(&mut self, at: Micros, scene: &mut Scene<'_>, actions: &mut Vec<Action>) {
        let persona = scene.persona;
        let says = persona.keeps.ticket_header && persona.waits != Waits::Repeat && persona.attack.is_none();
        let in_line = self.stage == 0 && self.jar.as_deref().is_some_and(|jar| jar.ticket().is_some());
        self.close();
        let free = self.slots.iter().position(|state| *state == State::Closed);
        match free.and_then(|free| Slot::try_from(free).ok()) {
            Some(slot) if says && in_line => self.say_leaving(slot, at, scene, actions),
            _ => self.leave(Outcome::GaveUp, actions),
        }
    }

    fn leave(&mut self, outcome: Outcome, actions: &mut Vec<Action>) {
        self.close();
        self.gone = true;
        self.jar = None;
        actions.push(Action::Leave(outcome));
    }

    /// Nothing more is begun, and what is on its way changes nothing.
    fn close(&mut self) {
        for state in &mut self.slots {
            *state = if state.is_away() { State::Stale } else { State::Closed };
        }
    }

    fn asks_for_place(&self, answer: &Answer, scene: &Scene<'_>) -> bool {
        let known = answer.gifts.ticket.is_some() || self.jar.as_deref().is_some_and(|jar| jar.ticket().is_some());
        scene.persona.waits != Waits::Repeat && known && scene.persona.attack.is_none()
    }

    /// Keeps what `answer` gives: cookies in the browser, fields in an app, or on the paper that an officer hands out.
    fn keep(&mut self, answer: &Answer, scene: &mut Scene<'_>) {
        if answer.gifts.is_empty() || self.gone {
            return;
        }
        let persona = scene.persona;
        let reads_fields = persona.keeps.ticket_header || is_office(persona) || persona.attack == Some(Attack::Forge);
        if reads_fields {
            self.jar.get_or_insert_default().keep_fields(&answer.gifts);
        }
        if !answer.gifts.cookies.is_empty() && persona.keeps.cookie > 0.0 {
            match scene.office.as_deref_mut() {
                Some(browser) => browser.keep_cookies(&answer.gifts),
                None => self.jar.get_or_insert_default().keep_cookies(&answer.gifts),
            }
        }
    }
}

/// What somebody does again who asked this.
const fn again(kind: Kind) -> Next {
    match kind {
        Kind::Poll => Next::Poll,
        _ => Next::Submit,
    }
}
