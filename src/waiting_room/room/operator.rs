//! What an operator asks of a room, and what he decides in it.
//!
//! **Invariants**: to look changes nothing, and is no visit of the person looked at; what he decides about somebody is in the journal before
//! it is true, and the quota's reservation is released after that.
//! **Cost**: [`Room::survey`] and [`Room::unclear`] look at each number that was called (a millisecond a million); [`Room::explain`]
//! costs what a visit does.
//! **Not here**: the admin socket and its sentences (`admin::rooms`), metrics (`proxy::room`).

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::{Now, Room, Stand};
use crate::waiting_room::eta::Estimate;
use crate::waiting_room::journal::Appended;
use crate::waiting_room::order::{Inside, State};
use crate::waiting_room::pace::PacePlan;
use crate::waiting_room::quota::Count;
use crate::waiting_room::wave::Standing;

/// So many unclear ones are listed at once: a page that somebody reads.
pub const UNCLEAR_PAGE: usize = 100;

/// A text of more digits is no number of a room (they are below 2^48).
const DIGITS: usize = 15;

/// A room as a whole, as of one instant.
#[derive(Clone, Copy, Debug)]
pub struct Survey {
    /// Unix seconds of its state's beginning.
    pub generation: u32,
    /// Its waves.
    pub standing: Standing,
    /// Numbers given.
    pub issued: u64,
    /// Positions below were called.
    pub serving: u64,
    /// People who wait and are awaited.
    pub waiting: u64,
    /// People who were called and are awaited.
    pub called: u64,
    /// People who are inside.
    pub inside: Inside,
    /// How people are called.
    pub pace: Pacing,
    /// How long a newcomer would wait, if that is known.
    pub estimate: Option<Estimate>,
    /// Of the wave whose people are called, if it has one.
    pub quota: Option<QuotaSurvey>,
    /// Its journal.
    pub journal: JournalSurvey,
    /// Identities that are remembered.
    pub identities: usize,
}

/// How people are called.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pacing {
    /// What is followed, or will be when a pause ends.
    pub plan: PacePlan,
    /// Nobody is called, on purpose.
    pub paused: bool,
    /// People a second who are called, as measured.
    pub speed: f64,
    /// Share of those called who do not come, `0..=1`.
    pub no_show: f64,
}

/// What has become of a quota.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaSurvey {
    /// The wave.
    pub wave: u8,
    /// How many places there are.
    pub limit: u32,
    /// What has become of them.
    pub count: Count,
    /// Places nobody has taken.
    pub left: u32,
}

/// How a journal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalSurvey {
    /// Whether the disk takes what it is given.
    pub healthy: bool,
    /// Bytes of it.
    pub bytes: u64,
    /// Records for which there was no room, of those that nobody waits for.
    pub dropped: u64,
}

/// All that is known of somebody.
#[derive(Clone, Copy, Debug)]
pub struct Explanation {
    /// His number.
    pub number: u64,
    /// His place in the order of service.
    pub position: u64,
    /// The wave for which it was given.
    pub wave: u8,
    /// What has become of him.
    pub state: State,
    /// Where he stands.
    pub stand: Stand,
    /// People before him, and how long until he is called; [`None`] of whoever does not wait, or was called.
    pub line: Option<(u64, Option<Estimate>)>,
    /// When his ticket was signed (since 1970), and whether it is too old by now; [`None`] if he was asked for by number.
    pub ticket: Option<(Duration, bool)>,
    /// Whether he has come back since he joined, and whether soon enough to be counted.
    pub returned: (bool, bool),
    /// Since 1970, to four seconds. While he waits: when he is to ask again. Else when he was let in, last seen, or when the
    /// request was sent.
    pub at: Option<Duration>,
    /// When he was called (since 1970), as far as it is remembered.
    pub called: Option<Duration>,
    /// He was called so long ago that he comes in through the lane of those who are late.
    pub late: bool,
    /// Whether the journal takes what it is given: while it does not, nobody is let in.
    pub healthy: bool,
}

/// Why there is nothing to explain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotExplained {
    /// Neither a number nor a ticket that this room has signed.
    #[error("neither a number nor a ticket of this room")]
    NotOurs,
    /// Nobody was given this number.
    #[error("nobody was given this number")]
    NotGiven,
    /// A ticket from before the state was lost.
    #[error("a ticket of an earlier state of this room")]
    Earlier,
}

/// Somebody of whose request nobody knows what became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unclear {
    /// His number.
    pub number: u64,
    /// When the request was sent, since 1970.
    pub since: Duration,
}

/// What an operator has found out about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has succeeded: it counts.
    Done,
    /// It has not: its sender is at the front of the line, and its place of the quota is free.
    Failed,
}

/// There is nothing to settle: what has become of somebody is known. [`None`] if there is nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotUnclear(pub Option<State>);

/// An operator's word about somebody, on its way into the journal.
#[derive(Debug)]
pub struct Resolution {
    room: Arc<Room>,
    number: u64,
    outcome: Outcome,
    wave: u8,
    unix: Duration,
}

