//! What the servers of an upstream can do at once: the limit of each found by a law of its own, the gate's their sum.
//!
//! **Invariants**: the gate's limit is the sum of what its servers get, and of what is in flight at a server beyond that since its
//! limit was lowered, those that were removed included: a server that gets less does so at its own cost, not at the others'. A tunnel is
//! no request that a server works on: it gets a place beside the law's limit, as long as both together stay within `max`. A server that is out or unhealthy gets
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
    /// Servers that have been removed and still have something in flight. Locked by the ticks only.
    gone: Mutex<Vec<Arc<ServerState>>>,
}

/// The law of one server.
#[derive(Debug)]
struct Control {
    server: Arc<ServerState>,
    controller: Controller,
    limit: u32,
    look: Look,
}

/// A server at one tick.
#[derive(Clone, Copy, Debug)]
struct Look {
    /// What it gets of its limit.
    share: Share,
    in_flight: u32,
    /// What the limit is about: without the tunnels that have places of their own.
    busy: u32,
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
            standing if !standing.gets_requests() => Self::Nothing,
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
    /// The limits of `upstream`, enforced by `gate`, which begins with [`Capacity::initial`]; [`None`] if they are told.
    #[must_use]
    pub fn new(plan: &plan::Upstream, upstream: &Arc<Upstream>, gate: &Arc<Gate>, now: Tick) -> Option<Self> {
        let Concurrency::Adaptive(plan::Bounds { min, max, initial }) = plan.concurrency else { return None };
        let bounds = Bounds { min: min.get(), max: max.get(), initial: initial.get() };
        let begin = |server| Control::new(server, bounds, now).0;
        let controls = Mutex::new(upstream.servers().map(begin).collect());
        let (upstream, gate) = (Arc::clone(upstream), Arc::clone(gate));
        Some(Self { upstream, gate, bounds, controls, gone: Mutex::default() })
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
        let mut gone = self.gone.lock().unwrap_or_else(PoisonError::into_inner);
        let mut change = self.follow(&mut controls, &mut gone, now);
        // Again and again until all is home: what came home while the limit was set is counted now.
        gone.retain(|server| {
            change += server.lend(self.bounds.max);
            let places = server.set_limit(0);
            change += places.change();
            places.now > 0 || server.lent() > 0 || server.in_flight() > 0
        });
        let elsewhere = gone.iter().map(|server| server.in_flight()).fold(0, u32::saturating_add);
        let waiting = self.gate.waiting();
        controls.iter_mut().for_each(|control| control.look = Look::at(&control.server, now));
        let nobody_else = controls.iter().all(|control| control.look.share == Share::Nothing);
        let granted = self.gate.occupancy().in_flight.saturating_sub(elsewhere);
        let mut transit = Transit::new(granted, controls.iter().map(|control| control.look.in_flight));
        for control in &mut *controls {
            let look = control.look;
            let in_flight = look.busy + transit.take(control.limit.saturating_sub(look.busy));
            let meter = control.server.meter();
            let decision = control.controller.tick(now, &meter.read(), Occupied { in_flight, waiting });
            meter.begin(decision.leg);
            // With nobody else left it is asked all the same.
            control.limit = if nobody_else { decision.limit } else { look.share.of_limit(decision.limit) };
            change += control.server.lend(self.bounds.max.saturating_sub(control.limit));
            change += control.server.set_limit(control.limit).change();
        }
        drop((controls, gone));
        if change != 0 {
            dispatcher.adjust(&self.gate, change);
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

    /// Takes over the upstream's list of servers, and tells how many places that adds.
    fn follow(&self, controls: &mut Vec<Control>, gone: &mut Vec<Arc<ServerState>>, now: Tick) -> i64 {
        // The usual case, without a copy of the list.
        if self.upstream.has_servers(controls.iter().map(|control| &control.server)) {
            return 0;
        }
        let bounds = Bounds { initial: middle(controls).unwrap_or(self.bounds.initial), ..self.bounds };
        let mut before = std::mem::take(controls);
        let mut change = 0;
        for server in self.upstream.servers() {
            let known = before.iter().position(|control| Arc::ptr_eq(&control.server, &server));
            controls.push(known.map_or_else(
                || {
                    let (control, places) = Control::new(server, bounds, now);
                    change += places;
                    control
                },
                |position| before.swap_remove(position),
            ));
        }
        gone.extend(before.into_iter().map(|control| control.server));
        change
    }
}

impl Control {
    /// The law of `server` from `now` on, and the places that it begins with.
    fn new(server: Arc<ServerState>, bounds: Bounds, now: Tick) -> (Self, i64) {
        let places = server.set_limit(bounds.initial).now.cast_signed();
        let (controller, look) = (Controller::adaptive(bounds, now), Look::at(&server, now));
        (Self { server, controller, limit: bounds.initial, look }, places)
    }
}

impl Look {
    fn at(server: &ServerState, now: Tick) -> Self {
        let in_flight = server.in_flight();
        let busy = in_flight.saturating_sub(server.lent());
        Self { share: Share::of(server.standing(now)), in_flight, busy }
    }
}

/// Permits that were granted and have not reached a server yet. They count where a place is free: a server is not short of people
/// because the one who fills it is still on his way.
#[derive(Debug)]
struct Transit(u32);

impl Transit {
    fn new(granted: u32, in_flight: impl Iterator<Item = u32>) -> Self {
        let at_servers = in_flight.fold(0, u32::saturating_add);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::queue::Line;
    use crate::clock::Clock;
    use crate::config;
    use crate::upstream::InFlight;

    fn setup(servers: &str) -> (plan::Upstream, Arc<Upstream>, Arc<Gate>, Arc<Dispatcher>) {
        let text = format!(
            "[[listener]]\naddress = \"127.0.0.1:1\"\n[[upstream]]\nname = \"u\"\nservers = [{servers}]\n\
             [[route]]\npath = \"/*\"\nupstream = \"u\"\n"
        );
        let mut plan = config::parse(&text, std::path::Path::new("weir.toml")).unwrap().plan;
        let plan = plan.upstreams.remove(0);
        let upstream = Upstream::new(&plan, 1, &Arc::default()).unwrap();
        let gate = Gate::new(Capacity::initial(&plan), None);
        let line = Line::new(vec![Arc::clone(&gate)], 4);
        let dispatcher = Dispatcher::new(vec![vec![line]], Clock::manual());
        (plan, upstream, gate, dispatcher)
    }

    fn limit(gate: &Gate) -> u32 {
        gate.occupancy().limit
    }

    #[test]
    fn the_gate_has_what_its_servers_get() {
        let (plan, upstream, gate, dispatcher) = setup("\"127.0.0.1:1\", \"127.0.0.1:2\"");
        let capacity = Capacity::new(&plan, &upstream, &gate, Tick::ZERO).unwrap();
        capacity.tick(Tick::ZERO, &dispatcher);
        assert_eq!(limit(&gate), 32);
        let three =
            [1, 2, 3].map(|port| plan::Server { authority: format!("127.0.0.1:{port}").parse().unwrap(), tls: false });
        upstream.replace_servers(&three, Tick::ZERO).unwrap();
        capacity.tick(Tick::ZERO, &dispatcher);
        assert_eq!(limit(&gate), 34, "who joins others at work gets a tenth at first");
        upstream.replace_servers(&three[..1], Tick::ZERO).unwrap();
        capacity.tick(Tick::ZERO, &dispatcher);
        assert_eq!(limit(&gate), 16);
    }

    #[test]
    fn a_told_limit_needs_no_law() {
        let (mut plan, upstream, gate, _) = setup("\"127.0.0.1:1\"");
        plan.concurrency = Concurrency::Fixed(std::num::NonZeroU32::MIN);
        assert!(Capacity::new(&plan, &upstream, &gate, Tick::ZERO).is_none());
        assert_eq!(Capacity::initial(&plan), 1);
    }

    #[test]
    fn standing_decides_the_share() {
        let full = Standing { ejected: false, probation: false, healthy: true, weight: 1.0 };
        for (standing, share) in [
            (full, 40),
            (Standing { weight: 0.1, ..full }, 4),
            (Standing { weight: 0.001, ..full }, 1),
            (Standing { ejected: true, ..full }, 0),
            (Standing { ejected: true, probation: true, ..full }, 1),
            (Standing { healthy: false, ..full }, 0),
        ] {
            assert_eq!(Share::of(standing).of_limit(40), share, "{standing:?}");
        }
    }

    #[test]
    fn who_is_on_the_way_fills_free_places_once() {
        let mut transit = Transit::new(12, [4, 5].into_iter());
        assert_eq!((transit.take(2), transit.take(4), transit.take(1)), (2, 1, 0));
    }

    /// A request in flight, as the gate sees it.
    #[derive(Debug)]
    struct Sent(crate::admission::permit::Permit);

    impl crate::upstream::Guard for Sent {
        fn outcome(&mut self, _: crate::upstream::Outcome) {}

        fn withhold(&mut self) {
            self.0.withdraw();
        }

        fn fall_quiet(&mut self) {
            self.0.fall_quiet();
        }
    }

    #[test]
    fn a_tunnel_has_a_place_beside_the_limit_while_both_stay_within_the_bounds() {
        let (mut plan, upstream, gate, _) = setup("\"127.0.0.1:1\"");
        let [min, initial, max] = [2, 16, 20].map(|number| std::num::NonZeroU32::new(number).unwrap());
        plan.concurrency = Concurrency::Adaptive(plan::Bounds { min, max, initial });
        let line = Line::new(vec![Arc::clone(&gate)], 4);
        let dispatcher = Dispatcher::new(vec![vec![Arc::clone(&line)]], Clock::manual());
        let capacity = Capacity::new(&plan, &upstream, &gate, Tick::ZERO).unwrap();
        let server = upstream.servers().next().unwrap();
        let enter = || dispatcher.try_enter(&line, plan::Class::New, Tick::ZERO);
        let mut tunnels = Vec::new();
        for (opened, expected) in [17, 18, 19, 20, 20, 20].into_iter().enumerate() {
            let mut tunnel = InFlight::new(&server, Sent(enter().unwrap()), false);
            tunnel.fall_quiet();
            tunnel.fall_quiet();
            tunnels.push(tunnel);
            capacity.tick(Tick::ZERO, &dispatcher);
            assert_eq!((limit(&gate), server.lent()), (expected, expected - 16), "{opened}");
            assert_eq!(capacity.controls()[0].limit, 16, "the law's own is untouched");
        }
        assert_eq!((server.busy(), server.quiet()), (2, 6));
        tunnels.truncate(3);
        assert_eq!((limit(&gate), server.busy()), (17, 2), "with the tunnel its place goes, at once");
        capacity.tick(Tick::ZERO, &dispatcher);
        assert_eq!((limit(&gate), server.busy()), (19, 0), "those that had none get one");
        drop(tunnels);
        assert_eq!((limit(&gate), gate.occupancy().in_flight, server.quiet()), (16, 0, 0));
    }

    /// Two servers of sixteen; requests enter, end, become tunnels, or move to the other server, limits fall and rise, servers go and come, and
    /// somebody always waits.
    #[test]
    fn places_are_neither_made_nor_lost_whatever_moves() {
        for seed in 0..400 {
            let servers_change = seed % 2 == 0;
            let mut random = fastrand::Rng::with_seed(seed);
            let (plan, upstream, gate, _) = setup("\"127.0.0.1:1\", \"127.0.0.1:2\"");
            let line = Line::new(vec![Arc::clone(&gate)], 4);
            let dispatcher = Dispatcher::new(vec![vec![Arc::clone(&line)]], Clock::manual());
            let capacity = Capacity::new(&plan, &upstream, &gate, Tick::ZERO).unwrap();
            let mut in_flight: Vec<InFlight<Sent>> = Vec::new();
            let both = plan.servers.clone();
            for _ in 0..300 {
                let servers: Vec<_> = upstream.servers().collect();
                let any = |random: &mut fastrand::Rng| Arc::clone(&servers[random.usize(..servers.len())]);
                match random.u32(..11) {
                    0 if servers_change => upstream.replace_servers(&both[random.usize(..2)..], Tick::ZERO).unwrap(),
                    1 if servers_change => upstream.replace_servers(&both, Tick::ZERO).unwrap(),
                    0..=4 => capacity.tick(Tick::ZERO, &dispatcher),
                    5 if !in_flight.is_empty() => {
                        let moves = in_flight.swap_remove(random.usize(..in_flight.len()));
                        let guard = moves.leave(Tick::ZERO).unwrap();
                        in_flight.push(InFlight::new(&any(&mut random), guard, false));
                    }
                    6 if !in_flight.is_empty() => drop(in_flight.swap_remove(random.usize(..in_flight.len()))),
                    7 if !in_flight.is_empty() => random.choice(&mut in_flight).unwrap().fall_quiet(),
                    _ => {
                        while let Some(permit) = dispatcher.try_enter(&line, plan::Class::New, Tick::ZERO) {
                            in_flight.push(InFlight::new(&any(&mut random), Sent(permit), false));
                        }
                    }
                }
                let lent = upstream.servers().map(|server| server.lent()).sum::<u32>();
                assert!(servers_change || limit(&gate) <= 2 * 16 + lent, "seed {seed}: {} {lent}", limit(&gate));
            }
            drop(in_flight);
            upstream.replace_servers(&both[..1], Tick::ZERO).unwrap();
            capacity.tick(Tick::ZERO, &dispatcher);
            capacity.tick(Tick::ZERO, &dispatcher);
            let servers = capacity.controls().iter().map(|control| control.limit).sum::<u32>();
            assert_eq!((limit(&gate), gate.occupancy().in_flight), (servers, 0), "seed {seed}");
        }
    }
}
