//! What the gateway says of itself, as a run asks it ten times a second.
//!
//! **Cost**: some hundred bytes each time that something has changed; of a long day a limit that has changed, and all only twice a second.

use std::sync::Arc;

use weir::config::plan::Class;

use super::gateway::Gateway;
use crate::ledger::Said;
use crate::ledger::said::{Room, Upstream};
use crate::visitor::Micros;
use crate::visitor::draw::micros;

/// What is asked of the gateway goes into the ledger this often, if nothing changes.
const SAID_LEAST: Micros = 1_000_000;

/// … and of a long day only this often unless a limit changes: what is in force at a start is looked for so near (`oracle::invariant::admission`).
const SAID_SELDOM: Micros = 500_000;

/// What was asked before.
#[derive(Debug)]
pub(super) struct Inquiry {
    is_long: bool,
    /// Of each upstream, as last written down.
    limits: Vec<u32>,
    /// When all was last asked for.
    looked: Option<Micros>,
}

impl Inquiry {
    pub(super) const fn new(is_long: bool) -> Self {
        Self { is_long, limits: Vec::new(), looked: None }
    }

    /// The gateway is asked what it says of itself; what is new of it goes into `ledger`. `is_idle`: nothing is on its way.
    pub(super) fn ask(&mut self, gateway: &Gateway, is_idle: bool, ledger: &mut Vec<Said>) {
        let now = micros(gateway.now);
        let since = ledger.last().map_or(Micros::MAX, |last| now - last.at);
        if since < SAID_LEAST && is_idle {
            return;
        }
        // Of a long day a tenth of a second is of interest only if a limit has changed, and then that limit is.
        let limits = gateway.core.gates().upstreams.iter().map(|gate| gate.occupancy().limit);
        let has_changed = !limits.clone().eq(self.limits.iter().copied());
        let is_soon = self.is_long && self.looked.is_some_and(|looked| now < looked + SAID_SELDOM);
        if is_soon && !has_changed {
            return;
        }
        let before = std::mem::replace(&mut self.limits, limits.collect());
        if is_soon {
            return ledger.push(changed(gateway, |at| self.limits.get(at) != before.get(at)));
        }
        self.looked = Some(now);
        let said = said(gateway);
        let same = |last: &Said| {
            last.upstreams == said.upstreams && last.rooms == said.rooms && said.at < last.at + SAID_LEAST
        };
        if !ledger.last().is_some_and(same) {
            ledger.push(said);
        }
    }
}

/// What it says of those upstreams.
fn changed(gateway: &Gateway, which: impl Fn(usize) -> bool) -> Said {
    let upstreams = upstreams(gateway).enumerate().filter(|(at, _)| which(*at)).map(|(_, upstream)| upstream);
    Said { at: micros(gateway.now), upstreams: upstreams.collect(), ..Said::default() }
}

fn upstreams(gateway: &Gateway) -> impl Iterator<Item = (Arc<str>, Upstream)> {
    let (core, now) = (&gateway.core, gateway.tick());
    core.upstreams().iter().zip(&core.gates().upstreams).map(move |(upstream, gate)| {
        let occupancy = gate.occupancy();
        let said = Upstream {
            limit: f64::from(occupancy.limit),
            in_flight: occupancy.in_flight.into(),
            waiting: gate.waiting() as u64,
            predicted_wait: gate.predicted_wait(Class::New, now).as_secs_f64(),
        };
        (Arc::clone(upstream.name()), said)
    })
}

/// What it says now.
fn said(gateway: &Gateway) -> Said {
    let rooms = gateway.core.doorways().iter().map(|doorway| {
        let room = doorway.room();
        let order = room.order();
        let said = Room {
            issued: order.issued(),
            serving: order.serving(),
            waiting: order.waiting(),
            taken: room.quota().map(|quota| quota.count().done.into()),
        };
        (Arc::clone(room.name()), said)
    });
    Said { at: micros(gateway.now), upstreams: upstreams(gateway).collect(), rooms: rooms.collect() }
}
