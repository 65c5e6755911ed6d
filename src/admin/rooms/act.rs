//! What operators decide: read, done, journalled, logged, answered.
//!
//! **Invariants**: an answer of success says that what must last is in the journal; every decision is logged with what it changed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Body;
use serde::Deserialize;
use serde_json::json;
use tokio::time::timeout;

use super::super::answer::{BoxError, json, plain};
use super::survey;
use crate::config::plan::Rate;
use crate::proxy::pass::unix_time;
use crate::waiting_room::journal::Appended;
use crate::waiting_room::pace::PacePlan;
use crate::waiting_room::room::Room;
use crate::waiting_room::room::operator::{NotUnclear, Outcome};

/// Bytes of a decision; the longest has a few dozen.
const BODY_MAX: usize = 4 << 10;

/// An operator's tool sends head and body together.
const BODY_PATIENCE: Duration = Duration::from_secs(5);

/// A journal is waited for at most so long.
const JOURNAL_PATIENCE: Duration = Duration::from_secs(2);

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Pause,
    Resume,
    Pace,
    /// Of the request of this number.
    Resolve(u64),
    Taken,
}

type Answer = Response<Full<Bytes>>;

/// `{"rate": "500/m"}` or `{"measured": true}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pace {
    rate: Option<String>,
    measured: Option<bool>,
}

/// `{"wave": 0, "count": 81234}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Taken {
    wave: u8,
    count: u32,
}

/// `{"outcome": "done"}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Resolved {
    outcome: Word,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Done,
    Failed,
}

/// The body of a decision.
pub(super) async fn body<B>(body: B) -> Result<Bytes, Answer>
where
    B: Body<Error: Into<BoxError>>,
{
    let refusal = |status, message: &str| plain(status, format!("{message}\n"));
    #[expect(clippy::disallowed_methods, reason = "bounded by `Limited`")]
    let whole = Limited::new(body, BODY_MAX).collect();
    match timeout(BODY_PATIENCE, whole).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(refusal(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 4 KiB"))
        }
        Ok(Err(_)) => Err(refusal(StatusCode::BAD_REQUEST, "the body ended before its end")),
        Err(_) => Err(refusal(StatusCode::REQUEST_TIMEOUT, "the body did not come within five seconds")),
    }
}

impl Act {
    /// Does it in `room` as `body` says.
    pub(super) async fn perform(self, room: &Arc<Room>, body: &[u8]) -> Answer {
        match self {
            Self::Pause => pause(room, true).await,
            Self::Resume => pause(room, false).await,
            Self::Pace => pace(room, body),
            Self::Resolve(number) => resolve(room, number, body).await,
            Self::Taken => taken(room, body).await,
        }
    }
}

async fn pause(room: &Arc<Room>, paused: bool) -> Answer {
    let before = room.pacing().paused;
    let recorded = room.pause(paused);
    tracing::info!(room = %room.name(), before, paused, "an operator has paused a waiting room or let it go on");
    if !written(recorded).await {
        return unwritten("it is so, but the journal did not take it: after a restart it is as before");
    }
    json(&survey::pace(room))
}

/// Until the next start.
fn pace(room: &Arc<Room>, body: &[u8]) -> Answer {
    let plan = match serde_json::from_slice(body) {
        Ok(Pace { rate: Some(rate), measured: None }) => match rate.parse::<Rate>() {
            Ok(rate) => PacePlan::Fixed(rate.per_second()),
            Err(error) => return bad(&format!("`rate`: {error}")),
        },
        Ok(Pace { rate: None, measured: Some(true) }) => PacePlan::Measured,
        Ok(_) => return bad("either `rate` or `\"measured\": true`"),
        Err(error) => return bad(&error.to_string()),
    };
    let before = room.pacing().plan;
    room.set_pace(plan);
    tracing::info!(room = %room.name(), ?before, pace = ?plan, "an operator has set the pace of a waiting room");
    json(&survey::pace(room))
}

async fn resolve(room: &Arc<Room>, number: u64, body: &[u8]) -> Answer {
    let outcome = match serde_json::from_slice(body) {
        Ok(Resolved { outcome: Word::Done }) => Outcome::Done,
        Ok(Resolved { outcome: Word::Failed }) => Outcome::Failed,
        Err(error) => return bad(&error.to_string()),
    };
    let resolved = match room.resolve(number, outcome, unix_time()) {
        Ok((resolution, recorded)) => {
            if !written(recorded).await {
                return unwritten("the journal did not take it: ask again, nothing has changed yet");
            }
            resolution.apply()
        }
        Err(error) => Err(error),
    };
    match resolved {
        Ok(()) => {
            tracing::info!(room = %room.name(), number, ?outcome, "an operator has told what became of a request");
            json(&json!({ "number": number, "quota": survey::quota(&room.survey()) }))
        }
        Err(NotUnclear(None)) => plain(StatusCode::NOT_FOUND, "nobody was given this number\n".to_owned()),
        Err(NotUnclear(Some(state))) => {
            let state = survey::state(state);
            plain(StatusCode::CONFLICT, format!("nothing is unclear: the state of this number is `{state}`\n"))
        }
    }
}

/// How many have succeeded in a wave, as the service knows.
async fn taken(room: &Arc<Room>, body: &[u8]) -> Answer {
    let Taken { wave, count } = match serde_json::from_slice(body) {
        Ok(taken) => taken,
        Err(error) => return bad(&error.to_string()),
    };
    let Some(recorded) = room.told_taken(wave, count) else { return bad("no such wave, or it has no quota") };
    tracing::info!(room = %room.name(), wave, count, "an operator has told how many have succeeded");
    if !written(recorded).await {
        return unwritten("it is so, but the journal did not take it: tell it again");
    }
    json(&json!({ "wave": wave, "quota": survey::quota(&room.survey()) }))
}

fn bad(message: &str) -> Answer {
    plain(StatusCode::BAD_REQUEST, format!("{message}\n"))
}

fn unwritten(message: &str) -> Answer {
    plain(StatusCode::SERVICE_UNAVAILABLE, format!("{message}\n"))
}

async fn written(record: Appended) -> bool {
    matches!(timeout(JOURNAL_PATIENCE, record).await, Ok(Ok(())))
}
