//! `Max-Forwards`: how far a question about the way itself may go (RFC 9110 §7.6.2).
//!
//! **Invariants**: an `OPTIONS` request with a hop count goes on with one less, and not at all with none left. TRACE, the other
//! method the field is for, is refused before (`target`); in any other request it means nothing and passes as it is.
//! **Cost**: nothing for other methods; a number written for `OPTIONS` with the field.
//! **Not here**: circles, which `Via` shows (`headers`).

use http::header::{HeaderName, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method};

use super::headers::is_number;
use super::target::BadRequest;

const MAX_FORWARDS: HeaderName = HeaderName::from_static("max-forwards");

/// Spends a hop of `head`; an error if there is none left, or if what stands there is no count.
pub(super) fn spend(head: &mut Parts) -> Result<(), BadRequest> {
    if head.method != Method::OPTIONS || !head.headers.contains_key(MAX_FORWARDS) {
        return Ok(());
    }
    match left(&head.headers).ok_or(BadRequest::Hops)? {
        // What weir itself can do is no secret, and of no use to a client: the service is asked by asking on.
        0 => Err(BadRequest::NotImplemented("OPTIONS of the gateway itself")),
        left => {
            head.headers.insert(MAX_FORWARDS, HeaderValue::from(left - 1));
            Ok(())
        }
    }
}

/// One decimal number; a larger one than any chain of gateways is as good as the largest.
fn left(headers: &HeaderMap) -> Option<u32> {
    let mut counts = headers.get_all(MAX_FORWARDS).iter();
    let count = counts.next().filter(|_| counts.next().is_none())?.to_str().ok()?;
    is_number(count.as_bytes()).then(|| count.parse().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(method: &str, counts: &[&str]) -> Result<Vec<String>, BadRequest> {
        let mut builder = http::Request::builder().method(method).uri("/");
        for count in counts {
            builder = builder.header(MAX_FORWARDS, *count);
        }
        let mut head = builder.body(()).unwrap().into_parts().0;
        spend(&mut head)?;
        Ok(head.headers.get_all(MAX_FORWARDS).iter().map(|count| count.to_str().unwrap().to_owned()).collect())
    }

    #[test]
    fn a_hop_is_spent_or_missing() {
        assert_eq!(after("OPTIONS", &["7"]), Ok(vec!["6".to_owned()]));
        assert_eq!(after("OPTIONS", &["1"]), Ok(vec!["0".to_owned()]));
        assert!(matches!(after("OPTIONS", &["0"]), Err(BadRequest::NotImplemented(_))));
        assert!(matches!(after("OPTIONS", &["000"]), Err(BadRequest::NotImplemented(_))));
        assert_eq!(after("OPTIONS", &[]), Ok(vec![]));
        assert_eq!(after("OPTIONS", &["99999999999999999999"]), Ok(vec![(u32::MAX - 1).to_string()]));
    }

    #[test]
    fn what_is_no_count_is_refused_where_it_counts() {
        for counts in [&["-1"][..], &["+1"], &["1, 1"], &[""], &["x"], &["1", "1"]] {
            assert_eq!(after("OPTIONS", counts), Err(BadRequest::Hops), "{counts:?}");
        }
        assert_eq!(after("GET", &["0"]), Ok(vec!["0".to_owned()]), "it means nothing there");
    }
}
