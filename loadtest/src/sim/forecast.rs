//! What an operator asks before the day: how long the line gets, when the last is served, what is asked of the gateway and its machine.
//!
//! **Not here**: processor time, and the memory of what is not held for people: program, certificates, telemetry.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Simulated;
use crate::ledger::{Kind, Rolls, Told};
use crate::population::Person;
use crate::scenario::Scenario;
use crate::scenario::persona::Protocol;
use crate::visitor::Micros;

/// Of weir, a request over HTTP/1.1 that waits for its answer, its connection included (measured: harness notes §1.4).
const HTTP1: u64 = 17 * 1024;
/// Of weir, a stream of HTTP/2 that waits (ibid.).
const STREAM: u64 = 3_584;
/// Of weir and the kernel, a connection of HTTP/2 (ibid.: 34 KiB at both ends).
const CONNECTION: u64 = 17 * 1024;
/// Of the kernel, one end of a connection (ibid.: 7.4 KiB at both ends).
const SOCKET: u64 = 3_789;
/// Of a waiting room, a number and an identity (`weir::waiting_room`: 4.2 and 26 bytes), rounded up.
const NUMBER: u64 = 31;

const SECOND: Micros = 1_000_000;
/// Grain in which the busiest second is looked for, …
const BIN: Micros = 10_000;
/// … of at most so many: two days, 70 MiB.
const BINS_MOST: usize = 17_280_000;

/// A room's day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// People in it at most,
    pub longest: u64,
    /// … then.
    pub at: Duration,
    /// When the last was called who waited.
    pub last: Option<Duration>,
    /// Places given.
    pub issued: u64,
}

/// A day, foretold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forecast {
    /// By name.
    pub rooms: BTreeMap<String, Line>,
    /// When the service answered somebody last with success.
    pub last_served: Option<Duration>,
    /// Requests in the busiest second, and which it is.
    pub requests: (u64, Duration),
    /// Visits of those who ask for their place, in theirs.
    pub polls: (u64, Duration),
    /// Share of those who came who were told that nothing is left.
    pub told_no: f64,
    /// Share who went through all stages or did what they came for.
    pub served: f64,
    /// Requests that wait for an answer at most: over HTTP/1.1,
    pub http1: u64,
    /// … and HTTP/2.
    pub http2: u64,
    /// Bytes that weir holds for them and for its lines.
    pub weir: u64,
    /// Bytes that the kernel holds for the clients' connections.
    pub kernel: u64,
}

impl Forecast {
    /// Of a day of `people` that was simulated.
    #[must_use]
    pub fn of(scenario: &Scenario, people: &[Person], simulated: &Simulated) -> Self {
        let ledgers = &simulated.ledgers;
        let rooms = lines(simulated);
        let (http1, http2) = outstanding(scenario, people, &ledgers.told);
        let shared = connections(scenario, people, http2);
        let numbers: u64 = rooms.values().map(|room| room.issued).sum();
        let done = ledgers.served.iter().filter(|served| (200..300).contains(&served.status));
        let came = simulated.progress.arrived.max(1) as f64;
        Self {
            last_served: done.map(|served| served.done).max().map(Duration::from_micros),
            requests: busiest(ledgers.told.iter()),
            polls: busiest(ledgers.told.iter().filter(|told| told.kind == Kind::Poll)),
            told_no: simulated.progress.told_no as f64 / came,
            served: (simulated.progress.registered + simulated.progress.stopped) as f64 / came,
            http1,
            http2,
            weir: http1 * HTTP1 + http2 * STREAM + shared * CONNECTION + numbers * NUMBER,
            kernel: (http1 + shared) * SOCKET,
            rooms,
        }
    }
}

fn lines(simulated: &Simulated) -> BTreeMap<String, Line> {
    let mut rooms: BTreeMap<String, Line> = BTreeMap::new();
    for said in &simulated.ledgers.said {
        let at = Duration::from_micros(said.at);
        for (name, room) in said.rooms.iter() {
            if !rooms.contains_key(name) {
                rooms.insert(name.to_owned(), Line::default());
            }
            let Some(line) = rooms.get_mut(name) else { continue };
            line.issued = room.issued;
            if room.waiting > line.longest {
                (line.longest, line.at) = (room.waiting, at);
            }
            if room.waiting > 0 {
                line.last = Some(at);
            }
        }
    }
    rooms
}

/// The second in which most were sent, of all that begin with a request, to a hundredth: where the clock's seconds begin is chance, and may halve
/// what comes at once.
fn busiest(told: impl Iterator<Item = Told>) -> (u64, Duration) {
    let mut bins: Vec<u32> = Vec::new();
    for told in told {
        let bin = usize::try_from(told.sent / BIN).unwrap_or(usize::MAX).min(BINS_MOST);
        bins.resize(bins.len().max(bin + 1), 0);
        bins.iter_mut().skip(bin).take(1).for_each(|count| *count += 1);
    }
    let window = usize::try_from(SECOND / BIN).unwrap_or(1);
    let (mut now, mut most) = (bins.iter().take(window).copied().map(u64::from).sum::<u64>(), (0, 0));
    for (at, first) in bins.iter().enumerate() {
        if *first > 0 && now > most.0 {
            most = (now, at as u64);
        }
        now = now - u64::from(*first) + bins.get(at + window).copied().map_or(0, u64::from);
    }
    (most.0, Duration::from_micros(most.1 * BIN))
}

/// Requests that wait at once at most: over HTTP/1.1, and over HTTP/2.
fn outstanding(scenario: &Scenario, people: &[Person], told: &Rolls) -> (u64, u64) {
    let mut changes: [Vec<(Micros, i64)>; 2] = [Vec::new(), Vec::new()];
    for told in told.iter().filter(|told| told.ended > told.sent) {
        let person = people.get(told.id.person as usize);
        let persona = person.and_then(|person| scenario.personas.get(usize::from(person.persona)));
        let shares = persona.is_some_and(|persona| matches!(persona.protocol, Protocol::Http2 { .. }));
        if let Some(changes) = changes.get_mut(usize::from(shares)) {
            changes.extend([(told.sent, 1), (told.ended, -1)]);
        }
    }
    let [http1, http2] = changes.map(|mut changes| {
        changes.sort_unstable();
        let (mut now, mut most) = (0, 0);
        for (_, change) in changes {
            now += change;
            most = most.max(now);
        }
        u64::try_from(most).unwrap_or_default()
    });
    (http1, http2)
}

/// Connections that so many streams need.
fn connections(scenario: &Scenario, people: &[Person], streams: u64) -> u64 {
    let most = scenario.personas.iter().filter_map(|persona| match persona.protocol {
        Protocol::Http2 { people } => Some(u64::from(people.max(1))),
        Protocol::Http1 => None,
    });
    most.min().map_or(0, |shared| (people.len() as u64).min(streams).div_ceil(shared))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::RequestId;

    #[test]
    fn the_busiest_second_is_any_and_of_the_busiest_the_first() {
        let told = |at| Told::sent(RequestId { person: 0, request: 0 }, 0, Kind::Poll, at, at);
        let all = [told(0), told(1_700_000), told(2_300_000), told(5_000_000), told(5_000_001)];
        assert_eq!(busiest(all.into_iter()), (2, Duration::from_millis(1_700)), "over a full second of the clock");
        assert_eq!(busiest([told(0), told(990_000), told(1_000_000)].into_iter()), (2, Duration::ZERO));
        assert_eq!(busiest(std::iter::empty()), (0, Duration::ZERO));
    }
}
