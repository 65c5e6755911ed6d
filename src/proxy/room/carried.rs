//! What a request says of its place: tickets in the query, a header or cookies; an identity; how long it would be held.
//!
//! **Invariants**: nothing here is believed yet (`waiting_room::ticket` verifies); at most [`TRIED`] tickets of a request are looked at;
//! what was ours in a query never reaches an upstream.
//! **Cost**: a walk over the query and the cookies of requests that lead into a waiting room; no allocation, unless ours stands in the query.

use std::borrow::Cow;
use std::time::Duration;

use http::HeaderMap;
use http::header::{HOST, HeaderName, HeaderValue, REFERER};
use http::request::Parts;

use crate::config::plan::Identity;
use crate::proxy::cookies;
use crate::proxy::headers::WEIR_TICKET;

/// The ticket in a query, for browsers that keep no cookies.
pub const QUERY_TICKET: &str = "weir_ticket";

/// In a query: another person, who shares the browser, asks for a place of his own.
pub const QUERY_ANEW: &str = "weir_new";

/// In a query: where a page leads when the turn has come.
pub const QUERY_TO: &str = "to";

/// In a query: where the form is that was sent.
pub const QUERY_FORM: &str = "form";

/// So many tickets of one request are verified: a browser may send a cookie for each path or domain.
const TRIED: usize = 4;

/// How long a client would wait for an answer (RFC 7240 §4.3).
const PREFER: HeaderName = HeaderName::from_static("prefer");

/// Longer values of an identity are none: a key is an identifier, not a document.
const IDENTITY_MAX: usize = 256;

/// Tickets of a request, the most explicit first. `cookie` is the name of the room's.
pub fn tickets<'h>(headers: &'h HeaderMap, query: Option<&'h str>, cookie: &'h str) -> impl Iterator<Item = &'h [u8]> {
    // Whoever asks for a new place does not mean the cookie of the person before him.
    let anew = query.is_some_and(is_anew);
    let kept = cookies::values(headers, cookie).filter(move |_| !anew);
    stated(headers, query).chain(kept).take(TRIED)
}

/// Tickets that the request itself states, in its query or a field, and not only its browser.
pub fn stated<'h>(headers: &'h HeaderMap, query: Option<&'h str>) -> impl Iterator<Item = &'h [u8]> {
    let fields = headers.get_all(WEIR_TICKET).iter().map(|value| value.as_bytes().trim_ascii());
    query.into_iter().flat_map(written).chain(fields).take(TRIED)
}

/// Tickets in a query.
pub fn written(query: &str) -> impl Iterator<Item = &[u8]> {
    values(query, QUERY_TICKET).map(str::as_bytes).take(TRIED)
}

/// Path and query of the page from which the request was sent, if that is one of the same site (RFC 9110 §10.1.3).
#[must_use]
pub fn referrer(head: &Parts) -> Option<&str> {
    let page = head.headers.get(REFERER)?.to_str().ok()?;
    let rest = page.strip_prefix("https://").or_else(|| page.strip_prefix("http://"))?;
    let (site, path) = rest.split_at_checked(rest.find('/')?)?;
    let named = || head.headers.get(HOST).and_then(|host| host.to_str().ok());
    let own = head.uri.authority().map(http::uri::Authority::as_str).or_else(named)?;
    site.eq_ignore_ascii_case(own).then_some(path)
}

/// Takes what is ours out of the address of the page from which the request was sent.
pub fn strip_referrer(headers: &mut HeaderMap) {
    let Some((page, query)) = headers.get(REFERER).and_then(|page| page.to_str().ok()?.split_once('?')) else { return };
    let left = match foreign(query) {
        Some(Cow::Borrowed(_)) => return,
        Some(Cow::Owned(left)) => HeaderValue::try_from(format!("{page}?{left}")),
        None => HeaderValue::try_from(page),
    };
    match left {
        Ok(left) => headers.insert(REFERER, left),
        Err(_) => headers.remove(REFERER),
    };
}

/// Whether the address speaks for somebody: then what its page leads to must do so as well, whatever the browser keeps.
#[must_use]
pub fn is_addressed(query: &str) -> bool {
    is_anew(query) || values(query, QUERY_TICKET).next().is_some()
}

