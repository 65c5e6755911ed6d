//! What a person sends.

use std::time::Duration;

use super::draw::{draw, happens, micros};
use super::forge::{forged, shown};
use super::{Action, Jar, LEAVING, Micros, Next, Request, SECOND_CLICK, Scene, Shown, Slot, State, Visitor, is_office};
use crate::ledger::Kind;
use crate::scenario::persona::{Attack, Persona, Waits};

impl Visitor {
    /// Sends what is `next` from `slot`, and perhaps clicks a second time.
    pub(super) fn send(
        &mut self,
        slot: Slot,
        next: Next,
        at: Micros,
        scene: &mut Scene<'_>,
        actions: &mut Vec<Action>,
    ) {
        let persona = scene.persona;
        let kind = match (next, persona.attack) {
            (Next::Poll, _) => Kind::Poll,
            (_, Some(Attack::Forge | Attack::Replay)) => Kind::Forged,
            _ => Kind::Submit,
        };
        let shown = match persona.attack {
            Some(Attack::Forge) => Some(forged(self.jar.as_deref().and_then(Jar::ticket), &mut self.rng)),
            Some(Attack::Replay) => scene.spent.any(&mut self.rng).map(|ticket| shown(ticket.to_owned())),
            _ => Some(self.shown(scene)),
        };
        let Some(shown) = shown else {
            // Nobody is done yet whose ticket could be shown.
            let again =
                at.saturating_add(draw(&persona.impatience, &mut self.rng)).max(at.saturating_add(gap(persona)));
            return self.rest(slot, Next::Submit, again, actions);
        };
        let hold = match persona.waits {
            Waits::Hold(hold) if kind == Kind::Poll => Some(hold),
            _ => None,
        };
        let patience = draw(&persona.answer_patience, &mut self.rng).saturating_add(hold.map_or(0, micros));
        let upload = if kind == Kind::Poll { 0 } else { self.upload(scene) };
        let deadline = at.saturating_add(upload).saturating_add(patience).min(self.leaves);
        let same_key = persona.keeps.key && kind != Kind::Forged;
        let anew = scene.tickets && is_office(persona) && self.stage == 0 && kind == Kind::Submit && self.jar.is_none();
        let request = Request { kind, same_key, anew, hold, shown, deadline, ..self.request(slot, at) };
        self.set(slot, if next == Next::SecondClick { State::Clicked } else { State::Away(kind) });
        actions.push(Action::Send(request));
        if next != Next::SecondClick {
            self.next = at.saturating_add(gap(persona));
            if next == Next::Submit && happens(persona.double_click, &mut self.rng) {
                self.click_again(at, actions);
            }
        }
    }

    /// How long his line takes for the body of his stage: as with a browser, patience for an answer begins when all of it is sent.
    fn upload(&self, scene: &Scene<'_>) -> Micros {
        let body = scene.stages.get(usize::from(self.stage)).map_or(0, |stage| stage.body);
        let rate = scene.persona.upload.filter(|rate| *rate > 0 && scene.persona.attack.is_none());
        rate.map_or(0, |rate| micros(Duration::try_from_secs_f64(body as f64 / rate as f64).unwrap_or(Duration::MAX)))
    }

    /// Says that he leaves the line, from `slot`.
    pub(super) fn say_leaving(&mut self, slot: Slot, at: Micros, scene: &mut Scene<'_>, actions: &mut Vec<Action>) {
        let shown = self.shown(scene);
        let deadline = at.saturating_add(micros(LEAVING));
        let same_key = scene.persona.keeps.key;
        self.set(slot, State::Away(Kind::Leave));
        let request = Request { kind: Kind::Leave, same_key, shown, deadline, ..self.request(slot, at) };
        actions.push(Action::Send(request));
    }

    fn request(&mut self, slot: Slot, at: Micros) -> Request {
        let number = self.requests;
        self.requests += 1;
        Request {
            slot,
            number,
            stage: self.stage,
            kind: Kind::Submit,
            same_key: true,
            anew: false,
            hold: None,
            shown: Shown::default(),
            intended: at,
            deadline: at,
        }
    }

    fn click_again(&mut self, at: Micros, actions: &mut Vec<Action>) {
        let Some(free) = self.slots.iter().position(|state| *state == State::Closed) else { return };
        let later = Duration::mul_f64(SECOND_CLICK, self.rng.f64());
        let slot = Slot::try_from(free).unwrap_or_default();
        self.rest(slot, Next::SecondClick, at.saturating_add(micros(later)), actions);
    }

    /// What he has left of what he was given.
    fn shown(&mut self, scene: &mut Scene<'_>) -> Shown {
        let keeps = scene.persona.keeps;
        let lost = !happens(keeps.cookie, &mut self.rng);
        let states = keeps.ticket_header || is_office(scene.persona);
        let own = self.jar.as_deref_mut();
        let fields = if states { own.as_deref().map(Jar::fields).unwrap_or_default() } else { Shown::default() };
        let Some(browser) = scene.office.as_deref_mut().or(own) else { return fields };
        if lost {
            browser.lose_cookies();
        }
        Shown { cookie: browser.cookie(), ..fields }
    }
}

/// Between two requests of one person at least.
fn gap(persona: &Persona) -> Micros {
    let gap = Duration::try_from_secs_f64(1.0 / persona.fastest).unwrap_or(Duration::MAX);
    micros(gap)
}
