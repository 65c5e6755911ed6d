//! I9: everybody gets a definite answer in time.
//!
//! Judged: every request of people who do not attack. It must end with a whole answer that means something, or be broken off by the person himself before the
//! gateway had to answer. Broken by
//! * a request without an answer (broken off, or still open at the end) that was, apart from the time the service of its stage had it, with the gateway for longer
//!   than it may hold one: `queue.wait` for newcomers, 10 s for those who have a place and may have been called, `pass.wait` for those who are in, the asked `Prefer: wait` or nothing for those
//!   who only ask for their place, and 3 s;
//! * a connection that was cut or could not be had, or an answer that means nothing.
//!
//! Nothing of it counts while the gateway, the network or that service is disturbed, nor a cut while a service that cuts its own answers had the request.

use std::time::Duration;

use crate::ledger::{Ending, Kind, Told, Word};
use crate::oracle::evidence::{Evidence, Records};
use crate::oracle::facts::{micros, seconds};
use crate::oracle::finding::{Finding, Invariant, Search, Who};
use crate::oracle::journey::Journey;
use crate::scenario::persona::Waits;

/// What a journal may take, and a machine that is busy.
const MARGIN: Duration = Duration::from_secs(3);

pub(super) fn find(evidence: &Evidence<'_>) -> Finding {
    let mut search = Search::of(Invariant::Silence);
    for (records, journey) in evidence.people().zip(&evidence.journeys) {
        if journey.standing.attacks {
            continue;
        }
        for told in records.told.iter().filter(|told| told.kind != Kind::Forged) {
            search.looked_at(1);
            if let Some(what) = wrong(evidence, &records, journey, told) {
                search.broken(Who::Request(told.id), told.ended, || what);
            }
        }
    }
    search.end()
}

fn wrong(evidence: &Evidence<'_>, records: &Records<'_>, journey: &Journey, told: &Told) -> Option<String> {
    let service = evidence.run.service_of(told.stage);
    let disturbed = || evidence.faults.up_to(service, told.sent, told.ended);
    match told.ending {
        Ending::Answered => matches!(told.word, Word::Nothing | Word::Nonsense)
            .then(|| format!("answered {} with something that means nothing", told.status)),
        Ending::Cut if !disturbed() && !cuts(evidence, records, told) => {
            Some("the connection was cut before the answer was whole".to_owned())
        }
        Ending::Unreachable if !disturbed() => Some("no connection could be had".to_owned()),
        Ending::BrokenOff | Ending::Open => {
            let kept = waited(evidence, records, told);
            let may = may_hold(evidence, journey, told);
            (kept > may && !disturbed())
                .then(|| format!("no answer for {:.1} s, where {:.1} s are allowed", seconds(kept), seconds(may)))
        }
        Ending::Cut | Ending::Unreachable | Ending::Harness => None,
    }
}

/// How long `told` was out without being at the service.
fn waited(evidence: &Evidence<'_>, records: &Records<'_>, told: &Told) -> u64 {
    let served = records.served_of(told.id.request).iter().filter(|served| evidence.is_own(served));
    let there = served.map(|served| served.done.min(told.ended).saturating_sub(served.started.max(told.sent)));
    told.ended.saturating_sub(told.sent).saturating_sub(there.sum())
}

fn may_hold(evidence: &Evidence<'_>, journey: &Journey, told: &Told) -> u64 {
    let declared = evidence.run.declared;
    let persona = evidence.persona(told.id.person);
    let held = match (told.kind, persona.map(|persona| persona.waits)) {
        (Kind::Poll, Some(Waits::Hold(asked))) => asked,
        (Kind::Poll | Kind::Leave, _) => Duration::ZERO,
        _ if told.sent > journey.started => declared.held_inside.max(declared.held),
        _ if told.sent > journey.joined => declared.held_called.max(declared.held),
        _ => declared.held,
    };
    let body = evidence.run.scenario.stages.get(usize::from(told.stage)).map_or(0, |stage| stage.body);
    let rate = persona.and_then(|persona| persona.upload).filter(|rate| *rate > 0);
    let upload = rate.map_or(0.0, |rate| body as f64 / rate as f64);
    micros(held + MARGIN + Duration::try_from_secs_f64(upload).unwrap_or_default())
}

/// Whether a service that cuts its own answers had the request.
fn cuts(evidence: &Evidence<'_>, records: &Records<'_>, told: &Told) -> bool {
    let mut served = records.served_of(told.id.request).iter();
    served.any(|served| {
        let service = evidence.run.scenario.services.get(usize::from(served.service));
        service.is_some_and(|service| service.failures.cut_reply > 0.0)
    })
}
