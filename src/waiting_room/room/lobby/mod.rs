//! Lobbies: who registers for a draw, and how it is held.
//!
//! ```text
//! start    a secret for each wave that has a lobby, in the journal before anybody registers; its commitment is told from then on
//! lobby    whoever comes back is registered: number, instant of issue and tag of his ticket, in the journal before he is told
//! opening  the roll is closed and says so in the journal; nobody of the lobby is called (`Order::fence`)
//! draw     on a thread of its own: secret and roll → draw → journal → order; then people are called
//! after    the document is written beside the journal, the registrations are forgotten, and receipts are proved from it
//! ```
//!
//! Everybody takes part who came back in the lobby, however late, and whoever joined within [`GRACE`] before the opening, whether he came back or
//! not: by his number alone, as nothing else is known of him. Whoever joined earlier, or before a restart, and never came back stands
//! behind all of them, in the order of joining, and before whoever came after the opening.
//!
//! **Invariants**: a roll is closed once, and what is drawn follows from the secret and the journal alone: held again after a restart it is the
//! same, or the room says what differs and does not open; nobody of a lobby is called before its draw is on the disk.
//! **Cost**: see `roll` and `lottery`; the draw of 1,432,133 people and its document some seconds of one core.
//! **Not here**: what is computed (`lottery`), what the document is for afterwards (`published`).
//!
//! [`GRACE`]: crate::waiting_room::order::GRACE

#[cfg(test)]
mod tests;

mod fault;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

pub use self::fault::DrawFault;

use super::published::Published;
use super::roll::{Roll, Rolled};
use super::{Place, Room, RoomError};
use crate::waiting_room::journal::{Appended, Journal, LotSecret, Record};
use crate::waiting_room::lottery::{
    self, Digest, Draw, Receipt, Registration, RollError, Secret, Tag, Terms, commitment,
};
use crate::waiting_room::order::{DrawError, Order};
use crate::waiting_room::wave::{Phase, Standing};

/// The journal is waited for at most so long, by threads that may wait.
const JOURNAL_PATIENCE: Duration = Duration::from_secs(5);

/// Records on their way at once when a roll is written again: a small part of the journal's ring.
const BATCH: usize = 256;

/// The draws of a room.
#[derive(Debug)]
pub(super) struct Lottery {
    room: Arc<str>,
    generation: u32,
    /// Where documents are written.
    state: PathBuf,
    /// One a wave, where it has a lobby.
    secrets: Box<[Option<Secret>]>,
    roll: Roll,
    stages: Mutex<Stages>,
    published: RwLock<Vec<Arc<Published>>>,
}

/// What is still to be done, oldest first. At most one a wave.
#[derive(Debug, Default)]
struct Stages {
    undrawn: VecDeque<Rolled>,
    unpublished: VecDeque<(Rolled, Arc<Draw>)>,
}

/// What somebody can be told of the draw of his lobby.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lot {
    /// He is registered, and it has not been held.
    Registered(Receipt),
    /// It has been held.
    Drawn {
        /// Whose draw.
        terms: Terms,
        /// The place that was drawn, from 1.
        place: u64,
        /// Among so many.
        count: u64,
        /// The root of the registrations.
        root: Digest,
    },
}

impl Lottery {
    /// No draw has been held, and nothing is registered.
    pub(super) fn new(room: &str, generation: u32, state: PathBuf, waves: usize) -> Self {
        Self {
            room: room.into(),
            generation,
            state,
            secrets: vec![None; waves].into(),
            roll: Roll::default(),
            stages: Mutex::default(),
            published: RwLock::default(),
        }
    }

    /// Hears what the journal remembers of draws, in its order.
    pub(super) fn hear(&mut self, record: Record, order: &Order) -> Result<(), DrawFault> {
        match record {
            Record::Secret { wave, secret } => {
                if let Some(place) = self.secrets.get_mut(usize::from(wave)) {
                    // The first was committed to.
                    place.get_or_insert(Secret::new(secret.0));
                }
            }
            Record::Registered { number, issued, tag } => {
                self.roll.restore(&Registration { number, issued, tag: Tag::new(tag) });
            }
            Record::Roll { wave, first, fresh, end } => {
                self.roll.close(end, || ());
                self.stages().undrawn.push_back(Rolled { wave, first, fresh, end });
            }
            Record::Draw { wave, root, .. } => self.hold_again(wave, Digest::new(root), order)?,
            _ => {}
        }
        Ok(())
    }

    /// Makes and journals a secret for each of `waves`, which have lobbies, if there is none yet; on the disk when this returns.
    pub(super) fn commit(
        &mut self,
        waves: impl Iterator<Item = usize>,
        journal: &Journal,
        mut random: impl FnMut() -> Option<[u8; 32]>,
    ) -> Result<(), RoomError> {
        for index in waves {
            let Some(place) = self.secrets.get_mut(index).filter(|place| place.is_none()) else { continue };
            let secret = Secret::new(random().ok_or(RoomError::Random)?);
            let wave = u8::try_from(index).unwrap_or(u8::MAX);
            let record = Record::Secret { wave, secret: LotSecret(*secret.bytes()) };
            written(journal.append(record)).map_err(RoomError::Draw)?;
            *place = Some(secret);
        }
        Ok(())
    }

