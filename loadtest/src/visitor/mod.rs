//! What one person does next: the same under real sockets and in virtual time.
//!
//! A person comes, opens tabs, sends the stage he is at, hears an answer or none, rests, asks for his place or sends again, goes on to the next
//! stage when one is done, and leaves: registered, told no, or out of patience. Whoever runs him says what happened ([`Event`]) and does what
//! he wants ([`Action`]).
//!
//! **Invariants**: no I/O, no clock: time is an argument, draws come from the person's own seed, so the same events make the same person. Each
//! request sent is answered by exactly one [`Event::Answer`] or [`Event::Ended`] of its slot; a slot has at most one request or timer at a time.
//! Never faster than `fastest`, but for double clicks; nothing new is begun after patience has ended, but for a word that he leaves.
//! **Cost**: 64 bytes a person, some 300 more for a ticket and a pass, no allocation while he rests.
//! **Not here**: sockets (`wire`), who comes when (`population`), timers and ledger (`people`).

pub mod answer;
pub mod draw;
pub mod forge;
pub mod jar;

mod hears;
mod sends;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use self::answer::Answer;
pub use self::jar::{Jar, Shown};

use self::draw::{draw, happens};
use crate::ledger::{Ending, Kind};
use crate::scenario::persona::{Attack, Persona, Source, Tabs};
use crate::scenario::{Stage, StageIndex};

/// Microseconds from the common start of the run, as in the ledgers.
pub type Micros = u64;

/// Which of a person's requests and timers: a tab, or a double click.
pub type Slot = u8;

/// Tabs and double clicks of one person at once.
pub const SLOTS: usize = 8;

/// The first tab, the further ones, and what is left is for double clicks.
const _: () = assert!(1 + (Tabs::MOST as usize) < SLOTS);

/// A second click follows within this.
const SECOND_CLICK: Duration = Duration::from_millis(300);

/// How long somebody who leaves the line waits to hear that he has.
const LEAVING: Duration = Duration::from_secs(5);

/// What happened.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// He has come.
    Started,
    /// A timer of this slot has run out.
    Timer(Slot),
    /// A request of this slot was answered.
    Answer(Slot, &'a Answer),
    /// A request of this slot ended without a whole answer.
    Ended(Slot, Ending),
}

/// What he wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Send this now.
    Send(Request),
    /// Wake this slot then.
    Sleep(Slot, Micros),
    /// Open so many connections and say nothing until then; nothing is to be reported.
    Flood {
        /// Connections.
        connections: u32,
        /// Then they are closed.
        until: Micros,
    },
    /// He is gone. Requests of his that are still on their way end as they end.
    Leave(Outcome),
}

/// How a visit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// He went through all stages.
    Registered,
    /// He did what he came for and leaves before the last stage.
    Stopped,
    /// He was told that nothing is left.
    ToldNo,
    /// His patience ended.
    GaveUp,
    /// He was told something that he cannot act on: another 4xx, a redirection, nonsense.
    Refused,
}

/// A request to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Whose answer it is.
    pub slot: Slot,
    /// The how-many-eth of this person's, from 0.
    pub number: u32,
    /// The stage that he is at.
    pub stage: StageIndex,
    /// What is asked.
    pub kind: Kind,
    /// The same `Idempotency-Key` as always; otherwise one of its own.
    pub same_key: bool,
    /// Asks for a place of his own, at a computer that others use (`weir_new`).
    pub anew: bool,
    /// Asks that the answer be held for so long (`Prefer: wait`).
    pub hold: Option<Duration>,
    /// What is shown.
    pub shown: Shown,
    /// When it was meant to be sent.
    pub intended: Micros,
    /// When he breaks it off.
    pub deadline: Micros,
}

/// What surrounds a person.
#[derive(Debug)]
pub struct Scene<'a> {
    /// How he is.
    pub persona: &'a Persona,
    /// The steps of a registration, in their order.
    pub stages: &'a [Stage],
    /// Whether the gateway gives tickets; only then a place of one's own can be asked for.
    pub tickets: bool,
    /// The browser he shares with others, at an office.
    pub office: Option<&'a mut Jar>,
    /// Tickets of people who were in and are done.
    pub spent: &'a mut Spent,
}

/// A few tickets of people who are done, for those who replay them.
#[derive(Debug, Default)]
pub struct Spent {
    tickets: Vec<Box<str>>,
}

/// One person.
#[derive(Debug)]
pub struct Visitor {
    rng: fastrand::Rng,
    /// Patience ends.
    leaves: Micros,
    /// Earliest instant of the next request.
    next: Micros,
    /// What he was given himself; nothing of a browser at an office.
    jar: Option<Box<Jar>>,
    requests: u32,
    stage: StageIndex,
    gone: bool,
    slots: [State; SLOTS],
}

/// Parts of what is remembered of somebody, each of which leads to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// He himself.
    Visitor,
    /// Where what he was given is.
    Jar,
    /// What he was given.
    Given,
}

/// What a slot does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing.
    Closed,
    /// Waits for its timer, to do this.
    Rests(Next),
    /// Waits for an answer.
    Away(Kind),
    /// Waits for the answer to a second click.
    Clicked,
    /// Waits for an answer that changes nothing any more.
    Stale,
}

