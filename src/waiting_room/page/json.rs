//! The same for programs: a state of its own, and a refused request as a problem (RFC 9457).

use std::fmt::{self, Display, Formatter};

use bytes::Bytes;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::language::Language;
use super::view::{AtClose, Closes, Enter, Jump, State, View, Wait, Waiting, whole_seconds};
use super::words::Words;

/// What a state as JSON takes, with room to spare: written without growing.
const ROOM: usize = 1024;

/// Seconds, rounded up.
#[derive(Serialize)]
struct Seconds {
    p50: u64,
    p90: u64,
}

/// What a program can rely on. Members whose value is not known are absent.
#[derive(Serialize)]
struct Document<'a> {
    state: &'static str,
    room: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ahead: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eta_seconds: Option<Seconds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress_percent: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    beyond_quota: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    opens: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    opens_in_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drawn: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    at_close: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_opens: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kept_place: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    enter: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    send_again: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    turn_kept_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    poll_after_seconds: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket_number: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<&'a Value>,
    request_id: &'a str,
}

/// The words that a page's script puts into their places, and an app may show.
#[derive(Serialize)]
struct Spoken<'a> {
    #[serde(flatten)]
    document: Document<'a>,
    words: Words,
}

/// RFC 9457 §3.1 and extension members (§3.2).
#[derive(Serialize)]
struct Problem<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: Sentences<'a>,
    /// As in every other problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
    #[serde(flatten)]
    document: Document<'a>,
}

/// One after the other; empty ones are none.
struct Sentences<'a>([&'a str; 6]);

impl Display for Sentences<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut said = self.0.iter().filter(|sentence| !sentence.is_empty());
        said.next().map_or(Ok(()), |first| f.write_str(first))?;
        said.try_for_each(|next| {
            f.write_str(" ")?;
            f.write_str(next)
        })
    }
}

impl Serialize for Sentences<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'a> Document<'a> {
    fn new(view: &'a View<'_>) -> Self {
        let waiting = view.state.waiting();
        let Seen { opens, drawn, next_opens, kept_place, send_again, turn_kept } = Seen::of(&view.state);
        Self {
            state: view.state.as_str(),
            room: view.room,
            place: waiting.map(|waiting| waiting.place),
            ahead: waiting.map(|waiting| waiting.ahead),
            eta_seconds: waiting
                .and_then(|waiting| waiting.wait)
                .map(|Wait { p50, p90 }| Seconds { p50: whole_seconds(p50), p90: whole_seconds(p90) }),
            progress_percent: view.state.progress_percent(),
            reason: waiting.and_then(|waiting| waiting.jump).map(reason),
            beyond_quota: waiting.map(|waiting| waiting.beyond_quota),
            opens,
            opens_in_seconds: view.opens_in().map(whole_seconds),
            drawn,
            closes: closes(waiting).map(|closes| closes.at.to_string()),
            at_close: closes(waiting).map(|closes| at_close(closes.then)),
            next_opens,
            kept_place,
            enter: view.state.enter_path(),
            send_again,
            turn_kept_seconds: turn_kept,
            poll_after_seconds: view.poll_seconds(),
            ticket: view.ticket,
            ticket_number: view.number,
            receipt: view.receipt,
            request_id: view.request_id,
        }
    }
}

fn closes(waiting: Option<&Waiting>) -> Option<&Closes> {
    waiting.and_then(|waiting| waiting.closes.as_ref())
}

/// What only some states have.
#[derive(Default)]
struct Seen {
    opens: Option<String>,
    drawn: Option<bool>,
    next_opens: Option<String>,
    kept_place: Option<&'static str>,
    send_again: Option<bool>,
    turn_kept: Option<u64>,
}

impl Seen {
    fn of(state: &State<'_>) -> Self {
        match state {
            State::Lobby { opens, drawn } => {
                Self { opens: Some(opens.to_string()), drawn: Some(*drawn), ..Self::default() }
            }
            State::Turn { enter, kept } => Self {
                send_again: Some(matches!(enter, Enter::SendAgain)),
                turn_kept: kept.map(|kept| kept.as_secs()),
                ..Self::default()
            },
            State::Closed { next, place } | State::Spent { next, place } => Self {
                next_opens: next.map(|next| next.to_string()),
                kept_place: Some(place.as_str()),
                ..Self::default()
            },
            State::Waiting(_) | State::Paused(_) | State::Unclear => Self::default(),
        }
    }
}

const fn reason(jump: Jump) -> &'static str {
    match jump {
        Jump::ServiceSlower => "service_slower",
        Jump::ServiceFaster => "service_faster",
        Jump::Paused => "paused",
        Jump::Resumed => "resumed",
        Jump::NoShows => "no_shows",
    }
}

const fn at_close(then: AtClose) -> &'static str {
    match then {
        AtClose::Serve => "serve",
        AtClose::Carry => "carry",
        AtClose::End => "end",
    }
}

impl State<'_> {
    /// A problem's `type`; the prefix is that of every other answer (`proxy`).
    const fn problem(&self) -> &'static str {
        match self {
            Self::Lobby { .. } => "urn:weir:problem:not_open_yet",
            Self::Waiting(_) => "urn:weir:problem:waiting",
            Self::Turn { .. } => "urn:weir:problem:your_turn",
            Self::Paused(_) => "urn:weir:problem:paused",
            Self::Closed { .. } => "urn:weir:problem:closed",
            Self::Spent { .. } => "urn:weir:problem:quota_spent",
            Self::Unclear => "urn:weir:problem:outcome_unknown",
        }
    }
}

/// The state of a ticket, `application/json`.
#[must_use]
pub fn state_json(view: &View<'_>, language: Language) -> Bytes {
    written(&Spoken { document: Document::new(view), words: Words::new(view, language) })
}

/// A refused request, `application/problem+json`, with the status of [`State::status`].
#[must_use]
pub fn problem_json(view: &View<'_>, language: Language) -> Bytes {
    // Every state has a message, so that there is always a detail.
    let Words { heading, message, ahead, wait, reason, notice, schedule, .. } = Words::sentences(view, language);
    written(&Problem {
        r#type: view.state.problem(),
        title: heading,
        status: view.state.status().as_u16(),
        detail: Sentences([&ahead, &wait, reason, notice, &message, &schedule]),
        retry_after_seconds: view.poll_seconds(),
        document: Document::new(view),
    })
}

fn written(document: &impl Serialize) -> Bytes {
    let mut text = Vec::with_capacity(ROOM);
    // Strings and numbers under names cannot fail to be written.
    let written = serde_json::to_writer(&mut text, document);
    debug_assert!(written.is_ok(), "{written:?}");
    Bytes::from(text)
}
