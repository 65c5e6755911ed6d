//! `/.weir/`: what weir answers by itself to those who wait.
//!
//! | request | answer |
//! |---|---|
//! | `GET /.weir/place` | where a place stands, as JSON or as a page; `Prefer: wait=20` holds it until the turn has come |
//! | `GET /.weir/receipt` | the receipt of a draw, as JSON: with the place and its proof once the draw is published |
//! | `DELETE /.weir/place`, `POST /.weir/leave` | the place ends, and whoever is behind moves up |
//!
//! The ticket comes by header, cookie or query, or an identity stands for it; `room=NAME` says which room, where there are several.
//!
//! **Invariants**: nobody is held for longer than [`LONGEST`], nor more than [`HELD`] at once, nor twice with one place; a place that is not there, or not any more, is 404.
//! **Cost**: a held visit one timer, four times a second.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HeaderValue, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE, VARY,
};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::links::Links;
use super::told::{COOKIE_LIFE, Spoken, VARIES, cookie_field, receipt, view};
use super::{Doorway, carried, written};
use crate::admission::verdict::Reason;
use crate::proxy::answer::{self, Answer, without_body};
use crate::proxy::headers::X_REQUEST_ID;
use crate::proxy::pass::unix_time;
use crate::proxy::target::Target;
use crate::proxy::{Asker, Worker};
use crate::waiting_room::page::{Format, Language, coding, state_json};
use crate::waiting_room::room::{Look, Place, Stand};

/// Paths that begin so are weir's own.
const OWN: &str = "/.weir/";

/// Visits held at once.
pub const HELD: usize = 8_192;

/// Further fields of what is said of a place.
const FIELDS: usize = 5;

/// A visit is held for at most so long: less than proxies and telephones wait.
const LONGEST: Duration = Duration::from_secs(30);

/// Only who is nearer to his turn than this is held: for others nothing happens meanwhile.
const NEAR: Duration = Duration::from_mins(2);

/// What a browser shows to somebody who has left the line.
const LEFT: &str = "<!doctype html><html lang=\"id\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
    content=\"width=device-width\"><title>Antrean</title></head><body><main><h1>Anda telah keluar dari antrean.</h1>\
    <h2 lang=\"en\">You have left the line.</h2></main></body></html>";

/// Turns are noticed within this.
const LOOK: Duration = Duration::from_millis(250);

