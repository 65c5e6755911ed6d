//! I4: never more at a service than the limit in force, nor faster than its rate.
//!
//! Judged: every start at a service in front of which the gateway has a limit.
//! * A limit that is *written down* is exact: no start may see more in flight, itself included, at all servers together.
//! * A limit that is *found* moves, and is read ten times a second, while trials may be shorter. So one start above it proves nothing (it counts in the figure
//!   `over_limit`, beside the limits read within 250 ms of it); it is broken where *every* one of at least ten starts between four or more readings in a row, 5 s at most,
//!   sees more in flight than any limit read from 250 ms before the first to 250 ms after the last of them.
//!   A burst need not last so long: it is broken, too, where of the starts of a whole run beside which a limit was read, [`CHANCES`] or more, over [`CHANCE`] are above it.
//! * A *rate* with a burst: in no window of length `w` more than `rate·(w + resolution) + burst` starts: the resolution is what the ways from the gateway to the
//!   service may differ by.
//!
//! Whoever comes while the gateway, the network or the service is disturbed, or soon after, is not judged: a gateway that was killed does not know of what the service still works on.

use crate::oracle::evidence::Evidence;
use crate::oracle::facts::seconds;
use crate::oracle::finding::{Finding, Invariant, Search, Who};

/// Around a start, the limits read so near may have been in force when the gateway let the request through.
const NEAR: u64 = 250_000;

/// So many readings in a row, …
const READINGS: usize = 4;

/// … not further apart than this, and …
const GAP: u64 = 1_000_000;

/// … so many starts between them prove something, …
const STARTS: usize = 10;

/// … if the first and the last reading are no further apart than this.
const LONGEST: u64 = 5_000_000;

/// Of so many starts that can be judged one by one …
const CHANCES: usize = 100;

/// … so large a share above every limit read near is no chance: trials are rarer, and shorter than the time between two readings.
const CHANCE: f64 = 0.05;

/// A start at a service: when, and how many were in flight with it at all servers.
type Start = (u64, u32);

pub(super) fn find(evidence: &Evidence<'_>) -> Finding {
    let mut search = Search::of(Invariant::OverAdmission);
    for (index, service) in (0_u8..).zip(&evidence.run.scenario.services) {
        let declared = evidence.run.declared.limits.iter().find(|limit| limit.service == index);
        let readings = readings(evidence, &service.name);
        let fixed = declared.and_then(|limit| limit.concurrency);
        let rate = declared.and_then(|limit| limit.rate);
        if fixed.is_none() && rate.is_none() && readings.is_empty() {
            continue;
        }
        let starts = judged(evidence, index);
        match fixed {
            Some(limit) => written(&mut search, index, limit, &starts),
            None => found(&mut search, index, &readings, &starts),
        }
        if let Some((rate, burst)) = rate {
            let slack = evidence.run.declared.resolution.as_secs_f64() * rate;
            paced(&mut search, index, (rate, burst + slack), &starts);
        }
    }
    search.end()
}

fn written(search: &mut Search, service: u8, limit: u32, starts: &[Start]) {
    search.looked_at(starts.len() as u64);
    for (at, in_flight) in starts.iter().filter(|(_, in_flight)| *in_flight > limit) {
        search.broken(Who::Service(service), *at, || format!("{in_flight} in flight, of {limit}"));
    }
}

fn found(search: &mut Search, service: u8, readings: &[(u64, f64)], starts: &[Start]) {
    if !readings.is_empty() {
        search.looked_at(starts.len() as u64);
    }
    let mut from = 0;
    while from < readings.len() {
        let judged = window(readings.get(from..).unwrap_or_default(), starts);
        let over = judged.and_then(|window| {
            let limit = limit_near(readings, window.begin, window.end)?;
            (f64::from(window.least) > limit).then_some((window, limit))
        });
        if let Some((Window { begin, end, count, least, .. }, limit)) = over {
            let span = seconds(end - begin);
            search.broken(Who::Service(service), begin, || {
                format!("never fewer than {least} in flight at any of {count} starts in {span:.1} s, of {limit:.0}")
            });
        }
        // Each instant is part of one offence.
        from += over.map_or(1, |(window, _)| window.readings);
    }
    often(search, service, readings, starts);
}

fn often(search: &mut Search, service: u8, readings: &[(u64, f64)], starts: &[Start]) {
    let judged = starts.iter().filter_map(|(at, in_flight)| Some((*at, *in_flight, limit_near(readings, *at, *at)?)));
    let judged: Vec<(u64, u32, f64)> = judged.collect();
    let over = || judged.iter().filter(|(_, in_flight, limit)| f64::from(*in_flight) > *limit);
    let (count, all) = (over().count(), judged.len());
    if all < CHANCES || count as f64 <= CHANCE * all as f64 {
        return;
    }
    for (at, in_flight, limit) in over() {
        search.broken(Who::Service(service), *at, || {
            format!("{in_flight} in flight, of {limit:.0}: one of {count} starts above it, of {all}")
        });
    }
}

