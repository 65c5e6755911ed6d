//! Where a place stands now, and when its holder is to ask again.
//!
//! **Invariants**: whoever waits is told never to be farther back than before; the first return of somebody is in the journal before he is
//! told anything; whoever is told that his turn has come is told so after a kill as well; a visit before its time changes nothing, not even when the next one is due.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Place, Room, Shown};
use crate::waiting_room::eta::{self, Estimate};
use crate::waiting_room::identity::Claimed;
use crate::waiting_room::journal::{Appended, Record};
use crate::waiting_room::order::State;
use crate::waiting_room::wave::{End, Fate, Phase};

/// Somebody whose turn has come and for whom nothing is left at this instant asks again after this: what others hold is decided
/// within seconds, or the life of a pass.
const TAKEN_AGAIN: Duration = Duration::from_secs(5);

/// Of a wave that has ended, nothing changes for so long; whoever asks sooner learns nothing.
const ENDED_AGAIN: Duration = Duration::from_mins(5);

/// Before a number that an identity has taken, so that no identity is the same.
const BOUND: &[u8] = b"weir number of an identity\n";

/// Where a place stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stand {
    /// Registered for a wave that opens then, since 1970; the order will be drawn.
    Lobby {
        /// The wave.
        wave: u8,
        /// Its opening.
        opens: Duration,
    },
    /// In line.
    Waiting {
        /// People before him.
        ahead: u64,
        /// How long it will take; [`None`] while nobody can know.
        estimate: Option<Estimate>,
        /// Nothing will be left for him if everybody before him succeeds.
        beyond: bool,
        /// When newcomers are no longer taken.
        closes: Option<Duration>,
        /// Nobody is called at present.
        paused: bool,
    },
    /// His turn has come.
    Called,
    /// It has, and all that is left of the quota is in the hands of others who have not finished yet.
    Taken,
    /// He was let in.
    Inside,
    /// A request of his that counts is at the service.
    Sending,
    /// It was, and nobody knows what became of it.
    Unclear,
    /// It succeeded.
    Done,
    /// The wave of his place has ended.
    Over {
        /// When the next one opens.
        next: Option<Duration>,
        /// Whether the quota ended it.
        spent: bool,
        /// His place counts in the next one.
        carried: bool,
    },
    /// Nothing is remembered of him, or he has left.
    Unknown,
}

/// What somebody is told.
#[derive(Debug)]
pub struct Look {
    /// Where he stands.
    pub stand: Stand,
    /// When to ask again.
    pub poll_after: Duration,
    /// To be awaited before he is told.
    pub recorded: Option<Appended>,
}

impl Room {
    /// The holder of `place` asks at `now` and `unix` (since 1970); `chance` in `0..1` spreads the next visits.
    pub fn look(&self, place: &Place, unix: Duration, chance: f64) -> Look {
        let shown = self.shown();
        let number = place.ticket.number;
        let stand = self.stand(number, &shown);
        let after = self.poll_after(&stand, &shown, unix, chance);
        self.events.visits.fetch_add(1, Ordering::Relaxed);
        let recorded = self.bind(place);
        // Before the record that he came back: whoever waits for that one waits for both.
        let registered = matches!(stand, Stand::Lobby { .. }).then(|| self.register(place)).flatten();
        let recorded = registered.or(recorded);
        let Some(returned) = self.order.returned(number, unix, unix.saturating_add(after)) else {
            return Look { stand, poll_after: after, recorded };
        };
        let first = (returned.first && (returned.counted || number < self.front))
            .then(|| self.journal.append(Record::Returned { number }));
        let due = if returned.early {
            self.events.early.fetch_add(1, Ordering::Relaxed);
            self.order.standing(number).and_then(|standing| standing.at).map(|due| due.saturating_sub(unix))
        } else {
            None
        };
        // Whose turn has come is told so, however early he asks: he is called, not served, by the order.
        Look { stand, poll_after: due.unwrap_or(after).max(eta::FLOOR), recorded: first.or(recorded) }
    }

