//! What weir answers by itself: the one place where a reason becomes a status and words.
//!
//! **Invariants**: every [`Reason`] has one status; what the client sent is never repeated; an answer says what happened, whose
//! doing it is, and when to come back; a page in both languages for people, a problem for programs (RFC 9457), told apart as in the
//! waiting room (`waiting_room::page::accept`).
//! **Cost**: one small allocation for the body.
//! **Not here**: the decision; the fields that state a client limit (`policy`).

mod words;

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, VARY,
};
use http::{HeaderMap, Method, Response, StatusCode};

use crate::admission::verdict::Reason;
use crate::proxy::headers::{RequestId, X_REQUEST_ID};
use crate::proxy::policy::{LimitPolicy, whole_seconds};
use crate::proxy::room::kept::Kept;
use crate::proxy::room::told::Told;
use crate::waiting_room::page::{FetchHints, Format, Object};
use words::{Words, words};

/// Prefix of a problem's `type`; the reason follows.
const PROBLEM: &str = "urn:weir:problem:";

/// Bytes of most problem documents.
const PROBLEM_SIZE: usize = 384;

/// Who is turned away because memory is short comes back in so long, and up to three times as long: others have left by then,
/// and not all come at once.
const OVERLOADED_RETURN: Duration = Duration::from_secs(5);

/// Fetch Metadata (W3C).
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// What a request says of the format of its answer, kept until it is known whether weir answers it.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    accept: Option<HeaderValue>,
    dest: Option<HeaderValue>,
    mode: Option<HeaderValue>,
}

/// What is said to a client whose request ends here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Why.
    pub reason: Reason,
    /// What exactly, where that is more than the reason says. Never anything the client sent.
    pub detail: Option<String>,
    /// When to come back.
    pub retry_after: Option<Duration>,
    /// Methods the resource has, for [`Reason::MethodNotAllowed`].
    pub allow: Vec<Method>,
    /// The limit that was exceeded, for [`Reason::ClientLimit`] and [`Reason::ClientConcurrency`].
    pub limit: Option<LimitPolicy>,
    /// What a waiting room says instead, to whoever has a place there.
    pub told: Option<Box<Told>>,
    /// The place of whoever is answered, if he does not know it.
    pub kept: Option<Box<Kept>>,
    /// Whether an HTTP/1 connection ends with it: what follows is nobody's, or might be read in two ways.
    pub closes: bool,
}

impl From<Reason> for Answer {
    fn from(reason: Reason) -> Self {
        // Behind CONNECT there may be anything, and behind a transfer coding that is not understood as well. A connection takes the
        // memory that is short.
        let closes = matches!(reason, Reason::ClientLeft | Reason::NotImplemented | Reason::Overloaded);
        Self { reason, detail: None, retry_after: None, allow: Vec::new(), limit: None, told: None, kept: None, closes }
    }
}

impl Reads {
    /// What `headers` say.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let value = |name: &HeaderName| headers.get(name).cloned();
        Self { accept: value(&ACCEPT), dest: value(&SEC_FETCH_DEST), mode: value(&SEC_FETCH_MODE) }
    }

    /// A page or JSON.
    #[must_use]
    pub fn format(&self) -> Format {
        Format::negotiate(self.accept.as_ref(), FetchHints { dest: self.dest.as_ref(), mode: self.mode.as_ref() })
    }
}

/// The same of a request whose `headers` are still there.
#[must_use]
pub fn format(headers: &HeaderMap) -> Format {
    let hints = FetchHints { dest: headers.get(SEC_FETCH_DEST), mode: headers.get(SEC_FETCH_MODE) };
    Format::negotiate(headers.get(ACCEPT), hints)
}

/// The status that answers `reason`.
#[must_use]
pub const fn status(reason: Reason) -> StatusCode {
    words(reason).status
}

impl Answer {
    /// The same in a waiting room's words.
    #[must_use]
    pub fn telling(self, told: Told) -> Self {
        Self { told: Some(Box::new(told)), ..self }
    }

