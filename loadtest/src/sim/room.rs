//! The doors of waiting rooms, told again without sockets: `weir::proxy::room` and its `wicket` are what this mirrors.

use std::sync::Arc;
use std::time::Duration;

use weir::admission::verdict::Reason;
use weir::config::plan::{Class, Identity, WaitingRoom};
use weir::proxy::gateway::Route;
use weir::proxy::pass::{Bearer, Pass};
use weir::proxy::room::Doorway;
use weir::waiting_room::eta::FLOOR;
use weir::waiting_room::room::{Look, NotEntered, Place, Stand, Turn};

use super::gateway::{Call, Gateway, Said};
use super::told;
use crate::ledger::Kind;
use crate::visitor::Answer;

/// Of the same name in `weir::proxy::room`.
const JOURNAL_AGAIN: Duration = Duration::from_secs(5);
/// Of the same name in `weir::proxy::room`.
const FULL_AGAIN: Duration = Duration::from_secs(30);
/// Of the same name in `weir::proxy::room::told`.
const CLOSED_AGAIN: Duration = Duration::from_mins(5);
/// Of the same name in `weir::proxy::room::wicket`.
const LONGEST: Duration = Duration::from_secs(30);
/// Of the same name in `weir::proxy::room::wicket`.
const NEAR: Duration = Duration::from_mins(2);

/// A visit to `/.weir/place`.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) doorway: Arc<Doorway>,
    pub(super) place: Place,
    look: Look,
    /// It is held so long at most.
    pub(super) held: Duration,
}

impl Gateway {
    /// Who may try to come in; an error is what he is told instead.
    pub(super) fn approach(&mut self, call: &mut Call, doorway: &Arc<Doorway>) -> Result<(), Answer> {
        let class = self.class(call);
        if !matches!(class, Class::New | Class::Bulk) {
            return Ok(());
        }
        let (room, unix) = (doorway.room(), self.unix());
        if let Some(session) = call.bearer.session() {
            match room.inside(session, unix) {
                Some(place) if room.stays(&place, unix) => {
                    call.place = Some(place);
                    return Ok(());
                }
                None if !call.route.plan(&self.core).is_some_and(|plan| plan.counts) => return Ok(()),
                _ => {}
            }
        }
        let Some(place) = self.find(call, doorway) else { return self.newcomer(call, doorway) };
        let look = room.look(&place, unix, self.rng.f64());
        match look.stand {
            Stand::Called => match room.approach(&place, self.tick()) {
                Ok(()) => {
                    let class = if place.class() == Class::Bulk { Class::Bulk } else { Class::Returning };
                    (call.bearer, call.place) = (call.bearer.called(class), Some(place));
                    Ok(())
                }
                Err(again) => Err(self.tell(call, doorway, Some(&place), (&Stand::Called, again))),
            },
            Stand::Inside | Stand::Sending | Stand::Unclear | Stand::Done => {
                let age = room.admitted(&place).map_or(Duration::ZERO, |admitted| unix.saturating_sub(admitted));
                (call.bearer, call.place) = (Bearer::inside(place.session(), age), Some(place));
                Ok(())
            }
            stand if room.is_lost(&stand) => {
                room.forget(self.identity(call, doorway), &place);
                self.acquaintances.forget(call.who.person);
                self.newcomer(call, doorway)
            }
            stand => Err(self.tell(call, doorway, Some(&place), (&stand, look.poll_after))),
        }
    }

    fn newcomer(&mut self, call: &mut Call, doorway: &Arc<Doorway>) -> Result<(), Answer> {
        #[cfg(test)]
        if self.overtakes && self.rng.u8(0..4) == 0 {
            call.bearer = Bearer::without(Class::Returning);
            return Ok(());
        }
        if doorway.room().lets_straight_in() {
            if call.bearer.session().is_some() {
                call.bearer = Bearer::without(self.class(call));
            }
            return Ok(());
        }
        Err(self.join(call, doorway))
    }

    fn join(&mut self, call: &Call, doorway: &Arc<Doorway>) -> Answer {
        let room = doorway.room();
        if !room.takes() {
            return self.tell(call, doorway, None, (&room.closed(), CLOSED_AGAIN));
        }
        let unix = self.unix();
        let Some(joined) = room.join(self.identity(call, doorway), self.class(call), unix) else {
            let again = FULL_AGAIN.mul_f64(1.0 + self.rng.f64());
            return told::refused(call.kind, Reason::RoomFull, Some(again));
        };
        let (stand, after) = room.first_look(&joined.place, unix, self.rng.f64());
        self.tell(call, doorway, Some(&joined.place), (&stand, after))
    }