impl Worker {
    /// What follows the prefix of weir's own paths; [`None`] for all others.
    pub(in crate::proxy) fn own_path<'t>(&self, target: &'t Target) -> Option<&'t str> {
        target.path.strip_prefix(OWN).filter(|_| !self.gateway.doorways().is_empty())
    }

    /// The answer to a request for `own`, one of weir's own paths.
    pub(in crate::proxy) async fn wicket(
        &self,
        asker: &Asker<'_>,
        head: &Parts,
        own: &str,
    ) -> Result<Response<Bytes>, Answer> {
        match (own, &head.method) {
            ("place", &Method::GET) => self.place(asker, head).await,
            ("place", &Method::HEAD) => self.place(asker, head).await.map(without_body),
            ("receipt", &Method::GET) => self.receipt(asker, head).await,
            ("receipt", _) => Err(Answer { allow: vec![Method::GET], ..Reason::MethodNotAllowed.into() }),
            ("place", &Method::DELETE) | ("leave", &Method::POST) => self.leave(asker, head),
            ("place", _) => {
                let allow = vec![Method::GET, Method::HEAD, Method::DELETE];
                Err(Answer { allow, ..Reason::MethodNotAllowed.into() })
            }
            ("leave", _) => Err(Answer { allow: vec![Method::POST], ..Reason::MethodNotAllowed.into() }),
            _ => Err(Reason::NoRoute.into()),
        }
    }

    async fn place(&self, asker: &Asker<'_>, head: &Parts) -> Result<Response<Bytes>, Answer> {
        let (doorway, place) = self.found(head).ok_or(Reason::NoPlace)?;
        let room = doorway.room();
        let mut look = room.look(&place, unix_time(), fastrand::f64());
        written(look.recorded.take()).await;
        let patience = carried::patience(&head.headers).unwrap_or_default().min(LONGEST);
        if is_near(&look) && !patience.is_zero() {
            self.hold(doorway, &place, patience, &mut look).await;
        }
        if look.stand == Stand::Unknown {
            return Err(Reason::NoPlace.into());
        }
        let query = head.uri.query();
        let ticket = room.sign(&place);
        let carried = query.filter(|query| carried::is_addressed(query)).map(|_| ticket.as_ref());
        let format = answer::format(&head.headers);
        let links = links(doorway, &place, head, (format, &look.stand), carried);
        let receipt = receipt(room, &place);
        let (stand, poll_after) = (&look.stand, look.poll_after);
        let spoken = Spoken { stand, poll_after, ticket: Some(&ticket), receipt: receipt.as_ref() };
        let view = view(room, Some(&place), &spoken, &links, asker.id.as_str(), unix_time());
        let language = Language::negotiate(head.headers.get_all(ACCEPT_LANGUAGE), Language::Indonesian);
        let mut response = match format {
            Format::Html => {
                let (page, coding) =
                    coding::packed(room.page().rendered(&view, language), &head.headers, fastrand::u8(..));
                let mut response = Response::new(page);
                let fields = response.headers_mut();
                coding.and_then(|coding| fields.insert(CONTENT_ENCODING, coding));
                fields.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
                fields.insert(CONTENT_SECURITY_POLICY, room.page().content_security_policy().clone());
                fields.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
                let missing = carried.filter(|_| look.stand != Stand::Done && !doorway.is_kept(&head.headers));
                // Whoever allows cookies now has it from here; that of another person stays.
                let cookie = missing.and_then(|text| cookie_field(doorway.cookie(), text, COOKIE_LIFE, asker.tls));
                cookie.and_then(|cookie| fields.insert(SET_COOKIE, cookie));
                response
            }
            Format::Json => {
                let mut response = Response::new(state_json(&view, language));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                response
            }
        };
        let fields = response.headers_mut();
        fields.reserve(FIELDS);
        fields.insert(CONTENT_LANGUAGE, HeaderValue::from_static(language.tag()));
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        fields.insert(VARY, HeaderValue::from_static(VARIES));
        fields.insert(X_REQUEST_ID, asker.id.value());
        if let Some(seconds) = view.poll_seconds() {
            fields.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        Ok(response)
    }

    async fn receipt(&self, asker: &Asker<'_>, head: &Parts) -> Result<Response<Bytes>, Answer> {
        let (doorway, place) = self.found(head).ok_or(Reason::NoPlace)?;
        let Some(_held) = self.gateway.held_visits().budget().reserve(1) else { return Err(Reason::Overloaded.into()) };
        let room = Arc::clone(doorway.room());
        // It is read from the disk.
        let receipt = spawn_blocking(move || room.receipt(&place)).await.map_err(|_| Reason::Internal)?;
        let body = serde_json::to_vec(&receipt.ok_or(Reason::NoPlace)?).map_err(|_| Reason::Internal)?;
        let mut response = Response::new(Bytes::from(body));
        let fields = response.headers_mut();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        fields.insert(X_REQUEST_ID, asker.id.value());
        Ok(response)
    }

    /// Looks again until the turn has come, or patience ends.
    async fn hold(&self, doorway: &Doorway, place: &Place, patience: Duration, look: &mut Look) {
        let Some(_held) = self.gateway.held_visits().hold((doorway.tag(), place.number())) else { return };
        let clock = self.gateway.clock();
        let began = clock.now();
        let until = began.after(patience);
        while clock.now() < until {
            sleep(LOOK).await;
            let stand = doorway.room().standing(place);
            let changed = !matches!(stand, Stand::Waiting { .. });
            look.stand = stand;
            if changed {
                break;
            }
        }
        let held = clock.now().since(began);
        look.poll_after = doorway.room().look_after(place, &look.stand, held, unix_time(), fastrand::f64());
    }

    fn leave(&self, asker: &Asker<'_>, head: &Parts) -> Result<Response<Bytes>, Answer> {
        let (doorway, place) = self.found(head).ok_or(Reason::NoPlace)?;
        let unix = unix_time();
        doorway.room().leave(&place, unix);
        let mut response = Response::new(Bytes::new());
        if head.method == Method::POST && answer::format(&head.headers) == Format::Html {
            // Led on to where he came from, he would be in line again.
            response = Response::new(Bytes::from_static(LEFT.as_bytes()));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        } else {
            *response.status_mut() = StatusCode::NO_CONTENT;
        }
        let fields = response.headers_mut();
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        fields.insert(X_REQUEST_ID, asker.id.value());
        // The person who shares the browser stays.
        if doorway.kept(&head.headers, unix).is_some_and(|kept| kept.number() == place.number())
            && let Some(cookie) = cookie_field(doorway.cookie(), "", Duration::ZERO, asker.tls)
        {
            fields.insert(SET_COOKIE, cookie);
        }
        Ok(response)
    }

    /// Whose place is meant, and in which room: the one that is named; or else, of several in which he has a place, that of the ticket he states, or
    /// the first in which he still waits.
    fn found(&self, head: &Parts) -> Option<(&Arc<Doorway>, Place)> {
        let (query, unix) = (head.uri.query(), unix_time());
        let named = query.and_then(carried::room);
        let doorways = self.gateway.doorways();
        if let ([doorway], None) = (doorways, named) {
            return Some((doorway, doorway.find(&head.headers, query, unix)?));
        }
        let meant = doorways.iter().filter(|doorway| named.is_none_or(|name| **doorway.room().name() == *name));
        let found = meant.filter_map(|doorway| Some((doorway, doorway.find(&head.headers, query, unix)?)));
        found.min_by_key(|(doorway, place)| {
            let room = doorway.room();
            if room.find(carried::stated(&head.headers, query), None, unix).is_some() {
                Meant::Stated
            } else if is_over(&room.standing(place)) {
                Meant::Elsewhere
            } else {
                Meant::Waiting
            }
        })
    }
}

/// The links of what is said to whoever asks with `head` after `place`, in a format, and with `ticket` in the address.
fn links(
    doorway: &Doorway,
    place: &Place,
    head: &Parts,
    (format, stand): (Format, &Stand),
    ticket: Option<&str>,
) -> Links {
    let (room, query) = (doorway.room(), head.uri.query());
    if !Links::are_said(format, stand) {
        return Links::default();
    }
    if let Some(to) = carried::destination(query) {
        return Links::of_place(Some(&to), ticket, room);
    }
    let links = Links::of_form(carried::form(query).as_deref(), ticket, room);
    // A program has the ticket in its hands.
    if format == Format::Json || doorway.recognises(&head.headers, place, unix_time()) {
        links
    } else {
        links.for_browser_without_cookies()
    }
}

/// How likely the place in a room is the one that somebody asks after who does not say which; the likeliest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Meant {
    Stated,
    Waiting,
    Elsewhere,
}

/// There is nothing more to wait for.
const fn is_over(stand: &Stand) -> bool {
    matches!(stand, Stand::Inside | Stand::Sending | Stand::Done | Stand::Over { .. } | Stand::Unknown)
}

fn is_near(look: &Look) -> bool {
    matches!(&look.stand, Stand::Waiting { estimate: Some(estimate), .. } if estimate.p50 <= NEAR)
}
