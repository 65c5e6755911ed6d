//! When a room opens and closes.
//!
//! A room opens in *waves*. Before a wave opens there is a *lobby*: people register, and at the opening their order is drawn
//! (`lottery`). While it is open, people join at the end of the line. It ends at `closes`, when its quota is spent, or when the
//! next one opens. A room without waves is one wave that is always open.
//!
//! ```text
//!            lobby           open                       lobby            open
//! ──────────┬───────────────┬───────────────┬──────────┬───────────────┬──────────────▶
//!  closed   │               │ wave 0        │ closed   │               │ wave 1
//!           opens − lobby   opens           closes                     opens
//!                                           or the quota is spent
//! ```
//!
//! The clock on the wall can step back, and a wave that has closed does not open again for that: how far a room has come is a
//! value of its own, [`Progress`], that only grows; the caller keeps it (and journals it).
//!
//! **Invariants**: waves follow each other and never overlap; progress never decreases, whatever clock is shown to it; whoever
//! looks only at the end of the world and whoever looks every second arrive at the same progress.
//! **Cost**: a few comparisons, no allocation.
//! **Not here**: counting the quota (`quota`), who is called when (`pace`), what a page says of it (`page`).

use std::time::Duration;

pub use crate::config::plan::AtClose;

#[cfg(test)]
mod tests;

/// Waves that a room can have: a ticket numbers them in one byte.
pub const MAX_WAVES: usize = 256;

/// One scheduled opening. Instants are times since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wave {
    /// When people are let in. Only the first wave may be without: it is open from the start, and has no lobby.
    pub opens: Option<Duration>,
    /// How long before `opens` the lobby begins; [`None`]: as soon as the wave before has ended. It never begins earlier.
    pub lobby: Option<Duration>,
    /// From when on nobody joins any more. [`None`]: until the quota is spent or the next wave opens, or for ever.
    pub closes: Option<Duration>,
    /// How many may succeed.
    pub quota: Option<u64>,
}

/// What ended a wave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Its time.
    Time,
    /// Its quota: also said of a wave whose last people, served after its time, took what was left.
    Quota,
}

/// What becomes of a place in a wave that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its turn comes all the same.
    Served,
    /// It waits for this wave, before everybody who joins for it.
    Carried {
        /// The wave.
        into: u8,
    },
    /// It has ended.
    Over,
}

/// What a newcomer finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Whoever comes registers for a draw.
    Lobby {
        /// The wave that is awaited.
        wave: u8,
        /// When it opens and the lobby is drawn.
        opens: Duration,
    },
    /// Whoever comes joins at the end of the line.
    Open {
        /// The wave.
        wave: u8,
        /// From when on nobody joins any more, if its time ends.
        closes: Option<Duration>,
    },
    /// Nobody can join.
    Closed {
        /// When the next wave opens, if there is one.
        next: Option<Duration>,
    },
}

/// Where a room stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What a newcomer finds.
    pub phase: Phase,
    /// The wave whose people are called now, and whose quota they take.
    pub calling: Option<u8>,
    /// The wave that ended last, and by what, until another opens.
    pub ended: Option<(u8, End)>,
    /// When the clock changes this next; [`None`]: never. A spent quota can do so before.
    pub change: Option<Duration>,
}

/// How far a room has come through its waves. Later is greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Progress {
    /// Waves that have opened.
    opened: u16,
    /// How the last of them ended, if it has.
    ended: Option<End>,
    /// Whether the lobby of the next has begun.
    lobby: bool,
}

/// Why waves cannot follow each other as written. Waves are counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// A ticket could not number them.
    #[error("more than {MAX_WAVES} waves")]
    TooMany,
    /// Only the first wave can be open from the start.
    #[error("wave {0} does not say when it opens")]
    NoOpening(usize),
    /// Before a wave that is open from the start there is nothing.
    #[error("wave {0} has a lobby, and nothing that it waits for")]
    LobbyWithoutOpening(usize),
    /// It would close before it opens, or at the same instant.
    #[error("wave {0} closes before it opens")]
    ClosesFirst(usize),
    /// It would open before the one before closes, or before that opens.
    #[error("wave {0} opens before the one before it is over")]
    Overlap(usize),
    /// Zero is not a quota.
    #[error("wave {0} lets nobody in")]
    NoQuota(usize),
}

/// The waves of a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    waves: Box<[Wave]>,
    at_close: AtClose,
}

impl Schedule {
    /// `waves` in their order; none at all means one that is always open. What has been is not taken out of a running room's
    /// list: places and counts refer to waves by number.
    ///
    /// # Errors
    /// They do not follow each other.
    pub fn new(mut waves: Vec<Wave>, at_close: AtClose) -> Result<Self, ScheduleError> {
        if waves.is_empty() {
            waves.push(Wave::default());
        }
        if waves.len() > MAX_WAVES {
            return Err(ScheduleError::TooMany);
        }
        let mut before: Option<&Wave> = None;
        for (index, wave) in waves.iter().enumerate() {
            wave.sound(index)?;
            if let Some(before) = before {
                let opens = wave.opens.ok_or(ScheduleError::NoOpening(index))?;
                let over = before.closes.is_none_or(|closes| closes <= opens);
                if !over || before.opens.is_some_and(|opened| opens <= opened) {
                    return Err(ScheduleError::Overlap(index));
                }
            }
            before = Some(wave);
        }
        Ok(Self { waves: waves.into(), at_close })
    }

