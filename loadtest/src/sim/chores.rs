//! What weir does now and then (`weir::runtime::chores`), by the hand of the clock.
//!
//! **Cost**: limits are looked for each 10 ms only where somebody waits or the gate is full, and each 100 ms where something is in flight:
//! a service that is short of people teaches nothing, and failures are looked for over a tenth of a second and more.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use weir::clock::Tick;
use weir::proxy::{capacity, room};

use super::gateway::Gateway;

/// Of the same names in `weir::runtime::chores`.
const OBSERVE: Duration = Duration::from_millis(200);
const ROOM: Duration = Duration::from_millis(100);
const SWEEP: Duration = Duration::from_secs(10);

/// Where nobody waits, limits are looked for only every so many ticks.
const SHORT_OF_PEOPLE: u128 = 10;

/// When what is due.
#[derive(Debug, Default)]
pub(super) struct Chores {
    control: Duration,
    /// Of each upstream whose capacity is found, whether something was there at the last look.
    was_busy: Vec<bool>,
    observe: Duration,
    room: Duration,
    sweep: Duration,
}

impl Chores {
    /// When the next one is due; `busy` while something is in flight.
    pub(super) fn next(&self, busy: bool) -> Duration {
        let others = self.observe.min(self.room).min(self.sweep);
        if busy { others.min(self.control) } else { others }
    }

    /// Does what is due; answers whether people may have been called.
    pub(super) fn act(&mut self, gateway: &Gateway, busy: bool) -> bool {
        let now = gateway.now;
        if busy && self.control <= now {
            self.control = after(now, capacity::TICK);
            self.control(gateway);
        }
        if self.observe <= now {
            self.observe = after(now, OBSERVE);
            observe(gateway);
        }
        if self.sweep <= now {
            self.sweep = after(now, SWEEP);
            let (core, tick) = (&gateway.core, gateway.tick());
            core.client_limits().iter().for_each(|limit| limit.sweep(tick));
            core.gates().funnel.iter().for_each(|funnel| funnel.sweep(tick));
        }
        let calls = self.room <= now;
        if calls {
            self.room = after(now, ROOM);
            call(gateway);
        }
        calls
    }
}

impl Chores {
    /// Finds what the servers can do, of each upstream that has something in flight, and once more when it has not any more.
    fn control(&mut self, gateway: &Gateway) {
        let (core, gates) = (&gateway.core, gateway.core.gates());
        let tenth = (gateway.now.as_nanos() / capacity::TICK.as_nanos()).is_multiple_of(SHORT_OF_PEOPLE);
        self.was_busy.resize(core.capacities().len(), true);
        for (capacity, was_busy) in core.capacities().iter().zip(&mut self.was_busy) {
            let of = core.upstreams().iter().position(|upstream| Arc::ptr_eq(upstream, capacity.upstream()));
            let gate = of.and_then(|of| gates.upstreams.get(of));
            let is_full = gate.is_none_or(|gate| {
                let occupancy = gate.occupancy();
                occupancy.in_flight >= occupancy.limit || gate.has_line()
            });
            let is_busy = is_full || (tenth && gate.is_some_and(|gate| gate.occupancy().in_flight > 0));
            if std::mem::replace(was_busy, is_busy) || is_busy {
                capacity.tick(gateway.tick(), &gates.dispatcher);
            }
        }
    }
}

/// The next instant of a grid.
fn after(now: Duration, period: Duration) -> Duration {
    let period = u64::try_from(period.as_nanos()).unwrap_or(1).max(1);
    let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos((now / period + 1).saturating_mul(period))
}

fn observe(gateway: &Gateway) {
    let (gates, tick) = (gateway.core.gates(), gateway.tick());
    for (upstream, gate) in gateway.core.upstreams().iter().zip(&gates.upstreams) {
        gate.set_stranded(upstream.stranded(tick));
    }
    gates.all().for_each(|gate| gate.observe(tick));
    if let Some(funnel) = &gates.funnel {
        funnel.observe(tick);
        gates.dispatcher.look();
    }
}

fn call(gateway: &Gateway) {
    for doorway in gateway.doorways() {
        let load = room::load(&gateway.core, doorway, gateway.tick());
        // Nothing is waited for: there is no disk.
        drop(doorway.room().tick((gateway.tick(), gateway.unix()), &load));
        doorway.room().announce();
        if doorway.room().is_draw_due() {
            // Without a folder there is no document: who is drawn is drawn all the same, or tried again at the next look.
            doorway.room().hold_draws().ok();
        }
    }
}

/// When a token comes for which somebody in line waits, if it was not said before.
pub(super) fn token(gateway: &Gateway) -> Option<Tick> {
    let due = pin!(gateway.core.gates().dispatcher.due());
    match due.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(tick) => Some(tick),
        Poll::Pending => None,
    }
}
