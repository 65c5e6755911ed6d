//! `[[fault]]` as written: its `kind` says which other keys it takes.

use std::time::Duration;

use weir::config::explain::Span;
use weir::config::reader::{Table, Written};
use weir::config::scalar::{number, text, word};
use weir::config::units::duration;

use super::value::{bytes, real, secs, some_share, some_time, span};
use crate::scenario::fault::{GatewayFault, NetworkFault, ServiceFault, Side};

/// How long a service that comes back is cold, unless written.
const WARM_UP: Duration = secs(5);
/// A fault leaves something of a capacity; where nothing is left it is a stall. More than there was is a repair.
const LEFT: std::ops::RangeInclusive<f64> = 0.01..=10.0;

/// The words of `kind`.
pub(super) const KINDS: [(&str, Kind); 16] = [
    ("service.parallelism", Kind::Parallelism),
    ("service.speed", Kind::Speed),
    ("service.stall", Kind::Stall),
    ("service.refuse", Kind::Refuse),
    ("service.restart", Kind::ServiceRestart),
    ("service.add_servers", Kind::AddServers),
    ("service.sinkhole", Kind::Sinkhole),
    ("gateway.kill", Kind::Kill),
    ("gateway.restart", Kind::GatewayRestart),
    ("gateway.reload", Kind::Reload),
    ("gateway.pause", Kind::Pause),
    ("network.delay", Kind::Delay),
    ("network.slow", Kind::Slow),
    ("network.reset", Kind::Reset),
    ("network.half_close", Kind::HalfClose),
    ("network.black_hole", Kind::BlackHole),
];

const SIDES: [(&str, Side); 2] = [("clients", Side::Clients), ("services", Side::Services)];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Parallelism,
    Speed,
    Stall,
    Refuse,
    ServiceRestart,
    AddServers,
    Sinkhole,
    Kill,
    GatewayRestart,
    Reload,
    Pause,
    Delay,
    Slow,
    Reset,
    HalfClose,
    BlackHole,
}

impl Kind {
    fn is_of_service(self) -> bool {
        matches!(
            self,
            Self::Parallelism
                | Self::Speed
                | Self::Stall
                | Self::Refuse
                | Self::ServiceRestart
                | Self::AddServers
                | Self::Sinkhole
        )
    }

    fn is_of_network(self) -> bool {
        matches!(self, Self::Delay | Self::Slow | Self::Reset | Self::HalfClose | Self::BlackHole)
    }

    /// Whether it happens at an instant.
    fn is_instant(self) -> bool {
        matches!(self, Self::AddServers | Self::GatewayRestart | Self::Reload)
    }
}

/// One fault; where its kind is wrong it has no effect.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: Option<Written<Duration>>,
    pub(super) lasts: Option<Written<Duration>>,
    pub(super) service: Option<Written<String>>,
    pub(super) server: Option<Written<u8>>,
    pub(super) effect: Option<Effect>,
}

/// What happens, to whom is beside it.
#[derive(Debug)]
pub(super) enum Effect {
    Service(ServiceFault, Span),
    Gateway(GatewayFault),
    Network(Side, NetworkFault),
}

impl Fault {
    pub(super) fn read(table: &mut Table<'_, '_, '_>) -> Self {
        let kind = table.required("kind", text("a kind of fault", |found| word(found, &KINDS)));
        let at = table.required("at", span);
        let Some(Written { value: kind, span }) = kind else {
            everything(table);
            return Self { at, lasts: None, service: None, server: None, effect: None };
        };
        let lasts = if kind.is_instant() { None } else { table.required("lasts", some_time) };
        let (service, server) = if kind.is_of_service() {
            let name = text("the name of a [[service]]", |name| Ok(name.to_owned()));
            let service = table.required("service", name);
            let one = kind != Kind::AddServers;
            (service, if one { table.optional("server", number(0..=127)) } else { None })
        } else {
            (None, None)
        };
        let side = if kind.is_of_network() {
            table.or("side", Side::Clients, text("\"clients\" or \"services\"", |found| word(found, &SIDES)))
        } else {
            Side::Clients
        };
        Self { at, lasts, service, server, effect: effect(table, kind, side, span) }
    }
}

fn effect(table: &mut Table<'_, '_, '_>, kind: Kind, side: Side, span: Span) -> Option<Effect> {
    let left = |table: &mut Table<'_, '_, '_>| table.required("left", real(LEFT)).map(|left| left.value);
    let hit = |table: &mut Table<'_, '_, '_>| table.or("share", 1.0, some_share);
    let service = |fault| Some(Effect::Service(fault, span));
    let network = |fault| Some(Effect::Network(side, fault));
    match kind {
        Kind::Parallelism => service(ServiceFault::Parallelism(left(table)?)),
        Kind::Speed => service(ServiceFault::Speed(left(table)?)),
        Kind::Stall => service(ServiceFault::Stall),
        Kind::Refuse => {
            let warm_up = table.or("warm_up", WARM_UP, duration(Duration::ZERO..=secs(3_600)));
            service(ServiceFault::Refuse { warm_up })
        }
        Kind::ServiceRestart => service(ServiceFault::Restart),
        Kind::AddServers => service(ServiceFault::AddServers(table.required("servers", number(1..=64))?.value)),
        Kind::Sinkhole => service(ServiceFault::Sinkhole),
        Kind::Kill => Some(Effect::Gateway(GatewayFault::Kill)),
        Kind::GatewayRestart => Some(Effect::Gateway(GatewayFault::Restart)),
        Kind::Reload => Some(Effect::Gateway(GatewayFault::Reload)),
        Kind::Pause => Some(Effect::Gateway(GatewayFault::Pause)),
        Kind::Delay => {
            let by = table.required("by", duration(Duration::ZERO..=secs(60)));
            let jitter = table.or("jitter", Duration::ZERO, duration(Duration::ZERO..=secs(60)));
            network(NetworkFault::Delay { by: by?.value, jitter })
        }
        Kind::Slow => network(NetworkFault::Slow(table.required("rate", bytes(1..=1 << 30))?.value)),
        Kind::Reset => network(NetworkFault::Reset(hit(table))),
        Kind::HalfClose => network(NetworkFault::HalfClose(hit(table))),
        Kind::BlackHole => network(NetworkFault::BlackHole),
    }
}

/// Takes every key there is: which of them belong here is not known.
fn everything(table: &mut Table<'_, '_, '_>) {
    for key in ["lasts", "service", "server", "side", "left", "warm_up", "servers", "by", "jitter", "rate", "share"] {
        table.optional(key, |_| Ok(()));
    }
}
