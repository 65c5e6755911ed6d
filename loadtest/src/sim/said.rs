//! What the gateway says of itself, as a run asks it ten times a second.

use weir::config::plan::Class;

use super::gateway::Gateway;
use crate::ledger::Said;
use crate::ledger::said::{Room, Upstream};
use crate::visitor::draw::micros;

/// What it says now.
pub(super) fn said(gateway: &Gateway) -> Said {
    let (core, now) = (&gateway.core, gateway.tick());
    let upstreams = core.upstreams().iter().zip(&core.gates().upstreams).map(|(upstream, gate)| {
        let occupancy = gate.occupancy();
        let said = Upstream {
            limit: f64::from(occupancy.limit),
            in_flight: occupancy.in_flight.into(),
            waiting: gate.waiting() as u64,
            predicted_wait: gate.predicted_wait(Class::New, now).as_secs_f64(),
        };
        (upstream.name().to_string(), said)
    });
    let rooms = core.doorways().iter().map(|doorway| {
        let room = doorway.room();
        let order = room.order();
        let said = Room {
            issued: order.issued(),
            serving: order.serving(),
            waiting: order.waiting(),
            taken: room.quota().map(|quota| quota.count().done.into()),
        };
        (room.name().to_string(), said)
    });
    Said { at: micros(gateway.now), upstreams: upstreams.collect(), rooms: rooms.collect() }
}