    /// The status of the response.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.told.as_ref().map_or_else(|| status(self.reason), |told| told.status())
    }

    /// For whoever is turned away because memory is short; `chance` in `0..1` spreads their return.
    #[must_use]
    pub fn overloaded(chance: f64) -> Self {
        Self {
            retry_after: Some(OVERLOADED_RETURN.mul_f64(1.0 + 2.0 * chance.clamp(0.0, 1.0))),
            ..Reason::Overloaded.into()
        }
    }

    /// The seconds of `Retry-After`, and the problem document for a client whose request was not read: it has no id.
    #[must_use]
    pub fn unread(&self) -> (u64, String) {
        let problem = self.problem(&words(self.reason), None);
        (self.retry_seconds().unwrap_or_default(), String::from_utf8(problem).unwrap_or_default())
    }

    /// The response in what the client `reads`; a room has asked that already. `request_id` ties it to the log.
    #[must_use]
    pub fn response(self, reads: impl FnOnce() -> Reads, request_id: &RequestId) -> Response<Bytes> {
        if let Some(told) = self.told {
            return told.response(request_id);
        }
        let words = words(self.reason);
        let (kind, body) = match reads().format() {
            Format::Html => ("text/html; charset=utf-8", self.page(&words, request_id.as_str()).into_bytes()),
            Format::Json => ("application/problem+json", self.problem(&words, Some(request_id))),
        };
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = words.status;
        let fields = response.headers_mut();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        fields.insert(VARY, HeaderValue::from_static("accept, sec-fetch-dest, sec-fetch-mode"));
        fields.insert(X_REQUEST_ID, request_id.value());
        if self.closes {
            fields.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(seconds) = self.retry_seconds() {
            fields.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if !self.allow.is_empty()
            && let Ok(allow) =
                HeaderValue::try_from(self.allow.iter().map(Method::as_str).collect::<Vec<_>>().join(", "))
        {
            fields.insert(ALLOW, allow);
        }
        if let Some(limit) = &self.limit {
            limit.state(fields);
        }
        if let Some(kept) = &self.kept {
            kept.state(fields);
        }
        response
    }

    fn retry_seconds(&self) -> Option<u64> {
        self.retry_after.map(whole_seconds)
    }

    /// A problem document (RFC 9457).
    fn problem(&self, words: &Words, request_id: Option<&RequestId>) -> Vec<u8> {
        Object::written(PROBLEM_SIZE, |problem| {
            if let Some(detail) = &self.detail {
                problem.text("detail", detail);
            }
            if let Some(id) = request_id {
                problem.text("request_id", id.as_str());
            }
            if let Some(seconds) = self.retry_seconds() {
                problem.value("retry_after_seconds", seconds);
            }
            problem.value("status", words.status.as_u16());
            problem.text("title", words.english);
            problem.joined("type", &[PROBLEM, self.reason.as_str()]);
            if let Some(limit) = &self.limit {
                // The member of the `RateLimit` draft's own problem types (§ Problem Types).
                problem.value("violated-policies", [limit.name.as_str()]);
            }
        })
    }

    fn page(&self, words: &Words, request_id: &str) -> String {
        let [english, indonesian] = match self.retry_seconds() {
            Some(seconds) => [
                format!("<p><strong>Come back in {seconds} seconds.</strong></p>"),
                format!("<p><strong>Kembalilah dalam {seconds} detik.</strong></p>"),
            ],
            None => [String::new(), String::new()],
        };
        let (id, en, status) = (words.indonesian, words.english, words.status.as_u16());
        // Request ids of trusted proxies may hold any graphic character.
        let reference = request_id.replace('&', "&amp;").replace('<', "&lt;");
        format!(
            "<!doctype html><html lang=\"id\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width\"><title>{status}</title><style>body{{font:1.1em/1.5 system-ui,sans-serif;\
             max-width:34em;margin:12vh auto;padding:0 1em;color-scheme:light dark}}small{{opacity:.7}}</style></head>\
             <body><main><section><h1>{id}</h1>{indonesian}</section><section lang=\"en\"><h2>{en}</h2>{english}</section>\
             <p><small>{status} · {reference}</small></p></main></body></html>"
        )
    }
}

/// The same in reply to HEAD: the fields of the answer to GET, and no body (RFC 9110 §9.3.2). hyper sees to it for HTTP/1; over
/// HTTP/2 it would send the body, which is a protocol error.
#[must_use]
pub fn without_body(mut response: Response<Bytes>) -> Response<Bytes> {
    let body = std::mem::take(response.body_mut());
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    response
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::proxy::policy::Quota;

    fn accepting(accept: &'static str) -> Reads {
        Reads::of(&[(ACCEPT, HeaderValue::from_static(accept))].into_iter().collect())
    }

    fn id(text: &str) -> RequestId {
        let given = [(X_REQUEST_ID, HeaderValue::from_str(text).unwrap())].into_iter().collect();
        RequestId::of(&given, true, 1)
    }

    #[test]
    fn every_reason_has_words_and_a_status() {
        for reason in Reason::ALL {
            let words = words(reason);
            assert!(reason == Reason::Admitted || words.status.is_client_error() || words.status.is_server_error());
            assert!(words.english.ends_with('.') && words.indonesian.ends_with('.'), "{reason:?}");
        }
    }

    #[test]
    fn a_program_gets_a_problem_document() {
        let answer = Answer { retry_after: Some(Duration::from_millis(2_300)), ..Reason::WaitTooLong.into() };
        let response = answer.response(Reads::default, &id("abc"));
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[RETRY_AFTER], "3");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let problem: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(problem["type"], "urn:weir:problem:wait_too_long");
        assert_eq!((problem["status"].as_u64(), problem["retry_after_seconds"].as_u64()), (Some(503), Some(3)));
        assert_eq!(problem["request_id"], "abc");
    }

    #[test]
    fn a_browser_gets_a_page_in_both_languages() {
        let answer = Answer { retry_after: Some(Duration::from_secs(7)), ..Reason::QueueFull.into() };
        let response = answer.response(|| accepting("text/html,application/xhtml+xml,*/*;q=0.8"), &id("<script>"));
        let page = std::str::from_utf8(response.body()).unwrap();
        assert!(page.contains("Kembalilah dalam 7 detik") && page.contains("Come back in 7 seconds"));
        assert!(!page.contains("<script>") && page.contains("&lt;script>"));
        assert!(page.len() < 4_096);
    }

    #[test]
    fn a_page_is_for_those_who_look_at_it() {
        // Each kind of request is told apart where pages are made; here only that all three fields are heard.
        let html = |fields: &[(&'static str, &'static str)]| {
            let field = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            Reads::of(&fields.iter().map(field).collect()).format() == Format::Html
        };
        assert!(!html(&[]) && !html(&[("accept", "*/*")]));
        assert!(html(&[("accept", "text/html;q=0.9, application/json;q=0.6")]));
        assert!(html(&[("sec-fetch-mode", "navigate")]));
        assert!(!html(&[("accept", "text/html"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")]));
    }

    #[test]
    fn a_limit_that_was_exceeded_is_named() {
        let limit = LimitPolicy { name: "person".to_owned(), quota: Quota::Concurrent(3) };
        let answer = Answer { limit: Some(limit), ..Reason::ClientConcurrency.into() };
        let response = answer.response(Reads::default, &id("abc"));
        assert_eq!(response.status(), 429);
        assert!(response.headers().contains_key("ratelimit") && response.headers().contains_key("ratelimit-policy"));
        let problem: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(problem["violated-policies"], json!(["person"]));
    }

    #[test]
    fn head_is_told_the_length_only() {
        let response = Answer::from(Reason::NoRoute).response(Reads::default, &id("abc"));
        let length = response.body().len();
        let response = without_body(response);
        assert!(response.body().is_empty());
        assert_eq!(response.headers()[CONTENT_LENGTH], length.to_string());
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
    }

    #[test]
    fn a_wrong_method_is_told_the_right_ones() {
        let answer = Answer { allow: vec![Method::GET, Method::POST], ..Reason::MethodNotAllowed.into() };
        assert_eq!(answer.response(Reads::default, &id("abc")).headers()[ALLOW], "GET, POST");
    }
}
