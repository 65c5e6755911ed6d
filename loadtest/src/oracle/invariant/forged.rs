//! I10: a ticket that is forged, foreign or out of date opens nothing.
//!
//! Judged: every request with such a ticket. It is as good as one without a ticket, so it may come in where any newcomer would: when nobody waits, or when
//! its sender's own turn has come. It was let in by the ticket if it began at a service although somebody who had been given a place before its
//! sender ever came was, later than the resolution after that, told to wait behind others. Whether it succeeded does not matter.

use crate::ledger::Kind;
use crate::oracle::evidence::Evidence;
use crate::oracle::facts::micros;
use crate::oracle::finding::{Finding, Invariant, Search, Who};

pub(super) fn find(evidence: &Evidence<'_>) -> Finding {
    let mut search = Search::of(Invariant::Forged);
    let resolution = micros(evidence.run.declared.resolution);
    let waiting = Waiting::of(evidence);
    for records in evidence.briefly() {
        let came = records.told.iter().map(|told| told.sent).min().unwrap_or(0);
        for told in records.told.iter().filter(|told| told.kind == Kind::Forged) {
            search.looked_at(1);
            let Some(served) = records.served_of(told.id.request).first() else { continue };
            if let Some(passed) = waiting.passed(came.saturating_sub(resolution), served.started + resolution) {
                search.broken(Who::Request(told.id), served.started, || {
                    format!("let in with a ticket that is not its sender's, while person {passed}, who came before, waited on")
                });
            }
        }
    }
    search.end()
}

/// Who was given a place when, and until when he was told to wait.
struct Waiting {
    /// Of everybody who was given a place, in order of that: when, the latest wait of all until him, and whose.
    latest: Vec<(u64, u64, u32)>,
}

impl Waiting {
    fn of(evidence: &Evidence<'_>) -> Self {
        let placed = (0_u32..).zip(&evidence.journeys).filter(|(_, journey)| journey.has_place());
        let mut latest: Vec<_> = placed.map(|(person, journey)| (journey.joined, journey.waited, person)).collect();
        latest.sort_unstable();
        let (mut most, mut whose) = (0, 0);
        for (_, waited, person) in &mut latest {
            if *waited > most {
                (most, whose) = (*waited, *person);
            }
            (*waited, *person) = (most, whose);
        }
        Self { latest }
    }

    /// Somebody who was given a place before `came` and told to wait after `since`.
    fn passed(&self, came: u64, since: u64) -> Option<u32> {
        let before = self.latest.partition_point(|(joined, _, _)| *joined < came);
        let (_, waited, person) = self.latest.get(before.checked_sub(1)?)?;
        (*waited > since).then_some(*person)
    }
}
