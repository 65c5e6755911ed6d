//! What an attempt came to, and what a person makes of it.
//!
//! **Invariants**: a refusal is not an error: 429 and 503 are answers people act on. Only an answer that makes no sense in
//! reply to a sign-up is *broken*.
//! **Not here**: sockets and timers.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use serde::Serialize;

use super::plan::Behaviour;

/// Nobody reloads a page faster than this, whatever Retry-After says.
const FASTEST_RELOAD: Duration = Duration::from_millis(200);

/// How one attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A complete response.
    Response {
        /// Its status.
        status: StatusCode,
        /// Its Retry-After.
        retry_after: Option<Duration>,
    },
    /// Nothing within the person's patience.
    Silence,
    /// Refused, reset or cut off.
    Disconnected,
    /// This side ran out of sockets or addresses: the harness's fault, not the target's.
    HarnessTrouble,
}

/// How a person's visit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Was told so (200, 201 or 202).
    Registered,
    /// Was told no for good (403, 410).
    ToldNo,
    /// Left without having been told either.
    GaveUp,
    /// Was told something that makes no sense here: any other status.
    Broken,
}

/// What a person does next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    /// Leaves.
    Leave(Outcome),
    /// Tries again after this.
    Again(Duration),
}

/// What a person who `ignores_retry_after` or does not makes of `answer`.
pub fn react(answer: Answer, behaviour: &Behaviour, ignores_retry_after: bool, rng: &mut fastrand::Rng) -> Next {
    let (status, retry_after) = match answer {
        Answer::Response { status, retry_after } => (status, retry_after),
        Answer::Silence => return pause(&behaviour.think, rng),
        Answer::Disconnected | Answer::HarnessTrouble => return pause(&behaviour.retry, rng),
    };
    match status {
        StatusCode::OK | StatusCode::CREATED | StatusCode::ACCEPTED => Next::Leave(Outcome::Registered),
        StatusCode::FORBIDDEN | StatusCode::GONE => Next::Leave(Outcome::ToldNo),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => match retry_after {
            Some(_) if ignores_retry_after => pause(&behaviour.think, rng),
            Some(wait) => Next::Again(wait.max(FASTEST_RELOAD)),
            None => pause(&behaviour.retry, rng),
        },
        status if status.is_server_error() => pause(&behaviour.retry, rng),
        _ => Next::Leave(Outcome::Broken),
    }
}

fn pause(range: &std::ops::Range<f64>, rng: &mut fastrand::Rng) -> Next {
    let seconds = range.start + (range.end - range.start) * rng.f64();
    Next::Again(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO))
}

/// Reads a Retry-After (RFC 9110 §10.2.3): seconds, or a date, which is counted from `now` and never negative.
#[must_use]
pub fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return value.parse().ok().map(Duration::from_secs);
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reaction(status: u16, retry_after: Option<u64>, sceptic: bool) -> Next {
        let status = StatusCode::from_u16(status).expect("a status");
        let answer = Answer::Response { status, retry_after: retry_after.map(Duration::from_secs) };
        react(answer, &Behaviour::default(), sceptic, &mut fastrand::Rng::with_seed(1))
    }

    fn again_within(next: Next, range: std::ops::Range<u64>) -> bool {
        matches!(next, Next::Again(wait) if wait >= Duration::from_secs(range.start) && wait < Duration::from_secs(range.end))
    }

    #[test]
    fn final_answers_end_the_visit() {
        let outcomes = [(201, Outcome::Registered), (202, Outcome::Registered), (403, Outcome::ToldNo)];
        for (status, outcome) in outcomes.into_iter().chain([(400, Outcome::Broken), (302, Outcome::Broken)]) {
            assert_eq!(reaction(status, None, false), Next::Leave(outcome));
        }
    }

    #[test]
    fn retry_after_is_honoured_but_by_sceptics() {
        assert_eq!(reaction(503, Some(17), false), Next::Again(Duration::from_secs(17)));
        assert_eq!(reaction(429, Some(17), false), Next::Again(Duration::from_secs(17)));
        assert_eq!(reaction(503, Some(0), false), Next::Again(FASTEST_RELOAD));
        assert!(again_within(reaction(503, Some(17), true), 1..3));
        assert!(again_within(reaction(503, None, false), 1..5));
    }

    #[test]
    fn errors_and_silence_are_retried() {
        assert!(again_within(reaction(502, None, false), 1..5));
        let mut rng = fastrand::Rng::with_seed(2);
        let silence = react(Answer::Silence, &Behaviour::default(), false, &mut rng);
        assert!(again_within(silence, 1..3));
        let reset = react(Answer::Disconnected, &Behaviour::default(), false, &mut rng);
        assert!(again_within(reset, 1..5));
    }

    #[test]
    fn both_forms_of_retry_after_are_read() {
        let now = httpdate::parse_http_date("Sat, 11 Apr 2020 12:00:00 GMT").expect("a date");
        let read = |value| retry_after(value, now).map(|wait| wait.as_secs());
        assert_eq!(read("120"), Some(120));
        assert_eq!(read(" 0 "), Some(0));
        assert_eq!(read("Sat, 11 Apr 2020 12:01:30 GMT"), Some(90));
        assert_eq!(read("Sat, 11 Apr 2020 11:00:00 GMT"), Some(0));
        for nonsense in ["", "-1", "1.5", "soon", "99999999999999999999999"] {
            assert_eq!(read(nonsense), None, "{nonsense}");
        }
    }
}
