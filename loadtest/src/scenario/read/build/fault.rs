//! Faults built: within the day, and at a service and server that there are.

use std::time::Duration;

use weir::config::explain::{Faults, quoted};
use weir::config::units::spell;

use super::{Known, add, label};
use crate::scenario::fault::ServiceFault;
use crate::scenario::read::fault::{Effect, Fault as Draft};
use crate::scenario::read::service::Service;
use crate::scenario::{Fault, FaultKind};

/// The fault that `draft` is; none if it has one of its own.
pub(super) fn event(draft: &Draft, services: &[Service], known: &Known, faults: &mut Faults<'_>) -> Option<Fault> {
    check_times(draft, known.duration, faults);
    let index = draft.service.as_ref().and_then(|name| known.services.resolve(name, faults));
    let target = index.and_then(|index| services.get(index));
    let kind = match draft.effect.as_ref()? {
        Effect::Gateway(kind) => FaultKind::Gateway(*kind),
        Effect::Network(side, kind) => FaultKind::Network { side: *side, kind: *kind },
        Effect::Service(kind, span) => {
            let target = target?;
            check_server(draft, target, faults);
            if let ServiceFault::AddServers(servers) = kind
                && *servers > target.reserve
            {
                let message =
                    format!("{} has {} in reserve, not {servers}", quoted(label(Some(target))), target.reserve);
                add(faults, span, message, "write `reserve` in its [[service]]");
            }
            let server = draft.server.as_ref().map(|server| server.value);
            FaultKind::Service { service: u8::try_from(index?).ok()?, server, kind: *kind }
        }
    };
    let lasts = draft.lasts.as_ref().map_or(Duration::ZERO, |lasts| lasts.value);
    Some(Fault { at: draft.at.as_ref()?.value, lasts, kind })
}

fn check_times(draft: &Draft, duration: Option<Duration>, faults: &mut Faults<'_>) {
    let (Some(at), Some(end)) = (&draft.at, duration) else { return };
    if at.value >= end {
        add(faults, &at.span, format!("the fault is not before the end, {}", spell(end)), "nobody would see it");
    } else if let Some(lasts) = draft.lasts.as_ref().filter(|lasts| at.value + lasts.value > end) {
        let message = format!("the fault ends at {}, after the end, {}", spell(at.value + lasts.value), spell(end));
        add(faults, &lasts.span, message, "nobody would see how it is afterwards");
    }
}

fn check_server(draft: &Draft, target: &Service, faults: &mut Faults<'_>) {
    let all = u16::from(target.servers) + u16::from(target.reserve);
    if let Some(server) = draft.server.as_ref().filter(|server| u16::from(server.value) >= all) {
        let message = format!("{} has no server {}", quoted(label(Some(target))), server.value);
        add(faults, &server.span, message, &format!("they are counted from 0 to {}", all - 1));
    }
}
