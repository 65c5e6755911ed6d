//! A person's request as HTTP.
//!
//! **Invariants**: each carries its number and its person's key; nothing is claimed that was not given or forged.

use http::header::{ACCEPT, CONTENT_TYPE, COOKIE, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Request, Uri};

use crate::ledger::{self, Kind, RequestId};
use crate::origin::server::IDEMPOTENCY_KEY;
use crate::scenario::Stage;
use crate::visitor::{self, answer};
use crate::wire::form::{Blank, Form};

/// How long an answer may be held (RFC 7240 §4.3).
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Where a place is asked for, and given up.
const PLACE: &str = "/.weir/place";

/// A stage as people meet it.
#[derive(Clone, Debug)]
pub(super) struct Sheet {
    path: Uri,
    anew: Uri,
    blank: Blank,
}

impl Sheet {
    /// Of `stage`.
    ///
    /// # Errors
    /// Its path is none.
    pub(super) fn new(stage: &Stage) -> Result<Self, http::uri::InvalidUri> {
        let joint = if stage.path.contains('?') { '&' } else { '?' };
        let anew = format!("{}{joint}weir_new=1", stage.path).parse()?;
        Ok(Self { path: stage.path.parse()?, anew, blank: Blank::new(stage.body) })
    }

    /// `request` of `person`, whose body goes at `rate` bytes a second if there is one.
    #[must_use]
    pub(super) fn request(
        &self,
        request: &visitor::Request,
        person: u32,
        seed: u64,
        rate: Option<u64>,
    ) -> Request<Form> {
        let (method, uri, form) = match request.kind {
            Kind::Submit | Kind::Forged => {
                let path = if request.anew { &self.anew } else { &self.path };
                (Method::POST, path.clone(), self.blank.form(rate))
            }
            Kind::Poll => (Method::GET, Uri::from_static(PLACE), Form::none()),
            Kind::Leave => (Method::DELETE, Uri::from_static(PLACE), Form::none()),
        };
        let mut http = Request::new(form);
        if method == Method::POST {
            http.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(self.blank.kind));
        }
        (*http.method_mut(), *http.uri_mut()) = (method, uri);
        state(http.headers_mut(), request, person, seed);
        http
    }
}

fn state(fields: &mut HeaderMap, request: &visitor::Request, person: u32, seed: u64) {
    fields.insert(ACCEPT, HeaderValue::from_static("application/json"));
    fields.insert(USER_AGENT, HeaderValue::from_static("loadtest"));
    let id = RequestId { person, request: request.number };
    let key = if request.same_key { format!("p{seed}-{person}") } else { format!("p{seed}-{id}") };
    let shown = &request.shown;
    let hold = request.hold.map(|hold| format!("wait={}", hold.as_secs()));
    for (name, value) in [
        (HeaderName::from_static(ledger::REQUEST), Some(id.to_string())),
        (IDEMPOTENCY_KEY, Some(key)),
        (COOKIE, shown.cookie.as_deref().map(str::to_owned)),
        (answer::TICKET, shown.ticket.as_deref().map(str::to_owned)),
        (answer::PASS, shown.pass.as_deref().map(str::to_owned)),
        (PREFER, hold),
    ] {
        // What a gateway gave came in a header, and fits into one.
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            fields.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::body::Body;

    use super::*;
    use crate::visitor::Shown;

    fn wanted(kind: Kind) -> visitor::Request {
        let shown = Shown { cookie: Some("a=b".into()), ticket: Some("t".into()), pass: Some("p".into()) };
        let hold = Some(Duration::from_secs(20));
        visitor::Request {
            slot: 0,
            number: 3,
            stage: 0,
            kind,
            same_key: kind != Kind::Forged,
            anew: true,
            hold,
            shown,
            intended: 0,
            deadline: 1,
        }
    }

    #[test]
    fn a_request_says_whose_it_is_and_shows_what_was_given() {
        let stage = Stage {
            name: "sign-up".into(),
            path: "/register?x=1".into(),
            service: 0,
            body: 100,
            entrance: true,
            goes_on: 1.0,
        };
        let sheet = Sheet::new(&stage).expect("a path");
        let submit = sheet.request(&wanted(Kind::Submit), 17, 9, None);
        assert_eq!((submit.method(), submit.uri().to_string()), (&Method::POST, "/register?x=1&weir_new=1".to_owned()));
        let said = |name: &str| submit.headers().get(name).and_then(|value| value.to_str().ok());
        assert_eq!((said("loadtest-request"), said("idempotency-key")), (Some("17-3"), Some("p9-17")));
        assert_eq!((said("cookie"), said("weir-ticket"), said("weir-pass")), (Some("a=b"), Some("t"), Some("p")));
        assert_eq!((said("user-agent"), said("content-type")), (Some("loadtest"), Some("application/json")));
        assert_eq!(submit.body().size_hint().exact(), Some(100));
        let poll = sheet.request(&wanted(Kind::Poll), 17, 9, None);
        assert_eq!(
            (poll.method(), poll.uri().path(), &poll.headers()["prefer"]),
            (&Method::GET, PLACE, &"wait=20".parse::<HeaderValue>().expect("a value"))
        );
        assert!(poll.body().is_end_stream() && !poll.headers().contains_key("content-type"));
        let forged = sheet.request(&wanted(Kind::Forged), 17, 9, None);
        assert_eq!(forged.headers()["idempotency-key"], "p9-17-3");
        assert_eq!(sheet.request(&wanted(Kind::Leave), 17, 9, None).method(), Method::DELETE);
    }
}
