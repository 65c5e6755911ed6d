//! What somebody who waits is told: a page for people, a problem for programs, and the ticket in every way it can travel.
//!
//! **Invariants**: the same place by header, cookie, and, where no cookie came back, in the page's own links; never cached; nothing the client
//! sent is repeated but the path that was matched and what is not ours of the query.
//! **Cost**: see `waiting_room::page`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HeaderValue, LOCATION, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE, VARY,
};
use http::{Response, StatusCode};
use serde_json::{Value, json};

use super::links::Links;
use super::{Request, carried, is_secure};
use crate::admission::verdict::Reason;
use crate::proxy::answer::{self, Answer};
use crate::proxy::cookies;
use crate::proxy::headers::{RequestId, WEIR_TICKET, X_REQUEST_ID};
use crate::proxy::pass::unix_time;
use crate::waiting_room::eta::Estimate;
use crate::waiting_room::page::{self, Enter, Format, KeptPlace, Language, Local, State, View, Wait, Waiting, coding};
use crate::waiting_room::room::{Lot, Place, Room, Stand};
use crate::waiting_room::ticket::TicketText;

/// Where a receipt with its proof is.
pub(super) const RECEIPT_PATH: &str = "/.weir/receipt";

/// Of a closed room nothing new is to be had for so long.
pub(super) const CLOSED_AGAIN: Duration = Duration::from_mins(5);

/// A ticket's cookie lives for so long: longer than any ticket is good; the ticket says for itself.
pub(super) const COOKIE_LIFE: Duration = Duration::from_hours(30 * 24);

/// Fields that an answer has at most.
const FIELDS: usize = 12;

/// What a page or a state depends on.
pub(super) const VARIES: &str =
    "accept, accept-encoding, accept-language, cookie, sec-fetch-dest, sec-fetch-mode, weir-ticket";

/// What somebody is told, written in the format and language that his client prefers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    reason: Reason,
    /// [`None`] where nothing will change.
    poll_after: Option<Duration>,
    status: StatusCode,
    body: Bytes,
    kind: &'static str,
    language: &'static str,
    policy: Option<HeaderValue>,
    /// Of the body.
    coding: Option<HeaderValue>,
    ticket: Option<TicketText>,
    cookie: Option<HeaderValue>,
    /// The page is to be had there.
    location: Option<HeaderValue>,
}

impl Told {
    /// What is said to whoever sent `request` and stands at `stand` with `place`.
    pub(super) fn new(request: &Request<'_>, place: Option<&Place>, stand: Stand, poll_after: Duration) -> Self {
        let doorway = request.doorway;
        let room = doorway.room();
        let now = unix_time();
        let headers = &request.head.headers;
        // Who is done needs none, and whoever shares his browser shall not find it there.
        let ticket = place.filter(|_| stand != Stand::Done).map(|place| room.sign(place));
        let query = request.head.uri.query();
        let format = answer::format(headers);
        let links = if Links::are_said(format, &stand) {
            Links::of_request(request, ticket.as_ref())
        } else {
            Links::default()
        };
        let language = Language::negotiate(headers.get_all(ACCEPT_LANGUAGE), Language::Indonesian);
        let id = request.asker.id.as_str();
        let receipt = place.and_then(|place| receipt(room, place));
        let spoken = Spoken { stand: &stand, poll_after, ticket: ticket.as_ref(), receipt: receipt.as_ref() };
        let view = view(room, place, &spoken, &links, id, now);
        let (kind, policy, (body, coding)) = match format {
            Format::Html => {
                let policy = Some(room.page().content_security_policy().clone());
                (
                    "text/html; charset=utf-8",
                    policy,
                    coding::packed(room.page().rendered(&view, language), headers, fastrand::u8(..)),
                )
            }
            Format::Json => ("application/problem+json", None, (page::problem_json(&view, language), None)),
        };
        let cookie = ticket.as_ref().filter(|ticket| !is_kept(request, place, ticket, now));
        let cookie =
            cookie.and_then(|ticket| cookie_field(doorway.cookie(), ticket.as_ref(), COOKIE_LIFE, is_secure(request)));
        // Loaded anew, the address of whoever asked for a place of his own would give him another.
        let anew = format == Format::Html && ticket.is_some() && query.is_some_and(carried::is_anew);
        let location = links.enter.as_deref().filter(|_| anew).and_then(|page| HeaderValue::try_from(page).ok());
        let status = if location.is_some() { StatusCode::SEE_OTHER } else { view.state.status() };
        let (reason, language, poll_after) = (reason(&stand), language.tag(), view.poll_after);
        Self { reason, poll_after, status, body, kind, language, policy, coding, ticket, cookie, location }
    }

