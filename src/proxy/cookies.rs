//! Cookies: which of them are ours, what they say, and how others pass untouched.
//!
//! **Invariants**: cookies of others keep their bytes; ours never reach an upstream, and no upstream sets one in our name.
//! **Not here**: what ours mean (`pass`, `room`).

use http::HeaderMap;
use http::header::{COOKIE, HeaderValue, SET_COOKIE};

use crate::config::plan;

/// Cookie in which a pass travels; that of a waiting room, where there are more, is followed by `_` and the room's name.
pub const PASS: &str = plan::Pass::COOKIE;

/// Cookie in which a ticket travels, where there is one waiting room; with more, `_` and the room's name follow.
pub const TICKET: &str = "weir_ticket";

/// The values of the cookies of `name`, in the order in which they came.
pub fn values<'h>(headers: &'h HeaderMap, name: &'h str) -> impl Iterator<Item = &'h [u8]> {
    let fields = headers.get_all(COOKIE).iter().flat_map(|field| pairs(field.as_bytes()));
    fields.filter_map(named).filter(move |(found, _)| *found == name.as_bytes()).map(|(_, value)| value)
}

/// The values of the cookies in which passes travel, whatever their rooms, in the order in which they came.
pub fn passes(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let fields = headers.get_all(COOKIE).iter().flat_map(|field| pairs(field.as_bytes()));
    fields.filter_map(named).filter(|(name, _)| is_of(name, PASS)).map(|(_, value)| value)
}

/// The names of those cookies, whether or not there is still such a room.
pub fn pass_names(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let fields = headers.get_all(COOKIE).iter().flat_map(|field| pairs(field.as_bytes()));
    let names = fields.filter_map(named).map(|(name, _)| name).filter(|name| is_of(name, PASS));
    names.filter(|name| name.iter().all(u8::is_ascii_graphic)).filter_map(|name| str::from_utf8(name).ok())
}

/// Takes ours out of a request's cookies, and leaves the bytes of all others as they were.
pub fn strip_request(headers: &mut HeaderMap) {
    if !headers.get_all(COOKIE).iter().any(|field| pairs(field.as_bytes()).any(is_ours)) {
        return;
    }
    let fields: Vec<HeaderValue> = headers.get_all(COOKIE).iter().cloned().collect();
    headers.remove(COOKIE);
    for field in fields {
        let kept: Vec<&[u8]> = pairs(field.as_bytes()).filter(|pair| !is_ours(pair)).collect();
        let kept = kept.join(&b';');
        if let Ok(mut kept) = HeaderValue::from_bytes(kept.trim_ascii_start())
            && !kept.is_empty()
        {
            kept.set_sensitive(field.is_sensitive());
            headers.append(COOKIE, kept);
        }
    }
}

/// Takes out of an upstream's answer what would look like a cookie of ours.
pub fn strip_answer(headers: &mut HeaderMap) {
    let sets_ours = |field: &HeaderValue| pairs(field.as_bytes()).next().is_some_and(is_ours);
    if headers.get_all(SET_COOKIE).iter().any(sets_ours) {
        let others: Vec<_> = headers.get_all(SET_COOKIE).iter().filter(|field| !sets_ours(field)).cloned().collect();
        headers.remove(SET_COOKIE);
        for other in others {
            headers.append(SET_COOKIE, other);
        }
    }
}

/// The pairs of a `Cookie` field (RFC 6265 §4.2.1), with the spaces around them.
fn pairs(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    field.split(|byte| *byte == b';')
}

/// Name and value of a pair.
fn named(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    let (name, value) = pair.split_at_checked(equals)?;
    Some((name.trim_ascii(), value.get(1..).unwrap_or_default().trim_ascii()))
}

fn is_ours(pair: impl AsRef<[u8]>) -> bool {
    named(pair.as_ref()).is_some_and(|(name, _)| is_of(name, PASS) || is_of(name, TICKET))
}

/// Whether it is `ours`, or that of a room.
fn is_of(name: &[u8], ours: &str) -> bool {
    name.strip_prefix(ours.as_bytes()).is_some_and(|rest| matches!(rest, [] | [b'_', ..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(cookies: &[&str]) -> HeaderMap {
        cookies.iter().map(|cookie| (COOKIE, HeaderValue::from_str(cookie).unwrap())).collect()
    }

    #[test]
    fn an_upstream_sees_all_cookies_but_ours() {
        for (before, after) in [
            (&["weir_pass=1"][..], &[][..]),
            (&["a=b; weir_pass=1; c=d"], &["a=b; c=d"]),
            (&["weir_pass=1; a=b"], &["a=b"]),
            (&["a=b;weir_pass=1"], &["a=b"]),
            (&["a=\"b  \";  c ;; d==e; weir_pass=1"], &["a=\"b  \";  c ;; d==e"]),
            (&["a=b", " weir_pass =1", "c=d"], &["a=b", "c=d"]),
            (&["weir_pass=1; weir_pass=2; xweir_pass=3; weir_passx=4"], &["xweir_pass=3; weir_passx=4"]),
            (&["weir_ticket=1; weir_ticket_opening=2; a=b"], &["a=b"]),
            (&["weir_pass_opening=1; a=b; weir_pass_=2"], &["a=b"]),
            (&["weir_tickets=1; weir_ticke=2"], &["weir_tickets=1; weir_ticke=2"]),
            (&["a=weir_pass=1"], &["a=weir_pass=1"]),
            (&["weir_pass"], &["weir_pass"]),
        ] {
            let mut headers = fields(before);
            strip_request(&mut headers);
            assert_eq!(headers, fields(after), "{before:?}");
        }
        let mut binary: HeaderMap =
            [(COOKIE, HeaderValue::from_bytes(b"a=\xff; weir_pass=\xfe").unwrap())].into_iter().collect();
        strip_request(&mut binary);
        assert_eq!(binary[COOKIE].as_bytes(), b"a=\xff");
    }

    #[test]
    fn an_upstream_sets_no_cookie_of_ours() {
        let mut headers = HeaderMap::new();
        for cookie in
            ["a=b; Path=/", "weir_pass=x; Path=/", " weir_pass = y", "weir_ticket=z", "c=weir_pass=z", "d; weir_pass=1"]
        {
            headers.append(SET_COOKIE, HeaderValue::from_str(cookie).unwrap());
        }
        strip_answer(&mut headers);
        let left: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
        assert_eq!(left, ["a=b; Path=/", "c=weir_pass=z", "d; weir_pass=1"]);
    }

    #[test]
    fn values_come_in_their_order() {
        let headers = fields(&["weir_pass=stale; a=b", " weir_pass = \"x\" ; weir_pass=", "Weir_Pass=other"]);
        let found: Vec<_> = values(&headers, PASS).collect();
        assert_eq!(found, [&b"stale"[..], b"\"x\"", b""]);
    }
}
