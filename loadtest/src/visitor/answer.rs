//! What an answer says, in the words of the ledger.
//!
//! weir's problem documents and states of a place are understood by their `type` and `state`; of any other gateway's answers the status and
//! `Retry-After` count.
//!
//! **Invariants**: a refusal is not an error; what cannot be read is [`Word::Nonsense`] or as if it had not been said, never a panic.
//! **Cost**: one small JSON document, of refusals and places only.
//! **Not here**: what a person makes of it ([`super::Visitor`]).

use std::time::SystemTime;

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, RETRY_AFTER, SET_COOKIE};
use serde::Deserialize;

use super::jar::Gifts;
use crate::crowd::answer::retry_after;
use crate::ledger::{Kind, Word};

/// Header in which a ticket travels.
pub const TICKET: HeaderName = HeaderName::from_static("weir-ticket");

/// Header in which a pass travels.
pub const PASS: HeaderName = HeaderName::from_static("weir-pass");

/// Before the reason in a problem's `type`.
const PROBLEM: &str = "urn:weir:problem:";

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// What it says.
    pub word: Word,
    /// When to come again, in milliseconds.
    pub retry_after: Option<u32>,
    /// The place told.
    pub place: Option<u32>,
    /// How many are ahead.
    pub ahead: Option<u32>,
    /// The wait told, median and 90th percentile, in milliseconds.
    pub eta: Option<(u32, u32)>,
    /// What it gives.
    pub gifts: Gifts,
}

/// What is read of a document; all else is passed over.
#[derive(Debug, Default, Deserialize)]
struct Document {
    #[serde(default, rename = "type")]
    problem: Option<String>,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    place: Option<u64>,
    #[serde(default)]
    ahead: Option<u64>,
    #[serde(default)]
    eta_seconds: Option<Eta>,
    #[serde(default)]
    poll_after_seconds: Option<f64>,
    #[serde(default)]
    ticket: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Eta {
    p50: f64,
    p90: f64,
}

impl Answer {
    /// A bare answer of `status`: what is said by it alone.
    #[must_use]
    pub fn bare(kind: Kind, status: u16) -> Self {
        let word = by_status(kind, status);
        Self { status, word, retry_after: None, place: None, ahead: None, eta: None, gifts: Gifts::default() }
    }

    /// Reads the answer to a request of `kind`. A date in `Retry-After` counts from `now`.
    #[must_use]
    pub fn read(kind: Kind, status: u16, fields: &HeaderMap, body: &[u8], now: SystemTime) -> Self {
        let document = document(kind, status, fields, body);
        let again = fields.get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?, now));
        let again = again.map(|again| milliseconds(again.as_secs_f64()));
        let spoken = document.problem.as_deref().and_then(|problem| problem.strip_prefix(PROBLEM)).and_then(by_reason);
        let spoken = spoken.or_else(|| document.state.as_deref().and_then(by_state));
        let gifts = Gifts { ticket: field(fields, &TICKET).or(document.ticket), ..gifts(fields) };
        Self {
            word: spoken.unwrap_or_else(|| by_status(kind, status)),
            retry_after: again.or_else(|| document.poll_after_seconds.map(milliseconds)),
            place: document.place.map(saturated),
            ahead: document.ahead.map(saturated),
            eta: document.eta_seconds.map(|eta| (milliseconds(eta.p50), milliseconds(eta.p90))),
            gifts,
            ..Self::bare(kind, status)
        }
    }
}

/// Successes of a stage say nothing but their status.
fn document(kind: Kind, status: u16, fields: &HeaderMap, body: &[u8]) -> Document {
    let is_json = fields.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().windows(4).any(|part| part == b"json"));
    let has_one = kind == Kind::Poll || status >= 300;
    if is_json && has_one { serde_json::from_slice(body).unwrap_or_default() } else { Document::default() }
}

fn gifts(fields: &HeaderMap) -> Gifts {
    let cookies = fields.get_all(SET_COOKIE).iter().filter_map(|cookie| {
        let pair = cookie.to_str().ok()?.split(';').next()?;
        let (name, value) = pair.split_once('=')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    });
    Gifts { ticket: None, pass: field(fields, &PASS), cookies: cookies.collect() }
}