    /// The holder of `place` was held for `held` until `unix` (since 1970), and stands at `stand` now: when he is to ask again, which is after the
    /// time that others stay away, less what he was here. So between two visits near his turn he is away for a second.
    pub fn look_after(&self, place: &Place, stand: &Stand, held: Duration, unix: Duration, chance: f64) -> Duration {
        let after = self.poll_after(stand, &self.shown(), unix, chance).saturating_sub(held).max(eta::AT_ONCE);
        // If the visit before said a later moment, that one stands: whoever comes between the two loses nothing.
        self.order.returned(place.ticket.number, unix, unix.saturating_add(after));
        after
    }

    /// Where the holder of `place` stands, without a visit of his.
    #[must_use]
    pub fn standing(&self, place: &Place) -> Stand {
        self.stand(place.ticket.number, &self.shown())
    }

    /// Whether the holder of `place`, who has a pass, is still inside; if so, he was seen at `unix` (since 1970).
    #[must_use]
    pub fn stays(&self, place: &Place, unix: Duration) -> bool {
        let returned = self.order.returned(place.ticket.number, unix, unix);
        returned.is_some_and(|returned| !matches!(returned.state, State::Waiting | State::Gone))
    }

    /// When the holder of `place` was let in or last seen inside, since 1970.
    #[must_use]
    pub fn admitted(&self, place: &Place) -> Option<Duration> {
        self.order.standing(place.ticket.number)?.at
    }

    /// Where somebody stands who was given `place` just now, and when he is to come for the first time; `chance` in `0..1`.
    #[must_use]
    pub fn first_look(&self, place: &Place, unix: Duration, chance: f64) -> (Stand, Duration) {
        let shown = self.shown();
        let stand = self.stand(place.ticket.number, &shown);
        let first = eta::first_return(chance);
        let after = match stand {
            // Whose turn is near comes sooner: the service shall not stand still until the first of a crowd come back.
            Stand::Lobby { .. } | Stand::Waiting { .. } => first.min(self.poll_after(&stand, &shown, unix, chance)),
            _ => first,
        };
        (stand, after)
    }

    /// Whether somebody who stands at `stand` has no place any more, and can have another.
    #[must_use]
    pub fn is_lost(&self, stand: &Stand) -> bool {
        match stand {
            Stand::Unknown => true,
            Stand::Over { carried: false, .. } => self.takes(),
            _ => false,
        }
    }

    /// What a newcomer finds when no place is given.
    #[must_use]
    pub fn closed(&self) -> Stand {
        let standing = self.shown().standing;
        let next = match standing.phase {
            Phase::Closed { next } => next,
            Phase::Lobby { opens, .. } => Some(opens),
            Phase::Open { .. } => None,
        };
        let spent = standing.ended.is_some_and(|(_, end)| end == End::Quota);
        Stand::Over { next, spent, carried: false }
    }

    /// An identity without a place takes the one of the ticket it came with, unless that is another's already.
    fn bind(&self, place: &Place) -> Option<Appended> {
        let hash = place.binds?;
        let number = place.ticket.number;
        // The number has a name of its own once it is somebody's: with one ticket no more than one identity is remembered.
        let own = self.identities.hash(&[BOUND, &number.to_be_bytes()].concat());
        if self.identities.claim(own, || Some(number)) != Claimed::New(number) {
            return None;
        }
        if self.identities.claim(hash, || Some(number)) != Claimed::New(number) {
            self.identities.forget(own, number);
            return None;
        }
        let [_, recorded] =
            [own, hash].map(|hash| self.journal.append(Record::Identity { hash: hash.to_u64(), number }));
        Some(recorded)
    }

