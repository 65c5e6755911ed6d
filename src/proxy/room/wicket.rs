//! `/.weir/`: what weir answers by itself to those who wait.
//!
//! | request | answer |
//! |---|---|
//! | `GET /.weir/place` | where a place stands, as JSON; `Prefer: wait=20` holds it until the turn has come |
//! | `GET /.weir/receipt` | the receipt of a draw, as JSON: with the place and its proof once the draw is published |
//! | `DELETE /.weir/place`, `POST /.weir/leave` | the place ends, and whoever is behind moves up |
//!
//! The ticket comes by header, cookie or query, or an identity stands for it; `room=NAME` says which room, where there are several.
//!
//! **Invariants**: nobody is held for longer than [`LONGEST`], nor more than [`HELD`] at once; a place that is not there is 404.
//! **Cost**: a held visit one timer, four times a second.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER, SET_COOKIE, VARY,
};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::told::{Links, Spoken, receipt, view};
use super::{Doorway, carried, written};
use crate::admission::verdict::Reason;
use crate::proxy::answer::Answer;
use crate::proxy::headers::X_REQUEST_ID;
use crate::proxy::pass::unix_time;
use crate::proxy::target::Target;
use crate::proxy::upload::Budget;
use crate::proxy::{Asker, Worker};
use crate::waiting_room::page::{Language, state_json};
use crate::waiting_room::room::{Look, Place, Stand};

/// Paths that begin so are weir's own.
const OWN: &str = "/.weir/";

/// Visits held at once.
pub const HELD: usize = 8_192;

/// A visit is held for at most so long: less than proxies and telephones wait.
const LONGEST: Duration = Duration::from_secs(30);

/// Only who is nearer to his turn than this is held: for others nothing happens meanwhile.
const NEAR: Duration = Duration::from_mins(2);

/// Turns are noticed within this.
const LOOK: Duration = Duration::from_millis(250);

impl Worker {
    /// The answer to a request for one of weir's own paths; [`None`] for all others.
    pub(in crate::proxy) async fn wicket(
        &self,
        asker: &Asker<'_>,
        head: &Parts,
        target: &Target,
    ) -> Option<Result<Response<Bytes>, Answer>> {
        if self.gateway.doorways().is_empty() {
            return None;
        }
        let own = target.path.strip_prefix(OWN)?;
        let place = match (own, &head.method) {
            ("place", &Method::GET | &Method::HEAD) => self.place(asker, head).await,
            ("receipt", &Method::GET | &Method::HEAD) => self.receipt(asker, head).await,
            ("receipt", _) => Err(Answer { allow: vec![Method::GET], ..Reason::MethodNotAllowed.into() }),
            ("place", &Method::DELETE) | ("leave", &Method::POST) => self.leave(asker, head),
            ("place", _) => Err(Answer { allow: vec![Method::GET, Method::DELETE], ..Reason::MethodNotAllowed.into() }),
            ("leave", _) => Err(Answer { allow: vec![Method::POST], ..Reason::MethodNotAllowed.into() }),
            _ => Err(Reason::NoRoute.into()),
        };
        Some(place)
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
        let ticket = room.sign(&place);
        let to = carried::destination(head.uri.query());
        let links = Links::to(to.as_deref(), room);
        let receipt = receipt(room, &place);
        let spoken = Spoken {
            stand: &look.stand,
            poll_after: look.poll_after,
            ticket: Some(&ticket),
            receipt: receipt.as_ref(),
        };
        let view = view(room, Some(&place), &spoken, &links, asker.id.as_str());
        let language = Language::negotiate(head.headers.get_all(ACCEPT_LANGUAGE), Language::Indonesian);
        let mut response = Response::new(state_json(&view, language));
        let fields = response.headers_mut();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        fields.insert(VARY, HeaderValue::from_static("accept-language, cookie, weir-ticket"));
        fields.insert(X_REQUEST_ID, asker.id.value().clone());
        if let Some(seconds) = view.poll_seconds() {
            fields.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        Ok(response)
    }

    async fn receipt(&self, asker: &Asker<'_>, head: &Parts) -> Result<Response<Bytes>, Answer> {
        let (doorway, place) = self.found(head).ok_or(Reason::NoPlace)?;
        let Some(_held) = self.gateway.held_visits().reserve(1) else { return Err(Reason::Overloaded.into()) };
        let room = Arc::clone(doorway.room());
        // It is read from the disk.
        let receipt = spawn_blocking(move || room.receipt(&place)).await.map_err(|_| Reason::Internal)?;
        let body = serde_json::to_vec(&receipt.ok_or(Reason::NoPlace)?).map_err(|_| Reason::Internal)?;
        let mut response = Response::new(Bytes::from(body));
        let fields = response.headers_mut();
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        fields.insert(X_REQUEST_ID, asker.id.value().clone());
        Ok(response)
    }

    /// Looks again until the turn has come, or patience ends.
    async fn hold(&self, doorway: &Doorway, place: &Place, patience: Duration, look: &mut Look) {
        let Some(_held) = self.gateway.held_visits().reserve(1) else { return };
        let clock = self.gateway.clock();
        let until = clock.now().after(patience);
        while clock.now() < until {
            sleep(LOOK).await;
            let stand = doorway.room().standing(place);
            let changed = !matches!(stand, Stand::Waiting { .. });
            look.stand = stand;
            if changed {
                break;
            }
        }
    }

    fn leave(&self, asker: &Asker<'_>, head: &Parts) -> Result<Response<Bytes>, Answer> {
        let (doorway, place) = self.found(head).ok_or(Reason::NoPlace)?;
        doorway.room().leave(&place, unix_time());
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        if head.method == Method::POST {
            // A browser's form: somewhere it must go.
            response.headers_mut().insert(LOCATION, HeaderValue::from_static("/"));
            *response.status_mut() = StatusCode::SEE_OTHER;
        }
        let fields = response.headers_mut();
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        fields.insert(X_REQUEST_ID, asker.id.value().clone());
        if let Some(cookie) = forgotten(doorway) {
            fields.insert(SET_COOKIE, cookie);
        }
        Ok(response)
    }

    /// Whose place is meant, and in which room.
    fn found(&self, head: &Parts) -> Option<(&Arc<Doorway>, Place)> {
        let query = head.uri.query();
        let named = query.and_then(carried::room);
        let doorways = self.gateway.doorways().iter();
        let mut meant = doorways.filter(|doorway| named.is_none_or(|name| **doorway.room().name() == *name));
        meant.find_map(|doorway| Some((doorway, doorway.find(&head.headers, query, unix_time())?)))
    }
}

fn is_near(look: &Look) -> bool {
    matches!(&look.stand, Stand::Waiting { estimate, .. } if estimate.p50 <= NEAR)
}

/// The cookie of somebody who has left.
fn forgotten(doorway: &Doorway) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("{}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax", doorway.cookie())).ok()
}

/// How many visits may be held.
#[must_use]
pub fn budget() -> Arc<Budget> {
    Budget::new(HELD)
}