    /// The status that it has.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The response.
    #[must_use]
    pub fn response(self, id: &RequestId) -> Response<Bytes> {
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        let fields = response.headers_mut();
        fields.reserve(FIELDS);
        fields.insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        fields.insert(CONTENT_LANGUAGE, HeaderValue::from_static(self.language));
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        fields.insert(VARY, HeaderValue::from_static(VARIES));
        // The address of the page may carry the ticket.
        fields.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        fields.insert(X_REQUEST_ID, id.value());
        if let Some(after) = self.poll_after {
            fields.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(after)));
        }
        let ticket = self.ticket.and_then(|ticket| HeaderValue::from_bytes(ticket.as_ref()).ok());
        let more = [
            (CONTENT_SECURITY_POLICY, self.policy),
            (CONTENT_ENCODING, self.coding),
            (WEIR_TICKET, ticket),
            (SET_COOKIE, self.cookie),
            (LOCATION, self.location),
        ];
        for (name, value) in more {
            if let Some(value) = value {
                fields.insert(name, value);
            }
        }
        response
    }
}

impl From<Told> for Answer {
    fn from(told: Told) -> Self {
        Self { retry_after: told.poll_after, ..Self::from(told.reason) }.telling(told)
    }
}

/// The field by which a browser keeps `value` for `life`.
pub(super) fn cookie_field(name: &str, value: &str, life: Duration, secure: bool) -> Option<HeaderValue> {
    let (life, secure) = (life.as_secs().to_string(), if secure { "; Secure" } else { "" });
    let parts = [name, "=", value, "; Path=/; Max-Age=", &life, "; HttpOnly; SameSite=Lax", secure];
    HeaderValue::try_from(parts.concat()).ok()
}

/// Whether what the browser keeps stays: it is this ticket, or that of the person who shares it.
fn is_kept(request: &Request<'_>, place: Option<&Place>, ticket: &TicketText, now: Duration) -> bool {
    let (doorway, headers) = (request.doorway, &request.head.headers);
    let query = request.head.uri.query();
    if cookies::values(headers, doorway.cookie()).any(|kept| kept == AsRef::<[u8]>::as_ref(ticket)) {
        return true;
    }
    let another = query.is_some_and(carried::is_anew) || carried::stated(headers, query).next().is_some();
    let kept = another.then(|| doorway.kept(headers, now)).flatten();
    kept.is_some_and(|kept| place.is_some_and(|place| place.number() != kept.number()))
}

/// Where somebody stands, and what he is given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spoken<'a> {
    pub(super) stand: &'a Stand,
    pub(super) poll_after: Duration,
    pub(super) ticket: Option<&'a TicketText>,
    /// Of a draw.
    pub(super) receipt: Option<&'a Value>,
}

/// What is said of the draw in which the holder of `place` takes part: before it his receipt; after it the place that was drawn, and where
/// the receipt with its proof is. That one costs more than a visit, and its bytes do not compress.
pub(super) fn receipt(room: &Room, place: &Place) -> Option<Value> {
    match room.lot(place)? {
        Lot::Registered(receipt) => serde_json::to_value(receipt).ok(),
        Lot::Drawn { terms, place, count, root } => Some(json!({
            "room": terms.room,
            "generation": terms.generation,
            "wave": terms.wave,
            "place": place,
            "count": count,
            "root": root,
            "receipt": format!("{RECEIPT_PATH}?room={}", terms.room),
        })),
    }
}

