//! The people who are there.
//!
//! **Cost**: a pointer for everybody who comes; while he is there his [`Visitor`] and what he was given.

use std::collections::HashMap;
use std::hint::black_box;

use crate::population::Person;
use crate::scenario::Scenario;
use crate::scenario::persona::{Persona, Source};
use crate::visitor::draw::micros;
use crate::visitor::{Action, Event, Jar, Micros, Part, Scene, Spent, Visitor};

/// Everybody, as far as he has come.
#[derive(Debug)]
pub(super) struct Present<'a> {
    scenario: &'a Scenario,
    people: &'a [Person],
    visitors: Vec<Option<Box<Visitor>>>,
    arrived: usize,
    gone: usize,
    offices: HashMap<u32, Jar>,
    spent: Spent,
}

impl<'a> Present<'a> {
    pub(super) fn new(scenario: &'a Scenario, people: &'a [Person]) -> Self {
        let visitors = people.iter().map(|_| None).collect();
        Self { scenario, people, visitors, arrived: 0, gone: 0, offices: HashMap::new(), spent: Spent::default() }
    }

    /// When the next one comes.
    pub(super) fn next(&self) -> Option<Micros> {
        self.people.get(self.arrived).map(|person| micros(person.arrives))
    }

    /// Whether everybody has come and gone.
    pub(super) fn is_over(&self) -> bool {
        self.gone == self.people.len()
    }

    /// The next one comes.
    pub(super) fn arrive(&mut self) -> Option<(u32, Micros)> {
        let person = self.people.get(self.arrived)?;
        let persona = self.scenario.personas.get(usize::from(person.persona))?;
        let at = micros(person.arrives);
        *self.visitors.get_mut(self.arrived)? = Some(Box::new(Visitor::new(persona, person.seed, at)));
        let number = u32::try_from(self.arrived).ok()?;
        self.arrived += 1;
        Some((number, at))
    }

    /// Who he is.
    pub(super) fn who(&self, number: u32) -> Option<(&'a Person, &'a Persona)> {
        let person = self.people.get(number as usize)?;
        Some((person, self.scenario.personas.get(usize::from(person.persona))?))
    }

    /// Reads a word of whatever is remembered of each of `people`, first of all the first part, then of all the next: loads that do not depend on each
    /// other are waited for together.
    pub(super) fn foresee(&self, people: &[u32]) {
        let mut sum = 0;
        for number in people {
            let person = self.people.get(*number as usize).map_or(0, |person| person.seed);
            sum ^= person ^ u64::from(self.visitor(*number).is_some());
        }
        for part in Part::ALL {
            sum ^= people.iter().filter_map(|number| self.visitor(*number)).fold(0, |sum, it| sum ^ it.touch(part));
        }
        black_box(sum);
    }

    fn visitor(&self, number: u32) -> Option<&Visitor> {
        self.visitors.get(number as usize)?.as_deref()
    }

    /// `event` happened to somebody; what he wants is in `actions`.
    pub(super) fn step(&mut self, number: u32, event: Event<'_>, at: Micros, actions: &mut Vec<Action>) {
        let Some((person, persona)) = self.who(number) else { return };
        let Some(place) = self.visitors.get_mut(number as usize) else { return };
        let Some(visitor) = place else { return };
        let is_office = matches!(persona.source, Source::Office(_));
        let mut scene = Scene {
            persona,
            stages: &self.scenario.stages,
            tickets: true,
            office: is_office.then(|| self.offices.entry(person.address).or_default()),
            spent: &mut self.spent,
        };
        visitor.step(event, at, &mut scene, actions);
        // Requests of his that are on their way still end; he hears of none.
        if visitor.is_over() {
            *place = None;
            self.gone += 1;
        }
    }
}
