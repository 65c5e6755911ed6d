//! What an exchange says about the service, for whoever controls what may be in flight there.
//!
//! **Invariants**: a guard is told exactly once, as soon as it is known; being dropped says the other thing: that the upstream is
//! done. A timeout is known before that; everything else with it. What a server says about time is bounded.
//! **Not here**: what follows from it (the guard's own).

use std::time::Duration;

use http::header::{AsHeaderName, DATE, RETRY_AFTER};
use http::{HeaderMap, Response, StatusCode};
use httpdate::parse_http_date;

use super::ejection::Observation;
use crate::telemetry::meter::Outcome as Ended;

/// Nobody is believed who wants more silence than these seconds.
const RETRY_AFTER_MAX: u8 = 60;

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A response other than below, read to its end: the service did its work.
    Success,
    /// 429 or 503: the service says that it is full.
    Pushback {
        /// Its `Retry-After`, at most 60 s; [`None`] without one that can be read.
        retry_after: Option<Duration>,
    },
    /// 5xx other than 503.
    ServerError,
    /// Silent for longer than the response timeout. The service may still be working: the guard lives on.
    Timeout,
    /// The connection or the protocol broke after the request was sent.
    Broken,
    /// No server could be reached; nothing was sent.
    Unreachable,
    /// Nothing was learned: the caller left and the rest was cut, or its own request body failed.
    Abandoned,
}

impl Outcome {
    /// What it says of the server's throughput. A refusal of the business is an answer; being full, failing, silence are not.
    pub(super) const fn ended(self) -> Ended {
        match self {
            Self::Success => Ended::Success,
            Self::Pushback { .. } | Self::ServerError | Self::Timeout | Self::Broken => Ended::Drop,
            // Nothing was sent, or nothing is known.
            Self::Unreachable | Self::Abandoned => Ended::Abandoned,
        }
    }
}

/// What a caller hands over with a request, usually a permit. Dropped when the upstream is done.
pub trait Guard: Send + 'static {
    /// Called exactly once for each exchange, before the drop.
    fn outcome(&mut self, outcome: Outcome);

    /// A connection has the request from here on: the server may see it. Called again for each connection.
    fn handed_over(&mut self) {}

    /// That connection gave it back: the server has nothing of it, or says that it has not processed it.
    fn handed_back(&mut self) {}

    /// The head of the response has come, whoever waits for it. Not called for an exchange without one; called once more if the
    /// request was sent again.
    fn answered(&mut self, _status: StatusCode) {}

    /// The request was sent, nobody knows what became of it, and it is sent once more: what follows says nothing of the first time.
    fn repeated(&mut self) {}

    /// Which of the kinds of requests that the upstream tells apart this is.
    fn kind(&self) -> usize {
        0
    }

    /// The exchange has become a tunnel: it will be held for as long as people like, and says nothing more of the service's pace. Called at
    /// most once.
    fn fall_quiet(&mut self) {}

    /// A server that has more in flight than it shall is left, by an exchange that ends or moves on: its place is nobody else's. Called
    /// once for each such server.
    fn withhold(&mut self) {}
}

/// What the head of a response says, kept small until its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    status: StatusCode,
    /// Seconds, only of 429 and 503.
    retry_after: Option<u8>,
}

impl Said {
    pub(super) fn by<B>(response: &Response<B>) -> Self {
        let mut said = Self { status: response.status(), retry_after: None };
        if said.is_pushback() {
            said.retry_after = retry_after(response.headers());
        }
        said
    }

    pub(super) fn is_pushback(self) -> bool {
        matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
    }

