//! `/v1/rooms`: what operators see of the waiting rooms, and what they decide there.
//!
//! | Path | Method | What |
//! |---|---|---|
//! | `/v1/rooms` | GET | every room ([`survey`]) |
//! | `/v1/rooms/NAME/places/WHO` | GET | why somebody, by number or ticket, is still waiting ([`explain`]) |
//! | `/v1/rooms/NAME/unclear?from=POSITION` | GET | those of whose request nobody knows what became |
//! | `/v1/rooms/NAME/unclear/NUMBER` | POST | what became of it: `{"outcome": "done"}` or `"failed"` |
//! | `/v1/rooms/NAME/pause`, `/resume` | POST | nobody is called, or people are called again |
//! | `/v1/rooms/NAME/pace` | POST | `{"rate": "500/m"}` or `{"measured": true}` |
//! | `/v1/rooms/NAME/taken` | POST | `{"wave": 0, "count": 81234}`: how many have succeeded, when weir has lost count |
//!
//! **Invariants**: a GET changes nothing; a POST needs `Content-Type: application/json`, and its body is at most 4 KiB and there within five
//! seconds; what it did is logged, and what must last is in the journal before it is answered.
//! **Cost**: a survey or a page of unclear ones a millisecond a million people; the rest microseconds, or one write of the journal.

mod act;
mod explain;
mod survey;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Body;

use self::act::Act;
use super::answer::{BoxError, json, not_allowed, plain};
use crate::proxy::gateway::Gateway;
use crate::proxy::pass::unix_time;
use crate::proxy::room::Doorway;

const ROOT: &str = "/v1/rooms";

/// What is asked for below [`ROOT`].
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked<'t> {
    All,
    Place { room: &'t str, who: &'t str },
    Unclear { room: &'t str },
    Act { room: &'t str, act: Act },
    Nothing,
}

/// What stands behind `/v1/rooms`, if `path` does.
pub(super) fn target(path: &str) -> Option<&str> {
    let rest = path.strip_prefix(ROOT)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

/// The answer to `request` for `target`.
pub(super) async fn answer<B>(gateway: &Gateway, target: &str, request: Request<B>) -> Response<Full<Bytes>>
where
    B: Body<Error: Into<BoxError>>,
{
    let asked = asked(target);
    let named = match &asked {
        Asked::Place { room, .. } | Asked::Unclear { room } | Asked::Act { room, .. } => {
            gateway.doorways().iter().map(|doorway| Doorway::room(doorway)).find(|known| &**known.name() == *room)
        }
        Asked::All | Asked::Nothing => None,
    };
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    match (asked, named) {
        (Asked::All, _) if reads => json(&survey::document(gateway.doorways())),
        (Asked::Place { who, .. }, Some(room)) if reads => {
            match room.explain(who, (gateway.clock().now(), unix_time())) {
                Ok(explanation) => json(&explain::document(room, &explanation)),
                Err(error) => plain(StatusCode::NOT_FOUND, format!("{error}\n")),
            }
        }
        (Asked::Unclear { .. }, Some(room)) if reads => match from(request.uri().query()) {
            Some(from) => json(&survey::unclear(room, from)),
            None => plain(StatusCode::BAD_REQUEST, "`from` is a position\n".to_owned()),
        },
        (Asked::All | Asked::Place { .. } | Asked::Unclear { .. }, room) if room.is_some() || target.is_empty() => {
            not_allowed("GET, HEAD")
        }
        (Asked::Act { .. }, Some(_)) if request.method() != Method::POST => not_allowed("POST"),
        (Asked::Act { .. }, Some(_)) if !is_json(request.headers()) => {
            let message = "say `Content-Type: application/json`: a web page cannot do so behind an operator's back\n";
            plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, message.to_owned())
        }
        (Asked::Act { act, .. }, Some(room)) => match act::body(request.into_body()).await {
            Ok(body) => act.perform(room, &body).await,
            Err(refusal) => refusal,
        },
        _ => plain(StatusCode::NOT_FOUND, "not found\n".to_owned()),
    }
}

fn asked(target: &str) -> Asked<'_> {
    let mut parts = target.strip_prefix('/').unwrap_or_default().split('/');
    let parts = (parts.next(), parts.next(), parts.next(), parts.next());
    let act = |room, act| Asked::Act { room, act };
    match parts {
        _ if target.is_empty() => Asked::All,
        (Some(room), Some("places"), Some(who), None) => Asked::Place { room, who },
        (Some(room), Some("unclear"), None, None) => Asked::Unclear { room },
        (Some(room), Some("unclear"), Some(number), None) => {
            number.parse().map_or(Asked::Nothing, |number| act(room, Act::Resolve(number)))
        }
        (Some(room), Some("pause"), None, None) => act(room, Act::Pause),
        (Some(room), Some("resume"), None, None) => act(room, Act::Resume),
        (Some(room), Some("pace"), None, None) => act(room, Act::Pace),
        (Some(room), Some("taken"), None, None) => act(room, Act::Taken),
        _ => Asked::Nothing,
    }
}

/// The position at which a page begins; [`None`] if it is none.
fn from(query: Option<&str>) -> Option<u64> {
    let mut pairs = query.unwrap_or_default().split('&').filter_map(|pair| pair.strip_prefix("from="));
    pairs.next().map_or(Some(0), |from| from.parse().ok())
}

/// Whether the one content type is JSON's, whatever its parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else { return false };
    let essence = only.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        for (path, wanted) in [
            ("", Asked::All),
            ("/a/places/17", Asked::Place { room: "a", who: "17" }),
            ("/a/unclear", Asked::Unclear { room: "a" }),
            ("/a/unclear/17", Asked::Act { room: "a", act: Act::Resolve(17) }),
            ("/a/pause", Asked::Act { room: "a", act: Act::Pause }),
            ("/a/pace", Asked::Act { room: "a", act: Act::Pace }),
            ("/a/taken", Asked::Act { room: "a", act: Act::Taken }),
        ] {
            assert_eq!(asked(path), wanted, "{path}");
        }
        for path in ["/", "/a", "/a/", "/a/pause/", "/a/places", "/a/places/1/2", "/a/unclear/x", "//pause/x", "/a/b"] {
            assert_eq!(asked(path), Asked::Nothing, "{path}");
        }
        assert_eq!((target("/v1/rooms"), target("/v1/rooms/a"), target("/v1/roomsa")), (Some(""), Some("/a"), None));
    }

    #[test]
    fn only_json_is_json() {
        let said = |types: &[&str]| {
            let mut headers = HeaderMap::new();
            for one in types {
                headers.append(CONTENT_TYPE, one.parse().unwrap());
            }
            is_json(&headers)
        };
        for good in ["application/json", "Application/JSON; charset=utf-8", "application/json;"] {
            assert!(said(&[good]), "{good}");
        }
        // What a form, or a script without leave, can say (WHATWG Fetch §2.2.2).
        for bad in ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", ""] {
            assert!(!said(&[bad]), "{bad}");
        }
        assert!(!said(&[]) && !said(&["text/plain; application/json"]));
        assert!(!said(&["application/json", "text/plain"]) && !said(&["text/plain", "application/json"]));
    }
}
