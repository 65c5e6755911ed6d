//! What waiting rooms show in `/metrics`, by room.
//!
//! **Cost**: at a scrape two looks at each number that was called, two milliseconds a million; else some loads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Doorway;
use crate::telemetry::Registry;
use crate::waiting_room::eta::Estimate;
use crate::waiting_room::room::{Events, Room};

/// Name, help, and the value; [`None`] where the room has none.
type Gauge = (&'static str, &'static str, fn(&Room) -> Option<f64>);

const GAUGES: [Gauge; 14] = [
    ("weir_room_waiting", "People who wait in the room and have not been called.", |room| {
        Some(room.order().waiting() as f64)
    }),
    ("weir_room_issued", "Numbers the room has given: the next one.", |room| Some(room.order().issued() as f64)),
    ("weir_room_serving", "Positions below have been called.", |room| Some(room.order().serving() as f64)),
    ("weir_room_called", "People who were called lately and have not come yet.", |room| {
        Some(room.order().outstanding() as f64)
    }),
    ("weir_room_inside", "People who were let in and are there.", |room| {
        let inside = room.order().inside();
        Some((inside.admitted + inside.sending) as f64)
    }),
    ("weir_room_quota_left", "Places of the quota that nobody has taken.", |room| {
        room.quota().map(|quota| quota.left().into())
    }),
    ("weir_room_quota_done", "Places of the quota whose request has succeeded.", |room| {
        room.quota().map(|quota| quota.count().done.into())
    }),
    ("weir_room_quota_unclear", "People of whose request that counts nobody knows what became.", |room| {
        room.quota().map(|_| room.order().inside().ambiguous as f64)
    }),
    ("weir_room_pace", "People a second who are called, as measured.", |room| Some(room.pacing().speed)),
    ("weir_room_paused", "Whether nobody is called, on purpose.", |room| Some(truth(room.pacing().paused))),
    ("weir_room_no_show_ratio", "Share of those called who do not come.", |room| Some(room.pacing().no_show)),
    ("weir_room_journal_healthy", "Whether the disk takes what the journal of the room is given.", |room| {
        Some(truth(room.is_healthy()))
    }),
    ("weir_room_journal_bytes", "Length of the journal of the room.", |room| Some(room.journal().bytes as f64)),
    ("weir_room_identities", "Identities that the room remembers.", |room| Some(room.identities() as f64)),
];

/// Name, help, and where it is counted.
type Counter = (&'static str, &'static str, fn(&Events) -> &AtomicU64);

const COUNTERS: [Counter; 5] = [
    ("weir_room_joined_total", "Places given.", |events| &events.joined),
    ("weir_room_visits_total", "Times that somebody asked for his place.", |events| &events.visits),
    ("weir_room_early_visits_total", "Of the visits, those before the time that was told.", |events| &events.early),
    ("weir_room_entered_total", "People let in.", |events| &events.entered),
    ("weir_room_returned_total", "People whom the service failed, and who are at the front again.", |events| {
        &events.returned
    }),
];

/// What is told of an estimate.
type Percentile = (&'static str, fn(Estimate) -> Duration);

const PERCENTILES: [Percentile; 2] = [("50", |estimate| estimate.p50), ("90", |estimate| estimate.p90)];

/// Shows all rooms in `registry`.
pub fn all(registry: &Registry, doorways: &[Arc<Doorway>]) {
    for room in doorways.iter().map(|doorway| doorway.room()) {
        for (name, help, count) in COUNTERS {
            let counted = Arc::clone(room);
            let observe = move || count(counted.events()).load(Ordering::Relaxed);
            registry.observe_counter(name, help, &[("room", room.name())], observe);
        }
        let (name, help) = ("weir_room_journal_dropped_total", "Records for which the journal had no room.");
        let journal = Arc::clone(room);
        registry.observe_counter(name, help, &[("room", room.name())], move || journal.journal().dropped);
        let help = "How long somebody who joins now will wait at most, in so many cases of a hundred; not a number while nobody can know.";
        for (percentile, read) in PERCENTILES {
            let labels = [("room", &**room.name()), ("percentile", percentile)];
            let room = Arc::clone(room);
            let observe = move || room.newcomer().map_or(f64::NAN, |estimate| read(estimate).as_secs_f64());
            registry.observe_gauge("weir_room_estimate_seconds", help, &labels, observe);
        }
    }
    if doorways.is_empty() {
        return;
    }
    for (name, help, value) in GAUGES {
        let rooms: Vec<_> = doorways.iter().map(|doorway| Arc::clone(doorway.room())).collect();
        registry.list_gauges(name, help, move |series| {
            for (room, value) in rooms.iter().filter_map(|room| Some((room, value(room)?))) {
                series(&[("room", room.name())], value);
            }
        });
    }
}

fn truth(truth: bool) -> f64 {
    f64::from(u8::from(truth))
}