    /// For the guard, and about the server.
    pub(super) fn verdict(self) -> (Outcome, Observation) {
        let retry_after = self.retry_after.map(|seconds| Duration::from_secs(seconds.into()));
        match self.status {
            StatusCode::TOO_MANY_REQUESTS => (Outcome::Pushback { retry_after }, Observation::Pushback),
            StatusCode::SERVICE_UNAVAILABLE => (Outcome::Pushback { retry_after }, Observation::Failure),
            StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => (Outcome::ServerError, Observation::Failure),
            status if status.is_server_error() => (Outcome::ServerError, Observation::Neutral),
            _ => (Outcome::Success, Observation::Success),
        }
    }
}

/// `Retry-After` (RFC 9110 §10.2.3), at most [`RETRY_AFTER_MAX`]. A date counts from the `Date` of the same response: what the
/// server thinks the time is does not matter then.
fn retry_after(headers: &HeaderMap) -> Option<u8> {
    let written = text(headers, RETRY_AFTER)?;
    let seconds: u64 = if !written.is_empty() && written.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are a number all the same.
        written.parse().unwrap_or(u64::MAX)
    } else {
        let (until, from) = (parse_http_date(written).ok()?, parse_http_date(text(headers, DATE)?).ok()?);
        until.duration_since(from).map_or(0, |wait| wait.as_secs())
    };
    Some(u8::try_from(seconds).unwrap_or(RETRY_AFTER_MAX).min(RETRY_AFTER_MAX))
}

/// The field's value if it stands there once.
fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    value.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, fields: &[(&'static str, &str)]) -> Response<()> {
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        response.body(()).unwrap()
    }

    #[test]
    fn statuses() {
        let none = Outcome::Pushback { retry_after: None };
        for (status, outcome, observation) in [
            (200, Outcome::Success, Observation::Success),
            (302, Outcome::Success, Observation::Success),
            (404, Outcome::Success, Observation::Success),
            (429, none, Observation::Pushback),
            (500, Outcome::ServerError, Observation::Neutral),
            (502, Outcome::ServerError, Observation::Failure),
            (503, none, Observation::Failure),
            (504, Outcome::ServerError, Observation::Failure),
        ] {
            assert_eq!(Said::by(&head(status, &[])).verdict(), (outcome, observation), "{status}");
        }
    }

    #[test]
    fn retry_after_is_read_and_bounded() {
        let now = ("date", "Sat, 11 Apr 2026 12:00:00 GMT");
        for (written, seconds) in [
            ("0", Some(0)),
            ("7", Some(7)),
            (" 7 ", Some(7)),
            ("31536000", Some(60)),
            ("99999999999999999999999999", Some(60)),
            ("-5", None),
            ("NaN", None),
            ("1e3", None),
            ("7.5", None),
            ("", None),
            ("Sat, 11 Apr 2026 12:00:20 GMT", Some(20)),
            ("Sun, 11 Apr 2027 12:00:00 GMT", Some(60)),
            ("Sat, 11 Apr 2026 11:00:00 GMT", Some(0)),
            ("Sat, NaN Apr 2026 12:00:20 GMT", None),
            ("Sat, 11 Apr 2026 25:00:20 GMT", None),
            // The two obsolete forms, which a recipient must accept (RFC 9110 §5.6.7).
            ("Saturday, 11-Apr-26 12:00:20 GMT", Some(20)),
            ("Sat Apr 11 12:00:20 2026", Some(20)),
            ("Sun, 29 Feb 2026 12:00:20 GMT", None),
        ] {
            let expected = Outcome::Pushback { retry_after: seconds.map(Duration::from_secs) };
            assert_eq!(Said::by(&head(503, &[("retry-after", written), now])).verdict().0, expected, "{written:?}");
        }
        let twice = Said::by(&head(429, &[("retry-after", "1"), ("retry-after", "2")])).verdict().0;
        assert_eq!(twice, Outcome::Pushback { retry_after: None });
        let undated = Said::by(&head(429, &[("retry-after", "Sat, 11 Apr 2026 12:00:20 GMT")])).verdict().0;
        assert_eq!(undated, Outcome::Pushback { retry_after: None });
    }
}