    /// How far a room that has come as far as `reached` has come at `unix`: never less far.
    #[must_use]
    pub fn advance(&self, reached: Progress, unix: Duration) -> Progress {
        let mut progress = reached;
        // Each turn is one step of one wave, and the last wave has no next step: it ends.
        while let Some((next, _)) = self.next(progress).filter(|(_, at)| *at <= unix) {
            progress = next;
        }
        progress
    }

    /// The same room when the quota of `wave` is spent: the wave has ended, unless it is not the last that opened.
    #[must_use]
    pub fn spent(&self, reached: Progress, wave: u8) -> Progress {
        if reached.current() == Some(wave) { Progress { ended: Some(End::Quota), ..reached } } else { reached }
    }

    /// Where a room stands that has come as far as `reached`.
    #[must_use]
    pub fn standing(&self, reached: Progress) -> Standing {
        let current = reached.current().map(|wave| (wave, self.wave(usize::from(wave))));
        let next = self.wave(usize::from(reached.opened)).and_then(|wave| wave.opens);
        let phase = match (current, reached.ended, next) {
            (Some((wave, plan)), None, _) => Phase::Open { wave, closes: plan.and_then(|plan| plan.closes).or(next) },
            (_, _, Some(opens)) if reached.lobby => Phase::Lobby { wave: index(reached.opened), opens },
            _ => Phase::Closed { next },
        };
        let late = reached.ended == Some(End::Time) && self.at_close == AtClose::Serve;
        Standing {
            phase,
            calling: reached.current().filter(|_| reached.ended.is_none() || late),
            ended: reached.current().zip(reached.ended),
            change: self.next(reached).map(|(_, at)| at),
        }
    }

    /// What becomes of a place in `wave` that `end` has ended.
    #[must_use]
    pub fn fate(&self, wave: u8, end: End) -> Fate {
        let next = usize::from(wave).saturating_add(1);
        match (self.at_close, end) {
            (AtClose::Serve, End::Time) => Fate::Served,
            (AtClose::Carry, _) if next < self.waves.len() => {
                u8::try_from(next).map_or(Fate::Over, |into| Fate::Carried { into })
            }
            _ => Fate::Over,
        }
    }

    /// How many may succeed in `wave`; [`None`] is any number.
    #[must_use]
    pub fn quota(&self, wave: u8) -> Option<u64> {
        self.wave(usize::from(wave)).and_then(|wave| wave.quota)
    }

    fn wave(&self, index: usize) -> Option<&Wave> {
        self.waves.get(index)
    }

    /// The next step that the clock makes, and when.
    fn next(&self, progress: Progress) -> Option<(Progress, Duration)> {
        let upcoming = self.wave(usize::from(progress.opened));
        let current = progress.current().and_then(|wave| self.wave(usize::from(wave)));
        if let Some(current) = current.filter(|_| progress.ended.is_none()) {
            if let Some(closes) = current.closes {
                return Some((Progress { ended: Some(End::Time), ..progress }, closes));
            }
            return upcoming.and_then(|wave| wave.opens).map(|opens| (progress.open(), opens));
        }
        let upcoming = upcoming?;
        let opens = upcoming.opens.unwrap_or(Duration::ZERO);
        if progress.lobby || upcoming.opens.is_none() {
            return Some((progress.open(), opens));
        }
        let begins = upcoming.lobby.map_or(Duration::ZERO, |span| opens.saturating_sub(span));
        Some((Progress { lobby: true, ..progress }, begins))
    }
}

impl Wave {
    /// Whether it can be, as wave `index`.
    fn sound(&self, index: usize) -> Result<(), ScheduleError> {
        if self.opens.is_none() && self.lobby.is_some() {
            return Err(ScheduleError::LobbyWithoutOpening(index));
        }
        if self.closes.is_some_and(|closes| self.opens.is_some_and(|opens| closes <= opens)) {
            return Err(ScheduleError::ClosesFirst(index));
        }
        if self.quota == Some(0) { Err(ScheduleError::NoQuota(index)) } else { Ok(()) }
    }
}

/// Bits of [`Progress::code`] below the count of opened waves.
const CODE_STEPS: u16 = 8;

impl Progress {
    /// This progress in a number, for the journal; later is greater.
    #[must_use]
    pub fn code(self) -> u16 {
        let ended = match self.ended {
            None => 0,
            Some(End::Time) => 2,
            Some(End::Quota) => 4,
        };
        self.opened.saturating_mul(CODE_STEPS) | ended | u16::from(self.lobby)
    }

    /// The progress of `code`; [`None`] if none has it.
    #[must_use]
    pub fn from_code(code: u16) -> Option<Self> {
        let ended = match code % CODE_STEPS / 2 {
            0 => None,
            1 => Some(End::Time),
            2 => Some(End::Quota),
            _ => return None,
        };
        let progress = Self { opened: code / CODE_STEPS, ended, lobby: code % 2 == 1 };
        let lobby_of_an_open_wave = progress.lobby && progress.opened > 0 && ended.is_none();
        let nothing_ended = progress.opened == 0 && ended.is_some();
        let possible = usize::from(progress.opened) <= MAX_WAVES && !lobby_of_an_open_wave && !nothing_ended;
        possible.then_some(progress)
    }

    /// The wave that opened last.
    fn current(self) -> Option<u8> {
        self.opened.checked_sub(1).map(index)
    }

    fn open(self) -> Self {
        Self { opened: self.opened.saturating_add(1), ended: None, lobby: false }
    }
}

/// A wave's number, which [`MAX_WAVES`] bounds.
fn index(wave: u16) -> u8 {
    u8::try_from(wave).unwrap_or(u8::MAX)
}