/// What there is to say of `spoken` at `now`, since 1970.
pub(super) fn view<'a>(
    room: &'a Arc<Room>,
    place: Option<&Place>,
    spoken: &Spoken<'a>,
    links: &'a Links,
    request_id: &'a str,
    now: Duration,
) -> View<'a> {
    let Spoken { stand, poll_after, ticket, receipt } = *spoken;
    let local = |link: &'a str| Local::parse(link);
    let again = local(&links.again).unwrap_or(Local::ROOT);
    let leaves = !matches!(stand, Stand::Over { carried: false, .. } | Stand::Sending | Stand::Done | Stand::Unclear);
    View {
        room: room.name(),
        state: state(room, place, stand, links, now),
        now,
        poll_after: Some(poll_after).filter(|_| *stand != Stand::Done),
        ticket: ticket.map(TicketText::as_ref),
        number: place.map(|place| place.number().saturating_add(1)),
        again,
        status: local(&links.status).unwrap_or(Local::ROOT),
        anew: links.anew.as_deref().and_then(local),
        leave: local(&links.leave).filter(|_| place.is_some() && leaves),
        receipt,
        request_id,
    }
}

fn state<'a>(room: &Room, place: Option<&Place>, stand: &Stand, links: &'a Links, now: Duration) -> State<'a> {
    match *stand {
        Stand::Lobby { wave, .. } => match room.opening(wave) {
            Some(opens) => State::Lobby { opens, closes: room.closes(wave), drawn: true },
            None => State::Paused(waiting(place, 0, None, now)),
        },
        Stand::Waiting { ahead, estimate, beyond, closes, paused } => {
            // While nobody is called, nothing is known of when.
            let estimate = estimate.filter(|_| !paused);
            let waiting = Waiting {
                jump: estimate.and_then(|estimate| estimate.reason),
                beyond_quota: beyond,
                closes: closes.and_then(|_| room.closing()),
                ..waiting(place, ahead, estimate.map(|Estimate { p50, p90, .. }| Wait { p50, p90 }), now)
            };
            if paused { State::Paused(waiting) } else { State::Waiting(waiting) }
        }
        Stand::Taken => State::Waiting(Waiting { beyond_quota: true, ..waiting(place, 0, None, now) }),
        Stand::Over { spent, carried, .. } => {
            let kept = match (place, carried) {
                (None, _) => KeptPlace::None,
                (Some(_), true) => KeptPlace::Carried,
                (Some(_), false) => KeptPlace::Ended,
            };
            let next = room.next_opening();
            if spent { State::Spent { next, place: kept } } else { State::Closed { next, place: kept } }
        }
        Stand::Sending => State::Sending,
        Stand::Done => State::Done,
        Stand::Unclear => State::Unclear,
        // `is_turn`
        Stand::Called | Stand::Inside | Stand::Unknown => {
            let local = |link: &'a Option<String>| link.as_deref().and_then(Local::parse);
            let enter = match (local(&links.enter), local(&links.reopen)) {
                (Some(link), _) => Enter::Follow(link),
                (None, _) if !links.unrecognised => Enter::SendAgain,
                (None, Some(form)) => Enter::Reopen(form),
                (None, None) => Enter::AllowCookies,
            };
            State::Turn { enter, kept: None }
        }
    }
}

/// Whether he may come in, or ask anew.
pub(super) const fn is_turn(stand: &Stand) -> bool {
    matches!(stand, Stand::Called | Stand::Inside | Stand::Unknown)
}

fn waiting(place: Option<&Place>, ahead: u64, wait: Option<Wait>, now: Duration) -> Waiting {
    Waiting {
        place: ahead.saturating_add(1),
        ahead,
        wait,
        waited: place.map(|place| now.saturating_sub(place.issued())),
        jump: None,
        beyond_quota: false,
        closes: None,
    }
}

const fn reason(stand: &Stand) -> Reason {
    match stand {
        Stand::Lobby { .. } => Reason::NotOpenYet,
        Stand::Over { spent: true, .. } => Reason::QuotaSpent,
        Stand::Over { .. } => Reason::Closed,
        Stand::Sending => Reason::AlreadySending,
        Stand::Done => Reason::AlreadyDone,
        Stand::Unclear => Reason::OutcomeUnknown,
        _ => Reason::Waiting,
    }
}

/// Rounded up, and never nothing.
fn whole_seconds(span: Duration) -> u64 {
    (span.as_secs() + u64::from(span.subsec_nanos() > 0)).max(1)
}
