//! One room: who somebody is, where he stands, and how he comes in.
//!
//! ```text
//! find ── ticket or identity → place                 join ── a number, and the ticket that proves it
//! look ── where a place stands now, when to ask again (`look`)
//! enter ─ the place is redeemed, the quota reserved → turn, told what became of the request (`turn`)
//! register in a lobby, hold_draws ── the order by lot, its document, receipts (`lobby`)
//! tick ── waves, settling, calling, estimates (`chore`)
//! ```
//!
//! **Invariants**: what a person was told is in the journal before he is told, if its loss would cost him anything: that his number
//! is his, that he came in. A request is forwarded only with its redemption in the journal. Of a quota, what is reserved, done or
//! unknown together never exceeds it.
//! **Cost**: `find` one HMAC for a ticket; `look` some loads and a compare-and-swap; the journal is waited for once at the first return
//! and once at the redemption (~0.1 ms).
//! **Not here**: HTTP (`proxy::room`), admission.

mod calendar;
mod chore;
mod door;
mod ended;
mod lane;
mod lobby;
mod look;
pub mod operator;
mod owed;
mod place;
mod published;
mod recover;
mod releases;
mod replay;
mod restore;
mod roll;
mod starts;
mod tally;
mod turn;

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

pub use self::chore::Load;
pub use self::lobby::{DrawFault, Lot};
pub use self::look::{Look, Stand};
pub use self::place::Place;
pub use self::turn::{Entered, NotEntered, Turn};

use self::chore::Control;
use self::lobby::Lottery;
use self::starts::Starts;
use super::eta::Forecast;
use super::identity::Identities;
use super::journal::{Appended, Journal, OpenError};
use super::order::Order;
use super::page::{Page, Template, TemplateError};
use super::quota::Quota;
use super::ticket::{Keyring, Ticket, TicketText};
use super::wave::{Schedule, ScheduleError, Standing};
use crate::clock::{Clock, Tick};
use crate::config::plan::{self, Class};
use crate::sabotage::{self, Fault};

/// So many numbers beyond those given are leased from the journal at least: what a kill skips, of the capacity's span …
const LEASE_LEAST: u64 = 1_024;

/// … and no more than this part of the capacity, so that a thousand kills of a small room leave room for all who wait.
const LEASE_PART: u64 = 1_024;

/// … and so many at most: two seconds' joins of the worst minute. Whoever is given a number beyond waits for the journal himself.
const LEASE_MOST: u64 = 262_144;

/// A waiting room, shared by all workers.
#[derive(Debug)]
pub struct Room {
    name: Arc<str>,
    tag: u32,
    generation: u32,
    /// A ticket is good for so long, from the opening of its wave on if that is later; and a passage for so long.
    life: Duration,
    passage: Duration,
    keyring: Keyring,
    identities: Identities,
    order: Order,
    schedule: Schedule,
    waves: Box<[plan::Wave]>,
    at_close: plan::AtClose,
    unrecorded: releases::Unrecorded,
    /// One a wave, where it has one.
    quotas: Box<[Option<Quota>]>,
    /// Who joined for which wave.
    starts: RwLock<Starts>,
    /// Numbers below have no place any more, unless they came in.
    ended: AtomicU64,
    lottery: Lottery,
    journal: Journal,
    /// Numbers below are in the journal as given.
    leased: AtomicU64,
    /// Numbers below were given, or skipped, before this process began.
    resumed: u64,
    /// The last lease that was asked for.
    leasing: Mutex<u64>,
    /// Numbers that a lease is for at least.
    lease_least: u64,
    stripes: [Mutex<()>; turn::STRIPES],
    /// Numbers below are for those who come late with a ticket of a lost state; 0 where none was lost.
    front: u64,
    recovery: Option<recover::Recovery>,
    /// Positions below were called, and are in the journal as such.
    announced: AtomicU64,
    shown: RwLock<Shown>,
    /// Newcomers who may go straight in until the next tick.
    straight: AtomicU64,
    /// Newcomers who have a number, or are given one, and are called at this instant.
    welcoming: AtomicU64,
    /// None do before this instant: until then those are expected back who were called and waited at the gate in vain.
    reserved: AtomicU64,
    /// Them.
    owed: owed::Owed,
    control: Mutex<Control>,
    /// People called, late ones let in: for the lane of the late.
    lane: Mutex<lane::Lane>,
    page: Page,
    events: Events,
}

