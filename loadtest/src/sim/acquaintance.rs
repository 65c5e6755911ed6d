//! Whom a waiting room knows by his key, remembered from one request to the next: a number, and the ticket that was signed for it.
//!
//! Somebody in line asks again and again, and each time weir's answer to who he is costs two HMACs and two look-ups in tables of millions; the
//! answer is the same until the room says that it does not know the number any more.
//!
//! **Invariants**: what is remembered of somebody is what [`Room::find`] says of him: his key has a number until the room forgets it, which it does
//! only of a number that it calls unknown (he left, or his ticket is too old), and whoever is told so is forgotten here. A ticket is signed anew when
//! its moment is another one. A test plays a day with and without.
//! **Cost**: some 250 bytes of everybody who is there.

use std::hint::black_box;
use std::time::Duration;

use weir::config::plan::Identity;
use weir::proxy::gateway::Gateway;
use weir::waiting_room::room::{Place, Room};

use crate::scenario::persona::{Persona, Source, Waits};

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Who {
    pub(super) person: u32,
    /// By the key that is his for the whole day.
    pub(super) is_known: bool,
    /// He keeps what he is given, or looks at it; of others no answer needs a ticket.
    pub(super) keeps: bool,
}

impl Who {
    /// `person`, who sends the key that is his, or one of the request's own.
    pub(super) fn new(person: u32, persona: &Persona, is_known: bool) -> Self {
        let Persona { keeps, attack, waits, source, .. } = persona;
        // Who asks for his place does so only if he was given one.
        let looks = *waits != Waits::Repeat || attack.is_some();
        let keeps = looks || keeps.cookie > 0.0 || keeps.ticket_header || matches!(source, Source::Office(_));
        Self { person, is_known, keeps }
    }
}

/// What one room knows.
#[derive(Clone, Copy, Debug)]
struct Known {
    number: u64,
    /// With its ticket, as of the last time.
    place: Option<Place>,
}

/// Everybody who is there.
#[derive(Debug)]
pub(super) struct Acquaintances {
    /// Rooms that know people by their keys, by their tags.
    rooms: Box<[u32]>,
    /// By number; of each of `rooms`.
    people: Vec<Option<Box<[Option<Known>]>>>,
    /// Nobody is remembered: to be compared with.
    #[cfg(test)]
    pub(super) is_off: bool,
}

impl Acquaintances {
    pub(super) fn new(core: &Gateway, people: usize) -> Self {
        let by_key =
            |identity: &Identity| matches!(identity, Identity::Header(name) if name.as_str() == "idempotency-key");
        let plan = core.plan();
        let knows = |name: &str| {
            let room = plan.waiting_rooms.iter().find(|room| *room.name == *name);
            room.and_then(|room| room.identity.as_ref()).is_some_and(by_key)
        };
        let rooms = core.doorways().iter().filter(|doorway| knows(doorway.room().name()));
        Self {
            rooms: rooms.map(|doorway| doorway.tag()).collect(),
            people: std::iter::repeat_with(|| None).take(people).collect(),
            #[cfg(test)]
            is_off: false,
        }
    }

    /// The place of somebody who is remembered.
    pub(super) fn find(&mut self, who: Who, room: &Room, unix: Duration) -> Option<Place> {
        let known = self.known(who, room)?.as_mut()?;
        if !who.keeps {
            // When it was signed says only its ticket, which nobody sees.
            return Some(room.held(known.number, unix));
        }
        let issued = room.order().joined_at(known.number).unwrap_or(unix);
        let place = room.held(known.number, issued);
        if let Some(signed) = known.place.filter(|signed| signed.issued() == place.issued()) {
            return Some(signed);
        }
        known.place = Some(room.signed(place));
        known.place
    }

    /// `found` is what the room says of somebody; it is what is answered, too.
    pub(super) fn met(&mut self, who: Who, room: &Room, found: Option<Place>) -> Option<Place> {
        #[cfg(test)]
        if self.is_off {
            return found;
        }
        // Others were found by their tickets.
        let number = found.filter(Place::is_identified).map(|place| place.number());
        if let (Some(number), Some(known)) = (number, self.known(who, room)) {
            *known = Some(Known { number, place: None });
        }
        found
    }

    /// A room does not know somebody any more, or he has gone.
    pub(super) fn forget(&mut self, who: u32) {
        if let Some(person) = self.people.get_mut(who as usize) {
            *person = None;
        }
    }

    /// Reads a word of what is remembered of each of `people`, as `Present::foresee` does.
    pub(super) fn foresee(&self, people: &[u32]) {
        let of = |number: &u32| self.people.get(*number as usize)?.as_deref();
        let mut sum = people.iter().filter(|number| of(number).is_some()).count() as u64;
        for known in people.iter().filter_map(of).flatten().flatten() {
            sum ^= known.number ^ known.place.map_or(0, |place| place.number());
        }
        black_box(sum);
    }

    fn known(&mut self, who: Who, room: &Room) -> Option<&mut Option<Known>> {
        if !who.is_known {
            return None;
        }
        let position = self.rooms.iter().position(|tag| *tag == room.tag())?;
        let person = self.people.get_mut(who.person as usize)?;
        person.get_or_insert_with(|| self.rooms.iter().map(|_| None).collect()).get_mut(position)
    }
}
