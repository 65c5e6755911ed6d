//! Fields behind an answer's body, on their way to the client.
//!
//! They come when the client has already acted on the head: what frames, routes, authenticates or is remembered has no place there
//! (RFC 9110 §6.5.1), and a service that lets somebody write trailers shall not let him write those. hyper writes none over HTTP/1.1,
//! where nobody asked for them; over HTTP/2 they end the stream.
//!
//! **Invariants**: nothing passes in a trailer that would not pass in a head, nor what would mean something else there.
//! **Cost**: nothing for an answer without trailers, which is nearly every one.
//! **Not here**: trailers of requests, which never pass (`upload`).

use http::HeaderMap;
use http::header::{
    AGE, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE,
    EXPIRES, HOST, HeaderName, LOCATION, PROXY_AUTHENTICATE, RETRY_AFTER, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE, VARY, VIA, WARNING, WWW_AUTHENTICATE,
};

use super::headers::OURS;

/// Framing, routing, authentication, control of the answer, and what a browser keeps.
const NEVER: [HeaderName; 23] = [
    AGE,
    AUTHORIZATION,
    CACHE_CONTROL,
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    DATE,
    EXPIRES,
    HOST,
    LOCATION,
    PROXY_AUTHENTICATE,
    RETRY_AFTER,
    SET_COOKIE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    VARY,
    VIA,
    WARNING,
    WWW_AUTHENTICATE,
];

/// The same by name: of one hop only, or ours to say.
const NEVER_NAMED: [&str; 4] = ["keep-alive", "proxy-connection", "proxy-authentication-info", "x-request-id"];

/// Leaves of `trailers` what may stand behind a body.
pub(super) fn for_client(trailers: &mut HeaderMap) {
    let unwelcome: Vec<HeaderName> = trailers.keys().filter(|name| !is_welcome(name)).cloned().collect();
    for name in unwelcome {
        trailers.remove(name);
    }
}

fn is_welcome(name: &HeaderName) -> bool {
    !NEVER.contains(name) && !NEVER_NAMED.contains(&name.as_str()) && !name.as_str().starts_with(OURS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_frames_or_is_remembered_does_not_come_afterwards() {
        let mut trailers = HeaderMap::new();
        let names =
            ["grpc-status", "set-cookie", "content-length", "transfer-encoding", "connection", "weir-pass", "digest"];
        for name in names {
            trailers.append(name, "1".parse().unwrap());
            trailers.append(name, "2".parse().unwrap());
        }
        for_client(&mut trailers);
        let mut left: Vec<_> = trailers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!((left.as_slice(), trailers.len()), (&["digest", "grpc-status"][..], 4));
    }
}
