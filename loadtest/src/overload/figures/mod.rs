//! From what was logged to what was asked for: each figure, defined exactly.
//!
//! **Invariants**: what is true of the service comes from its own log, joined with the crowd's by the number of the attempt. Of
//! weir's own account two things are used: its limit, for [`Figure::OverLimit`], and its prediction, for [`Figure::WaitError`].
//! A figure that cannot be computed is not a number and holds no bound.

use std::collections::HashSet;

use crate::overload::gateway::Said;
use crate::overload::room;
use crate::overload::run::Run;
use crate::overload::scenario::{FaultKind, Figure, Seconds, Span};
use crate::overload::service::{Sample, Served, TICK};
use crate::overload::stats::{drift, jain, overtaken, quantile};
use crate::overload::visit::{Attempt, Outcome};

/// Two requests whose sending lies closer together are taken to have come together: twice the harness's limit of lag, once for the
/// way from the sending to the socket, once for the way from the socket to weir's line, each of which a busy machine interrupts. On a
/// quiet one the longest overtaking is 2 ms.
pub const RESOLUTION: Seconds = 0.1;

/// Around a start at the service, the limits sampled so near may have been in force when weir let the request through.
const NEAR: Seconds = 0.25;

/// Shorter waits are not judged: their relative error is that of the clock.
const LONG_WAIT: Seconds = 0.5;

/// Ticks in a second.
const SECOND: usize = 20;

/// How late the harness was, in seconds, at its 99th percentile over everything that was sent.
#[must_use]
pub fn lag(run: &Run) -> Seconds {
    let attempts = run.attempts.iter().map(|attempt| (attempt.intended, attempt.sent));
    let all = attempts.chain(run.asked.iter().map(|asked| (asked.intended, asked.sent)));
    quantile(&mut all.map(|(intended, sent)| sent.saturating_sub(intended).as_secs_f64()).collect::<Vec<_>>(), 0.99)
}

/// The most in flight at once at any server.
#[must_use]
pub fn peak(run: &Run) -> u32 {
    run.servers.iter().flat_map(|server| &server.served).map(|served| served.in_flight).max().unwrap_or(0)
}

/// Computes `figure`.
#[must_use]
pub fn compute(run: &Run, figure: Figure) -> f64 {
    match figure {
        Figure::Goodput => goodput(run, run.scenario.measured),
        Figure::ColdStart => first_second(run, 0.0, 0.95),
        Figure::Recovery { share } => recovery(run, share),
        Figure::WastedWork => wasted_work(run),
        Figure::OverLimit => over_limit(run),
        Figure::Drift => drift(&in_flight_by_second(run)),
        Figure::Completed => completed(run),
        Figure::MidFunnelRefusals => {
            run.attempts.iter().filter(|attempt| attempt.step > 1 && attempt.refused()).count() as f64
        }
        Figure::JainClients => jain(&answers_by_client(run, true)),
        Figure::GreedyShare => mean(&answers_by_client(run, false)) / mean(&answers_by_client(run, true)),
        Figure::JainDeciles => jain(&shares_by_decile(run)),
        Figure::Overtakes => overtaken(order(run), RESOLUTION).0 as f64,
        Figure::LongestOvertake => overtaken(order(run), RESOLUTION).1,
        Figure::PromiseError => promise_error(run),
        Figure::WaitError => wait_error(run),
        Figure::Amplification => amplification(run),
        Figure::Room(figure) => room::figures::compute(run, figure),
    }
}

fn attempt<'a>(run: &'a Run, served: &Served) -> Option<&'a Attempt> {
    run.attempts.get(served.attempt as usize)
}

/// Completed work whose person was not told: gone, or told something else. Who still waited when the run ended is not judged, nor
/// is what a dying service lost or a stalling one had in hand: it cannot be called back.
fn wasted(run: &Run) -> impl Iterator<Item = (Seconds, f64)> + '_ {
    run.servers
        .iter()
        .enumerate()
        .flat_map(|(index, server)| server.served.iter().map(move |served| (index, served)))
        .filter_map(move |(index, served)| {
            let (done, attempt) = (served.done?.as_secs_f64(), attempt(run, served)?);
            let unheard = attempt.ended.is_some() && !attempt.succeeded();
            (unheard && !stalled(run, index, served.started.as_secs_f64(), done)).then_some((done, served.work))
        })
}

