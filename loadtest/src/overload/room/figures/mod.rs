//! Each figure of a waiting room, defined exactly.
//!
//! **Invariants**: the instant of a call is bracketed by two readings of the gateway's `serving`: the last before which somebody's number
//! was not called, and the first that says it is. What people were told must fit into it ([`RoomFigure::Contradicted`]), and fit together
//! without it ([`RoomFigure::OutOfOrder`]): so nothing rests on the gateway's word alone.

use std::collections::HashSet;
use std::time::Duration;

use super::super::run::Run;
use super::super::scenario::Seconds;
use super::super::stats::quantile;
use super::{Asked, Range, RoomFigure, Stand};

/// Shorter waits are not judged: what is told is told in whole seconds, rounded up, which is up to a tenth of this.
const LONG_WAIT: Seconds = 10.0;

/// Computes `figure`.
#[must_use]
pub fn compute(run: &Run, figure: RoomFigure) -> f64 {
    match figure {
        RoomFigure::EstimateMedian => quantile(&mut errors(run), 0.5),
        RoomFigure::EstimateWorst => quantile(&mut errors(run), 0.95),
        RoomFigure::WithinP90 => within_p90(run),
        RoomFigure::NoticeHeld => quantile(&mut notices(run, true, |notice| notice.took), 0.99),
        RoomFigure::NoticeTold => quantile(&mut notices(run, false, |notice| notice.took), 0.99),
        RoomFigure::NoticeShare => quantile(&mut notices(run, false, |notice| notice.took / notice.interval), 0.99),
        RoomFigure::Polls => polls(run),
        RoomFigure::Unserved => run.people.len().saturating_sub(served(run).len()) as f64,
        RoomFigure::OutOfOrder => out_of_order(run),
        RoomFigure::Contradicted => contradicted(run),
    }
}

/// When a number was called: after one instant, by another.
#[derive(Clone, Copy, Debug)]
struct Called {
    after: Duration,
    by: Duration,
}

impl Called {
    /// As the gateway says; none of a number that was called before it was first asked, or never.
    fn of(run: &Run, number: u64) -> Option<Self> {
        let first = run.serving.partition_point(|serving| serving.position <= number);
        let (before, then) = (run.serving.get(first.checked_sub(1)?)?, run.serving.get(first)?);
        Some(Self { after: before.asked, by: then.read })
    }

    fn middle(self) -> Seconds {
        f64::midpoint(self.after.as_secs_f64(), self.by.as_secs_f64())
    }
}

/// Answers of the measured span that estimated a wait which turned out to be [`LONG_WAIT`] or longer: p50, p90, and the wait from the answer
/// to the call.
fn estimates(run: &Run) -> impl Iterator<Item = (Seconds, Seconds, Seconds)> + '_ {
    run.asked.iter().filter(|asked| is_measured(run, asked.ended)).filter_map(|asked| {
        let Stand::Waiting { range: Some(Range { p50, p90 }) } = asked.told.stand else { return None };
        let wait = Called::of(run, asked.told.number)?.middle() - asked.ended.as_secs_f64();
        (wait >= LONG_WAIT).then_some((p50, p90, wait))
    })
}

fn is_measured(run: &Run, at: Duration) -> bool {
    run.scenario.measured.contains(at.as_secs_f64())
}

fn errors(run: &Run) -> Vec<f64> {
    estimates(run).map(|(p50, _, wait)| (p50 - wait).abs() / wait).collect()
}

fn within_p90(run: &Run) -> f64 {
    let (held, all) =
        estimates(run).fold((0_u32, 0_u32), |(held, all), (_, p90, wait)| (held + u32::from(wait <= p90), all + 1));
    f64::from(held) / f64::from(all)
}

/// How somebody learned that it was his turn.
#[derive(Clone, Copy, Debug)]
struct Notice {
    /// From his call, at the earliest it can have been, to the answer that said so; for ever if none did.
    took: Seconds,
    /// After which he had been told to come again, by the answer before.
    interval: Seconds,
}

