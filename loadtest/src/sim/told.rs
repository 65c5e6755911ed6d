//! What people hear from the gateway: the words of its documents, without writing and reading them.
//!
//! **Invariants**: the same as [`Answer::read`] makes of what weir writes (`weir::proxy::room::told`, `weir::waiting_room::page`).

use std::time::Duration;

use http::header::{HeaderValue, RETRY_AFTER, SET_COOKIE};
use http::{Response, StatusCode};
use weir::admission::verdict::Reason;
use weir::proxy::answer::Answer as Refusal;
use weir::proxy::pass::WEIR_PASS;
use weir::waiting_room::room::{Place, Room, Stand};

use crate::ledger::{Kind, Word};
use crate::services::fleet;
use crate::visitor::Answer;
use crate::visitor::jar::Gifts;

/// Where somebody stands; his ticket is given to him who has not `shown` it, and put into the cookie of this name.
pub(super) fn standing(
    kind: Kind,
    room: &Room,
    place: Option<&Place>,
    (stand, poll_after): (&Stand, Duration),
    (shown, cookie): (Option<&str>, Option<&str>),
) -> Answer {
    let (word, status) = words(room, stand);
    let mut answer = Answer { word, ..Answer::bare(kind, if kind == Kind::Poll { 200 } else { status }) };
    answer.retry_after = Some(milliseconds(poll_after).max(1_000));
    match stand {
        Stand::Waiting { ahead, estimate, paused, .. } => {
            let ahead = u32::try_from(*ahead).unwrap_or(u32::MAX - 2);
            (answer.place, answer.ahead) = (Some(ahead + 1), Some(ahead));
            let told = estimate.filter(|_| !paused);
            answer.eta = told.map(|estimate| (milliseconds(estimate.p50), milliseconds(estimate.p90)));
        }
        Stand::Taken => (answer.place, answer.ahead) = (Some(1), Some(0)),
        _ => {}
    }
    answer.gifts = place.map_or_else(Gifts::default, |place| ticket(room, place, shown, cookie));
    answer
}

/// The ticket of `place`, in a field and a cookie of this name; whoever has `shown` the same has it already.
pub(super) fn ticket(room: &Room, place: &Place, shown: Option<&str>, cookie: Option<&str>) -> Gifts {
    let text = room.sign(place);
    let text: &str = text.as_ref();
    let field = Some(text).filter(|text| shown != Some(text));
    let cookies = cookie.map(|name| (name.to_owned(), text.to_owned()));
    Gifts { ticket: field.map(str::to_owned), pass: None, cookies: cookies.into_iter().collect() }
}

/// weir says no for `reason`.
pub(super) fn refused(kind: Kind, reason: Reason, again: Option<Duration>) -> Answer {
    let bare = Answer::bare(kind, Refusal::from(reason).status().as_u16());
    let word = match reason {
        Reason::AlreadyDone => Word::Done,
        Reason::AlreadySending => Word::Later,
        Reason::OutcomeUnknown => Word::Failed,
        Reason::Closed | Reason::QuotaSpent => Word::Over,
        _ => bare.word,
    };
    Answer { word, retry_after: again.map(milliseconds), ..bare }
}

/// The answer of a service as a response; [`None`] of one that has no whole head.
pub(super) fn response(answer: fleet::Answer) -> Option<Response<()>> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(answer.status()).ok()?;
    if let fleet::Answer::Later(Some(pause)) = answer {
        let seconds = pause.as_secs() + u64::from(pause.subsec_nanos() > 0);
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    Some(response)
}

/// What stands in the fields of an answer.
pub(super) fn gifts<B>(response: &Response<B>) -> Gifts {
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let cookies = response.headers().get_all(SET_COOKIE).iter().filter_map(|cookie| {
        let (name, value) = cookie.to_str().ok()?.split(';').next()?.split_once('=')?;
        Some((name.to_owned(), value.to_owned()))
    });
    Gifts { ticket: None, pass: response.headers().get(WEIR_PASS).map(text), cookies: cookies.collect() }
}

fn words(room: &Room, stand: &Stand) -> (Word, u16) {
    match stand {
        Stand::Lobby { .. } => (Word::NotYet, 503),
        Stand::Waiting { .. } | Stand::Taken => (Word::Place, 503),
        Stand::Over { .. } => (Word::Over, if room.next_opening().is_some() { 503 } else { 403 }),
        Stand::Sending | Stand::Unclear => (Word::Failed, 409),
        Stand::Called | Stand::Inside | Stand::Done | Stand::Unknown => (Word::Turn, 503),
    }
}

/// Of whole seconds, rounded up.
fn milliseconds(span: Duration) -> u32 {
    let seconds = span.as_secs().saturating_add(u64::from(span.subsec_nanos() > 0));
    u32::try_from(seconds.saturating_mul(1_000)).unwrap_or(u32::MAX - 1)
}
