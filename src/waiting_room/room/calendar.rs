//! When waves open and close, as people shall read it, and for how long tickets are good.

use std::time::Duration;

use super::Room;
use crate::config::plan::{self, AtClose};
use crate::waiting_room::page::{Closes, Moment};
use crate::waiting_room::ticket::Ticket;
use crate::waiting_room::wave::{End, Fate, Phase};

/// A clock that is set back by this much loses nobody's ticket.
pub(super) const SKEW: Duration = Duration::from_mins(5);

impl Room {
    /// When `wave` opens, as it was written.
    #[must_use]
    pub fn opening(&self, wave: u8) -> Option<Moment> {
        self.waves.get(usize::from(wave))?.opens.map(moment)
    }

    /// Whether `ticket` is good at `unix` (since 1970) by its age.
    pub(super) fn is_fresh(&self, ticket: &Ticket, unix: Duration) -> bool {
        // Whoever registered for a wave, or whose place was carried into it, was promised his place until then.
        let since = ticket.issued.max(self.awaited(ticket.wave));
        ticket.issued <= unix.saturating_add(SKEW) && unix.saturating_sub(since) <= self.life
    }

    /// When the wave opens, or has opened, in which a place counts that was given for `wave`; zero of one that is open from the start.
    fn awaited(&self, wave: u8) -> Duration {
        let carries = self.at_close == AtClose::Carry;
        let wave = if carries { wave.max(self.upcoming()) } else { wave };
        let opens = self.waves.get(usize::from(wave)).and_then(|wave| wave.opens);
        opens.map_or(Duration::ZERO, |opens| opens.unix)
    }

    /// The wave that is open, or else the next.
    fn upcoming(&self) -> u8 {
        let standing = self.shown().standing;
        match standing.phase {
            Phase::Lobby { wave, .. } | Phase::Open { wave, .. } => wave,
            Phase::Closed { .. } => standing.ended.map_or(0, |(wave, _)| wave.saturating_add(1)),
        }
    }

    /// When the next wave opens.
    #[must_use]
    pub fn next_opening(&self) -> Option<Moment> {
        let next = match self.shown().standing.phase {
            Phase::Closed { next } => next?,
            Phase::Lobby { opens, .. } => opens,
            Phase::Open { .. } => return None,
        };
        self.waves.iter().filter_map(|wave| wave.opens).find(|opens| opens.unix == next).map(moment)
    }

    /// When `wave` closes, by its own time or by the opening of the next, and what then becomes of those who hold a place.
    #[must_use]
    pub fn closes(&self, wave: u8) -> Option<Closes> {
        let index = usize::from(wave);
        let next = self.waves.get(index.saturating_add(1)).and_then(|next| next.opens);
        let at = self.waves.get(index)?.closes.or(next).map(moment)?;
        let then = match self.schedule.fate(wave, End::Time) {
            Fate::Served => AtClose::Serve,
            Fate::Carried { .. } => AtClose::Carry,
            Fate::Over => AtClose::End,
        };
        Some(Closes { at, then, while_left: self.quota_of(wave).is_some() })
    }

    /// When the wave that is open closes.
    #[must_use]
    pub fn closing(&self) -> Option<Closes> {
        self.closes(self.shown().standing.calling?)
    }
}

const fn moment(instant: plan::Instant) -> Moment {
    Moment { unix: instant.unix, offset_minutes: instant.offset_minutes }
}
