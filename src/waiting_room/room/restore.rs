//! A room as its journal tells it. A lobby that was drawn is drawn again, by the same secret and the same registrations.
//!
//! The journal is read twice: first for how many numbers may have been given, on which the window of what is remembered depends, then for
//! all else.
//!
//! **Who is fresh**: each tick journals which numbers are fresh and how many were given. Whoever was fresh at the last tick before the end is
//! fresh for another [`GRACE`]: he was told to come back, and could not. So he is awaited and called at the pace, whether he has come back or
//! not, and if he does not come he is passed over like everybody else. Numbers that the process had leased beyond are taken as not given, and
//! are not waited for: whoever was given one in the last tenth of a second keeps his place, uncounted.
//!
//! **Invariants**: whoever was inside is inside; whose request was at the service when the process ended, of him nobody knows what became; what
//! of the quota was taken is counted anew from what everybody is, also of those whose numbers are no longer remembered.
//! **Cost**: some 100 ns a record; none is kept, but what a journal consists of that has grown too long.
//! **Not here**: what the records of a room mean one by one (`replay`), tickets of a state that was lost (`recover`).
//!
//! [`GRACE`]: crate::waiting_room::order::GRACE

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use super::chore::Control;
use super::lane::Lane;
use super::owed::Owed;
use super::recover::Recovery;
use super::replay::{Extent, Told};
use super::turn::STRIPES;
use super::{Events, LEASE_LEAST, LEASE_PART, Room, RoomError, Shown, whole_seconds};
use crate::clock::Clock;
use crate::config::plan::{self, Key, Rate, Secret};
use crate::waiting_room::eta::Eta;
use crate::waiting_room::journal::{Journal, OpenError, Opened, Record};
use crate::waiting_room::pace::{Pace, PacePlan};
use crate::waiting_room::page::Page;
use crate::waiting_room::quota::Quota;
use crate::waiting_room::ticket::{Keyring, room_tag};
use crate::waiting_room::wave::{self, Schedule};

pub(super) fn open(
    plan: &plan::WaitingRoom,
    secret: &Secret,
    page: Page,
    (passage, patience): (Duration, Duration),
    clock: &Clock,
    unix: Duration,
    random: impl FnMut() -> Option<[u8; 32]>,
) -> Result<Room, RoomError> {
    let schedule = Schedule::new(plan.waves.iter().map(planned).collect(), plan.at_close)?;
    let (told, opened, changes) = read(plan, secret, &schedule, unix)?;
    let journal = opened.start(clock.clone()).map_err(RoomError::Writer)?;
    // The first of this process: what follows is written after them.
    for record in changes {
        drop(journal.append(record));
    }
    begin(plan, secret, page, (passage, patience), (clock, unix), (schedule, told, journal), random)
}

impl Room {
    /// The room of `plan` as it begins at `unix`, which forgets everything with the process and has no thread: for virtual time. Arguments as of
    /// [`Room::open`].
    ///
    /// # Errors
    /// The plan has no key, or its waves overlap.
    pub fn volatile(
        plan: &plan::WaitingRoom,
        passage: Duration,
        patience: Duration,
        clock: &Clock,
        unix: Duration,
    ) -> Result<Arc<Self>, RoomError> {
        volatile(plan, secret(plan)?, (passage, patience), clock, unix).map(Arc::new)
    }
}

/// By what its tickets are signed.
pub(super) fn secret(plan: &plan::WaitingRoom) -> Result<&Secret, RoomError> {
    match &plan.key {
        Key::Known(secret) | Key::New(secret) => Ok(secret),
        Key::Missing(path) => Err(RoomError::Key(path.clone())),
    }
}

/// A room with nothing behind it. What a lottery draws is not secret: it is the same each time.
fn volatile(
    plan: &plan::WaitingRoom,
    secret: &Secret,
    times: (Duration, Duration),
    clock: &Clock,
    unix: Duration,
) -> Result<Room, RoomError> {
    let schedule = Schedule::new(plan.waves.iter().map(planned).collect(), plan.at_close)?;
    let mut told = Told::new(plan, secret, &schedule, whole_seconds(unix), &Extent::default(), unix);
    told.end(plan, unix);
    let parts = (schedule, told, Journal::volatile());
    begin(plan, secret, Page::default(), times, (clock, unix), parts, || Some(secret.0))
}

