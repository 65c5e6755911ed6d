//! When waves open and close, as people shall read it.

use super::Room;
use crate::config::plan;
use crate::waiting_room::page::Moment;
use crate::waiting_room::wave::Phase;

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

    /// When the wave that is open closes.
    #[must_use]
    pub fn closing(&self) -> Option<Moment> {
        let wave = self.shown().standing.calling?;
        self.waves.get(usize::from(wave))?.closes.map(moment)
    }
}

const fn moment(instant: plan::Instant) -> Moment {
    Moment { unix: instant.unix, offset_minutes: instant.offset_minutes }
}