/// A `measure` of how each learned it who was called in the measured span and has his visits held, or has not.
fn notices(run: &Run, held: bool, measure: impl Fn(Notice) -> f64) -> Vec<f64> {
    let mut people: Vec<(Option<&Asked>, Option<&Asked>, bool)> = vec![(None, None, false); run.people.len()];
    for asked in &run.asked {
        let Some((waits, turn, holds)) = people.get_mut(asked.person as usize) else { continue };
        *holds |= asked.holds;
        match asked.told.stand {
            Stand::Waiting { .. } if turn.is_none() => *waits = Some(asked),
            Stand::Waiting { .. } => {}
            Stand::Turn => *turn = turn.or(Some(asked)),
        }
    }
    let notice = |(waits, turn, _): (Option<&Asked>, Option<&Asked>, bool)| {
        let before = waits?;
        let called = Called::of(run, before.told.number)?.after;
        let took = turn.map_or(f64::INFINITY, |turn| turn.ended.saturating_sub(called).as_secs_f64());
        is_measured(run, called).then(|| measure(Notice { took, interval: before.told.again.as_secs_f64() }))
    };
    people.into_iter().filter(|(.., holds)| *holds == held).filter_map(notice).collect()
}

/// The most answers of one person up to the one that said it was his turn, his first among them.
fn polls(run: &Run) -> f64 {
    let mut people = vec![(0_u32, false); run.people.len()];
    for asked in &run.asked {
        if let Some((count, called)) = people.get_mut(asked.person as usize) {
            *count += u32::from(!*called);
            *called |= asked.told.stand == Stand::Turn;
        }
    }
    people.into_iter().map(|(count, _)| count).max().map_or(f64::NAN, f64::from)
}

fn served(run: &Run) -> HashSet<u32> {
    run.attempts.iter().filter(|attempt| attempt.succeeded()).map(|attempt| attempt.person).collect()
}

/// Answers that let somebody wait although, before he asked, somebody with a greater number had been told that it was his turn, or
/// somebody without a number had been served who came after he had his.
fn out_of_order(run: &Run) -> f64 {
    let mut numbered = vec![None; run.people.len()];
    for asked in run.asked.iter().rev() {
        if let Some(since) = numbered.get_mut(asked.person as usize) {
            *since = Some(asked.ended);
        }
    }
    // When somebody was known to be in, and whom he may not have overtaken: lesser numbers, or those numbered before.
    let mut let_in: Vec<(Duration, Option<u64>, Duration)> = Vec::new();
    for asked in run.asked.iter().filter(|asked| asked.told.stand == Stand::Turn) {
        let_in.push((asked.ended, Some(asked.told.number), Duration::ZERO));
    }
    for attempt in run.attempts.iter().filter(|attempt| attempt.succeeded()) {
        let straight = numbered.get(attempt.person as usize).is_some_and(Option::is_none);
        let_in.extend(attempt.ended.filter(|_| straight).map(|ended| (ended, None, attempt.sent)));
    }
    let_in.sort_by_key(|(at, ..)| *at);
    let mut waits: Vec<&Asked> = run.asked.iter().filter(|asked| asked.told.stand != Stand::Turn).collect();
    waits.sort_by_key(|asked| asked.sent);
    let (mut next, mut greatest, mut latest, mut count) = (0, None, Duration::ZERO, 0_u32);
    for asked in waits {
        while let Some((_, number, sent)) = let_in.get(next).filter(|(at, ..)| *at < asked.sent) {
            greatest = greatest.max(*number);
            latest = latest.max(*sent);
            next += 1;
        }
        let since = numbered.get(asked.person as usize).copied().flatten();
        let overtaken = greatest > Some(asked.told.number) || since.is_some_and(|since| latest > since);
        count += u32::from(overtaken);
    }
    f64::from(count)
}

/// Answers that let somebody wait who asked after the gateway had said that he was called, or told somebody that it was his turn before it
/// said that he was not; not a number where it never said anything.
fn contradicted(run: &Run) -> f64 {
    if run.serving.is_empty() {
        return f64::NAN;
    }
    let wrong = |asked: &&Asked| {
        let called = Called::of(run, asked.told.number);
        called.is_some_and(|called| match asked.told.stand {
            Stand::Waiting { .. } => asked.sent > called.by,
            Stand::Turn => asked.ended < called.after,
        })
    };
    run.asked.iter().filter(wrong).count() as f64
}

#[cfg(test)]
mod tests;