/// The value that makes two requests the same person's.
#[must_use]
pub fn identity<'h>(headers: &'h HeaderMap, identity: Option<&'h Identity>) -> Option<&'h [u8]> {
    let value = match identity? {
        Identity::Header(name) => {
            let mut values = headers.get_all(name).iter();
            // Two of them are nobody's.
            values.next().filter(|_| values.next().is_none()).map(|value| value.as_bytes().trim_ascii())
        }
        Identity::Cookie(name) => cookies::values(headers, name).next(),
    };
    value.filter(|value| (1..=IDENTITY_MAX).contains(&value.len()))
}

/// The room that a query names.
#[must_use]
pub fn room(query: &str) -> Option<&str> {
    values(query, "room").next()
}

/// Where a page leads when the turn has come, as its script says: a path of this site.
#[must_use]
pub fn destination(query: Option<&str>) -> Option<String> {
    decoded(values(query?, QUERY_TO).next()?)
}

/// Where the form is that was sent, as its page says: a path of this site.
#[must_use]
pub fn form(query: Option<&str>) -> Option<String> {
    decoded(values(query?, QUERY_FORM).next()?)
}

/// Percent-decoded (RFC 3986 §2.1); [`None`] for what is not ASCII without control characters.
fn decoded(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let byte = if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            u8::try_from(digit()? << 4 | digit()?).ok()?
        } else {
            byte
        };
        out.push(byte.is_ascii_graphic().then(|| char::from(byte))?);
    }
    Some(out)
}

/// Whether the query asks for a new place.
#[must_use]
pub fn is_anew(query: &str) -> bool {
    query.split('&').any(|pair| pair.split('=').next() == Some(QUERY_ANEW))
}

/// The query without what is ours; [`None`] if nothing is left.
#[must_use]
pub fn foreign(query: &str) -> Option<Cow<'_, str>> {
    let is_ours = |pair: &&str| matches!(pair.split('=').next(), Some(QUERY_TICKET | QUERY_ANEW));
    if !query.split('&').any(|pair| is_ours(&pair)) {
        return Some(Cow::Borrowed(query));
    }
    let kept: Vec<&str> = query.split('&').filter(|pair| !is_ours(pair)).collect();
    (!kept.is_empty()).then(|| Cow::Owned(kept.join("&")))
}

/// For how long the client would be held until something changes.
#[must_use]
pub fn patience(headers: &HeaderMap) -> Option<Duration> {
    let preferences = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let wait = preferences.flat_map(|value| value.split([',', ';'])).find_map(|preference| {
        let (name, seconds) = preference.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| seconds.trim().trim_matches('"').parse::<u32>().ok())?
    });
    wait.map(|seconds| Duration::from_secs(seconds.into()))
}

