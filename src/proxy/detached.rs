//! A head apart from the buffer that it was read into.
//!
//! hyper's values and targets are slices of its read buffer of 8 KiB, and as long as one of them lives so does the buffer, of which a head
//! fills a part; hyper itself has moved on to the next one by then. Whoever waits in line keeps a copy of what he said instead.
//!
//! **Invariants**: the same head, field by field; sensitive values stay so. What cannot be copied stays where it is.
//! **Cost**: an allocation for all values, one for the target, and the bytes; only for those who wait.
//! **Not here**: who waits (`admission`).

use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::uri::{self, Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Uri};

/// Copies what `head`, and `authority` that was found in it, have of the buffer.
pub(super) fn detach(head: &mut Parts, authority: &mut Option<HeaderValue>) {
    detach_values(&mut head.headers);
    if let Some(uri) = detached_uri(&head.uri) {
        head.uri = uri;
    }
    if let Some(value) = authority {
        *value = detached(value);
    }
}

/// A copy of `value` that shares nothing with it.
pub(super) fn detached(value: &HeaderValue) -> HeaderValue {
    from_shared(value, Bytes::copy_from_slice(value.as_bytes()))
}

/// All values in one allocation.
fn detach_values(headers: &mut HeaderMap) {
    let mut all = BytesMut::with_capacity(headers.values().map(HeaderValue::len).sum());
    for value in headers.values_mut() {
        all.extend_from_slice(value.as_bytes());
        *value = from_shared(value, all.split().freeze());
    }
}

/// `value` in `copy`, its bytes.
fn from_shared(value: &HeaderValue, copy: Bytes) -> HeaderValue {
    let Ok(mut detached) = HeaderValue::from_maybe_shared(copy) else { return value.clone() };
    detached.set_sensitive(value.is_sensitive());
    detached
}

fn detached_uri(uri: &Uri) -> Option<Uri> {
    let copy = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let mut parts = uri::Parts::default();
    parts.scheme = uri.scheme().cloned();
    if let Some(authority) = uri.authority() {
        parts.authority = Some(Authority::from_maybe_shared(copy(authority.as_str())).ok()?);
    }
    if let Some(path) = uri.path_and_query() {
        parts.path_and_query = Some(PathAndQuery::from_maybe_shared(copy(path.as_str())).ok()?);
    }
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    /// A head whose values are slices of `buffer`, as hyper makes them.
    fn head(buffer: &Bytes, target: &str) -> Parts {
        let uri = Uri::from_maybe_shared(buffer.slice(..target.len())).unwrap();
        let (mut head, ()) = Request::builder().uri(uri).body(()).unwrap().into_parts();
        for (name, range) in [("host", 0..3), ("cookie", 3..9), ("cookie", 2..2), ("x-a", 1..4)] {
            head.headers.append(name, HeaderValue::from_maybe_shared(buffer.slice(range)).unwrap());
        }
        head.headers.get_mut("x-a").unwrap().set_sensitive(true);
        head
    }

    #[test]
    fn it_is_the_same_head_and_the_buffer_is_let_go() {
        for target in ["/a/b?c=d&e", "http://weir.example:80/a?b", "*", "/"] {
            let buffer = Bytes::from(format!("{target:<40}").replace(' ', "x").into_bytes());
            let mut detached = head(&buffer, target);
            let mut authority = detached.headers.get("host").cloned();
            let text = |head: &Parts, authority: &Option<HeaderValue>| {
                format!("{} {:?} {authority:?}", head.uri, head.headers)
            };
            let before = text(&detached, &authority);
            assert!(!buffer.is_unique());
            detach(&mut detached, &mut authority);
            assert!(buffer.is_unique(), "{target}");
            assert_eq!(before, text(&detached, &authority));
            assert!(detached.headers["x-a"].is_sensitive());
        }
    }
}
