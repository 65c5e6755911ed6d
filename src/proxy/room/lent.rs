//! A browser that several people use one after the other: whose the passes are that it keeps, and how those of the person before go.
//!
//! **Invariants**: a pass counts for nobody but the person it was given to, as far as the request says who that is; whoever says that he is another
//! person leaves none behind that would speak for the one before him, of whatever room.
//! **Cost**: a look at the query of each request that shows a pass; an HMAC where it states an identity or a ticket.
//! **Not here**: what a pass is (`proxy::pass`); the tickets of the person before (`carried`, `told`).

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use http::header::{CACHE_CONTROL, HeaderName, HeaderValue, SET_COOKIE};
use http::request::Parts;

use super::{Doorway, carried};
use crate::proxy::pass::{Pass, Passes};

/// Fetch Metadata (W3C): from where a browser was led here.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether `pass`, one of the rooms behind `doorways`, came with the `head` of another person's request: browsers that several people share keep
/// the passes of them all, and whoever states an identity or a ticket, or asks for a place of his own, means that. `doorway` is of the room
/// to which the request leads, if to any.
///
/// What is an identity there may be something else elsewhere, such as the key of one request; so only rooms that know people by the same are asked.
#[must_use]
pub fn is_anothers(
    doorways: &[Arc<Doorway>],
    doorway: Option<&Doorway>,
    head: &Parts,
    pass: &Pass,
    unix: Duration,
) -> bool {
    if is_anew(head) {
        return true;
    }
    let query = head.uri.query();
    let Some(door) = doorway else { return false };
    let mut alike = doorways.iter().filter(|given| given.tag() == pass.room && given.identity == door.identity);
    if let (Some(given), Some(identity)) = (alike.next(), door.identity_of(&head.headers))
        && !given.room.is_held_by(pass.session, identity)
    {
        return true;
    }
    if pass.room != door.tag() {
        return false;
    }
    let stated = door.room.find(carried::stated(&head.headers, query), None, unix);
    stated.is_some_and(|place| !place.is_of(pass.session))
}

/// Whether whoever sent `head` says that he is another person than the one before him. A link on another site says nothing of who sits there.
fn is_anew(head: &Parts) -> bool {
    let is_led_astray = || head.headers.get(SEC_FETCH_SITE).is_some_and(|site| site == "cross-site");
    head.uri.query().is_some_and(carried::is_anew) && !is_led_astray()
}

/// Fields by which the browser forgets the passes of the person before, if `head` is of another person, who came by TLS if `secure`.
#[must_use]
pub fn forgotten(head: &Parts, secure: bool) -> Option<Box<Vec<HeaderValue>>> {
    let fields = is_anew(head).then(|| Passes::forgotten(&head.headers, secure))?;
    (!fields.is_empty()).then(|| Box::new(fields))
}

/// Tells so in the `fields` of an answer, but for a pass that it gives.
pub fn forget(forgotten: Vec<HeaderValue>, fields: &mut HeaderMap) {
    let name = |field: &HeaderValue| field.as_bytes().split(|byte| *byte == b'=').next().map(<[u8]>::to_vec);
    for field in forgotten {
        if !fields.get_all(SET_COOKIE).iter().any(|set| name(set) == name(&field)) {
            fields.append(SET_COOKIE, field);
            // A cache between us and him must not take the passes of others away.
            fields.append(CACHE_CONTROL, HeaderValue::from_static("private"));
        }
    }
}
