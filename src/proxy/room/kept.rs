//! The place of somebody who came without a ticket, was let in, and was not served: he is at the front of the line, and must be able to say so.
//!
//! **Invariants**: only a place whose redemption is in the journal; never cached by others.
//! **Cost**: one signature, for whoever was not served.
//! **Not here**: whoever waits (`told`), the pass of whoever was served (`proxy::pass`).

use http::header::{CACHE_CONTROL, HeaderValue, SET_COOKIE};
use http::{HeaderMap, Response, StatusCode};

use super::Doorway;
use super::told::{COOKIE_LIFE, cookie_field};
use crate::proxy::answer::Answer;
use crate::proxy::body::Source;
use crate::proxy::headers::WEIR_TICKET;
use crate::waiting_room::room::Place;

/// Fields of an answer in which a ticket travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    ticket: HeaderValue,
    cookie: Option<HeaderValue>,
}

impl Kept {
    /// The ticket of `place`, for a client that came by TLS if `secure`; `in_cookie` unless the browser keeps that of another person.
    pub(in crate::proxy) fn new(doorway: &Doorway, place: &Place, in_cookie: bool, secure: bool) -> Option<Box<Self>> {
        let text = doorway.room().sign(place);
        let cookie = in_cookie.then(|| cookie_field(doorway.cookie(), text.as_ref(), COOKIE_LIFE, secure)).flatten();
        Some(Box::new(Self { ticket: HeaderValue::from_str(text.as_ref()).ok()?, cookie }))
    }

    /// Writes them into `fields`.
    pub fn state(&self, fields: &mut HeaderMap) {
        fields.insert(WEIR_TICKET, self.ticket.clone());
        if let Some(cookie) = &self.cookie {
            fields.append(SET_COOKIE, cookie.clone());
        }
        fields.append(CACHE_CONTROL, HeaderValue::from_static("private"));
    }
}

/// Whoever came without a ticket and was not served, or is given no pass, is told his place with the answer.
pub(in crate::proxy) fn keep(
    answered: &mut Result<Response<Source>, Answer>,
    grants_pass: bool,
    place: impl FnOnce() -> Option<Box<Kept>>,
) {
    match answered {
        Ok(response) if grants_pass && is_served(response.status()) => {}
        Ok(response) => place().iter().for_each(|kept| kept.state(response.headers_mut())),
        Err(answer) => answer.kept = place(),
    }
}

/// Whether whoever is answered so is inside from now on.
#[must_use]
pub fn is_served(status: StatusCode) -> bool {
    status.is_success() || status.is_redirection()
}