    /// Admission says no to `call`.
    pub(super) fn turned_away(&mut self, call: &mut Call, reason: Reason, again: Option<Duration>) -> Answer {
        let busy = matches!(reason, Reason::QueueFull | Reason::WaitTooLong | Reason::Expired);
        let doorway = call.route.doorway().filter(|_| busy).map(Arc::clone);
        match (doorway, &call.place) {
            (Some(doorway), None) if call.bearer.session().is_none() => self.join(call, &doorway),
            (Some(doorway), Some(place)) if call.bearer.person.class != Class::InProgress => {
                let (room, again) = (doorway.room(), FLOOR.mul_f64(1.0 + self.rng.f64()));
                room.turned_away(self.tick().after(again));
                self.tell(call, &doorway, Some(place), (&room.standing(place), again))
            }
            _ => told::refused(call.kind, reason, again),
        }
    }

    /// Gives a newcomer who is held in line, or has a permit, his place.
    pub(super) fn line_up(&self, call: &mut Call) {
        let Some(doorway) = call.route.doorway().map(Arc::clone) else { return };
        let room = doorway.room();
        if call.place.is_none() && (room.has_quota() || call.bearer.session().is_none()) {
            let now = (self.tick(), self.unix());
            let joined = room.welcome(self.identity(call, &doorway), self.class(call), now);
            call.place = joined.map(|joined| joined.place);
        }
    }

    /// Redeems the place of somebody who has a permit.
    pub(super) fn redeem(&mut self, call: &mut Call) -> Result<Option<Turn>, Answer> {
        let Some(doorway) = call.route.doorway().map(Arc::clone) else { return Ok(None) };
        self.line_up(call);
        let Some(place) = call.place else { return Ok(None) };
        let plan = call.route.plan(&self.core);
        let counts = plan.is_some_and(|plan| plan.counts);
        let upstream = plan.and_then(|plan| self.core.plan().upstreams.get(plan.upstream.0));
        let key = Some(call.key.as_bytes()).filter(|_| upstream.is_some_and(|upstream| upstream.idempotent));
        let room = doorway.room();
        let not = match room.enter(&place, counts, key, (self.tick(), self.unix())) {
            Ok(entered) => return Ok(Some(entered.turn)),
            Err(not) => not,
        };
        let stand = match not {
            NotEntered::NoneLeft => Stand::Taken,
            NotEntered::Unclear => Stand::Unclear,
            NotEntered::NotCalled => room.standing(&place),
            NotEntered::Sending => {
                return Err(told::refused(call.kind, Reason::AlreadySending, Some(JOURNAL_AGAIN)));
            }
            NotEntered::Done => return Err(told::refused(call.kind, Reason::AlreadyDone, None)),
        };
        Err(self.tell(call, &doorway, Some(&place), (&stand, JOURNAL_AGAIN)))
    }

    /// Somebody asks where he stands, and would be held for `patience`; an error is what he is told at once.
    pub(super) fn visit(&mut self, call: &Call, patience: Duration) -> Result<Visit, Answer> {
        let (doorway, place) = self.meant(call)?;
        let look = doorway.room().look(&place, self.unix(), self.rng.f64());
        let near = matches!(&look.stand, Stand::Waiting { estimate, .. } if estimate.is_none_or(|estimate| estimate.p50 <= NEAR));
        let held = if near { patience.min(LONGEST) } else { Duration::ZERO };
        Ok(Visit { doorway, place, look, held })
    }

    /// What a visit that was not held is told.
    pub(super) fn seen(call: &Call, visit: &Visit) -> Answer {
        Self::place(call, visit, (&visit.look.stand, visit.look.poll_after))
    }

    /// What a visit that was held for so long is told.
    pub(super) fn seen_after(&mut self, call: &Call, visit: &Visit, held: Duration) -> Answer {
        let room = visit.doorway.room();
        let stand = room.standing(&visit.place);
        let after = room.look_after(&visit.place, &stand, held, self.unix(), self.rng.f64());
        Self::place(call, visit, (&stand, after))
    }

    /// Somebody leaves the line.
    pub(super) fn leave(&mut self, call: &Call) -> Answer {
        match self.meant(call) {
            Ok((doorway, place)) => {
                doorway.room().leave(&place, self.unix());
                Answer::bare(call.kind, 204)
            }
            Err(answer) => answer,
        }
    }

    fn place(call: &Call, visit: &Visit, said: (&Stand, Duration)) -> Answer {
        if *said.0 == Stand::Unknown {
            return told::refused(call.kind, Reason::NoPlace, None);
        }
        let place = Some(&visit.place).filter(|_| call.who.keeps);
        told::standing(Kind::Poll, visit.doorway.room(), place, said, (call.shown.ticket.as_deref(), None))
    }