impl Room {
    /// The room as a whole.
    #[must_use]
    pub fn survey(&self) -> Survey {
        let shown = self.shown();
        let quota = shown.standing.calling.and_then(|wave| Some((wave, self.quota_of(wave)?)));
        Survey {
            generation: self.generation,
            standing: shown.standing,
            issued: self.order.issued(),
            serving: self.order.serving(),
            waiting: self.order.waiting(),
            called: self.order.outstanding(),
            inside: self.order.inside(),
            pace: self.pacing(),
            estimate: self.newcomer(),
            quota: quota.map(|(wave, quota)| QuotaSurvey {
                wave,
                limit: quota.limit(),
                count: quota.count(),
                left: quota.left(),
            }),
            journal: self.journal(),
            identities: self.identities(),
        }
    }

    /// How its journal is.
    #[must_use]
    pub fn journal(&self) -> JournalSurvey {
        let journal = &self.journal;
        JournalSurvey { healthy: journal.is_healthy(), bytes: journal.length(), dropped: journal.dropped() }
    }

    /// Identities that are remembered.
    #[must_use]
    pub fn identities(&self) -> usize {
        self.identities.len()
    }

    /// How long somebody who joins now would wait; [`None`] while nobody can know.
    #[must_use]
    pub fn newcomer(&self) -> Option<Estimate> {
        self.shown().forecast.estimate(self.order.waiting())
    }

    /// How people are called.
    #[must_use]
    pub fn pacing(&self) -> Pacing {
        let control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = control.pace.plan();
        Pacing {
            plan: if plan == PacePlan::Paused { control.configured } else { plan },
            paused: plan == PacePlan::Paused,
            speed: self.shown().forecast.speed(),
            no_show: control.pace.no_show(),
        }
    }

    /// What is known of the holder of `who`, a number or a ticket.
    ///
    /// # Errors
    /// It is neither.
    pub fn explain(&self, who: &str, now: Now) -> Result<Explanation, NotExplained> {
        let (number, ticket) = if who.len() <= DIGITS && who.bytes().all(|byte| byte.is_ascii_digit()) {
            (who.parse().map_err(|_| NotExplained::NotOurs)?, None)
        } else {
            let ticket = self.keyring.verify(who.as_bytes()).filter(|ticket| ticket.room == self.tag);
            let ticket = ticket.ok_or(NotExplained::NotOurs)?;
            if ticket.generation != self.generation {
                return Err(NotExplained::Earlier);
            }
            (ticket.number, Some((ticket.issued, !self.is_good(&ticket, now.1))))
        };
        let position = self.order.position(number).ok_or(NotExplained::NotGiven)?;
        let standing = self.order.standing(number).ok_or(NotExplained::NotGiven)?;
        let stand = self.stand(number, &self.shown());
        let line = match stand {
            Stand::Waiting { ahead, estimate, .. } => Some((ahead, estimate)),
            _ => None,
        };
        let called = self.order.called_at(position).filter(|_| self.order.is_called(number));
        Ok(Explanation {
            number,
            position,
            wave: self.wave_of(number),
            state: standing.state,
            stand,
            line,
            ticket,
            returned: (standing.at.is_some(), standing.counted),
            at: standing.at,
            called: called.map(|at| now.1.saturating_sub(now.0.since(at))),
            late: self.order.is_late(number),
            healthy: self.journal.is_healthy(),
        })
    }

    /// Those of whose request nobody knows what became, from position `from` on; and where to go on.
    #[must_use]
    pub fn unclear(&self, from: u64) -> (Vec<Unclear>, Option<u64>) {
        let (found, next) = self.order.ambiguous(from, UNCLEAR_PAGE);
        (found.into_iter().map(|(number, since)| Unclear { number, since }).collect(), next)
    }

    /// An operator knows what became of the request of `number`. To be told to the room when the record is written, not before.
    ///
    /// # Errors
    /// It is known already, or there is no such request.
    pub fn resolve(
        self: &Arc<Self>,
        number: u64,
        outcome: Outcome,
        unix: Duration,
    ) -> Result<(Resolution, Appended), NotUnclear> {
        // A request of his that begins just now is written before this, or after it.
        let _order = self.in_order(number);
        let standing = self.order.standing(number).filter(|_| number >= self.order.remembered().start);
        let standing = standing.ok_or(NotUnclear(None))?;
        if standing.state != State::Ambiguous {
            return Err(NotUnclear(Some(standing.state)));
        }
        let record = self.state_record(number, outcome.state(), standing.wave, unix);
        let resolution = Resolution { room: Arc::clone(self), number, outcome, wave: standing.wave, unix };
        Ok((resolution, self.journal.append(record)))
    }
}

impl Outcome {
    const fn state(self) -> State {
        match self {
            Self::Done => State::Done,
            Self::Failed => State::Waiting,
        }
    }
}

impl Resolution {
    /// The word is in the journal, and true from now on.
    ///
    /// # Errors
    /// Meanwhile he has sent another request, whose outcome counts.
    pub fn apply(self) -> Result<(), NotUnclear> {
        let Self { room, number, outcome, wave, unix } = self;
        let _order = room.in_order(number);
        if !room.order.set(number, State::Ambiguous, outcome.state(), unix) {
            let state = room.order.state(number);
            // The journal shall not end with a word that was not kept.
            if let Some(state) = state {
                room.journal.post(room.state_record(number, state, wave, unix));
            }
            return Err(NotUnclear(state));
        }
        match outcome {
            Outcome::Done => {
                if let Some(quota) = room.reservation(number, wave) {
                    quota.finish();
                }
            }
            Outcome::Failed => {
                room.announce_to(number);
                room.released(number, wave);
                room.events.returned.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}