    pub(super) fn stand(&self, number: u64, shown: &Shown) -> Stand {
        match self.order.state(number) {
            Some(State::Waiting) => self.waiting(number, shown),
            Some(State::Admitted) => Stand::Inside,
            Some(State::Sending) => Stand::Sending,
            Some(State::Ambiguous) => Stand::Unclear,
            Some(State::Done) => Stand::Done,
            Some(State::Gone) | None => Stand::Unknown,
        }
    }

    /// Whether the turn of `number` has come, and would have after a kill at this instant.
    fn is_announced(&self, number: u64) -> bool {
        // Read before the position, as in `Order::is_called`.
        let announced = self.announced.load(Ordering::Acquire);
        self.order.position(number).is_some_and(|position| position < announced)
    }

    /// The journal has it that `number` was let in: so it was called, and all before it.
    pub(super) fn announce_to(&self, number: u64) {
        if let Some(position) = self.order.position(number) {
            self.announced.fetch_max(position.saturating_add(1), Ordering::AcqRel);
        }
    }

    fn waiting(&self, number: u64, shown: &Shown) -> Stand {
        let wave = self.wave_of(number);
        let standing = &shown.standing;
        if self.has_ended(number) {
            // While another wave is open, his place is not even worth a word. Looked at once more: the end was shown before it counted, and
            // what this look began with may be older.
            let open = matches!(self.shown().standing.phase, Phase::Open { .. });
            return if open { Stand::Unknown } else { self.closed() };
        }
        if (shown.undrawn.0..shown.undrawn.1).contains(&number) {
            // Being drawn: within seconds.
            let opens = self.opening(wave).map_or(Duration::ZERO, |opens| opens.unix);
            return Stand::Lobby { wave, opens };
        }
        if let Phase::Lobby { wave: awaited, opens } = standing.phase
            && awaited == wave
        {
            return Stand::Lobby { wave, opens };
        }
        let next = match standing.phase {
            Phase::Closed { next } => next,
            Phase::Lobby { opens, .. } => Some(opens),
            Phase::Open { .. } => None,
        };
        if let Some((_, end)) = standing.ended {
            let spent = end == End::Quota;
            match self.schedule.fate(standing.ended.map_or(wave, |(ended, _)| ended), end) {
                Fate::Served => {}
                Fate::Carried { .. } => return Stand::Over { next, spent, carried: true },
                Fate::Over => return Stand::Over { next, spent, carried: false },
            }
        }
        let quota = standing.calling.and_then(|calling| self.quota_of(calling));
        if self.is_announced(number) {
            return if quota.is_some_and(|quota| quota.left() == 0) { Stand::Taken } else { Stand::Called };
        }
        let ahead = self.order.position(number).map_or(0, |position| self.order.ahead(position));
        let closes = match standing.phase {
            Phase::Open { closes, .. } => closes,
            _ => None,
        };
        // Whoever was called is before him as well. When somebody will give up a place, nobody knows.
        let beyond = quota.is_some_and(|quota| quota.is_beyond(ahead.saturating_add(shown.promised)));
        Stand::Waiting {
            ahead,
            estimate: shown.forecast.estimate(ahead).filter(|_| !beyond),
            beyond,
            closes,
            paused: shown.paused,
        }
    }

    fn poll_after(&self, stand: &Stand, shown: &Shown, unix: Duration, chance: f64) -> Duration {
        match stand {
            Stand::Lobby { opens, .. } => eta::opening_visit(opens.saturating_sub(unix), self.order.waiting(), chance),
            Stand::Waiting { ahead, .. } => shown.forecast.poll_after(*ahead, chance),
            Stand::Over { next: Some(next), .. } => {
                eta::opening_visit(next.saturating_sub(unix), self.order.waiting(), chance).max(TAKEN_AGAIN)
            }
            Stand::Taken | Stand::Sending | Stand::Unclear => TAKEN_AGAIN,
            Stand::Over { next: None, .. } => ENDED_AGAIN,
            Stand::Called | Stand::Inside | Stand::Done | Stand::Unknown => eta::FLOOR,
        }
    }
}