/// Whether `server` stalled between `started` and `done`.
fn stalled(run: &Run, server: usize, started: Seconds, done: Seconds) -> bool {
    run.scenario.faults.iter().any(|fault| {
        let here = fault.server.is_none_or(|which| which == server);
        here && fault.kind == FaultKind::Stall && started < fault.at && done > fault.at
    })
}

fn wasted_work(run: &Run) -> f64 {
    let completed = run.servers.iter().flat_map(|server| &server.served).filter(|served| served.done.is_some());
    wasted(run).fold(0.0, |sum, (_, work)| sum + work) / completed.map(|served| served.work).sum::<f64>()
}

/// All servers together at the tick nearest to `at`.
fn total(run: &Run, tick: usize) -> Sample {
    let samples = run.servers.iter().filter_map(|server| server.samples.get(tick).or_else(|| server.samples.last()));
    samples.fold(Sample::default(), |sum, sample| Sample {
        work: sum.work + sample.work,
        capacity: sum.capacity + sample.capacity,
        in_flight: sum.in_flight + sample.in_flight,
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an instant of the run, from 0")]
fn tick(at: Seconds) -> usize {
    (at / TICK.as_secs_f64()).round().max(0.0) as usize
}

fn goodput(run: &Run, span: Span) -> f64 {
    let (from, until) = (total(run, tick(span.from)), total(run, tick(span.until)));
    let lost: f64 = wasted(run).filter(|(done, _)| span.contains(*done)).map(|(_, work)| work).sum();
    (until.work - from.work - lost) / (until.capacity - from.capacity)
}

/// From `since` to the beginning of the first second in which the service did `share` of what it could; to the end of the
/// arrivals if there is none.
fn first_second(run: &Run, since: Seconds, share: f64) -> Seconds {
    let (begin, end) = (tick(since), tick(run.scenario.arrivals_end()));
    let reached = |from: &usize| {
        let (first, last) = (total(run, *from), total(run, *from + SECOND));
        let capacity = last.capacity - first.capacity;
        capacity > 0.0 && last.work - first.work >= share * capacity
    };
    let found = (begin..end.saturating_sub(SECOND)).find(reached).unwrap_or(end);
    (found - begin.min(found)) as f64 * TICK.as_secs_f64()
}

/// The slowest return to `share` after any change that leaves the service something to do.
fn recovery(run: &Run, share: f64) -> Seconds {
    let changes = run.scenario.faults.iter().flat_map(|fault| {
        let stands = matches!(fault.kind, FaultKind::Stall | FaultKind::Refuse { .. });
        [(!stands).then_some(fault.at), Some(fault.at + fault.lasts)].into_iter().flatten()
    });
    changes.map(|change| first_second(run, change, share)).fold(f64::NAN, f64::max)
}

/// Starts with more in flight at all servers together than any limit sampled near. Weir may have lowered its limit since it let a
/// request through, but at that instant it was within it, and everything in flight at the service has a permit: so the count
/// at a start is at most a limit in force between the two instants. Where no sample is near, nothing can be said; if that is so
/// for more than one start in a hundred, the figure is not a number.
fn over_limit(run: &Run) -> f64 {
    let starts = starts(run);
    let (mut over, mut unknown) = (0_u32, 0);
    for (at, in_flight) in &starts {
        match limit_near(&run.said, *at) {
            Some(limit) => over += u32::from(f64::from(*in_flight) > limit),
            None => unknown += 1,
        }
    }
    if starts.is_empty() || unknown * 100 > starts.len() { f64::NAN } else { f64::from(over) }
}

/// Every start and what is in flight with it, at all servers together, but for those that only fail. Of several servers none may
/// lose requests: they would count as in flight for ever.
fn starts(run: &Run) -> Vec<(Seconds, u32)> {
    if let [only] = run.servers.as_slice() {
        return only.served.iter().map(|served| (served.started.as_secs_f64(), served.in_flight)).collect();
    }
    let served = run.servers.iter().flat_map(|server| &server.served).filter(|served| served.work > 0.0);
    let mut events: Vec<(Seconds, bool)> = Vec::new();
    for served in served {
        events.push((served.started.as_secs_f64(), true));
        events.extend(served.done.map(|done| (done.as_secs_f64(), false)));
    }
    events.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut in_flight = 0_u32;
    let counted = events.into_iter().filter_map(|(at, starts)| {
        in_flight = if starts { in_flight + 1 } else { in_flight.saturating_sub(1) };
        starts.then_some((at, in_flight))
    });
    counted.collect()
}

fn limit_near(said: &[Said], at: Seconds) -> Option<f64> {
    let from = said.partition_point(|said| said.at.as_secs_f64() < at - NEAR);
    let near = said.iter().skip(from).take_while(|said| said.at.as_secs_f64() <= at + NEAR);
    near.map(|said| said.limit).reduce(f64::max)
}

fn in_flight_by_second(run: &Run) -> Vec<f64> {
    let (begin, end) = (tick(run.scenario.measured.from), tick(run.scenario.measured.until));
    let seconds = (begin..end).step_by(SECOND);
    let mean =
        |from: usize| (from..from + SECOND).map(|at| f64::from(total(run, at).in_flight)).sum::<f64>() / SECOND as f64;
    seconds.map(mean).collect()
}

/// Of the people whose first step succeeded in the measured span, those whose last did.
fn completed(run: &Run) -> f64 {
    let (mut admitted, mut finished) = (0, HashSet::new());
    for attempt in run.attempts.iter().filter(|attempt| attempt.succeeded() && attempt.step == run.scenario.crowd.steps)
    {
        finished.insert(attempt.person);
    }
    let mut done = 0;
    for attempt in
        run.attempts.iter().filter(|attempt| attempt.step == 1 && attempt.succeeded() && measured(run, attempt))
    {
        admitted += 1;
        done += u32::from(finished.contains(&attempt.person));
    }
    f64::from(done) / f64::from(admitted)
}

fn measured(run: &Run, attempt: &Attempt) -> bool {
    run.scenario.measured.contains(attempt.intended.as_secs_f64())
}

/// Successful answers in the measured span of each honest, or each greedy, client.
fn answers_by_client(run: &Run, honest: bool) -> Vec<f64> {
    let Some(clients) = run.scenario.crowd.clients else { return Vec::new() };
    let mut answers = vec![0.0; (clients.honest + clients.greedy) as usize];
    for attempt in run.attempts.iter().filter(|attempt| attempt.succeeded() && measured(run, attempt)) {
        let client = run.people.get(attempt.person as usize).and_then(|person| person.client);
        if let Some(count) = client.and_then(|client| answers.get_mut(client as usize)) {
            *count += 1.0;
        }
    }
    let greedy = answers.split_off(clients.honest as usize);
    if honest { answers } else { greedy }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The share of those who were served, of each tenth of the people who came in the measured span and are not greedy.
fn shares_by_decile(run: &Run) -> Vec<f64> {
    let mut served = vec![false; run.people.len()];
    for attempt in run.attempts.iter().filter(|attempt| attempt.succeeded()) {
        if let Some(served) = served.get_mut(attempt.person as usize) {
            *served = true;
        }
    }
    let came = |index: &usize| {
        let person = run.people.get(*index);
        person.is_some_and(|person| run.scenario.measured.contains(person.arrives.as_secs_f64()))
            && is_honest(run, *index)
    };
    let outcomes: Vec<f64> =
        (0..run.people.len()).filter(came).map(|index| f64::from(u8::from(served.get(index) == Some(&true)))).collect();
    outcomes.chunks(outcomes.len().div_ceil(10).max(1)).map(mean).collect()
}

fn is_honest(run: &Run, person: usize) -> bool {
    let client = run.people.get(person).and_then(|person| person.client);
    run.scenario.crowd.clients.zip(client).is_none_or(|(clients, client)| client < clients.honest)
}

/// When requests were sent and when they began at the service: first steps of the measured span, which are all of one class. Who is
/// greedy is left out, and whoever already waits for another answer, because one client's requests may wait for each other.
fn order(run: &Run) -> Vec<(Seconds, Seconds)> {
    let mut began = vec![None; run.attempts.len()];
    for served in run.servers.iter().flat_map(|server| &server.served) {
        if let Some(began) = began.get_mut(served.attempt as usize) {
            *began = Some(served.started.as_secs_f64());
        }
    }
    let clients = run.scenario.crowd.clients.map_or(0, |clients| clients.honest + clients.greedy);
    let mut busy_until = vec![0.0; clients as usize];
    let mut pairs = Vec::new();
    for (attempt, began) in run.attempts.iter().zip(began) {
        let sent = attempt.sent.as_secs_f64();
        let client = run.people.get(attempt.person as usize).and_then(|person| person.client);
        let mut alone = is_honest(run, attempt.person as usize);
        if let Some(busy) = client.and_then(|client| busy_until.get_mut(client as usize)) {
            alone &= sent >= *busy;
            *busy = attempt.ended.map_or(f64::INFINITY, |ended| ended.as_secs_f64().max(*busy));
        }
        if let Some(began) = began.filter(|_| alone && attempt.step == 1 && measured(run, attempt)) {
            pairs.push((sent, began));
        }
    }
    pairs
}

/// For each person of the measured span whose first answer is a refusal with Retry-After d: they come at d exactly, and again as told;
/// the error is how far the visit that was let in lay from the first promise, as a share of d; infinite if none ever was. A
/// promise that is longer than necessary is not seen here but as idle capacity.
fn promise_error(run: &Run) -> f64 {
    let mut promised: Vec<Option<(Seconds, Seconds)>> = vec![None; run.people.len()];
    let mut errors = vec![f64::NAN; run.people.len()];
    for attempt in &run.attempts {
        let index = attempt.person as usize;
        let (Some(promise), Some(error), Some(ended)) = (promised.get_mut(index), errors.get_mut(index), attempt.ended)
        else {
            continue;
        };
        match (*promise, attempt.outcome) {
            (None, Outcome::Answered(429 | 503, Some(wait))) if measured(run, attempt) => {
                let wait = wait.as_secs_f64();
                (*promise, *error) = (Some((ended.as_secs_f64(), wait)), f64::INFINITY);
            }
            (Some((told, wait)), Outcome::Answered(200..300, _)) => {
                *error = ((attempt.sent.as_secs_f64() - told - wait) / wait).abs();
            }
            _ => {}
        }
    }
    errors.retain(|error| !error.is_nan());
    quantile(&mut errors, 0.9)
}

/// For each request of the measured span that was held for longer than [`LONG_WAIT`] and served: how far the wait predicted for a
/// newcomer when it was sent lay from the wait until it began at the service, as a share of that.
fn wait_error(run: &Run) -> f64 {
    let mut errors = Vec::new();
    for served in run.servers.iter().flat_map(|server| &server.served) {
        let Some(attempt) = attempt(run, served).filter(|attempt| measured(run, attempt)) else { continue };
        let wait = served.started.saturating_sub(attempt.sent).as_secs_f64();
        let before = run.said.partition_point(|said| said.at <= attempt.sent);
        let predicted = before.checked_sub(1).and_then(|before| run.said.get(before));
        if let Some(said) = predicted.filter(|_| wait > LONG_WAIT) {
            errors.push((said.predicted - wait).abs() / wait);
        }
    }
    quantile(&mut errors, 0.9)
}

/// Requests begun at the service for each step of each person it saw.
fn amplification(run: &Run) -> f64 {
    let (mut began, mut seen) = (0_u32, HashSet::new());
    for served in run.servers.iter().flat_map(|server| &server.served) {
        if let Some(attempt) = attempt(run, served) {
            began += 1;
            seen.insert((attempt.person, attempt.step));
        }
    }
    f64::from(began) / seen.len() as f64
}

#[cfg(test)]
mod tests;