fn field(fields: &HeaderMap, name: &HeaderName) -> Option<String> {
    fields.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn by_reason(reason: &str) -> Option<Word> {
    Some(match reason {
        "waiting" | "paused" => Word::Place,
        "your_turn" => Word::Turn,
        "not_open_yet" => Word::NotYet,
        "closed" | "quota_spent" => Word::Over,
        // What the person wanted is done, by an earlier request of his whose answer he did not hear.
        "already_done" => Word::Done,
        "already_sending" => Word::Later,
        "outcome_unknown" => Word::Failed,
        _ => return None,
    })
}

fn by_state(state: &str) -> Option<Word> {
    Some(match state {
        "waiting" | "paused" => Word::Place,
        // Who asks where he stands has not heard the answer to what he sent; sent again, it says so.
        "turn" | "done" => Word::Turn,
        "lobby" => Word::NotYet,
        "closed" | "spent" => Word::Over,
        "sending" | "unclear" => Word::Failed,
        _ => return None,
    })
}

const fn by_status(kind: Kind, status: u16) -> Word {
    match (status, kind) {
        (200..=202, Kind::Submit | Kind::Forged) | (200..=299, Kind::Leave) => Word::Done,
        (429 | 503, _) => Word::Later,
        (403 | 410, _) => Word::Over,
        (500..=599, _) => Word::Failed,
        (400..=499, _) => Word::Wrong,
        _ => Word::Nonsense,
    }
}

/// Of seconds; what is no time is none.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of a float saturates")]
fn milliseconds(seconds: f64) -> u32 {
    // The largest number says that nothing was told.
    ((seconds * 1e3) as u32).min(u32::MAX - 1)
}

fn saturated(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX).min(u32::MAX - 1)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(kind: Kind, status: u16, fields: &[(&'static str, &'static str)], body: &str) -> Answer {
        let fields =
            fields.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let mut all = HeaderMap::new();
        for (name, value) in fields {
            all.append(name, value);
        }
        Answer::read(kind, status, &all, body.as_bytes(), SystemTime::UNIX_EPOCH)
    }

    const PROBLEM_JSON: (&str, &str) = ("content-type", "application/problem+json");

    #[test]
    fn a_place_is_read_with_all_that_is_told_of_it() {
        let answer = read(
            Kind::Submit,
            503,
            &[
                PROBLEM_JSON,
                ("retry-after", "20"),
                ("weir-ticket", "abc"),
                ("set-cookie", "weir_ticket=abc; Path=/; HttpOnly"),
                ("set-cookie", "other=1"),
            ],
            r#"{"type":"urn:weir:problem:waiting","place":17,"ahead":16,"eta_seconds":{"p50":60,"p90":90},"poll_after_seconds":19,"ticket":"abc"}"#,
        );
        assert_eq!((answer.word, answer.retry_after), (Word::Place, Some(20_000)));
        assert_eq!((answer.place, answer.ahead, answer.eta), (Some(17), Some(16), Some((60_000, 90_000))));
        assert_eq!(answer.gifts.ticket.as_deref(), Some("abc"));
        assert_eq!(answer.gifts.cookies, [("weir_ticket".into(), "abc".into()), ("other".into(), "1".into())]);
    }

    #[test]
    fn reasons_outrank_statuses() {
        let word = |reason: &str, status| {
            read(Kind::Submit, status, &[PROBLEM_JSON], &format!(r#"{{"type":"urn:weir:problem:{reason}"}}"#)).word
        };
        assert_eq!((word("your_turn", 503), word("not_open_yet", 503)), (Word::Turn, Word::NotYet));
        assert_eq!((word("closed", 503), word("quota_spent", 403)), (Word::Over, Word::Over));
        assert_eq!((word("already_done", 409), word("already_sending", 409)), (Word::Done, Word::Later));
        assert_eq!((word("outcome_unknown", 409), word("queue_full", 503)), (Word::Failed, Word::Later));
        assert_eq!((word("upstream_timeout", 504), word("no_route", 404)), (Word::Failed, Word::Wrong));
    }

    #[test]
    fn a_state_says_what_a_place_is() {
        let json = ("content-type", "application/json");
        let state =
            |state: &str| read(Kind::Poll, 200, &[json], &format!(r#"{{"state":"{state}","poll_after_seconds":2.5}}"#));
        for (name, word) in [
            ("waiting", Word::Place),
            ("paused", Word::Place),
            ("lobby", Word::NotYet),
            ("turn", Word::Turn),
            ("spent", Word::Over),
            ("closed", Word::Over),
            ("done", Word::Turn),
            ("sending", Word::Failed),
            ("unclear", Word::Failed),
            ("strange", Word::Nonsense),
        ] {
            assert_eq!((state(name).word, state(name).retry_after), (word, Some(2_500)), "{name}");
        }
        assert_eq!(read(Kind::Poll, 404, &[PROBLEM_JSON], r#"{"type":"urn:weir:problem:no_place"}"#).word, Word::Wrong);
    }

    #[test]
    fn any_gateway_is_understood_by_its_status() {
        let word = |status| read(Kind::Submit, status, &[], "<html>").word;
        for (status, said) in [
            (200, Word::Done),
            (201, Word::Done),
            (202, Word::Done),
            (204, Word::Nonsense),
            (302, Word::Nonsense),
            (400, Word::Wrong),
            (403, Word::Over),
            (410, Word::Over),
            (429, Word::Later),
            (500, Word::Failed),
            (502, Word::Failed),
            (503, Word::Later),
        ] {
            assert_eq!(word(status), said, "{status}");
        }
        assert_eq!(read(Kind::Leave, 204, &[], "").word, Word::Done);
    }

    #[test]
    fn what_cannot_be_read_was_not_said() {
        let json = ("content-type", "application/json");
        for body in ["", "{", "[]", r#"{"place":-1}"#, r#"{"eta_seconds":{"p50":"soon"}}"#] {
            let answer = read(Kind::Submit, 503, &[json], body);
            assert_eq!((answer.word, answer.place, answer.eta), (Word::Later, None, None), "{body}");
        }
        let huge = read(Kind::Submit, 503, &[json], r#"{"place":99999999999,"poll_after_seconds":1e300}"#);
        assert_eq!((huge.place, huge.retry_after), (Some(u32::MAX - 1), Some(u32::MAX - 1)));
    }
}