/// What a slot does when its timer runs out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Submit,
    Poll,
    SecondClick,
}

impl Spent {
    /// How many are remembered.
    const KEPT: usize = 64;

    /// Remembers `ticket`.
    pub fn add(&mut self, ticket: &str, rng: &mut fastrand::Rng) {
        if self.tickets.len() < Self::KEPT {
            self.tickets.push(ticket.into());
        } else if let Some(old) = rng.choice(&mut self.tickets) {
            *old = ticket.into();
        }
    }

    fn any(&self, rng: &mut fastrand::Rng) -> Option<&str> {
        rng.choice(&self.tickets).map(|ticket| &**ticket)
    }
}

/// When somebody of this persona, who arrives at `arrives`, gives up for good: the first thing that is drawn of his seed.
pub fn leaves(persona: &Persona, arrives: Micros, rng: &mut fastrand::Rng) -> Micros {
    arrives.saturating_add(draw(&persona.patience, rng))
}

impl Visitor {
    /// Somebody of this persona who arrives at `arrives`.
    #[must_use]
    pub fn new(persona: &Persona, seed: u64, arrives: Micros) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let leaves = leaves(persona, arrives, &mut rng);
        let slots = [State::Closed; SLOTS];
        Self { rng, leaves, next: 0, jar: None, requests: 0, stage: 0, gone: false, slots }
    }

    /// The stage that he is at.
    #[must_use]
    pub const fn stage(&self) -> StageIndex {
        self.stage
    }

    /// Reads a little of `part`, so that it is near when he acts; what, is of no meaning.
    #[must_use]
    pub fn touch(&self, part: Part) -> u64 {
        match part {
            Part::Visitor => self.leaves ^ self.next ^ u64::from(self.requests) ^ u64::from(self.gone),
            Part::Jar => self.jar.as_deref().map_or(0, |jar| u64::from(jar.is_empty())),
            Part::Given => self.jar.as_deref().map_or(0, Jar::touch),
        }
    }

    /// Whether nothing of his is left: he is gone, and no request of his is on its way.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.gone && !self.slots.iter().any(|state| state.is_away())
    }

    /// `event` happened at `at`: for timers and the start the instant they were meant for. What he wants is appended to `actions`.
    pub fn step(&mut self, event: Event<'_>, at: Micros, scene: &mut Scene<'_>, actions: &mut Vec<Action>) {
        match event {
            Event::Started => self.start(at, scene, actions),
            Event::Timer(slot) => self.wake(slot, at, scene, actions),
            Event::Answer(slot, answer) => self.hear(slot, answer, at, scene, actions),
            Event::Ended(slot, _) => self.hear_nothing(slot, at, scene, actions),
        }
    }

    fn start(&mut self, at: Micros, scene: &mut Scene<'_>, actions: &mut Vec<Action>) {
        if let Some(Attack::Flood { connections }) = scene.persona.attack {
            actions.push(Action::Flood { connections, until: self.leaves });
            self.rest(0, Next::Submit, self.leaves, actions);
            return;
        }
        self.send(0, Next::Submit, at, scene, actions);
        let tabs = scene.persona.tabs;
        if happens(tabs.probability, &mut self.rng) {
            let mut opens = at;
            for slot in 1..=tabs.further.min(Tabs::MOST) {
                opens = opens.saturating_add(draw(&scene.persona.impatience, &mut self.rng));
                self.rest(slot, Next::Submit, opens, actions);
            }
        }
    }

    fn wake(&mut self, slot: Slot, at: Micros, scene: &mut Scene<'_>, actions: &mut Vec<Action>) {
        // A timer of a slot that was closed meanwhile.
        let State::Rests(next) = self.state(slot) else { return };
        if at >= self.leaves {
            self.give_up(at, scene, actions);
        } else if at < self.next && next != Next::SecondClick {
            self.rest(slot, next, self.next, actions);
        } else {
            self.send(slot, next, at, scene, actions);
        }
    }

    /// Lets `slot` rest until `until`, or until patience ends.
    fn rest(&mut self, slot: Slot, next: Next, until: Micros, actions: &mut Vec<Action>) {
        self.set(slot, State::Rests(next));
        actions.push(Action::Sleep(slot, until.min(self.leaves)));
    }

    fn state(&self, slot: Slot) -> State {
        self.slots.get(usize::from(slot)).copied().unwrap_or(State::Closed)
    }

    fn set(&mut self, slot: Slot, state: State) {
        if let Some(old) = self.slots.get_mut(usize::from(slot)) {
            *old = state;
        }
    }
}

impl Part {
    /// All, in their order.
    pub const ALL: [Self; 3] = [Self::Visitor, Self::Jar, Self::Given];
}

impl State {
    const fn is_away(self) -> bool {
        matches!(self, Self::Away(_) | Self::Clicked | Self::Stale)
    }
}

/// Whether people of `persona` use a computer together.
const fn is_office(persona: &Persona) -> bool {
    matches!(persona.source, Source::Office(_))
}
