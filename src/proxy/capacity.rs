//! What the servers of an upstream can do at once: the limit of each found by a law of its own, the gate's their sum.
//!
//! **Invariants**: the gate's limit is the sum of what its servers get, at least one; a server that is out or unhealthy gets
//! nothing unless all are, one on probation gets one, one in slow start its part; a server that comes begins in the middle of the
//! others, and one that goes takes its limit along. One caller ticks.
//! **Cost**: a few hundred nanoseconds a server and tick; nothing for a request.
//! **Not here**: the law (`admission::concurrency`), what servers do (`upstream`), the gate (`admission::gate`).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::admission::concurrency::elastic::State;
use crate::admission::concurrency::{Bounds, Controller, Occupied};
use crate::admission::dispatch::Dispatcher;
use crate::admission::gate::Gate;
use crate::clock::Tick;
use crate::config::plan::{self, Concurrency};
use crate::upstream::{ServerState, Standing, Upstream};

/// Time between two ticks: short against any service a person waits for (overload notes §2.3).
pub const TICK: Duration = Duration::from_millis(10);

/// Limits of one upstream whose capacity is to be found.
#[derive(Debug)]
pub struct Capacity {
    upstream: Arc<Upstream>,
    gate: Arc<Gate>,
    bounds: Bounds,
    /// Locked by the ticks and by whoever looks.
    controls: Mutex<Vec<Control>>,
}

/// The law of one server.
#[derive(Debug)]
struct Control {
    server: Arc<ServerState>,
    controller: Controller,
    limit: u32,
}

/// A server at one tick.
#[derive(Clone, Copy, Debug)]
struct Look {
    /// What it gets of its limit.
    share: Share,
    in_flight: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Share {
    Nothing,
    Trial,
    Part(f64),
}

impl Share {
    fn of(standing: Standing) -> Self {
        match standing {
            Standing { ejected: true, probation: true, .. } => Self::Trial,
            Standing { ejected: true, .. } | Standing { healthy: false, .. } => Self::Nothing,
            Standing { weight, .. } => Self::Part(weight),
        }
    }

    /// What it gets when its law says `limit`.
    fn of_limit(self, limit: u32) -> u32 {
        match self {
            Self::Nothing => 0,
            Self::Trial => limit.min(1),
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a u32")]
            Self::Part(weight) => (f64::from(limit) * weight).round().max(1.0) as u32,
        }
    }
}

impl Capacity {
    /// The limits of `upstream`, enforced by `gate`; [`None`] if they are told.
    #[must_use]
    pub fn new(plan: &plan::Upstream, upstream: &Arc<Upstream>, gate: &Arc<Gate>) -> Option<Self> {
        let Concurrency::Adaptive(plan::Bounds { min, max, initial }) = plan.concurrency else { return None };
        let bounds = Bounds { min: min.get(), max: max.get(), initial: initial.get() };
        let (upstream, gate) = (Arc::clone(upstream), Arc::clone(gate));
        Some(Self { upstream, gate, bounds, controls: Mutex::default() })
    }

    /// Permits of an upstream's gate before the first tick.
    #[must_use]
    pub fn initial(plan: &plan::Upstream) -> u32 {
        match plan.concurrency {
            Concurrency::Fixed(limit) => limit.get(),
            Concurrency::Adaptive(bounds) => {
                bounds.initial.get().saturating_mul(u32::try_from(plan.servers.len()).unwrap_or(u32::MAX))
            }
        }
    }

    /// Reads what has ended and sets the limits. To be called every [`TICK`], by one caller.
    pub fn tick(&self, now: Tick, dispatcher: &Dispatcher) {
        let mut controls = self.controls();
        self.follow(&mut controls, now);
        let occupancy = self.gate.occupancy();
        let waiting = self.gate.waiting();
        let looks: Vec<Look> = controls.iter().map(|control| Look::at(&control.server, now)).collect();
        let nobody_else = looks.iter().all(|look| look.share == Share::Nothing);
        let mut on_the_way = Transit::new(occupancy.in_flight, &looks);
        let mut sum = 0_u32;
        for (control, look) in controls.iter_mut().zip(&looks) {
            let in_flight = look.in_flight + on_the_way.take(control.limit.saturating_sub(look.in_flight));
            let meter = control.server.meter();
            let decision = control.controller.tick(now, &meter.read(), Occupied { in_flight, waiting });
            meter.begin(decision.leg);
            // With nobody else left it is asked all the same.
            control.limit = if nobody_else { decision.limit } else { look.share.of_limit(decision.limit) };
            control.server.set_limit(control.limit.max(1));
            sum = sum.saturating_add(control.limit);
        }
        let sum = sum.max(1);
        if sum != occupancy.limit {
            dispatcher.set_limit(&self.gate, sum);
        }
    }

    /// What the law of each server knows and does.
    #[must_use]
    pub fn states(&self) -> Vec<(Arc<ServerState>, State)> {
        let state = |control: &Control| Some((Arc::clone(&control.server), control.controller.state()?));
        self.controls().iter().filter_map(state).collect()
    }

    /// The upstream.
    #[must_use]
    pub fn upstream(&self) -> &Arc<Upstream> {
        &self.upstream
    }

    fn controls(&self) -> MutexGuard<'_, Vec<Control>> {
        self.controls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over the upstream's list of servers.
    fn follow(&self, controls: &mut Vec<Control>, now: Tick) {
        let servers = self.upstream.servers();
        let same = servers.len() == controls.len();
        let servers: Vec<_> = servers.collect();
        if same && servers.iter().zip(&*controls).all(|(server, control)| Arc::ptr_eq(server, &control.server)) {
            return;
        }
        let bounds = Bounds { initial: middle(controls).unwrap_or(self.bounds.initial), ..self.bounds };
        let mut before = std::mem::take(controls);
        for server in servers {
            let known = before.iter().position(|control| Arc::ptr_eq(&control.server, &server));
            controls.push(known.map_or_else(
                || Control { server, controller: Controller::adaptive(bounds, now), limit: bounds.initial },
                |position| before.swap_remove(position),
            ));
        }
    }
}

impl Look {
    fn at(server: &ServerState, now: Tick) -> Self {
        Self { share: Share::of(server.standing(now)), in_flight: server.in_flight() }
    }
}

/// Permits that were granted and have not reached a server yet. They count where a place is free: a server is not short of people
/// because the one who fills it is still on his way.
#[derive(Debug)]
struct Transit(u32);

impl Transit {
    fn new(granted: u32, looks: &[Look]) -> Self {
        let at_servers = looks.iter().fold(0_u32, |sum, look| sum.saturating_add(look.in_flight));
        Self(granted.saturating_sub(at_servers))
    }

    fn take(&mut self, wanted: u32) -> u32 {
        let taken = wanted.min(self.0);
        self.0 -= taken;
        taken
    }
}

/// The median limit: one server that fails says nothing about the next.
fn middle(controls: &[Control]) -> Option<u32> {
    let mut limits: Vec<u32> = controls.iter().filter_map(|control| Some(control.controller.state()?.base)).collect();
    limits.sort_unstable();
    limits.get(limits.len() / 2).copied()
}
