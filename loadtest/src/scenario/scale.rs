//! The same day in less time.

use std::time::Duration;

use super::{Arrivals, Curve, Scenario};

/// However short the day, those who are there at the end keep this much of the drain: people's own times do not shrink.
const DRAIN_LEAST: Duration = Duration::from_secs(30);

/// However short the day, a cold start is not measured for this long, where that leaves half of the day: a gateway learns in its own time.
const COLD_LEAST: Duration = Duration::from_secs(5);

/// `scenario` with its curve, duration, drain and faults `time_scale` times as short. With the time the people become fewer, those of a
/// trace and those who come at once too, and so do the places of the quota; one at least remains of each that there were. Rates stay,
/// and so do people's own times and the services' speed. Of drain and cold start a part remains that is no part of the day.
///
/// `time_scale` is above 0; what is not finite or not above 0 changes nothing.
#[must_use]
pub fn scaled(mut scenario: Scenario, time_scale: f64) -> Scenario {
    if !(time_scale.is_finite() && time_scale > 0.0) {
        return scenario;
    }
    let time = |span: Duration| shorter(span, time_scale);
    for source in &mut scenario.arrivals {
        shorten(source, time_scale);
    }
    for fault in &mut scenario.faults {
        fault.at = time(fault.at);
        fault.lasts = time(fault.lasts);
    }
    scenario.duration = time(scenario.duration);
    scenario.drain = time(scenario.drain).max(scenario.drain.min(DRAIN_LEAST));
    let cold = time(scenario.measured_from).max(scenario.measured_from.min(COLD_LEAST));
    scenario.measured_from = cold.min(scenario.duration / 2);
    scenario.quota = scenario.quota.map(|quota| fewer(quota, time_scale));
    scenario
}

fn shorten(source: &mut Arrivals, time_scale: f64) {
    match &mut source.curve {
        Curve::Points(points) => points.iter_mut().for_each(|(at, _)| *at = shorter(*at, time_scale)),
        Curve::Trace(rows) => {
            // Rounded in the sum, so that many rows of few people keep their part of the whole.
            let (mut before, mut given) = (0, 0);
            for (at, people) in rows {
                *at = shorter(*at, time_scale);
                before += *people;
                let until = part(before, time_scale);
                *people = until - given;
                given = until;
            }
        }
        Curve::AtOnce { at, people } => {
            *at = shorter(*at, time_scale);
            *people = fewer(*people, time_scale);
        }
    }
}

fn shorter(span: Duration, time_scale: f64) -> Duration {
    Duration::try_from_secs_f64(span.as_secs_f64() / time_scale).unwrap_or(Duration::MAX)
}

fn fewer(count: u64, time_scale: f64) -> u64 {
    part(count, time_scale).max(count.min(1))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count over a positive number, rounded")]
fn part(count: u64, time_scale: f64) -> u64 {
    (count as f64 / time_scale).round() as u64
}
