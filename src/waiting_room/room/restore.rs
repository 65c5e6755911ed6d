//! A room as its journal tells it.
//!
//! **Invariants**: whoever was inside is inside; whose request was at the service when the process ended, of him nobody knows what became; what
//! of the quota was taken is counted anew from what everybody is.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, RwLock};
use std::time::Duration;

use super::chore::Control;
use super::turn::Lane;
use super::{Events, Room, RoomError, Shown, whole_seconds};
use crate::clock::Clock;
use crate::config::plan::{self, AtClose, Rate, Secret};
use crate::waiting_room::eta::Eta;
use crate::waiting_room::identity::{Identities, IdentityHash};
use crate::waiting_room::journal::{Journal, Record};
use crate::waiting_room::order::{Order, Restored, State};
use crate::waiting_room::pace::{Pace, PacePlan};
use crate::waiting_room::page::Page;
use crate::waiting_room::quota::{Count, Quota};
use crate::waiting_room::ticket::{Keyring, room_tag};
use crate::waiting_room::wave::{self, Progress, Schedule};

/// What the records add up to.
struct Told {
    order: Order,
    identities: Identities,
    issued: u64,
    progress: Progress,
    waves: Vec<(Progress, u64)>,
    paused: bool,
}

pub(super) fn open(
    plan: &plan::WaitingRoom,
    secret: &Secret,
    page: Page,
    (passage, patience): (Duration, Duration),
    clock: &Clock,
    unix: Duration,
) -> Result<Room, RoomError> {
    let tag = room_tag(&plan.name);
    let schedule = Schedule::new(plan.waves.iter().map(planned).collect(), at_close(plan.at_close))?;
    let (order, identities) = (Order::new(plan.capacity, whole_seconds(unix)), Identities::new(secret, plan.capacity));
    let mut told =
        Told { order, identities, issued: 0, progress: Progress::default(), waves: Vec::new(), paused: false };
    let mut records = Vec::new();
    let opened = Journal::open(&plan.state, tag, whole_seconds(unix), |record| records.push(record))?;
    let generation = opened.generation();
    told.order = Order::new(plan.capacity, generation);
    records.into_iter().for_each(|record| told.hear(record, generation, unix));
    told.order.restore(Restored::Issued(told.issued), unix);
    let journal = opened.start(clock.clone()).map_err(RoomError::Writer)?;
    let quotas = quotas(plan, &told.order);
    let configured = pace(plan.pace);
    let now = clock.now();
    let mut pace = Pace::new(if told.paused { PacePlan::Paused } else { configured }, patience, now);
    let mut eta = Eta::new(now, pace.speed(0.0));
    let forecast = eta.observe(
        now,
        &crate::waiting_room::eta::Seen {
            called: 0,
            pending: 0.0,
            expected: pace.speed(0.0),
            no_show: 0.0,
            paused: false,
        },
    );
    // People come before the first tick, which writes down what the clock has brought since.
    let standing = schedule.standing(schedule.advance(told.progress, unix));
    let paused = pace.plan() == PacePlan::Paused;
    let straight = pace.straight(0, told.order.waiting());
    let room = Room {
        name: plan.name.as_str().into(),
        tag,
        generation,
        life: plan.life,
        passage,
        keyring: Keyring::new(secret, &plan.old_keys),
        identities: told.identities,
        shown: RwLock::new(Shown { standing, forecast, paused, crowded: told.order.waiting() > 0 }),
        straight: AtomicU64::new(straight),
        order: told.order,
        schedule,
        waves: plan.waves.clone().into(),
        at_close: plan.at_close,
        quotas,
        starts: RwLock::default(),
        journal,
        leased: AtomicU64::new(told.issued),
        control: Mutex::new(Control::new(pace, eta, told.progress, configured)),
        lane: Mutex::new(Lane::new()),
        page,
        events: Events::default(),
    };
    told.waves.into_iter().for_each(|(progress, first)| room.begin(progress, first));
    Ok(room)
}

impl Told {
    fn hear(&mut self, record: Record, generation: u32, unix: Duration) {
        match record {
            Record::Lease { issued_until } => {
                self.issued = self.issued.max(issued_until);
                self.order.restore(Restored::Issued(self.issued), unix);
            }
            Record::Serving { position } => {
                self.order.restore(Restored::Serving(position), unix);
            }
            Record::Returned { number } => {
                self.order.restore(Restored::Returned(number), unix);
            }
            Record::Identity { hash, number } => {
                self.identities.restore(IdentityHash::from_u64(hash), number);
            }
            Record::State { number, state, wave, at } => {
                let at = Duration::from_secs(u64::from(generation) + u64::from(at));
                // Sent when the process ended: a later record says otherwise where that is known.
                let state = State::ALL.get(usize::from(state)).copied().unwrap_or(State::Waiting);
                self.order.restore(Restored::State { number, state, wave, at }, unix);
            }
            Record::Wave { code, first } => {
                if let Some(progress) = Progress::from_code(code) {
                    self.progress = self.progress.max(progress);
                    self.waves.push((progress, first));
                }
            }
            Record::Paused(paused) => self.paused = paused,
            Record::Registered { .. } | Record::Secret { .. } | Record::Draw { .. } | Record::Taken { .. } => {}
        }
    }
}

/// The quota of each wave, less what is taken of it.
fn quotas(plan: &plan::WaitingRoom, order: &Order) -> Box<[Option<Quota>]> {
    let mut counts = vec![Count::default(); plan.waves.len()];
    for number in order.remembered() {
        let Some(standing) = order.standing(number) else { continue };
        let latest = (0..counts.len()).rev().find(|wave| wave % 4 == usize::from(standing.wave));
        let Some(count) = latest.and_then(|wave| counts.get_mut(wave)) else { continue };
        match standing.state {
            State::Admitted | State::Sending | State::Ambiguous => count.taken += 1,
            State::Done => {
                count.taken += 1;
                count.done += 1;
            }
            State::Waiting | State::Gone => {}
        }
    }
    let quota = |(wave, count): (&plan::Wave, Count)| {
        wave.quota.map(|quota| Quota::new(u32::try_from(quota.get()).unwrap_or(u32::MAX), count))
    };
    plan.waves.iter().zip(counts).map(quota).collect()
}

fn planned(wave: &plan::Wave) -> wave::Wave {
    wave::Wave {
        opens: wave.opens.map(|opens| opens.unix),
        lobby: None,
        closes: wave.closes.map(|closes| closes.unix),
        quota: wave.quota.map(std::num::NonZeroU64::get),
    }
}

const fn at_close(at_close: AtClose) -> wave::AtClose {
    match at_close {
        AtClose::Serve => wave::AtClose::Serve,
        AtClose::Carry => wave::AtClose::Carry,
        AtClose::End => wave::AtClose::End,
    }
}

fn pace(pace: plan::Pace) -> PacePlan {
    match pace {
        plan::Pace::Measured => PacePlan::Measured,
        plan::Pace::Fixed(Rate { count, per }) => PacePlan::Fixed(f64::from(count.get()) / per.as_secs_f64()),
        plan::Pace::Paused => PacePlan::Paused,
    }
}
