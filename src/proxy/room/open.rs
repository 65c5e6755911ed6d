//! The waiting rooms of a plan, opened.
//!
//! **Cost**: blocking: for the start of the process.

use std::sync::Arc;
use std::time::Duration;

use super::Doorway;
use crate::clock::{Clock, Tick};
use crate::config::plan::{Plan, Route, WaitingRoom, WaitingRoomId};
use crate::proxy::gateway::{Gateway, GatewayError};
use crate::proxy::pass::unix_time;
use crate::waiting_room::room::{Load, Room, RoomError};

/// Opens every waiting room of `plan`.
pub fn open(plan: &Plan, clock: &Clock) -> Result<Vec<Arc<Doorway>>, GatewayError> {
    each(plan, |planned, passage, patience| Room::open(planned, passage, patience, clock, unix_time()))
}

/// The same with nothing on the disk and no thread, as they begin at `unix` (since 1970): for virtual time.
pub fn volatile(plan: &Plan, clock: &Clock, unix: Duration) -> Result<Vec<Arc<Doorway>>, GatewayError> {
    each(plan, |planned, passage, patience| Room::volatile(planned, passage, patience, clock, unix))
}

fn each(
    plan: &Plan,
    open: impl Fn(&WaitingRoom, Duration, Duration) -> Result<Arc<Room>, RoomError>,
) -> Result<Vec<Arc<Doorway>>, GatewayError> {
    let passage = plan.pass.as_ref().map_or(Duration::ZERO, |pass| pass.life);
    let alone = plan.waiting_rooms.len() == 1;
    let one = |(position, planned): (usize, &WaitingRoom)| {
        let into = |route: &&Route| route.waiting_room == Some(WaitingRoomId(position));
        let patience = plan.routes.iter().filter(into).map(|route| route.queue.wait).min().unwrap_or_default();
        let room = open(planned, passage, patience);
        let room = room.map_err(|cause| GatewayError::Room { name: planned.name.clone(), cause })?;
        Ok(Arc::new(Doorway::new(room, planned, alone)))
    };
    plan.waiting_rooms.iter().enumerate().map(one).collect()
}

/// What the routes behind `doorway` can take at `now`: the slowest of them decides.
#[must_use]
pub fn load(gateway: &Gateway, doorway: &Arc<Doorway>, now: Tick) -> Load {
    let behind = |route: &&Arc<_>| {
        let route: &crate::proxy::gateway::Route = route;
        route.doorway().is_some_and(|own| Arc::ptr_eq(own, doorway))
    };
    let nothing = Load { rate: f64::INFINITY, held: 0, wait: Duration::ZERO, free: u64::MAX };
    gateway.routes().iter().filter(behind).fold(nothing, |sum, route| {
        let load = route.admission().load(now);
        Load {
            rate: sum.rate.min(load.rate),
            held: sum.held.saturating_add(load.held as u64),
            wait: sum.wait.max(load.wait),
            free: sum.free.min(load.free),
        }
    })
}