/// What has happened, for metrics.
#[derive(Debug, Default)]
pub struct Events {
    /// Numbers given.
    pub joined: AtomicU64,
    /// Visits of people who wait.
    pub visits: AtomicU64,
    /// Of them, those before the time they had been told.
    pub early: AtomicU64,
    /// People let in.
    pub entered: AtomicU64,
    /// People whom the upstream failed, and who are at the front again.
    pub returned: AtomicU64,
}

/// What everybody is told from, as of the last tick.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown {
    pub(super) standing: Standing,
    pub(super) forecast: Forecast,
    pub(super) paused: bool,
    /// Whether somebody waits who has not been called.
    pub(super) crowded: bool,
    /// People who have been called and may each still take a place of the quota.
    pub(super) promised: u64,
    /// From and to which number people wait for a draw that is being held.
    pub(super) undrawn: (u64, u64),
}

/// A place that was given.
#[derive(Debug)]
pub struct Joined {
    /// It.
    pub place: Place,
    /// To be awaited before he is told; [`None`] if nothing is lost by a restart.
    pub recorded: Option<Appended>,
}

/// Why a room cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum RoomError {
    /// Its journal.
    #[error(transparent)]
    Journal(#[from] OpenError),
    /// Its writer thread.
    #[error("the writer of the journal cannot be started: {0}")]
    Writer(#[source] std::io::Error),
    /// The operator's page.
    #[error("`page`: {0}")]
    Page(#[from] TemplateError),
    /// Its waves.
    #[error("its waves: {0}")]
    Schedule(#[from] ScheduleError),
    /// Its key is not there yet.
    #[error("its key is missing: {}", .0.display())]
    Key(PathBuf),
    /// A draw.
    #[error("its lottery: {0}")]
    Draw(#[from] DrawFault),
    /// The system's generator of random numbers.
    #[error("its lottery: the system gives no random numbers")]
    Random,
}

impl Room {
    /// Opens the room of `plan`, as its journal tells it; `passage` is the life of a pass, and `patience` how long routes hold a request
    /// at most. Blocks: for the start of the process.
    ///
    /// # Errors
    /// The journal cannot be read or written, or the page is not a template.
    pub fn open(
        plan: &plan::WaitingRoom,
        passage: Duration,
        patience: Duration,
        clock: &Clock,
        unix: Duration,
    ) -> Result<Arc<Self>, RoomError> {
        let secret = restore::secret(plan)?;
        let template = plan.page.as_deref().map(Template::parse).transpose()?;
        let page = template.map_or_else(Page::default, Page::new);
        restore::open(plan, secret, page, (passage, patience), clock, unix, lobby::random).map(Arc::new)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What its tickets and passes are known by.
    #[must_use]
    pub fn tag(&self) -> u32 {
        self.tag
    }

    /// The page of those who wait.
    #[must_use]
    pub fn page(&self) -> &Page {
        &self.page
    }

    /// What has happened since the start.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// The order of its numbers.
    #[must_use]
    pub fn order(&self) -> &Order {
        &self.order
    }

    /// Whether the journal takes what it is given.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.journal.is_healthy()
    }

    /// The quota of the wave whose people are called.
    #[must_use]
    pub fn quota(&self) -> Option<&Quota> {
        self.quota_of(self.shown().standing.calling?)
    }

    /// The place that one of `tickets` proves, or that `identity` holds.
    pub fn find<'t>(
        &self,
        tickets: impl Iterator<Item = &'t [u8]>,
        identity: Option<&[u8]>,
        unix: Duration,
    ) -> Option<Place> {
        let hash = identity.map(|value| self.identities.hash(value));
        if let Some(number) = hash.and_then(|hash| self.identities.number(hash)) {
            let issued = self.order.joined_at(number).unwrap_or(unix);
            return Some(self.held(number, issued));
        }
        let last = || (self.ticket(self.order.serving().saturating_sub(1), Class::New, false, unix), None);
        let unsigned = || sabotage::is(Fault::AcceptForgedTicket).then(last);
        let told = tickets.filter_map(|text| self.keyring.recognise(text).or_else(unsigned));
        let mut ours = told.filter_map(|(ticket, shown)| {
            let (ticket, shown) =
                if self.is_good(&ticket, unix) { (ticket, shown) } else { (self.recover(&ticket, unix)?, None) };
            Some(Place { ticket, shown, binds: hash })
        });
        // A place that another identity holds is not this one's.
        ours.find(|place| hash.is_none() || !place.ticket.identified)
    }

    /// The place of whoever holds `number` by his identity, with a ticket of `issued` (since 1970): what [`Room::find`] finds again for
    /// whoever remembers that.
    #[must_use]
    pub fn held(&self, number: u64, issued: Duration) -> Place {
        self.place(number, Class::New, true, issued)
    }

    /// An identity whose place has ended may have another.
    pub fn forget(&self, identity: Option<&[u8]>, place: &Place) {
        if let Some(value) = identity {
            self.identities.forget(self.identities.hash(value), place.ticket.number);
        }
    }

    /// Whether successes are counted in any of its waves.
    #[must_use]
    pub fn has_quota(&self) -> bool {
        self.quotas.iter().any(Option::is_some)
    }

    /// `place` with the text of its ticket, so that it is signed once.
    #[must_use]
    pub fn signed(&self, place: Place) -> Place {
        Place { shown: Some(self.sign(&place)), ..place }
    }

    /// The text of a place's ticket: the one that proved it, or a new one.
    #[must_use]
    pub fn sign(&self, place: &Place) -> TicketText {
        place.shown.unwrap_or_else(|| self.keyring.sign(&place.ticket))
    }

    fn place(&self, number: u64, class: Class, identified: bool, unix: Duration) -> Place {
        Place { ticket: self.ticket(number, class, identified, unix), shown: None, binds: None }
    }

    fn ticket(&self, number: u64, class: Class, identified: bool, unix: Duration) -> Ticket {
        // Tickets tell whole milliseconds.
        let issued = Duration::from_millis(u64::try_from(unix.as_millis()).unwrap_or(u64::MAX));
        let wave = self.wave_of(number);
        Ticket { room: self.tag, generation: self.generation, number, wave, class, identified, issued }
    }

    fn is_good(&self, ticket: &Ticket, unix: Duration) -> bool {
        ticket.room == self.tag
            && ticket.generation == self.generation
            && ticket.number < self.order.issued()
            && self.is_fresh(ticket, unix)
    }

    /// The wave for which `number` was given.
    fn wave_of(&self, number: u64) -> u8 {
        // Whoever came late from a lost state belongs to the first of this one.
        self.starts().wave_of(number.max(self.front))
    }

    /// The first number that was given for `wave`, if it or its lobby has begun.
    fn first_of(&self, wave: u8) -> Option<u64> {
        self.starts().first_of(wave)
    }

    fn starts(&self) -> RwLockReadGuard<'_, Starts> {
        self.starts.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn quota_of(&self, wave: u8) -> Option<&Quota> {
        self.quotas.get(usize::from(wave))?.as_ref()
    }

    fn shown(&self) -> Shown {
        *self.shown.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whole seconds since 1970, as generations count.
pub(super) fn whole_seconds(unix: Duration) -> u32 {
    u32::try_from(unix.as_secs()).unwrap_or(u32::MAX)
}

/// An instant by both clocks: since the process began, and since 1970.
pub type Now = (Tick, Duration);

#[cfg(test)]
mod tests;