    /// The first position that nobody may reach who is called while these draws are due.
    pub(super) fn fence(&self) -> Option<u64> {
        self.stages().undrawn.front().map(|rolled| rolled.first)
    }

    /// From the first number to the end of the last lobby that is not drawn yet; empty if there is none.
    pub(super) fn undrawn(&self) -> (u64, u64) {
        let stages = self.stages();
        let ends = stages.undrawn.front().zip(stages.undrawn.back());
        ends.map_or((0, 0), |(oldest, latest)| (oldest.first, latest.end))
    }

    fn secret(&self, wave: u8) -> Option<&Secret> {
        self.secrets.get(usize::from(wave))?.as_ref()
    }

    fn terms(&self, wave: u8) -> Terms {
        Terms { room: self.room.as_ref().to_owned(), generation: self.generation, wave }
    }

    /// The draw of `rolled`, and everybody's rank.
    fn hold(&self, rolled: Rolled) -> Result<(Draw, Box<[u32]>), DrawFault> {
        let secret = self.secret(rolled.wave).ok_or(DrawFault::NoSecret(rolled.wave))?;
        let length = u32::try_from(rolled.end.saturating_sub(rolled.first)).map_err(|_| RollError::Full)?;
        let mut roll = lottery::Roll::default();
        for registration in self.roll.of(rolled) {
            roll.enter(&registration)?;
        }
        let draw = Draw::hold(self.terms(rolled.wave), secret.clone(), roll);
        let numbers = self.roll.of(rolled).map(|registration| registration.number);
        let forward = draw.forward(numbers, rolled.first, length).ok_or(DrawError::NotAPermutation)?;
        Ok((draw, forward))
    }

    /// The draw of `wave` was held, with registrations of `root`.
    fn hold_again(&self, wave: u8, root: Digest, order: &Order) -> Result<(), DrawFault> {
        let found = self.stages().undrawn.iter().copied().find(|rolled| rolled.wave == wave);
        // Written twice, it is held once.
        let Some(rolled) = found else { return Ok(()) };
        let (draw, forward) = self.hold(rolled)?;
        if draw.root() != root {
            return Err(DrawFault::Differs { wave, recorded: root, computed: draw.root() });
        }
        order.drawn(rolled.first, forward)?;
        self.stages().install(rolled, draw);
        Ok(())
    }

    /// Writes the documents that are due.
    fn publish(&self) -> Result<(), DrawFault> {
        loop {
            let next = self.stages().unpublished.front().map(|(rolled, draw)| (*rolled, Arc::clone(draw)));
            let Some((rolled, draw)) = next else { return Ok(()) };
            let path = self.state.join(format!("draw-{}.jsonl", rolled.wave));
            let written = Published::write(path.clone(), rolled, draw, self.roll.of(rolled));
            let published = written.map_err(|source| DrawFault::Document { path, source })?;
            self.published.write().unwrap_or_else(PoisonError::into_inner).push(Arc::new(published));
            self.stages().unpublished.pop_front();
            self.roll.forget(rolled.end);
        }
    }

    fn published(&self, is_meant: impl Fn(&Published) -> bool) -> Option<Arc<Published>> {
        let published = self.published.read().unwrap_or_else(PoisonError::into_inner);
        published.iter().find(|published| is_meant(published)).cloned()
    }

    fn stages(&self) -> MutexGuard<'_, Stages> {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stages {
    /// `rolled` is in the order by `draw`; its document is due.
    fn install(&mut self, rolled: Rolled, draw: Draw) {
        self.undrawn.retain(|other| *other != rolled);
        self.unpublished.push_back((rolled, Arc::new(draw)));
    }

    fn knows(&self, wave: u8) -> bool {
        let drawn = self.unpublished.iter().map(|(rolled, _)| rolled);
        self.undrawn.iter().chain(drawn).any(|rolled| rolled.wave == wave)
    }
}

impl Room {
    /// What the draw of `wave` is committed to; [`None`] if it has no lobby.
    #[must_use]
    pub fn commitment(&self, wave: u8) -> Option<Digest> {
        self.lottery.secret(wave).map(commitment)
    }

    /// The document of the draw of `wave`, once it is written.
    #[must_use]
    pub fn draw_document_path(&self, wave: u8) -> Option<PathBuf> {
        Some(self.lottery.published(|published| published.rolled.wave == wave)?.path.clone())
    }

    /// Whether a draw is to be held or published: see [`Room::hold_draws`].
    #[must_use]
    pub fn is_draw_due(&self) -> bool {
        let stages = self.lottery.stages();
        !stages.undrawn.is_empty() || !stages.unpublished.is_empty()
    }