    /// Whose place is meant, and in which room.
    fn meant(&mut self, call: &Call) -> Result<(Arc<Doorway>, Place), Answer> {
        let core = Arc::clone(&self.core);
        let mut found = core.doorways().iter();
        let found = found.find_map(|doorway| Some((Arc::clone(doorway), self.find(call, doorway)?)));
        found.ok_or_else(|| told::refused(call.kind, Reason::NoPlace, None))
    }

    fn find(&mut self, call: &Call, doorway: &Doorway) -> Option<Place> {
        let unix = self.unix();
        if let Some(place) = self.acquaintances.find(call.who, doorway.room(), unix) {
            return Some(place);
        }
        let stated = call.shown.ticket.iter().map(|ticket| ticket.as_bytes());
        let kept = cookies(call, doorway).filter(|_| !call.anew);
        let found = doorway.room().find(stated.chain(kept), self.identity(call, doorway), unix);
        self.acquaintances.met(call.who, doorway.room(), found)
    }

    fn tell(&self, call: &Call, doorway: &Doorway, place: Option<&Place>, said: (&Stand, Duration)) -> Answer {
        let room = doorway.room();
        let place = place.filter(|_| call.who.keeps);
        let kept = place.is_some_and(|place| self.is_kept(call, doorway, place));
        let gifts = (call.shown.ticket.as_deref(), Some(doorway.cookie()).filter(|_| !kept));
        told::standing(call.kind, room, place, said, gifts)
    }

    /// Whether what the browser keeps stays.
    fn is_kept(&self, call: &Call, doorway: &Doorway, place: &Place) -> bool {
        let Some(first) = cookies(call, doorway).next() else { return false };
        let room = doorway.room();
        if first == AsRef::<[u8]>::as_ref(&room.sign(place)) {
            return true;
        }
        let kept = (call.anew || call.shown.ticket.is_some())
            .then(|| room.find(cookies(call, doorway), None, self.unix()))
            .flatten();
        kept.is_some_and(|kept| kept.number() != place.number())
    }

    fn class(&self, call: &Call) -> Class {
        call.route.plan(&self.core).map_or(Class::New, |plan| plan.class)
    }

    /// Whether `pass`, which was `said` on `route`, is another person's (`weir::proxy::room::lent`).
    pub(super) fn is_anothers(&self, route: &Route, said: &Said, pass: &Pass) -> bool {
        let Some(door) = route.doorway().filter(|_| !said.anew) else { return said.anew };
        let means = |doorway: &Doorway| self.plan(doorway).and_then(|plan| plan.identity.as_ref());
        let mut given = self.core.doorways().iter();
        let given = given.find(|given| given.tag() == pass.room && means(given) == means(door));
        let identity = identity(means(door), said.key.as_bytes(), said.shown.cookie.as_deref());
        let held = given.zip(identity).is_none_or(|(given, of)| given.room().is_held_by(pass.session, of));
        let tickets = said.shown.ticket.iter().filter(|_| pass.room == door.tag()).map(|ticket| ticket.as_bytes());
        !held || door.room().find(tickets, None, self.unix()).is_some_and(|place| !place.is_of(pass.session))
    }

    /// The value that makes two requests the same person's.
    fn identity<'c>(&'c self, call: &'c Call, doorway: &Doorway) -> Option<&'c [u8]> {
        let means = self.plan(doorway)?.identity.as_ref();
        identity(means, call.key.as_bytes(), call.shown.cookie.as_deref())
    }

    fn plan(&self, doorway: &Doorway) -> Option<&WaitingRoom> {
        self.core.plan().waiting_rooms.iter().find(|room| *room.name == **doorway.room().name())
    }
}

fn identity<'c>(means: Option<&'c Identity>, key: &'c [u8], cookies: Option<&'c str>) -> Option<&'c [u8]> {
    match means? {
        Identity::Header(name) if name.as_str() == "idempotency-key" => Some(key),
        Identity::Header(_) => None,
        Identity::Cookie(name) => cookie(cookies, name).next(),
    }
}

fn cookies<'c>(call: &'c Call, doorway: &'c Doorway) -> impl Iterator<Item = &'c [u8]> {
    cookie(call.shown.cookie.as_deref(), doorway.cookie())
}

fn cookie<'c>(cookies: Option<&'c str>, name: &'c str) -> impl Iterator<Item = &'c [u8]> {
    let pairs = cookies.into_iter().flat_map(|cookies| cookies.split(';'));
    pairs.filter_map(move |pair| Some(pair.trim_ascii_start().strip_prefix(name)?.strip_prefix('=')?.as_bytes()))
}
