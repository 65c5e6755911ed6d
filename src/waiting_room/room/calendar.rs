//! When waves open and close, as people shall read it, and for how long tickets are good.

use std::time::Duration;

use super::Room;
use crate::config::plan;
use crate::waiting_room::page::Moment;
use crate::waiting_room::ticket::Ticket;
use crate::waiting_room::wave::Phase;

/// A clock that is set back by this much loses nobody's ticket.
pub(super) const SKEW: Duration = Duration::from_mins(5);

impl Room {
    /// What becomes of places when a wave ends.
    #[must_use]
    pub const fn at_close(&self) -> plan::AtClose {
        self.at_close
    }

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
        let carries = self.at_close == plan::AtClose::Carry;
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

    /// When the wave that is open closes: by its own time, or by the opening of the next.
    #[must_use]
    pub fn closing(&self) -> Option<Moment> {
        let wave = usize::from(self.shown().standing.calling?);
        let next = self.waves.get(wave.saturating_add(1)).and_then(|next| next.opens);
        self.waves.get(wave)?.closes.or(next).map(moment)
    }
}

const fn moment(instant: plan::Instant) -> Moment {
    Moment { unix: instant.unix, offset_minutes: instant.offset_minutes }
}