    /// Holds the draws that are due and writes their documents. Blocks, for seconds: on a thread of its own. One caller at a time.
    ///
    /// # Errors
    /// The journal or the disk refuses. What was not done is due as before.
    pub fn hold_draws(&self) -> Result<(), DrawFault> {
        loop {
            let next = self.lottery.stages().undrawn.front().copied();
            let Some(rolled) = next else { return self.lottery.publish() };
            let (draw, forward) = self.lottery.hold(rolled)?;
            self.keep(rolled, &draw)?;
            self.order.drawn(rolled.first, forward)?;
            self.lottery.stages().install(rolled, draw);
        }
    }

    /// What the holder of `place` can be told of the draw of his lobby; [`None`] if he did not take part in one.
    #[must_use]
    pub fn lot(&self, place: &Place) -> Option<Lot> {
        let number = place.number();
        if let Some(registration) = self.lottery.roll.get(number) {
            let wave = self.wave_of(number);
            return Some(Lot::Registered(Receipt::before(
                &self.lottery.terms(wave),
                &registration,
                self.commitment(wave)?,
            )));
        }
        let published = self.lottery.published(|published| published.rolled.numbers().contains(&number))?;
        let place = self.order.position(number)?.saturating_sub(published.rolled.first).saturating_add(1);
        let count = published.draw.places().len() as u64;
        let terms = self.lottery.terms(published.rolled.wave);
        (place <= count).then(|| Lot::Drawn { terms, place, count, root: published.draw.root() })
    }

    /// The receipt of the holder of `place`, with his place and its proof once the draw is published. Reads from the disk.
    #[must_use]
    pub fn receipt(&self, place: &Place) -> Option<Receipt> {
        let number = place.number();
        match self.lottery.published(|published| published.rolled.numbers().contains(&number)) {
            Some(published) => published.receipt(number),
            None => match self.lot(place)? {
                Lot::Registered(receipt) => Some(receipt),
                Lot::Drawn { .. } => None,
            },
        }
    }

    /// Somebody in a lobby has come back with `place`: he is registered, if he is not yet.
    pub(super) fn register(&self, place: &Place) -> Option<Appended> {
        let Place { ticket, .. } = place;
        let registration = || Registration::new(ticket.number, ticket.issued, self.keyring.sign(ticket).as_ref());
        self.lottery.roll.enter(ticket.number, registration, |entered| self.journal.append(recorded(entered)))
    }

    /// The lobby of `wave` is over: its roll is closed, and its draw due.
    pub(super) fn close_lobby(&self, wave: u8) -> Option<Appended> {
        let first = self.first_of(wave)?;
        let mut stages = self.lottery.stages();
        // Among those from before a restart are numbers that nobody was given.
        let (fresh, end) = (self.order.settled().max(self.resumed), self.order.issued());
        // Killed between the two records of an opening, a room closes a lobby that is closed.
        let drawn = |published: &Published| published.rolled.wave == wave;
        if first >= end || stages.knows(wave) || self.lottery.published(drawn).is_some() {
            return None;
        }
        let rolled = Rolled { wave, first, fresh: fresh.clamp(first, end), end };
        stages.undrawn.push_back(rolled);
        let record = Record::Roll { wave, first, fresh: rolled.fresh, end };
        Some(self.lottery.roll.close(end, || self.journal.append(record)))
    }

    /// Nobody of a lobby is called before it is drawn.
    pub(super) fn set_fence(&self, standing: &Standing) {
        let lobby = match standing.phase {
            Phase::Lobby { wave, .. } => self.first_of(wave),
            Phase::Open { .. } | Phase::Closed { .. } => None,
        };
        let fence = lobby.into_iter().chain(self.lottery.fence()).min();
        self.order.fence(fence.unwrap_or(u64::MAX));
    }

    /// Puts into the journal that `draw` is that of `rolled`.
    fn keep(&self, rolled: Rolled, draw: &Draw) -> Result<(), DrawFault> {
        if self.journal.has_refused() {
            // Some registration may be missing there, without which a restart would draw another order.
            let mut registrations = self.lottery.roll.of(rolled).peekable();
            while registrations.peek().is_some() {
                let batch: Vec<Appended> = registrations
                    .by_ref()
                    .take(BATCH)
                    .map(|registration| self.journal.append(recorded(&registration)))
                    .collect();
                batch.into_iter().try_for_each(written)?;
            }
        }
        let opens = self.opening(rolled.wave).map_or(Duration::ZERO, |opens| opens.unix);
        written(self.journal.append(Record::Draw {
            wave: rolled.wave,
            first: rolled.first,
            count: u32::try_from(draw.places().len()).unwrap_or(u32::MAX),
            opens: u64::try_from(opens.as_millis()).unwrap_or(u64::MAX),
            root: draw.root().0,
        }))
    }
}

/// A secret's bytes from the system's generator of random numbers; [`None`] if it fails.
pub(super) fn random() -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(bytes)
}

const fn recorded(registration: &Registration) -> Record {
    Record::Registered { number: registration.number, issued: registration.issued, tag: registration.tag.0 }
}

/// Waits until it is in the journal.
pub(super) fn written(record: Appended) -> Result<(), DrawFault> {
    Ok(record.wait(JOURNAL_PATIENCE).ok_or(DrawFault::Silent)??)
}