/// The values of `name` in a query. A ticket has no character that would be encoded.
fn values<'q>(query: &'q str, name: &'q str) -> impl Iterator<Item = &'q str> {
    query.split('&').filter_map(move |pair| pair.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use http::header::{COOKIE, HeaderValue};

    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        fields.iter().map(field).collect()
    }

    #[test]
    fn the_most_explicit_ticket_comes_first() {
        let sent = headers(&[("weir-ticket", " b "), ("cookie", "x=y; weir_ticket=c; weir_ticket=d")]);
        let found = |query| tickets(&sent, query, "weir_ticket").collect::<Vec<_>>();
        assert_eq!(found(Some("step=1&weir_ticket=a&weir_ticketx=e")), [&b"a"[..], b"b", b"c", b"d"]);
        assert_eq!(found(None), [b"b", b"c", b"d"]);
        assert_eq!(found(Some("weir_new")), [b"b"], "not of the person before him");
        assert_eq!(found(Some("weir_ticket=1&weir_ticket=2&weir_ticket=3&weir_ticket=4&weir_ticket=5")).len(), TRIED);
    }

    #[test]
    fn an_identity_is_one_short_value() {
        let by_header = Identity::Header(HeaderName::from_static("idempotency-key"));
        let by_cookie = Identity::Cookie("sid".to_owned());
        let of = |fields: &[(&'static str, &str)], by| identity(&headers(fields), Some(by)).map(<[u8]>::to_vec);
        assert_eq!(of(&[("idempotency-key", " k ")], &by_header).as_deref(), Some(&b"k"[..]));
        assert_eq!(of(&[("idempotency-key", "k"), ("idempotency-key", "l")], &by_header), None);
        assert_eq!(of(&[("idempotency-key", "")], &by_header), None);
        assert_eq!(of(&[("idempotency-key", &"k".repeat(IDENTITY_MAX + 1))], &by_header), None);
        assert_eq!(of(&[("cookie", "a=b; sid=k")], &by_cookie).as_deref(), Some(&b"k"[..]));
        assert_eq!(identity(&headers(&[("idempotency-key", "k")]), None), None);
    }

    #[test]
    fn an_upstream_sees_the_query_without_ours() {
        for (query, left) in [
            ("a=b", Some("a=b")),
            ("", Some("")),
            ("weir_ticket=x", None),
            ("weir_new", None),
            ("a=b&weir_ticket=x&c&weir_new=1", Some("a=b&c")),
            ("weir_tickets=x&xweir_ticket=y", Some("weir_tickets=x&xweir_ticket=y")),
        ] {
            assert_eq!(foreign(query).as_deref(), left, "{query}");
        }
    }

    #[test]
    fn a_destination_is_decoded_and_stays_ascii() {
        for (query, to) in [
            ("to=%2Fregister%3Fstep%3D1%26weir_ticket%3Dx", Some("/register?step=1&weir_ticket=x")),
            ("room=a&to=/a/b", Some("/a/b")),
            ("to=%0d%0aSet-Cookie", None),
            ("to=%2", None),
            ("to=%zz", None),
            ("to=%c3%a9", None),
            ("other=1", None),
        ] {
            assert_eq!(destination(Some(query)).as_deref(), to, "{query}");
        }
        assert_eq!(room("to=/&room=opening"), Some("opening"));
    }

    #[test]
    fn the_page_before_is_one_of_the_same_site() {
        let head = |host: &str, page: &str| {
            let request = http::Request::builder().uri("/form").header(HOST, host).header(REFERER, page);
            request.body(()).unwrap().into_parts().0
        };
        for (host, page, path) in [
            ("a.example", "https://a.example/form?x=1&weir_ticket=y", Some("/form?x=1&weir_ticket=y")),
            ("A.example:8080", "http://a.example:8080/", Some("/")),
            ("a.example", "https://a.example", None),
            ("a.example", "https://b.example/form", None),
            ("a.example", "https://a.example.b.example/form", None),
            ("a.example", "https://a.example@b.example/form", None),
            ("a.example", "ftp://a.example/form", None),
            ("a.example", "/form", None),
            ("a.example", "", None),
        ] {
            assert_eq!(referrer(&head(host, page)), path, "{page}");
        }
    }

    #[test]
    fn an_upstream_sees_the_page_before_without_ours() {
        for (page, left) in [
            ("https://a.example/form", "https://a.example/form"),
            ("https://a.example/form?x=1", "https://a.example/form?x=1"),
            ("https://a.example/form?weir_ticket=y", "https://a.example/form"),
            ("https://a.example/form?x=1&weir_ticket=y&weir_new=1&z", "https://a.example/form?x=1&z"),
        ] {
            let mut headers = headers(&[("referer", page)]);
            strip_referrer(&mut headers);
            assert_eq!(headers[REFERER], left);
        }
    }

    #[test]
    fn a_preference_for_waiting_is_read() {
        let wait = |value| patience(&headers(&[("prefer", value)]));
        assert_eq!(wait("wait=20"), Some(Duration::from_secs(20)));
        assert_eq!(wait("respond-async, Wait = \"7\""), Some(Duration::from_secs(7)));
        assert_eq!((wait("wait"), wait("wait=x"), wait("wait=-1")), (None, None, None));
        assert_eq!(patience(&[(COOKIE, HeaderValue::from_static("prefer=wait"))].into_iter().collect()), None);
    }
}
