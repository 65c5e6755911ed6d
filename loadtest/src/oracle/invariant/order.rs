//! I6: nobody who is there is overtaken.
//!
//! Order is that of joining: whoever was *told a place* before another one *first came* is before him. Somebody was overtaken if, further apart than
//! the resolution,
//! * he showed his place and was told to wait behind others, after somebody behind him had begun at the service of the entrance; or
//! * his request was sent before that of another one who first came later, both with a place or both without, and began at the service after it.
//!   (Two that get in at one instant may begin in any order: they come to the service by different workers and sockets.)
//!
//! So whoever is late for his turn, is refused by the service, or leaves, is not overtaken by those who come in meanwhile: only who was there and was
//! told to wait, or stood in line, is. Not judged as overtaken: those who lost cookie, ticket and identity, or left and came anew; whose order was drawn in a
//! lobby; who attack. In line (the second case) only requests are judged whose sender had no other one out, sends at no speed of his own, and was disturbed by no
//! fault of gateway, network or service. Nobody overtakes by a forged request: that is I10.

use std::collections::BTreeMap;

use crate::oracle::evidence::Evidence;
use crate::oracle::facts::{micros, seconds};
use crate::oracle::finding::{Finding, Invariant, Search, Who};
use crate::oracle::journey::{Journey, NEVER};

/// Someone's start, seen from those who came before him: the earliest of all who came later.
struct Earliest {
    /// In order of coming: when, the earliest start of him and all after him, and whose.
    starts: Vec<(u64, u64, u32)>,
}

impl Earliest {
    fn of(mut starts: Vec<(u64, u64, u32)>) -> Self {
        starts.sort_unstable();
        let (mut least, mut whose) = (NEVER, 0);
        for (_, started, person) in starts.iter_mut().rev() {
            if *started < least {
                (least, whose) = (*started, *person);
            }
            (*started, *person) = (least, whose);
        }
        Self { starts }
    }

    /// The earliest start of those who came after `since`, and whose.
    fn after(&self, since: u64) -> Option<(u64, u32)> {
        let from = self.starts.partition_point(|(came, _, _)| *came <= since);
        self.starts.get(from).map(|(_, started, person)| (*started, *person)).filter(|(started, _)| *started != NEVER)
    }
}

/// Who stands in line: the earliest start among those whose request was sent later, and who came later as well.
struct Line {
    /// In order of sending: when, when he came, when he began, and who.
    stands: Vec<(u64, u64, u64, u32)>,
    /// When each of them came, in order.
    came: Vec<u64>,
}

impl Line {
    fn of(mut stands: Vec<(u64, u64, u64, u32)>) -> Self {
        stands.sort_unstable();
        let mut came: Vec<u64> = stands.iter().map(|(_, came, ..)| *came).collect();
        came.sort_unstable();
        Self { stands, came }
    }

    /// Each who was overtaken, both by more than `apart`: who, when the other began, and who that is.
    ///
    /// From the last sent to the first, those sent later are kept as least starts by how late they came (Fenwick 1994): logarithmic each.
    fn overtaken(&self, apart: u64) -> Vec<(u32, u64, u32)> {
        let mut least = vec![(NEVER, 0); self.came.len() + 1];
        // How many came at `came` or later.
        let position = |since: u64| self.came.len() - self.came.partition_point(|came| *came < since);
        let (mut later, mut overtaken) = (self.stands.iter().rev().peekable(), Vec::new());
        for (sent, came, started, person) in self.stands.iter().rev() {
            while let Some((_, came, started, person)) = later.next_if(|later| later.0 > sent.saturating_add(apart)) {
                let mut index = position(*came);
                while let Some(kept) = least.get_mut(index) {
                    *kept = (*kept).min((*started, *person));
                    index += index & index.wrapping_neg();
                }
            }
            let (mut index, mut first) = (position(came.saturating_add(apart).saturating_add(1)), (NEVER, 0));
            while index > 0 {
                first = least.get(index).map_or(first, |kept| first.min(*kept));
                index &= index - 1;
            }
            if first.0.saturating_add(apart) < *started {
                overtaken.push((*person, first.0, first.1));
            }
        }
        overtaken
    }
}

pub(super) fn find(evidence: &Evidence<'_>) -> Finding {
    let mut search = Search::of(Invariant::Order);
    let resolution = micros(evidence.run.declared.resolution);
    let people = || (0_u32..).zip(&evidence.journeys);
    let started = |(_, journey): &(u32, &Journey)| journey.started != NEVER && !journey.standing.attacks;
    let behind = Earliest::of(people().filter(started).map(|(who, j)| (j.came, j.started, who)).collect());
    let mut overtaken: BTreeMap<u32, (u64, u32)> = BTreeMap::new();
    for (person, journey) in people().filter(|(_, journey)| journey.has_place()) {
        search.looked_at(1);
        if let Some((at, by)) = behind.after(journey.joined.saturating_add(resolution))
            && at.saturating_add(resolution) < journey.waited
        {
            overtaken.insert(person, (at, by));
        }
    }
    for with_place in [true, false] {
        let stands = |(_, j): &(u32, &Journey)| j.standing.alone && !j.standing.attacks && j.returned() == with_place;
        let line = Line::of(people().filter(stands).map(|(who, j)| (j.start_sent, j.came, j.started, who)).collect());
        search.looked_at(if with_place { 0 } else { line.stands.len() as u64 });
        for (person, at, by) in line.overtaken(resolution) {
            overtaken.entry(person).or_insert((at, by));
        }
    }
    for (person, (at, by)) in overtaken {
        let Some(journey) = evidence.journeys.get(person as usize) else { continue };
        search.broken(Who::Person(person), at, || {
            let came = evidence.journeys.get(by as usize).map_or(0, |journey| journey.came);
            let since = if journey.joined == NEVER { journey.came } else { journey.joined };
            format!(
                "there since {:.3} s and still waiting when person {by}, who came at {:.3} s, was let in",
                seconds(since),
                seconds(came)
            )
        });
    }
    search.end()
}