fn begin(
    plan: &plan::WaitingRoom,
    secret: &Secret,
    page: Page,
    (passage, patience): (Duration, Duration),
    (clock, unix): (&Clock, Duration),
    (schedule, mut told, journal): (Schedule, Told, Journal),
    random: impl FnMut() -> Option<[u8; 32]>,
) -> Result<Room, RoomError> {
    let lobbies = plan.waves.iter().enumerate().filter(|(_, wave)| wave.opens.is_some()).map(|(index, _)| index);
    told.lottery.commit(lobbies, &journal, random)?;
    let configured = pace_plan(plan.pace);
    let now = clock.now();
    told.order.recall(told.front, now);
    let mut caller = Pace::new(if told.paused { PacePlan::Paused } else { configured }, patience, now);
    let eta = Eta::new(now);
    let forecast = eta.forecast();
    let recovery = told.recovery.map(|ordered| Recovery::new(!ordered, told.people));
    let settling = recovery.as_ref().is_some_and(Recovery::is_settling);
    let paused = caller.plan() == PacePlan::Paused || settling;
    let shown = Shown {
        standing: schedule.standing(told.progress),
        forecast: forecast.before(paused),
        paused,
        promised: 0,
        crowded: told.order.waiting() > 0,
        undrawn: told.lottery.undrawn(),
    };
    let limit = |(index, wave): (usize, &plan::Wave)| wave.quota.map(|limit| told.tally.quota(index, limit.get()));
    let quotas: Box<[Option<Quota>]> = plan.waves.iter().enumerate().map(limit).collect();
    let issued = told.order.issued();
    let room = Room {
        name: plan.name.as_str().into(),
        tag: room_tag(&plan.name),
        generation: told.generation,
        life: plan.life,
        passage,
        keyring: Keyring::new(secret, &plan.old_keys),
        identities: told.identities,
        shown: RwLock::new(shown),
        leased: AtomicU64::new(issued),
        resumed: issued,
        announced: AtomicU64::new(told.order.serving()),
        leasing: Mutex::new(issued),
        lease_least: LEASE_LEAST.min(plan.capacity as u64 / LEASE_PART).max(1),
        stripes: [const { Mutex::new(()) }; STRIPES],
        lottery: told.lottery,
        straight: AtomicU64::new(caller.straight(0, told.order.waiting())),
        welcoming: AtomicU64::new(0),
        reserved: AtomicU64::new(0),
        owed: Owed::new(),
        order: told.order,
        schedule,
        waves: plan.waves.clone().into(),
        at_close: plan.at_close,
        unrecorded: super::releases::Unrecorded::default(),
        quotas,
        starts: RwLock::new(told.starts),
        ended: AtomicU64::new(told.ended),
        journal,
        front: told.front,
        recovery,
        control: Mutex::new(Control::new(caller, eta, told.progress, configured, issued)),
        lane: Mutex::new(Lane::new()),
        page,
        events: Events::default(),
    };
    room.wake(unix).into_iter().try_for_each(super::lobby::written)?;
    Ok(room)
}

/// All that the journal says, and what is to be written behind it.
fn read(
    plan: &plan::WaitingRoom,
    secret: &Secret,
    schedule: &Schedule,
    unix: Duration,
) -> Result<(Told, Opened, Vec<Record>), RoomError> {
    let mut extent = Extent::default();
    let tag = room_tag(&plan.name);
    let mut opened = Journal::open(&plan.state, tag, whole_seconds(unix), |record| extent.hear(record))?;
    let mut changes = Vec::new();
    if opened.records() == 0 && !matches!(plan.key, Key::New(_)) {
        changes = lost(plan, unix);
        for record in &changes {
            extent.hear(*record);
        }
    }
    let mut told = Told::new(plan, secret, schedule, opened.generation(), &extent, unix);
    for record in &changes {
        told.hear(*record, unix);
    }
    opened.read(|record| told.hear(record, unix))?;
    if let Some(fault) = told.fault.take() {
        return Err(fault.into());
    }
    changes.extend(told.end(plan, unix));
    let opened = compacted(opened, &told)?;
    Ok((told, opened, changes))
}

/// The key was there and the state is not: what the new one begins with.
fn lost(plan: &plan::WaitingRoom, unix: Duration) -> Vec<Record> {
    // As many as may have come late from the state that was lost.
    let mut records = vec![Record::Recovery { front: plan.capacity as u64, ordered: None }];
    for (index, wave) in (0..=u8::MAX).zip(&plan.waves) {
        let began = wave.opens.is_none_or(|opens| opens.unix <= unix);
        if wave.quota.is_some() && began {
            records.push(Record::Taken { wave: index, count: u64::MAX });
        }
    }
    let untold = records.len() - 1;
    tracing::warn!(
        room = %plan.name,
        state = %plan.state.display(),
        waves_untold = untold,
        "the key of this waiting room was there, and its state is not: unless this is its first start, the state was lost. Tickets given \
         before are honoured first; nobody is called for {} s; a wave with a quota that may have begun calls nobody until an operator says how \
         many have succeeded (0 at a first start)",
        super::recover::SETTLING.as_secs(),
    );
    records
}

/// The journal without what later records have made void, if it is long.
fn compacted(mut opened: Opened, told: &Told) -> Result<Opened, OpenError> {
    if !opened.is_bloated(0) {
        return Ok(opened);
    }
    let mut kept = told.counters().to_vec();
    opened.read(|record| kept.extend(told.keeps(record)))?;
    let length = kept.iter().map(Record::encoded_len).sum();
    if opened.is_bloated(length) { opened.compact(kept) } else { Ok(opened) }
}

fn planned(wave: &plan::Wave) -> wave::Wave {
    wave::Wave {
        opens: wave.opens.map(|opens| opens.unix),
        lobby: None,
        closes: wave.closes.map(|closes| closes.unix),
        quota: wave.quota.map(std::num::NonZeroU64::get),
    }
}

fn pace_plan(pace: plan::Pace) -> PacePlan {
    match pace {
        plan::Pace::Measured => PacePlan::Measured,
        plan::Pace::Fixed(Rate { count, per }) => PacePlan::Fixed(f64::from(count.get()) / per.as_secs_f64()),
        plan::Pace::Paused => PacePlan::Paused,
    }
}
