//! I3: nothing is done that nobody asked for.
//!
//! Judged: every effect at a service. Its request must bear a number of ours, of somebody of the population, and must have been for that stage: an
//! effect without a number, of nobody, at another stage than the one asked for, or of a request that only asked for a place, is a phantom. A
//! number of somebody known whose own record is missing is a missing record: it makes the run invalid (`validity`).

use crate::ledger::{Effect, Kind, Served};
use crate::oracle::evidence::Evidence;
use crate::oracle::finding::{Finding, Invariant, Search, Who};

pub(super) fn find(evidence: &Evidence<'_>) -> Finding {
    let mut search = Search::of(Invariant::Phantom);
    let changes = |served: &&Served| matches!(served.effect, Effect::First | Effect::Duplicate);
    for served in evidence.served_to_strangers().iter().filter(changes) {
        search.looked_at(1);
        let who = served.id.map_or(Who::Service(served.service), Who::Request);
        search.broken(who, served.done, || match served.id {
            None => format!("done at stage {}, with no number of ours", served.stage),
            Some(_) => format!("done at stage {}, for nobody of the population", served.stage),
        });
    }
    for records in evidence.briefly() {
        for served in records.served.iter().filter(changes).filter(|served| evidence.is_own(served)) {
            search.looked_at(1);
            let Some(told) = served.id.and_then(|id| records.told_of(id)) else { continue };
            if matches!(told.kind, Kind::Poll | Kind::Leave) {
                search.broken(Who::Request(told.id), served.done, || {
                    format!("done at stage {}, though it only asked for a place", served.stage)
                });
            } else if told.stage != served.stage {
                search.broken(Who::Request(told.id), served.done, || {
                    format!("done at stage {}, though it asked for stage {}", served.stage, told.stage)
                });
            }
        }
    }
    search.end()
}
