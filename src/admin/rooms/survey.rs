//! The rooms as documents. Instants are RFC 3339 (those of the plan in the zone in which they were written), durations seconds.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use crate::proxy::room::Doorway;
use crate::waiting_room::eta::Estimate;
use crate::waiting_room::order::State;
use crate::waiting_room::pace::PacePlan;
use crate::waiting_room::page::Moment;
use crate::waiting_room::room::Room;
use crate::waiting_room::room::operator::Survey;
use crate::waiting_room::wave::{End, Phase};

/// Every room, in the order of the plan.
pub(super) fn document(doorways: &[Arc<Doorway>]) -> Value {
    json!({ "rooms": doorways.iter().map(|doorway| of_room(doorway.room())).collect::<Vec<_>>() })
}

/// Those of whose request nobody knows what became, from position `from` on.
pub(super) fn unclear(room: &Room, from: u64) -> Value {
    let (found, next) = room.unclear(from);
    let one = |(number, since): (u64, Duration)| json!({ "number": number, "since": instant(since) });
    let found: Vec<_> = found.into_iter().map(|unclear| one((unclear.number, unclear.since))).collect();
    json!({ "unclear": found, "next": next })
}

/// How people are called.
pub(super) fn pace(room: &Room) -> Value {
    let pacing = room.pacing();
    let (plan, rate) = match pacing.plan {
        PacePlan::Fixed(rate) => ("fixed", Some(rate)),
        PacePlan::Measured => ("measured", None),
        PacePlan::Paused => ("paused", None),
    };
    json!({ "plan": plan, "rate": rate, "paused": pacing.paused, "people_per_second": pacing.speed })
}

/// What has become of the quota of the wave whose people are called.
pub(super) fn quota(survey: &Survey) -> Value {
    let Some(quota) = survey.quota else { return Value::Null };
    json!({
        "wave": quota.wave,
        "limit": quota.limit,
        "done": quota.count.done,
        "reserved": quota.count.reserved(),
        "unclear": survey.inside.ambiguous,
        "left": quota.left,
    })
}

pub(super) fn estimate(estimate: &Estimate) -> Value {
    json!({ "p50_seconds": estimate.p50.as_secs(), "p90_seconds": estimate.p90.as_secs() })
}

/// An instant of the machine's clock, in UTC.
pub(super) fn instant(unix: Duration) -> String {
    Moment { unix, offset_minutes: 0 }.to_string()
}

pub(super) const fn state(state: State) -> &'static str {
    match state {
        State::Waiting => "waiting",
        State::Admitted => "inside",
        State::Sending => "sending",
        State::Ambiguous => "unclear",
        State::Done => "done",
        State::Gone => "gone",
    }
}

fn of_room(room: &Room) -> Value {
    let survey = room.survey();
    let events = room.events();
    let [joined, visits, early, entered, returned] =
        [&events.joined, &events.visits, &events.early, &events.entered, &events.returned]
            .map(|count| count.load(Ordering::Relaxed));
    json!({
        "name": &**room.name(),
        "generation": survey.generation,
        "phase": phase(room, &survey),
        "issued": survey.issued,
        "serving": survey.serving,
        "waiting": survey.waiting,
        "called": survey.called,
        "inside": { "admitted": survey.inside.admitted, "sending": survey.inside.sending, "unclear": survey.inside.ambiguous },
        "no_show": survey.pace.no_show,
        "pace": pace(room),
        "newcomer": survey.estimate.as_ref().map(estimate),
        "quota": quota(&survey),
        "journal": {
            "healthy": survey.journal.healthy,
            "bytes": survey.journal.bytes,
            "dropped": survey.journal.dropped,
        },
        "identities": survey.identities,
        "events": {
            "joined": joined, "visits": visits, "early_visits": early, "entered": entered, "returned": returned,
        },
    })
}

/// What a newcomer finds, and what changes it.
fn phase(room: &Room, survey: &Survey) -> Value {
    let moment = |moment: Option<Moment>| moment.map(|moment| moment.to_string());
    let mut document = match survey.standing.phase {
        Phase::Lobby { wave, .. } => json!({ "name": "lobby", "wave": wave, "opens": moment(room.next_opening()) }),
        Phase::Open { wave, .. } => {
            json!({ "name": "open", "wave": wave, "closes": moment(room.closing().map(|closes| closes.at)) })
        }
        Phase::Closed { .. } => json!({ "name": "closed", "opens": moment(room.next_opening()) }),
    };
    document["calling"] = survey.standing.calling.into();
    document["ended"] = survey.standing.ended.map_or(
        Value::Null,
        |(wave, end)| json!({ "wave": wave, "by": if end == End::Quota { "quota" } else { "time" } }),
    );
    document
}