/// Starts between readings in a row.
#[derive(Clone, Copy)]
struct Window {
    begin: u64,
    end: u64,
    /// How many readings from the first to the last.
    readings: usize,
    count: usize,
    /// The fewest in flight that any start saw.
    least: u32,
}

/// From the first of `readings` on, as few of them as prove something; [`None`] if too many would be needed.
fn window(readings: &[(u64, f64)], starts: &[Start]) -> Option<Window> {
    let (begin, _) = *readings.first()?;
    let (mut before, mut at) = (begin, starts.partition_point(|(at, _)| *at < begin));
    let (mut count, mut least) = (0, u32::MAX);
    for (index, (end, _)) in readings.iter().enumerate() {
        if end - before > GAP || end - begin > LONGEST {
            return None;
        }
        before = *end;
        while let Some((_, in_flight)) = starts.get(at).filter(|(started, _)| started <= end) {
            (count, least, at) = (count + 1, least.min(*in_flight), at + 1);
        }
        if index + 1 >= READINGS && count >= STARTS {
            return Some(Window { begin, end: *end, readings: index, count, least });
        }
    }
    None
}

/// A bucket of `burst` tokens, filled at `rate`.
fn paced(search: &mut Search, service: u8, (rate, burst): (f64, f64), starts: &[Start]) {
    search.looked_at(starts.len() as u64);
    let (mut tokens, mut last) = (burst, 0);
    for (at, _) in starts {
        tokens = (tokens + seconds(at - last) * rate).min(burst);
        last = *at;
        if tokens < 1.0 - 1e-6 {
            search.broken(Who::Service(service), *at, || format!("faster than {rate} a second and {burst:.0} at once"));
        } else {
            tokens -= 1.0;
        }
    }
}

/// Starts that saw more in flight than any limit read near, at all services together, of those that are judged; not a number if for more than one in a hundred none
/// was read.
pub(in crate::oracle) fn over_limit(evidence: &Evidence<'_>) -> f64 {
    let (mut over, mut unknown, mut all) = (0_u64, 0_u64, 0_u64);
    for (index, service) in (0_u8..).zip(&evidence.run.scenario.services) {
        let readings = readings(evidence, &service.name);
        if readings.is_empty() {
            continue;
        }
        for (at, in_flight) in judged(evidence, index) {
            all += 1;
            match limit_near(&readings, at, at) {
                Some(limit) => over += u64::from(f64::from(in_flight) > limit),
                None => unknown += 1,
            }
        }
    }
    if all == 0 || unknown * 100 > all { f64::NAN } else { over as f64 }
}

/// The limit as read, in front of the service called `name`.
fn readings(evidence: &Evidence<'_>, name: &str) -> Vec<(u64, f64)> {
    let readings = evidence.said.iter().filter_map(|said| Some((said.at, said.upstreams.get(name)?.limit)));
    readings.collect()
}

fn limit_near(readings: &[(u64, f64)], from: u64, until: u64) -> Option<f64> {
    let first = readings.partition_point(|(at, _)| *at < from.saturating_sub(NEAR));
    let near = readings.iter().skip(first).take_while(|(at, _)| *at <= until.saturating_add(NEAR));
    near.map(|(_, limit)| *limit).reduce(f64::max)
}

/// The starts at `service` that came while nothing on their way was disturbed.
fn judged(evidence: &Evidence<'_>, service: u8) -> Vec<Start> {
    let mut starts = starts(evidence, service);
    starts.retain(|(at, _)| !evidence.faults.up_to(Some(service), *at, *at));
    starts
}

/// Every start at `service`, in order of time.
fn starts(evidence: &Evidence<'_>, service: u8) -> Vec<Start> {
    let all = || evidence.served.iter().filter(|served| served.service == service);
    let alone = evidence.run.scenario.services.get(usize::from(service)).is_some_and(|it| it.servers + it.reserve == 1);
    if alone {
        let mut starts: Vec<Start> = all().map(|served| (served.started, served.in_flight)).collect();
        starts.sort_unstable();
        return starts;
    }
    let mut began: Vec<u64> = all().map(|served| served.started).collect();
    let mut ended: Vec<u64> = all().map(|served| served.done.max(served.started)).collect();
    began.sort_unstable();
    ended.sort_unstable();
    let mut gone = ended.into_iter().peekable();
    let mut in_flight = 0_u32;
    let count = |at: u64| {
        in_flight += 1;
        while gone.next_if(|end| *end <= at).is_some() {
            in_flight = in_flight.saturating_sub(1);
        }
        (at, in_flight.max(1))
    };
    began.into_iter().map(count).collect()
}
