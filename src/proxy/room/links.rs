//! The links of a page: to itself, the way in, out of the line, and to a place of his own for whoever shares a browser.
//!
//! **Invariants**: each is local; nothing the client sent is in them but the path that was matched, what is not ours of the query, and
//! where its own form is; the ticket only where no cookie can carry it.
//! **Not here**: what is said on the page (`told`).

use super::told::is_turn;
use super::{Request, carried, is_navigable};
use crate::proxy::cookies;
use crate::waiting_room::page::{Format, Local};
use crate::waiting_room::room::{Room, Stand};
use crate::waiting_room::ticket::TicketText;

/// The links of a page. [`Links::default`] has none.
#[derive(Debug, Default)]
pub(super) struct Links {
    /// The page itself.
    pub(super) again: String,
    /// Its state as JSON.
    pub(super) status: String,
    /// The way in; [`None`] for what only the browser can send again.
    pub(super) enter: Option<String>,
    /// To the form that it has, for whoever needs the ticket in its address.
    pub(super) reopen: Option<String>,
    /// What the browser sends again would not be recognised as his.
    pub(super) unrecognised: bool,
    pub(super) anew: Option<String>,
    pub(super) leave: String,
}

impl Links {
    /// Whether what is said in `format` to whoever stands at `stand` has any: a program is told the way in, when there is one.
    pub(super) fn are_said(format: Format, stand: &Stand) -> bool {
        format == Format::Html || is_turn(stand)
    }

    /// The links of what is said at `/.weir/place`; `to` is the way in, as the page says that asks. The ticket travels in them if
    /// `ticket` is there.
    pub(super) fn of_place(to: Option<&str>, ticket: Option<&str>, room: &Room) -> Self {
        let enter = to.filter(|to| Local::parse(to).is_some()).map(ToOwned::to_owned);
        let leads = enter.as_deref().map(|enter| format!("&{}={}", carried::QUERY_TO, encoded(enter)));
        let mut status = format!("/.weir/place?room={}{}", room.name(), leads.unwrap_or_default());
        let mut leave = format!("/.weir/leave?room={}", room.name());
        if let Some(ticket) = ticket {
            for link in [&mut status, &mut leave] {
                link.extend(["&", carried::QUERY_TICKET, "=", ticket]);
            }
        }
        Self { again: status.clone(), status, enter, leave, ..Self::default() }
    }

    /// The same for whoever sent a form that is at `form`, as far as that is known.
    pub(super) fn of_form(form: Option<&str>, ticket: Option<&str>, room: &Room) -> Self {
        let place = Self::of_place(None, ticket, room);
        let Some(form) = form.filter(|form| Local::parse(form).is_some()) else { return place };
        let status = format!("{}&{}={}", place.status, carried::QUERY_FORM, encoded(&with(form, None)));
        let reopen = ticket.map(|ticket| with(form, Some(&format!("{}={ticket}", carried::QUERY_TICKET))));
        let anew = Some(with(form, Some(&format!("{}=1", carried::QUERY_ANEW))));
        Self { again: status.clone(), status, reopen, anew, ..place }
    }

    /// The same for a browser from which a form that it sends again would not be recognised.
    pub(super) fn for_browser_without_cookies(self) -> Self {
        Self { unrecognised: true, ..self }
    }

    /// The links of the page that answers `request` of the holder of `ticket`.
    pub(super) fn of_request(request: &Request<'_>, ticket: Option<&TicketText>) -> Self {
        let (doorway, headers) = (request.doorway, &request.head.headers);
        let query = request.head.uri.query();
        // An address that speaks for somebody goes on doing so: the page stays the same from one load to the next.
        let in_links =
            query.is_some_and(carried::is_addressed) || cookies::values(headers, doorway.cookie()).next().is_none();
        let carried = ticket.filter(|_| in_links).map(TicketText::as_ref);
        if is_navigable(&request.head.method) {
            Self::of_page(&request.target.path, query, carried, doorway.room())
        } else {
            Self::of_form(carried::referrer(request.head), carried, doorway.room())
        }
    }

    /// The links of a page at `path`.
    fn of_page(path: &str, query: Option<&str>, ticket: Option<&str>, room: &Room) -> Self {
        let page = query.map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"));
        let again = with(&page, ticket.map(|ticket| format!("{}={ticket}", carried::QUERY_TICKET)).as_deref());
        let anew = Some(with(&page, Some(&format!("{}=1", carried::QUERY_ANEW))));
        let place = Self::of_place(Some(&again), ticket, room);
        Self { again, anew, ..place }
    }
}

/// `page`, a path with its query, without what is ours in it, and with `more`.
fn with(page: &str, more: Option<&str>) -> String {
    let (path, query) = page.split_once('?').map_or((page, None), |(path, query)| (path, Some(query)));
    let foreign = query.and_then(carried::foreign).filter(|query| !query.is_empty());
    let pairs: Vec<&str> = foreign.as_deref().into_iter().chain(more).collect();
    if pairs.is_empty() { path.to_owned() } else { format!("{path}?{}", pairs.join("&")) }
}

/// Percent-encoded for a query (RFC 3986 §3.4): everything but unreserved characters.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            out.push(char::from(byte));
        } else {
            const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
            out.push('%');
            out.extend([byte >> 4, byte & 15].map(|digit| DIGITS.get(usize::from(digit)).copied().unwrap_or('0')));
        }
    }
    out
}
